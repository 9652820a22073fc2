//! Modules by torch's classes and constructor arguments, as the registry has functions by torch's names.

mod activation;
mod attention;
mod linear;
mod loss;
mod norm;
mod pool;
mod recurrent;
mod shape;

use flambeau_nn::{Forward, Module};
use flambeau_tensor::{Result, bail};

use crate::args::Args;
use crate::registry::{Output, out};

/// A module with a way to call it by torch's arguments.
pub trait Instance {
    /// The module.
    fn module(&self) -> &dyn Module;

    /// The module, to convert it.
    fn module_mut(&mut self) -> &mut dyn Module;

    /// Its `forward`.
    ///
    /// # Errors
    /// `Unsupported` for an argument form that it does not take; else the module's own errors.
    fn call(&self, args: &mut Args) -> Result<Output>;
}

struct Of<M, F> {
    module: M,
    forward: F,
}

impl<M: Module, F: Fn(&M, &mut Args) -> Result<Output>> Instance for Of<M, F> {
    fn module(&self) -> &dyn Module {
        &self.module
    }

    fn module_mut(&mut self) -> &mut dyn Module {
        &mut self.module
    }

    fn call(&self, args: &mut Args) -> Result<Output> {
        (self.forward)(&self.module, args)
    }
}

/// Makes a module from its constructor's arguments.
type Build = fn(&mut Args) -> Result<Box<dyn Instance>>;

/// A constructor by torch's name.
type Entry = (&'static str, Build);

/// A module and how its arguments are passed.
fn of<M: Module + 'static>(
    module: M,
    forward: impl Fn(&M, &mut Args) -> Result<Output> + 'static,
) -> Result<Box<dyn Instance>> {
    Ok(Box::new(Of { module, forward }))
}

/// A module that takes one tensor, `input`, and gives one.
fn unary<M: Forward + 'static>(module: M) -> Result<Box<dyn Instance>> {
    of(module, |module, args| {
        out(module.forward(&args.tensor(0, "input")?)?)
    })
}

const ALL: &[&[Entry]] = &[
    activation::TABLE,
    attention::TABLE,
    linear::CONVOLUTIONS,
    linear::LAZY,
    linear::TABLE,
    loss::PAIRS,
    loss::TABLE,
    norm::BATCH,
    norm::TABLE,
    pool::FRACTIONAL,
    pool::TABLE,
    recurrent::TABLE,
    shape::PADS,
    shape::TABLE,
];

/// Whether there is such a class.
pub fn knows(class: &str) -> bool {
    find(class).is_some()
}

fn find(class: &str) -> Option<Build> {
    let mut entries = ALL.iter().copied().flatten();
    entries.find(|(name, _)| *name == class).map(|(_, build)| *build)
}

/// Makes a module: the arguments' name is that of the class.
///
/// # Errors
/// `Key` if there is no such class; `Unsupported` for an argument that it does not take; else the constructor's errors.
pub fn build(mut args: Args) -> Result<Box<dyn Instance>> {
    let Some(build) = find(args.op()) else {
        bail!(Key, "torch.nn.{}: not known", args.op())
    };
    for ignored in ["device", "dtype", "inplace"] {
        args.take(usize::MAX, ignored);
    }
    let instance = build(&mut args)?;
    args.finish()?;
    Ok(instance)
}
