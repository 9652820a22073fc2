//! What is done to the scores of the next token before one is chosen (`LogitsProcessor`), in Hugging Face's order.

use super::GenerationConfig;

/// Changes scores of the next token of a text.
pub(super) struct Rules<'a> {
    pub(super) config: &'a GenerationConfig,
    /// How many tokens the text began with.
    pub(super) prompt: usize,
}

impl Rules<'_> {
    /// The rules for texts, whether tokens are drawn or not.
    pub(super) fn apply(&self, text: &[i64], scores: &mut [f32]) {
        let config = self.config;
        if config.repetition_penalty != 1.0 {
            repetition_penalty(text, scores, config.repetition_penalty as f32);
        }
        let ngram = config.no_repeat_ngram_size;
        if ngram > 0 && text.len() + 1 >= ngram {
            let ending = &text[text.len() + 1 - ngram..];
            for window in text.windows(ngram) {
                if window.starts_with(ending) {
                    forbid(scores, window[ngram - 1]);
                }
            }
        }
        for word in config.bad_words_ids.iter().flatten() {
            if let Some((&last, beginning)) = word.split_last()
                && text.ends_with(beginning)
            {
                forbid(scores, last);
            }
        }
        if text.len() < config.min_length || text.len() < self.prompt + config.min_new_tokens {
            config
                .eos_token_id
                .iter()
                .for_each(|&token| forbid(scores, token));
        }
        for &token in config.suppress_tokens.iter().flatten() {
            forbid(scores, token);
        }
    }

    /// The rules for drawing: temperature, and which tokens are left out. At least `kept` are left.
    pub(super) fn warp(&self, scores: &mut [f32], kept: usize) {
        let config = self.config;
        if config.temperature != 1.0 {
            let temperature = config.temperature as f32;
            scores.iter_mut().for_each(|score| *score /= temperature);
        }
        if config.top_k > 0 {
            top_k(scores, config.top_k.max(kept));
        }
        if config.top_p < 1.0 {
            top_p(scores, config.top_p, kept);
        }
        if let Some(share) = config.min_p {
            min_p(scores, share, kept);
        }
    }
}

fn forbid(scores: &mut [f32], token: i64) {
    if let Some(score) = usize::try_from(token)
        .ok()
        .and_then(|token| scores.get_mut(token))
    {
        *score = f32::NEG_INFINITY;
    }
}

/// Tokens of the text become less likely, each once ("CTRL", Keskar et al., 2019).
fn repetition_penalty(text: &[i64], scores: &mut [f32], penalty: f32) {
    let mut seen: Vec<i64> = text.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for token in seen {
        if let Some(score) = usize::try_from(token)
            .ok()
            .and_then(|token| scores.get_mut(token))
        {
            *score = if *score < 0.0 {
                *score * penalty
            } else {
                *score / penalty
            };
        }
    }
}

/// Leaves the best `k`, and what is as good as the last of them.
fn top_k(scores: &mut [f32], k: usize) {
    if k >= scores.len() {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, &mut last, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    for score in scores {
        if *score < last {
            *score = f32::NEG_INFINITY;
        }
    }
}

/// Leaves the fewest best ones that have the probability `p` together ("The Curious Case of Neural Text Degeneration",
/// Holtzman et al., 2019).
fn top_p(scores: &mut [f32], p: f64, kept: usize) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let probabilities = softmax(scores);
    let mut sum = 0.0;
    for &i in &order[..order.len().saturating_sub(kept)] {
        sum += probabilities[i];
        if sum <= 1.0 - p {
            scores[i] = f32::NEG_INFINITY;
        }
    }
}

/// Leaves those that are at least `share` as probable as the best one.
fn min_p(scores: &mut [f32], share: f64, kept: usize) {
    let probabilities = softmax(scores);
    let best = probabilities.iter().copied().fold(0.0, f64::max);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    for &i in order.iter().skip(kept) {
        if probabilities[i] < share * best {
            scores[i] = f32::NEG_INFINITY;
        }
    }
}

fn softmax(scores: &[f32]) -> Vec<f64> {
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = scores
        .iter()
        .map(|&score| f64::from(score - best).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::io::safetensors::SafeTensorsFile;

    const OUT: f32 = f32::NEG_INFINITY;

    fn applied(config: &GenerationConfig, text: &[i64], scores: &[f32]) -> Vec<f32> {
        let mut scores = scores.to_vec();
        Rules { config, prompt: 1 }.apply(text, &mut scores);
        scores
    }

    /// The rules of settings as Hugging Face follows them, on scores of the bundled GPT-2, by the script
    /// `tests/golden/generation.py`.
    #[test]
    fn rules_are_those_of_hugging_face() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/scores.safetensors");
        let file = SafeTensorsFile::open(path).unwrap();
        let rules: Vec<serde_json::Value> = serde_json::from_str(&file.metadata()["rules"]).unwrap();
        let scores = |name: &str| file.tensor(name).unwrap().to_vec::<f32>().unwrap();
        let (mut compared, mut left_out) = (0, 0);
        for prompt in 0..2 {
            let text = file
                .tensor(&format!("ids.{prompt}"))
                .unwrap()
                .to_vec::<i64>()
                .unwrap();
            for (i, rules) in rules.iter().enumerate() {
                let mut settings = rules.clone();
                // Of all tokens, unless the rules say otherwise; it is 50 by default.
                let top_k = rules.get("top_k").cloned().unwrap_or(0.into());
                settings["top_k"] = top_k;
                let config: GenerationConfig = serde_json::from_value(settings).unwrap();
                let applied = Rules {
                    config: &config,
                    prompt: text.len(),
                };
                let mut found = scores(&format!("logits.{prompt}"));
                applied.apply(&text, &mut found);
                applied.warp(&mut found, 1);
                for (token, (found, expected)) in found
                    .into_iter()
                    .zip(scores(&format!("scores.{prompt}.{i}")))
                    .enumerate()
                {
                    let near = (found - expected).abs() <= 1e-6 * expected.abs();
                    assert!(
                        found == expected || near,
                        "{rules}: token {token} has {found}, not {expected}"
                    );
                    compared += 1;
                    left_out += usize::from(expected == OUT);
                }
            }
        }
        assert!(
            compared == 14 * 2048 && left_out > 14 * 1024,
            "{compared}, {left_out}"
        );
    }

    #[test]
    fn repeated_tokens_become_less_likely_once() {
        let config = GenerationConfig {
            repetition_penalty: 2.0,
            ..GenerationConfig::default()
        };
        assert_eq!(
            applied(&config, &[0, 1, 1, 0], &[4.0, -1.0, 3.0]),
            [2.0, -2.0, 3.0]
        );
    }

    #[test]
    fn sequences_do_not_occur_twice() {
        let config = GenerationConfig {
            no_repeat_ngram_size: 2,
            ..GenerationConfig::default()
        };
        assert_eq!(applied(&config, &[0, 1, 2, 0], &[1.0; 3]), [1.0, OUT, 1.0]);
        // As with PyTorch, a rule of single tokens forbids all that are there.
        let config = GenerationConfig {
            no_repeat_ngram_size: 1,
            ..GenerationConfig::default()
        };
        assert_eq!(applied(&config, &[0, 2], &[1.0; 3]), [OUT, 1.0, OUT]);
    }

    #[test]
    fn texts_do_not_end_too_early_and_words_are_left_out() {
        let config = GenerationConfig {
            min_new_tokens: 2,
            eos_token_id: vec![2],
            bad_words_ids: Some(vec![vec![0, 1]]),
            suppress_tokens: Some(vec![3, 99]),
            ..GenerationConfig::default()
        };
        assert_eq!(applied(&config, &[5, 0], &[1.0; 4]), [1.0, OUT, OUT, OUT]);
        assert_eq!(applied(&config, &[5, 1, 1], &[1.0; 4]), [1.0, 1.0, 1.0, OUT]);
    }

    #[test]
    fn tokens_are_drawn_from_the_best() {
        let warped = |config: GenerationConfig, kept| {
            let mut scores = [0.5f32.ln(), 0.3f32.ln(), 0.15f32.ln(), 0.05f32.ln()];
            Rules {
                config: &config,
                prompt: 0,
            }
            .warp(&mut scores, kept);
            scores.map(|score| score > OUT)
        };
        let all = GenerationConfig {
            top_k: 0,
            ..GenerationConfig::default()
        };
        let top_k = GenerationConfig {
            top_k: 2,
            ..all.clone()
        };
        assert_eq!(warped(top_k.clone(), 1), [true, true, false, false]);
        assert_eq!(warped(top_k, 3), [true, true, true, false]);
        let top_p = GenerationConfig {
            top_p: 0.7,
            ..all.clone()
        };
        assert_eq!(warped(top_p, 1), [true, true, false, false]);
        let top_p = GenerationConfig {
            top_p: 0.0,
            ..all.clone()
        };
        assert_eq!(warped(top_p, 1), [true, false, false, false]);
        let min_p = GenerationConfig {
            min_p: Some(0.2),
            ..all
        };
        assert_eq!(warped(min_p, 1), [true, true, true, false]);
    }
}
