//! The layers, a file a family.

mod activation;
mod adaptive;
mod attention;
mod batch_norm;
mod conv;
mod distance;
mod dropout;
mod embedding;
mod linear;
mod loss;
mod norm;
mod padding;
mod pool;
mod rnn;
mod shape;
mod text;
mod transformer;
mod upsample;

pub use activation::*;
pub use adaptive::*;
pub use attention::*;
pub(crate) use batch_norm::with_plain_averages;
pub use batch_norm::*;
pub use conv::*;
pub use distance::*;
pub use dropout::*;
pub use embedding::*;
pub use linear::*;
pub use loss::*;
pub use norm::*;
pub use padding::*;
pub use pool::*;
pub use rnn::*;
pub use shape::*;
pub use transformer::*;
pub use upsample::*;
