//! Reading and writing elements by index tensors: the primitives behind `index_select`, `gather`, `take`, advanced
//! indexing, and behind `scatter`, `scatter_add`, `index_add`, `index_put`, … and their gradients.
//!
//! An [`IndexOp`] sees a tensor as `[outer, len, inner]` and names places along `len`: whole rows by an index of `n`
//! entries, or single elements by one of `[outer, n, inner]`. *Picking* reads them; *scattering* copies or adds to them,
//! or combines with them. Picking and adding are each other's gradient.

pub use flambeau_kernels::index::Reduction;
use flambeau_kernels::index::{self as kernels, BadIndex};
use flambeau_kernels::mem::Buf;

use crate::graph::{Op, Saved, record};
use crate::ops::create::FromScalar;
use crate::value::Value;
use crate::{
    DType, Error, IntoShape, Operand, Result, Scalar, Shape, Tensor, ensure, is_grad_enabled, with_number,
    with_stored,
};

/// What one entry of an index names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// A row of `inner` elements in every outer block: `index_select`.
    Rows,
    /// One element; the index has the shape of what is picked: `gather`.
    Elements,
}

/// Places in a tensor, named by an index.
#[derive(Clone, Debug)]
pub struct IndexOp {
    /// PyTorch's name of what was called.
    pub name: &'static str,
    /// What an entry of the index names.
    pub addressing: Addressing,
    /// The tensor seen as `[outer, len, inner]`.
    pub sizes: (usize, usize, usize),
    /// The tensor's shape.
    pub base: Shape,
    /// The shape of what is picked.
    pub picked: Shape,
    /// Checked indices into `len`, `int64` and contiguous.
    pub(crate) index: Value,
}

impl IndexOp {
    /// Single elements of a tensor of shape `base` by their row-major positions, as a tensor of shape `picked`.
    pub(crate) fn flat(
        name: &'static str,
        base: &[usize],
        picked: &[usize],
        positions: Vec<i64>,
    ) -> Result<IndexOp> {
        let base = Shape::new(base);
        kernels::validate(&positions, base.numel()).map_err(|error| outside(name, error))?;
        Ok(IndexOp {
            name,
            addressing: Addressing::Rows,
            sizes: (1, base.numel(), 1),
            index: Value::new(
                Buf::from_slice(&positions),
                DType::I64,
                positions.len().into_shape(),
            ),
            base,
            picked: Shape::new(picked),
        })
    }

    /// The indices as a tensor.
    pub fn index(&self) -> Tensor {
        Tensor::from_value(self.index.clone())
    }

    fn check(&self, what: &str, got: &[usize], expected: &Shape) -> Result<()> {
        ensure!(
            got == &**expected,
            Shape,
            "{}: expected {what} of shape {expected:?}, got {got:?}",
            self.name
        );
        Ok(())
    }
}

/// The error of an index outside its dimension.
pub(crate) fn outside(op: &str, error: BadIndex) -> Error {
    Error::Index(format!("{op}: {error}"))
}

/// An integer tensor as indices into `len`, contiguous `int64`; with `wrap`, negative ones count from the end.
pub(crate) fn checked_index(op: &str, index: &Tensor, len: usize, wrap: bool) -> Result<Value> {
    let dtype = index.dtype();
    ensure!(
        dtype.is_integer(),
        DType,
        "{op}: expected an integer index, got {dtype}"
    );
    let mut value = index.value().cast(DType::I64)?;
    let Err(error) = kernels::validate(value.data::<i64>()?, len) else {
        return Ok(value);
    };
    if !wrap {
        return Err(outside(op, error));
    }
    kernels::normalise(value.data_mut::<i64>()?, len).map_err(|error| outside(op, error))?;
    Ok(value)
}

/// How what is scattered meets what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It replaces it; the last of several wins.
    Copy,
    /// It is added.
    Add,
    /// It is combined; unless the flag is set, what is there does not count.
    Reduce(Reduction, bool),
}

/// What is scattered.
enum Source {
    Value(Value),
    Scalar(Scalar),
}

/// A recorded combination of scattered values with what was there, by product, maximum or minimum.
#[derive(Clone, Debug)]
pub struct ScatterReduceOp {
    /// The places.
    pub places: IndexOp,
    /// How values are combined.
    pub reduction: Reduction,
    /// Whether what was there counts.
    pub include_self: bool,
    /// What was there.
    pub input: Saved,
    /// What was scattered.
    pub source: Saved,
    /// The result.
    pub output: Saved,
}

impl Value {
    /// The elements that `op` names.
    fn picked(&self, op: &IndexOp) -> Result<Value> {
        let source = self.contiguous()?;
        let index = op.index.data::<i64>()?;
        with_stored!(self.dtype, T => {
            let data = source.data::<T>()?;
            Value::build::<T>(self.dtype, op.picked.clone(), |out| match op.addressing {
                _ if out.is_empty() => {}
                Addressing::Rows => kernels::index_select(data, index, out, op.sizes),
                Addressing::Elements => kernels::gather(data, index, out, op.sizes),
            })
        })
    }

    /// Scatters `source`, of this value's type and the picked shape, to the places that `op` names.
    fn scatter(&mut self, op: &IndexOp, source: &Source, mode: Mode) -> Result<()> {
        if op.picked.numel() == 0 {
            return Ok(());
        }
        match (source, mode) {
            (Source::Scalar(scalar), _) => self.scatter_scalar(op, *scalar),
            (Source::Value(source), Mode::Copy) => self.scatter_copy(op, source),
            (Source::Value(source), Mode::Add) => self.scatter_combine(op, source, Reduction::Sum, true),
            (Source::Value(source), Mode::Reduce(reduction, include_self)) => {
                self.scatter_combine(op, source, reduction, include_self)
            }
        }
    }

    fn scatter_scalar(&mut self, op: &IndexOp, scalar: Scalar) -> Result<()> {
        let scalar = if self.dtype == DType::Bool {
            Scalar::Bool(scalar.to_bool())
        } else {
            scalar
        };
        let index = op.index.data::<i64>()?;
        with_stored!(self.dtype, T => {
            let (data, value) = (self.data_mut::<T>()?, T::from_scalar(scalar));
            match op.addressing {
                Addressing::Rows => kernels::index_fill(data, index, value, op.sizes),
                Addressing::Elements => kernels::scatter_value(data, index, value, op.sizes),
            }
        });
        Ok(())
    }

    fn scatter_copy(&mut self, op: &IndexOp, source: &Value) -> Result<()> {
        let (source, index) = (source.contiguous()?, op.index.data::<i64>()?);
        with_stored!(self.dtype, T => {
            let source = source.data::<T>()?;
            let data = self.data_mut::<T>()?;
            match op.addressing {
                Addressing::Rows => kernels::index_copy(data, index, source, op.sizes),
                Addressing::Elements => kernels::scatter(data, index, source, op.sizes),
            }
        });
        Ok(())
    }

    fn scatter_combine(
        &mut self,
        op: &IndexOp,
        source: &Value,
        reduction: Reduction,
        include_self: bool,
    ) -> Result<()> {
        if self.dtype.is_half() {
            let mut wide = self.cast(DType::F32)?;
            wide.scatter_combine(op, &source.cast(DType::F32)?, reduction, include_self)?;
            *self = wide.cast(self.dtype)?;
            return Ok(());
        }
        // Of booleans, a sum is "or" and a product is "and".
        let reduction = match reduction {
            Reduction::Sum if self.dtype == DType::Bool => Reduction::Amax,
            Reduction::Prod if self.dtype == DType::Bool => Reduction::Amin,
            other => other,
        };
        let (source, index) = (source.contiguous()?, op.index.data::<i64>()?);
        let plain_sum = reduction == Reduction::Sum && include_self;
        with_number!(op.name, self.dtype, T => {
            let source = source.data::<T>()?;
            let data = self.data_mut::<T>()?;
            match op.addressing {
                Addressing::Rows if plain_sum => kernels::index_add(data, index, source, 1 as T, op.sizes),
                Addressing::Elements if plain_sum => kernels::scatter_add(data, index, source, op.sizes),
                Addressing::Rows => {
                    kernels::index_reduce(data, index, source, reduction, include_self, op.sizes)
                }
                Addressing::Elements => {
                    kernels::scatter_reduce(data, index, source, reduction, include_self, op.sizes)
                }
            }
        });
        Ok(())
    }
}

impl Tensor {
    /// The elements that `op` names.
    ///
    /// # Errors
    /// `Shape` if this tensor is not of the shape that `op` was made for.
    pub fn pick(&self, op: &IndexOp) -> Result<Tensor> {
        op.check("a tensor", self.shape(), &op.base)?;
        let x = self.read();
        let value = x.value.picked(op)?;
        Ok(record(value, &[&x], |_| Op::Gather(op.clone())))
    }

    /// Zeros of the indexed tensor's shape to which this tensor, of the picked shape, is added where `op` points: the
    /// gradient of [`Tensor::pick`].
    ///
    /// # Errors
    /// `Shape` if this tensor is not of the picked shape.
    pub fn index_backward(&self, op: &IndexOp) -> Result<Tensor> {
        op.check("a gradient", self.shape(), &op.picked)?;
        let grad = self.read();
        let mut value = Value::zeros(grad.value.dtype, op.base.clone())?;
        value.scatter(op, &Source::Value(grad.value.clone()), Mode::Add)?;
        Ok(record(value, &[&grad.detached(), &grad], |_| {
            Op::ScatterAdd(op.clone())
        }))
    }

    /// This tensor with zeros at the places that `op` names.
    ///
    /// # Errors
    /// `Shape` if this tensor is not of the shape that `op` was made for.
    pub fn zero_at(&self, op: &IndexOp) -> Result<Tensor> {
        self.scattered(op, Operand::Scalar(Scalar::Int(0)), Mode::Copy)
    }

    /// This tensor with `source` added at the places that `op` names.
    ///
    /// # Errors
    /// `Shape` if this tensor or the source is not of the shape that `op` was made for.
    pub fn add_at(&self, op: &IndexOp, source: &Tensor) -> Result<Tensor> {
        self.scattered(op, Operand::Tensor(source), Mode::Add)
    }

    /// This tensor combined with `source` at the places that `op` names.
    ///
    /// # Errors
    /// `Shape` if this tensor or the source is not of the shape that `op` was made for.
    pub fn reduce_at(
        &self,
        op: &IndexOp,
        source: &Tensor,
        reduction: Reduction,
        include_self: bool,
    ) -> Result<Tensor> {
        self.scattered(op, Operand::Tensor(source), Mode::Reduce(reduction, include_self))
    }

    /// This tensor with `source` scattered to the places that `op` names.
    pub(crate) fn scattered(&self, op: &IndexOp, source: Operand<'_>, mode: Mode) -> Result<Tensor> {
        op.check("a tensor", self.shape(), &op.base)?;
        let x = self.read();
        let source = match source {
            Operand::Tensor(source) => source,
            Operand::Scalar(scalar) => {
                let mut value = x.value.copy()?;
                value.scatter(op, &Source::Scalar(scalar), Mode::Copy)?;
                return Ok(record(value, &[&x], |_| Op::Scatter(op.clone())));
            }
        };
        check_source(op, self, source)?;
        let tracked = is_grad_enabled() && (self.is_tracked() || source.is_tracked());
        if let (true, Mode::Reduce(reduction @ (Reduction::Sum | Reduction::Mean), include_self)) =
            (tracked, mode)
            && self.dtype().is_float()
        {
            return self.sum_at(op, source, reduction, include_self);
        }
        let source = source.read();
        let mut value = x.value.copy()?;
        value.scatter(op, &Source::Value(source.value.clone()), mode)?;
        Ok(record(value, &[&x, &source], |output| match mode {
            Mode::Copy => Op::Scatter(op.clone()),
            Mode::Add => Op::ScatterAdd(op.clone()),
            Mode::Reduce(reduction, include_self) => Op::ScatterReduce(Box::new(ScatterReduceOp {
                places: op.clone(),
                reduction,
                include_self,
                input: x.clone(),
                source: source.clone(),
                output: Saved::output(output, 0),
            })),
        }))
    }

    /// Sums and means as composites of recorded operations.
    fn sum_at(
        &self,
        op: &IndexOp,
        source: &Tensor,
        reduction: Reduction,
        include_self: bool,
    ) -> Result<Tensor> {
        let start = if include_self {
            self.clone()
        } else {
            self.zero_at(op)?
        };
        let sum = start.add_at(op, source)?;
        if reduction == Reduction::Sum {
            return Ok(sum);
        }
        // Places that no index names are divided by 1.
        let ones = self.detach().ones_like()?;
        let counts = if include_self { ones } else { ones.zero_at(op)? };
        sum.div(&counts.add_at(op, &source.detach().ones_like()?)?)
    }

    /// [`Tensor::scattered`] in place.
    pub(crate) fn scatter_in_place(&self, op: &IndexOp, source: Operand<'_>, mode: Mode) -> Result<&Tensor> {
        if is_grad_enabled() && (self.is_tracked() || source.is_tracked()) {
            return self.replace(op.name, self.scattered(op, source, mode)?);
        }
        op.check("a tensor", self.shape(), &op.base)?;
        let source = match source {
            Operand::Scalar(scalar) => Source::Scalar(scalar),
            Operand::Tensor(source) => {
                check_source(op, self, source)?;
                Source::Value(source.value())
            }
        };
        self.update(op.name, |own| own.scatter(op, &source, mode))?;
        Ok(self)
    }
}

fn check_source(op: &IndexOp, base: &Tensor, source: &Tensor) -> Result<()> {
    op.check("a source", source.shape(), &op.picked)?;
    ensure!(
        source.dtype() == base.dtype(),
        DType,
        "{}: a source of {} for a tensor of {}",
        op.name,
        source.dtype(),
        base.dtype()
    );
    Ok(())
}
