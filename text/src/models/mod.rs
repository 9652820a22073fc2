//! Language models (`transformers`), a file a family.
//!
//! A model is a class of Hugging Face's: the encoder (`BertModel`) or the encoder with a head
//! (`BertForSequenceClassification`). It is made from the family's configuration, whose names and defaults are those of
//! `config.json`, has the keys of published checkpoints, and takes [`Inputs`]. [`Pretrained::from_pretrained`] makes it from
//! a folder of files, [`create`] by the name of its class.
//!
//! ```
//! use flambeau_text::models::{self, Inputs, TextModel};
//! use flambeau_tensor::{Result, Tensor};
//!
//! # fn main() -> Result<()> {
//! let config = serde_json::json!({
//!     "vocab_size": 100, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64,
//! });
//! let model = models::create("GPT2LMHeadModel", &config)?;
//! let ids = Tensor::new([[17i64, 36, 3]])?;
//! let [("logits", scores)] = &model.outputs(&Inputs::new(&ids))?[..] else { unreachable!() };
//! assert_eq!(scores.shape(), [1, 3, 100]);
//! # Ok(())
//! # }
//! ```

mod blocks;
mod embeddings;
mod encoder;
#[macro_use]
mod heads;
mod inputs;
mod pretrained;

mod albert;
mod bert;
mod deberta_v2;
mod distilbert;
mod electra;
mod gpt2;
mod llama;
mod roberta;
mod xlnet;

pub use blocks::Activation;
pub use inputs::{Inputs, Spans, States, TextModel};
pub use pretrained::{Entry, Pretrained, create, list, parse, read_config};

pub use albert::*;
pub use bert::*;
pub use deberta_v2::*;
pub use distilbert::*;
pub use electra::*;
pub use gpt2::*;
pub use llama::*;
pub use roberta::*;
pub use xlnet::*;
