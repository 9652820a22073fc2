//! Writing by index tensors: `index_add`, `index_copy`, `index_fill`, `index_reduce`, `scatter`, `scatter_add`,
//! `scatter_reduce`, `put`; each also in place, with a trailing underscore.

use crate::amp::under_autocast;
use crate::ops::gather::{elements, positions, rows};
use crate::ops::index::{IndexOp, Mode, Reduction};
use crate::{Operand, Result, Scalar, Tensor, ensure};

/// What is written: a tensor of the shape of the places, or one number to all of them.
pub(crate) enum Content {
    Tensor(Tensor),
    Scalar(Scalar),
}

impl Content {
    pub(crate) fn operand(&self) -> Operand<'_> {
        match self {
            Content::Tensor(tensor) => Operand::Tensor(tensor),
            Content::Scalar(scalar) => Operand::Scalar(*scalar),
        }
    }
}

/// Where, what and how.
type Write = (IndexOp, Content, Mode);

/// Pairs of methods that write beside the tensor and in place.
macro_rules! writes {
    ($(
        $(#[$doc:meta])*
        fn $beside:ident, $in_place:ident($this:ident $(, $arg:ident: $ty:ty)*) $(, $autocast:block)? = $write:expr;
    )*) => {
        impl Tensor { $(
            $(#[$doc])*
            #[allow(clippy::extra_unused_lifetimes)] // some methods take an operand of that lifetime
            pub fn $beside<'a>(&self $(, $arg: $ty)*) -> Result<Tensor> {
                let $this = self;
                $($autocast)?
                let (op, content, mode): Write = $write?;
                self.scattered(&op, content.operand(), mode)
            }

            #[doc = concat!("[`Tensor::", stringify!($beside), "`] in place.")]
            ///
            /// # Errors
            #[doc = concat!("As [`Tensor::", stringify!($beside), "`]; `Autograd` for a leaf that requires a gradient.")]
            #[allow(clippy::extra_unused_lifetimes)] // as above
            pub fn $in_place<'a>(&self $(, $arg: $ty)*) -> Result<&Tensor> {
                let $this = self;
                let (op, content, mode): Write = $write?;
                self.scatter_in_place(&op, content.operand(), mode)
            }
        )* }
    };
}

writes! {
    /// This tensor with the rows of `source` added to those that a 1-d index names (`torch.index_add`).
    ///
    /// # Shapes
    /// `[…, n, …]`, index `[k]`, source `[…, k, …]`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if index or source don't fit; `Index` if an entry is outside.
    fn index_add, index_add_(x, dim: isize, index: &Tensor, source: &Tensor) =
        write_rows("index_add", x, dim, index, source, Mode::Add);

    /// This tensor with the rows of `source` in the place of those that a 1-d index names (`torch.index_copy`). Of
    /// several rows for one place the last stays.
    ///
    /// # Errors
    /// As [`Tensor::index_add`].
    fn index_copy, index_copy_(x, dim: isize, index: &Tensor, source: &Tensor),
        { under_autocast!("index_copy": x, source => x.index_copy(dim, index, source)) } =
        write_rows("index_copy", x, dim, index, source, Mode::Copy);

    /// This tensor with the rows that a 1-d index names set to a number or a 0-d tensor (`torch.index_fill`). Negative
    /// indices count from the end.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if the index is not 1-d or the value not 0-d; `Index` if an entry is
    /// outside.
    fn index_fill, index_fill_(x, dim: isize, index: &Tensor, value: impl Into<Operand<'a>>) =
        fill_rows(x, dim, index, value.into());

    /// The rows that a 1-d index names combined with those of `source` (`torch.index_reduce`). Unless `include_self`,
    /// what was in them does not count.
    ///
    /// # Errors
    /// As [`Tensor::index_add`].
    fn index_reduce, index_reduce_(
        x, dim: isize, index: &Tensor, source: &Tensor, reduction: Reduction, include_self: bool
    ) = write_rows("index_reduce", x, dim, index, source, Mode::Reduce(reduction, include_self));

    /// `out[index[i][j]][j] = src[i][j]` for `dim` 0, and so on (`torch.scatter`); `src` is a tensor, at least as large
    /// as the index, or a number. Of several values for one place the last stays.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if the index or the source does not fit; `Index` if an entry is
    /// outside.
    fn scatter, scatter_(x, dim: isize, index: &Tensor, src: impl Into<Operand<'a>>) =
        match src.into() {
            Operand::Scalar(value) => elements("scatter", x.shape(), dim, index, false)
                .map(|op| (op, Content::Scalar(value), Mode::Copy)),
            Operand::Tensor(src) => write_elements("scatter", x, dim, index, src, Mode::Copy),
        };

    /// `out[index[i][j]][j] += src[i][j]` for `dim` 0, and so on (`torch.scatter_add`).
    ///
    /// # Errors
    /// As [`Tensor::scatter`].
    fn scatter_add, scatter_add_(x, dim: isize, index: &Tensor, src: &Tensor) =
        write_elements("scatter_add", x, dim, index, src, Mode::Add);

    /// Combines the elements that the index names with those of `src` (`torch.scatter_reduce`). Unless `include_self`,
    /// what was in them does not count.
    ///
    /// # Errors
    /// As [`Tensor::scatter`].
    fn scatter_reduce, scatter_reduce_(
        x, dim: isize, index: &Tensor, src: &Tensor, reduction: Reduction, include_self: bool
    ) = write_elements("scatter_reduce", x, dim, index, src, Mode::Reduce(reduction, include_self));

    /// This tensor with the elements at the index's row-major positions replaced by those of `source` or, with
    /// `accumulate`, added to (`torch.put`). Negative positions count from the end.
    ///
    /// # Errors
    /// `Shape` if source and index differ in the number of elements; `Index` if an entry is outside.
    fn put, put_(x, index: &Tensor, source: &Tensor, accumulate: bool) =
        write_positions(x, index, source, accumulate);
}

fn write_rows(
    name: &'static str,
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    source: &Tensor,
    mode: Mode,
) -> Result<Write> {
    let op = rows(name, x.shape(), dim, index, false)?;
    // A single number may be given as 0-d or as 1-d.
    let single = source.numel() == 1 && op.picked.numel() == 1 && source.rank() <= 1 && op.picked.len() <= 1;
    let source = if single {
        source.reshape(&op.picked)?
    } else {
        source.clone()
    };
    Ok((op, Content::Tensor(source), mode))
}

fn fill_rows(x: &Tensor, dim: isize, index: &Tensor, value: Operand<'_>) -> Result<Write> {
    let op = rows("index_fill", x.shape(), dim, index, true)?;
    let content = match value {
        Operand::Scalar(value) => Content::Scalar(value),
        Operand::Tensor(value) => {
            ensure!(
                value.rank() == 0,
                Shape,
                "index_fill: expected a 0-d value, got {:?}",
                value.shape()
            );
            Content::Tensor(value.to_dtype(x.dtype())?.expand(&op.picked)?)
        }
    };
    Ok((op, content, Mode::Copy))
}

fn write_elements(
    name: &'static str,
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    src: &Tensor,
    mode: Mode,
) -> Result<Write> {
    let op = elements(name, x.shape(), dim, index, false)?;
    let mut src = src.clone();
    if src.rank() == op.picked.len() {
        for (d, &size) in op.picked.iter().enumerate() {
            if src.shape()[d] > size {
                src = src.narrow(d as isize, 0, size)?;
            }
        }
    } else if src.numel() == 1 && op.picked.numel() == 1 {
        src = src.reshape(&op.picked)?; // 0-d for 1-d
    }
    Ok((op, Content::Tensor(src), mode))
}

fn write_positions(x: &Tensor, index: &Tensor, source: &Tensor, accumulate: bool) -> Result<Write> {
    let op = positions("put", x, index)?;
    let source = source.reshape(&op.picked)?;
    let mode = if accumulate { Mode::Add } else { Mode::Copy };
    Ok((op, Content::Tensor(source), mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, no_grad};

    fn values(t: &Tensor) -> Vec<f32> {
        t.to_vec().unwrap()
    }

    fn line(data: &[f32]) -> Tensor {
        Tensor::from_slice(data, data.len()).unwrap()
    }

    #[test]
    fn rows_are_added_copied_and_filled() {
        let x = Tensor::ones((2, 3), DType::F32).unwrap();
        let index = Tensor::new([2i64, 2]).unwrap();
        let source = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]]).unwrap();
        let y = x.index_add(1, &index, &source).unwrap();
        assert_eq!(values(&y), [1.0, 1.0, 4.0, 1.0, 1.0, 8.0]);
        let y = x.index_copy(1, &index, &source).unwrap();
        assert_eq!(values(&y), [1.0, 1.0, 2.0, 1.0, 1.0, 4.0]);
        let y = x.index_fill(-1, &Tensor::new([-3i64]).unwrap(), 9).unwrap();
        assert_eq!(values(&y), [9.0, 1.0, 1.0, 9.0, 1.0, 1.0]);
        assert_eq!(values(&x), [1.0; 6]);
        x.index_add_(1, &index, &source).unwrap();
        assert_eq!(values(&x), [1.0, 1.0, 4.0, 1.0, 1.0, 8.0]);
        assert!(x.index_add(0, &index, &source).is_err());
    }

    #[test]
    fn elements_are_scattered_and_reduced() {
        let x = line(&[1.0, 2.0, 3.0]);
        let (index, src) = (Tensor::new([0i64, 0, 2]).unwrap(), line(&[5.0, 6.0, 7.0]));
        assert_eq!(values(&x.scatter(0, &index, &src).unwrap()), [6.0, 2.0, 7.0]);
        assert_eq!(values(&x.scatter(0, &index, 0).unwrap()), [0.0, 2.0, 0.0]);
        assert_eq!(
            values(&x.scatter_add(0, &index, &src).unwrap()),
            [12.0, 2.0, 10.0]
        );
        let reduce = |r, own| values(&x.scatter_reduce(0, &index, &src, r, own).unwrap());
        assert_eq!(reduce(Reduction::Mean, true), [4.0, 2.0, 5.0]);
        assert_eq!(reduce(Reduction::Mean, false), [5.5, 2.0, 7.0]);
        assert_eq!(reduce(Reduction::Prod, true), [30.0, 2.0, 21.0]);
        assert_eq!(reduce(Reduction::Amin, true), [1.0, 2.0, 3.0]);
        assert_eq!(reduce(Reduction::Amax, false), [6.0, 2.0, 7.0]);
        let tracked = x.detach().requires_grad(true).unwrap();
        let mean = tracked
            .scatter_reduce(0, &index, &src, Reduction::Mean, false)
            .unwrap();
        assert_eq!(values(&mean), [5.5, 2.0, 7.0]);
        assert!(tracked.scatter_(0, &index, 1).is_err());
        no_grad(|| tracked.scatter_(0, &index, 1).map(|_| ())).unwrap();
        assert_eq!(values(&tracked), [1.0, 2.0, 1.0]);
    }

    #[test]
    fn bools_and_halves_are_combined() {
        let x = Tensor::new([false, true]).unwrap();
        let many = Tensor::zeros(256, DType::I64).unwrap();
        let yes = Tensor::ones(256, DType::Bool).unwrap();
        let sum = x.index_add(0, &many, &yes).unwrap();
        assert_eq!(sum.to_vec::<bool>().unwrap(), [true, true]);
        let half = Tensor::ones(2, DType::F16).unwrap();
        let sum = half
            .index_add(0, &Tensor::new([1i64]).unwrap(), &half.narrow(0, 0, 1).unwrap())
            .unwrap();
        assert_eq!(
            sum.to_dtype(DType::F32).unwrap().to_vec::<f32>().unwrap(),
            [1.0, 2.0]
        );
        let put = line(&[1.0, 2.0]).put(&Tensor::new([[-1i64]]).unwrap(), &line(&[5.0]), true);
        assert_eq!(values(&put.unwrap()), [1.0, 7.0]);
    }
}
