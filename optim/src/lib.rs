//! Optimisers, learning rate schedules, averaged weights and loss scaling: PyTorch's `torch.optim`.
//!
//! # Example: fitting a line
//!
//! ```
//! use flambeau_autograd::Backward;
//! use flambeau_optim::{Adam, AdamOptions, Optimizer};
//! use flambeau_tensor::{Result, Tensor};
//!
//! fn main() -> Result<()> {
//!     let (x, y) = (Tensor::new([0.0f32, 1.0, 2.0])?, Tensor::new([1.0f32, 3.0, 5.0])?);
//!     let slope = Tensor::new([0.0f32])?.requires_grad(true)?;
//!     let offset = Tensor::new([0.0f32])?.requires_grad(true)?;
//!     let params = [slope.clone(), offset.clone()];
//!     let mut optimizer = Adam::new(params, AdamOptions { lr: 0.1, ..Default::default() })?;
//!     for _ in 0..300 {
//!         optimizer.zero_grad();
//!         let error = x.mul(&slope)?.add(&offset)?.sub(&y)?;
//!         error.square()?.mean()?.backward()?;
//!         optimizer.step()?;
//!     }
//!     assert!((slope.item::<f32>()? - 2.0).abs() < 0.01);
//!     assert!((offset.item::<f32>()? - 1.0).abs() < 0.01);
//!     Ok(())
//! }
//! ```
//!
//! # Example: the gradient of a large batch, from small ones
//!
//! Gradients add up until `zero_grad`, so a step may follow several calls of `backward`:
//!
//! ```
//! use flambeau_autograd::Backward;
//! use flambeau_optim::{Optimizer, SGD, SGDOptions};
//! use flambeau_tensor::{Result, Tensor};
//!
//! fn main() -> Result<()> {
//!     let data = Tensor::new([1.0f32, 2.0, 3.0, 6.0])?;
//!     let weight = Tensor::new([0.0f32])?.requires_grad(true)?;
//!     let mut optimizer = SGD::new([weight.clone()], SGDOptions { lr: 0.5, ..Default::default() })?;
//!     let parts = data.split(2, 0)?;
//!     optimizer.zero_grad();
//!     for part in &parts {
//!         let loss = weight.sub(part)?.square()?.mean()?;
//!         loss.div(parts.len() as f64)?.backward()?; // the mean over the parts
//!     }
//!     optimizer.step()?;
//!     assert_eq!(weight.to_vec::<f32>()?, [3.0]); // the mean of all data
//!     Ok(())
//! }
//! ```
//!
//! An optimiser holds handles of the parameters and changes them in place. Options are structs with PyTorch's names and
//! defaults; groups with options of their own are made by [`Grouped::with_groups`], functions around each step by [`Hooked`]. Learning rates follow a schedule of
//! [`lr_scheduler`].

mod fused;
mod grad_scaler;
mod group;
mod hooked;
pub mod lr_scheduler;
mod optimizer;
mod optimizers;
mod state;
mod swa_utils;

pub use grad_scaler::{GradScaler, GradScalerOptions};
pub use group::{Active, Algorithm, Group, Grouped, HyperParameters};
pub use hooked::Hooked;
pub use optimizer::{Optimizer, ParamGroup};
pub use optimizers::*;
pub use state::{ParamState, StateDict};
pub use swa_utils::{AveragedModel, Averaging};
