//! Parameters with the state of an optimiser, for the workloads that train.

use anyhow::{Context, Result};
use flambeau_autograd::no_grad;
use flambeau_tensor::Tensor;
use flambeau_tensor::optimizer::{Step, Update, step_all};

/// Parameters, and `N` state tensors for each.
pub(crate) struct Training<const N: usize> {
    pub(crate) params: Vec<Tensor>,
    state: Vec<[Option<Tensor>; N]>,
    /// Steps that have been done.
    pub(crate) steps: u64,
}

impl<const N: usize> Training<N> {
    /// Of the `N` state tensors, the optimiser's settings call for the first `used`.
    pub(crate) fn new(params: Vec<Tensor>, used: usize) -> Result<Self> {
        let zeros = |param: &Tensor, i: usize| (i < used).then(|| param.detach().zeros_like()).transpose();
        let state = params
            .iter()
            .map(|param| -> Result<[Option<Tensor>; N]> {
                let mut all = [const { None }; N];
                for (i, slot) in all.iter_mut().enumerate() {
                    *slot = zeros(param, i)?;
                }
                Ok(all)
            })
            .collect::<Result<_>>()?;
        Ok(Training {
            params,
            state,
            steps: 0,
        })
    }

    /// Forgets the gradients.
    pub(crate) fn zero_grad(&self) {
        self.params.iter().for_each(Tensor::zero_grad);
    }

    /// Moves the parameters by their gradients.
    pub(crate) fn step<U: Update<f32, N> + Copy>(&mut self, update: U) -> Result<()> {
        self.steps += 1;
        let grads: Vec<Tensor> = self
            .params
            .iter()
            .map(|param| param.grad().context("a parameter has no gradient"))
            .collect::<Result<_>>()?;
        let steps = self
            .params
            .iter()
            .zip(&grads)
            .zip(&self.state)
            .map(|((param, grad), state)| Step {
                param,
                grad,
                state: state.each_ref().map(Option::as_ref),
                update,
            });
        Ok(no_grad(|| step_all(steps.collect()))?)
    }
}
