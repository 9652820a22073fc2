//! Texts: language models under Hugging Face's names (`transformers`), and what they need around them (`torchtext`).
//!
//! [`models`] has a file for each family (BERT, GPT-2, …); a model is made from a `config.json` and has the keys of its
//! checkpoints. [`generation`] lets a model that says the next token write a text. [`tokenize`] makes texts numbers,
//! [`classifiers`] and [`language`] are small networks to be trained from scratch, [`datasets`] reads files of texts, [`metrics`] says how good
//! answers are.
//!
//! # Example: a small BERT
//!
//! ```
//! use flambeau_text::models::{BertConfig, BertModel, Inputs};
//! use flambeau_tensor::{Result, Tensor};
//!
//! fn main() -> Result<()> {
//!     let config = BertConfig {
//!         vocab_size: 100,
//!         hidden_size: 32,
//!         num_hidden_layers: 2,
//!         num_attention_heads: 4,
//!         intermediate_size: 64,
//!         ..BertConfig::default()
//!     };
//!     let model = BertModel::new(&config)?;
//!     let ids = Tensor::new([[2i64, 17, 36, 3], [2, 5, 3, 0]])?;
//!     let mask = Tensor::new([[1i64, 1, 1, 1], [1, 1, 1, 0]])?;
//!     let states = model.forward(&Inputs { attention_mask: Some(&mask), ..Inputs::new(&ids) })?;
//!     assert_eq!(states.last_hidden_state.shape(), [2, 4, 32]);
//!     Ok(())
//! }
//! ```

pub mod classifiers;
pub mod datasets;
pub mod embeddings;
mod files;
pub mod g2p;
pub mod generation;
pub mod language;
pub mod metrics;
pub mod models;
pub mod tokenize;

/// The program of the book's page.
#[cfg(doctest)]
#[doc = include_str!("../../docs/text.md")]
struct Book;
