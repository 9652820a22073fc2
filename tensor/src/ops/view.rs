//! Strided views of a tensor's elements, and writing through them: the two primitives behind slices, basic indexing,
//! `as_strided`, `unfold` and `diagonal`, and behind their `_scatter` forms.
//!
//! A [`Layout`] names elements of a tensor by shape, strides and offset in the *row-major order* of that tensor,
//! however the tensor lies in memory: `out[i…] = x.flatten()[offset + Σ iₖ·strideₖ]`. Reading through a layout shares
//! memory; its gradient is writing into zeros, or adding where the layout reaches an element twice.

use flambeau_kernels::copy::scatter_strided;

use crate::graph::{Op, record};
use crate::ops::index::IndexOp;
use crate::shape::{resolve_dim, resolve_dims};
use crate::value::Value;
use crate::{IntoShape, Result, Shape, Tensor, ensure, with_stored};

/// Shape, strides and offset, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The sizes of the view.
    pub shape: Shape,
    /// The steps of the view's dimensions.
    pub strides: Shape,
    /// The place of the view's first element.
    pub offset: usize,
}

impl Layout {
    /// The layout of all elements of a tensor of `shape` in row-major order.
    pub fn contiguous(shape: &[usize]) -> Layout {
        let shape = Shape::new(shape);
        Layout {
            strides: shape.contiguous_strides(),
            shape,
            offset: 0,
        }
    }

    /// Where a value's elements lie in its memory.
    pub(crate) fn of(value: &Value) -> Layout {
        Layout {
            shape: value.shape.clone(),
            strides: value.strides.clone(),
            offset: value.offset,
        }
    }

    /// `len` elements of a dimension, every `step`-th from `start` on.
    pub(crate) fn slice(&mut self, dim: usize, start: usize, step: usize, len: usize) {
        self.offset += start * self.strides[dim];
        if len > 1 {
            self.strides[dim] *= step; // a step that is never taken may be too large to multiply
        }
        self.shape[dim] = len;
    }

    /// One index of a dimension, which is removed.
    pub(crate) fn select(&mut self, dim: usize, index: usize) {
        self.offset += index * self.strides.remove(dim);
        self.shape.remove(dim);
    }

    /// A new dimension of size 1.
    pub(crate) fn unsqueeze(&mut self, dim: usize) {
        self.shape.insert(dim, 1);
        self.strides.insert(dim, 1);
    }

    /// The diagonal of two dimensions as a new last one.
    pub(crate) fn diagonal(&mut self, offset: isize, dim1: usize, dim2: usize) {
        let (rows, columns) = (self.shape[dim1], self.shape[dim2]);
        let (down, right) = (self.strides[dim1], self.strides[dim2]);
        let skipped = offset.unsigned_abs();
        let len = if offset >= 0 {
            rows.min(columns.saturating_sub(skipped))
        } else {
            rows.saturating_sub(skipped).min(columns)
        };
        let step = if offset >= 0 { right } else { down };
        self.offset = self.offset.saturating_add(skipped.saturating_mul(step)); // of an empty one it may be anything
        for dim in [dim1.max(dim2), dim1.min(dim2)] {
            self.shape.remove(dim);
            self.strides.remove(dim);
        }
        self.shape.push(len);
        self.strides.push(down + right);
    }

    /// Whether no element is reached twice. Answers `false` for a few intricate layouts that do not overlap.
    pub fn is_injective(&self) -> bool {
        let mut dims: Vec<(usize, usize)> = self
            .strides
            .iter()
            .copied()
            .zip(self.shape.iter().copied())
            .collect();
        dims.retain(|&(_, size)| size != 1);
        dims.sort_unstable();
        let mut reach = 0;
        dims.iter().all(|&(stride, size)| {
            let apart = stride > reach;
            reach += stride * size.saturating_sub(1);
            apart
        }) || self.shape.numel() == 0
    }

    /// The row-major positions of the elements, in the view's order.
    pub fn positions(&self) -> Vec<i64> {
        let mut positions = vec![self.offset as i64];
        for (&size, &stride) in self.shape.iter().zip(&*self.strides) {
            let steps = |p: i64| (0..size).map(move |i| p + (i * stride) as i64);
            positions = positions.into_iter().flat_map(steps).collect();
        }
        positions
    }
}

/// A recorded view.
#[derive(Clone, Debug)]
pub struct StridedOp {
    /// PyTorch's name of what was called.
    pub name: &'static str,
    /// The shape of the tensor that is viewed.
    pub base: Shape,
    /// Which of its elements are seen.
    pub layout: Layout,
}

impl StridedOp {
    /// What `change` makes of the layout of a tensor of shape `base`.
    pub(crate) fn new(name: &'static str, base: &[usize], change: impl Fn(&mut Layout)) -> StridedOp {
        StridedOp {
            name,
            base: Shape::new(base),
            layout: changed(Layout::contiguous(base), change),
        }
    }

    /// An error unless `tensor` is of the shape that this view was made for.
    fn check_base(&self, tensor: &Tensor) -> Result<()> {
        ensure!(
            tensor.shape() == &*self.base,
            Shape,
            "{}: expected a tensor {:?}, got {:?}",
            self.name,
            self.base,
            tensor.shape()
        );
        Ok(())
    }
}

/// A changed layout; one without elements stays where it was, so that it never points outside.
fn changed(layout: Layout, change: impl Fn(&mut Layout)) -> Layout {
    let offset = layout.offset;
    let mut layout = layout;
    change(&mut layout);
    if layout.shape.numel() == 0 {
        layout.offset = offset;
    }
    layout
}

impl StridedOp {
    /// The same of a tensor with another first dimension, if the view takes all of that dimension as it is.
    pub(crate) fn with_batch(&self, batch: usize) -> Option<StridedOp> {
        let (&traced, inner) = (self.base.first()?, self.base[1..].iter().product::<usize>());
        if batch == traced {
            return Some(self.clone());
        }
        let layout = &self.layout;
        let whole = layout.shape.first() == Some(&traced)
            && layout.strides.first() == Some(&inner)
            && layout.offset < inner.max(1);
        let mut other = self.clone();
        (other.base[0], *other.layout.shape.first_mut()?) = (batch, batch);
        whole.then_some(other)
    }
}

impl Value {
    /// The elements that `layout` names in row-major order of this value, which is contiguous.
    fn strided(&self, layout: &Layout) -> Value {
        let Layout {
            shape,
            strides,
            offset,
        } = layout.clone();
        self.with_layout(shape, strides, self.offset + offset)
    }

    /// Writes `source`, which has the layout's shape, to the elements that the layout names.
    pub(crate) fn write_strided(&mut self, layout: &Layout, source: &Value) -> Result<()> {
        if layout.shape.numel() == 0 {
            return Ok(());
        }
        let source = source.contiguous()?;
        with_stored!(self.dtype, T => {
            let from = source.data::<T>()?;
            let own = self.data_mut::<T>()?;
            scatter_strided(from, &mut own[layout.offset..], &layout.shape, &layout.strides);
        });
        Ok(())
    }
}

impl Tensor {
    /// A recorded view of this tensor. `change` is applied to the logical layout and to the one in memory.
    pub(crate) fn view_with(&self, name: &'static str, change: impl Fn(&mut Layout)) -> Result<Tensor> {
        let x = self.read();
        let Layout {
            shape,
            strides,
            offset,
        } = changed(Layout::of(&x.value), &change);
        let value = x.value.with_layout(shape, strides, offset);
        Ok(record(value, &[&x], |_| {
            Op::Strided(StridedOp::new(name, &x.value.shape, &change))
        }))
    }

    /// The elements of this tensor that `op` names.
    ///
    /// # Errors
    /// `Shape` if the tensor is not of the shape that `op` was made for.
    pub fn strided(&self, op: &StridedOp) -> Result<Tensor> {
        op.check_base(self)?;
        let x = self.read();
        let value = x.value.contiguous()?.strided(&op.layout);
        Ok(record(value, &[&x], |_| Op::Strided(op.clone())))
    }

    /// This tensor with `source` in the place of the elements that `op` names.
    ///
    /// # Errors
    /// `Shape` if this tensor or the source is not of the shape that `op` was made for.
    pub fn strided_scatter(&self, op: &StridedOp, source: &Tensor) -> Result<Tensor> {
        op.check_base(self)?;
        let source = source.to_dtype(self.dtype())?;
        ensure!(
            source.shape() == &*op.layout.shape,
            Shape,
            "{}: expected a source {:?}, got {:?}",
            op.name,
            op.layout.shape,
            source.shape()
        );
        let (x, source) = (self.read(), source.read());
        let mut value = x.value.copy()?;
        value.write_strided(&op.layout, &source.value)?;
        Ok(record(value, &[&x, &source], |_| Op::StridedScatter(op.clone())))
    }

    /// Zeros of the viewed tensor's shape to which this tensor, of the view's shape, is added where `op` points: the
    /// gradient of [`Tensor::strided`].
    ///
    /// # Errors
    /// `Shape` if this tensor is not of the view's shape.
    pub fn strided_backward(&self, op: &StridedOp) -> Result<Tensor> {
        if !op.layout.is_injective() {
            let index = IndexOp::flat(op.name, &op.base, &op.layout.shape, op.layout.positions())?;
            return self.index_backward(&index);
        }
        let grad = self.read();
        let mut value = Value::zeros(grad.value.dtype, op.base.clone())?;
        value.write_strided(&op.layout, &grad.value)?;
        Ok(record(value, &[&grad.detached(), &grad], |_| {
            Op::StridedScatter(op.clone())
        }))
    }

    /// A view by shape, strides and offset in the row-major order of this tensor's elements (`torch.as_strided`, which
    /// means the order in memory: the same for a contiguous tensor).
    ///
    /// # Errors
    /// `Shape` if there are not as many strides as sizes, or the view leaves the tensor.
    pub fn as_strided(&self, shape: impl IntoShape, strides: &[usize], offset: usize) -> Result<Tensor> {
        self.strided(&strided_op(
            "as_strided",
            self,
            shape.into_shape(),
            strides,
            offset,
        )?)
    }

    /// This tensor with `source` in the place of the elements that a view by shape, strides and offset names
    /// (`torch.as_strided_scatter`). Where the view reaches an element twice, the last value stays.
    ///
    /// # Errors
    /// As [`Tensor::as_strided`]; `Shape` if the source has not the view's shape.
    pub fn as_strided_scatter(
        &self,
        source: &Tensor,
        shape: impl IntoShape,
        strides: &[usize],
        offset: usize,
    ) -> Result<Tensor> {
        let op = strided_op("as_strided_scatter", self, shape.into_shape(), strides, offset)?;
        self.strided_scatter(&op, source)
    }

    /// All windows of `size` elements of a dimension, `step` apart: the dimension counts windows, and a new last one
    /// runs through each (`Tensor.unfold`). Shares memory.
    ///
    /// # Shapes
    /// `[…, n, …]` → `[…, (n − size)/step + 1, …, size]`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if `step` is 0 or `size` exceeds the dimension.
    pub fn unfold(&self, dim: isize, size: usize, step: usize) -> Result<Tensor> {
        let d = resolve_dim("unfold", dim, self.rank())?;
        let len = self.shape().get(d).copied().unwrap_or(1);
        ensure!(step > 0, Value, "unfold: step must be positive, got {step}");
        ensure!(
            size <= len,
            Value,
            "unfold: windows of {size} elements in dimension {dim} of size {len} of {:?}",
            self.shape()
        );
        self.view_with("unfold", |layout| {
            if layout.shape.is_empty() {
                layout.unsqueeze(0);
                layout.slice(0, 0, 1, size);
                return;
            }
            let stride = layout.strides[d];
            layout.slice(d, 0, step, (len - size) / step + 1);
            layout.shape.push(size);
            layout.strides.push(stride);
        })
    }

    /// The diagonal of two dimensions, which are removed, as a new last one; `offset` > 0 means above it
    /// (`torch.diagonal`). Shares memory.
    ///
    /// # Errors
    /// `Dim` if there are no such dimensions or both are the same.
    pub fn diagonal(&self, offset: isize, dim1: isize, dim2: isize) -> Result<Tensor> {
        ensure!(
            self.rank() >= 2,
            Dim,
            "diagonal: expected at least two dimensions, got {:?}",
            self.shape()
        );
        let dims = resolve_dims("diagonal", &[dim1, dim2], self.rank())?;
        self.view_with("diagonal", |layout| layout.diagonal(offset, dims[0], dims[1]))
    }

    /// This tensor with `source` on a diagonal (`torch.diagonal_scatter`).
    ///
    /// # Errors
    /// As [`Tensor::diagonal`]; `Shape` if the source has not the diagonal's shape.
    pub fn diagonal_scatter(
        &self,
        source: &Tensor,
        offset: isize,
        dim1: isize,
        dim2: isize,
    ) -> Result<Tensor> {
        let dims = resolve_dims("diagonal_scatter", &[dim1, dim2], self.rank())?;
        let op = StridedOp::new("diagonal_scatter", self.shape(), |layout| {
            layout.diagonal(offset, dims[0], dims[1])
        });
        self.strided_scatter(&op, source)
    }

    /// Writes `source`, broadcast to the view's shape, to the elements that `op` names, in place.
    pub(crate) fn strided_write_(&self, op: &StridedOp, source: &Tensor) -> Result<&Tensor> {
        let source = source.to_dtype(self.dtype())?.expand(&op.layout.shape)?;
        if crate::is_grad_enabled() && (self.is_tracked() || source.is_tracked()) {
            return self.replace(op.name, self.strided_scatter(op, &source)?);
        }
        let source = source.value();
        self.update(op.name, |own| own.write_strided(&op.layout, &source))?;
        Ok(self)
    }
}

fn strided_op(
    name: &'static str,
    base: &Tensor,
    shape: Shape,
    strides: &[usize],
    offset: usize,
) -> Result<StridedOp> {
    ensure!(
        shape.len() == strides.len(),
        Shape,
        "{name}: {} sizes and {} strides",
        shape.len(),
        strides.len()
    );
    let numel = base.numel();
    ensure!(
        shape.contains(&0) || reach(&shape, strides, offset).is_some_and(|reach| reach <= numel),
        Shape,
        "{name}: shape {shape:?} with strides {strides:?} from {offset} on leaves the {numel} elements of {:?}",
        base.shape()
    );
    let strides = Shape::new(strides);
    Ok(StridedOp {
        name,
        base: Shape::new(base.shape()),
        layout: changed(Layout::contiguous(base.shape()), |layout| {
            *layout = Layout {
                shape: shape.clone(),
                strides: strides.clone(),
                offset,
            }
        }),
    })
}

/// One more than the greatest position that a layout with elements reaches; `None` if it is astronomical.
fn reach(shape: &[usize], strides: &[usize], offset: usize) -> Option<usize> {
    let dims = shape.iter().zip(strides);
    dims.map(|(size, stride)| (size - 1).checked_mul(*stride))
        .try_fold(offset.checked_add(1)?, |sum, step| sum.checked_add(step?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[usize]) -> Tensor {
        let n = shape.iter().product::<usize>() as i64;
        Tensor::from_slice(&(0..n).collect::<Vec<i64>>(), shape).unwrap()
    }

    fn values(t: &Tensor) -> Vec<i64> {
        t.to_vec().unwrap()
    }

    #[test]
    fn views_of_transposed_tensors_read_the_right_elements() {
        let x = counted(&[3, 4]).t().unwrap();
        assert_eq!(values(&x.diagonal(0, 0, 1).unwrap()), [0, 5, 10]);
        assert_eq!(values(&x.diagonal(1, 0, 1).unwrap()), [4, 9]);
        assert_eq!(values(&x.diagonal(-2, 0, 1).unwrap()), [2, 7]);
        let windows = x.unfold(0, 2, 2).unwrap();
        assert_eq!(windows.shape(), [2, 3, 2]);
        assert_eq!(values(&windows)[..4], [0, 1, 4, 5]);
        assert_eq!(values(&x.as_strided([2, 2], &[1, 2], 1).unwrap()), [4, 1, 8, 5]);
    }

    #[test]
    fn overlap_is_detected() {
        let layout = |shape: &[usize], strides: &[usize]| Layout {
            shape: Shape::new(shape),
            strides: Shape::new(strides),
            offset: 0,
        };
        assert!(layout(&[2, 3], &[3, 1]).is_injective());
        assert!(layout(&[3, 2], &[1, 3]).is_injective());
        assert!(!layout(&[2, 3], &[2, 1]).is_injective());
        assert!(!layout(&[2], &[0]).is_injective());
        assert!(layout(&[1, 2], &[0, 5]).is_injective());
        assert_eq!(layout(&[2, 2], &[1, 1]).positions(), [0, 1, 1, 2]);
    }

    #[test]
    fn views_outside_are_errors() {
        let x = counted(&[3]);
        assert!(x.as_strided([2, 2], &[2, 1], 0).is_err());
        assert!(x.as_strided([2, 3], &[usize::MAX, usize::MAX], 1).is_err());
        assert_eq!(values(&x.slice(0, Some(1), None, isize::MAX).unwrap()), [1]);
        assert!(x.unfold(0, 4, 1).is_err());
        assert_eq!(counted(&[0, 3]).diagonal(2, 0, 1).unwrap().shape(), [0]);
    }
}
