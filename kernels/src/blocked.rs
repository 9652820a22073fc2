//! Inference in a blocked layout: channels in blocks of 16, which lie side by side at every position.
//!
//! An image batch is `[batch, channels / 16, height, width, 16]` ("NCHWc"), the last block filled up with zeros. Every
//! position then holds whole vectors of channels, whatever the width of the image, so that convolutions over small images
//! lose no lanes, need no masks, and write what the next one reads. Weights are packed once, for the instruction set in
//! force: [`Conv`]. Of f32 alone: this is what a prepared model runs on.

mod conv;
mod depthwise;
mod few;
mod gather;
pub(crate) mod kernel;
mod layout;
mod pool;
#[cfg(test)]
mod tests;
mod winograd;

pub use conv::Conv;
pub use layout::{from_blocked, to_blocked};
pub use pool::{average, pool};

/// Channels of a block.
pub const BLOCK: usize = 16;

/// Elements of an image batch in this layout.
pub fn blocked_len(batch: usize, channels: usize, plane: usize) -> usize {
    batch * channels.div_ceil(BLOCK) * plane * BLOCK
}
