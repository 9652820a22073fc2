//! Rows of a table by index, one by one (`nn.functional.embedding`) or combined by bags (`embedding_bag`).

pub use flambeau_kernels::embedding::BagMode;
use flambeau_kernels::embedding::{
    bag_of, embedding_bag as bag_kernel, embedding_bag_backward, embedding_bag_per_sample_weights_backward,
    embedding_renorm,
};
use flambeau_kernels::index::validate;
use flambeau_kernels::mem::Buf;

use crate::graph::{Op, Saved, record};
use crate::ops::create::checked_numel;
use crate::ops::linear_map::{LinearMap, LinearMapOp};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, no_grad, with_float};

/// Options of [`embedding`] and, as far as they concern the table, of [`embedding_bag`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingOptions {
    /// A row whose gradient stays zero (and that bags leave out); negative numbers count from the end.
    pub padding_idx: Option<isize>,
    /// Rows that are looked up are first scaled down, in place, to a norm of at most this.
    pub max_norm: Option<f64>,
    /// Which norm.
    pub norm_type: f64,
    /// Divide a row's gradient by how often it was looked up.
    pub scale_grad_by_freq: bool,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        EmbeddingOptions {
            padding_idx: None,
            max_norm: None,
            norm_type: 2.0,
            scale_grad_by_freq: false,
        }
    }
}

/// The checked index as contiguous `int64`, and the padding row; scales the rows that it names if that is asked for.
fn prepare(
    op: &str,
    index: &Tensor,
    weight: &Tensor,
    options: &EmbeddingOptions,
) -> Result<(Value, Option<usize>)> {
    let (shape, dtype) = (weight.shape(), index.dtype());
    ensure!(
        shape.len() == 2 && weight.dtype().is_float(),
        Shape,
        "{op}: expected a floating point table [rows, dim], got {} {shape:?}",
        weight.dtype()
    );
    ensure!(
        matches!(dtype, DType::I32 | DType::I64),
        DType,
        "{op}: expected an index of int32 or int64, got {dtype}"
    );
    let rows = shape[0];
    let padding_idx = match options.padding_idx {
        None => None,
        Some(i) => {
            let row = if i < 0 { i + rows as isize } else { i };
            ensure!(
                (0..rows as isize).contains(&row),
                Index,
                "{op}: padding_idx {i} is outside of a table of {rows} rows"
            );
            Some(row as usize)
        }
    };
    let index = index.value().cast(DType::I64)?;
    if let Err(bad) = validate(index.data::<i64>()?, rows) {
        bail!(
            Index,
            "{op}: index {} at position {} is outside of a table of {rows} rows",
            bad.index,
            bad.position
        )
    }
    if let Some(max_norm) = options.max_norm {
        renormalise(op, weight, &index, max_norm, options.norm_type)?;
    }
    Ok((index, padding_idx))
}

/// Scales the rows that `index` names down to a norm of at most `max_norm`, in place and unrecorded.
fn renormalise(op: &str, weight: &Tensor, index: &Value, max_norm: f64, norm_type: f64) -> Result<()> {
    ensure!(
        norm_type > 0.0,
        Value,
        "{op}: norm_type must be positive, got {norm_type}"
    );
    let (index, dim) = (index.data::<i64>()?, weight.shape()[1]);
    no_grad(|| {
        if weight.dtype().is_half() {
            let wide = weight.to_dtype(DType::F32)?;
            wide.write::<f32, _>(op, |rows| embedding_renorm(rows, index, dim, max_norm, norm_type))?;
            return weight.replace(op, wide.to_dtype(weight.dtype())?).map(|_| ());
        }
        with_float!(op, weight.dtype(), T => {
            weight.write::<T, _>(op, |rows| embedding_renorm(rows, index, dim, max_norm, norm_type))
        })
    })
}

/// `weight[index]`, row by row.
///
/// # Shapes
/// index `[…]`, weight `[rows, dim]` → `[…, dim]`.
///
/// # Errors
/// `Index` if an index or `padding_idx` is outside; `Shape` unless the table is a floating point matrix; `DType` unless
/// the index is `int32` or `int64`.
pub fn embedding(index: &Tensor, weight: &Tensor, options: &EmbeddingOptions) -> Result<Tensor> {
    let (rows, padding_idx) = prepare("embedding", index, weight, options)?;
    let dim = weight.shape()[1];
    let mut output = index.dims().clone();
    output.push(dim);
    checked_numel("embedding", &output)?;
    let lookup = |padding_idx, scale_grad_by_freq| {
        let map = LinearMap::Lookup {
            index: rows.clone(),
            dim,
            padding_idx,
            scale_grad_by_freq,
        };
        LinearMapOp::new(map, weight.dims().clone(), output.clone())
    };
    if padding_idx.is_none() && !options.scale_grad_by_freq {
        return weight.linear_map(lookup(None, false));
    }
    // Only the gradient treats the padding row and frequent ones differently.
    let plain = no_grad(|| weight.linear_map(lookup(None, false)))?;
    let map = lookup(padding_idx, options.scale_grad_by_freq);
    Ok(crate::ops::linear_map::record_linear_map(
        plain.value(),
        &weight.read(),
        map,
    ))
}

/// A recorded combination of rows by bags.
#[derive(Clone, Debug)]
pub struct EmbeddingBagOp {
    /// The table.
    pub weight: Saved,
    /// Weights of the summands.
    pub per_sample_weights: Option<Saved>,
    /// How rows are combined.
    pub mode: BagMode,
    /// The row that is left out.
    pub padding_idx: Option<usize>,
    /// Divide a row's gradient by how often it was looked up.
    pub scale_grad_by_freq: bool,
    index: Value,
    offsets: Value,
    max_rows: Value,
}

/// How bags are cut out of an index, and combined; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingBagOptions<'a> {
    /// How rows are combined.
    pub mode: BagMode,
    /// Where bags begin in an index of one dimension; rows of an index of two dimensions are bags.
    pub offsets: Option<&'a Tensor>,
    /// Factors of the rows, in the shape of the index; for sums only.
    pub per_sample_weights: Option<&'a Tensor>,
    /// The last offset is the end of the last bag rather than the start of one more.
    pub include_last_offset: bool,
    /// About the table.
    pub table: EmbeddingOptions,
}

impl Default for EmbeddingBagOptions<'_> {
    fn default() -> Self {
        EmbeddingBagOptions {
            mode: BagMode::Mean,
            offsets: None,
            per_sample_weights: None,
            include_last_offset: false,
            table: EmbeddingOptions::default(),
        }
    }
}

/// The starts of all bags and the end of the last.
fn bag_offsets(index: &Tensor, options: &EmbeddingBagOptions<'_>) -> Result<Vec<i64>> {
    let (op, shape, len) = ("embedding_bag", index.shape(), index.numel() as i64);
    let mut offsets = match (shape.len(), options.offsets) {
        (2, None) => return Ok((0..=shape[0] as i64).map(|bag| bag * shape[1] as i64).collect()),
        (1, Some(offsets)) => {
            ensure!(
                offsets.rank() == 1 && matches!(offsets.dtype(), DType::I32 | DType::I64),
                Shape,
                "{op}: expected offsets of one dimension and int32 or int64, got {} {:?}",
                offsets.dtype(),
                offsets.shape()
            );
            offsets.to_dtype(DType::I64)?.to_vec::<i64>()?
        }
        _ => bail!(
            Shape,
            "{op}: expected an index of two dimensions, or of one and offsets, got {shape:?}"
        ),
    };
    if options.include_last_offset {
        ensure!(
            !offsets.is_empty(),
            Value,
            "{op}: include_last_offset needs at least one offset"
        );
        offsets.pop();
    }
    offsets.push(len);
    ensure!(
        offsets[0] == 0 && offsets.is_sorted(),
        Value,
        "{op}: offsets must begin with 0 and ascend to at most {len}, got {:?}",
        &offsets[..offsets.len() - 1]
    );
    Ok(offsets)
}

/// Rows of a table combined by bags.
///
/// # Shapes
/// index `[bags, length]`, or `[n]` with offsets `[bags]`; weight `[rows, dim]` → `[bags, dim]`.
///
/// # Errors
/// As [`embedding`]; `Value` for offsets that do not ascend from 0, or per-sample weights with other than sums.
pub fn embedding_bag(index: &Tensor, weight: &Tensor, options: &EmbeddingBagOptions<'_>) -> Result<Tensor> {
    let op = "embedding_bag";
    let (mode, per_sample_weights) = (options.mode, options.per_sample_weights);
    if let Some(factors) = per_sample_weights {
        ensure!(
            mode == BagMode::Sum,
            Value,
            "{op}: per_sample_weights go with mode sum, not {}",
            format!("{mode:?}").to_lowercase()
        );
        ensure!(
            factors.shape() == index.shape() && factors.dtype() == weight.dtype(),
            Shape,
            "{op}: expected per_sample_weights of {} {:?}, got {} {:?}",
            weight.dtype(),
            index.shape(),
            factors.dtype(),
            factors.shape()
        );
    }
    let offsets = bag_offsets(index, options)?;
    let (index, padding_idx) = prepare(op, index, weight, &options.table)?;
    let (bags, dim) = (offsets.len() - 1, weight.shape()[1]);
    let (w, factors) = (weight.read(), per_sample_weights.map(Tensor::read));
    let max_len = if mode == BagMode::Max { bags * dim } else { 0 };
    let mut max_rows = Buf::<i64>::take(max_len);
    let mut compute = |w: &Value, factors: Option<Value>| -> Result<Value> {
        let w = w.contiguous()?;
        with_float!(op, w.dtype, T => {
            let (rows, index) = (w.data::<T>()?, index.data::<i64>()?);
            let factors = factors.as_ref().map(|f| f.data::<T>()).transpose()?;
            Value::build::<T>(w.dtype, Shape::new(&[bags, dim]), |out| {
                bag_kernel(rows, index, &offsets, mode, factors, padding_idx, out, &mut max_rows, dim)
            })
        })
    };
    let value = if w.value.dtype.is_half() {
        let factors = factors.as_ref().map(|f| f.value.cast(DType::F32)).transpose()?;
        compute(&w.value.cast(DType::F32)?, factors)?.cast(w.value.dtype)?
    } else {
        let factors = factors.as_ref().map(|f| f.value.contiguous()).transpose()?;
        compute(&w.value, factors)?
    };
    let integers = |data: &[i64]| Value::new(Buf::from_slice(data), DType::I64, Shape::new(&[data.len()]));
    let mut inputs = vec![&w];
    inputs.extend(&factors);
    Ok(record(value, &inputs, |_| {
        Op::EmbeddingBag(EmbeddingBagOp {
            weight: w.clone(),
            per_sample_weights: factors.clone(),
            mode,
            padding_idx,
            scale_grad_by_freq: options.table.scale_grad_by_freq,
            index: index.clone(),
            offsets: integers(&offsets),
            max_rows: integers(&max_rows),
        })
    }))
}

/// What [`Tensor::embedding_bag_backward`] gives: the gradients of the table and of the per-sample weights.
pub type EmbeddingBagGrads = (Option<Tensor>, Option<Tensor>);

impl Tensor {
    /// The gradients of the table and of the per-sample weights for this gradient of the bags, by fused kernels, not
    /// recorded; each only if wanted.
    ///
    /// # Errors
    /// `Shape` if this tensor has not the shape of the bags.
    pub fn embedding_bag_backward(
        &self,
        op: &EmbeddingBagOp,
        wanted: [bool; 2],
    ) -> Result<EmbeddingBagGrads> {
        let dtype = self.dtype();
        let full = |v: &Value| {
            if dtype.is_half() {
                v.cast(DType::F32)
            } else {
                v.contiguous()
            }
        };
        let (grad, weight) = (full(&self.value())?, full(&op.weight.value)?);
        let factors = op
            .per_sample_weights
            .as_ref()
            .map(|f| full(&f.value))
            .transpose()?;
        let (index, offsets) = (op.index.data::<i64>()?, op.offsets.data::<i64>()?);
        let (bags, dim) = (offsets.len() - 1, weight.shape[1]);
        ensure!(
            grad.shape == [bags, dim],
            Shape,
            "embedding_bag: expected a gradient [{bags}, {dim}], got {:?}",
            grad.shape
        );
        let max_rows = op.max_rows.data::<i64>()?;
        let (mut table, mut samples) = (None, None);
        with_float!("embedding_bag", grad.dtype, T => {
            let (g, w) = (grad.data::<T>()?, weight.data::<T>()?);
            let f = factors.as_ref().map(|f| f.data::<T>()).transpose()?;
            if wanted[0] {
                table = Some(Value::build::<T>(grad.dtype, weight.shape.clone(), |out| {
                    let (padding, by_freq) = (op.padding_idx, op.scale_grad_by_freq);
                    embedding_bag_backward(g, index, offsets, op.mode, f, padding, by_freq, max_rows, out, dim)
                })?);
            }
            if let (true, Some(f)) = (wanted[1], &factors) {
                samples = Some(Value::build::<T>(grad.dtype, f.shape.clone(), |out| {
                    embedding_bag_per_sample_weights_backward(g, w, index, offsets, op.padding_idx, out, dim)
                })?);
            }
        });
        let tensor = |v: Option<Value>| v.map(|v| v.cast(dtype).map(Tensor::from_value)).transpose();
        Ok((tensor(table)?, tensor(samples)?))
    }
}

impl EmbeddingBagOp {
    /// The look-up `[rows, dim] → [n, dim]` of every row that is combined; padding rows are zeros. `by_freq` divides
    /// each by how often it is looked up.
    pub fn rows(&self, by_freq: bool) -> LinearMapOp {
        let (n, dim) = (self.index.numel(), self.weight.value.shape[1]);
        let map = LinearMap::Lookup {
            index: self.index.clone(),
            dim,
            padding_idx: self.padding_idx,
            scale_grad_by_freq: by_freq,
        };
        LinearMapOp::new(map, self.weight.value.shape.clone(), Shape::new(&[n, dim]))
    }

    /// The look-up `[bags, dim] → [n, dim]` of the bag that every row goes to.
    ///
    /// # Errors
    /// None that a valid operation meets.
    pub fn bags(&self) -> Result<LinearMapOp> {
        let (n, dim) = (self.index.numel(), self.weight.value.shape[1]);
        let offsets = self.offsets.data::<i64>()?;
        let map = LinearMap::Lookup {
            index: Value::new(bag_of(offsets), DType::I64, Shape::new(&[n])),
            dim,
            padding_idx: None,
            scale_grad_by_freq: false,
        };
        Ok(LinearMapOp::new(
            map,
            Shape::new(&[offsets.len() - 1, dim]),
            Shape::new(&[n, dim]),
        ))
    }

    /// `1/k` for every row of a bag of `k`, `[n, 1]`: the factors of a mean.
    ///
    /// # Errors
    /// None that a valid operation meets.
    pub fn shares(&self) -> Result<Tensor> {
        let (index, offsets) = (self.index.data::<i64>()?, self.offsets.data::<i64>()?);
        let mut shares = Vec::with_capacity(index.len());
        for ends in offsets.windows(2) {
            let bag = &index[ends[0] as usize..ends[1] as usize];
            let counted = bag
                .iter()
                .filter(|&&row| self.padding_idx != Some(row as usize))
                .count();
            shares.extend(bag.iter().map(|_| 1.0 / counted.max(1) as f64));
        }
        Tensor::from_vec(shares, (index.len(), 1))?.to_dtype(self.weight.value.dtype)
    }

    /// The selection of every maximum from the table, `[rows, dim] → [bags, dim]`, and which bags have one (else an
    /// arbitrary element is selected).
    ///
    /// # Errors
    /// None that a valid operation meets.
    pub fn maxima(&self) -> Result<(LinearMapOp, Tensor)> {
        let (max_rows, shape) = (self.max_rows.data::<i64>()?, &self.weight.value.shape);
        let dim = shape[1];
        let output = Shape::new(&[max_rows.len().checked_div(dim).unwrap_or(0), dim]);
        let places: Vec<i64> = max_rows
            .iter()
            .enumerate()
            .map(|(at, &row)| row.max(0) * dim as i64 + (at % dim) as i64)
            .collect();
        let found: Vec<bool> = max_rows.iter().map(|&row| row >= 0).collect();
        let map = LinearMap::Select {
            indices: Value::new(Buf::from_slice(&places), DType::I64, output.clone()),
            input: shape.numel(),
            output: output.numel(),
            window: None,
        };
        let found = Tensor::from_slice(&found, &output)?.to_dtype(self.weight.value.dtype)?;
        Ok((LinearMapOp::new(map, shape.clone(), output), found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Tensor {
        Tensor::new([[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]).unwrap()
    }

    #[test]
    fn rows_and_bags() {
        let index = Tensor::new([2i64, 0, 2]).unwrap();
        let rows = embedding(&index, &table(), &EmbeddingOptions::default()).unwrap();
        assert_eq!(rows.to_vec::<f32>().unwrap(), [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
        let offsets = Tensor::new([0i64, 2]).unwrap();
        let options = EmbeddingBagOptions {
            offsets: Some(&offsets),
            ..EmbeddingBagOptions::default()
        };
        let means = embedding_bag(&index, &table(), &options).unwrap();
        assert_eq!(means.to_vec::<f32>().unwrap(), [3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn max_norm_writes_to_the_table() {
        let weight = Tensor::new([[3.0f32, 4.0], [0.1, 0.2]]).unwrap();
        let options = EmbeddingOptions {
            max_norm: Some(1.0),
            ..EmbeddingOptions::default()
        };
        embedding(&Tensor::new([0i64, 1]).unwrap(), &weight, &options).unwrap();
        let rows = weight.to_vec::<f32>().unwrap();
        assert!((rows[0] - 0.6).abs() < 1e-6 && rows[3] == 0.2, "{rows:?}");
    }

    #[test]
    fn wrong_calls_are_errors() {
        let index = Tensor::new([3i64]).unwrap();
        let error = embedding(&index, &table(), &EmbeddingOptions::default())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "embedding: index 3 at position 0 is outside of a table of 3 rows"
        );
        assert!(embedding_bag(&index, &table(), &EmbeddingBagOptions::default()).is_err());
    }
}
