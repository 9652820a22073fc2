//! Batch and instance norm, and the statistics that they keep.

use flambeau_kernels::mem::Buf;
use flambeau_kernels::reduce::var_mean;
use flambeau_kernels::view::View;

use super::{NormKind, channels, check_per_channel, normalise};
use crate::ops::unary::{self, Unary};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, no_grad, trace, with_float};

/// Running statistics of a batch or instance norm, one value per channel each.
#[derive(Clone, Copy, Debug)]
pub struct RunningStats<'a> {
    /// Means.
    pub mean: &'a Tensor,
    /// Variances, unbiased.
    pub var: &'a Tensor,
}

impl RunningStats<'_> {
    /// `running = (1 - momentum)·running + momentum·batch`, in place. `var` is biased and of `n` elements; the running
    /// variance is unbiased.
    fn update(&self, [mean, var]: &[Tensor; 2], n: usize, momentum: f64) -> Result<()> {
        let unbiased = var.mul(n as f64 / (n as f64 - 1.0))?;
        no_grad(|| {
            for (running, batch) in [(self.mean, mean), (self.var, &unbiased)] {
                // Rounded once, also where they are of a half type.
                let wide = if running.dtype().is_half() {
                    DType::F32
                } else {
                    running.dtype()
                };
                let kept = running.to_dtype(wide)?.mul(1.0 - momentum)?;
                running.copy_(&batch.to_dtype(wide)?.mul(momentum)?.add(&kept)?)?;
            }
            Ok(())
        })
    }
}

/// What a batch or instance norm needs besides the input; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormOptions<'a> {
    /// Running statistics: read in inference, updated in training.
    pub running: Option<RunningStats<'a>>,
    /// Factor per channel.
    pub weight: Option<&'a Tensor>,
    /// Summand per channel.
    pub bias: Option<&'a Tensor>,
    /// How much of the running statistics a batch replaces.
    pub momentum: f64,
    /// Added to variances.
    pub eps: f64,
}

impl Default for BatchNormOptions<'_> {
    fn default() -> Self {
        BatchNormOptions {
            running: None,
            weight: None,
            bias: None,
            momentum: 0.1,
            eps: 1e-5,
        }
    }
}

impl BatchNormOptions<'_> {
    fn check(&self, op: &str, channels: usize) -> Result<()> {
        check_per_channel(
            op,
            channels,
            [
                ("running mean", self.running.map(|r| r.mean)),
                ("running variance", self.running.map(|r| r.var)),
                ("weight", self.weight),
                ("bias", self.bias),
            ],
        )
    }

    /// With the running statistics.
    fn inference(&self, op: &str, x: &Tensor, shape: [usize; 3]) -> Result<Tensor> {
        let Some(running) = self.running else {
            bail!(
                Value,
                "{op}: running statistics are needed where those of the batch are not used"
            )
        };
        let kind = NormKind::BatchInference(shape);
        let given = Some([running.mean, running.var]);
        Ok(normalise(op, kind, x, self.weight, self.bias, given, self.eps, None)?.0)
    }
}

/// Batch norm (Ioffe & Szegedy, 2015): each channel normalised over batch and space, by the batch's own statistics in
/// `training`, which also updates the running ones in place, else by the running ones.
///
/// # Shapes
/// `[batch, channels, …]`, everything else `[channels]`.
///
/// # Errors
/// `Shape` if ranks or sizes do not fit; `Value` for a single value per channel in training, or missing running
/// statistics otherwise; `DType` unless the types are floating point ones and agree.
pub fn batch_norm(x: &Tensor, training: bool, options: &BatchNormOptions<'_>) -> Result<Tensor> {
    let op = "batch_norm";
    if x.shape() == [0] {
        // No samples, of which there is nothing to normalise.
        options.check(op, 0)?;
        return x.copy();
    }
    let shape = channels(op, x)?;
    options.check(op, shape[1])?;
    if !training {
        return options.inference(op, x, shape);
    }
    in_training(x, shape, options, None)
}

/// [`batch_norm`] in training and then an activation, to the same bits. ReLU and hardtanh (ReLU6) of `float32` and `float64`
/// planes are done in the same pass, forward and backward.
///
/// # Errors
/// Those of [`batch_norm`].
pub fn batch_norm_activated(x: &Tensor, options: &BatchNormOptions<'_>, activation: Unary) -> Result<Tensor> {
    let limits = match activation {
        Unary::Relu => Some([0.0, f64::NAN]), // which does not bind
        Unary::Hardtanh(low, high) => Some([low, high]),
        _ => None,
    };
    let planes = x.rank() > 2 && x.numel() > 0 && !x.dtype().is_half();
    if let (Some(_), true, false) = (limits, planes, trace::is_enabled()) {
        let shape = channels("batch_norm", x)?;
        if shape[2] > 1 {
            options.check("batch_norm", shape[1])?;
            return in_training(x, shape, options, limits);
        }
    }
    batch_norm(x, true, options)?.unary(unary::name(activation), activation)
}

/// Batch norm by the batch's own statistics, which also updates the running ones.
fn in_training(
    x: &Tensor,
    shape: [usize; 3],
    options: &BatchNormOptions<'_>,
    limits: Option<[f64; 2]>,
) -> Result<Tensor> {
    let op = "batch_norm";
    let n = shape[0] * shape[2];
    ensure!(
        n != 1,
        Value,
        "{op}: expected more than 1 value per channel when training, got an input {:?}",
        x.shape()
    );
    let kind = NormKind::Batch(shape);
    let (y, statistics) = normalise(
        op,
        kind,
        x,
        options.weight,
        options.bias,
        None,
        options.eps,
        limits,
    )?;
    if let (Some(running), Some(statistics), true) = (options.running, statistics, n > 0) {
        running.update(&statistics, n, options.momentum)?;
    }
    Ok(y)
}

/// Instance norm (Ulyanov et al., 2016): each channel of each sample normalised over space, by its own statistics, or
/// by the running ones unless `use_input_stats`.
///
/// # Shapes
/// `[batch, channels, …]`, everything else `[channels]`.
///
/// # Errors
/// As [`batch_norm`].
pub fn instance_norm(x: &Tensor, use_input_stats: bool, options: &BatchNormOptions<'_>) -> Result<Tensor> {
    let op = "instance_norm";
    let shape = channels(op, x)?;
    let [_, channels, inner] = shape;
    options.check(op, channels)?;
    if !use_input_stats {
        return options.inference(op, x, shape);
    }
    ensure!(
        inner != 1,
        Value,
        "{op}: expected more than 1 spatial element when training, got an input {:?}",
        x.shape()
    );
    let kind = NormKind::Group(shape, channels.max(1));
    let y = normalise(op, kind, x, options.weight, options.bias, None, options.eps, None)?.0;
    if let Some(running) = options.running
        && x.numel() > 0
    {
        running.update(&instance_statistics(x, shape)?, inner, options.momentum)?;
    }
    Ok(y)
}

/// Means and biased variances of each channel of each sample, averaged over the batch.
fn instance_statistics(x: &Tensor, [batch, channels, inner]: [usize; 3]) -> Result<[Tensor; 2]> {
    let full = if x.dtype().is_half() {
        DType::F32
    } else {
        x.dtype()
    };
    let x = x.value().cast(full)?;
    let shape = [batch * channels, inner];
    let statistics = with_float!("instance_norm", full, T => {
        let [mut mean, mut var] = [shape[0]; 2].map(Buf::<T>::take);
        let view = View { data: x.data::<T>()?, shape: &shape, strides: &[inner, 1] };
        var_mean(view, &[false, true], 0.0, &mut var, &mut mean);
        [mean, var].map(|buffer| Value::new(buffer, full, Shape::new(&[batch, channels])))
    });
    let [mean, var] = statistics.map(|value| {
        Tensor::from_value(value.summed(&[0])?.reshaped(Shape::new(&[channels]))?).div(batch as f64)
    });
    Ok([mean?, var?])
}
