//! Convolutions one after the other: `torch_geometric.nn.GCN`, `GraphSAGE`, `GAT`, `GIN`, with their keys (`convs.0.…`).

use flambeau_nn::{Dropout, Forward, Module};
use flambeau_tensor::{Result, Tensor, ensure};

use crate::{ChebConv, EdgeConv, Edges, GATConv, GATv2Conv, GCNConv, GINConv, GraphConv, SAGEConv};

/// A layer that gives the nodes of a graph new features: what can stand in a [`GNN`].
pub trait Convolution: Module {
    /// The new features of the nodes.
    ///
    /// # Errors
    /// As the layer says.
    fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor>;
}

macro_rules! convolutions {
    ($([$($network:ident)?] $layer:ty),* $(,)?) => { $(
        impl $(<$network: Forward>)? Convolution for $layer {
            fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
                self.forward(x, edges)
            }
        }
    )* };
}
convolutions!(
    [] ChebConv,
    [N] EdgeConv<N>,
    [] GATConv,
    [] GATv2Conv,
    [] GCNConv,
    [N] GINConv<N>,
    [] GraphConv,
    [] SAGEConv,
);

/// Convolutions one after the other, with an activation and dropout between them.
///
/// ```
/// use flambeau_graph::datasets::karate_club;
/// use flambeau_graph::models::GNN;
/// use flambeau_graph::{GCNConv, GCNConvOptions};
/// use flambeau_nn::Module;
/// use flambeau_tensor::{Result, Tensor};
///
/// fn main() -> Result<()> {
///     let club = karate_club()?;
///     let layer = |inputs, outputs| GCNConv::new(inputs, outputs, GCNConvOptions::default());
///     let model = GNN::new(Tensor::relu, 0.5)?.push(layer(34, 16)?).push(layer(16, 2)?);
///     let edges = club.edges()?.with_self_loops()?;
///     assert_eq!(model.forward(club.x()?, &edges)?.shape(), [34, 2]);
///     assert_eq!(model.named_parameters()[1].0, "convs.0.lin.weight");
///     Ok(())
/// }
/// ```
#[derive(Module)]
pub struct GNN {
    /// The layers.
    pub convs: Vec<Box<dyn Convolution>>,
    /// What drops features between them.
    pub dropout: Dropout,
    #[module(skip)]
    activation: fn(&Tensor) -> Result<Tensor>,
}

impl std::fmt::Debug for GNN {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GNN of {} convolutions", self.convs.len())
    }
}

impl GNN {
    /// No layers yet.
    ///
    /// # Errors
    /// `Value` unless `dropout` is between 0 and 1.
    pub fn new(activation: fn(&Tensor) -> Result<Tensor>, dropout: f64) -> Result<GNN> {
        Ok(GNN {
            convs: Vec::new(),
            dropout: Dropout::new(dropout)?,
            activation,
        })
    }

    /// Adds a layer.
    pub fn push(mut self, layer: impl Convolution + 'static) -> GNN {
        self.convs.push(Box::new(layer));
        self
    }

    /// The last layer's features.
    ///
    /// # Shapes
    /// `[nodes, in_channels] → [nodes, out_channels]`.
    ///
    /// # Errors
    /// Those of the layers; `Value` if there are none.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        ensure!(!self.convs.is_empty(), Value, "GNN: expected layers, got none");
        let mut x = x.clone();
        for (i, layer) in self.convs.iter().enumerate() {
            if i > 0 {
                x = self.dropout.forward(&(self.activation)(&x)?)?;
            }
            x = layer.forward(&x, edges)?;
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use flambeau_autograd::Backward;
    use flambeau_nn::{Linear, LinearOptions};
    use flambeau_tensor::random;

    use super::*;
    use crate::Aggregation;
    use crate::datasets::karate_club;

    #[test]
    fn every_kind_of_layer_learns_in_a_stack() {
        let linear = |inputs| Linear::new(inputs, 6, LinearOptions::default()).unwrap();
        let model = random::fork(0, || {
            GNN::new(Tensor::tanh, 0.0)
                .unwrap()
                .push(GCNConv::new(34, 6, Default::default()).unwrap())
                .push(SAGEConv::new(6, 6, Default::default()).unwrap())
                .push(GATConv::new(6, 6, Default::default()).unwrap())
                .push(GATv2Conv::new(6, 6, Default::default()).unwrap())
                .push(GINConv::new(linear(6), Default::default()).unwrap())
                .push(GraphConv::new(6, 6, Default::default()).unwrap())
                .push(ChebConv::new(6, 6, 3, Default::default()).unwrap())
                .push(EdgeConv::new(linear(12), Aggregation::Max))
        });
        let club = karate_club().unwrap();
        let edges = club.edges().unwrap().with_self_loops().unwrap();
        let out = model.forward(club.x().unwrap(), &edges).unwrap();
        out.square().unwrap().sum().unwrap().backward().unwrap();
        for (name, parameter) in model.named_parameters() {
            let grad = parameter.grad().unwrap().abs().unwrap().max().unwrap();
            assert!(grad.item::<f32>().unwrap() > 0.0, "{name}");
        }
        let none = GNN::new(Tensor::relu, 0.0).unwrap();
        let error = none.forward(club.x().unwrap(), &edges).unwrap_err().to_string();
        assert_eq!(error, "GNN: expected layers, got none");
    }
}
