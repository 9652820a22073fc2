//! Pruning (`torch.nn.utils.prune`): parameters of which masks keep some elements, chosen by size or at random. What is
//! learnt goes on as `weight_orig`, with a gradient where the mask `weight_mask` is 1. Pruning again prunes what is left.
//!
//! ```
//! use flambeau_nn::utils::parametrize::Parametrized;
//! use flambeau_nn::utils::prune::{self, Amount};
//! use flambeau_nn::{Forward, Linear, LinearOptions, Module, ReLU, Sequential};
//!
//! # fn main() -> flambeau_nn::Result<()> {
//! let linear = |a, b| Linear::new(a, b, LinearOptions::default());
//! let mut model = Parametrized::new(Sequential::new().push(linear(8, 4)?).push(ReLU).push(linear(4, 2)?));
//! prune::global_unstructured(&mut model, &["0.weight", "2.weight"], prune::Method::L1, Amount::Fraction(0.5))?;
//! let kept: f64 = model.value("0.weight")?.ne(0)?.sum()?.item_f64()? + model.value("2.weight")?.ne(0)?.sum()?.item_f64()?;
//! assert_eq!(kept, 20.0);
//! # Ok(())
//! # }
//! ```

use flambeau_tensor::{Result, Tensor, bail, ensure, no_grad};

use super::parametrize::{Parametrized, Source};
use crate::{Buffer, Module};

/// How much is pruned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many elements, or channels.
    Count(usize),
    /// This part of them, from 0 to 1, rounded to the nearest number of them.
    Fraction(f64),
}

impl Amount {
    /// How many of `size` that is.
    fn of(self, op: &str, size: usize) -> Result<usize> {
        match self {
            Amount::Count(count) => {
                ensure!(
                    count <= size,
                    Value,
                    "{op}: expected at most the {size} that there are, got {count}"
                );
                Ok(count)
            }
            Amount::Fraction(part) => {
                ensure!(
                    (0.0..=1.0).contains(&part),
                    Value,
                    "{op}: expected a fraction from 0 to 1, got {part}"
                );
                Ok((part * size as f64).round_ties_even() as usize)
            }
        }
    }
}

/// Which elements [`global_unstructured`] prunes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Those nearest to 0.
    L1,
    /// Any.
    Random,
}

/// Prunes the elements nearest to 0, or those of the least absolute `importance`, which has the parameter's shape.
///
/// # Errors
/// `Key` if there is no such parameter; `Value` for an impossible amount, or if the parameter is parametrized; `Shape` if
/// the importance does not fit.
pub fn l1_unstructured<M: Module>(
    module: &mut Parametrized<M>,
    name: &str,
    amount: Amount,
    importance: Option<&Tensor>,
) -> Result<()> {
    let op = "l1_unstructured";
    let State { value, mask } = state(op, module, name)?;
    let scores = scores(op, name, importance, &value)?;
    let mask = without_least(op, &scores, mask, amount)?;
    apply(module, name, &value, mask)
}

/// Prunes elements at random.
///
/// # Errors
/// As [`l1_unstructured`].
pub fn random_unstructured<M: Module>(
    module: &mut Parametrized<M>,
    name: &str,
    amount: Amount,
) -> Result<()> {
    let op = "random_unstructured";
    let State { value, mask } = state(op, module, name)?;
    let mask = without_random(op, &value, mask, amount)?;
    apply(module, name, &value, mask)
}

/// Prunes the channels along `dim` that have the least `n`-norm.
///
/// # Errors
/// As [`l1_unstructured`]; `Shape` for parameters of fewer than two dimensions, `Dim` if there is no such dimension.
pub fn ln_structured<M: Module>(
    module: &mut Parametrized<M>,
    name: &str,
    amount: Amount,
    n: f64,
    dim: isize,
    importance: Option<&Tensor>,
) -> Result<()> {
    let op = "ln_structured";
    let State { value, mask } = state(op, module, name)?;
    let scores = match importance {
        Some(given) => given.detach(),
        None => value.clone(),
    };
    same_shape(op, name, &scores, &value)?;
    let channels = Channels::new(op, &value, &mask, dim)?;
    let others: Vec<isize> = (0..value.rank())
        .filter(|&d| d != channels.dim)
        .map(|d| d as isize)
        .collect();
    let norms = no_grad(|| scores.vector_norm(n, &others[..], false))?.to_vec_f64()?;
    let pruned = amount.of(op, channels.left.len())?;
    let mut order = channels.left.clone();
    order.sort_by(|&a, &b| norms[a].total_cmp(&norms[b]));
    let mask = channels.without(&order[..pruned], mask);
    apply(module, name, &value, mask)
}

/// Prunes channels along `dim` at random.
///
/// # Errors
/// As [`ln_structured`].
pub fn random_structured<M: Module>(
    module: &mut Parametrized<M>,
    name: &str,
    amount: Amount,
    dim: isize,
) -> Result<()> {
    let op = "random_structured";
    let State { value, mask } = state(op, module, name)?;
    let channels = Channels::new(op, &value, &mask, dim)?;
    let pruned = amount.of(op, channels.left.len())?;
    if pruned == 0 {
        return apply(module, name, &value, mask);
    }
    let drawn = Tensor::rand(channels.left.len(), flambeau_tensor::DType::F32)?.to_vec::<f32>()?;
    let mut order: Vec<usize> = (0..drawn.len()).collect();
    order.sort_by(|&a, &b| drawn[a].total_cmp(&drawn[b]));
    let gone: Vec<usize> = order[..pruned].iter().map(|&i| channels.left[i]).collect();
    let mask = channels.without(&gone, mask);
    apply(module, name, &value, mask)
}

/// Prunes several parameters as if they were one.
///
/// # Errors
/// As [`l1_unstructured`]; `Value` for no parameters.
pub fn global_unstructured<M: Module>(
    module: &mut Parametrized<M>,
    names: &[&str],
    method: Method,
    amount: Amount,
) -> Result<()> {
    let op = "global_unstructured";
    ensure!(!names.is_empty(), Value, "{op}: expected parameters, got none");
    let states: Vec<State> = names
        .iter()
        .map(|name| state(op, module, name))
        .collect::<Result<_>>()?;
    let flat: Vec<Tensor> = states
        .iter()
        .map(|state| state.value.reshape(-1))
        .collect::<Result<_>>()?;
    let all = Tensor::cat(&flat, 0)?;
    let mask = states
        .iter()
        .flat_map(|state| state.mask.iter().copied())
        .collect();
    let mask = match method {
        Method::L1 => without_least(op, &scores(op, "all", None, &all)?, mask, amount)?,
        Method::Random => without_random(op, &all, mask, amount)?,
    };
    let mut rest = &mask[..];
    for (name, state) in names.iter().zip(&states) {
        let (own, after) = rest.split_at(state.mask.len());
        rest = after;
        apply(module, name, &state.value, own.to_vec())?;
    }
    Ok(())
}

/// Prunes the elements where a mask of the parameter's shape is 0.
///
/// # Errors
/// As [`l1_unstructured`].
pub fn custom_from_mask<M: Module>(module: &mut Parametrized<M>, name: &str, mask: &Tensor) -> Result<()> {
    let op = "custom_from_mask";
    let State { value, mask: old } = state(op, module, name)?;
    same_shape(op, name, mask, &value)?;
    let given = mask.to_vec_f64()?;
    let mask = old
        .iter()
        .zip(given)
        .map(|(&old, new)| old && new != 0.0)
        .collect();
    apply(module, name, &value, mask)
}

/// Makes pruning permanent: the parameter is a plain one again, with zeros where the mask is 0.
///
/// # Errors
/// `Key` if there is no such parameter or it is not pruned.
pub fn remove<M: Module>(module: &mut Parametrized<M>, name: &str) -> Result<()> {
    let Some(Source::Pruned(original, _)) = module.position(name).map(|i| &module.computed[i].source) else {
        bail!(Key, "prune.remove: {name} is not pruned")
    };
    let original = original.clone();
    let value = no_grad(|| module.value(name))?;
    no_grad(|| original.copy_(&value.detach()).map(|_| ()))?;
    module.take(name, original)
}

/// Whether any parameter of the module is pruned.
pub fn is_pruned<M: Module>(module: &Parametrized<M>) -> bool {
    let mut sources = module.computed.iter().map(|computed| &computed.source);
    sources.any(|source| matches!(source, Source::Pruned(..)))
}

/// A parameter before it is pruned (again).
struct State {
    /// Its value, zero where it has been pruned.
    value: Tensor,
    /// Which elements are left.
    mask: Vec<bool>,
}

fn state<M: Module>(op: &str, module: &Parametrized<M>, name: &str) -> Result<State> {
    match module.position(name).map(|i| &module.computed[i].source) {
        None => {
            let value = module.parameter(name)?.detach();
            let mask = vec![true; value.numel()];
            Ok(State { value, mask })
        }
        Some(Source::Pruned(_, mask)) => Ok(State {
            value: no_grad(|| module.value(name))?.detach(),
            mask: mask.to_vec_f64()?.into_iter().map(|x| x != 0.0).collect(),
        }),
        Some(Source::Functions(..)) => {
            bail!(
                Value,
                "{op}: {name} is parametrized; remove that first, or prune its originals"
            )
        }
    }
}

/// Puts a mask on a parameter, or in the place of the one that is there.
fn apply<M: Module>(module: &mut Parametrized<M>, name: &str, value: &Tensor, mask: Vec<bool>) -> Result<()> {
    let mask = Tensor::from_vec(mask, value.shape())?.to_dtype(value.dtype())?;
    if let Some(i) = module.position(name)
        && let Source::Pruned(_, old) = &module.computed[i].source
    {
        return no_grad(|| old.copy_(&mask).map(|_| ()));
    }
    let source = Source::Pruned(module.parameter(name)?, Buffer::new(mask));
    module.insert(name, source)
}

fn same_shape(op: &str, name: &str, given: &Tensor, value: &Tensor) -> Result<()> {
    ensure!(
        given.shape() == value.shape(),
        Shape,
        "{op}: expected the shape {:?} of {name}, got {:?}",
        value.shape(),
        given.shape()
    );
    Ok(())
}

/// Absolute values, of the importance if there is one.
fn scores(op: &str, name: &str, importance: Option<&Tensor>, value: &Tensor) -> Result<Vec<f64>> {
    let scores = importance.unwrap_or(value);
    same_shape(op, name, scores, value)?;
    Ok(scores.to_vec_f64()?.into_iter().map(f64::abs).collect())
}

/// The mask without those elements of what is left that have the least scores.
fn without_least(op: &str, scores: &[f64], mut mask: Vec<bool>, amount: Amount) -> Result<Vec<bool>> {
    let mut left: Vec<usize> = (0..mask.len()).filter(|&i| mask[i]).collect();
    let pruned = amount.of(op, left.len())?;
    left.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    left[..pruned].iter().for_each(|&i| mask[i] = false);
    Ok(mask)
}

/// The mask without some of what is left: as in PyTorch, those for which the largest numbers are drawn.
fn without_random(op: &str, value: &Tensor, mut mask: Vec<bool>, amount: Amount) -> Result<Vec<bool>> {
    let left: Vec<usize> = (0..mask.len()).filter(|&i| mask[i]).collect();
    let pruned = amount.of(op, left.len())?;
    if pruned == 0 {
        return Ok(mask);
    }
    let drawn = Tensor::rand(left.len(), value.dtype())?.to_vec_f64()?;
    let mut order: Vec<usize> = (0..left.len()).collect();
    order.sort_by(|&a, &b| drawn[b].total_cmp(&drawn[a]));
    order[..pruned].iter().for_each(|&i| mask[left[i]] = false);
    Ok(mask)
}

/// The channels of a parameter along one dimension.
struct Channels {
    dim: usize,
    /// Elements between neighbours along the dimension, and channels.
    step: usize,
    count: usize,
    /// Channels of which anything is left.
    left: Vec<usize>,
}

impl Channels {
    fn new(op: &str, value: &Tensor, mask: &[bool], dim: isize) -> Result<Channels> {
        let shape = value.shape();
        let rank = shape.len() as isize;
        ensure!(
            rank > 1,
            Shape,
            "{op}: expected two or more dimensions, got {shape:?}"
        );
        ensure!(
            (-rank..rank).contains(&dim),
            Dim,
            "{op}: no dimension {dim} in {shape:?}"
        );
        let dim = dim.rem_euclid(rank) as usize;
        let (step, count) = (shape[dim + 1..].iter().product::<usize>(), shape[dim]);
        let mut channels = Channels {
            dim,
            step,
            count,
            left: Vec::new(),
        };
        let mut kept = vec![false; count];
        for (i, _) in mask.iter().enumerate().filter(|(_, left)| **left) {
            kept[channels.of(i)] = true;
        }
        channels.left = (0..count).filter(|&channel| kept[channel]).collect();
        Ok(channels)
    }

    /// The channel of an element.
    fn of(&self, element: usize) -> usize {
        element / self.step % self.count
    }

    /// The mask without some channels.
    fn without(&self, gone: &[usize], mut mask: Vec<bool>) -> Vec<bool> {
        for (i, left) in mask.iter_mut().enumerate() {
            *left &= !gone.contains(&self.of(i));
        }
        mask
    }
}
