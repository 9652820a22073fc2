//! Printing modules as PyTorch does.

use crate::member::{Group, Visitor};
use crate::module::Module;
use crate::parameter::{Buffer, Mode, Parameter};

/// The module and what is in it, line by line, as `print(module)` shows it in PyTorch.
pub(crate) fn repr<M: Module + ?Sized>(module: &M) -> String {
    let mut printer = Printer::default();
    printer.open("", module.name(), &module.extra_repr());
    module.members(&mut printer);
    printer.close().map(|(_, text)| text).unwrap_or_default()
}

/// Prints what is shown to it. The module itself and the groups in it are open until all that is in them is known.
#[derive(Default)]
struct Printer {
    open: Vec<Open>,
}

struct Open {
    /// With which the names in it begin.
    name: String,
    label: String,
    settings: String,
    kind: Kind,
    /// Local names and texts.
    modules: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    List,
    Dict,
}

impl Printer {
    fn open(&mut self, name: &str, label: &str, settings: &str) {
        self.open.push(Open {
            name: name.to_string(),
            label: label.to_string(),
            settings: settings.to_string(),
            kind: Kind::Module,
            modules: Vec::new(),
            parameters: Vec::new(),
        });
    }

    /// Ends the last group: its name and text, or nothing for an empty list, which may be one of numbers.
    fn close(&mut self) -> Option<(String, String)> {
        let Open {
            name,
            mut label,
            settings,
            kind,
            modules,
            parameters,
        } = self.open.pop()?;
        let items = match (kind, modules.is_empty(), parameters.is_empty()) {
            (Kind::Module, ..) => modules,
            (_, true, true) => return None,
            (_, false, _) => {
                label = format!("Module{label}");
                modules
            }
            (_, true, false) => {
                label = format!("Parameter{label}");
                parameters
            }
        };
        let items = match kind {
            Kind::List => collapsed(items),
            _ => items,
        };
        if items.is_empty() {
            return Some((name, format!("{label}({settings})")));
        }
        let mut lines: Vec<String> = settings.lines().map(str::to_string).collect();
        lines.extend(items.into_iter().map(|(name, text)| format!("({name}): {text}")));
        let body = lines.join("\n").replace('\n', "\n  ");
        Some((name, format!("{label}(\n  {body}\n)")))
    }

    /// The part of a name that the open groups don't have.
    fn local(&self, name: &str) -> String {
        let open = self.open.last().map_or("", |open| &open.name);
        let local = name.strip_prefix(open).and_then(|rest| rest.strip_prefix('.'));
        local.unwrap_or(name).to_string()
    }
}

/// Equal neighbours of a list in one line, `(0-2): 3 x Linear(…)`, as PyTorch shows them.
fn collapsed(items: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut runs: Vec<(String, String, String, usize)> = Vec::new();
    for (name, text) in items {
        match runs.last_mut() {
            Some((_, last, same, count)) if *same == text => {
                *last = name;
                *count += 1;
            }
            _ => runs.push((name.clone(), name, text, 1)),
        }
    }
    let run = |(first, last, text, count): (String, String, String, usize)| match count {
        1 => (first, text),
        _ => (format!("{first}-{last}"), format!("{count} x {text}")),
    };
    runs.into_iter().map(run).collect()
}

impl<'a> Visitor<'a> for Printer {
    fn parameter(&mut self, name: &str, parameter: &'a Parameter) {
        let sizes: Vec<String> = parameter.shape().iter().map(usize::to_string).collect();
        let text = format!(
            "Parameter containing: [torch.{} of size {}]",
            parameter.dtype(),
            sizes.join("x")
        );
        let name = self.local(name);
        if let Some(open) = self.open.last_mut() {
            open.parameters.push((name, text));
        }
    }

    fn buffer(&mut self, _: &str, _: &'a Buffer) {}

    fn module(&mut self, name: &str, module: &'a dyn Module) {
        let name = self.local(name);
        if let Some(open) = self.open.last_mut() {
            open.modules.push((name, repr(module)));
        }
    }

    fn mode(&mut self, _: &'a Mode) {}

    fn enter(&mut self, name: &str, group: Group<'_>) {
        match group {
            Group::Module(label, settings) => self.open(name, label, settings),
            Group::List | Group::Dict => {
                let (label, kind) = match group {
                    Group::List => ("List", Kind::List),
                    _ => ("Dict", Kind::Dict),
                };
                self.open(name, label, "");
                if let Some(open) = self.open.last_mut() {
                    open.kind = kind;
                }
            }
        }
    }

    fn leave(&mut self) {
        let Some((name, text)) = self.close() else { return };
        let name = self.local(&name);
        if let Some(open) = self.open.last_mut() {
            open.modules.push((name, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::{Linear, LinearOptions, Module, Parameter, ReLU, Sequential, Tensor};
    use flambeau_tensor::DType;

    #[derive(Module)]
    struct Lists {
        blocks: Vec<Linear>,
        nested: [Vec<ReLU>; 1],
        heads: HashMap<String, Linear>,
        scales: Vec<Parameter>,
        sizes: Vec<usize>,
    }

    fn linear(inputs: usize, outputs: usize) -> Linear {
        Linear::new(inputs, outputs, LinearOptions { bias: false }).unwrap()
    }

    #[test]
    fn modules_print_as_in_pytorch() {
        let inner = Sequential::new().push(ReLU).push(linear(8, 2));
        let model = Sequential::new()
            .push(Linear::new(4, 8, LinearOptions::default()).unwrap())
            .push_named("head", inner);
        let expected = "Sequential(
  (0): Linear(in_features=4, out_features=8, bias=True)
  (head): Sequential(
    (0): ReLU()
    (1): Linear(in_features=8, out_features=2, bias=False)
  )
)";
        assert_eq!(model.repr(), expected);
    }

    #[test]
    fn collections_print_as_modulelist_and_moduledict() {
        let parameter = |len: usize| Parameter::new(Tensor::ones((len, 3), DType::F32).unwrap()).unwrap();
        let model = Lists {
            blocks: vec![linear(2, 2), linear(2, 2), linear(2, 1)],
            nested: [vec![ReLU]],
            heads: [("b", 1), ("a", 2)]
                .map(|(key, n)| (key.into(), linear(1, n)))
                .into(),
            scales: vec![parameter(2), parameter(3)],
            sizes: Vec::new(),
        };
        // PyTorch's `print` of the same modules in `ModuleList`, `ModuleDict` and `ParameterList`.
        let expected = "Lists(
  (blocks): ModuleList(
    (0-1): 2 x Linear(in_features=2, out_features=2, bias=False)
    (2): Linear(in_features=2, out_features=1, bias=False)
  )
  (nested): ModuleList(
    (0): ModuleList(
      (0): ReLU()
    )
  )
  (heads): ModuleDict(
    (a): Linear(in_features=1, out_features=2, bias=False)
    (b): Linear(in_features=1, out_features=1, bias=False)
  )
  (scales): ParameterList(
    (0): Parameter containing: [torch.float32 of size 2x3]
    (1): Parameter containing: [torch.float32 of size 3x3]
  )
)";
        assert_eq!(model.repr(), expected);
        assert!(model.sizes.is_empty());
    }
}
