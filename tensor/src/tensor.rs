//! The tensor handle: shape, type, memory and history.

use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use smallvec::{SmallVec, smallvec};

use crate::graph::{Edge, History, Hook, Node, Op, Saved};
use crate::profiler::{self, Kind};
use crate::value::Value;
use crate::{DType, Element, Result, Shape, bail, ensure, grad_mode};

/// A multi-dimensional array with PyTorch's semantics.
///
/// Cloning a tensor clones the handle: both name the same tensor, and an in-place operation (`add_`, an optimiser's
/// step) is seen through both.
///
/// # Memory
///
/// Views (`transpose`, slices, `expand`) share memory with their base until one of them is written: storage is
/// copy-on-write. An operation in place writes where the elements lie if no other tensor and no recorded operation
/// refers to them, and to fresh memory otherwise; values saved for a gradient can't be corrupted. Writing to a view does
/// therefore not change its base: write `base.set((0, ..), value)` instead of `base[0].fill_(value)`.
#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

pub(crate) struct Inner {
    shape: Shape,
    dtype: DType,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) value: Value,
    edge: Option<Edge>,
    grad: Option<Tensor>,
    /// The node whose gradient is kept, of a tensor that is no leaf.
    retained: Option<u64>,
}

/// A weak reference to a leaf, as its graph node keeps it to accumulate gradients.
#[derive(Clone)]
pub struct Leaf(Weak<Inner>);

impl Leaf {
    /// The tensor, if it is still alive.
    pub fn tensor(&self) -> Option<Tensor> {
        self.0.upgrade().map(Tensor)
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaf")
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({:?}, {}", self.shape(), self.dtype())?;
        if let Some(edge) = self.edge() {
            write!(f, ", {}", edge.node.name())?;
        }
        f.write_str(")")
    }
}

impl Tensor {
    /// The tensor with this value and this history.
    #[inline]
    pub(crate) fn from_parts(value: Value, edge: Option<Edge>) -> Tensor {
        let (shape, dtype) = (value.shape.clone(), value.dtype);
        Tensor(Arc::new(Inner {
            shape,
            dtype,
            state: Mutex::new(State {
                value,
                edge,
                grad: None,
                retained: None,
            }),
        }))
    }

    /// An untracked tensor with this value.
    #[inline]
    #[track_caller]
    pub(crate) fn from_value(value: Value) -> Tensor {
        if profiler::is_enabled() {
            profiler::ends_unrecorded(Location::caller(), &value);
        }
        Self::from_parts(value, None)
    }

    #[inline]
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value and, if operations are being recorded, the history: what an operation reads of its input.
    #[inline]
    pub(crate) fn read(&self) -> Saved {
        let state = self.state();
        let history = match &state.edge {
            Some(edge) if grad_mode::is_grad_enabled() => History::Input(edge.clone()),
            _ => History::None,
        };
        Saved {
            value: state.value.clone(),
            history,
        }
    }

    /// The value without history.
    #[inline]
    pub fn value(&self) -> Value {
        self.state().value.clone()
    }

    /// Sizes of the dimensions; `[]` for a 0-d tensor.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The shape as a [`Shape`].
    #[inline]
    pub(crate) fn dims(&self) -> &Shape {
        &self.0.shape
    }

    /// The size of one dimension; negative ones count from the end.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn size(&self, dim: isize) -> Result<usize> {
        let d = crate::shape::resolve_dim("size", dim, self.rank())?;
        Ok(self.shape().get(d).copied().unwrap_or(1))
    }

    /// The number of dimensions (`tensor.dim()`).
    #[inline]
    pub fn rank(&self) -> usize {
        self.0.shape.len()
    }

    /// The number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.0.shape.numel()
    }

    /// The type of the elements.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The step in memory, in elements, of each dimension.
    pub fn strides(&self) -> Vec<usize> {
        self.state().value.strides.to_vec()
    }

    /// The place of the first element in the tensor's memory, in elements.
    pub fn storage_offset(&self) -> usize {
        self.state().value.offset
    }

    /// All elements of the tensor's memory in their order, as a tensor of one dimension without history
    /// (`tensor.untyped_storage()`). Shares memory.
    pub fn storage(&self) -> Tensor {
        let value = self.value();
        let shape = Shape::new(&[value.buffer.len()]);
        let strides = shape.contiguous_strides();
        Tensor::from_value(value.with_layout(shape, strides, 0))
    }

    /// A number that identifies the tensor's memory as long as it lives: views of each other have the same.
    pub fn storage_id(&self) -> usize {
        Arc::as_ptr(&self.state().value.buffer) as usize
    }

    /// Whether the elements lie one after the other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        self.state().value.is_contiguous()
    }

    /// Whether two handles name the same tensor (Python's `is`).
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number that identifies this tensor as long as it lives.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Whether this handle is the only one to this tensor, and the tensor the only one on its memory: nobody would see a
    /// change in place.
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.state().value.is_unique()
    }

    /// Whether two tensors share memory, as a view does with its base until either is written.
    pub fn shares_memory(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.value().buffer, &other.value().buffer)
    }
}

/// Gradients: flags and slots. The crate `flambeau-autograd` computes them.
impl Tensor {
    /// Makes the tensor a leaf whose gradient is wanted, or no longer (`requires_grad_`). Returns the same tensor.
    ///
    /// # Errors
    /// `Autograd` if the tensor is not of a floating point type, or if it is computed from tracked tensors and
    /// `required` is false (use [`Tensor::detach`]).
    pub fn requires_grad(&self, required: bool) -> Result<Tensor> {
        let mut state = self.state();
        match (&state.edge, required) {
            (None, true) => {
                let dtype = self.dtype();
                ensure!(
                    dtype.is_float(),
                    Autograd,
                    "requires_grad: only floating point tensors have gradients, got {dtype}"
                );
                let leaf = Op::Leaf(Leaf(Arc::downgrade(&self.0)));
                let node = Node::new(leaf, SmallVec::new(), smallvec![(self.dims().clone(), dtype)]);
                state.edge = Some(Edge { node, slot: 0 });
            }
            (Some(edge), false) => {
                let leaf = edge.node.inputs().is_empty();
                ensure!(
                    leaf,
                    Autograd,
                    "requires_grad: this tensor is computed from tracked ones; use detach()"
                );
                state.edge = None;
            }
            _ => {}
        }
        drop(state);
        Ok(self.clone())
    }

    /// Whether operations on this tensor are recorded: it requires a gradient or is computed from one that does
    /// (PyTorch's attribute `requires_grad`).
    #[inline]
    pub fn is_tracked(&self) -> bool {
        self.state().edge.is_some()
    }

    /// Whether the tensor was made by the user and not by a recorded operation.
    pub fn is_leaf(&self) -> bool {
        self.state().edge.as_ref().is_none_or(|edge| edge.node.is_leaf())
    }

    /// The edge to the recorded operation that made this tensor, or to its leaf node (`grad_fn`).
    pub fn edge(&self) -> Option<Edge> {
        self.state().edge.clone()
    }

    /// The accumulated gradient: of leaves after `backward`, and of tensors on which [`Tensor::retain_grad`] was called.
    pub fn grad(&self) -> Option<Tensor> {
        self.state().grad.clone()
    }

    /// Sets or clears the accumulated gradient.
    ///
    /// # Errors
    /// `Shape` or `DType` if the gradient does not match the tensor.
    pub fn set_grad(&self, grad: Option<Tensor>) -> Result<()> {
        if let Some(grad) = &grad {
            let (shape, dtype) = (self.shape(), self.dtype());
            ensure!(
                grad.shape() == shape,
                Shape,
                "set_grad: gradient {:?} for a tensor {shape:?}",
                grad.shape()
            );
            ensure!(
                grad.dtype() == dtype,
                DType,
                "set_grad: gradient of {} for a tensor of {dtype}",
                grad.dtype()
            );
        }
        let old = std::mem::replace(&mut self.state().grad, grad);
        drop(old); // after the lock is released: the gradient may hold a graph
        Ok(())
    }

    /// Takes the accumulated gradient out.
    pub fn take_grad(&self) -> Option<Tensor> {
        self.state().grad.take()
    }

    /// Clears the accumulated gradient.
    pub fn zero_grad(&self) {
        drop(self.take_grad());
    }

    /// Accumulates the gradient of this tensor in [`Tensor::grad`] although it is not a leaf.
    ///
    /// # Errors
    /// `Autograd` if the tensor is not tracked.
    pub fn retain_grad(&self) -> Result<()> {
        let Some(edge) = self.edge() else {
            bail!(Autograd, "retain_grad: the tensor is not tracked")
        };
        let before = self.state().retained.replace(edge.node.id());
        if !edge.node.is_leaf() && before != Some(edge.node.id()) {
            let weak = Arc::downgrade(&self.0);
            let hook: Hook = Arc::new(move |grad| {
                if let Some(tensor) = weak.upgrade().map(Tensor) {
                    let sum = match tensor.grad() {
                        Some(sum) => sum.add(grad)?,
                        None => grad.clone(),
                    };
                    tensor.set_grad(Some(sum))?;
                }
                Ok(None)
            });
            edge.node.add_hook(edge.slot, hook);
        }
        Ok(())
    }

    /// The same value without history. Shares memory until either is written.
    pub fn detach(&self) -> Tensor {
        Tensor::from_value(self.value())
    }

    /// Replaces the tensor's value and history by those of `result`, for every handle to it: how operations in place
    /// end.
    ///
    /// # Errors
    /// `Autograd` if the tensor is a leaf that requires a gradient and recording is on; `Shape` if the shape would
    /// change; `DType` if the result can't be cast to the tensor's type.
    pub(crate) fn replace(&self, op: &str, result: Tensor) -> Result<&Self> {
        let (shape, dtype) = (self.shape(), self.dtype());
        ensure!(
            result.shape() == shape,
            Shape,
            "{op}: result {:?} does not fit the tensor {shape:?}",
            result.shape()
        );
        ensure!(
            result.dtype().can_cast(dtype),
            DType,
            "{op}: result of {} can't be cast to {dtype}",
            result.dtype()
        );
        self.check_writable(op)?;
        let result = result.to_dtype(dtype)?;
        let Saved { value, .. } = result.read();
        let edge = if grad_mode::is_grad_enabled() {
            result.edge()
        } else {
            self.edge()
        };
        let old = {
            let mut state = self.state();
            (
                std::mem::replace(&mut state.value, value),
                std::mem::replace(&mut state.edge, edge),
            )
        };
        drop(old); // after the lock is released: history may be long
        Ok(self)
    }

    /// An error if this is a leaf that requires a gradient while operations are recorded.
    pub(crate) fn check_writable(&self, op: &str) -> Result<()> {
        let leaf = grad_mode::is_grad_enabled() && self.is_tracked() && self.is_leaf();
        ensure!(
            !leaf,
            Autograd,
            "{op}: a leaf that requires a gradient can't be changed in place; use no_grad"
        );
        Ok(())
    }

    /// Lets `change` change the value, but not its shape or type, in place. For untracked changes only.
    pub(crate) fn update<R>(&self, op: &str, change: impl FnOnce(&mut Value) -> Result<R>) -> Result<R> {
        self.check_writable(op)?;
        self.changing(op, || change(&mut self.state().value))
    }

    /// Lets `write` change the elements in place, in contiguous order; they are copied before if anybody else refers to
    /// them. For untracked changes only (inside `no_grad`, or of an untracked tensor).
    pub(crate) fn write<T: crate::buffer::Stored, R>(
        &self,
        op: &str,
        write: impl FnOnce(&mut [T]) -> R,
    ) -> Result<R> {
        self.check_writable(op)?;
        self.changing(op, || Ok(write(self.state().value.data_mut::<T>()?)))
    }

    /// Shows a change in place to whoever profiles.
    fn changing<R>(&self, op: &str, change: impl FnOnce() -> R) -> R {
        let written = || (self.shape().to_vec(), self.numel() * self.dtype().size_in_bytes());
        profiler::operation(Kind::Operation, op, written, change)
    }
}

impl Node {
    /// Whether this node stands for a leaf.
    pub fn is_leaf(&self) -> bool {
        self.inputs().is_empty()
    }
}

/// Reading elements.
impl Tensor {
    /// All elements in row-major order.
    ///
    /// # Errors
    /// `DType` if the tensor's type is not `T`'s; cast with [`Tensor::to_dtype`] first.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.expect_dtype::<T>("to_vec")?;
        profiler::operation(Kind::Operation, "to_vec", Default::default, || {
            let value = self.value().contiguous()?;
            Ok(value.data::<T::Stored>()?.iter().map(|&x| T::load(x)).collect())
        })
    }

    /// The only element.
    ///
    /// # Errors
    /// `Shape` unless the tensor has exactly one element; `DType` if its type is not `T`'s.
    pub fn item<T: Element>(&self) -> Result<T> {
        let numel = self.numel();
        ensure!(
            numel == 1,
            Shape,
            "item: a tensor of shape {:?} has {numel} elements, not one",
            self.shape()
        );
        self.expect_dtype::<T>("item")?;
        let value = self.value();
        match value.data::<T::Stored>()?.first() {
            Some(&x) => Ok(T::load(x)),
            None => bail!(Index, "item: the tensor's memory is empty"),
        }
    }

    /// The only element as `f64`, whatever the type.
    ///
    /// # Errors
    /// `Shape` unless the tensor has exactly one element.
    pub fn item_f64(&self) -> Result<f64> {
        self.to_dtype(DType::F64)?.item::<f64>()
    }

    /// All elements in row-major order as `f64`, whatever the type.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn to_vec_f64(&self) -> Result<Vec<f64>> {
        self.to_dtype(DType::F64)?.to_vec()
    }

    fn expect_dtype<T: Element>(&self, op: &str) -> Result<()> {
        let dtype = self.dtype();
        ensure!(
            dtype == T::DTYPE,
            DType,
            "{op}: the tensor is of {dtype}, asked for as {}",
            T::DTYPE
        );
        Ok(())
    }

    /// The tensor itself if its elements are contiguous, else a contiguous copy.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() {
            Ok(self.clone())
        } else {
            self.copy()
        }
    }
}
