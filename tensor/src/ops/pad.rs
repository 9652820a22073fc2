//! Padding: a constant, the mirrored input, its border cells or its other end around it (`nn.functional.pad`).
//! Negative padding crops.

use flambeau_kernels::pad;
pub use flambeau_kernels::pad::Mode as PadMode;

use crate::amp::under_autocast;
use crate::ops::create::{FromScalar, checked_numel};
use crate::ops::linear_map::{LinearMap, LinearMapOp, record_linear_map};
use crate::value::Value;
use crate::{Result, Scalar, Shape, Tensor, bail, ensure, with_stored};

impl Tensor {
    /// Cells added before and behind: `padding` is `[before, after]` of the last dimension, then of the one before it,
    /// and so on, as PyTorch lists them. Negative numbers cut cells off. `value` is used by [`PadMode::Constant`] only.
    ///
    /// # Errors
    /// `Value` if the list is odd or longer than the tensor has dimensions, or if the other modes are asked to pad more
    /// than the last three dimensions; `Shape` if a size gets negative, or the mode can't fill so many cells.
    pub fn pad(&self, padding: &[isize], mode: PadMode, value: impl Into<Scalar>) -> Result<Tensor> {
        match (mode, padding.len()) {
            (PadMode::Replicate, _) => {
                under_autocast!("replication_pad": x = self => x.pad(padding, mode, value));
            }
            // PyTorch's list has no `reflection_pad3d`.
            (PadMode::Reflect, ..=4) => {
                under_autocast!("reflection_pad": x = self => x.pad(padding, mode, value));
            }
            _ => {}
        }
        let (shape, rank) = (self.shape(), self.rank());
        let dims = padding.len() / 2;
        ensure!(
            padding.len().is_multiple_of(2) && dims <= rank,
            Value,
            "pad: {padding:?} does not list pairs for at most the {rank} dimensions of {shape:?}"
        );
        if mode != PadMode::Constant {
            ensure!(
                (1..=3).contains(&dims) && (rank == dims + 1 || rank == dims + 2),
                Value,
                "pad: {mode} pads the last 1, 2 or 3 of 2 or 3, 3 or 4, 4 or 5 dimensions, got {padding:?} for {shape:?}"
            );
        }
        let (mut output, mut positions) = (Shape::new(shape), Vec::new());
        for d in rank - dims..rank {
            let at = 2 * (rank - 1 - d);
            let (before, after) = (padding[at], padding[at + 1]);
            let Some(size) = shape[d]
                .checked_add_signed(before)
                .and_then(|n| n.checked_add_signed(after))
            else {
                bail!(Shape, "pad: {padding:?} leaves less than nothing of {shape:?}")
            };
            output[d] = size;
            checked_numel("pad", &output)?;
            // An empty dimension of a result needs no positions, whatever the mode could do.
            let Some(list) = pad::positions(mode, shape[d], before, after) else {
                bail!(
                    Shape,
                    "pad: {mode} can't put {before} and {after} cells around dimension {d} of {shape:?}"
                )
            };
            positions.push(list);
        }
        let input = shape[rank - dims..].to_vec();
        let x = self.read();
        let (source, value) = (x.value.contiguous()?, value.into());
        let result = with_stored!(source.dtype, T => {
            let data = source.data::<T>()?;
            let value = if source.dtype == crate::DType::Bool {
                T::from_scalar(Scalar::Bool(value.to_bool()))
            } else {
                T::from_scalar(value)
            };
            Value::build::<T>(source.dtype, output.clone(), |out| pad::pad(data, out, &input, &positions, value))?
        });
        let map = LinearMap::Pad { input, positions };
        let op = LinearMapOp::new(map, self.dims().clone(), output);
        Ok(record_linear_map(result, &x, op))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_modes() {
        let x = Tensor::new([[1i64, 2, 3]]).unwrap();
        let row = |mode| x.pad(&[2, 1], mode, 9).unwrap().to_vec::<i64>().unwrap();
        assert_eq!(row(PadMode::Constant), [9, 9, 1, 2, 3, 9]);
        assert_eq!(row(PadMode::Reflect), [3, 2, 1, 2, 3, 2]);
        assert_eq!(row(PadMode::Replicate), [1, 1, 1, 2, 3, 3]);
        assert_eq!(row(PadMode::Circular), [2, 3, 1, 2, 3, 1]);
        assert_eq!(
            x.pad(&[-1, 0, 0, 1], PadMode::Constant, 0).unwrap().shape(),
            [2, 2]
        );
        assert!(x.pad(&[3, 0], PadMode::Reflect, 0).is_err());
        assert!(x.pad(&[1], PadMode::Constant, 0).is_err());
        assert!(x.pad(&[-2, -2], PadMode::Constant, 0).is_err());
    }
}
