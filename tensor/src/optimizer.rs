//! Fused optimiser updates of tensors, in place: one pass over all parameters, their gradients and their state.
//!
//! The optimisers themselves (hyper-parameters and PyTorch's formulas) are structs such as [`Adam`]; who calls keeps the
//! parameters' groups, states and schedules.

use std::sync::MutexGuard;

use flambeau_kernels::element::Float;
use flambeau_kernels::optimizer::{self as kernel, Task};
pub use flambeau_kernels::optimizer::{
    Adadelta, Adagrad, Adam, Adamax, Asgd, Lion, NAdam, RAdam, RmsProp, Rprop, Sgd, Update,
};

use crate::tensor::State;
use crate::value::Value;
use crate::{Element, Result, Tensor, ensure, is_grad_enabled};

/// Element types in which parameters are updated: f32 and f64.
pub trait Real: Element<Stored = Self> + crate::buffer::Stored + Float {}

impl Real for f32 {}
impl Real for f64 {}

/// One parameter's part of a step, with `N` state tensors of the parameter's shape and type; those that the
/// hyper-parameters don't call for are `None`.
#[derive(Debug)]
pub struct Step<'a, U, const N: usize> {
    /// The parameter, changed in place.
    pub param: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// Its state, changed in place; see the optimiser for the order.
    pub state: [Option<&'a Tensor>; N],
    /// What to do, e.g. `Adam::default().update(step_number)`.
    pub update: U,
}

/// Updates many parameters of element type `T` in one parallel call.
///
/// # Errors
/// `Autograd` if a parameter is a leaf that requires a gradient while operations are recorded (use `no_grad`); `DType`
/// for a tensor of another type than `T`; `Shape` if a gradient or state differs from its parameter in shape; `Value` if
/// a tensor stands in more than one place.
pub fn step_all<T, U, const N: usize>(steps: Vec<Step<'_, U, N>>) -> Result<()>
where
    T: Real,
    U: Update<T, N>,
{
    let mut written: Vec<usize> = Vec::with_capacity(steps.len() * (N + 1));
    for step in &steps {
        check::<T, U, N>(step)?;
        written.push(step.param.id());
        written.extend(step.state.iter().flatten().map(|s| s.id()));
    }
    written.sort_unstable();
    ensure!(
        written.is_sorted_by(|a, b| a < b),
        Value,
        "optimiser step: a tensor stands in more than one place"
    );
    let grads: Vec<Value> = steps
        .iter()
        .map(|step| step.grad.value().contiguous())
        .collect::<Result<_>>()?;
    type Locked<'a> = MutexGuard<'a, State>;
    let mut locked: Vec<(Locked<'_>, [Option<Locked<'_>>; N])> = steps
        .iter()
        .map(|step| (step.param.state(), step.state.map(|s| s.map(Tensor::state))))
        .collect();
    let mut tasks = Vec::with_capacity(steps.len());
    for (((param, state), grad), step) in locked.iter_mut().zip(&grads).zip(steps) {
        let mut slices: [&mut [T]; N] = std::array::from_fn(|_| Default::default());
        for (slice, guard) in slices.iter_mut().zip(state) {
            if let Some(guard) = guard {
                *slice = guard.value.data_mut::<T>()?;
            }
        }
        let (param, grad) = (param.value.data_mut::<T>()?, grad.data::<T>()?);
        tasks.push(Task {
            param,
            grad,
            state: slices,
            update: step.update,
        });
    }
    kernel::step_all(tasks);
    Ok(())
}

fn check<T: Element, U, const N: usize>(step: &Step<'_, U, N>) -> Result<()> {
    let param = step.param;
    let recorded = is_grad_enabled() && param.is_tracked();
    ensure!(
        !recorded,
        Autograd,
        "optimiser step: a tracked parameter can't be changed while operations are recorded"
    );
    for tensor in [param, step.grad]
        .into_iter()
        .chain(step.state.iter().copied().flatten())
    {
        let (shape, wanted) = (tensor.shape(), param.shape());
        ensure!(
            shape == wanted,
            Shape,
            "optimiser step: {shape:?} beside a parameter of {wanted:?}"
        );
        ensure!(
            tensor.dtype() == T::DTYPE,
            DType,
            "optimiser step: expected {}, got {}",
            T::DTYPE,
            tensor.dtype()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn one_adam_step_moves_by_the_learning_rate() {
        let param = Tensor::new([1.0f64, -2.0, 3.0]).unwrap();
        let other = param.clone();
        let grad = Tensor::new([0.5f64, -0.1, 100.0]).unwrap();
        let (m, v) = (param.zeros_like().unwrap(), param.zeros_like().unwrap());
        let step = |update| Step {
            param: &param,
            grad: &grad,
            state: [Some(&m), Some(&v), None],
            update,
        };
        step_all::<f64, _, 3>(vec![step(Adam::default().update(1))]).unwrap();
        for (new, old) in other.to_vec::<f64>().unwrap().iter().zip([0.999, -1.999, 2.999]) {
            assert!((new - old).abs() < 1e-6, "{new} {old}");
        }
        let error = step_all::<f32, _, 3>(vec![step_f32(&param, &grad)])
            .unwrap_err()
            .to_string();
        assert!(error.contains("float32"), "{error}");
        let twice = vec![step(Adam::default().update(2)), step(Adam::default().update(2))];
        assert!(step_all::<f64, _, 3>(twice).is_err());
        let tracked = Tensor::zeros(3, DType::F64).unwrap().requires_grad(true).unwrap();
        let step = Step {
            param: &tracked,
            grad: &grad,
            state: [None, None, None],
            update: Adam::default().update(1),
        };
        assert!(
            step_all::<f64, _, 3>(vec![step])
                .unwrap_err()
                .to_string()
                .contains("recorded")
        );
    }

    fn step_f32<'a>(param: &'a Tensor, grad: &'a Tensor) -> Step<'a, kernel::AdamUpdate<f32>, 3> {
        Step {
            param,
            grad,
            state: [None, None, None],
            update: Adam::default().update(1),
        }
    }
}
