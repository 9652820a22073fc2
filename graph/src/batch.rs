//! Several graphs as one, whose adjacency matrix has theirs as blocks on its diagonal (`torch_geometric.data.Batch`).

use flambeau_tensor::{Result, Tensor, ensure};

use crate::Graph;

/// Several graphs as one. [`Batch::from_graphs`] is what a `DataLoader` over graphs takes to collate.
///
/// ```
/// use flambeau_data::DataLoader;
/// use flambeau_graph::{Batch, Graph, global_mean_pool};
/// use flambeau_tensor::{DType, Result, Tensor};
///
/// fn main() -> Result<()> {
///     let graph = |nodes: usize| -> Result<Graph> {
///         let mut graph = Graph::new(Tensor::new([[0i64], [1]])?, nodes)?;
///         graph.x = Some(Tensor::ones((nodes, 3), DType::F32)?);
///         Ok(graph)
///     };
///     let graphs = vec![graph(2)?, graph(5)?, graph(3)?];
///     let loader = DataLoader::builder(graphs).batch_size(2).collate(Batch::from_graphs).build()?;
///     for batch in &loader {
///         let batch = batch?;
///         let pooled = global_mean_pool(batch.graph.x()?, &batch)?;
///         assert_eq!(pooled.shape(), [batch.num_graphs(), 3]);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    /// All graphs as one.
    pub graph: Graph,
    /// The graph of each node, `[nodes]`, ascending.
    pub batch: Tensor,
    /// Where the nodes of each graph begin, and the number of nodes: `[graphs + 1]`.
    pub ptr: Tensor,
    /// Nodes, edges and rows of `y` of each graph.
    counts: Vec<[usize; 3]>,
}

impl Batch {
    /// Several graphs as one: nodes are numbered on, and what belongs to them, to edges or to graphs stands one after the
    /// other.
    ///
    /// # Errors
    /// `Value` if there is no graph, or some have what others have not; those of [`Graph::validate`]; `Shape` and `DType` if
    /// features don't fit together.
    pub fn from_graphs(graphs: Vec<Graph>) -> Result<Batch> {
        ensure!(
            !graphs.is_empty(),
            Value,
            "Batch: expected at least one graph, got none"
        );
        let mut indices = Vec::with_capacity(graphs.len());
        let (mut nodes, mut batch, mut ptr, mut counts) = (0, Vec::new(), vec![0i64], Vec::new());
        for (i, graph) in graphs.iter().enumerate() {
            graph.validate()?;
            indices.push(graph.edge_index.add(nodes as i64)?);
            nodes += graph.num_nodes;
            batch.resize(nodes, i as i64);
            ptr.push(nodes as i64);
            let of_y = graph
                .y
                .as_ref()
                .map_or(0, |y| y.shape().first().copied().unwrap_or(1));
            counts.push([graph.num_nodes, graph.num_edges(), of_y]);
        }
        let graph = Graph {
            num_nodes: nodes,
            edge_index: Tensor::cat(&indices.iter().collect::<Vec<_>>(), 1)?,
            x: join("x", &graphs, |graph| &graph.x)?,
            edge_attr: join("edge_attr", &graphs, |graph| &graph.edge_attr)?,
            y: join("y", &graphs, |graph| &graph.y)?,
            pos: join("pos", &graphs, |graph| &graph.pos)?,
            train_mask: join("train_mask", &graphs, |graph| &graph.train_mask)?,
            val_mask: join("val_mask", &graphs, |graph| &graph.val_mask)?,
            test_mask: join("test_mask", &graphs, |graph| &graph.test_mask)?,
        };
        Ok(Batch {
            graph,
            batch: Tensor::from_vec(batch, nodes)?,
            ptr: Tensor::from_vec(ptr, counts.len() + 1)?,
            counts,
        })
    }

    /// How many graphs there are.
    pub fn num_graphs(&self) -> usize {
        self.counts.len()
    }

    /// The graphs one by one (`to_data_list`).
    ///
    /// # Errors
    /// None for a batch whose graph is as it was made.
    pub fn to_graphs(&self) -> Result<Vec<Graph>> {
        let mut from = [0usize; 3];
        let mut graphs = Vec::with_capacity(self.counts.len());
        for count in &self.counts {
            let part = |tensor: &Option<Tensor>, of: usize| {
                let cut = |tensor: &Tensor| tensor.narrow(0, from[of] as isize, count[of]);
                tensor.as_ref().map(cut).transpose()
            };
            graphs.push(Graph {
                num_nodes: count[0],
                edge_index: self
                    .graph
                    .edge_index
                    .narrow(1, from[1] as isize, count[1])?
                    .sub(from[0] as i64)?,
                x: part(&self.graph.x, 0)?,
                edge_attr: part(&self.graph.edge_attr, 1)?,
                y: part(&self.graph.y, 2)?,
                pos: part(&self.graph.pos, 0)?,
                train_mask: part(&self.graph.train_mask, 0)?,
                val_mask: part(&self.graph.val_mask, 0)?,
                test_mask: part(&self.graph.test_mask, 0)?,
            });
            for (from, count) in from.iter_mut().zip(count) {
                *from += count;
            }
        }
        Ok(graphs)
    }
}

/// What belongs to the graphs, one after the other.
fn join(name: &str, graphs: &[Graph], of: impl Fn(&Graph) -> &Option<Tensor>) -> Result<Option<Tensor>> {
    let parts: Vec<&Tensor> = graphs.iter().filter_map(|graph| of(graph).as_ref()).collect();
    ensure!(
        parts.is_empty() || parts.len() == graphs.len(),
        Value,
        "Batch: expected {name} of all graphs or of none, got it of {} among {}",
        parts.len(),
        graphs.len()
    );
    if parts.is_empty() {
        return Ok(None);
    }
    let rows = |part: &&Tensor| {
        if part.rank() == 0 {
            part.unsqueeze(0)
        } else {
            Ok((*part).clone())
        }
    };
    let parts = parts.iter().map(rows).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0)
        .map(Some)
        .map_err(|error| error.context(format!("Batch: {name}")))
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::DType;

    use super::*;

    fn graph(nodes: usize, pairs: &[[i64; 2]], label: i64) -> Graph {
        let ends = |which: usize| pairs.iter().map(move |pair| pair[which]);
        let index = Tensor::from_vec(ends(0).chain(ends(1)).collect(), (2, pairs.len())).unwrap();
        let mut graph = Graph::new(index, nodes).unwrap();
        let numbers = (0..2 * nodes).map(|i| (10 * label + i as i64) as f32).collect();
        graph.x = Some(Tensor::from_vec(numbers, (nodes, 2)).unwrap());
        graph.edge_attr = Some(Tensor::full(pairs.len(), label as f64, DType::F32).unwrap());
        graph.y = Some(Tensor::new([label]).unwrap());
        graph
    }

    #[test]
    fn graphs_are_numbered_on_and_come_back() {
        let graphs = vec![
            graph(2, &[[0, 1], [1, 1]], 1),
            graph(1, &[], 0),
            graph(3, &[[2, 0]], 4),
        ];
        let batch = Batch::from_graphs(graphs.clone()).unwrap();
        assert_eq!(batch.num_graphs(), 3);
        assert_eq!(
            batch.graph.edge_index.to_vec::<i64>().unwrap(),
            [0, 1, 5, 1, 1, 3]
        );
        assert_eq!(batch.batch.to_vec::<i64>().unwrap(), [0, 0, 1, 2, 2, 2]);
        assert_eq!(batch.ptr.to_vec::<i64>().unwrap(), [0, 2, 3, 6]);
        assert_eq!(batch.graph.y().unwrap().to_vec::<i64>().unwrap(), [1, 0, 4]);
        for (back, graph) in batch.to_graphs().unwrap().iter().zip(&graphs) {
            assert_eq!(back.num_nodes, graph.num_nodes);
            for (a, b) in [
                (&back.edge_index, &graph.edge_index),
                (back.y().unwrap(), graph.y().unwrap()),
            ] {
                assert_eq!(a.shape(), b.shape());
                assert_eq!(a.to_vec::<i64>().unwrap(), b.to_vec::<i64>().unwrap());
            }
            let values = |graph: &Graph| {
                [graph.x().unwrap(), graph.edge_attr().unwrap()].map(|t| t.to_vec::<f32>().unwrap())
            };
            assert_eq!(values(back), values(graph));
        }
    }

    #[test]
    fn graphs_that_do_not_fit_together_are_refused() {
        let error = |graphs| Batch::from_graphs(graphs).unwrap_err().to_string();
        assert!(error(vec![]).contains("at least one graph"));
        let mut without = graph(2, &[], 0);
        without.x = None;
        assert_eq!(
            error(vec![graph(2, &[], 0), without]),
            "Batch: expected x of all graphs or of none, got it of 1 among 2"
        );
        let mut wider = graph(2, &[], 0);
        wider.x = Some(Tensor::zeros((2, 3), DType::F32).unwrap());
        assert!(error(vec![graph(2, &[], 0), wider]).contains("Batch: x"));
    }
}
