//! Hooks on modules: what is called before and after a module's `forward`, and in the backward pass.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use flambeau_autograd::{Function, apply};
use flambeau_tensor::{Result, Tensor, ensure};

use crate::module::Module;
use crate::observe::{Call, Watcher, watch};

type Pre = Rc<dyn Fn(&dyn Module, &[Tensor]) -> Result<Option<Vec<Tensor>>>>;
type Post = Rc<dyn Fn(&dyn Module, &[Tensor], &[Tensor]) -> Result<Option<Vec<Tensor>>>>;
type Grads = Vec<Option<Tensor>>;
type Backward = Arc<dyn Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Result<Option<Grads>> + Send + Sync>;

#[derive(Clone)]
enum Hook {
    Pre(Pre),
    Forward(Post),
    Backward(Backward),
}

/// Hooks on modules by name (`register_forward_pre_hook`, `register_forward_hook`, `register_full_backward_hook`): `""` is
/// the model itself, `"*"` every module in it. They are in force while [`Hooks::run`] runs, on its thread; those of the
/// backward pass whenever the gradient of what was computed meanwhile is.
///
/// Hooks see the calls of methods that are marked [`#[observed]`](macro@crate::observed), as those of all layers are.
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
///
/// use flambeau_nn::{Forward, Hooks, Linear, LinearOptions, ReLU, Sequential};
/// use flambeau_tensor::{DType, Result, Tensor};
///
/// # fn main() -> Result<()> {
/// let model = Sequential::new()
///     .push(Linear::new(4, 3, LinearOptions::default())?)
///     .push(ReLU);
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// let features = seen.clone();
/// let hooks = Hooks::new().forward("0", move |_, _, outputs| {
///     features.borrow_mut().push(outputs[0].clone());
///     Ok(None)
/// });
/// let x = Tensor::ones((2, 4), DType::F32)?;
/// let y = hooks.run(&model, || model.forward(&x))?;
/// assert_eq!(seen.borrow()[0].relu()?.to_vec::<f32>()?, y.to_vec::<f32>()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Hooks {
    hooks: Vec<(String, Hook)>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.hooks.iter().map(|(name, _)| name).collect();
        write!(f, "Hooks({names:?})")
    }
}

impl Hooks {
    /// No hooks.
    pub fn new() -> Hooks {
        Hooks::default()
    }

    /// Adds a hook that is called before a module, with the module and its inputs; inputs that it returns take their
    /// place.
    pub fn forward_pre(
        self,
        module: &str,
        hook: impl Fn(&dyn Module, &[Tensor]) -> Result<Option<Vec<Tensor>>> + 'static,
    ) -> Hooks {
        self.with(module, Hook::Pre(Rc::new(hook)))
    }

    /// Adds a hook that is called after a module, with the module, its inputs and outputs; outputs that it returns take
    /// their place.
    pub fn forward(
        self,
        module: &str,
        hook: impl Fn(&dyn Module, &[Tensor], &[Tensor]) -> Result<Option<Vec<Tensor>>> + 'static,
    ) -> Hooks {
        self.with(module, Hook::Forward(Rc::new(hook)))
    }

    /// Adds a hook that is called in the backward pass when the gradients of a module's inputs have been computed, with
    /// these and those of its outputs; gradients of inputs that it returns take their place. Of an input that is not
    /// tracked, or an output that nothing depends on, there is no gradient.
    pub fn full_backward(
        self,
        module: &str,
        hook: impl Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Result<Option<Grads>> + Send + Sync + 'static,
    ) -> Hooks {
        self.with(module, Hook::Backward(Arc::new(hook)))
    }

    fn with(mut self, module: &str, hook: Hook) -> Hooks {
        self.hooks.push((module.to_string(), hook));
        self
    }

    /// Runs `forward`, which calls `model`, with the hooks.
    ///
    /// # Errors
    /// `Key` if the model has no module of a hook's name, or if none of that name was called; those of `forward` and of
    /// the hooks.
    pub fn run<R>(&self, model: &dyn Module, forward: impl FnOnce() -> Result<R>) -> Result<R> {
        let modules = model.named_modules();
        for (name, _) in &self.hooks {
            ensure!(
                name == "*" || modules.iter().any(|(own, _)| own == name),
                Key,
                "Hooks: {} has no module called {name:?}",
                model.name()
            );
        }
        let hooked = Rc::new(Hooked {
            hooks: self.clone(),
            met: RefCell::default(),
        });
        let output = watch(model, hooked.clone(), forward)?;
        let met = hooked.met.borrow();
        for (name, _) in &self.hooks {
            ensure!(
                name == "*" || met.contains(name),
                Key,
                "Hooks: the module {name:?} of {} was not called, or what was called is not marked #[observed]",
                model.name()
            );
        }
        Ok(output)
    }
}

/// The hooks in force.
struct Hooked {
    hooks: Hooks,
    /// Names of the modules that were called.
    met: RefCell<BTreeSet<String>>,
}

impl Hooked {
    fn of<'a>(&'a self, call: &'a Call) -> impl Iterator<Item = &'a Hook> {
        let hooks = self.hooks.hooks.iter();
        hooks
            .filter(move |(name, _)| name == "*" || *name == call.name)
            .map(|(_, hook)| hook)
    }
}

impl Watcher for Hooked {
    fn before(&self, call: &Call, module: &dyn Module, mut inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        self.met.borrow_mut().insert(call.name.clone());
        let count = inputs.len();
        for hook in self.of(call) {
            if let Hook::Pre(hook) = hook
                && let Some(replaced) = hook(module, &inputs)?
            {
                check(call, "inputs", replaced.len(), count)?;
                inputs = replaced;
            }
        }
        let hooks = self.of(call).filter_map(|hook| match hook {
            Hook::Backward(hook) => Some(hook.clone()),
            _ => None,
        });
        let hooks: Vec<Backward> = hooks.collect();
        let recorded = (!hooks.is_empty()).then(|| {
            let tracked = inputs.iter().map(Tensor::is_tracked).collect();
            Arc::new(Recorded {
                hooks,
                tracked,
                grad_outputs: Mutex::default(),
            })
        });
        if let Some(recorded) = &recorded {
            let tracked: Vec<&Tensor> = inputs.iter().filter(|x| x.is_tracked()).collect();
            if !tracked.is_empty() {
                let mut passed = apply(Arc::new(Begin(recorded.clone())), &tracked)?.into_iter();
                for input in &mut inputs {
                    if input.is_tracked()
                        && let Some(passed) = passed.next()
                    {
                        *input = passed;
                    }
                }
            }
        }
        *call.recorded.borrow_mut() = recorded;
        Ok(inputs)
    }

    fn after(
        &self,
        call: &Call,
        module: &dyn Module,
        inputs: &[Tensor],
        mut outputs: Vec<Tensor>,
    ) -> Result<Vec<Tensor>> {
        if let Some(recorded) = call.recorded.take() {
            let float: Vec<usize> = (0..outputs.len())
                .filter(|&i| outputs[i].dtype().is_float())
                .collect();
            let passed: Vec<&Tensor> = float.iter().map(|&i| &outputs[i]).collect();
            if passed.iter().any(|x| x.is_tracked()) {
                let passed = apply(Arc::new(End(recorded)), &passed)?;
                for (i, output) in float.into_iter().zip(passed) {
                    outputs[i] = output;
                }
            }
        }
        let count = outputs.len();
        for hook in self.of(call) {
            if let Hook::Forward(hook) = hook
                && let Some(replaced) = hook(module, inputs, &outputs)?
            {
                check(call, "outputs", replaced.len(), count)?;
                outputs = replaced;
            }
        }
        Ok(outputs)
    }
}

fn check(call: &Call, what: &str, got: usize, wanted: usize) -> Result<()> {
    ensure!(
        got == wanted,
        Value,
        "Hooks: a hook on {:?} gave {got} {what} in the place of {wanted}",
        call.name
    );
    Ok(())
}

/// What the backward pass through one call needs: the gradients of its outputs are met first, those of its inputs last.
pub(crate) struct Recorded {
    hooks: Vec<Backward>,
    /// Which inputs are tracked.
    tracked: Vec<bool>,
    grad_outputs: Mutex<Grads>,
}

impl Recorded {
    /// Calls the hooks with the gradients of all inputs; returns what takes their place.
    fn call(&self, mut grad_inputs: Grads) -> Result<Grads> {
        let grad_outputs = self
            .grad_outputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for hook in &self.hooks {
            if let Some(replaced) = hook(&grad_inputs, &grad_outputs)? {
                ensure!(
                    replaced.len() == grad_inputs.len(),
                    Value,
                    "Hooks: a backward hook gave {} gradients in the place of {}",
                    replaced.len(),
                    grad_inputs.len()
                );
                grad_inputs = replaced;
            }
        }
        Ok(grad_inputs)
    }
}

/// The tracked inputs as they are; their gradients are shown to the hooks.
struct Begin(Arc<Recorded>);

impl Function for Begin {
    fn name(&self) -> &'static str {
        "backward_hook_inputs"
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(inputs.to_vec())
    }

    fn backward(&self, _: &[Tensor], _: &[Tensor], grads: &[Option<Tensor>]) -> Result<Grads> {
        let mut given = grads.iter().cloned();
        let tracked = &self.0.tracked;
        let all = tracked
            .iter()
            .map(|&tracked| if tracked { given.next().flatten() } else { None });
        let all = self.0.call(all.collect())?;
        let kept = all.into_iter().zip(tracked).filter(|(_, tracked)| **tracked);
        Ok(kept.map(|(grad, _)| grad).collect())
    }
}

/// The outputs as they are; their gradients are kept for the hooks.
struct End(Arc<Recorded>);

impl Function for End {
    fn name(&self) -> &'static str {
        "backward_hook_outputs"
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(inputs.to_vec())
    }

    fn backward(&self, _: &[Tensor], _: &[Tensor], grads: &[Option<Tensor>]) -> Result<Grads> {
        *self.0.grad_outputs.lock().unwrap_or_else(PoisonError::into_inner) = grads.to_vec();
        if !self.0.tracked.contains(&true) {
            // No gradient of an input will be met.
            self.0.call(vec![None; self.0.tracked.len()])?;
        }
        Ok(grads.to_vec())
    }
}
