//! Batch and instance norm (`torch.nn.BatchNorm2d`, `InstanceNorm2d`, …): every channel normalised over the batch and
//! space, or over the space of each sample: `y = (x - mean)/√(var + eps)·weight + bias`.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use flambeau_tensor::ops::conv::ConvTail;
use flambeau_tensor::ops::norm::{
    BatchNormOptions as Call, RunningStats, batch_norm, batch_norm_activated, instance_norm,
};
use flambeau_tensor::ops::unary::Unary;
use flambeau_tensor::{DType, Result, Tensor, ensure, no_grad};

use super::norm::affine;
use super::text;
use crate::{Buffer, Forward, Lazy, Member, Mode, Module, Parameter, Step, Visitor, VisitorMut, observed};

thread_local! {
    /// Whether batch norms average over all batches, whatever their momentum is.
    static PLAIN_AVERAGES: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` while the batch norms of this thread average plainly over all batches.
pub(crate) fn with_plain_averages<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            PLAIN_AVERAGES.set(self.0)
        }
    }
    let _restore = Restore(PLAIN_AVERAGES.replace(true));
    f()
}

/// Options of batch and instance norms.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormOptions {
    /// Added to variances.
    pub eps: f64,
    /// How much of the running statistics a batch replaces; `None` for plain averages over all batches so far.
    pub momentum: Option<f64>,
    /// Whether a factor per channel is learnt, and a summand too unless `bias` is false.
    pub affine: bool,
    /// Whether a summand per channel is learnt.
    pub bias: bool,
    /// Whether running statistics are kept, which evaluation uses.
    pub track_running_stats: bool,
}

impl BatchNormOptions {
    /// PyTorch's defaults for batch norms.
    pub const BATCH: Self = BatchNormOptions {
        eps: 1e-5,
        momentum: Some(0.1),
        affine: true,
        bias: true,
        track_running_stats: true,
    };
    /// PyTorch's defaults for instance norms.
    pub const INSTANCE: Self = BatchNormOptions {
        affine: false,
        track_running_stats: false,
        ..Self::BATCH
    };
}

/// Those of batch norms.
impl Default for BatchNormOptions {
    fn default() -> Self {
        Self::BATCH
    }
}

/// What batch and instance norms are made of: parameters, running statistics, settings.
#[derive(Clone, Debug)]
pub struct ChannelNorm {
    /// Factors, `[channels]`.
    pub weight: Option<Parameter>,
    /// Summands, `[channels]`.
    pub bias: Option<Parameter>,
    /// Running means, `[channels]`.
    pub running_mean: Option<Buffer>,
    /// Running variances, unbiased, `[channels]`.
    pub running_var: Option<Buffer>,
    /// How many batches the running statistics have seen.
    pub num_batches_tracked: Option<Buffer>,
    mode: Mode,
    num_features: usize,
    options: BatchNormOptions,
}

impl ChannelNorm {
    fn new(num_features: usize, options: BatchNormOptions) -> Result<Self> {
        let [weight, bias] = affine(&[num_features], options.affine, options.affine && options.bias)?;
        let buffer = |tensor: Result<Tensor>| match options.track_running_stats {
            true => tensor.map(|tensor| Some(Buffer::new(tensor))),
            false => Ok(None),
        };
        Ok(ChannelNorm {
            weight,
            bias,
            running_mean: buffer(Tensor::zeros(num_features, DType::F32))?,
            running_var: buffer(Tensor::ones(num_features, DType::F32))?,
            num_batches_tracked: buffer(Tensor::zeros((), DType::I64))?,
            mode: Mode::default(),
            num_features,
            options,
        })
    }

    /// The settings.
    pub fn options(&self) -> &BatchNormOptions {
        &self.options
    }

    /// How many channels there are.
    pub fn num_features(&self) -> usize {
        self.num_features
    }

    /// Whether the norm is being trained.
    pub fn is_training(&self) -> bool {
        self.mode.is_training()
    }

    fn running(&self) -> Option<RunningStats<'_>> {
        let running = self.running_mean.as_deref().zip(self.running_var.as_deref());
        running.map(|(mean, var)| RunningStats { mean, var })
    }

    fn call(&self, momentum: f64) -> Call<'_> {
        Call {
            running: self.running(),
            weight: self.weight.as_deref(),
            bias: self.bias.as_deref(),
            momentum,
            eps: self.options.eps,
        }
    }

    /// Whether the statistics are those of the input.
    fn uses_input(&self) -> bool {
        self.mode.is_training() || self.running().is_none()
    }

    /// A norm by its running statistics is a step of a chain.
    fn as_step(&self) -> Option<Step<'_>> {
        (!self.uses_input()).then(|| Step::Norm(self.call(0.0)))
    }

    /// The norm, and then an activation if there is one: by the statistics of the input, where `uses_input` says so.
    fn batch_norm(&self, op: &str, x: &Tensor, ranks: &[usize], activation: Option<Unary>) -> Result<Tensor> {
        check(op, x, self.num_features, ranks)?;
        let fixed = self.options.momentum.filter(|_| !PLAIN_AVERAGES.get());
        let mut momentum = fixed.unwrap_or(0.0);
        if let Some(batches) = self
            .num_batches_tracked
            .as_deref()
            .filter(|_| self.mode.is_training())
        {
            no_grad(|| batches.add_(1).map(|_| ()))?;
            if fixed.is_none() {
                momentum = 1.0 / batches.item_f64()?;
            }
        }
        match activation {
            Some(activation) => batch_norm_activated(x, &self.call(momentum), activation),
            None => batch_norm(x, self.uses_input(), &self.call(momentum)),
        }
    }

    /// [`ChannelNorm::batch_norm`] and what follows, if that is but an activation and the statistics are those of the input.
    fn batch_norm_with_tail(
        &self,
        op: &str,
        x: &Tensor,
        ranks: &[usize],
        tail: &ConvTail<'_>,
    ) -> Result<Option<Tensor>> {
        match *tail {
            ConvTail {
                norm: None,
                residual: None,
                activation: Some(activation),
            } if self.uses_input() => self.batch_norm(op, x, ranks, Some(activation)).map(Some),
            _ => Ok(None),
        }
    }

    fn instance_norm(&self, op: &str, x: &Tensor, [without_batch, with_batch]: [usize; 2]) -> Result<Tensor> {
        if x.rank() == without_batch {
            let batch = self.instance_norm(op, &x.unsqueeze(0)?, [without_batch, with_batch])?;
            return batch.squeeze_dim(0);
        }
        let features = if self.options.affine || self.options.track_running_stats {
            self.num_features
        } else {
            // Without state, PyTorch takes any number of channels.
            x.shape().get(1).copied().unwrap_or(self.num_features)
        };
        check(op, x, features, &[with_batch])?;
        instance_norm(
            x,
            self.uses_input(),
            &self.call(self.options.momentum.unwrap_or(0.0)),
        )
    }
}

fn check(op: &str, x: &Tensor, features: usize, ranks: &[usize]) -> Result<()> {
    let shape = x.shape();
    ensure!(
        ranks.contains(&shape.len()),
        Shape,
        "{op}: expected {ranks:?} dimensions, got {shape:?}"
    );
    ensure!(
        shape[1] == features,
        Shape,
        "{op}: expected {features} channels, got {shape:?}"
    );
    Ok(())
}

fn describe(features: usize, options: &BatchNormOptions) -> String {
    let momentum = options.momentum.map_or("None".to_string(), text::float);
    let bias = options.affine && options.bias;
    let [affine, bias, tracked] = [options.affine, bias, options.track_running_stats].map(text::bool);
    let eps = text::float(options.eps);
    format!(
        "{features}, eps={eps}, momentum={momentum}, affine={affine}, bias={bias}, track_running_stats={tracked}"
    )
}

/// As members of a norm they stand under their own names, whatever the field is called.
impl Member for ChannelNorm {
    fn visit<'a>(&'a self, _: &str, visitor: &mut dyn Visitor<'a>) {
        self.weight.visit("weight", visitor);
        self.bias.visit("bias", visitor);
        self.running_mean.visit("running_mean", visitor);
        self.running_var.visit("running_var", visitor);
        self.num_batches_tracked.visit("num_batches_tracked", visitor);
        self.mode.visit("mode", visitor);
    }

    fn visit_mut(&mut self, _: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        self.weight.visit_mut("weight", visitor)?;
        self.bias.visit_mut("bias", visitor)?;
        self.running_mean.visit_mut("running_mean", visitor)?;
        self.running_var.visit_mut("running_var", visitor)?;
        self.num_batches_tracked.visit_mut("num_batches_tracked", visitor)
    }
}

macro_rules! norms {
    ($($(#[$doc:meta])* $name:ident, $lazy_name:literal, $default:literal, $dim:literal: |$norm:ident, $x:ident| $body:expr
        $(, in a chain $ranks:expr)?;)*) => { $(
        $(#[$doc])*
        ///
        /// Parameters and statistics are reached as fields: `norm.weight`, `norm.running_mean`.
        #[derive(Clone, Debug, Module)]
        #[module(describe)]
        pub struct $name {
            norm: ChannelNorm,
        }

        impl $name {
            #[doc = concat!("A norm of so many channels; [`BatchNormOptions::", $default, "`] has PyTorch's defaults.")]
            ///
            /// # Errors
            /// `Shape` if they are more than memory can address.
            pub fn new(num_features: usize, options: BatchNormOptions) -> Result<Self> {
                Ok($name { norm: ChannelNorm::new(num_features, options)? })
            }

            /// A norm of as many channels as its first input has; [`BatchNormOptions::BATCH`] has PyTorch's defaults.
            pub fn lazy(options: BatchNormOptions) -> Lazy<Self> {
                Lazy::new(move |x| $name::new(x.size($dim)?, options))
                    .described($lazy_name, describe(0, &options))
            }

            fn describe(&self) -> String {
                describe(self.num_features, &self.options)
            }
        }

        impl Deref for $name {
            type Target = ChannelNorm;

            fn deref(&self) -> &ChannelNorm {
                &self.norm
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut ChannelNorm {
                &mut self.norm
            }
        }

        impl Forward for $name {
            #[observed]
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $norm = &self.norm;
                $body
            }

            $(#[observed]
            fn forward_with_tail(&self, x: &Tensor, tail: &ConvTail<'_>) -> Result<Option<Tensor>> {
                self.norm.batch_norm_with_tail(stringify!($name), x, &$ranks, tail)
            }

            fn joins_recorded(&self) -> bool {
                self.norm.uses_input()
            }

            fn as_step(&self, rank: usize) -> Option<Step<'_>> {
                $ranks.contains(&rank).then(|| self.norm.as_step())?
            })?
        }
    )* };
}

norms! {
    /// Batch norm (Ioffe & Szegedy, 2015) over vectors or sequences, `[batch, channels, length?]`: every channel normalised
    /// over the batch and space, by the batch's statistics in training and by running ones otherwise.
    BatchNorm1d, "LazyBatchNorm1d", "BATCH", 1: |norm, x| norm.batch_norm("BatchNorm1d", x, &[2, 3], None), in a chain [2, 3];
    /// Batch norm (Ioffe & Szegedy, 2015) over images, `[batch, channels, height, width]`: every channel normalised over
    /// the batch and space, by the batch's statistics in training and by running ones otherwise.
    BatchNorm2d, "LazyBatchNorm2d", "BATCH", 1: |norm, x| norm.batch_norm("BatchNorm2d", x, &[4], None), in a chain [4];
    /// Batch norm (Ioffe & Szegedy, 2015) over volumes, `[batch, channels, depth, height, width]`: every channel normalised
    /// over the batch and space, by the batch's statistics in training and by running ones otherwise.
    BatchNorm3d, "LazyBatchNorm3d", "BATCH", 1: |norm, x| norm.batch_norm("BatchNorm3d", x, &[5], None), in a chain [5];
    /// Instance norm (Ulyanov et al., 2016) over sequences, `[batch?, channels, length]`: every channel of every sample
    /// normalised over space.
    InstanceNorm1d, "LazyInstanceNorm1d", "INSTANCE", -2: |norm, x| norm.instance_norm("InstanceNorm1d", x, [2, 3]);
    /// Instance norm (Ulyanov et al., 2016) over images, `[batch?, channels, height, width]`: every channel of every sample
    /// normalised over space.
    InstanceNorm2d, "LazyInstanceNorm2d", "INSTANCE", -3: |norm, x| norm.instance_norm("InstanceNorm2d", x, [3, 4]);
    /// Instance norm (Ulyanov et al., 2016) over volumes, `[batch?, channels, depth, height, width]`: every channel of every
    /// sample normalised over space.
    InstanceNorm3d, "LazyInstanceNorm3d", "INSTANCE", -4: |norm, x| norm.instance_norm("InstanceNorm3d", x, [4, 5]);
}
