//! Members of modules, and those who visit them.
//!
//! A module shows its members one by one to a visitor; everything else (parameters by name, state dicts, training
//! mode, printing) is a visitor. `#[derive(Module)]` writes the walk over the fields.

use std::collections::{BTreeMap, HashMap};

use flambeau_tensor::{DType, Result};

use crate::module::Module;
use crate::parameter::{Buffer, Mode, Parameter};

/// What may be a field of a module: a parameter, a buffer, a module, a collection of these, or a plain value that
/// holds none.
pub trait Member: Send + Sync {
    /// Shows what there is to `visitor`, under the field's name.
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>);

    /// [`Member::visit`], to change it.
    ///
    /// # Errors
    /// Those of the visitor.
    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()>;
}

/// Whom a module shows its members to. Names are those within the module.
pub trait Visitor<'a> {
    /// A parameter of the module itself.
    fn parameter(&mut self, name: &str, parameter: &'a Parameter);
    /// A buffer of the module itself.
    fn buffer(&mut self, name: &str, buffer: &'a Buffer);
    /// A module within the module; its members are not shown unless the visitor asks for them.
    fn module(&mut self, name: &str, module: &'a dyn Module);
    /// Where the module keeps whether it is being trained.
    fn mode(&mut self, mode: &'a Mode);

    /// What is shown until [`Visitor::leave`] stands together under `name`, with which its names begin. This matters
    /// for printing alone.
    fn enter(&mut self, name: &str, group: Group<'_>) {
        let _ = (name, group);
    }

    /// The end of the group.
    fn leave(&mut self) {}
}

/// Members that are printed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group<'a> {
    /// By number: `ModuleList` or `ParameterList`.
    List,
    /// By key: `ModuleDict` or `ParameterDict`.
    Dict,
    /// As a module of this name with these settings.
    Module(&'a str, &'a str),
}

/// Whom a module shows its members to for a change.
pub trait VisitorMut {
    /// As [`Visitor::parameter`].
    ///
    /// # Errors
    /// Those of the change.
    fn parameter(&mut self, name: &str, parameter: &mut Parameter) -> Result<()>;
    /// As [`Visitor::buffer`].
    ///
    /// # Errors
    /// Those of the change.
    fn buffer(&mut self, name: &str, buffer: &mut Buffer) -> Result<()>;
    /// As [`Visitor::module`].
    ///
    /// # Errors
    /// Those of the change.
    fn module(&mut self, name: &str, module: &mut dyn Module) -> Result<()>;
}

impl<M: Member + ?Sized> Member for Box<M> {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        (**self).visit(name, visitor)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        (**self).visit_mut(name, visitor)
    }
}

/// `None` has no members: as a bias that is left out, it has no key.
impl<M: Member> Member for Option<M> {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        if let Some(member) = self {
            member.visit(name, visitor)
        }
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        match self {
            Some(member) => member.visit_mut(name, visitor),
            None => Ok(()),
        }
    }
}

/// Members called `name.0`, `name.1`, …, as in `ModuleList` and `ParameterList`.
impl<M: Member> Member for Vec<M> {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visit_list(self, name, visitor)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visit_list_mut(self, name, visitor)
    }
}

/// As a vector's.
impl<M: Member, const N: usize> Member for [M; N] {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visit_list(self, name, visitor)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visit_list_mut(self, name, visitor)
    }
}

fn visit_list<'a, M: Member>(members: &'a [M], name: &str, visitor: &mut dyn Visitor<'a>) {
    visitor.enter(name, Group::List);
    for (i, member) in members.iter().enumerate() {
        member.visit(&format!("{name}.{i}"), visitor)
    }
    visitor.leave()
}

fn visit_list_mut<M: Member>(members: &mut [M], name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
    let mut members = members.iter_mut().enumerate();
    members.try_for_each(|(i, member)| member.visit_mut(&format!("{name}.{i}"), visitor))
}

/// Members called `name.key`, as in `ModuleDict` and `ParameterDict`.
impl<M: Member> Member for BTreeMap<String, M> {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.enter(name, Group::Dict);
        for (key, member) in self {
            member.visit(&format!("{name}.{key}"), visitor)
        }
        visitor.leave()
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        self.iter_mut()
            .try_for_each(|(key, member)| member.visit_mut(&format!("{name}.{key}"), visitor))
    }
}

/// As an ordered map's: in the order of the keys, so that nothing depends on how they are hashed.
impl<M: Member> Member for HashMap<String, M> {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        let mut members: Vec<_> = self.iter().collect();
        members.sort_by_key(|(key, _)| *key);
        visitor.enter(name, Group::Dict);
        for (key, member) in members {
            member.visit(&format!("{name}.{key}"), visitor)
        }
        visitor.leave()
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        let mut members: Vec<_> = self.iter_mut().collect();
        members.sort_by_key(|(key, _)| *key);
        members
            .into_iter()
            .try_for_each(|(key, member)| member.visit_mut(&format!("{name}.{key}"), visitor))
    }
}

macro_rules! no_members {
    ($($plain:ty),* $(,)?) => { $(
        impl Member for $plain {
            fn visit<'a>(&'a self, _: &str, _: &mut dyn Visitor<'a>) {}

            fn visit_mut(&mut self, _: &str, _: &mut dyn VisitorMut) -> Result<()> {
                Ok(())
            }
        }
    )* };
}
no_members!(
    bool,
    u8,
    u32,
    u64,
    usize,
    i32,
    i64,
    isize,
    f32,
    f64,
    String,
    &'static str,
    DType
);
