//! Graphs to learn from: a file for each dataset or format.

mod karate;
mod planetoid;
mod triples;
mod tu;

pub use karate::karate_club;
pub use planetoid::planetoid;
pub use triples::{Triples, triples};
pub use tu::tu_dataset;
