//! What a module holds besides other modules: parameters, buffers, and whether it is being trained.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use flambeau_tensor::{DType, Result, Tensor};

use crate::member::{Member, Visitor, VisitorMut};

/// A tensor that is learnt (`torch.nn.Parameter`). It can be used wherever a tensor is.
#[derive(Clone, Debug)]
pub struct Parameter(Tensor);

impl Parameter {
    /// Makes a tensor a leaf that requires a gradient.
    ///
    /// # Errors
    /// `Autograd` if it is the result of recorded operations; `DType` unless it holds floating point numbers.
    pub fn new(tensor: Tensor) -> Result<Parameter> {
        Ok(Parameter(tensor.requires_grad(true)?))
    }

    /// A tensor that is computed from others and stands in the place of a parameter: no leaf.
    pub(crate) fn computed(tensor: Tensor) -> Parameter {
        Parameter(tensor)
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// The same numbers in another type, as a parameter of its own; whether it requires a gradient stays.
    pub(crate) fn to_dtype(&self, dtype: DType) -> Result<Parameter> {
        Ok(Parameter(
            converted(&self.0, dtype)?.requires_grad(self.0.is_tracked())?,
        ))
    }
}

impl Deref for Parameter {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

/// A tensor that belongs to the state but is not learnt (`Module.register_buffer`), such as running statistics.
#[derive(Clone, Debug)]
pub struct Buffer {
    tensor: Tensor,
    persistent: bool,
}

impl Buffer {
    /// A buffer that is part of the state dict.
    pub fn new(tensor: Tensor) -> Buffer {
        Buffer {
            tensor,
            persistent: true,
        }
    }

    /// A buffer that is not saved (`persistent=False`).
    pub fn transient(tensor: Tensor) -> Buffer {
        Buffer {
            tensor,
            persistent: false,
        }
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Whether the buffer is part of the state dict.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// The same buffer in another type if it holds floating point numbers; counts stay counts.
    pub(crate) fn to_dtype(&self, dtype: DType) -> Result<Buffer> {
        let tensor = if self.tensor.dtype().is_float() {
            converted(&self.tensor, dtype)?
        } else {
            self.tensor.detach()
        };
        Ok(Buffer {
            tensor,
            persistent: self.persistent,
        })
    }
}

/// A tensor without history in another type, and never the same handle.
fn converted(tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    tensor.detach().to_dtype(dtype)
}

impl Deref for Buffer {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

/// Whether a module is being trained: true at first, and changed by `train()` and `eval()` of the model it is part of.
#[derive(Debug)]
pub struct Mode(AtomicBool);

impl Mode {
    /// Whether the module is being trained.
    pub fn is_training(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Changes it.
    pub fn set_training(&self, training: bool) {
        self.0.store(training, Ordering::Relaxed)
    }
}

impl Default for Mode {
    fn default() -> Self {
        Mode(AtomicBool::new(true))
    }
}

impl Clone for Mode {
    fn clone(&self) -> Self {
        Mode(AtomicBool::new(self.is_training()))
    }
}

impl Member for Parameter {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.parameter(name, self)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visitor.parameter(name, self)
    }
}

impl Member for Buffer {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.buffer(name, self)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visitor.buffer(name, self)
    }
}

impl Member for Mode {
    fn visit<'a>(&'a self, _: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.mode(self)
    }

    fn visit_mut(&mut self, _: &str, _: &mut dyn VisitorMut) -> Result<()> {
        Ok(())
    }
}
