//! CPU kernels: slices in, slices out.
//!
//! Every kernel is one generic source, compiled for AVX-512, AVX2 + FMA and the portable baseline and chosen at run
//! time ([`isa`]); large calls are split over a thread pool ([`pool`]) into pieces whose bounds depend on the sizes
//! alone, so that results are the same bits whatever the number of threads. Temporary and result memory comes from
//! a size-class pool ([`mem`]). Shapes are the caller's business: functions here document what they expect and
//! check it by assertions on slice lengths.

pub mod attention;
pub mod binary;
pub mod blocked;
pub mod cast;
pub mod conv;
pub mod copy;
pub mod ctc;
mod dots;
pub mod element;
mod elementwise;
pub mod embedding;
#[cfg(feature = "fft")]
pub mod fft;
pub mod fold;
pub mod frames;
pub mod gemm;
pub mod grid_sample;
pub mod index;
pub mod interpolate;
pub mod isa;
pub mod jpeg;
mod lanes;
pub mod linalg;
pub mod loss;
pub mod math;
pub mod mem;
pub mod norm;
pub mod optimizer;
pub mod pad;
pub mod pool;
pub mod pooling;
pub mod random;
pub mod reduce;
pub mod rnn;
pub mod scan;
pub mod search;
pub mod simd;
pub mod softmax;
pub mod sort;
pub mod special;
pub mod ternary;
pub mod unary;
pub mod view;

#[cfg(test)]
mod testing;
