//! Layers, losses, containers and initialisers under PyTorch's names (`torch.nn`).
//!
//! A model is a struct whose fields are layers. `#[derive(Module)]` finds its parameters; what it computes is a method:
//!
//! ```
//! use flambeau_autograd::Backward;
//! use flambeau_nn::{Forward, Linear, LinearOptions, Module};
//! use flambeau_tensor::{DType, Result, Tensor};
//!
//! #[derive(Module)]
//! struct Perceptron {
//!     hidden: Linear,
//!     output: Linear,
//! }
//!
//! impl Perceptron {
//!     fn new(inputs: usize, hidden: usize, outputs: usize) -> Result<Self> {
//!         Ok(Perceptron {
//!             hidden: Linear::new(inputs, hidden, LinearOptions::default())?,
//!             output: Linear::new(hidden, outputs, LinearOptions::default())?,
//!         })
//!     }
//! }
//!
//! impl Forward for Perceptron {
//!     fn forward(&self, x: &Tensor) -> Result<Tensor> {
//!         self.output.forward(&self.hidden.forward(x)?.relu()?)
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let model = Perceptron::new(4, 16, 3)?;
//! let keys: Vec<String> = model.state_dict().into_keys().collect();
//! assert_eq!(keys, ["hidden.bias", "hidden.weight", "output.bias", "output.weight"]);
//! let y = model.forward(&Tensor::ones((2, 4), DType::F32)?)?;
//! assert_eq!(y.shape(), [2, 3]);
//! y.sum()?.backward()?;
//! assert!(model.parameters().iter().all(|parameter| parameter.grad().is_some()));
//! # Ok(())
//! # }
//! ```

// The derive macro names this crate by its name, and this crate uses the macro.
extern crate self as flambeau_nn;

mod candle;
mod chain;
mod containers;
pub mod functional;
mod hooks;
pub mod init;
mod layers;
mod lazy;
mod member;
mod module;
mod observe;
mod parameter;
mod prepare;
mod repr;
mod state;
mod summary;
pub mod utils;

pub use candle::CandleModule;
pub use chain::{Step, chain, chain_onto};
pub use containers::Sequential;
pub use flambeau_nn_derive::{Module, observed};
// A model and its training need this crate and an optimiser's alone.
pub use flambeau_autograd::{self as autograd, Backward, no_grad};
pub use flambeau_tensor::{self as tensor, DType, Error, Result, Tensor};
pub use hooks::Hooks;
pub use layers::*;
pub use lazy::Lazy;
pub use member::{Group, Member, Visitor, VisitorMut};
pub use module::{Forward, Module};
pub use observe::{Outputs, observe};
pub use parameter::{Buffer, Mode, Parameter};
pub use prepare::Prepared;
pub use state::{LoadReport, StateDict};
pub use summary::{Summary, SummaryRow, summarize, summary};

/// The page of the book whose program is a test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/candle.md")]
struct ModulesWrittenForCandle;
