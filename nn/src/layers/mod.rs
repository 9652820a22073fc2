//! The layers, a file a family.

mod activation;
mod conv;
mod linear;
mod text;

pub use activation::*;
pub use conv::*;
pub use linear::*;
