//! `graph/*`: message passing over large graphs.

use anyhow::Result;
use flambeau_autograd::Backward;
use flambeau_graph::{
    Aggregation, Edges, GATConv, GATConvOptions, GCNConv, GCNConvOptions, SAGEConv, SAGEConvOptions,
};
use flambeau_nn::Module;
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Result as TensorResult, Tensor};

use crate::workload::{Call, Workload};

const NODES: usize = 1_000_000;
const EDGES: usize = 10_000_000;
const FEATURES: usize = 16;

/// All workloads of this group: a forward and a backward pass over 10⁷ random edges between 10⁶ nodes with 16 features.
pub(crate) fn workloads() -> [Workload; 5] {
    [
        Workload::new("graph/sort_n1e6_e1e7", sort),
        Workload::new("graph/gcn_n1e6_e1e7_f16", || {
            let layer = GCNConv::new(FEATURES, FEATURES, GCNConvOptions::default())?;
            pass(layer.parameters(), move |x, edges| layer.forward(x, edges))
        }),
        Workload::new("graph/sage_mean_n1e6_e1e7_f16", || sage(Aggregation::Mean)),
        Workload::new("graph/sage_max_n1e6_e1e7_f16", || sage(Aggregation::Max)),
        Workload::new("graph/gat_n1e6_e1e7_h2_f8", || {
            let options = GATConvOptions {
                heads: 2,
                ..Default::default()
            };
            let layer = GATConv::new(FEATURES, FEATURES / 2, options)?;
            pass(layer.parameters(), move |x, edges| layer.forward(x, edges))
        }),
    ]
}

fn edge_index() -> Result<Tensor> {
    Ok(Generator::new(0).randint(0, NODES as i64, (2, EDGES), DType::I64)?)
}

fn sort() -> Result<Call> {
    let edge_index = edge_index()?;
    Ok(Call::new(move || Ok(Edges::new(&edge_index, NODES).map(drop)?)))
}

fn sage(aggregation: Aggregation) -> Result<Call> {
    let options = SAGEConvOptions {
        aggregation,
        ..Default::default()
    };
    let layer = SAGEConv::new(FEATURES, FEATURES, options)?;
    pass(layer.parameters(), move |x, edges| layer.forward(x, edges))
}

/// A forward and a backward pass of a layer.
fn pass(
    parameters: Vec<Tensor>,
    forward: impl Fn(&Tensor, &Edges) -> TensorResult<Tensor> + 'static,
) -> Result<Call> {
    let edges = Edges::new(&edge_index()?, NODES)?;
    let x = Generator::new(1)
        .randn((NODES, FEATURES), DType::F32)?
        .requires_grad(true)?;
    Ok(Call::new(move || {
        for leaf in parameters.iter().chain([&x]) {
            leaf.zero_grad();
        }
        Ok(forward(&x, &edges)?.sum()?.backward()?)
    }))
}
