//! Linear maps of one tensor: padding, interpolation, average pooling, sliding blocks, selections, table look-ups.
//!
//! `y = A·x` has the gradient `x̄ = Aᵀ·ȳ`, which is linear again: one primitive with a flag covers the forward pass, the
//! gradient and all higher ones. Each map is a kernel and its transpose; what it is made of (indices, windows) is plain
//! data, kept once for all passes.

use std::sync::Arc;

use flambeau_kernels::element::Float;
use flambeau_kernels::embedding::{embedding, embedding_backward};
use flambeau_kernels::fold::{self, Blocks};
use flambeau_kernels::interpolate::{self, Axis};
use flambeau_kernels::pooling::{self, AvgOptions, Window};
use flambeau_kernels::{index::bincount, pad};

use crate::graph::{Op, Saved, record};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, with_float};

/// A linear map. Leading dimensions of input and output that it does not touch are called planes.
#[derive(Clone, Debug)]
pub enum LinearMap {
    /// Copies of input cells in other places, and zeros (`pad`): for each trailing dimension its input size and the
    /// input position of every output position.
    Pad {
        /// Sizes of the padded dimensions.
        input: Vec<usize>,
        /// For each of them the input positions, or [`pad::OUTSIDE`].
        positions: Vec<Vec<usize>>,
    },
    /// Copies of the nearest cells (`interpolate`).
    Nearest {
        /// Sizes of the resampled dimensions.
        input: Vec<usize>,
        /// For each of them the input positions.
        positions: Vec<Vec<usize>>,
    },
    /// Linear or cubic interpolation along each trailing dimension.
    Interpolate {
        /// Per dimension.
        axes: Vec<InterpolatedAxis>,
    },
    /// Sliding blocks as columns (`unfold`); the transpose is `fold`.
    Unfold(Blocks),
    /// Means over windows.
    AvgPool {
        /// The windows.
        window: Window,
        /// What is divided by.
        options: AvgOptions,
    },
    /// Means over windows that share the input out.
    AdaptiveAvgPool {
        /// Size of an input plane.
        input: [usize; 3],
        /// Size of an output plane.
        output: [usize; 3],
    },
    /// Elements of each plane by index: the gradient of max pooling, which selects its maxima.
    Select {
        /// For every output element the position in its input plane, `int64`, contiguous, checked.
        indices: Value,
        /// Elements of an input plane.
        input: usize,
        /// Elements of an output plane.
        output: usize,
        /// The windows of which the elements are the largest, where they are.
        window: Option<Window>,
    },
    /// Rows of a table by index (`embedding`).
    Lookup {
        /// The rows, `int64`, contiguous, checked.
        index: Value,
        /// Elements of a row.
        dim: usize,
        /// The row that counts as zero.
        padding_idx: Option<usize>,
        /// Divide by how often the row is looked up.
        scale_grad_by_freq: bool,
    },
}

/// Interpolation along one dimension.
#[derive(Clone, Copy, Debug)]
pub struct InterpolatedAxis {
    /// The kernel.
    pub kernel: interpolate::Kernel,
    /// Size of the input.
    pub input: usize,
    /// Size of the output.
    pub output: usize,
    /// How positions correspond.
    pub options: interpolate::Options,
}

/// A recorded linear map.
#[derive(Clone, Debug)]
pub struct LinearMapOp {
    map: Arc<LinearMap>,
    input: Shape,
    output: Shape,
    transposed: bool,
}

impl LinearMap {
    fn name(&self) -> &'static str {
        match self {
            LinearMap::Pad { .. } => "pad",
            LinearMap::Nearest { .. } | LinearMap::Interpolate { .. } => "interpolate",
            LinearMap::Unfold(_) => "unfold",
            LinearMap::AvgPool { .. } => "avg_pool",
            LinearMap::AdaptiveAvgPool { .. } => "adaptive_avg_pool",
            LinearMap::Select { .. } => "max_pool",
            LinearMap::Lookup { .. } => "embedding",
        }
    }

    /// `out = A·x`.
    fn forward<T: Float + crate::buffer::Stored>(&self, x: &[T], out: &mut [T]) -> Result<()> {
        match self {
            LinearMap::Pad { input, positions } => pad::pad(x, out, input, positions, T::ZERO),
            LinearMap::Nearest { input, positions } => interpolate::nearest(x, out, input, positions),
            LinearMap::Interpolate { axes } => interpolate::interpolate(x, out, &weights(axes)),
            LinearMap::Unfold(blocks) => fold::unfold(x, out, blocks),
            LinearMap::AvgPool { window, options } => pooling::avg_pool(x, out, window, *options),
            LinearMap::AdaptiveAvgPool { input, output } => {
                pooling::adaptive_avg_pool(x, out, *input, *output)
            }
            LinearMap::Select {
                indices,
                input,
                output,
                ..
            } => pooling::max_unpool_backward(x, indices.data::<i64>()?, out, *output, *input),
            LinearMap::Lookup {
                index,
                dim,
                padding_idx,
                scale_grad_by_freq,
            } => {
                let index = index.data::<i64>()?;
                embedding(x, index, out, *dim);
                if padding_idx.is_some() || *scale_grad_by_freq {
                    let counts = if *scale_grad_by_freq {
                        bincount(index, 0)
                    } else {
                        Vec::new()
                    };
                    for (row, &i) in out.chunks_mut((*dim).max(1)).zip(index) {
                        let count = counts.get(i as usize).map_or(1.0, |&n| n as f64);
                        let factor = if *padding_idx == Some(i as usize) {
                            0.0
                        } else {
                            1.0 / count
                        };
                        row.iter_mut().for_each(|y| *y *= T::from_f64(factor));
                    }
                }
            }
        }
        Ok(())
    }

    /// `out = Aᵀ·x`.
    fn backward<T: Float + crate::buffer::Stored>(&self, x: &[T], out: &mut [T]) -> Result<()> {
        match self {
            LinearMap::Pad { input, positions } => pad::pad_backward(x, out, input, positions),
            LinearMap::Nearest { input, positions } => {
                interpolate::nearest_backward(x, out, input, positions)
            }
            LinearMap::Interpolate { axes } => interpolate::interpolate_backward(x, out, &weights(axes)),
            LinearMap::Unfold(blocks) => fold::fold(x, out, blocks),
            LinearMap::AvgPool { window, options } => pooling::avg_pool_backward(x, out, window, *options),
            LinearMap::AdaptiveAvgPool { input, output } => {
                pooling::adaptive_avg_pool_backward(x, out, *input, *output)
            }
            LinearMap::Select {
                indices,
                input,
                output,
                ..
            } => pooling::max_pool_backward(x, indices.data::<i64>()?, out, *input, *output),
            LinearMap::Lookup {
                index,
                dim,
                padding_idx,
                scale_grad_by_freq,
            } => embedding_backward(
                x,
                index.data::<i64>()?,
                out,
                *dim,
                *padding_idx,
                *scale_grad_by_freq,
            ),
        }
        Ok(())
    }
}

fn weights<T: Float>(axes: &[InterpolatedAxis]) -> Vec<Axis<T>> {
    axes.iter()
        .map(|a| Axis::new(a.kernel, a.input, a.output, a.options))
        .collect()
}

impl LinearMapOp {
    /// The map from `input` to `output`, neither transposed nor applied yet.
    pub(crate) fn new(map: LinearMap, input: impl Into<Shape>, output: impl Into<Shape>) -> LinearMapOp {
        LinearMapOp {
            map: Arc::new(map),
            input: input.into(),
            output: output.into(),
            transposed: false,
        }
    }

    /// The operation's name.
    pub(crate) fn name(&self) -> &'static str {
        self.map.name()
    }

    /// The transposed map.
    pub fn transpose(&self) -> LinearMapOp {
        LinearMapOp {
            map: self.map.clone(),
            input: self.output.clone(),
            output: self.input.clone(),
            transposed: !self.transposed,
        }
    }

    fn compute(&self, x: &Value) -> Result<Value> {
        let name = self.name();
        ensure!(
            x.shape == self.input,
            Shape,
            "{name}: expected a tensor {:?}, got {:?}",
            self.input,
            x.shape
        );
        if x.dtype.is_half() {
            return self.compute(&x.cast(DType::F32)?)?.cast(x.dtype);
        }
        let x = x.contiguous()?;
        with_float!(name, x.dtype, T => {
            let data = x.data::<T>()?;
            let mut status = Ok(());
            let value = Value::build::<T>(x.dtype, self.output.clone(), |out| {
                if data.is_empty() || out.is_empty() {
                    out.fill(0.0);
                } else if self.transposed {
                    status = self.map.backward(data, out);
                } else {
                    status = self.map.forward(data, out);
                }
            })?;
            status.map(|()| value)
        })
    }
}

/// Pooling, as the operation that was recorded for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pooling {
    /// The largest of each window.
    Max(Window),
    /// The mean of each window.
    Average(Window, AvgOptions),
    /// The mean of each of the windows that share the input out.
    Adaptive([usize; 3], [usize; 3]),
}

impl LinearMapOp {
    /// What pooling this is, if it is one.
    pub(crate) fn pooling(&self) -> Option<Pooling> {
        match &*self.map {
            _ if self.transposed => None,
            LinearMap::Select { window, .. } => window.map(Pooling::Max),
            LinearMap::AvgPool { window, options } => Some(Pooling::Average(*window, *options)),
            LinearMap::AdaptiveAvgPool { input, output } => Some(Pooling::Adaptive(*input, *output)),
            _ => None,
        }
    }
}

impl Tensor {
    /// What `op` was recorded for, for a tensor of the shape `input`; not recorded.
    pub(crate) fn replay_linear_map(&self, op: &LinearMapOp, input: Shape, output: Shape) -> Result<Tensor> {
        match (op.pooling(), &*op.map) {
            (Some(Pooling::Max(window)), _) => {
                let x = self.value().contiguous()?;
                Ok(Tensor::from_value(with_float!(op.name(), x.dtype, T => {
                    let data = x.data::<T>()?;
                    Value::build::<T>(x.dtype, output, |out| pooling::max_pool_values(data, out, &window))?
                })))
            }
            (None, LinearMap::Select { .. }) => {
                bail!(
                    Unsupported,
                    "{}: cannot be done again with other inputs",
                    op.name()
                )
            }
            _ => self.linear_map(LinearMapOp {
                input,
                output,
                ..op.clone()
            }),
        }
    }

    /// The image of this floating point tensor under `op`, recorded.
    ///
    /// # Errors
    /// `Shape` if the tensor does not have the shape that the map takes; `DType` unless it is of a floating point type.
    pub fn linear_map(&self, op: LinearMapOp) -> Result<Tensor> {
        let x = self.read();
        let value = op.compute(&x.value)?;
        Ok(record_linear_map(value, &x, op))
    }
}

/// `value`, recorded as the image of `x` under `op`: for operations that compute it in a way of their own (a maximum and
/// its index, padding by a constant), but whose gradient is the transpose of `op`.
pub(crate) fn record_linear_map(value: Value, x: &Saved, op: LinearMapOp) -> Tensor {
    record(value, &[x], |_| Op::LinearMap(op))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩` for whole numbers, which are exact.
    fn check(map: LinearMap, input: &[usize], output: &[usize]) {
        let op = LinearMapOp::new(map, Shape::new(input), Shape::new(output));
        let numbers = |shape: &[usize], seed: usize| {
            let n: usize = shape.iter().product();
            let data: Vec<f64> = (0..n).map(|i| ((i * 7 + seed) % 11) as f64 - 5.0).collect();
            Tensor::from_vec(data, shape).unwrap()
        };
        let (x, y) = (numbers(input, 1), numbers(output, 4));
        let forward = x.linear_map(op.clone()).unwrap().mul(&y).unwrap().sum().unwrap();
        let backward = y
            .linear_map(op.transpose())
            .unwrap()
            .mul(&x)
            .unwrap()
            .sum()
            .unwrap();
        let (a, b) = (forward.item_f64().unwrap(), backward.item_f64().unwrap());
        assert!((a - b).abs() < 1e-9 && a != 0.0, "{} {a} {b}", op.name());
    }

    #[test]
    fn maps_and_their_transposes_agree() {
        let positions = pad::positions(pad::Mode::Reflect, 4, 2, 1).unwrap();
        let (input, positions) = (vec![4], vec![positions]);
        check(
            LinearMap::Pad {
                input: input.clone(),
                positions,
            },
            &[3, 4],
            &[3, 7],
        );
        let positions = vec![vec![0, 0, 1, 2, 2, 3]];
        check(LinearMap::Nearest { input, positions }, &[3, 4], &[3, 6]);
        let axis = InterpolatedAxis {
            kernel: interpolate::Kernel::Cubic,
            input: 4,
            output: 7,
            options: interpolate::Options::default(),
        };
        check(LinearMap::Interpolate { axes: vec![axis] }, &[3, 4], &[3, 7]);
        let blocks = Blocks {
            image: [4, 5],
            kernel: [2, 2],
            stride: [1, 2],
            padding: [1, 0],
            dilation: [1, 1],
        };
        check(LinearMap::Unfold(blocks), &[2, 4, 5], &[2, 4, 10]);
        let (input, output) = ([1, 5, 4], [1, 2, 3]);
        check(
            LinearMap::AdaptiveAvgPool { input, output },
            &[2, 5, 4],
            &[2, 2, 3],
        );
        let indices = Tensor::new([[3i64, 1, 1], [0, 2, 3]]).unwrap().value();
        let select = LinearMap::Select {
            indices,
            input: 4,
            output: 3,
            window: None,
        };
        check(select, &[2, 4], &[2, 3]);
        let lookup = LinearMap::Lookup {
            index: Tensor::new([2i64, 0, 2, 1]).unwrap().value(),
            dim: 3,
            padding_idx: Some(1),
            scale_grad_by_freq: true,
        };
        check(lookup, &[4, 3], &[4, 3]);
    }
}
