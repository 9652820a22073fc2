//! Datasets, samplers and the [`DataLoader`] (`torch.utils.data`).
//!
//! A [`Dataset`] gives a sample for each index, an [`IterableDataset`] a stream of samples. A [`DataLoader`] draws an
//! order from a [`Sampler`], gathers samples into batches by a [`Collate`], on threads of its own if asked to, and hands
//! them out in that order.
//!
//! # Example: batches of a shuffled dataset
//!
//! ```
//! use flambeau_data::{DataLoader, TensorDataset};
//! use flambeau_tensor::{DType, Result, Tensor};
//!
//! fn main() -> Result<()> {
//!     let (images, labels) = (Tensor::zeros((10, 8, 8), DType::F32)?, Tensor::zeros(10, DType::I64)?);
//!     let loader = DataLoader::builder(TensorDataset::new([images, labels])?)
//!         .batch_size(4)
//!         .shuffle(true)
//!         .num_workers(2)
//!         .seed(0)
//!         .build()?;
//!     let mut sizes = Vec::new();
//!     for batch in &loader {
//!         let [x, y] = batch?;
//!         assert_eq!(x.shape()[1..], [8, 8]);
//!         sizes.push(y.numel());
//!     }
//!     assert_eq!(sizes, [4, 4, 2]);
//!     Ok(())
//! }
//! ```
//!
//! # Reproducibility
//!
//! Orders are those of PyTorch for the same seed. Batches are the same for every number of workers, random augmentation
//! included: while a sample is loaded, the thread's default generator ([`flambeau_tensor::random`]) is one that is seeded
//! by the epoch's seed and the sample's position in the epoch. [`Batches::state`] is what it takes to go on after a
//! restart exactly where a program stopped, in the midst of an epoch too.

pub mod collate;
mod dataset;
pub mod formats;
mod loader;
pub mod sampler;

pub use collate::{Collate, DefaultCollate, Unbatched};
pub use dataset::{
    ChainDataset, ConcatDataset, Dataset, FnDataset, IterableDataset, Mapped, MappedStream, ShuffledStream,
    StackDataset, Stacked, Stream, Subset, TensorDataset, from_fn, random_split, random_split_by_fractions,
};
pub use loader::{
    Batches, DataLoader, DatasetKind, Epoch, Indexed, LoaderBuilder, LoaderState, Streamed, WorkerInfo,
    worker_info,
};
pub use sampler::{Pass, Sampler};

/// The programs of the book's page are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/data.md")]
struct Book;
