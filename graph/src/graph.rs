//! A graph with what belongs to its nodes and edges (`torch_geometric.data.Data`).

use flambeau_tensor::{DType, Error, Result, Tensor, ensure};

use crate::{Edges, edges};

/// A graph: edges, and what belongs to nodes, to edges and to the whole. What a graph has not is `None`; the methods of the same
/// names are for those who need it.
///
/// ```
/// use flambeau_graph::Graph;
/// use flambeau_tensor::{DType, Result, Tensor};
///
/// fn main() -> Result<()> {
///     let mut graph = Graph::new(Tensor::new([[0i64, 1, 1, 2], [1, 0, 2, 1]])?, 3)?;
///     graph.x = Some(Tensor::ones((3, 5), DType::F32)?);
///     graph.validate()?;
///     assert_eq!((graph.num_edges(), graph.num_features()), (4, 5));
///     assert_eq!(graph.edges()?.gather(graph.x()?, Default::default())?.shape(), [3, 5]);
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Graph {
    /// How many nodes there are.
    pub num_nodes: usize,
    /// Source and target of each edge, `[2, edges]`, `int64`.
    pub edge_index: Tensor,
    /// Features of the nodes, `[nodes, features]`.
    pub x: Option<Tensor>,
    /// Features of the edges, `[edges, …]`.
    pub edge_attr: Option<Tensor>,
    /// What is to be learnt: of each node `[nodes]`, or of the graph `[1]`; `int64` for classes.
    pub y: Option<Tensor>,
    /// Where the nodes are, `[nodes, dimensions]`.
    pub pos: Option<Tensor>,
    /// Which nodes are learnt from, `[nodes]`, `bool`.
    pub train_mask: Option<Tensor>,
    /// Which nodes a model is chosen by, `[nodes]`, `bool`.
    pub val_mask: Option<Tensor>,
    /// Which nodes it is tested on, `[nodes]`, `bool`.
    pub test_mask: Option<Tensor>,
}

macro_rules! needed {
    ($($(#[$doc:meta])* $name:ident),*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// `Key` if the graph has none.
        pub fn $name(&self) -> Result<&Tensor> {
            let missing = || Error::Key(format!("Graph: expected {}, but the graph has none", stringify!($name)));
            self.$name.as_ref().ok_or_else(missing)
        }
    )* };
}

impl Graph {
    /// A graph of so many nodes with these edges and nothing else.
    ///
    /// # Errors
    /// Those of [`Edges::new`].
    pub fn new(edge_index: Tensor, num_nodes: usize) -> Result<Graph> {
        edges::checked(&edge_index, num_nodes)?;
        Ok(Graph {
            num_nodes,
            edge_index,
            x: None,
            edge_attr: None,
            y: None,
            pos: None,
            train_mask: None,
            val_mask: None,
            test_mask: None,
        })
    }

    needed!(
        /// Features of the nodes.
        x,
        /// Features of the edges.
        edge_attr,
        /// What is to be learnt.
        y,
        /// Where the nodes are.
        pos,
        /// Which nodes are learnt from.
        train_mask,
        /// Which nodes a model is chosen by.
        val_mask,
        /// Which nodes it is tested on.
        test_mask
    );

    /// How many edges there are.
    pub fn num_edges(&self) -> usize {
        self.edge_index.shape().last().copied().unwrap_or(0)
    }

    /// How many features a node has.
    pub fn num_features(&self) -> usize {
        self.x.as_ref().map_or(0, |x| x.shape()[1..].iter().product())
    }

    /// How many classes `y` distinguishes: its largest entry and one.
    ///
    /// # Errors
    /// `Key` if there is no `y`; `DType` if it has no classes.
    pub fn num_classes(&self) -> Result<usize> {
        let y = self.y()?;
        ensure!(
            y.dtype() == DType::I64,
            DType,
            "Graph: expected classes of int64 as y, got {}",
            y.dtype()
        );
        Ok(match y.numel() {
            0 => 0,
            _ => y.max()?.item::<i64>()?.saturating_add(1).max(0) as usize,
        })
    }

    /// The edges, sorted for message passing.
    ///
    /// # Errors
    /// Those of [`Edges::new`].
    pub fn edges(&self) -> Result<Edges> {
        Edges::new(&self.edge_index, self.num_nodes)
    }

    /// Whether each edge has its opposite, as often as it occurs itself.
    ///
    /// # Errors
    /// Those of [`Edges::new`].
    pub fn is_undirected(&self) -> Result<bool> {
        self.edges()?.is_symmetric()
    }

    /// Whether everything fits together: edges between nodes that there are, a row for each node or edge.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` that names what does not fit.
    pub fn validate(&self) -> Result<()> {
        edges::checked(&self.edge_index, self.num_nodes)?;
        let masks = [
            ("train_mask", &self.train_mask),
            ("val_mask", &self.val_mask),
            ("test_mask", &self.test_mask),
        ];
        for (name, tensor) in [("x", &self.x), ("pos", &self.pos)].into_iter().chain(masks) {
            rows(name, tensor, self.num_nodes, "node")?;
        }
        rows("edge_attr", &self.edge_attr, self.num_edges(), "edge")?;
        for (name, mask) in masks {
            ensure!(
                mask.as_ref().is_none_or(|mask| mask.dtype() == DType::Bool),
                DType,
                "Graph: expected {name} of bool"
            );
        }
        Ok(())
    }
}

fn rows(name: &str, tensor: &Option<Tensor>, count: usize, of: &str) -> Result<()> {
    if let Some(tensor) = tensor {
        ensure!(
            tensor.rank() > 0 && tensor.shape()[0] == count,
            Shape,
            "Graph: expected {name} [{count}, …], a row for each {of}, got {:?}",
            tensor.shape()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_or_is_not_there_is_named() {
        let index = Tensor::new([[0i64, 1], [1, 2]]).unwrap();
        let error = |result: Result<()>| result.unwrap_err().to_string();
        assert!(error(Graph::new(index.clone(), 2).map(drop)).contains("node 2 is out of range"));
        let mut graph = Graph::new(index, 3).unwrap();
        assert_eq!(
            error(graph.x().map(drop)),
            "Graph: expected x, but the graph has none"
        );
        graph.x = Some(Tensor::zeros((2, 4), DType::F32).unwrap());
        assert_eq!(
            error(graph.validate()),
            "Graph: expected x [3, …], a row for each node, got [2, 4]"
        );
        graph.x = None;
        graph.edge_attr = Some(Tensor::zeros(3, DType::F32).unwrap());
        assert!(error(graph.validate()).contains("edge_attr [2, …], a row for each edge"));
        graph.edge_attr = None;
        graph.test_mask = Some(Tensor::zeros(3, DType::F32).unwrap());
        assert!(error(graph.validate()).contains("test_mask of bool"));
        graph.y = Some(Tensor::zeros(3, DType::F32).unwrap());
        assert!(error(graph.num_classes().map(drop)).contains("classes of int64"));
    }
}
