//! Why a model answers as it does: which places of a picture an answer rests on.

mod grad_cam;

pub use grad_cam::{GradCamOptions, grad_cam};
