//! Masks: `masked_fill`, `masked_select`, `masked_scatter`; and the places that are not zero: `nonzero`, `argwhere`.

use flambeau_kernels::index as kernels;
use flambeau_kernels::mem::Buf;

use crate::graph::{Op, record};
use crate::ops::create::FromScalar;
use crate::ops::index::{IndexOp, Mode};
use crate::value::Value;
use crate::{
    DType, Operand, Result, Scalar, Shape, Tensor, broadcast_shapes, ensure, is_grad_enabled, with_stored,
};

/// A recorded `masked_fill`.
#[derive(Clone, Debug)]
pub struct MaskedFillOp {
    /// The mask, which broadcasts to the result.
    mask: Value,
}

impl MaskedFillOp {
    /// The mask as a tensor.
    pub fn mask(&self) -> Tensor {
        Tensor::from_value(self.mask.clone())
    }
}

impl Value {
    /// Sets the elements under a mask that broadcasts to this value's shape.
    fn fill_under(&mut self, mask: &Value, scalar: Scalar) -> Result<()> {
        let mask = mask.expanded(&self.shape).contiguous()?;
        let scalar = if self.dtype == DType::Bool {
            Scalar::Bool(scalar.to_bool())
        } else {
            scalar
        };
        let mask = mask.data::<u8>()?;
        with_stored!(self.dtype, T => kernels::masked_fill(self.data_mut::<T>()?, mask, T::from_scalar(scalar)));
        Ok(())
    }

    /// The row-major positions of the elements that are not zero.
    pub(crate) fn nonzero_positions(&self) -> Result<Vec<i64>> {
        let source = self.contiguous()?;
        with_stored!(self.dtype, T => Ok(kernels::nonzero(source.data::<T>()?)))
    }
}

fn check_mask(op: &str, mask: &Tensor) -> Result<()> {
    ensure!(
        mask.dtype() == DType::Bool,
        DType,
        "{op}: expected a bool mask, got {}",
        mask.dtype()
    );
    Ok(())
}

/// The value of a 0-d tensor.
fn single(op: &str, value: &Tensor) -> Result<Scalar> {
    ensure!(
        value.rank() == 0,
        Shape,
        "{op}: expected a number or a 0-d tensor, got {:?}",
        value.shape()
    );
    Ok(match value.dtype() {
        dtype if dtype.is_float() => Scalar::Float(value.item_f64()?),
        DType::Bool => Scalar::Bool(value.item::<bool>()?),
        _ => Scalar::Int(value.to_dtype(DType::I64)?.item::<i64>()?),
    })
}

impl Tensor {
    /// This tensor with the elements under the mask set to a number or a 0-d tensor (`torch.masked_fill`). Mask and tensor
    /// are broadcast.
    ///
    /// # Errors
    /// `DType` unless the mask is of bools; `Broadcast` if the shapes don't broadcast; `Shape` if the value has
    /// dimensions.
    pub fn masked_fill<'a>(&self, mask: &Tensor, value: impl Into<Operand<'a>>) -> Result<Tensor> {
        let op = "masked_fill";
        check_mask(op, mask)?;
        let shape = broadcast_shapes(op, &[self.shape(), mask.shape()])?;
        let (x, mask) = (self.read(), mask.value());
        let (scalar, given) = match value.into() {
            Operand::Scalar(scalar) => (scalar, None),
            Operand::Tensor(value) => (single(op, value)?, Some(value.read())),
        };
        let mut value = x.value.expanded(&shape).copy()?;
        value.fill_under(&mask, scalar)?;
        let inputs = [Some(&x), given.as_ref()];
        let inputs: Vec<_> = inputs.into_iter().flatten().collect();
        Ok(record(value, &inputs, |_| Op::MaskedFill(MaskedFillOp { mask })))
    }

    /// [`Tensor::masked_fill`] in place. The mask must broadcast to this tensor.
    ///
    /// # Errors
    /// As [`Tensor::masked_fill`]; `Autograd` for a leaf that requires a gradient.
    pub fn masked_fill_<'a>(&self, mask: &Tensor, value: impl Into<Operand<'a>>) -> Result<&Tensor> {
        let op = "masked_fill_";
        let value = value.into();
        check_mask(op, mask)?;
        if is_grad_enabled() && (self.is_tracked() || value.is_tracked()) {
            return self.replace(op, self.masked_fill(mask, value)?);
        }
        let scalar = match value {
            Operand::Scalar(scalar) => scalar,
            Operand::Tensor(value) => single(op, value)?,
        };
        let mask = mask.expand(self.shape())?.value();
        self.update(op, |own| own.fill_under(&mask, scalar))?;
        Ok(self)
    }

    /// The elements under the mask, in row-major order, as a 1-d tensor (`torch.masked_select`). Mask and tensor are
    /// broadcast.
    ///
    /// # Errors
    /// `DType` unless the mask is of bools; `Broadcast` if the shapes don't broadcast.
    pub fn masked_select(&self, mask: &Tensor) -> Result<Tensor> {
        let op = "masked_select";
        check_mask(op, mask)?;
        let shape = broadcast_shapes(op, &[self.shape(), mask.shape()])?;
        self.expand(&shape)?.pick(&places(op, &mask.expand(&shape)?)?)
    }

    /// This tensor with the elements under the mask replaced by those of `source`, in row-major order
    /// (`torch.masked_scatter`). Mask and tensor are broadcast.
    ///
    /// # Errors
    /// `DType` unless the mask is of bools; `Broadcast` if the shapes don't broadcast; `Shape` if the source has fewer
    /// elements than the mask selects.
    pub fn masked_scatter(&self, mask: &Tensor, source: &Tensor) -> Result<Tensor> {
        let name = "masked_scatter";
        check_mask(name, mask)?;
        let shape = broadcast_shapes(name, &[self.shape(), mask.shape()])?;
        let op = places(name, &mask.expand(&shape)?)?;
        let (wanted, given) = (op.picked.numel(), source.numel());
        ensure!(
            wanted <= given,
            Shape,
            "{name}: the mask selects {wanted} elements, but the source has {given}"
        );
        let source = source.reshape(given)?.narrow(0, 0, wanted)?;
        self.expand(&shape)?
            .scattered(&op, Operand::Tensor(&source), Mode::Copy)
    }

    /// [`Tensor::masked_scatter`] in place. The mask must broadcast to this tensor.
    ///
    /// # Errors
    /// As [`Tensor::masked_scatter`]; `Autograd` for a leaf that requires a gradient.
    pub fn masked_scatter_(&self, mask: &Tensor, source: &Tensor) -> Result<&Tensor> {
        self.replace("masked_scatter_", self.masked_scatter(mask, source)?)
    }

    /// The coordinates of the elements that are not zero, one row each, in row-major order (`torch.nonzero`,
    /// `torch.argwhere`).
    ///
    /// # Shapes
    /// `[…]` with `d` dimensions → `[n, d]`, `int64`.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn nonzero(&self) -> Result<Tensor> {
        let positions = self.value().nonzero_positions()?;
        let coordinates = kernels::unravel_index(&positions, self.shape());
        Tensor::from_slice(&coordinates, (positions.len(), self.rank()))
    }

    /// The coordinates of the elements that are not zero, one tensor per dimension, as indices are given
    /// (`torch.nonzero(as_tuple=True)`). A 0-d tensor counts as 1-d.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn nonzero_tuple(&self) -> Result<Vec<Tensor>> {
        let x = if self.rank() == 0 {
            self.detach().reshape(1)?
        } else {
            self.clone()
        };
        x.nonzero()?.t()?.contiguous()?.unbind(0)
    }

    /// [`Tensor::nonzero`] cut off or filled up with `fill` to `size` rows (`torch.nonzero_static`).
    ///
    /// # Errors
    /// `Shape` if the size is more than memory can address.
    pub fn nonzero_static(&self, size: usize, fill: i64) -> Result<Tensor> {
        let found = self.nonzero()?;
        let n = found.shape()[0];
        if n >= size {
            return found.narrow(0, 0, size);
        }
        let rest = Tensor::full((size - n, self.rank()), fill, DType::I64)?;
        Tensor::cat(&[&found, &rest], 0)
    }
}

/// The places under a mask.
fn places(name: &'static str, mask: &Tensor) -> Result<IndexOp> {
    let positions = mask.value().nonzero_positions()?;
    IndexOp::flat(name, mask.shape(), &[positions.len()], positions)
}

/// The coordinates that row-major positions of a tensor of `shape` have, one tensor per dimension
/// and `int64` (`torch.unravel_index`).
///
/// # Errors
/// `DType` unless the positions are integers; `Index` if one is outside.
pub fn unravel_index(positions: &Tensor, shape: &[usize]) -> Result<Vec<Tensor>> {
    // No tensor of this shape is made: it may be larger than memory.
    let numel = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let numel = numel.unwrap_or(usize::MAX);
    let index = crate::ops::index::checked_index("unravel_index", positions, numel, false)?;
    let mut rest = index.data::<i64>()?.to_vec();
    let mut coordinates = Vec::with_capacity(shape.len());
    for &size in shape.iter().rev() {
        let size = size as i64;
        let column: Vec<i64> = rest.iter().map(|r| r % size).collect();
        rest.iter_mut().for_each(|r| *r /= size);
        let value = Value::new(
            Buf::from_slice(&column),
            DType::I64,
            Shape::new(positions.shape()),
        );
        coordinates.push(Tensor::from_value(value));
    }
    coordinates.reverse();
    Ok(coordinates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_fill_select_and_scatter() {
        let x = Tensor::new([[1i64, 2], [3, 4]]).unwrap();
        let mask = Tensor::new([true, false]).unwrap();
        assert_eq!(
            x.masked_fill(&mask, 9).unwrap().to_vec::<i64>().unwrap(),
            [9, 2, 9, 4]
        );
        assert_eq!(x.masked_select(&mask).unwrap().to_vec::<i64>().unwrap(), [1, 3]);
        let source = Tensor::new([7i64, 8, 9]).unwrap();
        let y = x.masked_scatter(&mask, &source).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap(), [7, 2, 8, 4]);
        x.masked_fill_(&mask, 0).unwrap();
        assert_eq!(x.to_vec::<i64>().unwrap(), [0, 2, 0, 4]);
        let error = x
            .masked_scatter(&mask, &source.narrow(0, 0, 1).unwrap())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "masked_scatter: the mask selects 2 elements, but the source has 1"
        );
        assert!(x.masked_fill(&x, 0).is_err());
    }

    #[test]
    fn nonzero_gives_coordinates() {
        let x = Tensor::new([[0.0f32, f32::NAN], [-0.0, 2.0]]).unwrap();
        assert_eq!(x.nonzero().unwrap().to_vec::<i64>().unwrap(), [0, 1, 1, 1]);
        assert_eq!(Tensor::scalar(3i64).nonzero().unwrap().shape(), [1, 0]);
        assert_eq!(Tensor::scalar(3i64).nonzero_tuple().unwrap()[0].shape(), [1]);
        let fixed = x.nonzero_static(3, -1).unwrap();
        assert_eq!(fixed.to_vec::<i64>().unwrap(), [0, 1, 1, 1, -1, -1]);
        let at = unravel_index(&Tensor::new([5i64]).unwrap(), &[2, 3]).unwrap();
        assert_eq!(
            (at[0].item::<i64>().unwrap(), at[1].item::<i64>().unwrap()),
            (1, 2)
        );
        assert!(unravel_index(&Tensor::new([6i64]).unwrap(), &[2, 3]).is_err());
    }
}
