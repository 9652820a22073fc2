//! Losses of probabilities: binary cross-entropy and the negative log-likelihood.

use super::{Reduction, check_broadcast, weighted};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::{DType, Result, Shape, Tensor, bail, ensure, no_grad};

/// A recorded binary cross-entropy.
#[derive(Clone, Debug)]
pub struct BinaryCrossEntropyOp {
    /// The probabilities.
    pub input: Saved,
    /// The targets.
    pub target: Saved,
}

/// The least logarithm that counts in [`binary_cross_entropy`].
pub const LEAST_LOG: f64 = -100.0;

/// `-(y·log x + (1 - y)·log(1 - x))` of probabilities `x`, whose logarithms are raised to at least -100. It is a primitive
/// because the gradient stays finite where those of the logarithms don't.
///
/// # Errors
/// `Shape` if the shapes differ; `DType` unless the input is of a floating point type; `Value` for an input outside 0..=1.
pub fn binary_cross_entropy(
    input: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    under_autocast!("binary_cross_entropy": input, target, weight => binary_cross_entropy(input, target, weight, reduction));
    ensure!(
        input.shape() == target.shape(),
        Shape,
        "binary_cross_entropy: expected an input and a target of one shape, got {:?} and {:?}",
        input.shape(),
        target.shape()
    );
    ensure!(
        input.dtype().is_float(),
        DType,
        "binary_cross_entropy: expected a floating point tensor, got {} {:?}",
        input.dtype(),
        input.shape()
    );
    let inside = input.ge(0.0)?.logical_and(&input.le(1.0)?)?.all()?; // no NaN is
    if !inside.item::<bool>()? {
        let elements = input.detach().to_vec_f64()?;
        let outside = elements.iter().find(|x| !(0.0..=1.0).contains(*x));
        bail!(
            Value,
            "binary_cross_entropy: the input must lie between 0 and 1, got {}",
            outside.copied().unwrap_or(f64::NAN)
        );
    }
    let (x, y) = (input.read(), target.to_dtype(input.dtype())?.read());
    let losses = no_grad(|| -> Result<Tensor> {
        let (x, y) = (input.detach(), target.detach());
        let log = x.log()?.clamp_min(LEAST_LOG)?;
        let log_of_rest = x.neg()?.log1p()?.clamp_min(LEAST_LOG)?;
        y.sub(1.0)?.mul(&log_of_rest)?.sub(&y.mul(&log)?)
    })?;
    let losses = record(losses.value(), &[&x, &y], |_| {
        Op::BinaryCrossEntropy(BinaryCrossEntropyOp {
            input: x.clone(),
            target: y.clone(),
        })
    });
    reduction.apply(&weighted(losses, weight)?)
}

/// [`binary_cross_entropy`] of `σ(x)`, computed without overflow: `(1 - y)·x - (1 + (w - 1)·y)·log σ(x)`, where `w` is
/// the weight of positive targets.
///
/// # Errors
/// `Shape` if the shapes differ; `Broadcast` if the weights don't broadcast.
pub fn binary_cross_entropy_with_logits(
    input: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    positive_weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    under_autocast!("binary_cross_entropy_with_logits": input, target, weight, positive_weight =>
        binary_cross_entropy_with_logits(input, target, weight, positive_weight, reduction));
    ensure!(
        input.shape() == target.shape(),
        Shape,
        "binary_cross_entropy_with_logits: expected an input and a target of one shape, got {:?} and {:?}",
        input.shape(),
        target.shape()
    );
    let weights: Vec<&Tensor> = [Some(input), weight, positive_weight]
        .into_iter()
        .flatten()
        .collect();
    check_broadcast("binary_cross_entropy_with_logits", &weights)?;
    let log_sigmoid = input.logsigmoid()?;
    let scaled = match positive_weight {
        Some(w) => w.sub(1.0)?.mul(target)?.add(1.0)?.mul(&log_sigmoid)?,
        None => log_sigmoid,
    };
    let losses = target.neg()?.add(1.0)?.mul(input)?.sub(&scaled)?;
    reduction.apply(&weighted(losses, weight)?)
}

/// How class indices are scored by [`nll_loss`] and [`cross_entropy`](super::cross_entropy()).
#[derive(Clone, Debug)]
pub struct ClassOptions {
    /// One weight per class; all 1 if absent.
    pub weight: Option<Tensor>,
    /// Elements with this target count for nothing.
    pub ignore_index: i64,
    /// What becomes of the losses of elements. The mean is one over the weights of their targets.
    pub reduction: Reduction,
}

impl Default for ClassOptions {
    fn default() -> Self {
        ClassOptions {
            weight: None,
            ignore_index: -100,
            reduction: Reduction::Mean,
        }
    }
}

/// The batch, the classes and the places of scores `[C]`, `[batch, C]` or `[batch, C, d…]`, and the shape of the targets.
pub(super) fn class_sizes(op: &str, input: &Tensor) -> Result<([usize; 3], Shape)> {
    let shape = input.shape();
    ensure!(
        !shape.is_empty(),
        Shape,
        "{op}: expected scores with a dimension of classes, got {shape:?}"
    );
    let class = usize::from(shape.len() > 1);
    let outer: usize = shape[..class].iter().product();
    let inner: usize = shape[class + 1..].iter().product();
    let places = shape
        .iter()
        .enumerate()
        .filter(|(d, _)| *d != class)
        .map(|(_, &n)| n);
    Ok(([outer, shape[class], inner], places.collect()))
}

/// `-w[y]·x[y]` of log-probabilities `x` (`[C]`, `[batch, C]` or `[batch, C, d…]`) at the target classes.
///
/// # Errors
/// `Shape` if the targets are not one for each place; `Index` if one is not a class.
pub fn nll_loss(input: &Tensor, target: &Tensor, options: &ClassOptions) -> Result<Tensor> {
    under_autocast!("nll_loss": input, weight = options.weight.as_ref() =>
        nll_loss(input, target, &ClassOptions { weight: weight.cloned(), ..options.clone() }));
    let ([outer, classes, inner], places) = class_sizes("nll_loss", input)?;
    ensure!(
        target.shape() == &places[..],
        Shape,
        "nll_loss: targets {:?} for scores {:?}",
        target.shape(),
        input.shape()
    );
    ensure!(
        target.dtype().is_integer(),
        DType,
        "nll_loss: expected class indices, got targets of {}",
        target.dtype()
    );
    let ignored = target.eq(options.ignore_index)?;
    let index = target.to_dtype(DType::I64)?.masked_fill(&ignored, 0i64)?;
    let scores = input
        .reshape((outer, classes, inner))?
        .gather(1, &index.reshape((outer, 1, inner))?)
        .map_err(|error| error.context("nll_loss"))?;
    let counted = ignored.logical_not()?;
    let weight = match &options.weight {
        Some(weight) => {
            ensure!(
                weight.shape() == [classes],
                Shape,
                "nll_loss: weights {:?} for {classes} classes",
                weight.shape()
            );
            let weight = weight
                .gather(0, &index.reshape(index.numel())?)?
                .reshape(&places)?;
            weight.masked_fill(&ignored, 0.0)?
        }
        None => counted.to_dtype(input.dtype())?,
    };
    let losses = scores
        .reshape(&places)?
        .neg()?
        .masked_fill(&ignored, 0.0)?
        .mul(&weight)?;
    match options.reduction {
        Reduction::Mean => losses.sum()?.div(&weight.sum()?),
        reduction => reduction.apply(&losses),
    }
}
