//! The gradient rules, one file per operation with the stem of its file in `flambeau_tensor::ops`.
//!
//! A rule gets the gradients of the outputs and what the operation saved, and returns the gradient of each input. It is
//! written with recorded tensor operations, so that it can be differentiated again. A gradient may have the shape to
//! which its input was broadcast; the engine sums it back.

use std::sync::Arc;

use flambeau_tensor::graph::{Node, Op, Saved};
use flambeau_tensor::{Result, Tensor, bail};
use smallvec::{SmallVec, smallvec};

mod attention;
mod binary;
mod constant_pad;
mod conv;
mod custom;
mod embedding;
mod extreme;
mod fft;
mod grid_sample;
mod index;
mod join;
mod linalg;
mod linear;
mod linear_map;
mod loss;
mod mask;
mod matmul;
mod moments;
mod norm;
mod norm_reduce;
mod reduce;
mod rnn;
mod scan;
mod segment;
mod shape;
mod softmax;
mod sparse;
mod special;
mod stft;
mod sum;
mod ternary;
mod triangular;
mod unary;
mod view;

/// One gradient per input; `None` where there is none or none is needed.
pub(crate) type Grads = SmallVec<[Option<Tensor>; 3]>;

/// What a rule sees of the walk.
pub(crate) struct Context<'a> {
    pub(crate) node: &'a Arc<Node>,
    pub(crate) grads: &'a [Option<Tensor>],
    pub(crate) needs: &'a [bool],
}

impl Context<'_> {
    /// The gradient of the only output.
    pub(crate) fn grad(&self) -> Result<&Tensor> {
        match self.grads {
            [Some(grad)] => Ok(grad),
            _ => bail!(
                Autograd,
                "backward: expected one gradient, got {} slots",
                self.grads.len()
            ),
        }
    }

    /// Whether the gradient of input `i` is needed.
    pub(crate) fn needs(&self, i: usize) -> bool {
        self.needs.get(i).copied().unwrap_or(false)
    }

    /// A saved tensor, with its history.
    pub(crate) fn tensor(&self, saved: &Saved) -> Tensor {
        saved.tensor(self.node)
    }

    /// A saved tensor that the operation keeps only in some cases, this one among them.
    pub(crate) fn kept(&self, saved: &Option<Saved>) -> Result<Tensor> {
        match saved {
            Some(saved) => Ok(self.tensor(saved)),
            None => bail!(
                Autograd,
                "backward of {}: a value that the rule reads was not saved",
                self.node.name()
            ),
        }
    }

    /// The shape of input `i`.
    pub(crate) fn input_shape(&self, i: usize) -> Result<&[usize]> {
        match self.node.inputs().get(i) {
            Some(Some(edge)) => Ok(edge.shape()),
            _ => bail!(Autograd, "backward: input {i} is not tracked"),
        }
    }
}

/// The gradients of an operation with one input.
pub(crate) fn one(grad: Tensor) -> Result<Grads> {
    Ok(smallvec![Some(grad)])
}

/// The gradient, but 0 where `mask` is true: also where the gradient itself is infinite or NaN.
pub(crate) fn zero_where(mask: &Tensor, grad: &Tensor) -> Result<Tensor> {
    mask.where_cond(0.0, grad)
}

/// Applies the rule of `op`.
pub(crate) fn backward(op: &Op, cx: &Context<'_>) -> Result<Grads> {
    match op {
        Op::Leaf(_) => Ok(Grads::new()),
        Op::Custom(op) => custom::backward(op, cx),
        Op::Unary(op) => unary::backward(op, cx),
        Op::Binary(op) => binary::backward(op, cx),
        Op::Ternary(op) => ternary::backward(op, cx),
        Op::Where(op) => ternary::choice(op, cx),
        Op::Special(op) => special::unary(op, cx),
        Op::SpecialBinary(op) => special::binary(op, cx),
        Op::Cast(()) | Op::Expand(()) => one(cx.grad()?.clone()), // the engine casts and sums back
        Op::Reshape(()) => shape::reshape(cx),
        Op::Permute(op) => shape::permute(op, cx),
        Op::Strided(op) => view::strided(op, cx),
        Op::StridedScatter(op) => view::strided_scatter(op, cx),
        Op::Gather(op) => index::gather(op, cx),
        Op::Scatter(op) => index::scatter(op, cx),
        Op::ScatterAdd(op) => index::scatter_add(op, cx),
        Op::ScatterReduce(op) => index::scatter_reduce(op, cx),
        Op::MaskedFill(op) => mask::masked_fill(op, cx),
        Op::Triangle(op) => triangular::triangle(*op, cx),
        Op::ConstantPad(op) => constant_pad::backward(op, cx),
        Op::Cat(op) => join::cat(op, cx),
        Op::Sum(op) => sum::backward(op, cx),
        Op::Mean(op) => sum::mean(op, cx),
        Op::Prod(op) => reduce::prod(op, cx),
        Op::LogSumExp(op) => reduce::logsumexp(op, cx),
        Op::Extreme(op) => extreme::backward(op, cx),
        Op::Variance(op) => moments::backward(op, cx),
        Op::VectorNorm(op) => norm_reduce::backward(op, cx),
        Op::CumSum(op) => scan::cumsum(op, cx),
        Op::CumProd(op) => scan::cumprod(op, cx),
        Op::LogCumSumExp(op) => scan::logcumsumexp(op, cx),
        Op::Softmax(op) => softmax::backward(op, cx),
        Op::SegmentReduce(op) => segment::backward(op, cx),
        Op::CrossEntropy(op) => loss::cross_entropy(op, cx),
        Op::BinaryCrossEntropy(op) => loss::binary_cross_entropy(op, cx),
        Op::Matmul(op) => matmul::backward(op, cx),
        Op::SparseMatmul(op) => sparse::matmul(op, cx),
        Op::SampledMatmul(op) => sparse::sampled(op, cx),
        Op::LinearMap(op) => linear_map::backward(op, cx),
        Op::Linear(op) => linear::backward(op, cx),
        Op::Conv(op) => conv::backward(op, cx),
        Op::Norm(op) => norm::backward(op, cx),
        Op::Attention(op) => attention::backward(op, cx),
        Op::EmbeddingBag(op) => embedding::backward(op, cx),
        Op::GridSample(op) => grid_sample::backward(op, cx),
        Op::Solve(op) => linalg::solve::solve(op, cx),
        Op::SolveTriangular(op) => linalg::solve::solve_triangular(op, cx),
        Op::Inverse(op) => linalg::solve::inverse(op, cx),
        Op::Lu(op) => linalg::lu::backward(op, cx),
        Op::Det(op) => linalg::determinant::det(op, cx),
        Op::Slogdet(op) => linalg::determinant::slogdet(op, cx),
        Op::Cholesky(op) => linalg::cholesky::backward(op, cx),
        Op::Qr(op) => linalg::qr::backward(op, cx),
        Op::Eigh(op) => linalg::eigen::eigh(op, cx),
        Op::Eig(op) => linalg::eigen::eig(op, cx),
        Op::Svd(op) => linalg::svd::backward(op, cx),
        Op::Pinv(op) => linalg::pinv::backward(op, cx),
        Op::Fft(op) => fft::fft(op, cx),
        Op::Rfft(op) => fft::rfft(op, cx),
        Op::Irfft(op) => fft::irfft(op, cx),
        Op::Frame(op) => stft::frame(op, cx),
        Op::OverlapAdd(op) => stft::overlap_add(op, cx),
        Op::Rnn(op) => rnn::backward(op, cx),
    }
}
