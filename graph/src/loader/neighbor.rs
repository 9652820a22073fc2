//! Neighbourhoods of nodes, sampled ("Inductive Representation Learning on Large Graphs", Hamilton et al., 2017,
//! arXiv:1706.02216); `torch_geometric.loader.NeighborLoader`.

use std::collections::HashMap;

use flambeau_data::Collate;
use flambeau_tensor::random::{self, Generator};
use flambeau_tensor::{Result, Tensor, ensure};

use crate::utils::of_pairs;
use crate::{Edges, Graph};

/// Samples neighbourhoods of nodes: it makes a batch of node numbers, so that a `DataLoader` over the nodes to start from is a
/// `NeighborLoader`. Which neighbours there are depends on the loader's seed and the batch's place in the epoch alone, whatever
/// the number of workers.
///
/// ```
/// use flambeau_data::DataLoader;
/// use flambeau_graph::datasets::karate_club;
/// use flambeau_graph::loader::NeighborSampler;
/// use flambeau_tensor::Result;
///
/// fn main() -> Result<()> {
///     // Of each node, up to five neighbours, and up to three of each of those.
///     let sampler = NeighborSampler::new(karate_club()?, &[Some(5), Some(3)])?;
///     let loader = DataLoader::builder((0..34i64).collect::<Vec<_>>())
///         .batch_size(8)
///         .shuffle(true)
///         .seed(0)
///         .collate(sampler)
///         .build()?;
///     for part in &loader {
///         let part = part?;
///         // The nodes of the batch come first.
///         assert!(part.batch_size <= 8 && part.graph.num_nodes <= part.batch_size * (1 + 5 + 5 * 3));
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct NeighborSampler {
    graph: Graph,
    edges: Edges,
    offsets: Vec<i64>,
    sources: Vec<i64>,
    num_neighbors: Vec<Option<usize>>,
}

/// Nodes of a batch with what was sampled around them.
#[derive(Clone, Debug)]
pub struct Neighborhood {
    /// The part of the graph: the nodes of the batch, then their neighbours, then the neighbours' ones.
    pub graph: Graph,
    /// How many nodes the batch has: the first so many are those that something is to be said of.
    pub batch_size: usize,
    /// The number of each node in the whole graph, `[nodes]`.
    pub n_id: Tensor,
    /// The number of each edge in the whole graph, `[edges]`.
    pub e_id: Tensor,
}

impl NeighborSampler {
    /// A sampler that follows edges backwards, from targets to sources: for each step, at most so many of each node's edges, or
    /// all. No edge is taken twice for one node.
    ///
    /// # Errors
    /// Those of [`Graph::validate`].
    pub fn new(graph: Graph, num_neighbors: &[Option<usize>]) -> Result<NeighborSampler> {
        graph.validate()?;
        let edges = graph.edges()?;
        Ok(NeighborSampler {
            offsets: edges.offsets().to_vec::<i64>()?,
            sources: edges.sources().to_vec::<i64>()?,
            graph,
            edges,
            num_neighbors: num_neighbors.to_vec(),
        })
    }

    /// The neighbourhood of some nodes, drawn from the default generator.
    ///
    /// # Errors
    /// `Index` for a node that there is not, `Value` for one that comes twice.
    pub fn sample(&self, nodes: &[i64]) -> Result<Neighborhood> {
        let (mut found, mut local) = (Vec::<i64>::new(), HashMap::new());
        for &node in nodes {
            ensure!(
                node >= 0 && (node as usize) < self.graph.num_nodes,
                Index,
                "NeighborSampler: node {node} is out of range for {} nodes",
                self.graph.num_nodes
            );
            let before = local.insert(node, found.len() as i64);
            ensure!(
                before.is_none(),
                Value,
                "NeighborSampler: node {node} comes twice"
            );
            found.push(node);
        }
        let (mut pairs, mut taken) = (Vec::new(), Vec::new());
        let mut begin = 0;
        for &limit in &self.num_neighbors {
            let end = found.len();
            for target in begin..end {
                let node = found[target] as usize;
                let (first, behind) = (self.offsets[node], self.offsets[node + 1]);
                for edge in chosen(first, behind, limit) {
                    let source = self.sources[edge as usize];
                    let next = found.len() as i64;
                    let source_here = *local.entry(source).or_insert(next);
                    if source_here == next {
                        found.push(source);
                    }
                    pairs.push([source_here, target as i64]);
                    taken.push(edge);
                }
            }
            begin = end;
        }
        let n_id = Tensor::from_slice(&found, found.len())?;
        let e_id = self
            .edges
            .order()
            .index_select(0, &Tensor::from_slice(&taken, taken.len())?)?;
        let of = |tensor: &Option<Tensor>, index: &Tensor| {
            tensor
                .as_ref()
                .map(|tensor| tensor.index_select(0, index))
                .transpose()
        };
        let whole = &self.graph;
        // What is to be learnt of the whole graph is not cut.
        let by_node = |y: &Tensor| y.rank() > 0 && y.shape()[0] == whole.num_nodes;
        let y = match &whole.y {
            Some(y) if !by_node(y) => whole.y.clone(),
            y => of(y, &n_id)?,
        };
        let graph = Graph {
            num_nodes: found.len(),
            edge_index: of_pairs(&pairs)?,
            x: of(&whole.x, &n_id)?,
            edge_attr: of(&whole.edge_attr, &e_id)?,
            y,
            pos: of(&whole.pos, &n_id)?,
            train_mask: of(&whole.train_mask, &n_id)?,
            val_mask: of(&whole.val_mask, &n_id)?,
            test_mask: of(&whole.test_mask, &n_id)?,
        };
        Ok(Neighborhood {
            graph,
            batch_size: nodes.len(),
            n_id,
            e_id,
        })
    }
}

impl Collate<i64> for NeighborSampler {
    type Batch = Neighborhood;

    fn collate(&self, nodes: Vec<i64>) -> Result<Neighborhood> {
        self.sample(&nodes)
    }
}

/// At most `limit` different numbers of `first..behind`.
fn chosen(first: i64, behind: i64, limit: Option<usize>) -> Vec<i64> {
    let mut all: Vec<i64> = (first..behind).collect();
    if let Some(limit) = limit.filter(|&limit| limit < all.len()) {
        random::with_default(|g| {
            for i in 0..limit {
                let other = i + below(g, all.len() - i);
                all.swap(i, other);
            }
        });
        all.truncate(limit);
    }
    all
}

/// A number below `bound`, which is not 0.
pub(crate) fn below(generator: &mut Generator, bound: usize) -> usize {
    // The bias towards small numbers is at most `bound`/2⁶⁴.
    (generator.next_u64() % bound.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use flambeau_data::DataLoader;

    use super::*;
    use crate::datasets::karate_club;

    #[test]
    fn a_neighbourhood_is_part_of_the_graph() {
        let graph = karate_club().unwrap();
        let whole = graph.edge_index.to_vec::<i64>().unwrap();
        let edges = whole.len() / 2;
        let sampler = NeighborSampler::new(graph.clone(), &[Some(4), Some(2)]).unwrap();
        let part = random::fork(1, || sampler.sample(&[33, 5])).unwrap();
        let (n_id, e_id) = (
            part.n_id.to_vec::<i64>().unwrap(),
            part.e_id.to_vec::<i64>().unwrap(),
        );
        assert_eq!((&n_id[..2], part.batch_size), (&[33, 5][..], 2));
        assert_eq!(n_id.iter().collect::<HashSet<_>>().len(), part.graph.num_nodes);
        assert_eq!(e_id.iter().collect::<HashSet<_>>().len(), e_id.len());
        let ends = part.graph.edge_index.to_vec::<i64>().unwrap();
        for (i, &edge) in e_id.iter().enumerate() {
            let here = [ends[i], ends[e_id.len() + i]].map(|node| n_id[node as usize]);
            assert_eq!(here, [whole[edge as usize], whole[edges + edge as usize]]);
        }
        let arrived = part
            .graph
            .edges()
            .unwrap()
            .degrees(flambeau_tensor::DType::I64)
            .unwrap();
        let arrived = arrived.to_vec::<i64>().unwrap();
        // Member 33 met 17 others, member 5 four.
        assert_eq!(arrived[..2], [4, 4]);
        assert!(arrived[2..].iter().all(|&count| count <= 2));
        assert_eq!(part.graph.y().unwrap().to_vec::<i64>().unwrap()[..2], [1, 0]);
        let error = |nodes: &[i64]| sampler.sample(nodes).unwrap_err().to_string();
        assert!(error(&[34]).contains("node 34 is out of range for 34 nodes"));
        assert!(error(&[3, 3]).contains("node 3 comes twice"));
    }

    #[test]
    fn all_neighbours_are_the_whole_neighbourhood() {
        let sampler = NeighborSampler::new(karate_club().unwrap(), &[None; 6]).unwrap();
        let part = sampler.sample(&[16]).unwrap();
        assert_eq!((part.graph.num_nodes, part.graph.num_edges()), (34, 156));
    }

    #[test]
    fn batches_depend_on_the_seed_alone() {
        let epoch = |workers: usize, seed: u64| -> Vec<(Vec<i64>, Vec<i64>)> {
            let sampler = NeighborSampler::new(karate_club().unwrap(), &[Some(3), Some(2)]).unwrap();
            let loader = DataLoader::builder((0..34i64).collect::<Vec<_>>())
                .batch_size(5)
                .shuffle(true)
                .num_workers(workers)
                .seed(seed)
                .collate(sampler)
                .build()
                .unwrap();
            let parts = loader.iter().map(|part| {
                let part = part.unwrap();
                (part.n_id.to_vec().unwrap(), part.e_id.to_vec().unwrap())
            });
            parts.collect()
        };
        assert_eq!(epoch(0, 7), epoch(3, 7));
        assert_ne!(epoch(0, 7), epoch(0, 8));
    }
}
