//! Models that find things on pictures.

mod mtcnn;

pub use mtcnn::{Face, Mtcnn, MtcnnOptions, ONet, PNet, RNet};
