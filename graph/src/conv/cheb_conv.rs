//! Chebyshev's spectral convolution `X' = Σₖ Tₖ(L̂)·X·Wₖᵀ + b` with `L̂ = 2·L/λ - 1`, of "Convolutional Neural Networks on Graphs with
//! Fast Localized Spectral Filtering" (Defferrard et al., 2016, arXiv:1606.09375); `torch_geometric.nn.ChebConv`.

use flambeau_nn::{Forward, Linear, Module, Parameter};
use flambeau_tensor::{Result, Tensor, ensure};

use super::gcn_conv::inverse_root;
use super::{biased, glorot_linear, zero_bias};
use crate::Edges;

/// How the Laplacian `L` is normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// `1 - D^(-1/2)·A·D^(-1/2)`.
    #[default]
    Sym,
    /// `1 - D^(-1)·A`.
    Rw,
    /// `D - A`.
    None,
}

/// Options of [`ChebConv`].
#[derive(Clone, Copy, Debug)]
pub struct ChebConvOptions {
    /// How the Laplacian is normalised.
    pub normalization: Normalization,
    /// The largest eigenvalue `λ` of the Laplacian, if it is known; otherwise, twice its largest element.
    pub lambda_max: Option<f64>,
    /// Whether a bias is learnt.
    pub bias: bool,
}

impl Default for ChebConvOptions {
    fn default() -> Self {
        ChebConvOptions {
            normalization: Normalization::Sym,
            lambda_max: None,
            bias: true,
        }
    }
}

/// Chebyshev's spectral convolution. Self-loops among the edges do not count.
///
/// # Shapes
/// `[nodes, in_channels] → [nodes, out_channels]`.
#[derive(Clone, Debug, Module)]
pub struct ChebConv {
    /// `[out_channels]`.
    pub bias: Option<Parameter>,
    /// Weights of each polynomial, `[out_channels, in_channels]`.
    pub lins: Vec<Linear>,
    #[module(skip)]
    options: ChebConvOptions,
}

impl ChebConv {
    /// A layer with `k` polynomials, Glorot's weights and a bias of zeros.
    ///
    /// # Errors
    /// `Value` unless `k` is positive; `Shape` if the weights are larger than memory can address.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        k: usize,
        options: ChebConvOptions,
    ) -> Result<ChebConv> {
        ensure!(
            k > 0,
            Value,
            "ChebConv: expected at least one polynomial, got k = 0"
        );
        let lins = (0..k).map(|_| glorot_linear(in_channels, out_channels));
        Ok(ChebConv {
            lins: lins.collect::<Result<_>>()?,
            bias: zero_bias(options.bias, out_channels)?,
            options,
        })
    }

    /// The new features of the nodes.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        let (across, diagonal) = self.scaled_laplacian(x, edges)?;
        let apply = |x: &Tensor| edges.matmul(x, Some(&across))?.add(&x.mul(&diagonal)?);
        let mut terms = [x.clone(), x.clone()];
        let mut out: Option<Tensor> = None;
        for (k, lin) in self.lins.iter().enumerate() {
            let term = match k {
                0 => x.clone(),
                1 => apply(x)?,
                _ => apply(&terms[1])?.mul(2.0)?.sub(&terms[0])?,
            };
            let part = lin.forward(&term)?;
            out = Some(match out {
                Some(out) => out.add(&part)?,
                None => part,
            });
            let [_, last] = terms;
            terms = [last, term];
        }
        biased(out.unwrap_or_else(|| x.clone()), &self.bias)
    }

    /// `L̂`: its elements at the edges, `[edges]`, and on the diagonal, `[nodes, 1]`.
    fn scaled_laplacian(&self, x: &Tensor, edges: &Edges) -> Result<(Tensor, Tensor)> {
        let dtype = x.dtype();
        let adjacent = edges.sources().ne(edges.targets())?.to_dtype(dtype)?;
        let nodes = Tensor::ones(edges.nodes(), dtype)?;
        let degrees = edges.matmul_reversed(&nodes, Some(&adjacent))?;
        let (across, diagonal) = match self.options.normalization {
            Normalization::Sym => {
                let scale = inverse_root(&degrees)?;
                let ends = edges.from_sources(&scale)?.mul(&edges.from_targets(&scale)?)?;
                (adjacent.mul(&ends)?, nodes)
            }
            Normalization::Rw => {
                let scale = degrees.reciprocal()?.masked_fill(&degrees.eq(0)?, 0)?;
                (adjacent.mul(&edges.from_sources(&scale)?)?, nodes)
            }
            Normalization::None => (adjacent, degrees),
        };
        let lambda = match self.options.lambda_max {
            Some(lambda) => lambda,
            None if edges.nodes() == 0 => 1.0,
            None => 2.0 * diagonal.max()?.item_f64()?,
        };
        // Without edges there is nothing to scale.
        let scale = if lambda == 0.0 { 0.0 } else { 2.0 / lambda };
        Ok((across.mul(-scale)?, diagonal.mul(scale)?.sub(1.0)?.unsqueeze(-1)?))
    }
}
