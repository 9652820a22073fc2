//! What models are given and what they answer.

use flambeau_nn::Module;
use flambeau_tensor::{Result, Tensor, bail, ensure};

/// What a model reads; only the ids are needed.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Numbers of tokens, `[batch, time]`.
    pub input_ids: &'a Tensor,
    /// 1 where there is a token and 0 where there is padding, `[batch, time]`; with a cache, of all tokens so far.
    pub attention_mask: Option<&'a Tensor>,
    /// The segment of each token, `[batch, time]`; the first one unless given.
    pub token_type_ids: Option<&'a Tensor>,
    /// The place of each token, `[batch, time]`; counted unless given.
    pub position_ids: Option<&'a Tensor>,
}

impl<'a> Inputs<'a> {
    /// The ids alone.
    pub fn new(input_ids: &'a Tensor) -> Inputs<'a> {
        Inputs {
            input_ids,
            attention_mask: None,
            token_type_ids: None,
            position_ids: None,
        }
    }

    /// Batch and time, if everything fits together: ids of integers, as many of everything else, and no more than
    /// `longest` tokens.
    pub(super) fn check(&self, model: &str, past: usize, longest: usize) -> Result<(usize, usize)> {
        let ids = self.input_ids;
        let &[batch, time] = ids.shape() else {
            bail!(
                Shape,
                "{model}: expected input_ids [batch, time], got {:?}",
                ids.shape()
            )
        };
        ensure!(
            ids.dtype().is_integer(),
            DType,
            "{model}: expected input_ids of integers, got {}",
            ids.dtype()
        );
        ensure!(time > 0, Shape, "{model}: expected at least one token, got none");
        ensure!(
            past + time <= longest,
            Shape,
            "{model}: {} tokens are more than the model's {longest} positions",
            past + time
        );
        let others = [
            ("attention_mask", self.attention_mask, past + time),
            ("token_type_ids", self.token_type_ids, time),
            ("position_ids", self.position_ids, time),
        ];
        for (name, tensor, time) in others {
            let Some(tensor) = tensor else { continue };
            let broadcast = name == "position_ids" && tensor.shape() == [1, time];
            ensure!(
                tensor.shape() == [batch, time] || broadcast,
                Shape,
                "{model}: expected {name} [{batch}, {time}], as the ids are, got {:?}",
                tensor.shape()
            );
        }
        Ok((batch, time))
    }
}

/// What a model knows about each token.
#[derive(Clone, Debug)]
pub struct States {
    /// `[batch, time, hidden]`.
    pub last_hidden_state: Tensor,
    /// What it makes of the first token, `[batch, hidden]`, if the model has a pooler.
    pub pooler_output: Option<Tensor>,
}

/// Where an answer begins and ends.
#[derive(Clone, Debug)]
pub struct Spans {
    /// Scores of each token as the first one, `[batch, time]`.
    pub start_logits: Tensor,
    /// Scores of each token as the last one, `[batch, time]`.
    pub end_logits: Tensor,
}

/// A model for texts, whatever it answers.
pub trait TextModel: Module {
    /// What the model answers, by Hugging Face's names (`logits`, `start_logits`, `last_hidden_state`, …).
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    fn outputs(&self, inputs: &Inputs<'_>) -> Result<Vec<(&'static str, Tensor)>>;
}
