//! Elements by index tensors: `index_select`, `gather`, `take`, `take_along_dim`.

use flambeau_kernels::index::gather_linear_index;

use crate::ops::index::{Addressing, IndexOp, checked_index};
use crate::shape::resolve_dim;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, broadcast_shapes, ensure};

/// Rows of dimension `dim` of a tensor of shape `base` by a 1-d (or 0-d) index.
pub(crate) fn rows(
    name: &'static str,
    base: &[usize],
    dim: isize,
    index: &Tensor,
    wrap: bool,
) -> Result<IndexOp> {
    ensure!(
        index.rank() <= 1,
        Shape,
        "{name}: expected a 1-d index, got {:?}",
        index.shape()
    );
    let base = Shape::new(base);
    let d = resolve_dim(name, dim, base.len())?;
    let sizes = if base.is_empty() {
        (1, 1, 1)
    } else {
        base.around(d)
    };
    let mut picked = base.clone();
    if let Some(size) = picked.get_mut(d) {
        *size = index.numel();
    }
    ensure!(
        !base.is_empty() || index.numel() == 1,
        Shape,
        "{name}: an index of {} entries for a 0-d tensor",
        index.numel()
    );
    Ok(IndexOp {
        name,
        addressing: Addressing::Rows,
        sizes,
        index: checked_index(name, index, sizes.1, wrap)?,
        base,
        picked,
    })
}

/// Single elements of a tensor of shape `base`: entry `i…` of the index names the element at `i…` but with the entry in
/// the place of `i_dim`. The index may be smaller than the tensor in the other dimensions.
pub(crate) fn elements(
    name: &'static str,
    base: &[usize],
    dim: isize,
    index: &Tensor,
    wrap: bool,
) -> Result<IndexOp> {
    let d = resolve_dim(name, dim, base.len())?;
    let picked = Shape::new(index.shape());
    // A 0-d tensor and a 0-d index count as 1-d.
    let widen = |shape: &[usize]| Shape::new(if shape.is_empty() { &[1] } else { shape });
    let (wide, entries) = (widen(base), widen(&picked));
    let others = || (0..wide.len()).filter(|&i| i != d);
    let fits = wide.len() == entries.len() && others().all(|i| entries[i] <= wide[i]);
    ensure!(
        fits || picked.numel() == 0,
        Shape,
        "{name}: an index {picked:?} for a tensor {base:?} along dimension {dim}"
    );
    let (base, sizes) = (Shape::new(base), wide.around(d));
    let op = |addressing, sizes, index| IndexOp {
        name,
        addressing,
        sizes,
        index,
        base: base.clone(),
        picked: picked.clone(),
    };
    if picked.numel() == 0 || others().all(|i| entries[i] == wide[i]) {
        if let Some(row_index) = expanded_row_index(index, d) {
            return Ok(op(
                Addressing::Rows,
                sizes,
                checked_index(name, &row_index, sizes.1, wrap)?,
            ));
        }
        return Ok(op(
            Addressing::Elements,
            sizes,
            checked_index(name, index, sizes.1, wrap)?,
        ));
    }
    let checked = checked_index(name, index, sizes.1, wrap)?;
    let along = checked.data::<i64>()?;
    let positions = Value::build::<i64>(DType::I64, Shape::new(&[along.len()]), |out| {
        gather_linear_index(&wide, d, &entries, along, out)
    })?;
    Ok(op(Addressing::Rows, (1, wide.numel(), 1), positions))
}

/// An index that was expanded from one entry per place in dimension `d` names whole rows, as graph code has it
/// (`index.unsqueeze(-1).expand_as(src)`); then its entries.
fn expanded_row_index(index: &Tensor, d: usize) -> Option<Tensor> {
    let value = index.value();
    let repeated = |i: usize| value.strides[i] == 0 && value.shape[i] > 1;
    let others = || (0..value.shape.len()).filter(|&i| i != d);
    if value.numel() == 0 || !others().any(repeated) || !others().all(|i| repeated(i) || value.shape[i] == 1)
    {
        return None;
    }
    let (size, stride) = (value.shape[d], value.strides[d]);
    Some(Tensor::from_value(value.with_layout(
        Shape::new(&[size]),
        Shape::new(&[stride]),
        value.offset,
    )))
}

impl Tensor {
    /// The entries of dimension `dim` that a 1-d index names, in its order (`torch.index_select`).
    ///
    /// # Shapes
    /// `[…, n, …]`, index `[k]` → `[…, k, …]`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if the index is not 1-d; `Index` if an entry is outside.
    pub fn index_select(&self, dim: isize, index: &Tensor) -> Result<Tensor> {
        self.pick(&rows("index_select", self.shape(), dim, index, false)?)
    }

    /// `out[i][j] = self[index[i][j]][j]` for `dim` 0, and so on (`torch.gather`). The index may be smaller than this
    /// tensor in the other dimensions. The result has its shape.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if the index does not fit; `Index` if an entry is outside.
    pub fn gather(&self, dim: isize, index: &Tensor) -> Result<Tensor> {
        self.pick(&elements("gather", self.shape(), dim, index, false)?)
    }

    /// The elements at the index's row-major positions, negative ones counted from the end (`torch.take`). The result has
    /// the index's shape.
    ///
    /// # Errors
    /// `Index` if an entry is outside.
    pub fn take(&self, index: &Tensor) -> Result<Tensor> {
        self.pick(&positions("take", self, index)?)
    }

    /// [`Tensor::gather`] with broadcasting of the other dimensions (`torch.take_along_dim`), as the results of `argsort`
    /// and `argmax(keepdim)` are used. Negative indices count from the end.
    ///
    /// # Errors
    /// `Shape` if the numbers of dimensions differ; `Broadcast` if the other dimensions don't broadcast; `Dim` if there is
    /// no such dimension; `Index` if an entry is outside.
    pub fn take_along_dim(&self, index: &Tensor, dim: isize) -> Result<Tensor> {
        let name = "take_along_dim";
        ensure!(
            self.rank() == index.rank(),
            Shape,
            "{name}: a tensor {:?} and an index {:?} differ in dimensions",
            self.shape(),
            index.shape()
        );
        let d = resolve_dim(name, dim, self.rank())?;
        let without = |shape: &[usize]| {
            let mut shape = Shape::new(shape);
            if let Some(size) = shape.get_mut(d) {
                *size = 1;
            }
            shape
        };
        let common = broadcast_shapes(name, &[&without(self.shape()), &without(index.shape())])?;
        let with = |size: Option<&usize>| {
            let mut shape = common.clone();
            if let (Some(slot), Some(&size)) = (shape.get_mut(d), size) {
                *slot = size;
            }
            shape
        };
        let base = self.expand(with(self.shape().get(d)))?;
        let index = index.expand(with(index.shape().get(d)))?;
        base.pick(&elements(name, base.shape(), d as isize, &index, true)?)
    }
}

/// Single elements of `base` by row-major positions, negative ones counted from the end.
pub(crate) fn positions(name: &'static str, base: &Tensor, index: &Tensor) -> Result<IndexOp> {
    let numel = base.numel();
    Ok(IndexOp {
        name,
        addressing: Addressing::Rows,
        sizes: (1, numel, 1),
        index: checked_index(name, index, numel, true)?,
        base: Shape::new(base.shape()),
        picked: Shape::new(index.shape()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Tensor {
        Tensor::new([[1i64, 2, 3], [4, 5, 6]]).unwrap()
    }

    fn values(t: Tensor) -> Vec<i64> {
        t.to_vec().unwrap()
    }

    #[test]
    fn rows_and_elements() {
        let index = Tensor::new([2i64, 0, 2]).unwrap();
        assert_eq!(
            values(grid().index_select(1, &index).unwrap()),
            [3, 1, 3, 6, 4, 6]
        );
        let index = Tensor::new([[1i32, 0, 1]]).unwrap();
        assert_eq!(values(grid().gather(0, &index).unwrap()), [4, 2, 6]);
        let smaller = Tensor::new([[1i64], [2]]).unwrap();
        assert_eq!(values(grid().gather(1, &smaller).unwrap()), [2, 6]);
        let narrower = Tensor::new([[2i64, 0]]).unwrap();
        assert_eq!(values(grid().gather(1, &narrower).unwrap()), [3, 1]);
        let index = Tensor::new([[-1i64], [0]]).unwrap();
        assert_eq!(values(grid().take(&index).unwrap()), [6, 1]);
        assert_eq!(
            values(
                grid()
                    .take_along_dim(&Tensor::new([[-1i64, 0]]).unwrap(), 1)
                    .unwrap()
            ),
            [3, 1, 6, 4]
        );
    }

    #[test]
    fn an_expanded_index_names_rows() {
        let index = Tensor::new([1i64, 0])
            .unwrap()
            .unsqueeze(-1)
            .unwrap()
            .expand([2, 3])
            .unwrap();
        let op = elements("gather", &[2, 3], 0, &index, false).unwrap();
        assert_eq!(op.addressing, Addressing::Rows);
        assert_eq!(values(grid().gather(0, &index).unwrap()), [4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn wrong_indices_are_errors() {
        let error = |index: Tensor| grid().index_select(0, &index).unwrap_err().to_string();
        assert_eq!(
            error(Tensor::new([0i64, 2]).unwrap()),
            "index_select: index 2 at position 1 is out of range for a dimension of size 2"
        );
        assert!(error(Tensor::new([0.5f32]).unwrap()).contains("expected an integer index, got float32"));
        assert!(error(Tensor::new([[0i64]]).unwrap()).contains("1-d"));
        assert!(grid().gather(0, &Tensor::new([[0i64; 4]]).unwrap()).is_err());
        assert!(grid().take(&Tensor::new([-7i64]).unwrap()).is_err());
    }
}
