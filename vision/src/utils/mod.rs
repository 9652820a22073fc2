//! Pictures to look at (`torchvision.utils`): grids, boxes, masks and points drawn on pictures.

mod boxes;
mod canvas;
mod color;
mod flow;
mod grid;
mod key_points;
mod masks;
mod names;

pub use boxes::{DrawBoxesOptions, draw_bounding_boxes};
pub use color::{Color, palette};
pub use flow::flow_to_image;
pub use grid::{GridOptions, make_grid, save_image};
pub use key_points::{DrawKeyPointsOptions, draw_keypoints};
pub use masks::{DrawMasksOptions, draw_segmentation_masks};
