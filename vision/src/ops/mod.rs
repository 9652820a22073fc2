//! Operations of detection, and building blocks of models that torchvision counts as operations (`torchvision.ops`).

mod box_iou;
mod box_loss;
mod boxes;
mod deform_conv;
mod drop_block;
mod feature_pyramid;
mod focal_loss;
mod misc;
mod multi_scale;
mod nms;
mod norm;
mod roi_align;
mod roi_pool;
mod stochastic_depth;
mod taps;

pub use box_iou::{box_iou, complete_box_iou, distance_box_iou, generalized_box_iou};
pub use box_loss::{complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss};
pub use boxes::{
    BoundingBoxFormat, box_area, box_convert, clip_boxes_to_image, masks_to_boxes, remove_small_boxes,
};
pub use deform_conv::{DeformConvOptions, deform_conv2d};
pub use drop_block::{DropBlock2d, DropBlock3d, drop_block2d, drop_block3d};
pub use feature_pyramid::{ExtraFPNBlock, FeaturePyramidNetwork, LastLevelP6P7};
pub use focal_loss::{FocalLossOptions, sigmoid_focal_loss};
pub use misc::{Activation, Conv2dNormActivation, ConvNormOptions, MLP, Permute, SqueezeExcitation};
pub use multi_scale::MultiScaleRoIAlign;
pub use nms::{batched_nms, nms};
pub use norm::{FrozenBatchNorm2d, LayerNorm2d, Norm2d, NormLayer};
pub use roi_align::{RoiAlignOptions, ps_roi_align, roi_align};
pub use roi_pool::{ps_roi_pool, roi_pool};
pub use stochastic_depth::{StochasticDepth, StochasticDepthMode, stochastic_depth};
pub use taps::rois_of;
