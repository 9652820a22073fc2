//! Losses of real-valued predictions.

use super::{Reduction, check_broadcast};
use crate::amp::under_autocast;
use crate::{Result, Tensor, bail, ensure};

/// `|x - y|`.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn l1_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    under_autocast!("l1_loss": input, target => l1_loss(input, target, reduction));
    check_broadcast("l1_loss", &[input, target])?;
    reduction.apply(&input.sub(target)?.abs()?)
}

/// `(x - y)²`.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn mse_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    under_autocast!("mse_loss": input, target => mse_loss(input, target, reduction));
    check_broadcast("mse_loss", &[input, target])?;
    reduction.apply(&input.sub(target)?.square()?)
}

/// `d²/2` for `d = |x - y|` below `delta`, above it the line `delta·(d - delta/2)`.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast; `Value` unless `delta` is positive.
pub fn huber_loss(input: &Tensor, target: &Tensor, delta: f64, reduction: Reduction) -> Result<Tensor> {
    under_autocast!("huber_loss": input, target => huber_loss(input, target, delta, reduction));
    check_broadcast("huber_loss", &[input, target])?;
    ensure!(
        delta > 0.0,
        Value,
        "huber_loss: delta must be positive, got {delta}"
    );
    // Both branches are m·(d - m/2) with m the difference d cut off at ±delta.
    let distance = input.sub(target)?;
    let capped = distance.clamp(Some((-delta).into()), Some(delta.into()))?;
    reduction.apply(&capped.mul(&distance.sub(&capped.mul(0.5)?)?)?)
}

/// [`huber_loss`] divided by `beta`; [`l1_loss`] where `beta` is 0.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast; `Value` if `beta` is negative.
pub fn smooth_l1_loss(input: &Tensor, target: &Tensor, beta: f64, reduction: Reduction) -> Result<Tensor> {
    under_autocast!("smooth_l1_loss": input, target => smooth_l1_loss(input, target, beta, reduction));
    check_broadcast("smooth_l1_loss", &[input, target])?;
    ensure!(
        beta >= 0.0,
        Value,
        "smooth_l1_loss: beta must not be negative, got {beta}"
    );
    if beta == 0.0 {
        return l1_loss(input, target, reduction);
    }
    reduction.apply(&huber_loss(input, target, beta, Reduction::None)?.div(beta)?)
}

/// The negative log-likelihood of a Gaussian with mean `input` and variance `var` (raised to at least `eps`), without the
/// constant unless `full`.
///
/// # Shapes
/// `var` broadcasts to `input`, or is `input` without its last dimension.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast; `Value` for a negative variance.
pub fn gaussian_nll_loss(
    input: &Tensor,
    target: &Tensor,
    var: &Tensor,
    full: bool,
    eps: f64,
    reduction: Reduction,
) -> Result<Tensor> {
    if var.lt(0.0)?.any()?.item::<bool>()? {
        let least = var.detach().to_vec_f64()?.into_iter().fold(0.0, f64::min);
        bail!(
            Value,
            "gaussian_nll_loss: the variance can't be negative, got {least}"
        );
    }
    let shape = input.shape();
    let var = if var.shape() != shape && shape.split_last().is_some_and(|(_, lead)| lead == var.shape()) {
        var.unsqueeze(-1)?
    } else {
        var.clone()
    };
    check_broadcast("gaussian_nll_loss", &[input, target, &var])?;
    // As in PyTorch, the gradient does not see that a small variance is raised.
    let plain = var.detach();
    let var = var.add(&plain.clamp_min(eps)?.sub(&plain)?)?;
    let mut losses = var
        .log()?
        .add(&input.sub(target)?.square()?.div(&var)?)?
        .mul(0.5)?;
    if full {
        losses = losses.add(0.5 * std::f64::consts::TAU.ln())?;
    }
    reduction.apply(&losses)
}

/// The negative log-likelihood of counts `target` under Poisson distributions with rate `eˣ` (with `log_input`) or `x`;
/// `full` adds Stirling's approximation of `log(target!)`.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn poisson_nll_loss(
    input: &Tensor,
    target: &Tensor,
    log_input: bool,
    full: bool,
    eps: f64,
    reduction: Reduction,
) -> Result<Tensor> {
    under_autocast!("poisson_nll_loss": input, target =>
        poisson_nll_loss(input, target, log_input, full, eps, reduction));
    check_broadcast("poisson_nll_loss", &[input, target])?;
    let mut losses = if log_input {
        input.exp()?.sub(&target.mul(input)?)?
    } else {
        input.sub(&target.mul(&input.add(eps)?.log()?)?)?
    };
    if full {
        let small = target.le(1.0)?;
        let safe = target.masked_fill(&small, 2i64)?;
        let stirling = safe.mul(&safe.log()?)?.sub(&safe)?;
        let stirling = stirling.add(&safe.mul(std::f64::consts::TAU)?.log()?.mul(0.5)?)?;
        losses = losses.add(&stirling.masked_fill(&small, 0.0)?)?;
    }
    reduction.apply(&losses)
}

/// `y·(log y - x)`, or `eʸ·(y - x)` if the target is a logarithm as well; 0 where the probability is.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn kl_div(input: &Tensor, target: &Tensor, log_target: bool, reduction: Reduction) -> Result<Tensor> {
    under_autocast!("kl_div": input, target => kl_div(input, target, log_target, reduction));
    check_broadcast("kl_div", &[input, target])?;
    let losses = if log_target {
        target.exp()?.mul(&target.sub(input)?)?
    } else {
        target.xlogy(target)?.sub(&target.mul(input)?)?
    };
    reduction.apply(&losses)
}
