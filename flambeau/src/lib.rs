//! PyTorch's world in Rust: all of Flambeau's crates under one name, domains behind features.
//!
//! | Module | PyTorch's name | Feature |
//! |---|---|---|
//! | [`tensor`] | `torch` | |
//! | [`autograd`] | `torch.autograd` | |
//! | [`nn`] | `torch.nn` | |
//! | [`optim`] | `torch.optim` | |
//! | [`data`] | `torch.utils.data` | |
//! | [`profiler`] | `torch.profiler` | |
//! | [`hub`] | `torch.load`, `huggingface_hub` | `download` for the network |
//! | `audio` | `torchaudio` | `audio` |
//! | `graph` | `torch_geometric` | `graph` |
//! | `rl` | `gymnasium`, `stable_baselines3` | `rl` |
//! | `text` | `transformers`, `torchtext` | `text` |
//! | `trainer` | a part of `lightning` | `trainer` |
//! | `vision` | `torchvision` | `vision` |
//!
//! Each module is a crate (`flambeau-nn` is [`nn`]) that can be used without this one.
//!
//! # Example: a network learns exclusive or
//!
//! ```
//! use flambeau::nn::{BCEWithLogitsLoss, Linear, LinearOptions};
//! use flambeau::optim::{Adam, AdamOptions};
//! use flambeau::prelude::*;
//!
//! #[derive(Module)]
//! struct Net {
//!     hidden: Linear,
//!     output: Linear,
//! }
//!
//! impl Forward for Net {
//!     fn forward(&self, x: &Tensor) -> Result<Tensor> {
//!         self.output.forward(&self.hidden.forward(x)?.tanh()?)
//!     }
//! }
//!
//! fn main() -> Result<()> {
//!     manual_seed(0);
//!     let x = Tensor::new([[0.0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])?;
//!     let y = Tensor::new([[0.0f32], [1.0], [1.0], [0.0]])?;
//!     let net = Net {
//!         hidden: Linear::new(2, 8, LinearOptions::default())?,
//!         output: Linear::new(8, 1, LinearOptions::default())?,
//!     };
//!     let options = AdamOptions { lr: 0.05, ..Default::default() };
//!     let mut optimizer = Adam::new(net.parameters(), options)?;
//!     for _ in 0..200 {
//!         optimizer.zero_grad();
//!         let loss = BCEWithLogitsLoss::default().forward(&net.forward(&x)?, &y)?;
//!         loss.backward()?;
//!         optimizer.step()?;
//!     }
//!     let answers = no_grad(|| net.forward(&x))?.gt(0)?;
//!     assert_eq!(answers.to_vec::<bool>()?, [false, true, true, false]);
//!     Ok(())
//! }
//! ```

#[cfg(feature = "audio")]
pub use flambeau_audio as audio;
pub use flambeau_autograd as autograd;
pub use flambeau_data as data;
#[cfg(feature = "graph")]
pub use flambeau_graph as graph;
pub use flambeau_hub as hub;
pub use flambeau_nn as nn;
pub use flambeau_optim as optim;
#[cfg(feature = "rl")]
pub use flambeau_rl as rl;
pub use flambeau_tensor as tensor;
pub use flambeau_tensor::profiler;
#[cfg(feature = "text")]
pub use flambeau_text as text;
#[cfg(feature = "trainer")]
pub use flambeau_trainer as trainer;
#[cfg(feature = "vision")]
pub use flambeau_vision as vision;

/// What nearly every program uses: `use flambeau::prelude::*`.
pub mod prelude {
    pub use crate::autograd::{Backward, no_grad};
    pub use crate::data::{DataLoader, Dataset};
    pub use crate::nn::{Forward, Module, observed};
    pub use crate::optim::Optimizer;
    pub use crate::optim::lr_scheduler::LRScheduler;
    pub use crate::tensor::random::manual_seed;
    pub use crate::tensor::{DType, Error, Result, Tensor};
}

/// The programs of the README are tests.
#[cfg(all(doctest, feature = "vision"))]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So is that about inference.
#[cfg(doctest)]
#[doc = include_str!("../../docs/inference.md")]
struct Inference;

/// So are those about profiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/profiling.md")]
struct Profiling;
