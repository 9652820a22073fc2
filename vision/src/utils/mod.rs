//! Pictures to look at (`torchvision.utils`): grids, boxes, masks, points and heat drawn on pictures.

mod boxes;
mod canvas;
mod color;
mod flow;
mod grid;
mod heat_map;
mod key_points;
mod masks;
mod names;

pub use boxes::{DrawBoxesOptions, draw_bounding_boxes};
pub use color::{Color, palette};
pub use flow::flow_to_image;
pub use grid::{GridOptions, make_grid, save_image};
pub use heat_map::draw_heat_map;
pub use key_points::{DrawKeyPointsOptions, draw_keypoints};
pub use masks::{DrawMasksOptions, draw_segmentation_masks};
