//! The graph isomorphism operator `x'ᵢ = h((1 + ε)·xᵢ + Σⱼ xⱼ)`, of "How Powerful are Graph Neural Networks?" (Xu et al., 2018,
//! arXiv:1810.00826); `torch_geometric.nn.GINConv`.

use flambeau_nn::{Buffer, Forward, Module, Parameter};
use flambeau_tensor::{Result, Tensor};

use crate::{Aggregation, Edges, MessagePassing};

/// Options of [`GINConv`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GINConvOptions {
    /// `ε`, or what it is at first.
    pub eps: f32,
    /// Whether `ε` is learnt.
    pub train_eps: bool,
}

/// The graph isomorphism operator around a network `h` that works on each node by itself.
///
/// # Shapes
/// `[nodes, in_channels] → [nodes, out_channels]`, as `h` has them.
#[derive(Debug, Module)]
pub struct GINConv<N> {
    /// `ε` if it is learnt, `[1]`.
    #[module(rename = "eps")]
    learnt_eps: Option<Parameter>,
    /// `ε` if it is not.
    #[module(rename = "eps")]
    fixed_eps: Option<Buffer>,
    /// `h`.
    pub nn: N,
}

impl<N: Forward> MessagePassing for GINConv<N> {
    fn message_and_aggregate(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
        edges.gather(x, Aggregation::Sum)
    }
}

impl<N: Forward> GINConv<N> {
    /// A layer around a network.
    ///
    /// # Errors
    /// None that depends on the values.
    pub fn new(nn: N, options: GINConvOptions) -> Result<GINConv<N>> {
        let eps = Tensor::new([options.eps])?;
        let (learnt_eps, fixed_eps) = match options.train_eps {
            true => (Some(Parameter::new(eps)?), None),
            false => (None, Some(Buffer::new(eps))),
        };
        Ok(GINConv {
            learnt_eps,
            fixed_eps,
            nn,
        })
    }

    /// The new features of the nodes.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node; those of the network.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        let arrived = self.propagate(edges, x)?;
        let own = match (&self.learnt_eps, &self.fixed_eps) {
            (Some(eps), _) => x.mul(&eps.tensor().add(1.0)?)?,
            (None, Some(eps)) => x.mul(&eps.tensor().add(1.0)?)?,
            (None, None) => x.clone(),
        };
        self.nn.forward(&arrived.add(&own)?)
    }
}
