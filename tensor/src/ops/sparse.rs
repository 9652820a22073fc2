//! Products with sparse matrices: `torch.sparse.mm`, `torch.sparse.sampled_addmm`.
//!
//! `Y[r] = Σ_e values[e]·X[column[e]]` over the elements `e` of row `r`, without the rows `X[column[e]]` ever being gathered: for
//! a graph with many more edges than nodes that is most of the memory. The two operations are each other's gradients, so
//! that both have gradients of any order. Where elements are is a [`Pattern`]; their values are a tensor, or all 1.

use std::sync::{Arc, OnceLock};

use flambeau_kernels::index::{self as kernels, Rows};

use crate::graph::{Op, Saved, record};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, ensure, with_float};

/// Where the elements of a sparse matrix are: rows and columns, sorted by rows. Several may be at one place; they add up.
#[derive(Clone, Debug)]
pub struct Pattern(Arc<Places>);

#[derive(Debug)]
struct Places {
    size: [usize; 2],
    /// Row and column of each element, `[elements]`; rows ascend.
    ends: [Tensor; 2],
    /// Where the elements of each row begin, `[rows + 1]`.
    offsets: Tensor,
    /// What the transposed matrix is read by, made when it is asked for.
    transposed: OnceLock<Transposed>,
}

#[derive(Debug)]
struct Transposed {
    offsets: Value,
    rows: Value,
    elements: Value,
}

impl Pattern {
    /// The elements at `(rows[e], columns[e])` of a matrix of this size, and the position in these lists of each element of
    /// the pattern (those of one row keep their order).
    ///
    /// # Errors
    /// `Shape` if the lists differ in length; `Index` for a row or column outside.
    pub fn new(rows: &[i64], columns: &[i64], size: [usize; 2]) -> Result<(Pattern, Tensor)> {
        ensure!(
            rows.len() == columns.len(),
            Shape,
            "Pattern: {} rows for {} columns",
            rows.len(),
            columns.len()
        );
        for (what, ends, len) in [("row", rows, size[0]), ("column", columns, size[1])] {
            if let Err(bad) = kernels::validate(ends, len) {
                crate::bail!(Index, "Pattern: {what} {} is out of range for {len}", bad.index);
            }
        }
        let csr = kernels::csr_from_rows(rows, size[0]);
        let count = rows.len();
        let pick = |ends: &[i64]| {
            Value::build::<i64>(DType::I64, Shape::new(&[count]), |out| {
                kernels::index_select(ends, &csr.order, out, (1, count, 1))
            })
        };
        let ends = [
            Tensor::from_value(pick(rows)?),
            Tensor::from_value(pick(columns)?),
        ];
        let vector =
            |values, len: usize| Tensor::from_value(Value::new(values, DType::I64, Shape::new(&[len])));
        let places = Places {
            size,
            ends,
            offsets: vector(csr.offsets, size[0] + 1),
            transposed: OnceLock::new(),
        };
        Ok((Pattern(Arc::new(places)), vector(csr.order, count)))
    }

    /// Rows and columns of the matrix.
    pub fn size(&self) -> [usize; 2] {
        self.0.size
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.ends[0].numel()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of each element, `[elements]`, ascending.
    pub fn rows(&self) -> &Tensor {
        &self.0.ends[0]
    }

    /// The column of each element, `[elements]`.
    pub fn columns(&self) -> &Tensor {
        &self.0.ends[1]
    }

    /// Where each row's elements begin, and their number, `[rows + 1]`.
    pub fn offsets(&self) -> &Tensor {
        &self.0.offsets
    }

    fn transposed(&self) -> Result<&Transposed> {
        if let Some(transposed) = self.0.transposed.get() {
            return Ok(transposed);
        }
        let (rows, columns) = (self.rows().value(), self.columns().value());
        let (rows, columns) = (rows.data::<i64>()?, columns.data::<i64>()?);
        let csr = kernels::csr_from_rows(columns, self.0.size[1]);
        let count = rows.len();
        let made = Transposed {
            rows: Value::build::<i64>(DType::I64, Shape::new(&[count]), |out| {
                kernels::index_select(rows, &csr.order, out, (1, count, 1))
            })?,
            offsets: Value::new(csr.offsets, DType::I64, Shape::new(&[self.0.size[1] + 1])),
            elements: Value::new(csr.order, DType::I64, Shape::new(&[count])),
        };
        Ok(self.0.transposed.get_or_init(|| made))
    }
}

/// A recorded product of a sparse matrix and a dense one.
#[derive(Clone, Debug)]
pub struct SparseMatmulOp {
    /// Where the elements are.
    pub pattern: Pattern,
    /// Whether the matrix is transposed.
    pub transposed: bool,
    /// The elements' values; all 1 if there are none.
    pub values: Option<Saved>,
    /// The dense matrix, kept if the values are tracked.
    pub x: Option<Saved>,
}

/// Recorded elements of a product of two dense matrices.
#[derive(Clone, Debug)]
pub struct SampledMatmulOp {
    /// Where the elements are.
    pub pattern: Pattern,
    /// How many dimensions the matrices have in common with the elements.
    pub common: usize,
    /// What gives rows.
    pub a: Saved,
    /// What gives columns.
    pub b: Saved,
}

/// The product of a sparse matrix, transposed or not, and a dense one (`torch.sparse.mm`). The dimensions of `values` after the
/// first stand for so many matrices with one pattern, each of which meets its own part of `x`.
///
/// # Shapes
/// `values` `[elements, heads…]` (all 1 if there are none) and `x` `[columns, heads…, …]` → `[rows, heads…, …]`; rows and columns
/// change places if the matrix is transposed.
///
/// # Errors
/// `Shape` for any other shapes; `DType` unless both are of one floating point type.
pub fn sparse_matmul(
    pattern: &Pattern,
    transposed: bool,
    values: Option<&Tensor>,
    x: &Tensor,
) -> Result<Tensor> {
    let [rows, columns] = pattern.size();
    let (rows, columns) = if transposed {
        (columns, rows)
    } else {
        (rows, columns)
    };
    ensure!(
        x.rank() > 0 && x.shape()[0] == columns,
        Shape,
        "sparse.mm: expected a matrix with {columns} rows, got {:?}",
        x.shape()
    );
    if let Some(values) = values {
        let fits = values.rank() > 0 && values.shape()[0] == pattern.len();
        ensure!(
            fits && x.shape()[1..].starts_with(&values.shape()[1..]),
            Shape,
            "sparse.mm: values {:?} for {} elements and a matrix {:?}",
            values.shape(),
            pattern.len(),
            x.shape()
        );
        ensure!(
            values.dtype() == x.dtype(),
            DType,
            "sparse.mm: values of {} and a matrix of {}",
            values.dtype(),
            x.dtype()
        );
    }
    if x.dtype().is_half() {
        let values = values.map(|values| values.to_dtype(DType::F32)).transpose()?;
        let wide = sparse_matmul(pattern, transposed, values.as_ref(), &x.to_dtype(DType::F32)?)?;
        return wide.to_dtype(x.dtype());
    }
    let (saved, values) = (x.read(), values.map(Tensor::read));
    let mut shape = Shape::new(x.shape());
    shape[0] = rows;
    let heads: usize = values
        .as_ref()
        .map_or(1, |values| values.value.shape[1..].iter().product());
    let dense = saved.value.contiguous()?;
    let inner = dense.shape[1..].iter().product::<usize>() / heads.max(1);
    let weights = values
        .as_ref()
        .map(|values| values.value.contiguous())
        .transpose()?;
    let value = with_float!("sparse.mm", x.dtype(), T => {
        let weights = weights.as_ref().map(|weights| weights.data::<T>()).transpose()?;
        let dense = dense.data::<T>()?;
        let (offsets, others) = (pattern.offsets().value(), pattern.columns().value());
        let rows = if transposed {
            let transposed = pattern.transposed()?;
            Rows {
                offsets: transposed.offsets.data::<i64>()?,
                columns: transposed.rows.data::<i64>()?,
                values: Some(transposed.elements.data::<i64>()?),
            }
        } else {
            Rows { offsets: offsets.data::<i64>()?, columns: others.data::<i64>()?, values: None }
        };
        Value::build::<T>(x.dtype(), shape, |out| {
            kernels::sparse_product(rows, weights, dense, out, (heads, inner))
        })?
    });
    let tracked = values.as_ref().is_some_and(Saved::is_tracked);
    let inputs: Vec<&Saved> = std::iter::once(&saved).chain(&values).collect();
    Ok(record(value, &inputs, |_| {
        Op::SparseMatmul(SparseMatmulOp {
            pattern: pattern.clone(),
            transposed,
            values: values.clone(),
            x: tracked.then(|| saved.clone()),
        })
    }))
}

/// The elements of `a·bᵀ` at the places of the pattern (`torch.sparse.sampled_addmm`), one product for each index of the `common`
/// dimensions after the first.
///
/// # Shapes
/// `a` `[rows, heads…, …]`, `b` `[columns, heads…, …]` → `[elements, heads…]`.
///
/// # Errors
/// `Shape` for any other shapes; `DType` unless both are of one floating point type.
pub fn sampled_matmul(pattern: &Pattern, common: usize, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let [rows, columns] = pattern.size();
    let fits = |x: &Tensor, len: usize| x.rank() > common && x.shape()[0] == len;
    ensure!(
        fits(a, rows) && fits(b, columns) && a.shape()[1..] == b.shape()[1..],
        Shape,
        "sparse.sampled_addmm: expected [{rows}, …] and [{columns}, …], alike but for that and with {common} dimensions more at \
         least, got {:?} and {:?}",
        a.shape(),
        b.shape()
    );
    ensure!(
        a.dtype() == b.dtype(),
        DType,
        "sparse.sampled_addmm: expected matrices of one type, got {} and {}",
        a.dtype(),
        b.dtype()
    );
    if a.dtype().is_half() {
        let (wide_a, wide_b) = (a.to_dtype(DType::F32)?, b.to_dtype(DType::F32)?);
        return sampled_matmul(pattern, common, &wide_a, &wide_b)?.to_dtype(a.dtype());
    }
    let (left, right) = (a.read(), b.read());
    let mut shape = Shape::new(&a.shape()[..=common]);
    shape[0] = pattern.len();
    let heads: usize = shape[1..].iter().product();
    let inner = a.shape()[1..].iter().product::<usize>() / heads.max(1);
    let (x, y) = (left.value.contiguous()?, right.value.contiguous()?);
    let (row, column) = (pattern.rows().value(), pattern.columns().value());
    let value = with_float!("sparse.sampled_addmm", a.dtype(), T => {
        let (x, y) = (x.data::<T>()?, y.data::<T>()?);
        let (row, column) = (row.data::<i64>()?, column.data::<i64>()?);
        Value::build::<T>(a.dtype(), shape, |out| {
            kernels::sampled_products(row, column, x, y, out, (heads, inner))
        })?
    });
    Ok(record(value, &[&left, &right], |_| {
        Op::SampledMatmul(SampledMatmulOp {
            pattern: pattern.clone(),
            common,
            a: left.clone(),
            b: right.clone(),
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> Pattern {
        let (pattern, order) = Pattern::new(&[2, 0, 2, 0], &[1, 0, 1, 2], [4, 3]).unwrap();
        assert_eq!(order.to_vec::<i64>().unwrap(), [1, 3, 0, 2]);
        assert_eq!(pattern.offsets().to_vec::<i64>().unwrap(), [0, 2, 2, 4, 4]);
        pattern
    }

    #[test]
    fn both_ways() {
        let pattern = pattern();
        let x = Tensor::new([[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]).unwrap();
        let values = Tensor::new([2f32, -1.0, 1.0, 0.5]).unwrap();
        let product = |values: Option<&Tensor>| {
            let y = sparse_matmul(&pattern, false, values, &x).unwrap();
            y.to_vec::<f32>().unwrap()
        };
        assert_eq!(product(None), [6.0, 8.0, 0.0, 0.0, 6.0, 8.0, 0.0, 0.0]);
        assert_eq!(product(Some(&values)), [-3.0, -2.0, 0.0, 0.0, 4.5, 6.0, 0.0, 0.0]);
        let y = Tensor::new([[1f32], [7.0], [10.0], [9.0]]).unwrap();
        let back = sparse_matmul(&pattern, true, Some(&values), &y).unwrap();
        assert_eq!(back.to_vec::<f32>().unwrap(), [2.0, 15.0, -1.0]);
    }

    #[test]
    fn nothing_is_a_matrix_too() {
        let (pattern, _) = Pattern::new(&[], &[], [2, 0]).unwrap();
        let x = Tensor::zeros((0, 3), DType::F32).unwrap();
        let y = sparse_matmul(&pattern, false, None, &x).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [0.0; 6]);
        let back = sparse_matmul(&pattern, true, None, &y).unwrap();
        assert_eq!(back.shape(), [0, 3]);
        assert_eq!(sampled_matmul(&pattern, 0, &y, &x).unwrap().shape(), [0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |result: Result<Tensor>| result.unwrap_err().to_string();
        let (pattern, x) = (pattern(), Tensor::zeros((3, 2), DType::F32).unwrap());
        let values = Tensor::zeros(3, DType::F32).unwrap();
        assert_eq!(
            error(sparse_matmul(&pattern, false, Some(&values), &x)),
            "sparse.mm: values [3] for 4 elements and a matrix [3, 2]"
        );
        assert_eq!(
            error(sparse_matmul(&pattern, true, None, &x)),
            "sparse.mm: expected a matrix with 4 rows, got [3, 2]"
        );
        assert!(error(sampled_matmul(&pattern, 0, &x, &x)).contains("expected [4, …] and [3, …]"));
        let bad = Pattern::new(&[4], &[0], [4, 3]).unwrap_err().to_string();
        assert_eq!(bad, "Pattern: row 4 is out of range for 4");
    }
}
