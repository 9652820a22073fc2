//! `torch_geometric.transforms.RandomLinkSplit`.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::Size;
use super::random_node_split::shuffled;
use crate::Graph;
use crate::edges::checked;
use crate::utils::{negative_sampling, of_pairs};

/// Takes edges of a graph away to be predicted. With the same seed the edges are those that PyTorch Geometric takes.
#[derive(Clone, Copy, Debug)]
pub struct RandomLinkSplit {
    /// Edges that a model is chosen by.
    pub num_val: Size,
    /// Edges that it is tested on.
    pub num_test: Size,
    /// Whether each edge stands for its opposite, too, which the graph must have.
    pub is_undirected: bool,
    /// Whether pairs without an edge are drawn to learn from; otherwise they are to be drawn anew in each epoch.
    pub add_negative_train_samples: bool,
    /// How many pairs without an edge there are for each with one.
    pub neg_sampling_ratio: f64,
}

impl Default for RandomLinkSplit {
    fn default() -> Self {
        RandomLinkSplit {
            num_val: Size::Share(0.1),
            num_test: Size::Share(0.2),
            is_undirected: false,
            add_negative_train_samples: true,
            neg_sampling_ratio: 1.0,
        }
    }
}

/// A graph, and pairs of nodes of which it is to be said whether there is an edge between them.
#[derive(Clone, Debug)]
pub struct LinkGraph {
    /// The edges that are known.
    pub graph: Graph,
    /// Pairs of nodes, those with an edge first, `[2, pairs]`.
    pub edge_label_index: Tensor,
    /// 1 where there is an edge, else 0: `[pairs]`, `float32`.
    pub edge_label: Tensor,
}

impl LinkGraph {
    /// The pairs with an edge and those without, `[2, …]` each.
    ///
    /// # Errors
    /// None for what a split makes.
    pub fn pairs(&self) -> Result<(Tensor, Tensor)> {
        let with = self.edge_label.sum()?.item::<f32>()? as usize;
        let all = self.edge_label.numel();
        Ok((
            self.edge_label_index.narrow(1, 0, with)?,
            self.edge_label_index.narrow(1, with as isize, all - with)?,
        ))
    }
}

/// What is learnt from, chosen by and tested on. The validation sees the edges that are learnt from, the test those of the
/// validation, too.
#[derive(Clone, Debug)]
pub struct LinkSplit {
    /// What is learnt from.
    pub train: LinkGraph,
    /// What a model is chosen by.
    pub val: LinkGraph,
    /// What it is tested on.
    pub test: LinkGraph,
}

impl RandomLinkSplit {
    /// The three graphs.
    ///
    /// # Errors
    /// `Value` if no edges are left to learn from; those of [`Graph::validate`].
    pub fn split(&self, graph: &Graph) -> Result<LinkSplit> {
        graph.validate()?;
        let ends = checked(&graph.edge_index, graph.num_nodes)?;
        let (sources, targets) = ends.split_at(ends.len() / 2);
        let edges = (0..sources.len()).filter(|&edge| !self.is_undirected || sources[edge] <= targets[edge]);
        let order = shuffled(edges.collect())?;
        let size =
            |size: Size| Ok::<_, flambeau_tensor::Error>(size.of("RandomLinkSplit", order.len())? as usize);
        let (num_val, num_test) = (size(self.num_val)?, size(self.num_test)?);
        ensure!(
            num_val + num_test < order.len(),
            Value,
            "RandomLinkSplit: of {} edges, {num_val} for validation and {num_test} for the test leave none to learn from",
            order.len()
        );
        let num_train = order.len() - num_val - num_test;
        let of = |count: usize| (count as f64 * self.neg_sampling_ratio) as usize;
        let mut without = [of(num_val), of(num_test), of(num_train)];
        if !self.add_negative_train_samples {
            without[2] = 0;
        }
        let wanted: usize = without.iter().sum();
        let negative = negative_sampling(&graph.edge_index, graph.num_nodes, wanted)?;
        let found = negative.shape()[1];
        if found < wanted {
            // In the same proportion, as far as there are any.
            let less = |count: usize| count * found / wanted;
            let (val, train) = (less(without[0]), less(without[2]));
            without = [val, found - val - train, train];
        }
        let part = |known: &[usize], asked: &[usize], from: usize, count: usize| -> Result<LinkGraph> {
            let pairs: Vec<[i64; 2]> = asked.iter().map(|&edge| [sources[edge], targets[edge]]).collect();
            let with = of_pairs(&pairs)?;
            let labels = [
                Tensor::ones(pairs.len(), DType::F32)?,
                Tensor::zeros(count, DType::F32)?,
            ];
            Ok(LinkGraph {
                graph: self.restricted(graph, known)?,
                edge_label_index: Tensor::cat(&[&with, &negative.narrow(1, from as isize, count)?], 1)?,
                edge_label: Tensor::cat(&[&labels[0], &labels[1]], 0)?,
            })
        };
        let (train, val, test) = (
            &order[..num_train],
            &order[num_train..num_train + num_val],
            &order[num_train + num_val..],
        );
        Ok(LinkSplit {
            train: part(train, train, without[0] + without[1], without[2])?,
            val: part(train, val, 0, without[0])?,
            test: part(&order[..num_train + num_val], test, without[0], without[1])?,
        })
    }

    /// The graph with these edges alone, and their opposites if each stands for both.
    fn restricted(&self, graph: &Graph, edges: &[usize]) -> Result<Graph> {
        let kept = Tensor::from_vec(edges.iter().map(|&edge| edge as i64).collect(), edges.len())?;
        let mut graph = graph.clone();
        graph.edge_index = graph.edge_index.index_select(1, &kept)?;
        graph.edge_attr = graph
            .edge_attr
            .as_ref()
            .map(|attr| attr.index_select(0, &kept))
            .transpose()?;
        if self.is_undirected {
            graph.edge_index = Tensor::cat(&[&graph.edge_index, &graph.edge_index.flip([0])?], 1)?;
            graph.edge_attr = graph
                .edge_attr
                .as_ref()
                .map(|attr| Tensor::cat(&[attr, attr], 0))
                .transpose()?;
        }
        Ok(graph)
    }
}
