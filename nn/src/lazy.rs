//! Modules that are made when they see their first input (`torch.nn.LazyLinear`, `LazyConv2d`, …).

use std::sync::OnceLock;

use flambeau_tensor::{Result, Tensor};

use crate::member::{Member, Visitor, VisitorMut};
use crate::module::{Forward, Module};
use crate::observed;

/// A module whose sizes and element type follow from its first input. Until then it has no parameters: show it an input
/// before making an optimiser or loading a state dict. Layers have a function `lazy` beside `new`.
///
/// ```
/// # use flambeau_nn::{Forward, Lazy, Linear, LinearOptions, Module};
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let layer = Linear::lazy(10, LinearOptions::default());
/// assert!(layer.parameters().is_empty());
/// layer.forward(&Tensor::zeros((2, 7), DType::F32)?)?;
/// assert_eq!(layer.named_parameters()[0].1.shape(), [10, 7]);
///
/// // Of other modules: how to make one for an input.
/// let layer = Lazy::new(|x| Linear::new(x.size(0)?, 2, LinearOptions::default()));
/// # let _: &Lazy<Linear> = &layer;
/// # Ok(())
/// # }
/// ```
pub struct Lazy<M> {
    module: OnceLock<M>,
    make: Make<M>,
    /// What is printed until the module is made: a name and settings.
    described: (&'static str, String),
}

/// Makes a module for its first input.
type Make<M> = Box<dyn Fn(&Tensor) -> Result<M> + Send + Sync>;

impl<M: Module> Lazy<M> {
    /// The module that `make` will make for the first input.
    pub fn new(make: impl Fn(&Tensor) -> Result<M> + Send + Sync + 'static) -> Self {
        Lazy {
            module: OnceLock::new(),
            make: Box::new(make),
            described: ("Lazy", String::new()),
        }
    }

    /// Sets what is printed until the module is made.
    pub(crate) fn described(mut self, name: &'static str, settings: String) -> Self {
        self.described = (name, settings);
        self
    }

    /// The module, if it has been made.
    pub fn get(&self) -> Option<&M> {
        self.module.get()
    }

    /// The module, made for `x` if this is the first input.
    ///
    /// # Errors
    /// Those of making it.
    pub fn materialize(&self, x: &Tensor) -> Result<&M> {
        if let Some(module) = self.module.get() {
            return Ok(module);
        }
        let (name, shape) = (self.described.0, x.shape());
        let mut module =
            (self.make)(x).map_err(|error| error.context(format!("{name} for an input {shape:?}")))?;
        if x.dtype().is_float() {
            module.to_dtype(x.dtype())?;
        }
        // Of two threads that come at the same time, one's module is kept.
        Ok(self.module.get_or_init(|| module))
    }
}

impl<M: Forward> Forward for Lazy<M> {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.materialize(x)?.forward(x)
    }
}

impl<M: Module> Module for Lazy<M> {
    fn name(&self) -> &str {
        self.module.get().map_or(self.described.0, Module::name)
    }

    fn extra_repr(&self) -> String {
        self.module
            .get()
            .map_or_else(|| self.described.1.clone(), Module::extra_repr)
    }

    fn members<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        if let Some(module) = self.module.get() {
            module.members(visitor)
        }
    }

    fn members_mut(&mut self, visitor: &mut dyn VisitorMut) -> Result<()> {
        match self.module.get_mut() {
            Some(module) => module.members_mut(visitor),
            None => Ok(()),
        }
    }
}

impl<M: Module> Member for Lazy<M> {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.module(name, self)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visitor.module(name, self)
    }
}

impl<M: Module> std::fmt::Debug for Lazy<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repr())
    }
}
