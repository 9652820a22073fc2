//! One [`Tensor`] with PyTorch's semantics.
//!
//! A tensor is a cheap handle: shape, dtype, strides into a shared [copy-on-write](crate::Tensor#memory) buffer, and,
//! when it is tracked, the recorded operation that made it. This crate computes values and records history; the crate
//! `flambeau-autograd` turns the history into gradients.
//!
//! # Example: arithmetic
//!
//! ```
//! use flambeau_tensor::{Result, Tensor};
//!
//! fn main() -> Result<()> {
//!     let a = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]])?;
//!     let b = &a * 2.0 + 1.0;
//!     assert_eq!(b.to_vec::<f32>()?, [3.0, 5.0, 7.0, 9.0]);
//!     assert_eq!(a.matmul(&b)?.shape(), [2, 2]);
//!     Ok(())
//! }
//! ```
//!
//! Methods return [`Result`]; the operators `+ - * /` are sugar for short programs and panic with the same message at
//! the caller's line.

pub mod amp;
mod buffer;
pub mod candle;
mod dtype;
mod error;
mod grad_mode;
pub mod graph;
pub mod io;
#[cfg(feature = "ndarray")]
mod ndarray;
mod operators;
pub mod ops;
pub mod optimizer;
mod print;
pub mod profiler;
pub mod random;
mod scalar;
mod shape;
mod tensor;
pub mod trace;
mod value;

pub use candle::debug;
pub use dtype::{DType, Element, promote, result_type};
pub use error::{Error, Result};
pub use flambeau_kernels::{isa, jpeg, mem, pool};
pub use grad_mode::{enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled};
pub use operators::Operand;
pub use ops::getitem::{Index, IntoIndex, IntoIndices, NewAxis, step};
pub use ops::index::Reduction;
pub use print::{PrintOptions, TensorDisplay};
pub use scalar::Scalar;
pub use shape::{Dims, IntoShape, IntoSizes, Shape, Size, broadcast_shapes};
pub use tensor::Tensor;
