//! Torch's names for Flambeau's functions, and the runner of reference cases made by PyTorch.
//!
//! [`registry::call`] maps a name such as `"nn.functional.conv2d"` with torch's arguments to our function: an op that is
//! in the table works, one that isn't is not claimed. [`golden`] runs files of cases through it and compares values,
//! shapes, types, gradients and double gradients.

pub mod args;
pub mod golden;
pub mod modules;
pub mod registry;
mod table;

/// The page of the book whose programs use all crates.
#[cfg(doctest)]
#[doc = include_str!("../../docs/for-pytorch-users.md")]
struct ForPyTorchUsers;
