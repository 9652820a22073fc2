//! Parameters that are computed from others (`torch.nn.utils.parametrize`): [`Parametrized`] holds a module, some of whose
//! parameters are functions of those that are learnt in their place.

mod view;

use std::sync::{Mutex, MutexGuard, PoisonError};

use flambeau_tensor::{Result, Tensor, bail, enable_grad, ensure, no_grad};

use self::view::{change, join, label, show, swap};
use crate::member::{Member, Visitor, VisitorMut};
use crate::module::{Forward, Module};
use crate::observed;
use crate::parameter::{Buffer, Parameter};

/// A function that makes a parameter from one or more tensors (a module used with `register_parametrization`).
pub trait Parametrization: Module {
    /// The value. It must be of the shape and type of what it stands for.
    ///
    /// # Errors
    /// Those of the operations used.
    fn forward(&self, originals: &[Tensor]) -> Result<Tensor>;

    /// Tensors from which [`Parametrization::forward`] makes `value`, or something near it: where training begins.
    ///
    /// # Errors
    /// Those of the operations used, or that there is no inverse.
    fn right_inverse(&mut self, value: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![value.clone()])
    }
}

/// Where the value of a computed parameter comes from.
pub(super) enum Source {
    /// Functions, one after the other, of the originals.
    Functions(Vec<Parameter>, Vec<Box<dyn Parametrization>>),
    /// A parameter of which a mask keeps some elements.
    Pruned(Parameter, Buffer),
}

impl Source {
    fn value(&self) -> Result<Tensor> {
        match self {
            Source::Pruned(original, mask) => mask.to_dtype(original.dtype())?.mul(original.tensor()),
            Source::Functions(originals, functions) => {
                let mut values: Vec<Tensor> = originals.iter().map(|o| o.tensor().clone()).collect();
                for function in functions {
                    values = vec![function.forward(&values)?];
                }
                match values.pop() {
                    Some(value) => Ok(value),
                    None => bail!(Value, "Parametrized: a parameter is made of nothing"),
                }
            }
        }
    }
}

/// A parameter that is computed.
pub(super) struct Computed {
    /// The full name of the module that it belongs to.
    module: String,
    /// Its name in that module.
    name: String,
    /// What stands in the module: its value is set whenever the module runs.
    place: Parameter,
    pub(super) source: Source,
}

impl Computed {
    fn path(&self) -> String {
        join(&self.module, &self.name)
    }

    /// Sets what the module sees, recorded.
    fn refresh(&self) -> Result<()> {
        let value = self.source.value()?;
        ensure!(
            value.shape() == self.place.shape(),
            Shape,
            "Parametrized: {} is {:?}, but {:?} was computed for it",
            self.path(),
            self.place.shape(),
            value.shape()
        );
        self.place.copy_(&value).map(|_| ())
    }

    /// Lets go of the record: it stays with what was computed from it.
    fn forget(&self) -> Result<()> {
        enable_grad(|| self.place.copy_(&self.place.detach()).map(|_| ()))
    }
}

/// A module some of whose parameters are computed whenever it runs: by functions that are registered (weight norm,
/// spectral norm, orthogonality, or others), or by masks ([`prune`](crate::utils::prune)).
///
/// What is learnt stands under PyTorch's names: `parametrizations.weight.original`, or `…original0`, `…original1` for
/// functions of several tensors; `weight_orig` and `weight_mask` for masks. A name may lie anywhere in the module:
/// `layer1.0.conv.weight`. A module whose own parameter is computed is not among `named_modules`, nor are those that it
/// lies in.
///
/// ```
/// use flambeau_nn::utils::parametrizations::weight_norm;
/// use flambeau_nn::utils::parametrize::Parametrized;
/// use flambeau_nn::{Forward, Linear, LinearOptions, Module};
/// use flambeau_tensor::{DType, Result, Tensor};
///
/// # fn main() -> Result<()> {
/// let mut layer = Parametrized::new(Linear::new(4, 2, LinearOptions::default())?);
/// weight_norm(&mut layer, "weight", Some(0))?;
/// let keys: Vec<String> = layer.state_dict().into_keys().collect();
/// assert_eq!(keys, ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]);
/// assert_eq!(layer.forward(&Tensor::ones((3, 4), DType::F32)?)?.shape(), [3, 2]);
/// # Ok(())
/// # }
/// ```
pub struct Parametrized<M> {
    label: String,
    module: M,
    pub(super) computed: Vec<Computed>,
    /// Held while the module runs: the computed parameters are its own, and another call would change their records.
    running: Mutex<()>,
}

impl<M: Module> Parametrized<M> {
    /// A module of whose parameters none is computed yet.
    pub fn new(module: M) -> Self {
        Parametrized {
            label: module.name().to_string(),
            module,
            computed: Vec::new(),
            running: Mutex::new(()),
        }
    }

    /// Computes the parameter of this full name from now on, by `function` from what its `right_inverse` gives; if it
    /// is computed already, the function is applied after those before it.
    ///
    /// # Errors
    /// `Key` if there is no such parameter; `Value` if it is pruned; `Shape` or `DType` unless the function gives a tensor
    /// like it; those of the function.
    pub fn register(&mut self, name: &str, mut function: Box<dyn Parametrization>) -> Result<()> {
        if let Some(i) = self.position(name) {
            let value = self.value(name)?.detach();
            let Source::Functions(_, functions) = &mut self.computed[i].source else {
                bail!(
                    Value,
                    "register_parametrization: {name} is pruned; remove that first"
                )
            };
            let inverse = no_grad(|| function.right_inverse(&value))?;
            ensure!(
                inverse.len() == 1 && like(&inverse[0], &value),
                Value,
                "register_parametrization: {} makes {name} of other tensors than one like it, so it must be the first",
                function.name()
            );
            functions.push(function);
            return self.assign(name, &value);
        }
        let old = self.parameter(name)?;
        let value = old.detach();
        let mut originals = no_grad(|| function.right_inverse(&value))?;
        let originals = if originals.len() == 1 && like(&originals[0], &value) {
            // The parameter itself goes on being learnt, so that whoever holds it need not know.
            no_grad(|| old.copy_(&originals[0]).map(|_| ()))?;
            vec![old.clone()]
        } else {
            let new = originals.drain(..).map(|original| {
                let original = Parameter::new(original.detach().copy()?)?;
                original.requires_grad(old.is_tracked())?;
                Ok(original)
            });
            new.collect::<Result<_>>()?
        };
        let source = Source::Functions(originals, vec![function]);
        let computed = no_grad(|| source.value())?;
        if !like(&computed, &value) {
            if let Source::Functions(originals, _) = &source
                && originals.iter().any(|original| original.same(&old))
            {
                no_grad(|| old.copy_(&value).map(|_| ()))?;
            }
            bail!(
                Shape,
                "register_parametrization: expected {:?} of {} for {name}, got {:?} of {}",
                value.shape(),
                value.dtype(),
                computed.shape(),
                computed.dtype()
            );
        }
        self.insert(name, source)
    }

    /// Puts a source in the place of a parameter.
    pub(super) fn insert(&mut self, name: &str, source: Source) -> Result<()> {
        let place = Parameter::computed(no_grad(|| source.value())?.detach().copy()?);
        swap(&mut self.module, name, place.clone())?;
        let (module, own) = name.rsplit_once('.').unwrap_or(("", name));
        self.computed.push(Computed {
            module: module.to_string(),
            name: own.to_string(),
            place,
            source,
        });
        self.relabel();
        Ok(())
    }

    /// Takes a source away and puts a parameter in its place.
    pub(super) fn take(&mut self, name: &str, parameter: Parameter) -> Result<()> {
        swap(&mut self.module, name, parameter)?;
        self.computed.retain(|computed| computed.path() != name);
        self.relabel();
        Ok(())
    }

    fn relabel(&mut self) {
        self.label = label(&self.computed, "", &self.module);
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.computed.iter().position(|computed| computed.path() == name)
    }

    /// A parameter of the module that is not computed.
    pub(super) fn parameter(&self, name: &str) -> Result<Parameter> {
        self.module.get_parameter(name).cloned()
    }

    /// Whether the parameter of this name is computed by registered functions.
    pub fn is_parametrized(&self, name: &str) -> bool {
        let computed = self.position(name).map(|i| &self.computed[i].source);
        matches!(computed, Some(Source::Functions(..)))
    }

    /// The value of a computed parameter, recorded.
    ///
    /// # Errors
    /// `Key` if no such parameter is computed; those of the functions.
    pub fn value(&self, name: &str) -> Result<Tensor> {
        match self.position(name) {
            Some(i) => self.computed[i].source.value(),
            None => bail!(Key, "Parametrized: {name} is not a computed parameter"),
        }
    }

    /// Sets the originals so that a parametrized parameter gets a value, or something near it.
    ///
    /// # Errors
    /// `Key` if no such parameter is parametrized; `Shape` if the value or what the functions' inverses give does not fit.
    pub fn assign(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let Some(i) = self.position(name) else {
            bail!(Key, "Parametrized: {name} is not a computed parameter")
        };
        let Source::Functions(originals, functions) = &mut self.computed[i].source else {
            bail!(Key, "Parametrized: {name} is pruned, not parametrized")
        };
        no_grad(|| {
            let mut values = vec![value.detach()];
            for function in functions.iter_mut().rev() {
                let [value] = &values[..] else {
                    bail!(
                        Value,
                        "Parametrized: {name}: only the first function may be of several tensors"
                    )
                };
                values = function.right_inverse(&value.clone())?;
            }
            let fits = values.len() == originals.len()
                && values
                    .iter()
                    .zip(&*originals)
                    .all(|(new, old)| new.shape() == old.shape());
            ensure!(
                fits,
                Shape,
                "Parametrized: {name}: expected originals {:?}, got {:?}",
                originals.iter().map(|o| o.shape()).collect::<Vec<_>>(),
                values.iter().map(Tensor::shape).collect::<Vec<_>>()
            );
            let mut pairs = values.iter().zip(&*originals);
            pairs.try_for_each(|(new, old)| old.copy_(new).map(|_| ()))
        })
    }

    /// Makes a parametrized parameter a plain one again: with the value that is computed, if `leave_parametrized`, or the
    /// original itself.
    ///
    /// # Errors
    /// `Key` if no such parameter is parametrized; `Value` if the original is asked for and there are several.
    pub fn remove(&mut self, name: &str, leave_parametrized: bool) -> Result<()> {
        if !self.is_parametrized(name) {
            bail!(Key, "remove_parametrizations: {name} is not parametrized")
        }
        let value = no_grad(|| self.value(name))?.detach();
        let Some(Source::Functions(originals, _)) = self.position(name).map(|i| &self.computed[i].source)
        else {
            bail!(Key, "remove_parametrizations: {name} is not parametrized")
        };
        let parameter = match &originals[..] {
            [original] => {
                let original = original.clone();
                if leave_parametrized {
                    no_grad(|| original.copy_(&value).map(|_| ()))?;
                }
                original
            }
            several => {
                ensure!(
                    leave_parametrized,
                    Value,
                    "remove_parametrizations: {name} is made of {} tensors; none of them can take its place",
                    several.len()
                );
                let parameter = Parameter::new(value.copy()?)?;
                parameter.requires_grad(several.iter().any(|original| original.is_tracked()))?;
                parameter
            }
        };
        self.take(name, parameter)
    }

    /// Computes the parameters and calls `f` with the module. Calls from several threads wait for each other; `f` must not
    /// call this module's wrapper again.
    ///
    /// # Errors
    /// Those of the functions and of `f`.
    pub fn run<R>(&self, f: impl FnOnce(&M) -> Result<R>) -> Result<R> {
        let _running = self.lock();
        self.computed.iter().try_for_each(Computed::refresh)?;
        let output = f(&self.module);
        self.computed.iter().try_for_each(Computed::forget)?;
        output
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The module with plain parameters of the values that were computed.
    ///
    /// # Errors
    /// Those of the functions.
    pub fn into_inner(mut self) -> Result<M> {
        while let Some(computed) = self.computed.last() {
            let path = computed.path();
            match computed.source {
                Source::Functions(..) => self.remove(&path, true)?,
                Source::Pruned(..) => super::prune::remove(&mut self, &path)?,
            }
        }
        Ok(self.module)
    }
}

/// Whether two tensors have one shape and type.
fn like(a: &Tensor, b: &Tensor) -> bool {
    a.shape() == b.shape() && a.dtype() == b.dtype()
}

impl<M: Forward> Forward for Parametrized<M> {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.run(|module| module.forward(x))
    }
}

impl<M: Module> Module for Parametrized<M> {
    fn name(&self) -> &str {
        &self.label
    }

    fn extra_repr(&self) -> String {
        self.module.extra_repr()
    }

    fn multiply_adds(&self, inputs: &[Tensor], outputs: &[Tensor]) -> u64 {
        self.module.multiply_adds(inputs, outputs)
    }

    fn members<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        show(&self.module, "", &self.computed, visitor)
    }

    fn members_mut(&mut self, visitor: &mut dyn VisitorMut) -> Result<()> {
        change(&mut self.module, "", &mut self.computed, visitor)?;
        // Values may be of another type now.
        for i in 0..self.computed.len() {
            let place = Parameter::computed(no_grad(|| self.computed[i].source.value())?.detach().copy()?);
            swap(&mut self.module, &self.computed[i].path(), place.clone())?;
            self.computed[i].place = place;
        }
        Ok(())
    }
}

impl<M: Module> Member for Parametrized<M> {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.module(name, self)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visitor.module(name, self)
    }
}
