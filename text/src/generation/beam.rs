//! Beam search: the `num_beams` most probable texts so far are pursued at once, and finished ones are kept by their score
//! over a power of their length.

use flambeau_tensor::{DType, Result, Tensor};

use super::scores::Rules;
use super::{CausalLM, EarlyStopping, Writer};

/// What a text's score is lowered by to take it out of the running. Not -∞, which would make all such texts equal: their
/// order still counts when there are no others.
const OUT: f32 = -1e9;

/// A text that ended.
#[derive(Clone)]
struct Finished {
    score: f32,
    tokens: Vec<i64>,
    ended: bool,
}

/// A text that is one token longer than one of the running ones.
struct Candidate {
    score: f32,
    beam: usize,
    token: i64,
    ends: bool,
}

/// One beginning: where it stands in the batch of beams.
struct Search {
    /// Scores of running texts.
    running: Vec<f32>,
    finished: Vec<Finished>,
    /// Whether a running text may still become better than the finished ones.
    improvable: bool,
}

/// The best `num_return_sequences` texts of each beginning, filled up to one length.
pub(super) fn search<M: CausalLM>(
    mut writer: Writer<'_, M>,
    rules: &Rules<'_>,
    limit: usize,
) -> Result<Vec<Vec<i64>>> {
    let config = rules.config;
    let beams = config.num_beams;
    let prompt = rules.prompt;
    let batch = writer.texts.len() / beams;
    let unfinished = Finished {
        score: OUT,
        tokens: Vec::new(),
        ended: false,
    };
    // All beams begin alike, so only the first one counts.
    let mut running = vec![OUT; beams];
    running[0] = 0.0;
    let begin = |_| Search {
        running: running.clone(),
        finished: vec![unfinished.clone(); beams],
        improvable: true,
    };
    let mut searches: Vec<Search> = (0..batch).map(begin).collect();
    // So many that enough are left when all that can end do.
    let kept = beams * (1 + config.eos_token_id.len()).max(2);
    loop {
        let length = writer.texts[0].len();
        let scores = writer.scores()?.log_softmax(-1)?;
        let vocabulary = scores.shape()[1];
        let mut scores = scores.to_vec::<f32>()?;
        for (row, text) in scores.chunks_mut(vocabulary).zip(&writer.texts) {
            rules.apply(text, row);
            if config.do_sample {
                rules.warp(row, 1 + config.eos_token_id.len());
            }
        }
        let (mut rows, mut tokens, mut all_end) = (Vec::new(), Vec::new(), true);
        for (i, search) in searches.iter_mut().enumerate() {
            let scores = &mut scores[i * beams * vocabulary..(i + 1) * beams * vocabulary];
            for (row, &so_far) in scores.chunks_mut(vocabulary).zip(&search.running) {
                row.iter_mut().for_each(|score| *score += so_far);
            }
            let best = best(scores, kept.min(scores.len()), config.do_sample)?;
            let candidates: Vec<Candidate> = best
                .into_iter()
                .map(|place| {
                    let token = (place % vocabulary) as i64;
                    Candidate {
                        score: scores[place],
                        beam: place / vocabulary,
                        token,
                        ends: length + 1 >= limit || config.eos_token_id.contains(&token),
                    }
                })
                .collect();
            all_end &= candidates.iter().all(|candidate| candidate.ends);
            // Those that do not end go on.
            let mut order: Vec<usize> = (0..candidates.len()).collect();
            let open = |i: usize| candidates[i].score + if candidates[i].ends { OUT } else { 0.0 };
            order.sort_by(|&a, &b| open(b).total_cmp(&open(a)));
            order.truncate(beams);
            search.finish(&candidates, beams, rules, length, |beam| {
                &writer.texts[i * beams + beam]
            });
            search.running = order.iter().map(|&i| open(i)).collect();
            rows.extend(order.iter().map(|&c| i * beams + candidates[c].beam));
            tokens.extend(order.iter().map(|&c| candidates[c].token));
        }
        writer.reorder(&rows)?;
        writer.push(&tokens);
        let length = length + 1;
        for search in &mut searches {
            search.look_ahead(
                config.early_stopping,
                config.length_penalty,
                length - prompt,
                limit - prompt,
            );
        }
        let content = config.early_stopping == EarlyStopping::Yes
            && searches
                .iter()
                .all(|search| search.finished.iter().all(|text| text.ended));
        if all_end || content || searches.iter().all(|search| !search.improvable) {
            break;
        }
    }
    let mut texts: Vec<Vec<i64>> = searches
        .into_iter()
        .flat_map(|search| search.finished.into_iter().take(config.num_return_sequences))
        .map(|text| text.tokens)
        .collect();
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    // The reference takes a padding token of number 0 for none here, and fills up by the token that ends a text.
    let fill = match (config.padding(), config.eos_token_id.first()) {
        (0, Some(&end)) => end,
        (padding, _) => padding,
    };
    texts.iter_mut().for_each(|text| text.resize(longest, fill));
    Ok(texts)
}

/// The places of the `count` best scores, or of as many drawn ones, the best first.
fn best(scores: &[f32], count: usize, sample: bool) -> Result<Vec<usize>> {
    if !sample {
        let tensor = Tensor::from_slice(scores, scores.len())?;
        let (_, places) = tensor.topk(count, 0, true, true)?;
        return Ok(places
            .to_vec::<i64>()?
            .into_iter()
            .map(|place| place as usize)
            .collect());
    }
    let tensor = Tensor::from_slice(scores, scores.len())?;
    let drawn = tensor
        .softmax(0)?
        .multinomial(count, false)?
        .to_dtype(DType::I64)?;
    let mut places: Vec<usize> = drawn
        .to_vec::<i64>()?
        .into_iter()
        .map(|place| place as usize)
        .collect();
    places.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    Ok(places)
}

impl Search {
    /// Takes up the best candidates that end, if they are better than what has ended before.
    fn finish<'t>(
        &mut self,
        candidates: &[Candidate],
        beams: usize,
        rules: &Rules<'_>,
        length: usize,
        text: impl Fn(usize) -> &'t Vec<i64>,
    ) {
        let config = rules.config;
        let full = config.early_stopping == EarlyStopping::Yes && self.finished.iter().all(|text| text.ended);
        if full || !self.improvable {
            return;
        }
        let added = (length + 1 - rules.prompt) as f32;
        let penalty = added.powf(config.length_penalty as f32);
        // Those beyond the beams are a reserve for what goes on.
        for candidate in candidates.iter().take(beams).filter(|candidate| candidate.ends) {
            let mut tokens = text(candidate.beam).clone();
            tokens.push(candidate.token);
            self.finished.push(Finished {
                score: candidate.score / penalty,
                tokens,
                ended: true,
            });
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(beams);
    }

    /// Whether the best running text may become better than the worst finished one.
    fn look_ahead(&mut self, stopping: EarlyStopping, length_penalty: f64, added: usize, most: usize) {
        let length = match stopping {
            EarlyStopping::Never if length_penalty > 0.0 => most,
            _ => added,
        };
        let possible = self.running[0] / (length as f32).powf(length_penalty as f32);
        let worst = self
            .finished
            .iter()
            .map(|text| text.score)
            .fold(f32::INFINITY, f32::min);
        let beats = self
            .finished
            .iter()
            .any(|text| possible > if text.ended { worst } else { OUT });
        self.improvable &= beats;
    }
}
