//! Modules: what holds parameters (`torch.nn.Module`), and what maps one tensor to one (`Forward`).

use std::collections::BTreeSet;

use flambeau_tensor::ops::conv::ConvTail;
use flambeau_tensor::{DType, Error, Result, Tensor, ensure};

use crate::chain::Step;
use crate::member::{Member, Visitor, VisitorMut};
use crate::parameter::{Buffer, Mode, Parameter};
use crate::prepare::Prepared;
use crate::repr;
use crate::state::{self, LoadReport, StateDict};

/// A thing with parameters: a layer or a model. Derive it: see the crate's documentation.
///
/// A model's parameters are tensors that its layers, optimisers and whoever else holds a handle share; so what changes
/// their values (`load_state_dict`, an optimiser's step, `eval`) takes `&self`.
pub trait Module: Member {
    /// The type's name, as it is printed.
    fn name(&self) -> &str;

    /// The settings that are printed in parentheses, such as `in_features=4, out_features=2, bias=True`.
    fn extra_repr(&self) -> String {
        String::new()
    }

    /// Shows the module's own members, one level deep.
    fn members<'a>(&'a self, visitor: &mut dyn Visitor<'a>);

    /// [`Module::members`], to change them.
    ///
    /// # Errors
    /// Those of the visitor.
    fn members_mut(&mut self, visitor: &mut dyn VisitorMut) -> Result<()>;

    /// Multiplications of a call that are followed by an addition, for summaries: those of matrix products and
    /// convolutions of the module itself.
    fn multiply_adds(&self, inputs: &[Tensor], outputs: &[Tensor]) -> u64 {
        let _ = (inputs, outputs);
        0
    }

    /// All parameters by name, a module's own before those of the modules in it. One that stands in several places is
    /// given once, under its first name.
    fn named_parameters(&self) -> Vec<(String, &Parameter)> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        walk(self, "", &mut |name, entry| {
            if let Entry::Parameter(parameter) = entry
                && seen.insert(parameter.id())
            {
                all.push((name.to_string(), parameter));
            }
        });
        all
    }

    /// All parameters, in the order of [`Module::named_parameters`]: what an optimiser takes.
    fn parameters(&self) -> Vec<Tensor> {
        self.named_parameters()
            .into_iter()
            .map(|(_, parameter)| parameter.tensor().clone())
            .collect()
    }

    /// All buffers by name, those that are not saved included.
    fn named_buffers(&self) -> Vec<(String, &Buffer)> {
        let mut all = Vec::new();
        walk(self, "", &mut |name, entry| {
            if let Entry::Buffer(buffer) = entry {
                all.push((name.to_string(), buffer));
            }
        });
        all
    }

    /// This module, named `""`, and all modules in it by name, each before those in it.
    fn named_modules(&self) -> Vec<(String, &dyn Module)> {
        let mut root = Own::default();
        self.visit("", &mut root);
        let mut all = Vec::new();
        for (_, module) in root.modules {
            all.push((String::new(), module));
            walk(module, "", &mut |name, entry| {
                if let Entry::Module(module) = entry {
                    all.push((name.to_string(), module));
                }
            });
        }
        all
    }

    /// The modules directly in this one.
    fn named_children(&self) -> Vec<(String, &dyn Module)> {
        own(self).modules
    }

    /// The parameter of this full name.
    ///
    /// # Errors
    /// `Key` if there is none.
    fn get_parameter(&self, name: &str) -> Result<&Parameter> {
        let mut found = None;
        walk(self, "", &mut |full, entry| {
            if let Entry::Parameter(parameter) = entry
                && full == name
            {
                found = Some(parameter);
            }
        });
        found.ok_or_else(|| Error::Key(format!("get_parameter: {} has no parameter {name}", self.name())))
    }

    /// The module of this full name; `""` is the module itself.
    ///
    /// # Errors
    /// `Key` if there is none.
    fn get_submodule(&self, name: &str) -> Result<&dyn Module> {
        let modules = self.named_modules();
        let found = modules.into_iter().find(|(full, _)| full == name);
        found
            .map(|(_, module)| module)
            .ok_or_else(|| Error::Key(format!("get_submodule: {} has no module {name}", self.name())))
    }

    /// Calls `f` with every module in this one, each after those in it, and then with this one: to initialise
    /// parameters.
    ///
    /// ```
    /// # use flambeau_nn::{Linear, LinearOptions, Module, ReLU, Sequential, init};
    /// # fn main() -> flambeau_nn::Result<()> {
    /// let model = Sequential::new().push(Linear::new(3, 2, LinearOptions::default())?).push(ReLU);
    /// model.apply(&mut |module| match module.name() {
    ///     "Linear" => init::ones_(module.get_parameter("weight")?),
    ///     _ => Ok(()),
    /// })?;
    /// assert_eq!(model.get_parameter("0.weight")?.to_vec::<f32>()?, [1.0; 6]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `f`.
    fn apply(&self, f: &mut dyn FnMut(&dyn Module) -> Result<()>) -> Result<()> {
        let mut root = Own::default();
        self.visit("", &mut root);
        let mut modules = root.modules.into_iter();
        modules.try_for_each(|(_, module)| children_first(module, f))
    }

    /// The module as PyTorch prints it.
    fn repr(&self) -> String {
        repr::repr(self)
    }

    /// The parameters and persistent buffers by name, without history. What is changed later does not show in it, as
    /// memory is copied when it is written.
    fn state_dict(&self) -> StateDict {
        state::entries(self)
            .into_iter()
            .map(|(name, tensor)| (name, tensor.detach()))
            .collect()
    }

    /// What [`Module::state_dict`] gives, as the module's own tensors and in PyTorch's order.
    fn state_entries(&self) -> Vec<(String, &Tensor)> {
        state::entries(self)
    }

    /// Copies the values of a state dict into the module's tensors, converted to their types. If `strict`, both must
    /// have the same names. Returns the names that differ.
    ///
    /// # Errors
    /// `Key` that lists all missing and unexpected names if `strict`, and all tensors of other shapes; nothing is
    /// changed then.
    fn load_state_dict(&self, dict: &StateDict, strict: bool) -> Result<LoadReport> {
        state::load(self, dict, strict)
    }

    /// Whether the first part of the module that has a training mode is being trained; true if none has one.
    fn is_training(&self) -> bool {
        let mut training = None;
        walk(self, "", &mut |_, entry| {
            if let Entry::Mode(mode) = entry {
                training.get_or_insert(mode.is_training());
            }
        });
        training.unwrap_or(true)
    }

    /// Sets whether the module and all in it are being trained: dropout drops, batch norm uses the batch's statistics.
    fn set_training(&self, training: bool) {
        walk(self, "", &mut |_, entry| {
            if let Entry::Mode(mode) = entry {
                mode.set_training(training)
            }
        });
    }

    /// [`Module::set_training`]`(true)`, which is where modules begin.
    fn train(&self) {
        self.set_training(true)
    }

    /// [`Module::set_training`]`(false)`.
    fn eval(&self) {
        self.set_training(false)
    }

    /// Forgets the gradients of all parameters.
    fn zero_grad(&self) {
        self.named_parameters()
            .iter()
            .for_each(|(_, parameter)| parameter.zero_grad())
    }

    /// Sets for all parameters whether they require a gradient; `false` freezes the module.
    ///
    /// # Errors
    /// None that a valid module meets.
    fn requires_grad_(&self, required: bool) -> Result<()> {
        self.named_parameters()
            .iter()
            .try_for_each(|(_, parameter)| parameter.requires_grad(required).map(|_| ()))
    }

    /// Stops the training of parameters by name: of a parameter's own, or of a module, which stands for all in it.
    /// Returns how many parameters were named.
    ///
    /// # Errors
    /// `Key` for a name that nothing has; nothing is changed then.
    fn freeze(&self, names: &[&str]) -> Result<usize> {
        set_trained(self, names, false)
    }

    /// Undoes [`Module::freeze`].
    ///
    /// # Errors
    /// As [`Module::freeze`].
    fn unfreeze(&self, names: &[&str]) -> Result<usize> {
        set_trained(self, names, true)
    }

    /// How many numbers are learnt: the elements of the parameters, or of those that require a gradient.
    fn num_parameters(&self, trainable_only: bool) -> usize {
        let parameters = self.named_parameters();
        let counted = parameters
            .iter()
            .filter(|(_, parameter)| !trainable_only || parameter.is_tracked());
        counted.map(|(_, parameter)| parameter.numel()).sum()
    }

    /// Converts all floating point parameters and buffers. Parameters become other tensors: make optimisers
    /// afterwards. Parameters that were shared stay shared.
    ///
    /// # Errors
    /// `Autograd` if `dtype` is not a floating point type and a parameter requires a gradient.
    fn to_dtype(&mut self, dtype: DType) -> Result<()> {
        self.members_mut(&mut Convert {
            dtype: Some(dtype),
            done: Vec::new(),
        })
    }

    /// A copy with parameters and buffers of its own (`copy.deepcopy`); `clone` shares them. Parameters that were shared
    /// within the module are shared within the copy.
    ///
    /// # Errors
    /// None that a valid module meets.
    fn deep_clone(&self) -> Result<Self>
    where
        Self: Sized + Clone,
    {
        let mut copy = self.clone();
        copy.members_mut(&mut Convert {
            dtype: None,
            done: Vec::new(),
        })?;
        Ok(copy)
    }
}

/// A module that maps one tensor to one: what can stand in a [`Sequential`](crate::Sequential). Models with other
/// inputs or outputs have a method `forward` of their own.
pub trait Forward: Module {
    /// The module's output for an input.
    ///
    /// # Errors
    /// As the layer says.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// The output after `tail`, in one pass and to the same bits, if the layer has such a pass for this input: see
    /// [`chain`](crate::chain).
    ///
    /// # Errors
    /// Those of `forward`.
    fn forward_with_tail(&self, _x: &Tensor, _tail: &ConvTail<'_>) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Whether [`forward_with_tail`](Forward::forward_with_tail) has a pass while operations are recorded.
    fn joins_recorded(&self) -> bool {
        false
    }

    /// What the module does to a tensor of so many dimensions, if that is a step which the layer before may do on its way: see
    /// [`chain`](crate::chain).
    fn as_step(&self, _rank: usize) -> Option<Step<'_>> {
        None
    }

    /// The module made ready for inference on inputs like `example`: norms with fixed statistics folded into convolutions,
    /// bias, residual and activation done on the way, weights packed once, images in a blocked layout inside.
    ///
    /// It is explicit, and a snapshot: parameters that change later do not reach it. It takes inputs of the example's size, in
    /// batches of any number, and gives the module's results to 10⁻³ of the largest one at worst, as sums run in another order
    /// and large 3 × 3 convolutions by Winograd's algorithm (typically 10⁻⁵; `ops::conv::set_winograd_enabled`).
    ///
    /// ```
    /// # use flambeau_nn::{BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Forward, Module, ReLU, Sequential};
    /// # use flambeau_tensor::{DType, Tensor};
    /// # fn main() -> flambeau_nn::Result<()> {
    /// let model = Sequential::new()
    ///     .push(Conv2d::new(3, 32, [3, 3], ConvOptions::default())?)
    ///     .push(BatchNorm2d::new(32, BatchNormOptions::default())?)
    ///     .push(ReLU);
    /// model.eval();
    /// let x = Tensor::ones((1, 3, 16, 16), DType::F32)?;
    /// let fast = model.prepare(&x)?;
    /// assert!(fast.forward(&x)?.allclose(&model.forward(&x)?, 1e-4, 1e-5, false)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Value` if a module in it is being trained, or if the results depend on the input in a way that cannot be traced (by
    /// numbers that are read out, or conditions on them); `Unsupported` for operations that cannot be done again, by name;
    /// `DType` unless the example is of `float32`.
    fn prepare(&self, example: &Tensor) -> Result<Prepared> {
        Prepared::new(self, example)
    }
}

/// What is in the box, under its own name.
impl<M: Module + ?Sized> Module for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn extra_repr(&self) -> String {
        (**self).extra_repr()
    }

    fn multiply_adds(&self, inputs: &[Tensor], outputs: &[Tensor]) -> u64 {
        (**self).multiply_adds(inputs, outputs)
    }

    fn members<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        (**self).members(visitor)
    }

    fn members_mut(&mut self, visitor: &mut dyn VisitorMut) -> Result<()> {
        (**self).members_mut(visitor)
    }
}

impl<M: Forward + ?Sized> Forward for Box<M> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        (**self).forward(x)
    }

    fn forward_with_tail(&self, x: &Tensor, tail: &ConvTail<'_>) -> Result<Option<Tensor>> {
        (**self).forward_with_tail(x, tail)
    }

    fn joins_recorded(&self) -> bool {
        (**self).joins_recorded()
    }

    fn as_step(&self, rank: usize) -> Option<Step<'_>> {
        (**self).as_step(rank)
    }
}

fn children_first(module: &dyn Module, f: &mut dyn FnMut(&dyn Module) -> Result<()>) -> Result<()> {
    let mut children = own(module).modules.into_iter();
    children.try_for_each(|(_, child)| children_first(child, f))?;
    f(module)
}

/// Whether `name` is that of `whole` or of something in it; everything is in `""`.
pub(crate) fn is_in(name: &str, whole: &str) -> bool {
    whole.is_empty()
        || name
            .strip_prefix(whole)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn set_trained<M: Module + ?Sized>(module: &M, names: &[&str], trained: bool) -> Result<usize> {
    let parameters = module.named_parameters();
    for wanted in names {
        ensure!(
            parameters.iter().any(|(name, _)| is_in(name, wanted)),
            Key,
            "{}: {} has no parameters called {wanted} or in a module called so",
            if trained { "unfreeze" } else { "freeze" },
            module.name()
        );
    }
    let mut count = 0;
    for (name, parameter) in parameters {
        if names.iter().any(|wanted| is_in(&name, wanted)) {
            parameter.requires_grad(trained)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Something that a walk over a module meets.
#[derive(Clone, Copy)]
pub(crate) enum Entry<'a> {
    Parameter(&'a Parameter),
    Buffer(&'a Buffer),
    Module(&'a dyn Module),
    Mode(&'a Mode),
}

/// A module's own members.
#[derive(Default)]
pub(crate) struct Own<'a> {
    pub(crate) parameters: Vec<(String, &'a Parameter)>,
    pub(crate) buffers: Vec<(String, &'a Buffer)>,
    pub(crate) modules: Vec<(String, &'a dyn Module)>,
    modes: Vec<&'a Mode>,
}

impl<'a> Visitor<'a> for Own<'a> {
    fn parameter(&mut self, name: &str, parameter: &'a Parameter) {
        self.parameters.push((name.to_string(), parameter))
    }

    fn buffer(&mut self, name: &str, buffer: &'a Buffer) {
        self.buffers.push((name.to_string(), buffer))
    }

    fn module(&mut self, name: &str, module: &'a dyn Module) {
        self.modules.push((name.to_string(), module))
    }

    fn mode(&mut self, mode: &'a Mode) {
        self.modes.push(mode)
    }
}

pub(crate) fn own<M: Module + ?Sized>(module: &M) -> Own<'_> {
    let mut own = Own::default();
    module.members(&mut own);
    own
}

/// The first part of a module that is being trained, by name.
pub(crate) fn trained_part<M: Module + ?Sized>(module: &M) -> Option<String> {
    let mut part = None;
    walk(module, "", &mut |name, entry| {
        if let Entry::Mode(mode) = entry
            && mode.is_training()
        {
            part.get_or_insert_with(|| name.to_string());
        }
    });
    part
}

/// Calls `f` with everything in a module, under full names: of each module first its own parameters, then its buffers,
/// then the modules in it, as PyTorch does.
pub(crate) fn walk<'a, M: Module + ?Sized>(module: &'a M, path: &str, f: &mut dyn FnMut(&str, Entry<'a>)) {
    let full = |name: &str| {
        if path.is_empty() {
            name.to_string()
        } else {
            format!("{path}.{name}")
        }
    };
    let own = own(module);
    own.modes.into_iter().for_each(|mode| f(path, Entry::Mode(mode)));
    for (name, parameter) in own.parameters {
        f(&full(&name), Entry::Parameter(parameter));
    }
    for (name, buffer) in own.buffers {
        f(&full(&name), Entry::Buffer(buffer));
    }
    for (name, child) in own.modules {
        let path = full(&name);
        f(&path, Entry::Module(child));
        walk(child, &path, f);
    }
}

/// Replaces tensors by converted ones, each once.
struct Convert {
    /// Their new type, if it changes.
    dtype: Option<DType>,
    /// What was converted, and what became of it. Both are kept alive, so that no other gets their place in memory.
    done: Vec<(Parameter, Parameter)>,
}

impl VisitorMut for Convert {
    fn parameter(&mut self, _: &str, parameter: &mut Parameter) -> Result<()> {
        let known = self
            .done
            .iter()
            .find(|(old, _)| old.same(parameter))
            .map(|(_, new)| new.clone());
        let new = match known {
            Some(new) => new,
            None => parameter.to_dtype(self.dtype.unwrap_or(parameter.dtype()))?,
        };
        self.done.push((std::mem::replace(parameter, new.clone()), new));
        Ok(())
    }

    fn buffer(&mut self, _: &str, buffer: &mut Buffer) -> Result<()> {
        *buffer = buffer.to_dtype(self.dtype.unwrap_or(buffer.dtype()))?;
        Ok(())
    }

    fn module(&mut self, _: &str, module: &mut dyn Module) -> Result<()> {
        module.members_mut(self)
    }
}
