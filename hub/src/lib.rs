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
mod value;

pub use checkpoint::{Checkpoint, Format, load};
pub use value::{Dict, Key, StateDict, Value};
