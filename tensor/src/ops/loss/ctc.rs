//! Connectionist temporal classification.

mod alignment;

use std::sync::Arc;

use flambeau_kernels::ctc::{CtcSample, ctc_loss as kernel};
use flambeau_kernels::mem::Buf;

use self::alignment::Alignment;
use super::Reduction;
use crate::amp::under_autocast;
use crate::ops::custom::{Function, apply};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, ensure, is_grad_enabled, profiler, with_float};

/// The losses with their gradients, which the forward pass computes along with them, and what it takes to make the
/// gradients again.
struct Ctc {
    /// `[batch]`.
    losses: Tensor,
    /// The gradient of each sample's loss, `[time, batch, classes]`.
    grad: Tensor,
    alignment: Alignment,
}

impl Function for Ctc {
    fn name(&self) -> &'static str {
        "ctc_loss"
    }

    fn forward(&self, _: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.losses.clone()])
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &[Tensor],
        grads: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let ([log_probs], [Some(grad)]) = (inputs, grads) else {
            return Ok(vec![None]);
        };
        let of_losses = if is_grad_enabled() {
            self.alignment.gradient(log_probs)?
        } else {
            self.grad.clone()
        };
        Ok(vec![Some(of_losses.mul(&grad.reshape((
            1,
            grad.numel(),
            1,
        ))?)?)])
    }
}

/// Options of [`ctc_loss`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, Default)]
pub struct CtcOptions {
    /// The class of the blank.
    pub blank: usize,
    /// What becomes of the samples' losses; the mean divides each by its target's length first.
    pub reduction: Reduction,
    /// Whether infinite losses, of targets too long for their input, and their gradients become 0.
    pub zero_infinity: bool,
}

/// The negative logarithm of the probability of all alignments of a target with a longer input.
///
/// # Shapes
/// `log_probs` `[time, batch, classes]`, `targets` `[batch, longest]` or all joined in one dimension, one length of input
/// and target per sample; or without the batch.
///
/// # Errors
/// `Shape` if the sizes don't fit; `Value` for a length that leaves the input or the targets; `Index` for a target that
/// is no class.
pub fn ctc_loss(
    log_probs: &Tensor,
    targets: &Tensor,
    input_lengths: &[i64],
    target_lengths: &[i64],
    options: CtcOptions,
) -> Result<Tensor> {
    under_autocast!("ctc_loss": log_probs => ctc_loss(log_probs, targets, input_lengths, target_lengths, options));
    let batched = log_probs.rank() == 3;
    ensure!(
        batched || log_probs.rank() == 2,
        Shape,
        "ctc_loss: expected log_probs of 2 or 3 dimensions, got {:?}",
        log_probs.shape()
    );
    let input = if batched {
        log_probs.clone()
    } else {
        log_probs.unsqueeze(1)?
    };
    let dtype = input.dtype();
    if dtype.is_half() {
        let wide = log_probs.to_dtype(DType::F32)?;
        return ctc_loss(&wide, targets, input_lengths, target_lengths, options)?.to_dtype(dtype);
    }
    let sizes @ [time, batch, classes] = [input.shape()[0], input.shape()[1], input.shape()[2]];
    ensure!(
        input_lengths.len() == batch && target_lengths.len() == batch,
        Shape,
        "ctc_loss: {} input lengths and {} target lengths for a batch of {batch}",
        input_lengths.len(),
        target_lengths.len()
    );
    ensure!(
        options.blank < classes,
        Value,
        "ctc_loss: the blank {} is not one of {classes} classes",
        options.blank
    );
    let labels = targets.to_dtype(DType::I64)?.to_vec::<i64>()?;
    let mut samples = Vec::with_capacity(batch);
    let mut joined = 0;
    for (n, (&steps, &length)) in input_lengths.iter().zip(target_lengths).enumerate() {
        ensure!(
            (0..=time as i64).contains(&steps) && length >= 0,
            Value,
            "ctc_loss: sample {n}: input length {steps} of {time} steps, target length {length}"
        );
        let length = length as usize;
        let (start, limit) = if targets.rank() == 2 {
            let longest = targets.shape()[1];
            (n * longest, longest)
        } else {
            (joined, labels.len().saturating_sub(joined))
        };
        joined += length;
        let target = labels.get(start..start + length).filter(|_| length <= limit);
        let Some(target) = target else {
            crate::bail!(
                Value,
                "ctc_loss: sample {n}: target length {length} leaves targets {:?}",
                targets.shape()
            )
        };
        if let Some(bad) = target.iter().find(|t| !(0..classes as i64).contains(t)) {
            crate::bail!(Index, "ctc_loss: target {bad} is not one of {classes} classes");
        }
        samples.push(CtcSample {
            target,
            steps: steps as usize,
        });
    }
    let x = input.read();
    let tracked = x.is_tracked();
    let data = x.value.contiguous()?;
    let (losses, grad) = with_float!("ctc_loss", dtype, T => {
        profiler::takes_memory();
        let mut grad = Buf::<T>::take(if tracked { data.numel() } else { 0 });
        let mut losses = Buf::<T>::take(batch);
        kernel(
            data.data::<T>()?, sizes, &samples, options.blank, &mut losses, tracked.then_some(&mut grad[..]),
        );
        if options.zero_infinity {
            for (n, loss) in losses.iter_mut().enumerate().filter(|(_, loss)| loss.is_infinite()) {
                *loss = 0.0;
                if tracked {
                    for t in 0..time {
                        grad[(t * batch + n) * classes..][..classes].fill(0.0);
                    }
                }
            }
        }
        let shape = if tracked { data.shape.clone() } else { Shape::new(&[0]) };
        (Value::new(losses, dtype, Shape::new(&[batch])), Value::new(grad, dtype, shape))
    });
    let mut losses = Tensor::from_value(losses);
    if tracked {
        let function = Ctc {
            alignment: Alignment::new(&samples, options.blank, options.zero_infinity),
            grad: Tensor::from_value(grad),
            losses,
        };
        losses = apply(Arc::new(function), &[&input])?.remove(0);
    }
    match options.reduction {
        Reduction::Mean => {
            let lengths: Vec<f64> = target_lengths.iter().map(|&n| n.max(1) as f64).collect();
            losses
                .div(&Tensor::from_vec(lengths, batch)?.to_dtype(dtype)?)?
                .mean()
        }
        Reduction::Sum => losses.sum(),
        Reduction::None if batched => Ok(losses),
        Reduction::None => losses.reshape(()),
    }
}
