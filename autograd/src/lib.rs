//! Gradients of recorded tensor operations, as PyTorch computes them.
//!
//! # Example: the gradient of a polynomial
//!
//! ```
//! use flambeau_autograd::Backward;
//! use flambeau_tensor::{Result, Tensor};
//!
//! fn main() -> Result<()> {
//!     let x = Tensor::new(2.0f32)?.requires_grad(true)?;
//!     let y = &x * &x + 3.0 * &x + 1.0;
//!     y.backward()?;
//!     assert_eq!(x.grad().map(|g| g.item::<f32>()).transpose()?, Some(7.0));
//!     Ok(())
//! }
//! ```
//!
//! The gradient of each operation is an ordinary program of tensor operations (`rules`, one file per operation), so
//! gradients can be differentiated again: pass `create_graph`.

mod anomaly;
mod backward;
mod checkpoint;
mod engine;
pub mod functional;
mod gradcheck;
mod rules;

pub use anomaly::detect_anomaly;
pub use backward::{Backward, GradOptions, HookHandle, grad};
pub use checkpoint::checkpoint;
pub use flambeau_tensor::ops::custom::{Function, apply};
pub use flambeau_tensor::{amp, enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled};
pub use gradcheck::{CheckOptions, gradcheck, gradgradcheck};

/// The page of the book whose programs are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/introduction.md")]
struct Introduction;
