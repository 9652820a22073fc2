//! Graph neural networks under PyTorch Geometric's names (`torch_geometric`).
//!
//! A [`Graph`] has edges and what belongs to nodes and edges; a [`Batch`] is several graphs as one. [`Edges`] are its edges, sorted
//! so that what arrives at a node lies together; a convolution is a [`MessagePassing`] over them.
//!
//! # Example: two layers over a triangle with a tail
//!
//! ```
//! use flambeau_graph::{Edges, GCNConv, GCNConvOptions};
//! use flambeau_tensor::{DType, Result, Tensor};
//!
//! fn main() -> Result<()> {
//!     let edge_index = Tensor::new([[0i64, 1, 2, 2], [1, 2, 0, 3]])?;
//!     let edges = Edges::undirected(&edge_index, 4)?.with_self_loops()?;
//!     let first = GCNConv::new(8, 16, GCNConvOptions::default())?;
//!     let second = GCNConv::new(16, 3, GCNConvOptions::default())?;
//!     let x = Tensor::randn((4, 8), DType::F32)?;
//!     let h = first.forward(&x, &edges)?.relu()?;
//!     assert_eq!(second.forward(&h, &edges)?.shape(), [4, 3]);
//!     Ok(())
//! }
//! ```

mod batch;
mod conv;
pub mod datasets;
mod edges;
mod graph;
pub mod loader;
mod message_passing;
pub mod models;
mod pooling;
mod segments;
pub mod transforms;
pub mod utils;

pub use batch::Batch;
pub use conv::{
    ChebConv, ChebConvOptions, EdgeConv, GATConv, GATConvOptions, GATv2Conv, GATv2ConvOptions, GCNConv,
    GCNConvOptions, GINConv, GINConvOptions, GraphConv, GraphConvOptions, Normalization, SAGEConv,
    SAGEConvOptions,
};
pub use edges::{Aggregation, Edges};
pub use graph::Graph;
pub use message_passing::MessagePassing;
pub use pooling::{global_add_pool, global_max_pool, global_mean_pool};

/// The programs of the book's page are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/graph.md")]
struct Book;
