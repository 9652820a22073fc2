//! Texts that are written: what a cache changes, what batches and settings do, what is refused; and that they are Hugging
//! Face's, drawn ones included.

#![allow(clippy::unwrap_used)]

use flambeau_nn::Module;
use flambeau_tensor::{Tensor, random};
use flambeau_text::generation::{CausalLM, GenerationConfig, generate, generate_with};
use flambeau_text::language::moby_dick;
use flambeau_text::models::{GPT2Config, GPT2LMHeadModel, Inputs, LlamaConfig, LlamaForCausalLM};
use serde_json::{Value as Json, json};

fn gpt2() -> GPT2LMHeadModel {
    let config = GPT2Config {
        vocab_size: 40,
        n_positions: 24,
        n_embd: 16,
        n_layer: 2,
        n_head: 4,
        initializer_range: 0.5,
        ..GPT2Config::default()
    };
    let model = random::fork(0, || GPT2LMHeadModel::new(&config)).unwrap();
    model.eval();
    model
}

fn settings() -> GenerationConfig {
    GenerationConfig {
        max_new_tokens: Some(8),
        ..GenerationConfig::default()
    }
}

/// Greedy search without a cache: each text is read anew for each token.
fn plainly(scores: impl Fn(&Tensor) -> Tensor, mut text: Vec<i64>, count: usize) -> Vec<i64> {
    for _ in 0..count {
        let ids = Tensor::from_slice(&text, (1, text.len())).unwrap();
        let last = scores(&ids).select(1, -1).unwrap();
        text.push(last.argmax(None, false).unwrap().item::<i64>().unwrap());
    }
    text
}

#[test]
fn a_cache_changes_nothing() {
    let model = gpt2();
    let ids = Tensor::new([[7i64, 3, 21]]).unwrap();
    let text = generate(&model, &ids, None, &settings()).unwrap();
    let expected = plainly(|ids| model.forward(&Inputs::new(ids)).unwrap(), vec![7, 3, 21], 8);
    assert_eq!(text.to_vec::<i64>().unwrap(), expected);

    let config = LlamaConfig {
        vocab_size: 40,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        initializer_range: 0.5,
        ..LlamaConfig::default()
    };
    let model = random::fork(0, || LlamaForCausalLM::new(&config)).unwrap();
    model.eval();
    let text = generate(&model, &ids, None, &settings()).unwrap();
    let expected = plainly(|ids| model.forward(&Inputs::new(ids)).unwrap(), vec![7, 3, 21], 8);
    assert_eq!(text.to_vec::<i64>().unwrap(), expected);
}

#[test]
fn padding_before_a_text_changes_nothing() {
    let model = gpt2();
    for beams in [1, 3] {
        let settings = GenerationConfig {
            pad_token_id: Some(0),
            num_beams: beams,
            ..settings()
        };
        let alone = generate(&model, &Tensor::new([[3i64, 21]]).unwrap(), None, &settings).unwrap();
        let ids = Tensor::new([[7i64, 9, 3, 21], [0, 0, 3, 21]]).unwrap();
        let both = generate(&model, &ids, None, &settings).unwrap();
        let rows = both.to_vec2::<i64>().unwrap();
        assert_eq!(rows[1][2..], alone.to_vec::<i64>().unwrap());
    }
}

#[test]
fn texts_end_at_their_end_and_are_filled_up() {
    let model = gpt2();
    let ids = Tensor::new([[7i64, 3, 21], [1, 2, 3]]).unwrap();
    let free = generate(&model, &ids, None, &settings())
        .unwrap()
        .to_vec2::<i64>()
        .unwrap();
    // The first text's second token ends it.
    let end = free[0][4];
    let settings = GenerationConfig {
        eos_token_id: vec![end],
        pad_token_id: Some(39),
        ..settings()
    };
    let mut told = Vec::new();
    let text = generate_with(&model, &ids, None, &settings, &mut |tokens| {
        told.push(tokens.to_vec())
    })
    .unwrap();
    let rows = text.to_vec2::<i64>().unwrap();
    let first = rows[0].iter().skip(3).position(|&id| id == end).unwrap() + 4;
    assert_eq!(rows[0][..first], free[0][..first]);
    assert!(rows[0][first..].iter().all(|&id| id == 39));
    assert_eq!(told.len(), rows[0].len() - 3);
    assert_eq!(told[0], [rows[0][3], rows[1][3]]);
}

#[test]
fn drawn_texts_repeat_with_the_seed() {
    let model = gpt2();
    let ids = Tensor::new([[7i64, 3, 21]]).unwrap();
    let settings = GenerationConfig {
        do_sample: true,
        top_k: 10,
        top_p: 0.9,
        temperature: 0.8,
        num_return_sequences: 3,
        ..settings()
    };
    let draw = |seed| {
        let text = random::fork(seed, || generate(&model, &ids, None, &settings)).unwrap();
        assert_eq!(text.shape(), [3, 11]);
        text.to_vec2::<i64>().unwrap()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    // From the best token alone, all drawn texts are the greedy one.
    let best = GenerationConfig { top_k: 1, ..settings };
    let drawn = generate(&model, &ids, None, &best)
        .unwrap()
        .to_vec2::<i64>()
        .unwrap();
    let greedy = generate(&model, &ids, None, &self::settings())
        .unwrap()
        .to_vec::<i64>()
        .unwrap();
    assert!(drawn.iter().all(|row| *row == greedy));
}

/// Chi squared of what is drawn for the next token, against softmax of the best scores over a temperature.
fn chi_squared(drawn: &[i64], scores: &[f32], best: usize, temperature: f64) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let power = |i: usize| (f64::from(scores[i]) / temperature).exp();
    let sum: f64 = order[..best].iter().map(|&i| power(i)).sum();
    assert!(drawn.iter().all(|&id| order[..best].contains(&(id as usize))));
    let terms = order[..best].iter().map(|&i| {
        let expected = drawn.len() as f64 * power(i) / sum;
        let came = drawn.iter().filter(|&&id| id as usize == i).count() as f64;
        (came - expected).powi(2) / expected
    });
    terms.sum()
}

#[test]
fn tokens_are_drawn_by_their_probabilities() {
    let model = gpt2();
    let ids = Tensor::new([[7i64, 3, 21]]).unwrap();
    let settings = GenerationConfig {
        max_new_tokens: Some(1),
        do_sample: true,
        top_k: 10,
        temperature: 0.7,
        num_return_sequences: 4000,
        ..GenerationConfig::default()
    };
    let texts = random::fork(0, || generate(&model, &ids, None, &settings)).unwrap();
    let drawn = texts.select(1, -1).unwrap().to_vec::<i64>().unwrap();
    let scores = model
        .next_scores(&Inputs::new(&ids), &mut Default::default())
        .unwrap();
    let scores = scores.to_vec::<f32>().unwrap();
    // Of ten classes, it is above 27.9 once in a thousand times; of others it grows with what is drawn.
    assert!(chi_squared(&drawn, &scores, 10, 0.7) < 27.9);
    assert!(chi_squared(&drawn, &scores, 10, 1.0) > 100.0);
}

/// What transformers writes with the bundled GPT-2, by the script `tests/golden/generation.py`: drawn texts are equal as
/// PyTorch's random numbers are.
#[test]
fn texts_are_those_of_hugging_face() {
    let (model, _) = moby_dick().unwrap();
    let cases: Vec<Json> = serde_json::from_str(include_str!("golden/texts.json")).unwrap();
    let tensor = |rows: &Json| {
        let rows: Vec<Vec<i64>> = serde_json::from_value(rows.clone()).unwrap();
        let shape = (rows.len(), rows[0].len());
        Tensor::from_vec(rows.concat(), shape).unwrap()
    };
    let mut drawn = 0;
    for case in &cases {
        let settings: GenerationConfig = serde_json::from_value(case["settings"].clone()).unwrap();
        let (ids, mask) = (tensor(&case["input_ids"]), tensor(&case["attention_mask"]));
        let seed = case["seed"].as_u64().unwrap();
        let texts = random::fork(seed, || generate(&model, &ids, Some(&mask), &settings)).unwrap();
        let texts = texts.to_vec2::<i64>().unwrap();
        assert_eq!(
            json!(texts),
            case["output"],
            "{} of seed {seed}",
            case["settings"]
        );
        drawn += usize::from(settings.do_sample);
    }
    assert_eq!((cases.len(), drawn), (15, 12));
}

#[test]
fn wide_beams_find_the_most_probable_text() {
    let model = gpt2();
    let ids = Tensor::new([[7i64, 3]]).unwrap();
    let settings = GenerationConfig {
        max_new_tokens: Some(2),
        num_beams: 40,
        num_return_sequences: 2,
        ..GenerationConfig::default()
    };
    let found = generate(&model, &ids, None, &settings)
        .unwrap()
        .to_vec2::<i64>()
        .unwrap();
    // All pairs of tokens, scored one by one.
    let log = |ids: &Tensor| {
        let scores = model
            .next_scores(&Inputs::new(ids), &mut Default::default())
            .unwrap();
        scores.log_softmax(-1).unwrap().to_vec2::<f32>().unwrap()
    };
    let first = log(&ids)[0].clone();
    let texts: Vec<i64> = (0..40).flat_map(|token| [7, 3, token]).collect();
    let second = log(&Tensor::from_vec(texts, (40, 3)).unwrap());
    let mut pairs: Vec<(f32, i64, i64)> = (0..1600)
        .map(|i| {
            (
                first[i / 40] + second[i / 40][i % 40],
                (i / 40) as i64,
                (i % 40) as i64,
            )
        })
        .collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (text, (_, a, b)) in found.iter().zip(&pairs) {
        assert_eq!(text[2..], [*a, *b]);
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let model = gpt2();
    let ids = Tensor::new([[7i64, 3, 21]]).unwrap();
    let refused = |ids: &Tensor, settings: &GenerationConfig| {
        generate(&model, ids, None, settings).unwrap_err().to_string()
    };
    let long = GenerationConfig {
        max_new_tokens: Some(23),
        ..GenerationConfig::default()
    };
    assert_eq!(
        refused(&ids, &long),
        "generate: 26 tokens are more than the model's 24 positions"
    );
    let short = GenerationConfig {
        max_length: Some(3),
        ..GenerationConfig::default()
    };
    assert!(refused(&ids, &short).contains("may have 3 tokens, but its beginning has 3"));
    let several = GenerationConfig {
        num_return_sequences: 2,
        ..GenerationConfig::default()
    };
    assert!(refused(&ids, &several).contains("2 texts of 1 beams; more need do_sample"));
    let cold = GenerationConfig {
        temperature: 0.0,
        ..GenerationConfig::default()
    };
    assert!(refused(&ids, &cold).contains("positive temperature"));
    let share = GenerationConfig {
        top_p: 1.5,
        ..GenerationConfig::default()
    };
    assert!(refused(&ids, &share).contains("expected top_p from 0 to 1, got 1.5"));
    let empty = Tensor::from_vec(Vec::<i64>::new(), (1, 0)).unwrap();
    assert!(refused(&empty, &settings()).contains("at least one token"));
    let flat = Tensor::new([1i64]).unwrap();
    assert!(refused(&flat, &settings()).contains("expected input_ids [batch, time], got [1]"));
}
