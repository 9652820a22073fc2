//! Hooks on the steps of an optimiser (`Optimizer.register_step_pre_hook` and `register_step_post_hook`).

use flambeau_tensor::{Result, Tensor};

use crate::{Optimizer, ParamGroup, StateDict};

type Hook = Box<dyn FnMut(&mut dyn Optimizer) -> Result<()> + Send + Sync>;

/// An optimiser with functions that are called before and after each of its steps, in the order in which they were added.
///
/// ```
/// use flambeau_optim::{Hooked, Optimizer, SGD, SGDOptions};
/// use flambeau_tensor::{Tensor, no_grad};
///
/// let weight = Tensor::new([3.0f32])?.requires_grad(true)?;
/// let options = SGDOptions { lr: 1.0, ..Default::default() };
/// let kept = weight.clone();
/// let mut optimizer = Hooked::new(SGD::new([weight.clone()], options)?)
///     .step_post_hook(move |_| no_grad(|| kept.clamp_(Some(0.into()), None).map(drop))); // never negative
/// weight.set_grad(Some(Tensor::new([5.0f32])?))?;
/// optimizer.step()?;
/// assert_eq!(weight.to_vec::<f32>()?, [0.0]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub struct Hooked<O> {
    optimizer: O,
    before: Vec<Hook>,
    after: Vec<Hook>,
}

impl<O: Optimizer> Hooked<O> {
    /// The optimiser, without hooks at first.
    pub fn new(optimizer: O) -> Hooked<O> {
        Hooked {
            optimizer,
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Adds a function that is called before each step. An error keeps the step from being taken.
    pub fn step_pre_hook(
        mut self,
        hook: impl FnMut(&mut dyn Optimizer) -> Result<()> + Send + Sync + 'static,
    ) -> Hooked<O> {
        self.before.push(Box::new(hook));
        self
    }

    /// Adds a function that is called after each step.
    pub fn step_post_hook(
        mut self,
        hook: impl FnMut(&mut dyn Optimizer) -> Result<()> + Send + Sync + 'static,
    ) -> Hooked<O> {
        self.after.push(Box::new(hook));
        self
    }

    /// The optimiser itself, e.g. for the options of its groups.
    pub fn inner(&mut self) -> &mut O {
        &mut self.optimizer
    }

    /// `step` between the hooks.
    fn between<T>(&mut self, step: impl FnOnce(&mut O) -> Result<T>) -> Result<T> {
        let call =
            |hooks: &mut Vec<Hook>, optimizer: &mut O| hooks.iter_mut().try_for_each(|hook| hook(optimizer));
        call(&mut self.before, &mut self.optimizer)?;
        let result = step(&mut self.optimizer)?;
        call(&mut self.after, &mut self.optimizer)?;
        Ok(result)
    }
}

impl<O: std::fmt::Debug> std::fmt::Debug for Hooked<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooked")
            .field("optimizer", &self.optimizer)
            .field("before", &self.before.len())
            .field("after", &self.after.len())
            .finish()
    }
}

impl<O: Optimizer> Optimizer for Hooked<O> {
    fn param_groups(&self) -> Vec<&dyn ParamGroup> {
        self.optimizer.param_groups()
    }

    fn param_groups_mut(&mut self) -> Vec<&mut dyn ParamGroup> {
        self.optimizer.param_groups_mut()
    }

    fn step(&mut self) -> Result<()> {
        self.between(O::step)
    }

    fn step_with_closure(&mut self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<Tensor> {
        self.between(|optimizer| optimizer.step_with_closure(closure))
    }

    fn zero_grad(&self) {
        self.optimizer.zero_grad()
    }

    fn state_dict(&self) -> Result<StateDict> {
        self.optimizer.state_dict()
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.optimizer.load_state_dict(state)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use flambeau_tensor::Error;

    use super::*;
    use crate::lr_scheduler::{ExponentialLR, ExponentialLROptions, LRScheduler};
    use crate::{SGD, SGDOptions};

    #[test]
    fn hooks_are_called_around_each_step() {
        let weight = Tensor::new([1.0f64]).unwrap().requires_grad(true).unwrap();
        weight.set_grad(Some(Tensor::new([1.0f64]).unwrap())).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let (seen, weight) = (seen.clone(), weight.clone());
            move |optimizer: &mut dyn Optimizer| {
                let lr = optimizer.param_groups()[0].lr();
                seen.lock().unwrap().push((what, lr, weight.item::<f64>()?));
                Ok(())
            }
        };
        let sgd = SGD::new(
            [weight.clone()],
            SGDOptions {
                lr: 0.5,
                ..Default::default()
            },
        )
        .unwrap();
        let mut optimizer = Hooked::new(sgd)
            .step_pre_hook(note("first"))
            .step_pre_hook(note("second"))
            .step_post_hook(note("after"));
        // Schedules work on it as on any optimiser.
        let mut scheduler = ExponentialLR::new(&mut optimizer, ExponentialLROptions { gamma: 0.5 }).unwrap();
        optimizer.step().unwrap();
        scheduler.step(&mut optimizer).unwrap();
        optimizer.step_with_closure(&mut || Tensor::new(0.0f64)).unwrap();
        let expected = [
            ("first", 0.5, 1.0),
            ("second", 0.5, 1.0),
            ("after", 0.5, 0.5),
            ("first", 0.25, 0.5),
            ("second", 0.25, 0.5),
            ("after", 0.25, 0.5), // the closure's gradients were cleared
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
    }

    #[test]
    fn an_error_before_the_step_prevents_it() {
        let weight = Tensor::new([1.0f64]).unwrap().requires_grad(true).unwrap();
        weight.set_grad(Some(Tensor::new([1.0f64]).unwrap())).unwrap();
        let sgd = SGD::new([weight.clone()], SGDOptions::default()).unwrap();
        let mut optimizer = Hooked::new(sgd).step_pre_hook(|_| Err(Error::Value("no".into())));
        assert_eq!(optimizer.step().unwrap_err().to_string(), "no");
        assert_eq!(weight.item::<f64>().unwrap(), 1.0);
    }
}
