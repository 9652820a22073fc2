//! The operations: one file per operation or family, and [`Op`], the list of what can be recorded.
//!
//! An operation checks its arguments, computes the value with a kernel and records itself. Most of PyTorch's functions
//! are composites of few primitives; a primitive exists where a composite would be slower or less accurate, and is one
//! variant of [`Op`] with exactly what its gradient rule reads.

pub mod activation;
pub mod arrange;
pub mod attention;
pub mod binary;
pub mod bitwise;
pub mod blocked;
pub mod cast;
pub mod compare;
pub mod complex;
pub mod constant_pad;
pub mod conv;
mod convert;
pub mod create;
pub mod custom;
pub mod distance;
pub mod dropout;
pub mod einsum;
pub mod embedding;
pub mod extreme;
pub mod fft;
pub mod flatten;
pub mod fold;
pub mod gather;
pub mod getitem;
pub mod grid;
pub mod grid_sample;
pub mod in_place;
pub mod index;
pub mod interpolate;
pub mod join;
pub mod linalg;
pub mod linear;
pub mod linear_map;
pub mod loss;
pub mod mask;
pub mod masked;
pub mod matmul;
pub mod moments;
pub mod multi_head_attention;
pub mod norm;
pub mod norm_reduce;
pub mod normalize;
pub mod pad;
pub mod pointwise;
pub mod pool;
pub mod products;
pub mod range;
pub mod reduce;
pub mod rnn;
pub mod scan;
pub mod scatter;
pub mod search;
pub mod segment;
pub mod shape;
pub mod slice;
pub mod softmax;
pub mod sort;
pub mod sparse;
pub mod special;
pub mod split;
pub mod statistics;
pub mod stft;
pub mod sum;
pub mod ternary;
pub mod triangular;
pub mod unary;
pub mod view;
pub mod windows;

use crate::tensor::Leaf;

macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident($payload:ty) = $name:expr;)*) => {
        /// A recorded operation with what its gradient rule reads.
        ///
        /// The list is closed on purpose: `flambeau-autograd` matches on it and stops compiling when an operation has
        /// no rule.
        #[derive(Clone, Debug)]
        pub enum Op {
            $($(#[$doc])* $variant($payload),)*
        }

        impl Op {
            /// The names of all variants, for tests that compare tables with this list.
            pub const VARIANTS: &[&str] = &[$(stringify!($variant)),*];

            /// The operation's name, as PyTorch's users know it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Op::$variant(op) => {
                        let name: fn(&$payload) -> &'static str = $name;
                        name(op)
                    })*
                }
            }

            /// The variant's name.
            pub fn variant(&self) -> &'static str {
                match self {
                    $(Op::$variant(_) => stringify!($variant),)*
                }
            }
        }
    };
}

ops! {
    /// Not an operation: a tensor made by the user, which accumulates its gradient.
    Leaf(Leaf) = |_| "leaf";
    /// An operation with a rule of the user's own.
    Custom(custom::CustomOp) = |op| op.function.name();
    /// A function of each element.
    Unary(unary::UnaryOp) = |op| unary::name(op.function);
    /// A function of two broadcast tensors' elements.
    Binary(binary::BinaryOp) = |op| binary::name(op.function);
    /// A function of three broadcast tensors' elements.
    Ternary(Box<ternary::TernaryOp>) = |op| ternary::name(op.function);
    /// Elements of one tensor where a condition holds, of another elsewhere.
    Where(ternary::WhereOp) = |_| "where";
    /// A special function of each element.
    Special(special::SpecialOp) = |op| special::unary_name(op.function);
    /// A special function of two broadcast tensors' elements.
    SpecialBinary(special::SpecialBinaryOp) = |op| special::binary_name(op.function);
    /// Another element type.
    Cast(()) = |_| "to";
    /// The same elements in the same order in another shape.
    Reshape(()) = |_| "reshape";
    /// Dimensions in another order.
    Permute(shape::PermuteOp) = |_| "permute";
    /// Dimensions of size 1 repeated, and new ones in front.
    Expand(()) = |_| "expand";
    /// Elements by shape, strides and offset: slices, basic indexing, diagonals, windows.
    Strided(view::StridedOp) = |op| op.name;
    /// A tensor with another one in the place of a strided view.
    StridedScatter(view::StridedOp) = |op| op.name;
    /// Elements by index tensors: `index_select`, `gather`, advanced indexing.
    Gather(index::IndexOp) = |op| op.name;
    /// A tensor with another one, or a number, written to indexed places.
    Scatter(index::IndexOp) = |op| op.name;
    /// A tensor with another one added at indexed places.
    ScatterAdd(index::IndexOp) = |op| op.name;
    /// A tensor with another one combined with it at indexed places by product, maximum or minimum.
    ScatterReduce(Box<index::ScatterReduceOp>) = |op| op.places.name;
    /// A number in the place of the elements under a mask.
    MaskedFill(mask::MaskedFillOp) = |_| "masked_fill";
    /// One side of a diagonal of matrices.
    Triangle(triangular::TriangleOp) = |op| if op.upper { "triu" } else { "tril" };
    /// A constant added at the ends of dimensions, or elements taken off.
    ConstantPad(constant_pad::ConstantPadOp) = |_| "constant_pad_nd";
    /// Tensors joined along one dimension.
    Cat(join::CatOp) = |_| "cat";
    /// Sum over dimensions.
    Sum(sum::SumOp) = |_| "sum";
    /// Mean over dimensions.
    Mean(sum::MeanOp) = |_| "mean";
    /// Product over dimensions.
    Prod(reduce::ProdOp) = |_| "prod";
    /// Logarithm of a sum of exponentials.
    LogSumExp(reduce::LogSumExpOp) = |_| "logsumexp";
    /// A result that is one of the elements it was reduced from.
    Extreme(extreme::ExtremeOp) = |op| op.name;
    /// Variance or standard deviation.
    Variance(moments::VarianceOp) = |op| if op.std.is_some() { "std" } else { "var" };
    /// Norm over dimensions.
    VectorNorm(norm_reduce::VectorNormOp) = |_| "vector_norm";
    /// Running sum.
    CumSum(scan::CumSumOp) = |_| "cumsum";
    /// Running product.
    CumProd(scan::ScanOp) = |_| "cumprod";
    /// Running logarithm of a sum of exponentials.
    LogCumSumExp(scan::ScanOp) = |_| "logcumsumexp";
    /// Softmax or its logarithm.
    Softmax(softmax::SoftmaxOp) = |op| if op.log { "log_softmax" } else { "softmax" };
    /// Reduction of consecutive runs.
    SegmentReduce(segment::SegmentReduceOp) = |_| "segment_reduce";
    /// Cross-entropy of class indices.
    CrossEntropy(loss::CrossEntropyOp) = |_| "cross_entropy";
    /// Binary cross-entropy of probabilities.
    BinaryCrossEntropy(loss::BinaryCrossEntropyOp) = |_| "binary_cross_entropy";
    /// Matrix product over the last two dimensions.
    Matmul(matmul::MatmulOp) = |_| "matmul";
    /// Product of a sparse matrix and a dense one.
    SparseMatmul(sparse::SparseMatmulOp) = |_| "sparse.mm";
    /// Elements of a product of dense matrices.
    SampledMatmul(sparse::SampledMatmulOp) = |_| "sparse.sampled_addmm";
    /// A linear map: padding, interpolation, average pooling, sliding blocks, selections, look-ups.
    LinearMap(linear_map::LinearMapOp) = |op| op.name();
    /// A linear layer.
    Linear(linear::LinearOp) = |_| "linear";
    /// A convolution, or a derivative of one.
    Conv(conv::ConvOp) = conv::name;
    /// A normalisation: batch, group, layer or RMS norm.
    Norm(norm::NormOp) = norm::name;
    /// Scaled-dot-product attention.
    Attention(attention::AttentionOp) = |_| "scaled_dot_product_attention";
    /// Rows of a table combined by bags.
    EmbeddingBag(embedding::EmbeddingBagOp) = |_| "embedding_bag";
    /// Sampling at the points of a grid.
    GridSample(grid_sample::GridSampleOp) = |_| "grid_sample";
    /// Solutions of linear systems.
    Solve(linalg::solve::SolveOp) = |_| "linalg.solve";
    /// Solutions of triangular systems.
    SolveTriangular(linalg::solve::SolveTriangularOp) = |_| "linalg.solve_triangular";
    /// Inverses of matrices.
    Inverse(linalg::solve::InverseOp) = |_| "linalg.inv";
    /// LU factors in one matrix.
    Lu(linalg::lu::LuOp) = |_| "linalg.lu_factor";
    /// Determinants.
    Det(linalg::determinant::DetOp) = |_| "linalg.det";
    /// Signs and logarithms of determinants.
    Slogdet(linalg::determinant::SlogdetOp) = |_| "linalg.slogdet";
    /// Cholesky factors.
    Cholesky(linalg::cholesky::CholeskyOp) = |_| "linalg.cholesky";
    /// QR factors.
    Qr(linalg::qr::QrOp) = |_| "linalg.qr";
    /// Eigenvalues and eigenvectors of symmetric matrices.
    Eigh(linalg::eigen::EighOp) = |_| "linalg.eigh";
    /// Eigenvalues and eigenvectors of general matrices.
    Eig(linalg::eigen::EigOp) = |_| "linalg.eig";
    /// Singular vectors and values.
    Svd(linalg::svd::SvdOp) = |_| "linalg.svd";
    /// Pseudo-inverses.
    Pinv(linalg::pinv::PinvOp) = |_| "linalg.pinv";
    /// Fourier transforms of complex numbers over one dimension.
    Fft(fft::FftOp) = |_| "fft.fft";
    /// Fourier transforms of real numbers over one dimension.
    Rfft(fft::RealFftOp) = |_| "fft.rfft";
    /// Fourier transforms to real numbers over one dimension.
    Irfft(fft::RealFftOp) = |_| "fft.irfft";
    /// Overlapping frames of signals.
    Frame(stft::FramesOp) = |_| "stft";
    /// Overlapping frames added up.
    OverlapAdd(stft::FramesOp) = |_| "istft";
    /// A recurrent layer in one direction.
    Rnn(rnn::RnnOp) = rnn::name;
}
