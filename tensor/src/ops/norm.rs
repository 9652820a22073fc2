//! Normalisation: batch, instance, group, layer and RMS norm (`nn.functional.batch_norm`, …).
//!
//! All compute `y = (x - mean)·rstd·weight + bias` with `rstd = 1/√(var + eps)`; they differ in which elements share a mean
//! and a variance, and which share a weight. They are one primitive with fused kernels forward and backward, because
//! the composite would pass over the data six times.

use flambeau_kernels::mem::Buf;
use flambeau_kernels::norm;

use crate::graph::{Op, Saved, record};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, no_grad, with_float};

mod batch;
mod gradient;

pub use batch::{BatchNormOptions, RunningStats, batch_norm, batch_norm_activated, instance_norm};
pub use gradient::NormGrads;

/// Which elements share statistics, in the view of the input that each kind takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// One mean and variance per channel of `[batch, channels, inner]`, of the batch itself.
    Batch([usize; 3]),
    /// The same with given means and variances.
    BatchInference([usize; 3]),
    /// One mean and variance per sample and group of channels of `[batch, channels, inner]`.
    Group([usize; 3], usize),
    /// One mean and variance per row of `[rows, n]`.
    Layer([usize; 2]),
    /// One root mean square per row of `[rows, n]`; no mean.
    Rms([usize; 2]),
}

/// A recorded normalisation.
#[derive(Clone, Debug)]
pub struct NormOp {
    /// Which elements share statistics.
    pub kind: NormKind,
    /// The input.
    pub input: Saved,
    /// The weight, if there is one.
    pub weight: Option<Saved>,
    /// Whether there is a bias.
    pub has_bias: bool,
    /// Added to variances.
    pub eps: f64,
    /// Means; not for `Rms`.
    mean: Value,
    /// Reciprocal standard deviations, for `BatchInference` variances.
    rstd: Value,
    /// What was done to the result in the same pass.
    clamped: Option<Clamped>,
}

/// Limits of the result, and what was added to the scaled input of each channel before.
#[derive(Clone, Debug)]
struct Clamped {
    limits: [f64; 2],
    shift: Value,
}

/// The operation's name.
pub(crate) fn name(op: &NormOp) -> &'static str {
    match op.kind {
        NormKind::Batch(_) | NormKind::BatchInference(_) => "batch_norm",
        NormKind::Group(..) => "group_norm",
        NormKind::Layer(_) => "layer_norm",
        NormKind::Rms(_) => "rms_norm",
    }
}

/// How a composite sees the tensors of a normalisation.
#[derive(Clone, Debug)]
pub struct NormView {
    /// The input.
    pub input: Vec<usize>,
    /// The dimensions over which statistics are taken.
    pub reduced: Vec<isize>,
    /// Weight and bias, so that they broadcast.
    pub weight: Vec<usize>,
}

impl NormOp {
    /// The views in which the formula is plain broadcasting.
    pub fn view(&self) -> NormView {
        match self.kind {
            NormKind::Batch([b, c, i]) | NormKind::BatchInference([b, c, i]) => NormView {
                input: vec![b, c, i],
                reduced: vec![0, 2],
                weight: vec![1, c, 1],
            },
            NormKind::Group([b, c, i], groups) => NormView {
                input: vec![b, groups, c / groups, i],
                reduced: vec![2, 3],
                weight: vec![1, groups, c / groups, 1],
            },
            NormKind::Layer([rows, n]) | NormKind::Rms([rows, n]) => NormView {
                input: vec![rows, n],
                reduced: vec![1],
                weight: vec![1, n],
            },
        }
    }

    /// Where the slope of the activation in the same pass is 0, in the view of the input, if there is one.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn stopped(&self) -> Result<Option<Tensor>> {
        let Some(Clamped {
            limits: [low, high],
            shift,
        }) = &self.clamped
        else {
            return Ok(None);
        };
        no_grad(|| {
            let NormView {
                input,
                weight: per_channel,
                ..
            } = self.view();
            let tensor = |value: &Value| Tensor::from_value(value.clone()).reshape(&per_channel[..]);
            let mut scale = tensor(&self.rstd)?;
            if let Some(weight) = &self.weight {
                scale = scale.mul(&tensor(&weight.value)?)?;
            }
            let x = Tensor::from_value(self.input.value.clone()).reshape(&input[..])?;
            let y = x.mul(&scale)?.add(&tensor(shift)?)?;
            // Limits in the type in which they were kept.
            let [low, high] = [low, high].map(|&limit| match y.dtype() {
                DType::F32 => f64::from(limit as f32),
                _ => limit,
            });
            y.le(low)?.logical_or(&y.ge(high)?).map(Some)
        })
    }

    /// The given means and variances of `BatchInference`.
    pub fn statistics(&self) -> [Tensor; 2] {
        [
            Tensor::from_value(self.mean.clone()),
            Tensor::from_value(self.rstd.clone()),
        ]
    }
}

/// The results of a forward kernel.
struct Normalised {
    out: Value,
    /// Means; of `BatchInference` those given.
    mean: Value,
    /// Reciprocal standard deviations; of `BatchInference` the variances given.
    rstd: Value,
    /// Biased variances, of `Batch` only.
    var: Option<Value>,
    clamped: Option<Clamped>,
}

/// `x` normalised, everything in `float32` or `float64`.
fn compute(
    kind: NormKind,
    x: &Value,
    weight: Option<&Value>,
    bias: Option<&Value>,
    given: Option<[&Value; 2]>,
    eps: f64,
    limits: Option<[f64; 2]>,
) -> Result<Normalised> {
    let x = x.contiguous()?;
    let dtype = x.dtype;
    let statistics = match kind {
        NormKind::Batch([_, c, _]) | NormKind::BatchInference([_, c, _]) => c,
        NormKind::Group([b, ..], groups) => b * groups,
        NormKind::Layer([rows, _]) | NormKind::Rms([rows, _]) => rows,
    };
    with_float!("normalisation", dtype, T => {
        let data = x.data::<T>()?;
        let w = weight.map(|w| w.data::<T>()).transpose()?;
        let b = bias.map(|b| b.data::<T>()).transpose()?;
        if let Some([mean, var]) = given {
            let (m, v) = (mean.data::<T>()?, var.data::<T>()?);
            let NormKind::BatchInference(shape) = kind else {
                bail!(Value, "normalisation: only batch norm takes statistics")
            };
            let out = Value::build::<T>(dtype, x.shape.clone(), |out| {
                norm::batch_norm_inference(data, shape, m, v, w, b, eps, out)
            })?;
            return Ok(Normalised { out, mean: mean.clone(), rstd: var.clone(), var: None, clamped: None });
        }
        let [mut mean, mut rstd, mut var] = [statistics; 3].map(Buf::<T>::take);
        let out = Value::build::<T>(dtype, x.shape.clone(), |out| match kind {
            _ if data.is_empty() => {
                for statistic in [&mut mean, &mut rstd, &mut var] {
                    statistic.fill(T::NAN);
                }
            }
            NormKind::Batch(shape) | NormKind::BatchInference(shape) => {
                let limits = limits.map(|[low, high]| norm::Clamp { low: low as T, high: high as T });
                norm::batch_norm_train(data, shape, w, b, eps, limits, out, &mut mean, &mut var, &mut rstd)
            }
            NormKind::Group(shape, groups) => {
                norm::group_norm(data, shape, groups, w, b, eps, out, &mut mean, &mut rstd)
            }
            NormKind::Layer([_, n]) => norm::layer_norm(data, n, w, b, eps, out, &mut mean, &mut rstd),
            NormKind::Rms([_, n]) => {
                mean.fill(0.0);
                norm::rms_norm(data, n, w, eps, out, &mut rstd)
            }
        })?;
        let wrap = |buffer| Value::new(buffer, dtype, Shape::new(&[statistics]));
        let clamped = limits.map(|limits| {
            let mut shift = Buf::<T>::take(statistics);
            shift.copy_from_slice(&norm::batch_norm_shift(&mean, &rstd, w, b));
            Clamped { limits, shift: wrap(shift) }
        });
        let var = matches!(kind, NormKind::Batch(_)).then(|| wrap(var));
        Ok(Normalised { out, mean: wrap(mean), rstd: wrap(rstd), var, clamped })
    })
}

/// Checks types, computes and records. Of batch norm in training also the means and biased variances.
fn normalise(
    op: &str,
    kind: NormKind,
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    given: Option<[&Tensor; 2]>,
    eps: f64,
    limits: Option<[f64; 2]>,
) -> Result<(Tensor, Option<[Tensor; 2]>)> {
    let dtype = x.dtype();
    ensure!(
        dtype.is_float(),
        DType,
        "{op}: expected a floating point tensor, got {dtype}"
    );
    // Half-width floats are computed in float32, their statistics and weights may be float32 already.
    let full = if dtype.is_half() { DType::F32 } else { dtype };
    for (what, tensor) in [("weight", weight), ("bias", bias)] {
        if let Some(tensor) = tensor {
            let got = tensor.dtype();
            ensure!(
                got == dtype || got == full,
                DType,
                "{op}: expected a {what} of {dtype}, got {got}"
            );
        }
    }
    let cast = |v: &Value| v.cast(full);
    let (a, w, b) = (x.read(), weight.map(Tensor::read), bias.map(Tensor::read));
    let value_of = |s: &Option<Saved>| s.as_ref().map(|s| cast(&s.value)).transpose();
    let (wv, bv) = (value_of(&w)?, value_of(&b)?);
    let given = match given {
        Some([mean, var]) => Some([cast(&mean.value())?, cast(&var.value())?]),
        None => None,
    };
    let given = given.as_ref().map(|[mean, var]| [mean, var]);
    let Normalised {
        out,
        mean,
        rstd,
        var,
        clamped,
    } = compute(
        kind,
        &cast(&a.value)?,
        wv.as_ref(),
        bv.as_ref(),
        given,
        eps,
        limits,
    )?;
    let mut inputs = vec![&a];
    inputs.extend(&w);
    inputs.extend(&b);
    let y = record(out.cast(dtype)?, &inputs, |_| {
        Op::Norm(NormOp {
            kind,
            input: a.clone(),
            weight: w.clone(),
            has_bias: b.is_some(),
            eps,
            mean: mean.clone(),
            rstd: rstd.clone(),
            clamped: clamped.clone(),
        })
    });
    Ok((y, var.map(|var| [mean, var].map(Tensor::from_value))))
}

/// `[batch, channels, inner]` of an input with at least two dimensions.
fn channels(op: &str, x: &Tensor) -> Result<[usize; 3]> {
    let shape = x.shape();
    ensure!(
        shape.len() >= 2,
        Shape,
        "{op}: expected an input of at least 2 dimensions, got {shape:?}"
    );
    Ok([shape[0], shape[1], shape[2..].iter().product()])
}

fn check_per_channel(op: &str, channels: usize, tensors: [(&str, Option<&Tensor>); 4]) -> Result<()> {
    for (what, tensor) in tensors {
        if let Some(tensor) = tensor {
            ensure!(
                tensor.shape() == [channels],
                Shape,
                "{op}: expected a {what} [{channels}], got {:?}",
                tensor.shape()
            );
        }
    }
    Ok(())
}

/// Group norm (Wu & He, 2018): the channels of a group of a sample normalised together over space.
///
/// # Shapes
/// `[batch, channels, …]`, weight and bias `[channels]`.
///
/// # Errors
/// `Shape` if ranks or sizes do not fit or the groups do not divide the channels; `Value` for a single value per group;
/// `DType` unless the types are floating point ones and agree.
pub fn group_norm(
    x: &Tensor,
    groups: usize,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let op = "group_norm";
    let shape = channels(op, x)?;
    let [batch, channels, inner] = shape;
    ensure!(
        groups > 0 && channels % groups == 0,
        Shape,
        "{op}: {channels} channels of {:?} do not divide into {groups} groups",
        x.shape()
    );
    let affine = [("weight", weight), ("bias", bias), ("", None), ("", None)];
    check_per_channel(op, channels, affine)?;
    ensure!(
        batch * (channels / groups) * inner != 1,
        Value,
        "{op}: expected more than 1 value per channel, got an input {:?} with {groups} groups",
        x.shape()
    );
    Ok(normalise(
        op,
        NormKind::Group(shape, groups),
        x,
        weight,
        bias,
        None,
        eps,
        None,
    )?
    .0)
}

/// `[rows, n]` of an input whose trailing dimensions are `normalized_shape`; weight and bias flattened.
fn rows(
    op: &str,
    x: &Tensor,
    normalized_shape: &[usize],
    affine: [Option<&Tensor>; 2],
) -> Result<([usize; 2], [Option<Tensor>; 2])> {
    let shape = x.shape();
    ensure!(
        !normalized_shape.is_empty() && shape.ends_with(normalized_shape),
        Shape,
        "{op}: expected an input […, {normalized_shape:?}], got {shape:?}"
    );
    let n = normalized_shape.iter().product::<usize>();
    let mut flat = [None, None];
    for ((flat, tensor), what) in flat.iter_mut().zip(affine).zip(["weight", "bias"]) {
        if let Some(tensor) = tensor {
            ensure!(
                tensor.shape() == normalized_shape,
                Shape,
                "{op}: expected a {what} {normalized_shape:?}, got {:?}",
                tensor.shape()
            );
            *flat = Some(if tensor.rank() == 1 {
                tensor.clone()
            } else {
                tensor.reshape(n)?
            });
        }
    }
    let rows = shape[..shape.len() - normalized_shape.len()].iter().product();
    Ok(([rows, n], flat))
}

/// Layer norm (Ba et al., 2016): the trailing dimensions `normalized_shape` normalised together.
///
/// # Errors
/// `Shape` if the input does not end in `normalized_shape` or weight or bias have another shape; `DType` unless the types
/// are floating point ones and agree.
pub fn layer_norm(
    x: &Tensor,
    normalized_shape: &[usize],
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let (shape, [weight, bias]) = rows("layer_norm", x, normalized_shape, [weight, bias])?;
    let kind = NormKind::Layer(shape);
    Ok(normalise(
        "layer_norm",
        kind,
        x,
        weight.as_ref(),
        bias.as_ref(),
        None,
        eps,
        None,
    )?
    .0)
}

/// RMS norm (Zhang & Sennrich, 2019): the trailing dimensions `normalized_shape` divided by their root mean square.
/// Without `eps` the smallest step of the type at 1 is used.
///
/// # Errors
/// As [`layer_norm`].
pub fn rms_norm(
    x: &Tensor,
    normalized_shape: &[usize],
    weight: Option<&Tensor>,
    eps: Option<f64>,
) -> Result<Tensor> {
    let (shape, [weight, _]) = rows("rms_norm", x, normalized_shape, [weight, None])?;
    let eps = eps.unwrap_or(match x.dtype() {
        DType::F64 => f64::EPSILON,
        _ => f32::EPSILON as f64, // half-width floats are computed in float32, with its epsilon
    });
    let kind = NormKind::Rms(shape);
    Ok(normalise("rms_norm", kind, x, weight.as_ref(), None, None, eps, None)?.0)
}

#[cfg(test)]
mod tests;
