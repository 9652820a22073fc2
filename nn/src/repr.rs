//! Printing modules as PyTorch does.

use crate::module::{Module, own};

/// The module and what is in it, line by line, as `print(module)` shows it in PyTorch.
pub(crate) fn repr<M: Module + ?Sized>(module: &M) -> String {
    let (settings, children) = (module.extra_repr(), own(module).modules);
    if children.is_empty() {
        return format!("{}({settings})", module.name());
    }
    let mut lines: Vec<String> = settings.lines().map(str::to_string).collect();
    for (name, child) in children {
        lines.push(format!("({name}): {}", repr(child)));
    }
    let body = lines.join("\n").replace('\n', "\n  ");
    format!("{}(\n  {body}\n)", module.name())
}

#[cfg(test)]
mod tests {
    use crate::{Linear, LinearOptions, Module, ReLU, Sequential};

    #[test]
    fn modules_print_as_in_pytorch() {
        let inner = Sequential::new()
            .push(ReLU)
            .push(Linear::new(8, 2, LinearOptions { bias: false }).unwrap());
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
}
