//! Pictures in files (`torchvision.io`): PNG and JPEG, and GIF and WebP behind features of these names.
//!
//! A picture is a tensor `[channels, height, width]` of `uint8`.
//!
//! ```no_run
//! use flambeau_vision::io::{ImageReadMode, DecodeOptions, read_image, write_png};
//!
//! let options = DecodeOptions {
//!     mode: ImageReadMode::Rgb,
//!     apply_exif_orientation: true,
//! };
//! let image = read_image("dog.jpg", &options)?;
//! write_png(&image, "dog.png", 6)?;
//! # Ok::<(), flambeau_tensor::Error>(())
//! ```

mod decode;
mod encode;

pub use decode::{DecodeOptions, ImageReadMode, decode_image, read_image};
pub use encode::{encode_jpeg, encode_png, write_jpeg, write_png};
