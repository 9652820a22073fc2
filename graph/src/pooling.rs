//! What all nodes of a graph have in common (`global_add_pool`, `global_mean_pool`, `global_max_pool`).

use flambeau_tensor::{Result, Tensor, ensure};

use crate::{Aggregation, Batch, segments};

/// The sum over the nodes of each graph.
///
/// # Shapes
/// `[nodes, …] → [graphs, …]`.
///
/// # Errors
/// `Shape` unless there is a row for each node.
pub fn global_add_pool(x: &Tensor, batch: &Batch) -> Result<Tensor> {
    pool(x, batch, Aggregation::Sum)
}

/// The mean over the nodes of each graph; 0 for a graph without nodes.
///
/// # Shapes
/// `[nodes, …] → [graphs, …]`.
///
/// # Errors
/// As [`global_add_pool`].
pub fn global_mean_pool(x: &Tensor, batch: &Batch) -> Result<Tensor> {
    pool(x, batch, Aggregation::Mean)
}

/// The largest of each feature among the nodes of each graph; 0 for a graph without nodes.
///
/// # Shapes
/// `[nodes, …] → [graphs, …]`.
///
/// # Errors
/// As [`global_add_pool`].
pub fn global_max_pool(x: &Tensor, batch: &Batch) -> Result<Tensor> {
    pool(x, batch, Aggregation::Max)
}

fn pool(x: &Tensor, batch: &Batch, aggregation: Aggregation) -> Result<Tensor> {
    let nodes = batch.graph.num_nodes;
    ensure!(
        x.rank() > 0 && x.shape()[0] == nodes,
        Shape,
        "global pooling: expected [{nodes}, …], a row for each node, got {:?}",
        x.shape()
    );
    segments::reduce(x, &batch.ptr, aggregation)
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::DType;

    use super::*;
    use crate::Graph;

    #[test]
    fn graphs_are_pooled_one_by_one() {
        let none = Tensor::zeros((2, 0), DType::I64).unwrap();
        let graph = |nodes| Graph::new(none.clone(), nodes).unwrap();
        let batch = Batch::from_graphs(vec![graph(2), graph(0), graph(1)]).unwrap();
        let x = Tensor::new([[1f32, -2.0], [3.0, -4.0], [-5.0, 6.0]]).unwrap();
        type Pool = fn(&Tensor, &Batch) -> Result<Tensor>;
        let pooled = |pool: Pool| pool(&x, &batch).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(pooled(global_add_pool), [4.0, -6.0, 0.0, 0.0, -5.0, 6.0]);
        assert_eq!(pooled(global_mean_pool), [2.0, -3.0, 0.0, 0.0, -5.0, 6.0]);
        assert_eq!(pooled(global_max_pool), [3.0, -2.0, 0.0, 0.0, -5.0, 6.0]);
        let error = global_add_pool(&x.narrow(0, 0, 2).unwrap(), &batch)
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected [3, …]"), "{error}");
    }
}
