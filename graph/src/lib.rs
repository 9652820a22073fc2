//! Graph neural networks under PyTorch Geometric's names (`torch_geometric`).
//!
//! [`Edges`] are the edges of a graph, sorted so that what arrives at a node lies together; a convolution is a
//! [`MessagePassing`] over them.
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

mod conv;
pub mod datasets;
mod edges;
mod message_passing;

pub use conv::{GATConv, GATConvOptions, GCNConv, GCNConvOptions, SAGEConv, SAGEConvOptions};
pub use edges::{Aggregation, Edges};
pub use message_passing::MessagePassing;
