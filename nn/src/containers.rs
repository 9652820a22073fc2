//! `Sequential`. A `Vec` of modules takes the place of `ModuleList` and `ParameterList`, a `BTreeMap<String, _>` that of
//! `ModuleDict` and `ParameterDict`: as fields they have PyTorch's keys.

use flambeau_tensor::{Result, Tensor, bail};

use crate::chain::chain;
use crate::member::{Member, Visitor, VisitorMut};
use crate::module::{Forward, Module};
use crate::observed;

/// Modules one after the other (`torch.nn.Sequential`), named `0`, `1`, … or by names of their own.
///
/// Under [`no_grad`](crate::no_grad), norms with fixed statistics and activations are done while the layer before them writes its
/// output, if that layer can: see [`chain`].
///
/// ```
/// # use flambeau_nn::{Forward, Linear, LinearOptions, Module, ReLU, Sequential};
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let model = Sequential::new()
///     .push(Linear::new(4, 8, LinearOptions::default())?)
///     .push(ReLU)
///     .push(Linear::new(8, 2, LinearOptions { bias: false })?);
/// assert_eq!(model.forward(&Tensor::zeros((3, 4), DType::F32)?)?.shape(), [3, 2]);
/// assert_eq!(model.named_parameters()[2].0, "2.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Sequential {
    modules: Vec<(String, Box<dyn Forward>)>,
}

impl Sequential {
    /// No modules: the identity.
    pub fn new() -> Self {
        Sequential::default()
    }

    /// Adds a module, named by its position.
    pub fn push(self, module: impl Forward + 'static) -> Self {
        let name = self.modules.len().to_string();
        self.push_named(name, module)
    }

    /// Adds a module with a name.
    pub fn push_named(mut self, name: impl Into<String>, module: impl Forward + 'static) -> Self {
        self.modules.push((name.into(), Box::new(module)));
        self
    }

    /// How many modules there are.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// The modules with their names, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &dyn Forward)> + Clone {
        self.modules
            .iter()
            .map(|(name, module)| (name.as_str(), &**module))
    }

    /// Puts another module in the place of the one at a position, under the same name.
    ///
    /// # Errors
    /// `Index` if there is none.
    pub fn replace(&mut self, index: usize, module: impl Forward + 'static) -> Result<()> {
        let len = self.modules.len();
        let Some((_, place)) = self.modules.get_mut(index) else {
            bail!(
                Index,
                "Sequential: no module at {index} to replace; there are {len}"
            )
        };
        *place = Box::new(module);
        Ok(())
    }

    /// The module at a position.
    pub fn get(&self, index: usize) -> Option<&dyn Forward> {
        self.modules.get(index).map(|(_, module)| &**module)
    }
}

impl std::fmt::Debug for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repr())
    }
}

impl Forward for Sequential {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        chain(x, self.iter().map(|(_, module)| module))
    }
}

impl Module for Sequential {
    fn name(&self) -> &str {
        "Sequential"
    }

    fn members<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        self.modules
            .iter()
            .for_each(|(name, module)| module.visit(name, visitor))
    }

    fn members_mut(&mut self, visitor: &mut dyn VisitorMut) -> Result<()> {
        self.modules
            .iter_mut()
            .try_for_each(|(name, module)| module.visit_mut(name, visitor))
    }
}

impl Member for Sequential {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.module(name, self)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visitor.module(name, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Linear, LinearOptions, ReLU};

    #[test]
    fn a_module_is_replaced_under_its_name() {
        let linear = |features| Linear::new(2, features, LinearOptions::default()).unwrap();
        let mut model = Sequential::new().push(linear(3)).push_named("head", linear(4));
        model.replace(1, Box::new(ReLU) as Box<dyn Forward>).unwrap();
        let names: Vec<_> = model.iter().map(|(name, module)| (name, module.name())).collect();
        assert_eq!(names, [("0", "Linear"), ("head", "ReLU")]);
        assert_eq!(model.state_entries()[0].0, "0.weight");
        assert!(
            model
                .replace(2, ReLU)
                .unwrap_err()
                .to_string()
                .contains("there are 2")
        );
    }
}
