//! Python's `x[…]` and `x[…] = value`: [`Tensor::i`] and [`Tensor::set`].
//!
//! | Python | Rust |
//! |---|---|
//! | `x[1]`, `x[-1]` | `x.i(1)?`, `x.i(-1)?` |
//! | `x[0, 2:5]`, `x[:, :-1]` | `x.i((0, 2..5))?`, `x.i((0.., ..-1))?` |
//! | `x[::2]`, `x[1:8:3]` | `x.i(step(.., 2))?`, `x.i(step(1..8, 3))?` |
//! | `x[..., 0]` | `x.i((.., 0))?` |
//! | `x[:, None]` | `x.i((0.., None))?` |
//! | `x[mask]`, `x[[0, 2]]`, `x[i, :, j]` | `x.i(&mask)?`, `x.i([0, 2])?`, `x.i((&i, 0.., &j))?` |
//! | `x[0, 1:] = y` | `x.set((0, 1..), &y)?` |
//!
//! Numbers, ranges and new axes give a view. Integer tensors are broadcast together and a bool mask stands for the
//! places where it is true; their common shape takes the place of the indexed dimensions if these are adjacent, and
//! comes first if not, as in PyTorch.

use std::ops::{Bound, RangeBounds, RangeFull};

use flambeau_kernels::index::linear_index;

use crate::ops::index::{Addressing, IndexOp, Mode, checked_index};
use crate::ops::slice::{Range, python_index, python_range};
use crate::ops::view::{Layout, StridedOp};
use crate::value::Value;
use crate::{DType, Operand, Result, Shape, Tensor, bail, broadcast_shapes, ensure};

/// One entry of an index.
#[derive(Clone, Debug)]
pub enum Index {
    /// A number: selects, and removes the dimension.
    At(isize),
    /// `start:stop:step`, with Python's meaning of negative and absent bounds.
    Range(Option<isize>, Option<isize>, isize),
    /// `..`: all dimensions that the other entries leave. If there is more than one, each stands for one dimension.
    Ellipsis,
    /// `None`: a new dimension of size 1.
    NewAxis,
    /// An integer tensor, or a bool mask over as many dimensions as it has.
    Tensor(Tensor),
}

/// The type of the `None` that stands for a new dimension.
#[derive(Clone, Copy, Debug)]
pub enum NewAxis {}

/// What one entry of an index may be: a number, a range, [`step`], `..`, `None`, a tensor, or an array of numbers or
/// bools.
pub trait IntoIndex {
    /// The entry.
    fn into_index(self) -> Index;
}

/// What [`Tensor::i`] takes: one entry, a tuple of up to six, or a slice or `Vec` of [`Index`].
pub trait IntoIndices {
    /// The entries.
    fn into_indices(self) -> Vec<Index>;
}

/// Every `step`-th of a range: Python's `start:stop:step`.
pub fn step<R: IntoIndex>(range: R, step: isize) -> Index {
    match range.into_index() {
        Index::Range(start, stop, 1) => Index::Range(start, stop, step),
        Index::Ellipsis => Index::Range(None, None, step),
        other => other,
    }
}

impl IntoIndex for Index {
    fn into_index(self) -> Index {
        self
    }
}

impl IntoIndex for RangeFull {
    fn into_index(self) -> Index {
        Index::Ellipsis
    }
}

impl IntoIndex for Option<NewAxis> {
    fn into_index(self) -> Index {
        Index::NewAxis
    }
}

impl IntoIndex for bool {
    fn into_index(self) -> Index {
        Index::Tensor(Tensor::scalar(self))
    }
}

impl IntoIndex for &Tensor {
    fn into_index(self) -> Index {
        Index::Tensor(self.clone())
    }
}

impl IntoIndex for Tensor {
    fn into_index(self) -> Index {
        Index::Tensor(self)
    }
}

impl<const N: usize> IntoIndex for [bool; N] {
    fn into_index(self) -> Index {
        Index::Tensor(Tensor::vector(&self))
    }
}

macro_rules! numbers {
    ($($t:ty)*) => { $(
        impl IntoIndex for $t {
            fn into_index(self) -> Index {
                Index::At(self as isize)
            }
        }

        impl<const N: usize> IntoIndex for [$t; N] {
            fn into_index(self) -> Index {
                Index::Tensor(Tensor::vector(&self.map(|i| i as i64)))
            }
        }

        numbers!(@ranges $t: Range RangeFrom RangeTo RangeInclusive RangeToInclusive);
    )* };
    (@ranges $t:ty: $($range:ident)*) => { $(
        impl IntoIndex for std::ops::$range<$t> {
            fn into_index(self) -> Index {
                range(self.start_bound().map(|&i| i as isize), self.end_bound().map(|&i| i as isize))
            }
        }
    )* };
}
numbers!(i32 i64 isize usize);

fn range(start: Bound<isize>, end: Bound<isize>) -> Index {
    let start = match start {
        Bound::Included(i) => Some(i),
        Bound::Excluded(i) => Some(i + 1),
        Bound::Unbounded => None,
    };
    let end = match end {
        // `..=-1` reaches to the end; one more than -1 would be the front.
        Bound::Included(-1) | Bound::Unbounded => None,
        Bound::Included(i) => Some(i + 1),
        Bound::Excluded(i) => Some(i),
    };
    Index::Range(start, end, 1)
}

impl<I: IntoIndex> IntoIndices for I {
    fn into_indices(self) -> Vec<Index> {
        vec![self.into_index()]
    }
}

impl IntoIndices for &[Index] {
    fn into_indices(self) -> Vec<Index> {
        self.to_vec()
    }
}

impl IntoIndices for Vec<Index> {
    fn into_indices(self) -> Vec<Index> {
        self
    }
}

macro_rules! tuples {
    ($($($name:ident)+;)*) => { $(
        impl<$($name: IntoIndex),+> IntoIndices for ($($name,)+) {
            #[allow(non_snake_case)]
            fn into_indices(self) -> Vec<Index> {
                let ($($name,)+) = self;
                vec![$($name.into_index()),+]
            }
        }
    )* };
}
tuples!(A; A B; A B C; A B C D; A B C D E; A B C D E F;);

/// An index applied to a shape: steps that make a view, then index tensors for some of the view's dimensions.
struct Plan {
    steps: Vec<Step>,
    tensors: Vec<(usize, Tensor)>,
}

/// One change of a layout.
enum Step {
    Select(usize, usize),
    Slice(usize, Range),
    Unsqueeze(usize),
}

impl Plan {
    fn new(op: &str, shape: &[usize], indices: &[Index]) -> Result<Plan> {
        let ellipses = indices.iter().filter(|i| matches!(i, Index::Ellipsis)).count();
        let consumed: usize = indices.iter().map(dims_consumed).sum();
        let named = consumed + if ellipses > 1 { ellipses } else { 0 };
        ensure!(
            named <= shape.len(),
            Dim,
            "{op}: {named} dimensions are indexed of a tensor {shape:?}"
        );
        let rest = if ellipses > 1 { 1 } else { shape.len() - consumed };
        let mut plan = Plan {
            steps: Vec::new(),
            tensors: Vec::new(),
        };
        // Dimensions done of the tensor, and of the view.
        let (mut from, mut to) = (0, 0);
        for index in indices {
            match index {
                Index::At(i) => {
                    plan.steps
                        .push(Step::Select(to, python_index(op, *i, from, shape[from])?));
                    from += 1;
                }
                Index::Range(start, stop, step) => {
                    let range = python_range(op, shape[from], *start, *stop, *step)?;
                    if range.len != shape[from] {
                        plan.steps.push(Step::Slice(to, range));
                    }
                    (from, to) = (from + 1, to + 1);
                }
                Index::Ellipsis => (from, to) = (from + rest, to + rest),
                Index::NewAxis => {
                    plan.steps.push(Step::Unsqueeze(to));
                    to += 1;
                }
                Index::Tensor(t) if is_mask(t) => {
                    let covered = t.rank();
                    ensure!(
                        shape[from..from + covered] == *t.shape(),
                        Index,
                        "{op}: a mask {:?} over dimensions {:?} of a tensor {shape:?}",
                        t.shape(),
                        &shape[from..from + covered]
                    );
                    if covered == 0 {
                        plan.steps.push(Step::Unsqueeze(to));
                    }
                    for places in t.nonzero_tuple()? {
                        plan.tensors.push((to, places));
                        to += 1;
                    }
                    from += covered;
                }
                Index::Tensor(t) if t.rank() == 0 => {
                    ensure_integer(op, t)?;
                    let i = t.to_dtype(DType::I64)?.item::<i64>()? as isize;
                    plan.steps
                        .push(Step::Select(to, python_index(op, i, from, shape[from])?));
                    from += 1;
                }
                Index::Tensor(t) => {
                    ensure_integer(op, t)?;
                    plan.tensors.push((to, t.clone()));
                    (from, to) = (from + 1, to + 1);
                }
            }
        }
        Ok(plan)
    }

    fn apply(&self, layout: &mut Layout) {
        for step in &self.steps {
            match *step {
                Step::Select(dim, index) => layout.select(dim, index),
                Step::Slice(dim, range) => layout.slice(dim, range.start, range.step, range.len),
                Step::Unsqueeze(dim) => layout.unsqueeze(dim),
            }
        }
    }
}

fn is_mask(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::Bool | DType::U8)
}

fn ensure_integer(op: &str, t: &Tensor) -> Result<()> {
    ensure!(
        t.dtype().is_integer(),
        DType,
        "{op}: indices must be integers or bools, got a tensor of {}",
        t.dtype()
    );
    Ok(())
}

fn dims_consumed(index: &Index) -> usize {
    match index {
        Index::At(_) | Index::Range(..) => 1,
        Index::Ellipsis | Index::NewAxis => 0,
        Index::Tensor(t) if is_mask(t) => t.rank(),
        Index::Tensor(_) => 1,
    }
}

/// Places named by index tensors for some dimensions, which are brought together first if they are not adjacent.
struct Places {
    op: IndexOp,
    /// The order of dimensions that brings the indexed ones to the front, unless they are adjacent.
    order: Option<Vec<isize>>,
}

impl Places {
    fn new(name: &'static str, shape: &[usize], tensors: &[(usize, Tensor)]) -> Result<Places> {
        let dims: Vec<usize> = tensors.iter().map(|(dim, _)| *dim).collect();
        let adjacent = dims.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let order = (!adjacent).then(|| {
            let others = (0..shape.len()).filter(|d| !dims.contains(d));
            dims.iter()
                .copied()
                .chain(others)
                .map(|d| d as isize)
                .collect::<Vec<_>>()
        });
        let base: Shape = match &order {
            Some(order) => order.iter().map(|&d| shape[d as usize]).collect(),
            None => Shape::new(shape),
        };
        let first = if adjacent { dims[0] } else { 0 };
        let indexed = &base[first..first + dims.len()];
        let shapes: Vec<&[usize]> = tensors.iter().map(|(_, t)| t.shape()).collect();
        let common = broadcast_shapes(name, &shapes)?;
        let mut lists = Vec::with_capacity(dims.len());
        for ((_, tensor), &size) in tensors.iter().zip(indexed) {
            lists.push(checked_index(name, &tensor.expand(&common)?, size, true)?);
        }
        let index = if let [only] = &lists[..] {
            only.clone()
        } else {
            let lists: Vec<&[i64]> = lists
                .iter()
                .map(|list| list.data::<i64>())
                .collect::<Result<_>>()?;
            Value::build::<i64>(DType::I64, common.clone(), |out| {
                linear_index(indexed, &lists, out)
            })?
        };
        let (before, after) = (&base[..first], &base[first + dims.len()..]);
        let sizes = (
            before.iter().product(),
            indexed.iter().product(),
            after.iter().product(),
        );
        let picked = before.iter().chain(&*common).chain(after).copied().collect();
        Ok(Places {
            op: IndexOp {
                name,
                addressing: Addressing::Rows,
                sizes,
                picked,
                index,
                base,
            },
            order,
        })
    }

    fn pick(&self, x: &Tensor) -> Result<Tensor> {
        match &self.order {
            Some(order) => x.permute(&order[..])?.pick(&self.op),
            None => x.pick(&self.op),
        }
    }

    fn scatter(&self, x: &Tensor, source: Operand<'_>, mode: Mode) -> Result<Tensor> {
        let Some(order) = &self.order else {
            return x.scattered(&self.op, source, mode);
        };
        let mut back = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            back[from as usize] = to as isize;
        }
        x.permute(&order[..])?
            .scattered(&self.op, source, mode)?
            .permute(back)
    }

    fn scatter_in_place<'a>(&self, x: &'a Tensor, source: Operand<'_>, mode: Mode) -> Result<&'a Tensor> {
        match &self.order {
            Some(_) => x.replace(self.op.name, self.scatter(x, source, mode)?),
            None => x.scatter_in_place(&self.op, source, mode),
        }
    }
}

/// `value` as it is written to places of `shape`: cast, without leading dimensions of size 1 that `shape` lacks, and
/// broadcast.
fn fitted(op: &str, value: &Tensor, dtype: DType, shape: &Shape) -> Result<Tensor> {
    let extra = value.rank().saturating_sub(shape.len());
    let value = value.to_dtype(dtype)?;
    if value.shape() == &**shape {
        return Ok(value);
    }
    let fits = value.shape()[..extra].iter().all(|&size| size == 1)
        && value.shape()[extra..]
            .iter()
            .rev()
            .zip(shape.iter().rev())
            .all(|(&have, &want)| have == want || have == 1);
    ensure!(
        fits,
        Broadcast,
        "{op}: a value {:?} does not broadcast to {shape:?}",
        value.shape()
    );
    value.reshape(&value.shape()[extra..])?.expand(shape)
}

impl Tensor {
    /// Python's `self[index]`: `x.i((1, 2..5, .., None, &mask))?`. See [`crate::ops::getitem`] for all forms. Shares
    /// memory unless there are tensors among the indices.
    ///
    /// # Errors
    /// `Dim` if more dimensions are indexed than there are; `Index` if an index is outside; `DType` for index tensors of
    /// floats.
    pub fn i(&self, index: impl IntoIndices) -> Result<Tensor> {
        let plan = Plan::new("index", self.shape(), &index.into_indices())?;
        if plan.tensors.is_empty() {
            return self.view_with("index", |layout| plan.apply(layout));
        }
        let view = if plan.steps.is_empty() {
            self.clone()
        } else {
            self.view_with("index", |layout| plan.apply(layout))?
        };
        Places::new("index", view.shape(), &plan.tensors)?.pick(&view)
    }

    /// Python's `self[index] = value`, in place: `x.set((0, 1..), 0.0)?`. The value is a number or a tensor that
    /// broadcasts to what the index names; it is cast to this tensor's type. Of several values for one place the last
    /// stays.
    ///
    /// # Errors
    /// As [`Tensor::i`]; `Broadcast` if the value does not fit; `Autograd` for a leaf that requires a gradient.
    pub fn set<'a>(&self, index: impl IntoIndices, value: impl Into<Operand<'a>>) -> Result<&Tensor> {
        let name = "set";
        self.check_writable(name)?;
        let plan = Plan::new(name, self.shape(), &index.into_indices())?;
        let value = match value.into() {
            Operand::Tensor(value) => value.clone(),
            Operand::Scalar(value) => Tensor::full((), value, self.dtype())?,
        };
        let op = StridedOp::new(name, self.shape(), |layout| plan.apply(layout));
        if plan.tensors.is_empty() {
            let value = fitted(name, &value, self.dtype(), &op.layout.shape)?;
            return self.strided_write_(&op, &value);
        }
        let places = Places::new(name, &op.layout.shape, &plan.tensors)?;
        let value = fitted(name, &value, self.dtype(), &places.op.picked)?;
        if plan.steps.is_empty() {
            return places.scatter_in_place(self, Operand::Tensor(&value), Mode::Copy);
        }
        let changed = places.scatter(&self.strided(&op)?, Operand::Tensor(&value), Mode::Copy)?;
        self.strided_write_(&op, &changed)
    }

    /// This tensor with the elements that index tensors name replaced by `values` or, with `accumulate`, added to
    /// (`torch.index_put`). One index per dimension, `None` for all of it; a bool mask stands for as many dimensions as
    /// it has. The values broadcast to what the indices name.
    ///
    /// # Errors
    /// As [`Tensor::i`]; `Broadcast` if the values don't fit; `DType` if they are of another type.
    pub fn index_put(
        &self,
        indices: &[Option<&Tensor>],
        values: &Tensor,
        accumulate: bool,
    ) -> Result<Tensor> {
        match self.put_places(indices, values)? {
            Some((places, values)) => places.scatter(self, Operand::Tensor(&values), put_mode(accumulate)),
            None => bail!(Value, "index_put: expected at least one index tensor"),
        }
    }

    /// [`Tensor::index_put`] in place.
    ///
    /// # Errors
    /// As [`Tensor::index_put`]; `Autograd` for a leaf that requires a gradient.
    pub fn index_put_(
        &self,
        indices: &[Option<&Tensor>],
        values: &Tensor,
        accumulate: bool,
    ) -> Result<&Tensor> {
        match self.put_places(indices, values)? {
            Some((places, values)) => {
                places.scatter_in_place(self, Operand::Tensor(&values), put_mode(accumulate))
            }
            None => bail!(Value, "index_put_: expected at least one index tensor"),
        }
    }

    fn put_places(&self, indices: &[Option<&Tensor>], values: &Tensor) -> Result<Option<(Places, Tensor)>> {
        let name = "index_put";
        ensure!(
            values.dtype() == self.dtype(),
            DType,
            "{name}: values of {} for a tensor of {}",
            values.dtype(),
            self.dtype()
        );
        let mut tensors = Vec::new();
        let mut dim = 0;
        for index in indices {
            match index {
                None => dim += 1,
                Some(mask) if is_mask(mask) => {
                    let covered = self.shape().get(dim..dim + mask.rank());
                    ensure!(
                        covered == Some(mask.shape()) && mask.rank() > 0,
                        Index,
                        "{name}: a mask {:?} for dimensions from {dim} on of {:?}",
                        mask.shape(),
                        self.shape()
                    );
                    for places in mask.nonzero_tuple()? {
                        tensors.push((dim, places));
                        dim += 1;
                    }
                }
                Some(index) => {
                    ensure_integer(name, index)?;
                    tensors.push((dim, (*index).clone()));
                    dim += 1;
                }
            }
        }
        ensure!(
            dim <= self.rank(),
            Dim,
            "{name}: {dim} dimensions are indexed of a tensor {:?}",
            self.shape()
        );
        if tensors.is_empty() {
            return Ok(None);
        }
        let places = Places::new(name, self.shape(), &tensors)?;
        let values = fitted(name, values, self.dtype(), &places.op.picked)?;
        Ok(Some((places, values)))
    }
}

fn put_mode(accumulate: bool) -> Mode {
    if accumulate { Mode::Add } else { Mode::Copy }
}

#[cfg(test)]
mod tests;
