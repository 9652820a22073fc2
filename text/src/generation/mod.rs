//! Writing texts token by token (`transformers.GenerationMixin.generate`): the most probable token, tokens drawn by their
//! probabilities, beam search.
//!
//! ```
//! use flambeau_text::generation::{GenerationConfig, generate};
//! use flambeau_text::models::{GPT2Config, GPT2LMHeadModel};
//! use flambeau_nn::Module;
//! use flambeau_tensor::{Result, Tensor};
//!
//! # fn main() -> Result<()> {
//! let config = GPT2Config { vocab_size: 100, n_embd: 32, n_layer: 2, n_head: 4, n_positions: 64, ..GPT2Config::default() };
//! let model = GPT2LMHeadModel::new(&config)?;
//! model.eval();
//! let beginning = Tensor::new([[17i64, 36, 3]])?;
//! let settings = GenerationConfig { max_new_tokens: Some(5), num_beams: 3, ..GenerationConfig::default() };
//! assert_eq!(generate(&model, &beginning, None, &settings)?.shape(), [1, 8]);
//! # Ok(())
//! # }
//! ```

mod beam;
mod cache;
mod config;
mod scores;

use flambeau_nn::Module;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

pub use cache::{Cache, KvCache};
pub use config::{EarlyStopping, GenerationConfig};
use scores::Rules;

use crate::models::Inputs;

/// A model that says the next token.
pub trait CausalLM: Module {
    /// What it keeps of the tokens that it has read.
    type Cache: Cache;

    /// Scores of the token after the given ones, `[batch, vocabulary]`; the cache knows those before and learns these.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together, the cache or the model.
    fn next_scores(&self, inputs: &Inputs<'_>, cache: &mut Self::Cache) -> Result<Tensor>;

    /// How many tokens a text may have, if there is a limit.
    fn longest(&self) -> Option<usize> {
        None
    }
}

/// Texts as they are written, all of one length, and what the model knows of them.
struct Writer<'a, M: CausalLM> {
    model: &'a M,
    cache: M::Cache,
    texts: Vec<Vec<i64>>,
    /// Which tokens are read, if some are padding.
    masks: Option<Vec<Vec<i64>>>,
    read: usize,
}

impl<M: CausalLM> Writer<'_, M> {
    /// Scores of the next token of each text, in single precision as Hugging Face has them.
    fn scores(&mut self) -> Result<Tensor> {
        let (batch, time) = (self.texts.len(), self.texts[0].len());
        let new = time - self.read;
        let flat = |rows: &[Vec<i64>], from: usize| -> Vec<i64> {
            rows.iter().flat_map(|row| row[from..].iter().copied()).collect()
        };
        let ids = Tensor::from_vec(flat(&self.texts, self.read), (batch, new))?;
        let (mut mask, mut places) = (None, None);
        if let Some(masks) = &self.masks {
            mask = Some(Tensor::from_vec(flat(masks, 0), (batch, time))?);
            // Padding has no place.
            let counted: Vec<Vec<i64>> = masks
                .iter()
                .map(|mask| {
                    let mut place = -1;
                    let places = mask.iter().map(|&seen| {
                        place += seen;
                        if seen == 0 { 0 } else { place }
                    });
                    places.collect()
                })
                .collect();
            places = Some(Tensor::from_vec(flat(&counted, self.read), (batch, new))?);
        }
        let inputs = Inputs {
            attention_mask: mask.as_ref(),
            position_ids: places.as_ref(),
            ..Inputs::new(&ids)
        };
        let scores = no_grad(|| self.model.next_scores(&inputs, &mut self.cache))?;
        self.read = time;
        ensure!(
            scores.rank() == 2 && scores.shape()[0] == batch && scores.shape()[1] > 0,
            Shape,
            "generate: expected scores [{batch}, vocabulary] of the next token, got {:?}",
            scores.shape()
        );
        scores.to_dtype(DType::F32)
    }

    /// Continues with these rows of the texts.
    fn reorder(&mut self, rows: &[usize]) -> Result<()> {
        if rows.iter().copied().eq(0..self.texts.len()) {
            return Ok(());
        }
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        self.cache.reorder(&Tensor::from_vec(index, rows.len())?)?;
        self.texts = rows.iter().map(|&row| self.texts[row].clone()).collect();
        if let Some(masks) = &mut self.masks {
            *masks = rows.iter().map(|&row| masks[row].clone()).collect();
        }
        Ok(())
    }

    /// Adds a token to each text.
    fn push(&mut self, tokens: &[i64]) {
        for (text, &token) in self.texts.iter_mut().zip(tokens) {
            text.push(token);
        }
        for mask in self.masks.iter_mut().flatten() {
            mask.push(1);
        }
    }
}

/// Continues texts.
///
/// `attention_mask` is 0 for padding, which stands before a text, and 1 for its tokens; unless given, it is found by the
/// settings' padding token.
///
/// # Shapes
/// `[batch, time] → [batch·num_return_sequences, longest]`: beginnings and what was added.
///
/// # Errors
/// `Value` for settings that exclude each other; `Shape` unless there are ids of at least one token, and for more tokens
/// than the model has places.
pub fn generate<M: CausalLM>(
    model: &M,
    input_ids: &Tensor,
    attention_mask: Option<&Tensor>,
    config: &GenerationConfig,
) -> Result<Tensor> {
    generate_with(model, input_ids, attention_mask, config, &mut |_| {})
}

/// [`generate`], which tells `on_tokens` the new token of each text as soon as it is known. Beam search knows none before
/// its end.
///
/// # Errors
/// As [`generate`].
pub fn generate_with<M: CausalLM>(
    model: &M,
    input_ids: &Tensor,
    attention_mask: Option<&Tensor>,
    config: &GenerationConfig,
    on_tokens: &mut dyn FnMut(&[i64]),
) -> Result<Tensor> {
    config.check()?;
    let &[batch, prompt] = input_ids.shape() else {
        bail!(
            Shape,
            "generate: expected input_ids [batch, time], got {:?}",
            input_ids.shape()
        )
    };
    ensure!(
        batch > 0 && prompt > 0,
        Shape,
        "generate: expected at least one token, got {:?}",
        input_ids.shape()
    );
    ensure!(
        input_ids.dtype().is_integer(),
        DType,
        "generate: expected input_ids of integers, got {}",
        input_ids.dtype()
    );
    let limit = config.limit(prompt);
    ensure!(
        limit > prompt,
        Value,
        "generate: the text may have {limit} tokens, but its beginning has {prompt}"
    );
    if let Some(longest) = model.longest() {
        ensure!(
            // The last token is not read.
            limit <= longest + 1,
            Shape,
            "generate: {limit} tokens are more than the model's {longest} positions"
        );
    }
    let copies = match config.num_beams {
        1 => config.num_return_sequences,
        beams => beams,
    };
    let texts = repeated(input_ids, copies)?;
    let masks = match attention_mask {
        Some(mask) => {
            ensure!(
                mask.shape() == [batch, prompt],
                Shape,
                "generate: expected an attention_mask [{batch}, {prompt}], as the ids are, got {:?}",
                mask.shape()
            );
            Some(repeated(&mask.ne(0)?, copies)?)
        }
        None => config.pad_token_id.map(|pad| {
            let seen = |text: &Vec<i64>| text.iter().map(|&id| i64::from(id != pad)).collect();
            texts.iter().map(seen).collect()
        }),
    };
    let hidden = |masks: &Vec<Vec<i64>>| masks.iter().flatten().any(|&seen| seen == 0);
    let writer = Writer {
        model,
        cache: M::Cache::default(),
        texts,
        masks: masks.filter(hidden),
        read: 0,
    };
    let rules = Rules { config, prompt };
    let texts = match config.num_beams {
        1 => one_by_one(writer, &rules, limit, on_tokens)?,
        _ => beam::search(writer, &rules, limit)?,
    };
    let shape = (texts.len(), texts[0].len());
    Tensor::from_vec(texts.into_iter().flatten().collect(), shape)
}

/// The rows of `[batch, time]`, each several times.
fn repeated(ids: &Tensor, copies: usize) -> Result<Vec<Vec<i64>>> {
    let rows = ids.to_dtype(DType::I64)?.to_vec2::<i64>()?;
    Ok(rows
        .into_iter()
        .flat_map(|row| std::iter::repeat_n(row, copies))
        .collect())
}

/// Takes or draws one token after the other.
fn one_by_one<M: CausalLM>(
    mut writer: Writer<'_, M>,
    rules: &Rules<'_>,
    limit: usize,
    on_tokens: &mut dyn FnMut(&[i64]),
) -> Result<Vec<Vec<i64>>> {
    let config = rules.config;
    let mut ended = vec![false; writer.texts.len()];
    while writer.texts[0].len() < limit && ended.contains(&false) {
        let scores = writer.scores()?;
        let vocabulary = scores.shape()[1];
        let mut scores = scores.to_vec::<f32>()?;
        for (row, text) in scores.chunks_mut(vocabulary).zip(&writer.texts) {
            rules.apply(text, row);
            if config.do_sample {
                rules.warp(row, 1);
            }
        }
        let scores = Tensor::from_vec(scores, (ended.len(), vocabulary))?;
        let chosen = match config.do_sample {
            true => scores.softmax(-1)?.multinomial(1, false)?.squeeze_dim(1)?,
            false => scores.argmax(Some(1), false)?,
        };
        let mut tokens = chosen.to_vec::<i64>()?;
        for (token, ended) in tokens.iter_mut().zip(&mut ended) {
            if *ended {
                *token = config.padding();
            }
            *ended |= config.eos_token_id.contains(token);
        }
        on_tokens(&tokens);
        writer.push(&tokens);
    }
    Ok(writer.texts)
}
