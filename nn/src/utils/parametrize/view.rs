//! A module with computed parameters as it is seen from outside: with what is learnt in the place of what is computed.

use flambeau_tensor::{Result, bail};

use super::{Computed, Source};
use crate::member::{Group, Member, Visitor, VisitorMut};
use crate::module::Module;
use crate::parameter::{Buffer, Mode, Parameter};

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_string()
    } else {
        format!("{path}.{name}")
    }
}

/// As PyTorch calls the class of a module whose own parameters have functions.
pub(super) fn label(computed: &[Computed], path: &str, module: &dyn Module) -> String {
    let functions = |c: &&Computed| c.module == path && matches!(c.source, Source::Functions(..));
    match computed.iter().find(functions) {
        Some(_) => format!("Parametrized{}", module.name()),
        None => module.name().to_string(),
    }
}

/// What PyTorch calls one of a parameter's originals.
fn original_name(i: usize, count: usize) -> String {
    if count == 1 {
        "original".to_string()
    } else {
        format!("original{i}")
    }
}

/// Whether a parameter of the module at `path`, or of one in it, is computed.
fn concerns(computed: &[Computed], path: &str) -> bool {
    computed.iter().any(|c| crate::module::is_in(&c.module, path))
}

/// Shows the members of the module at `path` with what is learnt in the place of what is computed.
pub(super) fn show<'a>(
    module: &'a dyn Module,
    path: &str,
    computed: &'a [Computed],
    visitor: &mut dyn Visitor<'a>,
) {
    module.members(&mut Learnt {
        path,
        computed,
        visitor,
    });
    let own = || computed.iter().filter(|c| c.module == path);
    for c in own() {
        if let Source::Pruned(original, mask) = &c.source {
            visitor.parameter(&format!("{}_orig", c.path()), original);
            visitor.buffer(&format!("{}_mask", c.path()), mask);
        }
    }
    if !own().any(|c| matches!(c.source, Source::Functions(..))) {
        return;
    }
    let all = join(path, "parametrizations");
    visitor.enter(&all, Group::Module("ModuleDict", ""));
    for c in own() {
        let Source::Functions(originals, functions) = &c.source else {
            continue;
        };
        let list = format!("{all}.{}", c.name);
        visitor.enter(&list, Group::Module("ParametrizationList", ""));
        for (i, original) in originals.iter().enumerate() {
            let number = if originals.len() > 1 {
                i.to_string()
            } else {
                String::new()
            };
            visitor.parameter(&format!("{list}.original{number}"), original);
        }
        for (i, function) in functions.iter().enumerate() {
            function.visit(&format!("{list}.{i}"), visitor);
        }
        visitor.leave();
    }
    visitor.leave();
}

/// Hands on what is not computed.
struct Learnt<'v, 'a> {
    path: &'v str,
    computed: &'a [Computed],
    visitor: &'v mut dyn Visitor<'a>,
}

impl<'a> Visitor<'a> for Learnt<'_, 'a> {
    fn parameter(&mut self, name: &str, parameter: &'a Parameter) {
        if !self.computed.iter().any(|c| c.place.same(parameter)) {
            self.visitor.parameter(&join(self.path, name), parameter)
        }
    }

    fn buffer(&mut self, name: &str, buffer: &'a Buffer) {
        self.visitor.buffer(&join(self.path, name), buffer)
    }

    fn module(&mut self, name: &str, module: &'a dyn Module) {
        let path = join(self.path, name);
        if concerns(self.computed, &path) {
            let (label, settings) = (label(self.computed, &path, module), module.extra_repr());
            self.visitor.enter(&path, Group::Module(&label, &settings));
            show(module, &path, self.computed, self.visitor);
            self.visitor.leave();
        } else {
            self.visitor.module(&path, module)
        }
    }

    fn mode(&mut self, mode: &'a Mode) {
        self.visitor.mode(mode)
    }

    fn enter(&mut self, name: &str, group: Group<'_>) {
        self.visitor.enter(&join(self.path, name), group)
    }

    fn leave(&mut self) {
        self.visitor.leave()
    }
}

/// [`show`], to change what is learnt.
pub(super) fn change(
    module: &mut dyn Module,
    path: &str,
    computed: &mut [Computed],
    visitor: &mut dyn VisitorMut,
) -> Result<()> {
    module.members_mut(&mut LearntMut {
        path,
        computed,
        visitor,
    })?;
    for c in computed.iter_mut().filter(|c| c.module == path) {
        let full = c.path();
        match &mut c.source {
            Source::Pruned(original, mask) => {
                visitor.parameter(&format!("{full}_orig"), original)?;
                visitor.buffer(&format!("{full}_mask"), mask)?;
            }
            Source::Functions(originals, functions) => {
                let list = join(path, &format!("parametrizations.{}", c.name));
                let count = originals.len();
                for (i, original) in originals.iter_mut().enumerate() {
                    visitor.parameter(&format!("{list}.{}", original_name(i, count)), original)?;
                }
                for (i, function) in functions.iter_mut().enumerate() {
                    function.visit_mut(&format!("{list}.{i}"), visitor)?;
                }
            }
        }
    }
    Ok(())
}

struct LearntMut<'v> {
    path: &'v str,
    computed: &'v mut [Computed],
    visitor: &'v mut dyn VisitorMut,
}

impl VisitorMut for LearntMut<'_> {
    fn parameter(&mut self, name: &str, parameter: &mut Parameter) -> Result<()> {
        if self.computed.iter().any(|c| c.place.same(parameter)) {
            return Ok(());
        }
        self.visitor.parameter(&join(self.path, name), parameter)
    }

    fn buffer(&mut self, name: &str, buffer: &mut Buffer) -> Result<()> {
        self.visitor.buffer(&join(self.path, name), buffer)
    }

    fn module(&mut self, name: &str, module: &mut dyn Module) -> Result<()> {
        let path = join(self.path, name);
        if concerns(self.computed, &path) {
            change(module, &path, self.computed, self.visitor)
        } else {
            self.visitor.module(&path, module)
        }
    }
}

/// Puts a parameter in the place of the one of a full name.
pub(super) fn swap(module: &mut dyn Module, name: &str, new: Parameter) -> Result<()> {
    let mut swap = Swap {
        path: String::new(),
        name,
        new: Some(new),
    };
    module.members_mut(&mut swap)?;
    match swap.new {
        None => Ok(()),
        Some(_) => bail!(Key, "Parametrized: {} has no parameter {name}", module.name()),
    }
}

struct Swap<'s> {
    path: String,
    name: &'s str,
    /// Taken when the place is found.
    new: Option<Parameter>,
}

impl VisitorMut for Swap<'_> {
    fn parameter(&mut self, name: &str, parameter: &mut Parameter) -> Result<()> {
        if join(&self.path, name) == self.name
            && let Some(new) = self.new.take()
        {
            *parameter = new;
        }
        Ok(())
    }

    fn buffer(&mut self, _: &str, _: &mut Buffer) -> Result<()> {
        Ok(())
    }

    fn module(&mut self, name: &str, module: &mut dyn Module) -> Result<()> {
        let path = join(&self.path, name);
        let outer = std::mem::replace(&mut self.path, path);
        module.members_mut(self)?;
        self.path = outer;
        Ok(())
    }
}
