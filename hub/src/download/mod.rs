//! Downloads from Hugging Face into the cache that Python's `huggingface_hub` uses: see
//! [the book](https://github.com/flambeau-rs/flambeau/blob/main/docs/hub.md).
//!
//! The crate `hf-hub` knows the names: of a repository's folder in the cache and of its URLs, and what the hub's list of
//! files looks like. `http` asks the hub, follows where it points and says what its refusals mean; `transfer` gets a
//! blob whole and checked, or not at all; `cache` has the layout on disk. `url` gets files from elsewhere.

mod cache;
mod checksum;
mod config;
mod http;
mod names;
mod repo;
mod transfer;
mod url;

pub use checksum::Checksum;
pub use config::{Hub, HubBuilder};
pub use repo::{Repo, Snapshot};
