//! Reductions of consecutive runs of a dimension (`torch.segment_reduce`).

use flambeau_kernels::index as kernels;
use flambeau_kernels::mem::Buf;

use super::index::Reduction;
use crate::graph::{Op, Saved, record};
use crate::value::Value;
use crate::{DType, Result, Scalar, Shape, Tensor, ensure, with_float};

/// A recorded segment reduction.
#[derive(Clone, Debug)]
pub struct SegmentReduceOp {
    /// The input.
    pub input: Saved,
    /// The result.
    pub output: Saved,
    /// How a segment's elements are combined.
    pub reduction: Reduction,
    initial: Option<f64>,
    axis: usize,
    /// For each index of the dimensions before `axis`, where its segments begin, and the end of the last.
    offsets: Vec<Vec<i64>>,
}

/// Where segments lie.
#[derive(Clone, Copy, Debug)]
pub enum Segments<'a> {
    /// Their lengths, one after the other from the start: `[…, segments]`.
    Lengths(&'a Tensor),
    /// Where they begin, and the end of the last: `[…, segments + 1]`.
    Offsets(&'a Tensor),
}

impl Tensor {
    /// Combines the elements of each segment of dimension `axis`. `initial` takes part in every segment; without it an
    /// empty one gives 0, 1, NaN, -∞ or ∞ for sum, product, mean, maximum and minimum.
    ///
    /// # Shapes
    /// The segments' leading dimensions are this tensor's before `axis`.
    ///
    /// # Errors
    /// `Shape` if they are not; `Index` for segments that leave the dimension; `Dim` if there is no such one; `DType` for
    /// integers.
    pub fn segment_reduce(
        &self,
        reduction: Reduction,
        segments: Segments<'_>,
        axis: usize,
        initial: Option<Scalar>,
    ) -> Result<Tensor> {
        let shape = self.shape();
        ensure!(
            axis < shape.len(),
            Dim,
            "segment_reduce: no dimension {axis} in {shape:?}"
        );
        let (given, by_offsets) = match segments {
            Segments::Lengths(lengths) => (lengths, false),
            Segments::Offsets(offsets) => (offsets, true),
        };
        let per_row = given.size(-1)?;
        ensure!(
            given.rank() == axis + 1
                && given.shape()[..axis] == shape[..axis]
                && (per_row > 0 || !by_offsets),
            Shape,
            "segment_reduce: segments {:?} for dimension {axis} of {shape:?}",
            given.shape()
        );
        let rows: usize = shape[..axis].iter().product();
        let flat = given.to_dtype(DType::I64)?.to_vec::<i64>()?;
        let row = |i: usize| -> Vec<i64> {
            let row = &flat[i * per_row..(i + 1) * per_row];
            if by_offsets {
                row.to_vec()
            } else {
                kernels::lengths_to_offsets(row)
            }
        };
        let offsets: Vec<Vec<i64>> = (0..rows).map(row).collect();
        for row in &offsets {
            let ascending = row.windows(2).all(|pair| pair[0] <= pair[1]);
            let inside = row.first() >= Some(&0) && row.last() <= Some(&(shape[axis] as i64));
            ensure!(
                ascending && inside,
                Index,
                "segment_reduce: segments {row:?} leave dimension {axis} of {shape:?}"
            );
        }
        if self.dtype().is_half() {
            let wide = self.to_dtype(DType::F32)?;
            return wide
                .segment_reduce(reduction, segments, axis, initial)?
                .to_dtype(self.dtype());
        }
        let x = self.read();
        let op = SegmentReduceOp {
            output: x.clone(),
            input: x,
            reduction,
            initial: initial.map(Scalar::to_f64),
            axis,
            offsets,
        };
        let count = if by_offsets { per_row - 1 } else { per_row };
        let (value, input) = (op.forward(count)?, op.input.clone());
        Ok(record(value, &[&input], |output| {
            Op::SegmentReduce(SegmentReduceOp {
                output: Saved::output(output, 0),
                ..op
            })
        }))
    }
}

impl SegmentReduceOp {
    fn forward(&self, segments: usize) -> Result<Value> {
        let x = self.input.value.contiguous()?;
        let (_, len, inner) = x.shape.around(self.axis);
        let mut shape: Shape = x.shape.clone();
        shape[self.axis] = segments;
        let empty = match self.reduction {
            Reduction::Sum => 0.0,
            Reduction::Prod => 1.0,
            Reduction::Mean => f64::NAN,
            Reduction::Amax => f64::NEG_INFINITY,
            Reduction::Amin => f64::INFINITY,
        };
        with_float!("segment_reduce", x.dtype, T => {
            let data = x.data::<T>()?;
            let initial = self.initial.map(|initial| initial as T);
            Value::build::<T>(x.dtype, shape, |out| {
                for (i, offsets) in self.offsets.iter().enumerate() {
                    kernels::segment_reduce(
                        &data[i * len * inner..(i + 1) * len * inner],
                        offsets,
                        &mut out[i * segments * inner..(i + 1) * segments * inner],
                        self.reduction,
                        initial,
                        empty as T,
                        (1, len, inner),
                    );
                }
            })
        })
    }

    /// The gradient of the input given that of the result: a kernel, not recorded.
    ///
    /// # Errors
    /// `Shape` if `grad` is not of the result's shape.
    pub fn backward(&self, grad: &Tensor) -> Result<Tensor> {
        let (x, output) = (self.input.value.contiguous()?, self.output.value.contiguous()?);
        ensure!(
            grad.shape() == &output.shape[..],
            Shape,
            "segment_reduce: gradient {:?} for {:?}",
            grad.shape(),
            output.shape
        );
        let grad = grad.value().contiguous()?;
        let (_, len, inner) = x.shape.around(self.axis);
        let segments = output.shape[self.axis];
        with_float!("segment_reduce", x.dtype, T => {
            let (data, output, grad) = (x.data::<T>()?, output.data::<T>()?, grad.data::<T>()?);
            let initial = self.initial.map(|initial| initial as T);
            let mut out = Buf::<T>::zeroed(x.numel());
            for (i, offsets) in self.offsets.iter().enumerate() {
                let (own, result) = (i * len * inner..(i + 1) * len * inner, i * segments * inner..(i + 1) * segments * inner);
                kernels::segment_reduce_backward(
                    &data[own.clone()],
                    offsets,
                    &output[result.clone()],
                    &grad[result],
                    &mut out[own],
                    self.reduction,
                    initial,
                    (1, len, inner),
                );
            }
            Ok(Tensor::from_value(Value::new(out, x.dtype, x.shape.clone())))
        })
    }

    /// For each element of the input the index of its segment along the axis (0 for those in none), as a tensor of the
    /// input's shape to gather results by.
    ///
    /// # Errors
    /// None for an operation that was recorded.
    pub fn segment_of_each(&self) -> Result<Tensor> {
        let (outer, len, inner) = self.input.value.shape.around(self.axis);
        let mut index = vec![0i64; outer * len * inner];
        for (i, offsets) in self.offsets.iter().enumerate() {
            for (s, pair) in offsets.windows(2).enumerate() {
                let (from, to) = (
                    (i * len + pair[0] as usize) * inner,
                    (i * len + pair[1] as usize) * inner,
                );
                index[from..to].fill(s as i64);
            }
        }
        Tensor::from_vec(index, &self.input.value.shape)
    }

    /// The places of each segment's elements, those past its end naming the place behind the dimension's last, as an index
    /// `[outer, segments · longest, inner]`; the number of segments and the longest's length.
    ///
    /// # Errors
    /// None for an operation that was recorded.
    pub fn segments_filled_up(&self) -> Result<(Tensor, usize, usize)> {
        let [outer, len, inner] = self.sizes();
        let runs = || self.offsets.iter().flat_map(|row| row.windows(2));
        let longest = runs().map(|run| (run[1] - run[0]) as usize).max().unwrap_or(0);
        let segments = self.offsets.first().map_or(0, |row| row.len() - 1);
        let place = |run: &[i64], i: usize| {
            Some(run[0] + i as i64)
                .filter(|&at| at < run[1])
                .unwrap_or(len as i64)
        };
        let places = runs().flat_map(|run| (0..longest).map(move |i| place(run, i)));
        let index = places
            .flat_map(|place| std::iter::repeat_n(place, inner))
            .collect::<Vec<i64>>();
        Ok((
            Tensor::from_vec(index, (outer, segments * longest, inner))?,
            segments,
            longest,
        ))
    }

    /// The input's sizes before, along and behind the dimension whose segments were reduced.
    pub fn sizes(&self) -> [usize; 3] {
        let (outer, len, inner) = self.input.value.shape.around(self.axis);
        [outer, len, inner]
    }

    /// What takes part in every segment.
    pub fn initial(&self) -> Option<f64> {
        self.initial
    }

    /// The dimension whose segments were reduced.
    pub fn axis(&self) -> usize {
        self.axis
    }
}
