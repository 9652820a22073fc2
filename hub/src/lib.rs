//! Pretrained weights: checkpoints from files and to files.
//!
//! [`load`] reads a file by what it holds, whatever its name: `.safetensors` (sharded ones too), PyTorch's `.pt`,
//! `.pth` and `.bin` in both of its formats, GGUF, `.npy` and `.npz`. A [`Checkpoint`] is a tree of [`Value`]s, as
//! checkpoints nest; [`Checkpoint::state_dict`] gives its tensors under the dotted names that
//! `Module::load_state_dict` takes.
//!
//! # Example: weights from a file
//!
//! ```no_run
//! # fn main() -> flambeau_tensor::Result<()> {
//! let checkpoint = flambeau_hub::load("resnet18.pth")?;
//! for (name, tensor) in &checkpoint.state_dict()? {
//!     println!("{name}: {:?} of {}", tensor.shape(), tensor.dtype());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every file is taken for hostile: nothing in it is executed, sizes are checked before memory is asked for, and an
//! error names the file and the key.

mod checkpoint;
#[cfg(feature = "download")]
mod download;
pub mod gguf;
pub mod pickle;
pub mod pt;
mod sharded;
mod value;

pub use checkpoint::{Checkpoint, Format, load, load_mapped, save};
#[cfg(feature = "download")]
pub use download::{Checksum, Hub, HubBuilder, Repo, Snapshot};
pub use sharded::save_sharded;
pub use value::{Dict, Key, StateDict, Value};

/// The page of the book whose programs are tests.
#[cfg(all(doctest, feature = "download"))]
mod book {
    #[doc = include_str!("../../docs/hub.md")]
    struct Hub;
}
