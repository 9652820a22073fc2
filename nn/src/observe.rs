//! Who watches the calls of modules: hooks, summaries and profiles.
//!
//! A module's `forward` that is marked `#[observed]` tells whoever watches on the same thread that it begins, with its
//! inputs, and ends, with its outputs; both may be replaced. While nobody watches, this costs one look at a flag.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use flambeau_tensor::profiler::{self, Kind};
use flambeau_tensor::{Result, Tensor};

use crate::hooks::Recorded;
use crate::layers::AdaptiveLogSoftmaxOutput;
use crate::module::{Module, is_in};
use crate::utils::rnn::PackedSequence;

/// What a module gives: one tensor, or several in a tuple, an option or a vector.
pub trait Outputs: Sized {
    /// The same with other tensors.
    ///
    /// # Errors
    /// Those of `f`.
    fn map(self, f: &mut dyn FnMut(Tensor) -> Result<Tensor>) -> Result<Self>;
}

impl Outputs for Tensor {
    fn map(self, f: &mut dyn FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        f(self)
    }
}

impl<T: Outputs> Outputs for Option<T> {
    fn map(self, f: &mut dyn FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(match self {
            Some(output) => Some(output.map(f)?),
            None => None,
        })
    }
}

impl<T: Outputs> Outputs for Vec<T> {
    fn map(self, f: &mut dyn FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        self.into_iter().map(|output| output.map(f)).collect()
    }
}

impl<A: Outputs, B: Outputs> Outputs for (A, B) {
    fn map(self, f: &mut dyn FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok((self.0.map(f)?, self.1.map(f)?))
    }
}

impl<A: Outputs, B: Outputs, C: Outputs> Outputs for (A, B, C) {
    fn map(self, f: &mut dyn FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok((self.0.map(f)?, self.1.map(f)?, self.2.map(f)?))
    }
}

impl Outputs for PackedSequence {
    fn map(self, f: &mut dyn FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(PackedSequence {
            data: f(self.data)?,
            ..self
        })
    }
}

impl Outputs for AdaptiveLogSoftmaxOutput {
    fn map(self, f: &mut dyn FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(AdaptiveLogSoftmaxOutput {
            output: f(self.output)?,
            loss: f(self.loss)?,
        })
    }
}

/// Runs a module's `forward` and shows the call to whoever watches; `#[observed]` writes this. What `forward` takes besides
/// tensors it captures.
///
/// # Errors
/// Those of `forward` and of hooks.
pub fn observe<M: Module, const N: usize, R: Outputs>(
    module: &M,
    inputs: [&Tensor; N],
    forward: impl FnOnce([&Tensor; N]) -> Result<R>,
) -> Result<R> {
    profiler::span(
        Kind::Module,
        || module.name().to_string(),
        || show(module, inputs, forward),
    )
}

/// [`observe`] for who watches.
#[inline]
fn show<M: Module, const N: usize, R: Outputs>(
    module: &M,
    inputs: [&Tensor; N],
    forward: impl FnOnce([&Tensor; N]) -> Result<R>,
) -> Result<R> {
    if !WATCHED.get() {
        return forward(inputs);
    }
    let Some(session) = SESSION.with_borrow(|sessions| sessions.last().cloned()) else {
        return forward(inputs);
    };
    let Some(call) = session.enter(module) else {
        return forward(inputs);
    };
    let given = inputs.map(Tensor::clone);
    let result = session
        .watcher
        .before(&call, module, given.to_vec())
        .and_then(|replaced| {
            let mut replaced = replaced.into_iter();
            let given = given.map(|old| replaced.next().unwrap_or(old));
            let output = forward(given.each_ref())?;
            Ok((given, output))
        });
    session.open.borrow_mut().pop();
    let (given, output) = result?;
    let mut outputs = Vec::new();
    let output = output.map(&mut |tensor| {
        outputs.push(tensor.clone());
        Ok(tensor)
    })?;
    let mut replaced = session.watcher.after(&call, module, &given, outputs)?.into_iter();
    output.map(&mut |old| Ok(replaced.next().unwrap_or(old)))
}

/// Who sees calls. What is returned takes the place of inputs and outputs.
pub(crate) trait Watcher {
    fn before(&self, call: &Call, module: &dyn Module, inputs: Vec<Tensor>) -> Result<Vec<Tensor>>;

    fn after(
        &self,
        call: &Call,
        module: &dyn Module,
        inputs: &[Tensor],
        outputs: Vec<Tensor>,
    ) -> Result<Vec<Tensor>>;
}

/// One call of a module.
pub(crate) struct Call {
    /// The module's full name in the model that is watched.
    pub(crate) name: String,
    /// What hooks of the backward pass keep from its beginning to its end.
    pub(crate) recorded: RefCell<Option<Arc<Recorded>>>,
}

/// Modules by address and type. Modules without a size (`ReLU`) may share an address.
type Places = HashMap<(usize, String), Vec<String>>;

struct Session {
    places: Places,
    watcher: Rc<dyn Watcher>,
    /// Names of the modules whose calls have begun, and how often each address was met in each.
    open: RefCell<Vec<(String, HashMap<usize, usize>)>>,
}

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Address and type of the modules whose profiled calls have begun.
    static PROFILED: RefCell<Vec<(usize, String)>> = const { RefCell::new(Vec::new()) };
    static SESSION: RefCell<Vec<Rc<Session>>> = const { RefCell::new(Vec::new()) };
}

/// Whether anybody watches the calls of this thread.
pub(crate) fn is_watched() -> bool {
    WATCHED.get()
}

fn address(module: &dyn Module) -> usize {
    std::ptr::from_ref(module).cast::<()>() as usize
}

impl Session {
    /// The call that begins, if the module belongs to the model.
    fn enter(&self, module: &dyn Module) -> Option<Call> {
        let place = address(module);
        let names = self.places.get(&(place, module.name().to_string()))?;
        let mut open = self.open.borrow_mut();
        let name = match &names[..] {
            [one] => one.clone(),
            several => {
                // Those in the module that is being called come first, and each in its turn.
                let within = open.last().map_or("", |(name, _)| name.as_str());
                let inside: Vec<&String> = several.iter().filter(|name| is_in(name, within)).collect();
                let candidates = if inside.is_empty() {
                    several.iter().collect()
                } else {
                    inside
                };
                let turn = match open.last_mut() {
                    Some((_, turns)) => turns.entry(place).or_default(),
                    None => return None,
                };
                *turn += 1;
                candidates[(*turn - 1) % candidates.len()].clone()
            }
        };
        if open.len() > 1 && open.last().is_some_and(|(last, _)| *last == name) {
            // What shows another module's members as its own hands the call on to it: that is no second call.
            return None;
        }
        open.push((name.clone(), HashMap::new()));
        Some(Call {
            name,
            recorded: RefCell::default(),
        })
    }
}

/// Takes the session away, however the calls end.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        SESSION.with_borrow_mut(|sessions| {
            sessions.pop();
            WATCHED.set(!sessions.is_empty());
        });
    }
}

/// Runs `f` while `watcher` sees the calls of `model` and of the modules in it on this thread.
pub(crate) fn watch<R>(
    model: &dyn Module,
    watcher: Rc<dyn Watcher>,
    f: impl FnOnce() -> Result<R>,
) -> Result<R> {
    let mut places = Places::new();
    for (name, module) in model.named_modules() {
        let key = (address(module), module.name().to_string());
        places.entry(key).or_default().push(name);
    }
    let session = Session {
        places,
        watcher,
        open: RefCell::new(vec![(String::new(), HashMap::new())]),
    };
    SESSION.with_borrow_mut(|sessions| sessions.push(Rc::new(session)));
    WATCHED.set(true);
    let _guard = Guard;
    f()
}
