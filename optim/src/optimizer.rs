//! What all optimisers and their parameter groups have in common; schedules, clipping and loss scaling work on these
//! traits and need not know which optimiser they have.

use flambeau_tensor::{Result, Tensor, enable_grad};

use crate::StateDict;

/// `torch.optim.Optimizer`: parameters in groups, and the rule that changes them along their gradients.
pub trait Optimizer: Send + Sync {
    /// The groups of parameters.
    fn param_groups(&self) -> Vec<&dyn ParamGroup>;

    /// The groups of parameters, to change their learning rates:
    /// `for group in optimizer.param_groups_mut() { group.set_lr(0.1 * group.lr()) }`.
    fn param_groups_mut(&mut self) -> Vec<&mut dyn ParamGroup>;

    /// Changes every parameter that has a gradient.
    ///
    /// # Errors
    /// `Shape` or `DType` if a gradient or a loaded state does not fit its parameter; `Value` from optimisers that need
    /// a closure ([`Optimizer::step_with_closure`]).
    fn step(&mut self) -> Result<()>;

    /// Computes the loss by `closure`, which also runs `backward`, then changes the parameters; returns the loss.
    ///
    /// Gradients are cleared before each call of the closure, so it need not do that (and can't: the optimiser is
    /// borrowed). [`LBFGS`](crate::LBFGS) calls it several times.
    ///
    /// # Errors
    /// The closure's, and those of [`Optimizer::step`].
    fn step_with_closure(&mut self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<Tensor> {
        self.zero_grad();
        let loss = enable_grad(closure)?;
        self.step()?;
        Ok(loss)
    }

    /// Clears the gradients of all parameters.
    fn zero_grad(&self) {
        for group in self.param_groups() {
            group.params().iter().for_each(Tensor::zero_grad);
        }
    }

    /// Everything that later steps depend on, as data.
    ///
    /// # Errors
    /// `Format` if a hyper-parameter can't be written, e.g. a learning rate that is not finite.
    fn state_dict(&self) -> Result<StateDict>;

    /// Takes over a saved state: later steps are bit for bit those of the optimiser that was saved.
    ///
    /// # Errors
    /// `Value` if the groups differ in number or size, `Format` if a hyper-parameter has another type. The optimiser is
    /// then unchanged.
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

/// A group of parameters and what schedules change of its hyper-parameters.
pub trait ParamGroup: Send + Sync {
    /// The group's parameters.
    fn params(&self) -> &[Tensor];

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Sets the learning rate.
    fn set_lr(&mut self, lr: f64);

    /// The learning rate before any schedule; set by the first schedule.
    fn initial_lr(&self) -> Option<f64>;

    /// Sets the learning rate that schedules start from.
    fn set_initial_lr(&mut self, lr: f64);

    /// `momentum`, or the first of `betas`; none if the optimiser has neither.
    fn momentum(&self) -> Option<f64>;

    /// Sets `momentum` or the first of `betas`; does nothing if the optimiser has neither.
    fn set_momentum(&mut self, momentum: f64);
}
