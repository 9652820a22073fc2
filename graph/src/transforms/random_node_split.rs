//! `torch_geometric.transforms.RandomNodeSplit`.

use flambeau_tensor::random::{self, Sample};
use flambeau_tensor::{Result, Tensor, ensure};

use super::{Size, Transform};
use crate::Graph;

/// Which nodes are learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeSplit {
    /// All that are neither validated nor tested on (`train_rest`).
    TrainRest,
    /// So many of each class; all that are not validated on are tested on (`test_rest`).
    TestRest(usize),
    /// So many of each class (`random`).
    Random(usize),
}

/// Sets the three masks at random. With the same seed they are PyTorch Geometric's.
#[derive(Clone, Copy, Debug)]
pub struct RandomNodeSplit {
    /// Which nodes are learnt from.
    pub split: NodeSplit,
    /// Nodes that a model is chosen by.
    pub num_val: Size,
    /// Nodes that it is tested on.
    pub num_test: Size,
}

impl Default for RandomNodeSplit {
    fn default() -> Self {
        RandomNodeSplit {
            split: NodeSplit::TrainRest,
            num_val: Size::Count(500),
            num_test: Size::Count(1000),
        }
    }
}

impl Transform for RandomNodeSplit {
    fn apply(&self, mut graph: Graph) -> Result<Graph> {
        let nodes = graph.num_nodes;
        let size = |size: Size| -> Result<usize> {
            Ok((size.of("RandomNodeSplit", nodes)?.round_ties_even() as usize).min(nodes))
        };
        let (num_val, num_test) = (size(self.num_val)?, size(self.num_test)?);
        let (mut train, rest) = match self.split {
            NodeSplit::TrainRest => (vec![false; nodes], shuffled((0..nodes).collect())?),
            NodeSplit::TestRest(per_class) | NodeSplit::Random(per_class) => {
                let train = some_of_each(&graph, per_class)?;
                let rest = (0..nodes).filter(|&node| !train[node]).collect();
                (train, shuffled(rest)?)
            }
        };
        let (mut val, mut test) = (vec![false; nodes], vec![false; nodes]);
        for (i, node) in rest.into_iter().enumerate() {
            let mask = match (i, self.split) {
                (i, _) if i < num_val => &mut val,
                (_, NodeSplit::TestRest(_)) => &mut test,
                (i, _) if i < num_val + num_test => &mut test,
                (_, NodeSplit::TrainRest) => &mut train,
                _ => continue,
            };
            mask[node] = true;
        }
        let mask = |mask| Tensor::from_vec(mask, nodes).map(Some);
        graph.train_mask = mask(train)?;
        graph.val_mask = mask(val)?;
        graph.test_mask = mask(test)?;
        Ok(graph)
    }
}

/// So many nodes of each class.
fn some_of_each(graph: &Graph, per_class: usize) -> Result<Vec<bool>> {
    let (classes, y) = (graph.num_classes()?, graph.y()?.to_vec::<i64>()?);
    ensure!(
        y.len() == graph.num_nodes,
        Shape,
        "RandomNodeSplit: expected a class for each of {} nodes, got {}",
        graph.num_nodes,
        y.len()
    );
    let mut train = vec![false; y.len()];
    for class in 0..classes as i64 {
        let members = (0..y.len()).filter(|&node| y[node] == class).collect();
        for node in shuffled(members)?.into_iter().take(per_class) {
            train[node] = true;
        }
    }
    Ok(train)
}

pub(super) fn shuffled(nodes: Vec<usize>) -> Result<Vec<usize>> {
    let order = random::with_default(|g| g.randperm(nodes.len()))?.to_vec::<i64>()?;
    Ok(order.into_iter().map(|at| nodes[at as usize]).collect())
}
