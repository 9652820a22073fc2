//! Models that are more than a stack of convolutions (`torch_geometric.nn.models`): a file for each.

mod complex;
mod gae;
mod gnn;
mod node2vec;

pub use complex::{ComplEx, RankScores};
pub use gae::{GAE, InnerProductDecoder, LinkScores};
pub use gnn::{Convolution, GNN};
pub use node2vec::{Node2Vec, Node2VecOptions, Walker};
