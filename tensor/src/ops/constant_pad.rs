//! Padding with a constant, and cropping: `constant_pad_nd`. Its gradient is itself with the amounts negated.

use flambeau_kernels::copy::scatter_strided;

use crate::graph::{Op, record};
use crate::ops::create::{checked_numel, full_value};
use crate::{Result, Scalar, Shape, Tensor, ensure, with_stored};

/// A recorded padding.
#[derive(Clone, Debug)]
pub struct ConstantPadOp {
    /// How many elements were added before and after, for each dimension from the last one on; negative where cropped.
    pub pads: Vec<isize>,
}

impl Tensor {
    /// Elements with a constant value added at the ends of dimensions, or taken off where amounts are negative:
    /// `[before, after]` of the last dimension, then of the one before it, and so on (`torch.constant_pad_nd`).
    ///
    /// # Shapes
    /// `[a, b]` with `[p, q, r, s]` → `[r + a + s, p + b + q]`.
    ///
    /// # Errors
    /// `Value` if there is an odd number of amounts, or too many; `Shape` if a size would become negative.
    pub fn constant_pad_nd(&self, pads: &[isize], value: impl Into<Scalar>) -> Result<Tensor> {
        let (op, rank) = ("constant_pad_nd", self.rank());
        ensure!(
            pads.len().is_multiple_of(2) && pads.len() <= 2 * rank,
            Value,
            "{op}: {pads:?} does not list pairs for the dimensions of {:?}",
            self.shape()
        );
        let x = self.read();
        let (mut inside, mut shape) = (x.value.clone(), Shape::new(self.shape()));
        let mut starts = vec![0usize; rank];
        for (i, pair) in pads.chunks_exact(2).enumerate() {
            let (d, before, after) = (rank - 1 - i, pair[0], pair[1]);
            let size = shape[d] as isize;
            let padded = before.checked_add(after).and_then(|sum| sum.checked_add(size));
            let cropped = size + before.min(0) + after.min(0);
            let Some(padded) = padded.filter(|&p| p >= 0 && cropped >= 0) else {
                crate::bail!(
                    Shape,
                    "{op}: amounts {pads:?} leave nothing of {:?}",
                    self.shape()
                )
            };
            let first = (-before).max(0) as usize;
            let mut layout = crate::ops::view::Layout::of(&inside);
            layout.slice(d, first, 1, cropped as usize);
            inside = inside.with_layout(layout.shape, layout.strides, layout.offset);
            shape[d] = padded as usize;
            starts[d] = before.max(0) as usize;
        }
        checked_numel(op, &shape)?;
        let strides = shape.contiguous_strides();
        let offset: usize = starts.iter().zip(&*strides).map(|(s, stride)| s * stride).sum();
        let mut result = full_value(shape, value.into(), x.value.dtype)?;
        if inside.numel() > 0 {
            let source = inside.contiguous()?;
            with_stored!(x.value.dtype, T => {
                let (from, out) = (source.data::<T>()?, result.data_mut::<T>()?);
                scatter_strided(from, &mut out[offset..], &source.shape, &strides);
            });
        }
        Ok(record(result, &[&x], |_| {
            Op::ConstantPad(ConstantPadOp { pads: pads.to_vec() })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn ends_are_padded_and_cropped() {
        let x = Tensor::new([[1i64, 2], [3, 4]]).unwrap();
        let y = x.constant_pad_nd(&[1, 0, 0, 1], 9).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap(), [9, 1, 2, 9, 3, 4, 9, 9, 9]);
        let y = x.constant_pad_nd(&[-1, 1], 0).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap(), [2, 0, 4, 0]);
        assert_eq!(x.constant_pad_nd(&[-2, 0], 0).unwrap().shape(), [2, 0]);
        assert!(x.constant_pad_nd(&[-2, -1], 0).is_err());
        assert!(x.constant_pad_nd(&[1], 0).is_err());
        assert_eq!(
            Tensor::zeros((0, 2), DType::F32)
                .unwrap()
                .constant_pad_nd(&[0, 0, 1, 1], 5)
                .unwrap()
                .shape(),
            [2, 2]
        );
    }
}
