//! Features of nodes by random walks: "node2vec: Scalable Feature Learning for Networks" (Grover & Leskovec, 2016,
//! arXiv:1607.00653); `torch_geometric.nn.Node2Vec`.

use flambeau_data::Collate;
use flambeau_nn::{Embedding, Forward, Module};
use flambeau_tensor::random::{self, Generator, Sample};
use flambeau_tensor::{DType, Result, Tensor, ensure};

use crate::Edges;
use crate::loader::below;

/// What keeps logarithms finite.
const EPS: f64 = 1e-15;

/// Options of [`Node2Vec`].
#[derive(Clone, Copy, Debug)]
pub struct Node2VecOptions {
    /// Features of a node.
    pub embedding_dim: usize,
    /// Nodes of a walk.
    pub walk_length: usize,
    /// Nodes that belong together: the first of them and those that follow it.
    pub context_size: usize,
    /// Walks from each node.
    pub walks_per_node: usize,
    /// The larger, the less often a walk goes back.
    pub p: f64,
    /// The larger, the closer a walk stays to where it came from.
    pub q: f64,
    /// Random walks that are no walks for each that is one.
    pub num_negative_samples: usize,
}

impl Default for Node2VecOptions {
    fn default() -> Self {
        Node2VecOptions {
            embedding_dim: 128,
            walk_length: 20,
            context_size: 10,
            walks_per_node: 10,
            p: 1.0,
            q: 1.0,
            num_negative_samples: 1,
        }
    }
}

/// Features that are alike for nodes that random walks visit one after the other. It collates nodes to start from into
/// walks and random sequences, so that a `DataLoader` over the nodes makes what [`Node2Vec::loss`] takes.
#[derive(Clone, Debug, Module)]
pub struct Node2Vec {
    /// The features, `[nodes, embedding_dim]`.
    pub embedding: Embedding,
    #[module(skip)]
    walker: Walker,
}

/// Draws walks; it knows the graph and none of the features.
#[derive(Clone, Debug)]
pub struct Walker {
    options: Node2VecOptions,
    offsets: Vec<i64>,
    neighbors: Vec<i64>,
}

impl Node2Vec {
    /// Features of the nodes between which these edges are, normally distributed.
    ///
    /// # Errors
    /// `Value` if a walk is shorter than what belongs together, or `p` or `q` is not positive; those of [`Edges::new`].
    pub fn new(edge_index: &Tensor, num_nodes: usize, options: Node2VecOptions) -> Result<Node2Vec> {
        let Node2VecOptions {
            walk_length,
            context_size,
            p,
            q,
            ..
        } = options;
        ensure!(
            walk_length >= context_size && context_size > 1,
            Value,
            "Node2Vec: expected a context_size between 2 and the walk_length {walk_length}, got {context_size}"
        );
        ensure!(
            p > 0.0 && q > 0.0,
            Value,
            "Node2Vec: expected p and q to be positive, got {p} and {q}"
        );
        // Walks follow edges, so that they are needed by their sources; neighbours ascend, to be found quickly.
        let edges = Edges::new(&edge_index.flip([0])?, num_nodes)?;
        let (offsets, mut neighbors) = (edges.offsets().to_vec::<i64>()?, edges.sources().to_vec::<i64>()?);
        for run in offsets.windows(2) {
            neighbors[run[0] as usize..run[1] as usize].sort_unstable();
        }
        Ok(Node2Vec {
            embedding: Embedding::new(num_nodes, options.embedding_dim, Default::default())?,
            walker: Walker {
                options,
                offsets,
                neighbors,
            },
        })
    }

    /// What draws walks, to collate with.
    pub fn walker(&self) -> Walker {
        self.walker.clone()
    }

    /// How badly walks `pos_rw` are told from sequences `neg_rw` by their features.
    ///
    /// # Shapes
    /// `[…, context_size]` both.
    ///
    /// # Errors
    /// `Index` for nodes that there are not.
    pub fn loss(&self, pos_rw: &Tensor, neg_rw: &Tensor) -> Result<Tensor> {
        let alike = |walks: &Tensor| -> Result<Tensor> {
            let first = self.embedding.forward(&walks.narrow(1, 0, 1)?)?;
            let rest = self.embedding.forward(&walks.slice(1, Some(1), None, 1)?)?;
            first.mul(&rest)?.sum_dim(-1, false)?.sigmoid()
        };
        let cost = |p: &Tensor| p.add(EPS)?.log()?.mean()?.neg();
        cost(&alike(pos_rw)?)?.add(&cost(&alike(neg_rw)?.neg()?.add(1.0)?)?)
    }
}

impl Walker {
    fn neighbors(&self, node: i64) -> &[i64] {
        let node = node as usize;
        &self.neighbors[self.offsets[node] as usize..self.offsets[node + 1] as usize]
    }

    /// The node after `node`, at which the walk arrived from `before`. A node without neighbours is stayed at.
    fn next(&self, generator: &mut Generator, before: Option<i64>, node: i64) -> i64 {
        let neighbors = self.neighbors(node);
        if neighbors.is_empty() {
            return node;
        }
        let Node2VecOptions { p, q, .. } = self.options;
        let weights = [1.0 / p, 1.0, 1.0 / q];
        let most = weights.into_iter().fold(0.0, f64::max);
        loop {
            let candidate = neighbors[below(generator, neighbors.len())];
            let Some(before) = before.filter(|_| p != 1.0 || q != 1.0) else {
                return candidate;
            };
            let weight = if candidate == before {
                weights[0]
            } else if self.neighbors(before).binary_search(&candidate).is_ok() {
                weights[1]
            } else {
                weights[2]
            };
            // Taken with a probability that is in proportion to its weight.
            if generator.next_f64() * most < weight {
                return candidate;
            }
        }
    }

    /// Walks from some nodes, and sequences of random nodes after them, cut into overlapping pieces of `context_size` nodes, drawn
    /// from the default generator.
    ///
    /// # Errors
    /// `Index` for a node that there is not.
    pub fn sample(&self, nodes: &[i64]) -> Result<(Tensor, Tensor)> {
        let Node2VecOptions {
            walk_length,
            walks_per_node,
            num_negative_samples,
            ..
        } = self.options;
        let count = self.offsets.len() as i64 - 1;
        if let Some(bad) = nodes.iter().find(|node| !(0..count).contains(*node)) {
            flambeau_tensor::bail!(Index, "Node2Vec: node {bad} is out of range for {count} nodes");
        }
        let starts = |times: usize| std::iter::repeat_n(nodes, times).flatten();
        let mut walks = Vec::with_capacity(nodes.len() * walks_per_node * walk_length);
        random::with_default(|generator| {
            for &start in starts(walks_per_node) {
                let (mut before, mut node) = (None, start);
                walks.push(node);
                for _ in 1..walk_length {
                    let next = self.next(generator, before, node);
                    (before, node) = (Some(node), next);
                    walks.push(node);
                }
            }
        });
        let random_walks = nodes.len() * walks_per_node * num_negative_samples;
        let drawn = random::with_default(|g| {
            g.randint(0, count.max(1), (random_walks, walk_length - 1), DType::I64)
        })?;
        let starts: Vec<i64> = starts(walks_per_node * num_negative_samples).copied().collect();
        let starts = Tensor::from_vec(starts, (random_walks, 1))?;
        let walks = Tensor::from_vec(walks, (nodes.len() * walks_per_node, walk_length))?;
        Ok((
            self.pieces(&walks)?,
            self.pieces(&Tensor::cat(&[&starts, &drawn], 1)?)?,
        ))
    }

    fn pieces(&self, walks: &Tensor) -> Result<Tensor> {
        let Node2VecOptions {
            walk_length,
            context_size,
            ..
        } = self.options;
        let pieces =
            (0..=walk_length - context_size).map(|from| walks.narrow(1, from as isize, context_size));
        let pieces = pieces.collect::<Result<Vec<_>>>()?;
        Tensor::cat(&pieces.iter().collect::<Vec<_>>(), 0)
    }
}

impl Collate<i64> for Walker {
    type Batch = (Tensor, Tensor);

    fn collate(&self, nodes: Vec<i64>) -> Result<(Tensor, Tensor)> {
        self.sample(&nodes)
    }
}

#[cfg(test)]
mod tests {
    use flambeau_autograd::Backward;

    use super::*;
    use crate::datasets::karate_club;

    fn model(options: Node2VecOptions) -> Node2Vec {
        let club = karate_club().unwrap();
        Node2Vec::new(&club.edge_index, club.num_nodes, options).unwrap()
    }

    #[test]
    fn walks_follow_edges() {
        let options = Node2VecOptions {
            walk_length: 6,
            context_size: 4,
            walks_per_node: 3,
            p: 0.25,
            q: 4.0,
            num_negative_samples: 2,
            embedding_dim: 8,
        };
        let model = model(options);
        let (walks, others) = random::fork(3, || model.walker().sample(&[0, 16])).unwrap();
        assert_eq!((walks.shape(), others.shape()), (&[18, 4][..], &[36, 4][..]));
        let rows = walks.to_vec::<i64>().unwrap();
        for walk in rows.chunks(4) {
            for step in walk.windows(2) {
                assert!(model.walker.neighbors(step[0]).contains(&step[1]), "{walk:?}");
            }
        }
        let loss = model.loss(&walks, &others).unwrap();
        loss.backward().unwrap();
        assert!(model.embedding.weight.grad().is_some());
        let error = model.walker().sample(&[34]).unwrap_err().to_string();
        assert!(error.contains("node 34 is out of range for 34 nodes"));
    }

    #[test]
    fn p_says_how_often_walks_go_back() {
        let back = |p: f64| {
            let options = Node2VecOptions {
                walk_length: 60,
                context_size: 60,
                p,
                ..Default::default()
            };
            let all: Vec<i64> = (0..34).collect();
            let (walks, _) = random::fork(0, || model(options).walker().sample(&all)).unwrap();
            let rows = walks.to_vec::<i64>().unwrap();
            let steps = rows.chunks(60).flat_map(|walk| walk.windows(3));
            let (back, all) = steps.fold((0, 0), |(back, all), step| {
                (back + usize::from(step[0] == step[2]), all + 1)
            });
            back as f64 / all as f64
        };
        let (seldom, even, often) = (back(100.0), back(1.0), back(0.01));
        assert!(
            seldom < 0.1 && often > 0.8 && (0.1..0.4).contains(&even),
            "{seldom} {even} {often}"
        );
    }

    #[test]
    fn what_is_no_walk_is_refused() {
        let club = karate_club().unwrap();
        let error = |options| {
            Node2Vec::new(&club.edge_index, 34, options)
                .unwrap_err()
                .to_string()
        };
        let short = Node2VecOptions {
            walk_length: 5,
            ..Default::default()
        };
        assert!(error(short).contains("context_size between 2 and the walk_length 5, got 10"));
        let never = Node2VecOptions {
            p: 0.0,
            ..Default::default()
        };
        assert!(error(never).contains("p and q to be positive"));
    }
}
