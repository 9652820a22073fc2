//! Updates of a whole group in one pass over parameters, gradients and state, by `flambeau_tensor::optimizer`.

use flambeau_tensor::optimizer::{Real, Step, Update, step_all};
use flambeau_tensor::{DType, Result, Tensor, ensure};

use crate::group::Active;
use crate::state::ParamState;

/// An update that is a kernel with `N` state tensors.
pub(crate) trait Fused<const N: usize> {
    /// Names of the state tensors, in the kernel's order; none for those that the hyper-parameters don't call for.
    fn slots(&self) -> [Option<&'static str>; N];

    /// A state tensor before the first step.
    fn init(&self, _slot: &str, param: &Tensor) -> Result<Tensor> {
        param.zeros_like()
    }

    /// The kernel of this step, before which state tensors need not exist.
    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, N> + use<T, Self, N>>;
}

/// The type in which a parameter is updated and its state kept: its own, or float32 for the half precisions, in which
/// small updates would be lost.
pub(crate) fn working_dtype(param: &Tensor) -> DType {
    match param.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

/// One step of all parameters of a group.
pub(crate) fn fused_step<F: Fused<N>, const N: usize>(rule: &F, active: &mut [Active<'_>]) -> Result<()> {
    let (mut singles, mut doubles) = (Vec::new(), Vec::new());
    for one in active {
        match working_dtype(one.param) {
            DType::F64 => doubles.push(one),
            _ => singles.push(one),
        }
    }
    run::<f32, F, N>(rule, singles)?;
    run::<f64, F, N>(rule, doubles)
}

/// A parameter, its gradient and state in the working type.
struct Widened<const N: usize> {
    param: Tensor,
    grad: Tensor,
    state: [Option<Tensor>; N],
}

fn run<T: Real, F: Fused<N>, const N: usize>(rule: &F, active: Vec<&mut Active<'_>>) -> Result<()> {
    let mut tensors = Vec::with_capacity(active.len());
    let mut updates = Vec::with_capacity(active.len());
    let mut narrow = Vec::new();
    for one in active {
        let dtype = one.param.dtype();
        ensure!(
            dtype.is_float(),
            DType,
            "optimiser step: a parameter of {dtype}, expected a floating point type"
        );
        updates.push(rule.update::<T>(one.state)?);
        let (param, grad) = if dtype == T::DTYPE {
            (one.param.clone(), one.grad.clone())
        } else {
            let param = one.param.detach().to_dtype(T::DTYPE)?;
            narrow.push((one.param, param.clone()));
            (param, one.grad.to_dtype(T::DTYPE)?)
        };
        let mut state = [const { None }; N];
        for (tensor, name) in state.iter_mut().zip(rule.slots()) {
            if let Some(name) = name {
                *tensor = Some(one.state.tensor_or(name, || rule.init(name, &param))?);
            }
        }
        tensors.push(Widened { param, grad, state });
    }
    let steps = tensors.iter().zip(updates).map(|(tensors, update)| Step {
        param: &tensors.param,
        grad: &tensors.grad,
        state: std::array::from_fn(|n| tensors.state[n].as_ref()),
        update,
    });
    step_all::<T, _, N>(steps.collect())?;
    for (param, wide) in narrow {
        param.copy_(&wide)?;
    }
    Ok(())
}

/// One step of each parameter by `step(parameter, gradient, state)`, which changes parameter and state in place; both and
/// the gradient are of the working type.
pub(crate) fn one_by_one(
    active: &mut [Active<'_>],
    step: impl Fn(&Tensor, &Tensor, &mut ParamState) -> Result<()>,
) -> Result<()> {
    for one in active {
        let dtype = working_dtype(one.param);
        if one.param.dtype() == dtype {
            step(one.param, &one.grad, one.state)?;
            continue;
        }
        let param = one.param.detach().to_dtype(dtype)?;
        step(&param, &one.grad.to_dtype(dtype)?, one.state)?;
        one.param.copy_(&param)?;
    }
    Ok(())
}
