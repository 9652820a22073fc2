//! Images: models under torchvision's names, with its keys of saved weights and its defaults (`torchvision`).

pub mod datasets;
pub mod interpret;
pub mod io;
pub mod metrics;
pub mod models;
pub mod ops;
pub mod pretrained;
pub mod transforms;
pub mod utils;

/// The page of the book whose program is a test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/vision.md")]
struct Images;
