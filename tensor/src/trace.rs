//! What a function does with tensors, operation by operation, so that it can be done again (`torch.jit.trace`).
//!
//! [`trace`] watches the calling thread while a closure runs and gives a [`Step`] for every operation: what it was, which values
//! it took and which it gave. A value is known by where it lies, so that what one step gives can be found among what another
//! takes. Steps hold their values, which keeps memory from being used twice.
//!
//! ```
//! use flambeau_tensor::{DType, Result, Tensor, trace};
//!
//! fn main() -> Result<()> {
//!     let (x, w) = (Tensor::ones((2, 3), DType::F32)?, Tensor::ones((3, 4), DType::F32)?);
//!     let (y, steps) = trace::trace(|| x.matmul(&w)?.relu());
//!     assert_eq!(steps.iter().map(|step| step.op.name()).collect::<Vec<_>>(), ["matmul", "relu"]);
//!     assert_eq!(steps[1].inputs[0].place(), steps[0].outputs[0].place());
//!     let again = steps[0].replay(&[x.mul(2.0)?, w])?;
//!     assert_eq!(steps[1].replay(&[again])?.to_vec::<f32>()?, y?.mul(2.0)?.to_vec::<f32>()?);
//!     Ok(())
//! }
//! ```

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::graph::{Op, Saved};
use crate::ops::conv::convolution;
use crate::ops::linear::linear;
use crate::ops::norm::{BatchNormOptions, NormKind, RunningStats, batch_norm, group_norm, layer_norm};
use crate::ops::{binary, unary};
use crate::value::Value;
use crate::{Result, Shape, Tensor, bail};

thread_local! {
    static TRACED: Cell<bool> = const { Cell::new(false) };
    static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

/// A value that an operation took or gave.
#[derive(Clone, Debug)]
pub struct Traced(Value);

/// Where a value lies: memory and layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    buffer: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Traced {
    /// The value of a tensor.
    pub fn of(tensor: &Tensor) -> Traced {
        Traced(tensor.value())
    }

    /// The value as a tensor without history.
    pub fn tensor(&self) -> Tensor {
        Tensor::from_value(self.0.clone())
    }

    /// Where it lies.
    pub fn place(&self) -> Place {
        Place {
            buffer: Arc::as_ptr(&self.0.buffer) as usize,
            offset: self.0.offset,
            shape: self.0.shape.to_vec(),
            strides: self.0.strides.to_vec(),
        }
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }
}

/// An operation.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it was. What it saved for a gradient depends on which inputs were tracked.
    pub op: Op,
    /// What it took, in its order.
    pub inputs: Vec<Traced>,
    /// What it gave.
    pub outputs: Vec<Traced>,
}

/// Runs `f` and gives its operations on this thread, in their order. Traces do not nest: an inner one takes its steps away from
/// the outer one.
pub fn trace<R>(f: impl FnOnce() -> R) -> (R, Vec<Step>) {
    /// Restores what was, also when `f` panics.
    struct Restore(bool, Vec<Step>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TRACED.set(self.0);
            STEPS.set(std::mem::take(&mut self.1));
        }
    }
    let _restore = Restore(TRACED.replace(true), STEPS.take());
    let result = f();
    (result, STEPS.take())
}

/// Whether operations are traced on this thread.
#[inline]
pub(crate) fn is_enabled() -> bool {
    TRACED.get()
}

pub(crate) fn push(op: Op, inputs: &[&Saved], outputs: &[Value]) {
    let step = Step {
        op,
        inputs: inputs.iter().map(|saved| Traced(saved.value().clone())).collect(),
        outputs: outputs.iter().cloned().map(Traced).collect(),
    };
    STEPS.with_borrow_mut(|steps| steps.push(step));
}

impl Step {
    /// Does the same with other inputs. These have the shapes of the traced ones, or another number in the first dimension
    /// wherever the traced ones have the same number there: another batch.
    ///
    /// # Errors
    /// `Unsupported` for operations that cannot be done again, or not with another batch; else those of the operation.
    pub fn replay(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let name = self.op.name();
        let (Some(x), [output]) = (inputs.first(), &self.outputs[..]) else {
            bail!(
                Unsupported,
                "{name}: cannot be done again, as it has other than one result"
            )
        };
        let batch = [self.inputs[0].shape().first(), x.shape().first()].map(|n| n.copied().unwrap_or(1));
        let shape = rebatched(output.shape(), batch);
        match &self.op {
            Op::Unary(op) => x.unary(unary::name(op.function), op.function),
            Op::Binary(op) => {
                let (a, b) = (x.value(), inputs[1].value());
                let value = a.zip(binary::name(op.function), op.function, &b, output.0.dtype)?;
                Ok(Tensor::from_value(value))
            }
            Op::Reshape(()) => x.reshape(&shape[..]),
            Op::Expand(()) => x.expand(&shape[..]),
            Op::Permute(op) => x.permute(signed(&op.dims)),
            Op::Strided(op) => match op.with_batch(x.shape()[0]) {
                Some(op) => x.strided(&op),
                None => bail!(
                    Unsupported,
                    "{name}: cannot be done again with another batch, of which it takes a part"
                ),
            },
            Op::Cat(op) => Tensor::cat(inputs, op.dim as isize),
            Op::Mean(op) => x.mean_dim(signed(&op.dims), shape.len() == x.rank()),
            Op::Sum(op) => x.sum_dim(signed(&op.dims), shape.len() == x.rank()),
            Op::Softmax(op) if op.log => x.log_softmax(op.dim as isize),
            Op::Softmax(op) => x.softmax(op.dim as isize),
            Op::Matmul(_) => x.matmul(&inputs[1]),
            Op::Linear(_) => linear(x, &inputs[1], inputs.get(2)),
            Op::Conv(op) => {
                let geometry = op.geometry.with_batch(x.shape()[0]);
                convolution(&geometry, op.part, x, &inputs[1], inputs.get(2))
            }
            Op::LinearMap(op) => {
                let [from, to] = [&self.inputs[0], output].map(|v| Shape::new(&rebatched(v.shape(), batch)));
                x.replay_linear_map(op, from, to)
            }
            Op::Norm(op) => {
                let has_weight = op.weight.is_some();
                let weight = has_weight.then(|| &inputs[1]);
                let bias = op.has_bias.then(|| &inputs[1 + usize::from(has_weight)]);
                match op.kind {
                    NormKind::BatchInference(_) => {
                        let [mean, var] = op.statistics();
                        let running = Some(RunningStats {
                            mean: &mean,
                            var: &var,
                        });
                        let options = BatchNormOptions {
                            running,
                            weight,
                            bias,
                            eps: op.eps,
                            ..BatchNormOptions::default()
                        };
                        batch_norm(x, false, &options)
                    }
                    NormKind::Group(_, groups) => group_norm(x, groups, weight, bias, op.eps),
                    NormKind::Layer([_, n]) => {
                        let mut first = x.rank();
                        while first > 0 && x.shape()[first..].iter().product::<usize>() != n {
                            first -= 1;
                        }
                        let rows = x.shape()[first..].to_vec();
                        layer_norm(x, &rows, weight, bias, op.eps)
                    }
                    _ => bail!(Unsupported, "{name}: cannot be done again with other inputs"),
                }
            }
            _ => bail!(Unsupported, "{name}: cannot be done again with other inputs"),
        }
    }
}

/// The shape with another first dimension, if it has the traced batch there.
fn rebatched(shape: &[usize], [traced, batch]: [usize; 2]) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let Some(first) = shape.first_mut()
        && *first == traced
    {
        *first = batch;
    }
    shape
}

fn signed(dims: &[usize]) -> Vec<isize> {
    dims.iter().map(|&d| d as isize).collect()
}
