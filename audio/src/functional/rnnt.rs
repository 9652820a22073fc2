//! The loss of transducers: the negative logarithm of the probability of all ways to say a text while a sound goes on
//! ("Sequence transduction with recurrent neural networks", Graves, 2012, arXiv:1211.3711).
//!
//! At `(t, u)`, `u` labels have been said by moment `t`. A blank goes on to `t + 1`, the next label to `u + 1`. With the
//! logarithms α of the probability of having come to a place and β of going on from it to the end, a step of log
//! probability `p` has the gradient `-exp(α + p + β' - log P)`.

use std::sync::Arc;

use flambeau_tensor::ops::custom::{Function, apply};
use flambeau_tensor::ops::loss::Reduction;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, is_grad_enabled};

use super::check_float;

/// Options of [`rnnt_loss`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RnntOptions {
    /// The class of the blank; the last one by default.
    pub blank: Option<usize>,
    /// The largest gradient of a logit, if there is one.
    pub clamp: Option<f64>,
    /// What becomes of the samples' losses.
    pub reduction: Reduction,
    /// Whether the logits still have to become logarithms of probabilities.
    pub fused_log_softmax: bool,
}

impl Default for RnntOptions {
    fn default() -> Self {
        RnntOptions {
            blank: None,
            clamp: None,
            reduction: Reduction::Mean,
            fused_log_softmax: true,
        }
    }
}

/// The losses with their gradients, which are computed along with them.
struct Transducer {
    /// `[batch]`.
    losses: Tensor,
    /// `[batch, time, positions, classes]`, of each sample's loss.
    grad: Tensor,
}

impl Function for Transducer {
    fn name(&self) -> &'static str {
        "rnnt_loss"
    }

    fn forward(&self, _: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.losses.clone()])
    }

    fn backward(&self, _: &[Tensor], _: &[Tensor], grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let Some(grad) = &grads[0] else {
            return Ok(vec![None]);
        };
        if is_grad_enabled() {
            bail!(Unsupported, "rnnt_loss: gradients of its gradients")
        }
        let of_each = grad.reshape((grad.numel(), 1, 1, 1))?;
        Ok(vec![Some(self.grad.mul(&of_each)?)])
    }
}

/// `log(exp(a) + exp(b))`.
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + (low - high).exp().ln_1p()
}

/// One sample's `[time, positions, classes]`, of which only `steps` and one more position than labels are used.
struct Lattice<'a> {
    log_probs: &'a [f64],
    classes: usize,
    /// Positions of a moment in `log_probs`.
    stride: usize,
    steps: usize,
    labels: &'a [i64],
    blank: usize,
}

impl Lattice<'_> {
    fn width(&self) -> usize {
        self.labels.len() + 1
    }

    /// Where the class's log probability is.
    fn at(&self, t: usize, u: usize, class: usize) -> usize {
        (t * self.stride + u) * self.classes + class
    }

    fn blank(&self, t: usize, u: usize) -> f64 {
        self.log_probs[self.at(t, u, self.blank)]
    }

    fn label(&self, t: usize, u: usize) -> f64 {
        self.log_probs[self.at(t, u, self.labels[u] as usize)]
    }

    fn alphas(&self) -> Vec<f64> {
        let width = self.width();
        let mut alphas = vec![f64::NEG_INFINITY; self.steps * width];
        alphas[0] = 0.0;
        for t in 0..self.steps {
            for u in 0..width {
                let mut alpha = alphas[t * width + u];
                if t > 0 {
                    alpha = log_add(alpha, alphas[(t - 1) * width + u] + self.blank(t - 1, u));
                }
                if u > 0 {
                    alpha = log_add(alpha, alphas[t * width + u - 1] + self.label(t, u - 1));
                }
                alphas[t * width + u] = alpha;
            }
        }
        alphas
    }

    fn betas(&self) -> Vec<f64> {
        let (steps, width) = (self.steps, self.width());
        let mut betas = vec![f64::NEG_INFINITY; steps * width];
        for t in (0..steps).rev() {
            for u in (0..width).rev() {
                betas[t * width + u] = log_add(
                    self.after_blank(&betas, t, u) + self.blank(t, u),
                    match u + 1 < width {
                        true => betas[t * width + u + 1] + self.label(t, u),
                        false => f64::NEG_INFINITY,
                    },
                );
            }
        }
        betas
    }

    /// β where a blank leads to: the last one of all ends the sound.
    fn after_blank(&self, betas: &[f64], t: usize, u: usize) -> f64 {
        let width = self.width();
        match t + 1 < self.steps {
            true => betas[(t + 1) * width + u],
            false if u + 1 == width => 0.0,
            false => f64::NEG_INFINITY,
        }
    }

    /// Writes the gradient of the loss; returns the loss. With `fused`, the gradient is that of the logits.
    fn differentiate(&self, grad: &mut [f64], fused: bool, clamp: Option<f64>) -> f64 {
        let (alphas, betas) = (self.alphas(), self.betas());
        let (width, total) = (self.width(), betas[0]);
        for t in 0..self.steps {
            for u in 0..width {
                let here = alphas[t * width + u] - total;
                let from = self.at(t, u, 0);
                let grad = &mut grad[from..from + self.classes];
                if fused {
                    let passed = (here + betas[t * width + u]).exp();
                    let log_probs = &self.log_probs[from..from + self.classes];
                    for (g, p) in grad.iter_mut().zip(log_probs) {
                        *g = passed * p.exp();
                    }
                }
                grad[self.blank] -= (here + self.blank(t, u) + self.after_blank(&betas, t, u)).exp();
                if u + 1 < width {
                    let next = betas[t * width + u + 1];
                    grad[self.labels[u] as usize] -= (here + self.label(t, u) + next).exp();
                }
                if let Some(most) = clamp {
                    grad.iter_mut().for_each(|g| *g = g.clamp(-most, most));
                }
            }
        }
        -total
    }
}

/// The loss of a transducer (`torchaudio.functional.rnnt_loss`), computed in float64.
///
/// # Shapes
/// `logits` `[batch, time, 1 + longest, classes]`, `targets` `[batch, longest]`, one length of input and target for each
/// sample → `[]`, or `[batch]` without reduction.
///
/// # Errors
/// `Shape` if sizes don't fit; `Index` for a target that is no class; `Value` for lengths beyond the tensors', an input of no
/// length, or a clamp that is not positive; `DType` unless logits are floating point numbers. Gradients of gradients are
/// `Unsupported`.
pub fn rnnt_loss(
    logits: &Tensor,
    targets: &Tensor,
    logit_lengths: &[usize],
    target_lengths: &[usize],
    options: &RnntOptions,
) -> Result<Tensor> {
    let op = "rnnt_loss";
    check_float(op, logits)?;
    let (&[batch, time, positions, classes], &[samples, longest]) = (logits.shape(), targets.shape()) else {
        bail!(
            Shape,
            "{op}: expected logits [batch, time, 1 + longest, classes] and targets [batch, longest], got {:?} and {:?}",
            logits.shape(),
            targets.shape()
        )
    };
    ensure!(
        samples == batch
            && positions == longest + 1
            && logit_lengths.len() == batch
            && target_lengths.len() == batch
            && classes > 0,
        Shape,
        "{op}: logits {:?}, targets {:?}, {} and {} lengths",
        logits.shape(),
        targets.shape(),
        logit_lengths.len(),
        target_lengths.len()
    );
    let blank = options.blank.unwrap_or(classes - 1);
    ensure!(
        blank < classes,
        Index,
        "{op}: the blank is class {blank} of {classes}"
    );
    ensure!(
        options.clamp.is_none_or(|clamp| clamp > 0.0),
        Value,
        "{op}: expected a positive clamp, got {:?}",
        options.clamp
    );
    let wide = logits.detach().to_dtype(DType::F64)?;
    let log_probs = match options.fused_log_softmax {
        true => wide.log_softmax(-1)?,
        false => wide,
    }
    .to_vec_f64()?;
    let labels = targets.to_dtype(DType::I64)?.to_vec::<i64>()?;
    if let Some(label) = labels
        .iter()
        .find(|&&label| !(0..classes as i64).contains(&label))
    {
        bail!(Index, "{op}: target {label} is not one of {classes} classes");
    }
    let size = time * positions * classes;
    let mut grad = vec![0.0; batch * size];
    let mut losses = Vec::with_capacity(batch);
    for (sample, (&steps, &length)) in logit_lengths.iter().zip(target_lengths).enumerate() {
        ensure!(
            (1..=time).contains(&steps) && length <= longest,
            Value,
            "{op}: sample {sample}: {steps} of {time} steps, {length} of {longest} targets"
        );
        let lattice = Lattice {
            log_probs: &log_probs[sample * size..][..size],
            classes,
            stride: positions,
            steps,
            labels: &labels[sample * longest..][..length],
            blank,
        };
        let grad = &mut grad[sample * size..][..size];
        losses.push(lattice.differentiate(grad, options.fused_log_softmax, options.clamp));
    }
    let transducer = Transducer {
        losses: Tensor::from_vec(losses, batch)?.to_dtype(logits.dtype())?,
        grad: Tensor::from_vec(grad, logits.shape())?.to_dtype(logits.dtype())?,
    };
    let losses = apply(Arc::new(transducer), &[logits])?.swap_remove(0);
    match options.reduction {
        Reduction::None => Ok(losses),
        Reduction::Mean => losses.mean(),
        Reduction::Sum => losses.sum(),
    }
}
