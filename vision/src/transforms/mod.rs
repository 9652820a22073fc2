//! Preparation and augmentation of pictures and of what is marked on them (`torchvision.transforms.v2`).

pub mod functional;
mod sample;

pub use sample::{BoundingBoxFormat, BoundingBoxes, Geometry, KeyPoints, Sample};
