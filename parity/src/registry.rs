//! The registry: torch's names to our functions.

use std::collections::HashMap;
use std::sync::OnceLock;

use flambeau_tensor::{Result, Tensor, bail};

use crate::args::{Arg, Args};
use crate::table;

/// What a call gives back.
#[derive(Clone, Debug)]
pub struct Output {
    /// The results, nested tuples and lists flattened.
    pub values: Vec<Arg>,
}

impl From<Tensor> for Output {
    fn from(tensor: Tensor) -> Output {
        Output {
            values: vec![Arg::Tensor(tensor)],
        }
    }
}

impl From<Vec<Tensor>> for Output {
    fn from(tensors: Vec<Tensor>) -> Output {
        Output {
            values: tensors.into_iter().map(Arg::Tensor).collect(),
        }
    }
}

impl<const N: usize> From<[Tensor; N]> for Output {
    fn from(tensors: [Tensor; N]) -> Output {
        Vec::from(tensors).into()
    }
}

impl From<(Tensor, Tensor)> for Output {
    fn from((a, b): (Tensor, Tensor)) -> Output {
        vec![a, b].into()
    }
}

impl From<(Tensor, Tensor, Tensor)> for Output {
    fn from((a, b, c): (Tensor, Tensor, Tensor)) -> Output {
        vec![a, b, c].into()
    }
}

impl From<Arg> for Output {
    fn from(value: Arg) -> Output {
        Output { values: vec![value] }
    }
}

/// A function by torch's name.
pub(crate) type Entry = (&'static str, Function);

/// Takes its arguments out of [`Args`] and calls ours.
type Function = fn(&mut Args) -> Result<Output>;

/// Wraps results for the tables.
pub(crate) fn out(value: impl Into<Output>) -> Result<Output> {
    Ok(value.into())
}

/// A complex tensor (last dimension 2) as a result.
pub(crate) fn complex(value: Tensor) -> Result<Output> {
    Ok(Arg::ComplexTensor(value).into())
}

fn entries() -> &'static HashMap<&'static str, Function> {
    static ENTRIES: OnceLock<HashMap<&'static str, Function>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        table::ALL
            .iter()
            .flat_map(|table| table.iter().copied())
            .collect()
    })
}

/// Whether the registry has this name.
pub fn knows(name: &str) -> bool {
    entries().contains_key(name)
}

/// All names, sorted.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = entries().keys().copied().collect();
    names.sort_unstable();
    names
}

/// Calls a function by torch's name with torch's arguments.
///
/// # Errors
/// `Key` if the registry has no such name; `Unsupported` for an argument form that the function does not take; else the
/// function's own errors.
pub fn call(name: &str, mut args: Args) -> Result<Output> {
    let Some(function) = entries().get(name) else {
        bail!(Key, "{name}: not in the registry")
    };
    let output = function(&mut args)?;
    args.finish()?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_in_two_tables() {
        let listed: usize = table::ALL.iter().map(|table| table.len()).sum();
        assert_eq!(listed, names().len());
    }
}
