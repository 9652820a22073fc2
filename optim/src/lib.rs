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
//! An optimiser holds handles of the parameters and changes them in place. Options are structs with PyTorch's names and
//! defaults; groups with options of their own are made by [`Grouped::with_groups`]. Learning rates follow a schedule of
//! [`lr_scheduler`].

mod fused;
mod grad_scaler;
mod group;
pub mod lr_scheduler;
mod optimizer;
mod optimizers;
mod state;
mod swa_utils;

pub use grad_scaler::{GradScaler, GradScalerOptions};
pub use group::{Active, Algorithm, Group, Grouped, HyperParameters};
pub use optimizer::{Optimizer, ParamGroup};
pub use optimizers::*;
pub use state::{ParamState, StateDict};
pub use swa_utils::{AveragedModel, Averaging};
