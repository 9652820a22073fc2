//! The layers, a file a family.

mod activation;
mod conv;
mod dropout;
mod embedding;
mod linear;
mod loss;
mod norm;
mod pool;
mod shape;
mod text;

pub use activation::*;
pub use conv::*;
pub use dropout::*;
pub use embedding::*;
pub use linear::*;
pub use loss::*;
pub use norm::*;
pub use pool::*;
pub use shape::*;
