//! Losses that ask for a margin between what belongs together and what does not.

use super::{Reduction, check_broadcast, weighted};
use crate::amp::under_autocast;
use crate::{DType, Result, Tensor, ensure};

/// `x` where it is positive, else 0.
fn hinge(x: &Tensor) -> Result<Tensor> {
    x.clamp_min(0.0)
}

/// `x` where `keep`, else 0.
fn kept(x: &Tensor, keep: &Tensor) -> Result<Tensor> {
    x.masked_fill(&keep.logical_not()?.expand(x.shape())?, 0.0)
}

/// `1 - cos(x₁, x₂)` where the target is 1, `max(0, cos(x₁, x₂) - margin)` where it is -1.
///
/// # Shapes
/// `[batch, features]` twice and `[batch]`, or `[features]` twice and `[]`.
///
/// # Errors
/// `Shape` for other numbers of dimensions.
pub fn cosine_embedding_loss(
    input1: &Tensor,
    input2: &Tensor,
    target: &Tensor,
    margin: f64,
    reduction: Reduction,
) -> Result<Tensor> {
    under_autocast!("cosine_embedding_loss": input1, input2, target =>
        cosine_embedding_loss(input1, input2, target, margin, reduction));
    let rank = target.rank();
    ensure!(
        rank <= 1 && input1.rank() == rank + 1 && input2.rank() == rank + 1,
        Shape,
        "cosine_embedding_loss: expected inputs [batch, features] for targets [batch], or both without a batch, got {:?}, \
         {:?} and {:?}",
        input1.shape(),
        input2.shape(),
        target.shape()
    );
    check_broadcast("cosine_embedding_loss", &[input1, input2])?;
    let dtype = crate::promote(input1.dtype(), input2.dtype()).to_float();
    let (x, y) = (input1.to_dtype(dtype)?, input2.to_dtype(dtype)?);
    let dot = |a: &Tensor, b: &Tensor| a.mul(b)?.sum_dim(-1, false);
    let magnitude = |a: &Tensor| dot(a, a)?.add(1e-12);
    let cosine = dot(&x, &y)?.div(&magnitude(&x)?.mul(&magnitude(&y)?)?.sqrt()?)?;
    let alike = kept(&cosine.neg()?.add(1.0)?, &target.eq(1i64)?)?;
    let different = kept(&hinge(&cosine.sub(margin)?)?, &target.eq(-1i64)?)?;
    reduction.apply(&alike.add(&different)?)
}

/// `max(0, -y·(x₁ - x₂) + margin)`: the first is to be greater where `y` is 1, the second where it is -1.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn margin_ranking_loss(
    input1: &Tensor,
    input2: &Tensor,
    target: &Tensor,
    margin: f64,
    reduction: Reduction,
) -> Result<Tensor> {
    under_autocast!("margin_ranking_loss": input1, input2, target =>
        margin_ranking_loss(input1, input2, target, margin, reduction));
    check_broadcast("margin_ranking_loss", &[input1, input2, target])?;
    let distance = target.neg()?.mul(&input1.sub(input2)?)?;
    reduction.apply(&hinge(&distance.add(margin)?)?)
}

/// `x` where the target is 1, `max(0, margin - x)` where it is -1.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn hinge_embedding_loss(
    input: &Tensor,
    target: &Tensor,
    margin: f64,
    reduction: Reduction,
) -> Result<Tensor> {
    under_autocast!("hinge_embedding_loss": input, target => hinge_embedding_loss(input, target, margin, reduction));
    let shape = crate::broadcast_shapes("hinge_embedding_loss", &[input.shape(), target.shape()])?;
    let (input, target) = (input.expand(&shape)?, target.expand(&shape)?);
    let apart = kept(&hinge(&input.neg()?.add(margin)?)?, &target.ne(1i64)?)?;
    reduction.apply(&apart.add(&kept(&input, &target.ne(-1i64)?)?)?)
}

/// Options of [`triplet_margin_loss`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct TripletOptions {
    /// By how much the negative is to be farther.
    pub margin: f64,
    /// The norm of distances.
    pub p: f64,
    /// Added to differences, so that a distance of 0 has a gradient.
    pub eps: f64,
    /// Whether the negative's distance from the positive counts where it is less than that from the anchor.
    pub swap: bool,
    /// What becomes of the losses of elements.
    pub reduction: Reduction,
}

impl Default for TripletOptions {
    fn default() -> Self {
        TripletOptions {
            margin: 1.0,
            p: 2.0,
            eps: 1e-6,
            swap: false,
            reduction: Reduction::Mean,
        }
    }
}

/// `max(0, ‖a - p‖ - ‖a - n‖ + margin)` of an anchor, a positive and a negative.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn triplet_margin_loss(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    options: TripletOptions,
) -> Result<Tensor> {
    under_autocast!("triplet_margin_loss": anchor, positive, negative =>
        triplet_margin_loss(anchor, positive, negative, options));
    check_broadcast("triplet_margin_loss", &[anchor, positive, negative])?;
    let TripletOptions {
        margin,
        p,
        eps,
        swap,
        reduction,
    } = options;
    ensure!(
        margin > 0.0,
        Value,
        "triplet_margin_loss: margin must be greater than 0, got {margin}"
    );
    let distance = |x: &Tensor, y: &Tensor| x.pairwise_distance(y, p, eps, false);
    triplet_margin_with_distance_loss(anchor, positive, negative, &distance, margin, swap, reduction)
}

/// [`triplet_margin_loss`] with a distance function of the caller's.
///
/// # Errors
/// Those of the distance.
pub fn triplet_margin_with_distance_loss(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    distance: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>,
    margin: f64,
    swap: bool,
    reduction: Reduction,
) -> Result<Tensor> {
    let near = distance(anchor, positive)?;
    let mut far = distance(anchor, negative)?;
    if swap {
        far = far.minimum(&distance(positive, negative)?)?;
    }
    reduction.apply(&hinge(&near.sub(&far)?.add(margin)?)?)
}

/// `Σ max(0, margin - x[y] + x[i])ᵖ/C` over the classes `i ≠ y`, times the weight of class `y`. `p` is 1 or 2.
///
/// # Shapes
/// `[batch, C]` and `[batch]`, or `[C]` and `[]` or `[1]`.
///
/// # Errors
/// `Shape` if the shapes don't fit; `Index` if a target is not a class; `Value` for another `p`.
pub fn multi_margin_loss(
    input: &Tensor,
    target: &Tensor,
    p: i64,
    margin: f64,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    under_autocast!("multi_margin_loss": input, weight =>
        multi_margin_loss(input, target, p, margin, weight, reduction));
    ensure!(
        matches!(p, 1 | 2),
        Value,
        "multi_margin_loss: p must be 1 or 2, got {p}"
    );
    ensure!(
        input.rank() <= 2 && target.rank() <= 1,
        Shape,
        "multi_margin_loss: expected an input [batch, classes] for targets [batch], or both without a batch, got {:?} and {:?}",
        input.shape(),
        target.shape()
    );
    let classes = input.size(-1)?;
    let batch = input.numel() / classes.max(1);
    ensure!(
        target.numel() == batch && weight.is_none_or(|w| w.shape() == [classes]),
        Shape,
        "multi_margin_loss: targets {:?} and weights {:?} for input {:?}",
        target.shape(),
        weight.map(Tensor::shape),
        input.shape()
    );
    let (x, index) = (input.reshape((batch, classes))?, target.reshape((batch, 1))?);
    let own = x
        .gather(1, &index)
        .map_err(|error| error.context("multi_margin_loss"))?;
    let mut losses = hinge(&x.sub(&own)?.add(margin)?)?;
    if p == 2 {
        losses = losses.square()?;
    }
    if let Some(weight) = weight {
        losses = losses.mul(&weight.gather(0, &index.reshape(batch)?)?.unsqueeze(1)?)?;
    }
    // The target's own class does not count.
    let class = Tensor::from_vec((0..classes as i64).collect(), (1, classes))?;
    let losses = kept(&losses, &index.ne(&class)?)?
        .sum_dim(1, false)?
        .div(classes as f64)?;
    let single = input.rank() < 2;
    reduction.apply(&if single && target.rank() == 0 {
        losses.reshape(())?
    } else {
        losses
    })
}

/// `Σ max(0, 1 - x[y] + x[i])/C` over the classes `y` that the target names (up to its first -1) and those `i` that it
/// does not.
///
/// # Shapes
/// `[batch, C]` twice, or `[C]` twice.
///
/// # Errors
/// `Shape` if the shapes differ; `Index` if a target is not a class.
pub fn multilabel_margin_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    under_autocast!("multilabel_margin_loss": input => multilabel_margin_loss(input, target, reduction));
    ensure!(
        input.shape() == target.shape() && input.rank() <= 2,
        Shape,
        "multilabel_margin_loss: expected an input and a target [batch, classes] or [classes] of one shape, got {:?} and {:?}",
        input.shape(),
        target.shape()
    );
    let classes = input.size(-1)?;
    let batch = input.numel() / classes.max(1);
    let labels = target.to_dtype(DType::I64)?.to_vec::<i64>()?;
    let (mut index, mut named, mut other) = (
        vec![0i64; labels.len()],
        vec![false; labels.len()],
        vec![true; labels.len()],
    );
    for row in 0..batch {
        let range = row * classes..(row + 1) * classes;
        for at in range.clone() {
            let label = labels[at];
            if label < 0 {
                break;
            }
            ensure!(
                (label as usize) < classes,
                Index,
                "multilabel_margin_loss: target {label} is not one of {classes} classes"
            );
            index[at] = label;
            named[at] = true;
            other[range.start + label as usize] = false;
        }
    }
    let x = input.reshape((batch, classes))?;
    let own = x.gather(1, &Tensor::from_vec(index, (batch, classes))?)?;
    let gaps = x.unsqueeze(1)?.sub(&own.unsqueeze(2)?)?.add(1.0)?;
    let named = Tensor::from_vec(named, (batch, classes, 1))?;
    let other = Tensor::from_vec(other, (batch, 1, classes))?;
    let losses = kept(&hinge(&gaps)?, &named.logical_and(&other)?)?;
    let losses = losses.sum_dim([1, 2], false)?.div(classes as f64)?;
    reduction.apply(&if input.rank() < 2 {
        losses.reshape(())?
    } else {
        losses
    })
}

/// `log(1 + e^(-y·x))` for targets -1 and 1.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn soft_margin_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    under_autocast!("soft_margin_loss": input, target => soft_margin_loss(input, target, reduction));
    check_broadcast("soft_margin_loss", &[input, target])?;
    reduction.apply(&target.mul(input)?.logsigmoid()?.neg()?)
}

/// `-(y·log σ(x) + (1 - y)·log σ(-x))`, weighted per class and averaged over the classes (the last dimension).
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn multilabel_soft_margin_loss(
    input: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    check_broadcast("multilabel_soft_margin_loss", &[input, target])?;
    let present = target.mul(&input.logsigmoid()?)?;
    let absent = target.neg()?.add(1)?.mul(&input.neg()?.logsigmoid()?)?;
    let losses = weighted(present.add(&absent)?.neg()?, weight)?;
    reduction.apply(&losses.mean_dim(-1, false)?)
}
