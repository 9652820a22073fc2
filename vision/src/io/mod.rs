//! Pictures in files (`torchvision.io`): PNG and JPEG, and GIF and WebP behind features of these names.
//!
//! A picture is a tensor `[channels, height, width]` of `uint8`.
//!
//! ```no_run
//! use flambeau_vision::io::{DecodeOptions, ImageReadMode, read_image, write_png};
//!
//! let options = DecodeOptions {
//!     mode: ImageReadMode::Rgb,
//!     apply_exif_orientation: true,
//! };
//! let image = read_image("dog.jpg", &options)?;
//! write_png(&image, "dog.png", 6)?;
//! # Ok::<(), flambeau_tensor::Error>(())
//! ```

mod encode;

#[doc(inline)]
pub use flambeau_data::formats::image::{
    DecodeOptions, ImageReadMode, decode as decode_image, read as read_image,
};

pub use encode::{encode_jpeg, encode_png, write_jpeg, write_png};
