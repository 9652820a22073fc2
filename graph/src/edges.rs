//! The edges of a graph, and what moves along them.

use flambeau_tensor::ops::sparse::{Pattern, sparse_matmul};
use flambeau_tensor::{DType, Result, Tensor, ensure};

use crate::segments;

/// How what arrives at a node becomes one. A node at which nothing arrives gets 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// The sum.
    #[default]
    Sum,
    /// The mean.
    Mean,
    /// The largest of each feature.
    Max,
    /// The smallest of each feature.
    Min,
}

/// Edges from sources to targets, sorted by their targets (stable, so that results depend on the graph alone), which is the
/// transposed adjacency matrix in compressed rows.
#[derive(Clone, Debug)]
pub struct Edges {
    /// A row for each target, a column for each source.
    pattern: Pattern,
    /// For each edge, its position in the `edge_index` that the edges were made from.
    order: Tensor,
}

impl Edges {
    /// The edges of `edge_index`, whose first row has the sources and whose second row has the targets, over so many
    /// nodes. Any edge may occur several times.
    ///
    /// # Shapes
    /// `[2, edges]`, `int64`.
    ///
    /// # Errors
    /// `Shape` or `DType` for any other tensor; `Index` for a node outside.
    pub fn new(edge_index: &Tensor, nodes: usize) -> Result<Edges> {
        let ends = checked(edge_index, nodes)?;
        let (sources, targets) = ends.split_at(ends.len() / 2);
        Edges::sorted(sources, targets, nodes)
    }

    /// As [`Edges::new`], with the opposite of each edge, and none twice (`to_undirected`).
    ///
    /// # Errors
    /// As [`Edges::new`].
    pub fn undirected(edge_index: &Tensor, nodes: usize) -> Result<Edges> {
        let edges = Edges::new(edge_index, nodes)?;
        let mut pairs: Vec<[i64; 2]> = edges.pairs()?;
        pairs.extend(pairs.clone().into_iter().map(|[source, target]| [target, source]));
        pairs.sort_unstable();
        pairs.dedup();
        Edges::from_pairs(&pairs, nodes)
    }

    /// These edges with exactly one from each node to itself, which comes last (`remove_self_loops`, then
    /// `add_self_loops`).
    ///
    /// # Errors
    /// None that depends on the values.
    pub fn with_self_loops(&self) -> Result<Edges> {
        let mut pairs = self.pairs()?;
        pairs.retain(|[source, target]| source != target);
        pairs.extend((0..self.nodes() as i64).map(|node| [node, node]));
        Edges::from_pairs(&pairs, self.nodes())
    }

    fn from_pairs(pairs: &[[i64; 2]], nodes: usize) -> Result<Edges> {
        let ends = |which: usize| pairs.iter().map(|pair| pair[which]).collect::<Vec<_>>();
        Edges::sorted(&ends(0), &ends(1), nodes)
    }

    fn sorted(sources: &[i64], targets: &[i64], nodes: usize) -> Result<Edges> {
        let (pattern, order) = Pattern::new(targets, sources, [nodes, nodes])?;
        Ok(Edges { pattern, order })
    }

    fn pairs(&self) -> Result<Vec<[i64; 2]>> {
        let (sources, targets) = (self.sources().to_vec::<i64>()?, self.targets().to_vec::<i64>()?);
        Ok(sources.into_iter().zip(targets).map(|(s, t)| [s, t]).collect())
    }

    /// Whether each edge has its opposite, as often as it occurs itself.
    ///
    /// # Errors
    /// None that depends on the values.
    pub fn is_symmetric(&self) -> Result<bool> {
        let mut pairs = self.pairs()?;
        let mut opposites: Vec<[i64; 2]> = pairs.iter().map(|&[source, target]| [target, source]).collect();
        pairs.sort_unstable();
        opposites.sort_unstable();
        Ok(pairs == opposites)
    }

    /// How many edges there are.
    pub fn len(&self) -> usize {
        self.pattern.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pattern.is_empty()
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.pattern.size()[0]
    }

    /// The source of each edge, `[edges]`.
    pub fn sources(&self) -> &Tensor {
        self.pattern.columns()
    }

    /// The target of each edge, `[edges]`, ascending.
    pub fn targets(&self) -> &Tensor {
        self.pattern.rows()
    }

    /// Where the edges of each target begin, and the number of edges: `[nodes + 1]`.
    pub fn offsets(&self) -> &Tensor {
        self.pattern.offsets()
    }

    /// For each edge, its position in the `edge_index` that the edges were made from, `[edges]`.
    pub fn order(&self) -> &Tensor {
        &self.order
    }

    /// What belongs to the edges of the `edge_index` that these were made from, in the order of these.
    ///
    /// # Shapes
    /// `[edges, …]`, kept.
    ///
    /// # Errors
    /// `Index` for fewer rows than edges.
    pub fn arranged(&self, attributes: &Tensor) -> Result<Tensor> {
        attributes.index_select(0, &self.order)
    }

    /// How many edges end in each node, `[nodes]`, in the type asked for.
    ///
    /// # Errors
    /// None that depends on the values.
    pub fn degrees(&self, dtype: DType) -> Result<Tensor> {
        segments::lengths(self.offsets())?.to_dtype(dtype)
    }

    /// What stands at each edge's source.
    ///
    /// # Shapes
    /// `[nodes, …] → [edges, …]`.
    ///
    /// # Errors
    /// `Index` for fewer rows than nodes.
    pub fn from_sources(&self, x: &Tensor) -> Result<Tensor> {
        self.of_nodes(x)?.index_select(0, self.sources())
    }

    /// What stands at each edge's target.
    ///
    /// # Shapes
    /// `[nodes, …] → [edges, …]`.
    ///
    /// # Errors
    /// As [`Edges::from_sources`].
    pub fn from_targets(&self, x: &Tensor) -> Result<Tensor> {
        self.of_nodes(x)?.index_select(0, self.targets())
    }

    fn of_nodes<'a>(&self, x: &'a Tensor) -> Result<&'a Tensor> {
        ensure!(
            x.rank() > 0 && x.shape()[0] == self.nodes(),
            Shape,
            "Edges: expected [{}, …], a row for each node, got {:?}",
            self.nodes(),
            x.shape()
        );
        Ok(x)
    }

    fn of_edges<'a>(&self, messages: &'a Tensor) -> Result<&'a Tensor> {
        ensure!(
            messages.rank() > 0 && messages.shape()[0] == self.len(),
            Shape,
            "Edges: expected messages [{}, …], a row for each edge, got {:?}",
            self.len(),
            messages.shape()
        );
        Ok(messages)
    }

    /// What arrives at each node.
    ///
    /// # Shapes
    /// `[edges, …] → [nodes, …]`.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each edge.
    pub fn aggregate(&self, messages: &Tensor, aggregation: Aggregation) -> Result<Tensor> {
        segments::reduce(self.of_edges(messages)?, self.offsets(), aggregation)
    }

    /// What arrives at each node if each edge sends what stands at its source, times its weights if there are any: a product of
    /// the sparse adjacency matrix and a dense one, which needs no memory for each edge.
    ///
    /// # Shapes
    /// `x` `[nodes, heads…, …]`, weights `[edges, heads…]` in the edges' own [order](Edges::arranged) → `[nodes, heads…, …]`.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node and a weight for each edge.
    pub fn matmul(&self, x: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
        if let Some(weights) = weights {
            self.of_edges(weights)?;
        }
        sparse_matmul(&self.pattern, false, weights, self.of_nodes(x)?)
    }

    /// As [`Edges::matmul`] against the direction of the edges: what arrives at each source if each edge sends what stands at its
    /// target.
    ///
    /// # Errors
    /// As [`Edges::matmul`].
    pub fn matmul_reversed(&self, x: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
        if let Some(weights) = weights {
            self.of_edges(weights)?;
        }
        sparse_matmul(&self.pattern, true, weights, self.of_nodes(x)?)
    }

    /// What arrives at each node if each edge sends what stands at its source: [`Edges::from_sources`] and
    /// [`Edges::aggregate`], without memory for each edge where that is possible.
    ///
    /// # Shapes
    /// `[nodes, …]`, kept.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node.
    pub fn gather(&self, x: &Tensor, aggregation: Aggregation) -> Result<Tensor> {
        match aggregation {
            Aggregation::Sum => self.matmul(x, None),
            Aggregation::Mean => {
                let mut counts = self.degrees(x.dtype())?.clamp_min(1.0)?;
                while counts.rank() < x.rank() {
                    counts = counts.unsqueeze(-1)?;
                }
                self.matmul(x, None)?.div(&counts)
            }
            Aggregation::Max | Aggregation::Min => self.aggregate(&self.from_sources(x)?, aggregation),
        }
    }

    /// The softmax of scores over the edges that end in the same node.
    ///
    /// # Shapes
    /// `[edges, …]`, kept.
    ///
    /// # Errors
    /// As [`Edges::aggregate`].
    pub fn softmax(&self, scores: &Tensor) -> Result<Tensor> {
        let largest = self.aggregate(&scores.detach(), Aggregation::Max)?;
        let weights = scores.sub(&self.from_targets(&largest)?)?.exp()?;
        let sums = self.aggregate(&weights, Aggregation::Sum)?;
        weights.div(&self.from_targets(&sums)?)
    }
}

/// The entries of an `edge_index`, first the sources, then the targets.
pub(crate) fn checked(edge_index: &Tensor, nodes: usize) -> Result<Vec<i64>> {
    ensure!(
        edge_index.rank() == 2 && edge_index.shape()[0] == 2,
        Shape,
        "Edges: expected edge_index [2, edges], got {:?}",
        edge_index.shape()
    );
    ensure!(
        edge_index.dtype() == DType::I64,
        DType,
        "Edges: expected edge_index of int64, got {}",
        edge_index.dtype()
    );
    let ends = edge_index.to_vec::<i64>()?;
    if let Some(bad) = ends.iter().find(|&&node| node < 0 || node as usize >= nodes) {
        flambeau_tensor::bail!(Index, "Edges: node {bad} is out of range for {nodes} nodes");
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[[i64; 2]], nodes: usize) -> Edges {
        Edges::from_pairs(pairs, nodes).unwrap()
    }

    #[test]
    fn edges_are_sorted_and_stay_in_order() {
        let index = Tensor::new([[3i64, 0, 2, 1], [1, 0, 1, 0]]).unwrap();
        let edges = Edges::new(&index, 5).unwrap();
        assert_eq!(edges.sources().to_vec::<i64>().unwrap(), [0, 1, 3, 2]);
        assert_eq!(edges.targets().to_vec::<i64>().unwrap(), [0, 0, 1, 1]);
        let weights = Tensor::new([0.1f32, 0.2, 0.3, 0.4]).unwrap();
        let arranged = edges.arranged(&weights).unwrap();
        assert_eq!(arranged.to_vec::<f32>().unwrap(), [0.2, 0.4, 0.1, 0.3]);
        assert_eq!(
            edges.degrees(DType::F32).unwrap().to_vec::<f32>().unwrap(),
            [2.0, 2.0, 0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn isolated_nodes_get_nothing_and_duplicates_count() {
        let edges = edges(&[[0, 1], [0, 1], [2, 1], [1, 1], [1, 0]], 4);
        let x = Tensor::new([[1f32], [2.0], [-3.0], [7.0]]).unwrap();
        let messages = edges.from_sources(&x).unwrap();
        let arrived = |aggregation| {
            edges
                .aggregate(&messages, aggregation)
                .unwrap()
                .to_vec::<f32>()
                .unwrap()
        };
        assert_eq!(arrived(Aggregation::Sum), [2.0, 1.0, 0.0, 0.0]);
        assert_eq!(arrived(Aggregation::Mean), [2.0, 0.25, 0.0, 0.0]);
        assert_eq!(arrived(Aggregation::Max), [2.0, 2.0, 0.0, 0.0]);
        assert_eq!(arrived(Aggregation::Min), [2.0, -3.0, 0.0, 0.0]);
        let loops = edges.with_self_loops().unwrap();
        assert_eq!((edges.len(), loops.len()), (5, 8));
    }

    #[test]
    fn graphs_without_edges_or_nodes_are_graphs() {
        for nodes in [0, 3] {
            let none = edges(&[], nodes);
            let x = Tensor::ones((nodes, 2), DType::F32).unwrap();
            let messages = none.from_sources(&x).unwrap();
            assert_eq!(messages.shape(), [0, 2]);
            for aggregation in [
                Aggregation::Sum,
                Aggregation::Mean,
                Aggregation::Max,
                Aggregation::Min,
            ] {
                let arrived = none.aggregate(&messages, aggregation).unwrap();
                assert_eq!(arrived.to_vec::<f32>().unwrap(), vec![0.0; 2 * nodes]);
            }
            assert_eq!(none.softmax(&messages).unwrap().shape(), [0, 2]);
        }
    }

    #[test]
    fn softmax_is_over_the_edges_of_a_target() {
        let edges = edges(&[[0, 1], [1, 0], [2, 1], [0, 0]], 3);
        let scores = Tensor::new([[1f64], [2.0], [0.0], [1000.0]]).unwrap();
        let weights = edges.softmax(&scores).unwrap();
        let sums = edges
            .aggregate(&weights, Aggregation::Sum)
            .unwrap()
            .to_vec::<f64>()
            .unwrap();
        for (sum, expected) in sums.into_iter().zip([1.0, 1.0, 0.0]) {
            assert!((sum - expected).abs() < 1e-12, "{sum}");
        }
    }

    #[test]
    fn what_is_no_graph_is_refused() {
        let error = |index: Tensor| Edges::new(&index, 2).unwrap_err().to_string();
        assert!(error(Tensor::new([0i64, 1]).unwrap()).contains("expected edge_index [2, edges], got [2]"));
        assert!(error(Tensor::new([[0f32], [1.0]]).unwrap()).contains("int64"));
        assert_eq!(
            error(Tensor::new([[0i64], [2]]).unwrap()),
            "Edges: node 2 is out of range for 2 nodes"
        );
        let edges = edges(&[[0, 1]], 2);
        let error = edges
            .from_sources(&Tensor::ones((3, 1), DType::F32).unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("expected [2, …]"), "{error}");
    }
}
