//! Normalisation: batch, instance, group, layer and RMS norm (`torch.nn.BatchNorm2d`, `LayerNorm`, …), and
//! `LocalResponseNorm`.

use flambeau_tensor::ops::norm::{
    BatchNormOptions as Batch, RunningStats, batch_norm, group_norm, instance_norm, layer_norm, rms_norm,
};
use flambeau_tensor::ops::normalize::local_response_norm;
use flambeau_tensor::{DType, Result, Tensor, ensure, no_grad};

use super::text;
use crate::{Buffer, Forward, Mode, Module, Parameter};

/// Options of batch and instance norms.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormOptions {
    /// Added to variances.
    pub eps: f64,
    /// How much of the running statistics a batch replaces; `None` for plain averages over all batches so far.
    pub momentum: Option<f64>,
    /// Whether a factor and a summand per channel are learnt.
    pub affine: bool,
    /// Whether running statistics are kept, which evaluation uses.
    pub track_running_stats: bool,
}

impl BatchNormOptions {
    /// PyTorch's defaults for batch norms.
    pub const BATCH: Self = BatchNormOptions {
        eps: 1e-5,
        momentum: Some(0.1),
        affine: true,
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

/// A factor of ones and a summand of zeros, if they are wanted.
fn affine(shape: &[usize], weight: bool, bias: bool) -> Result<[Option<Parameter>; 2]> {
    let filled = |value: f64| Parameter::new(Tensor::full(shape, value, DType::F32)?);
    Ok([
        weight.then(|| filled(1.0)).transpose()?,
        bias.then(|| filled(0.0)).transpose()?,
    ])
}

/// What batch and instance norms have in common.
#[derive(Clone, Debug)]
struct Running {
    mean: Option<Buffer>,
    var: Option<Buffer>,
    batches: Option<Buffer>,
}

impl Running {
    fn new(features: usize, tracked: bool) -> Result<Running> {
        let filled = |value: f64| Tensor::full(features, value, DType::F32).map(Buffer::new);
        Ok(Running {
            mean: tracked.then(|| filled(0.0)).transpose()?,
            var: tracked.then(|| filled(1.0)).transpose()?,
            batches: tracked
                .then(|| Tensor::zeros((), DType::I64).map(Buffer::new))
                .transpose()?,
        })
    }
}

fn describe(features: usize, options: &BatchNormOptions) -> String {
    let momentum = options.momentum.map_or("None".to_string(), text::float);
    let (affine, tracked) = (
        text::bool(options.affine),
        text::bool(options.track_running_stats),
    );
    format!(
        "{features}, eps={}, momentum={momentum}, affine={affine}, track_running_stats={tracked}",
        text::float(options.eps)
    )
}

macro_rules! batch_norms {
    ($($batch:ident, $instance:ident: $spatial:literal, $ranks:expr, $instance_ranks:expr;)*) => { $(
        #[doc = concat!("Batch norm (Ioffe & Szegedy, 2015) over ", $spatial, ": every channel normalised over the batch and")]
        /// space, by the batch's statistics in training and by running ones otherwise.
        #[derive(Clone, Debug, Module)]
        #[module(describe)]
        pub struct $batch {
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
            #[module(skip)]
            options: BatchNormOptions,
        }

        impl $batch {
            /// A norm of so many channels.
            ///
            /// # Errors
            /// `Shape` if they are more than memory can address.
            pub fn new(num_features: usize, options: BatchNormOptions) -> Result<Self> {
                let [weight, bias] = affine(&[num_features], options.affine, options.affine)?;
                let Running { mean, var, batches } = Running::new(num_features, options.track_running_stats)?;
                Ok($batch {
                    weight,
                    bias,
                    running_mean: mean,
                    running_var: var,
                    num_batches_tracked: batches,
                    mode: Mode::default(),
                    num_features,
                    options,
                })
            }

            /// The settings.
            pub fn options(&self) -> &BatchNormOptions {
                &self.options
            }

            fn describe(&self) -> String {
                describe(self.num_features, &self.options)
            }
        }

        impl Forward for $batch {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                check(stringify!($batch), x, self.num_features, $ranks)?;
                let training = self.mode.is_training();
                let mut momentum = self.options.momentum.unwrap_or(0.0);
                if let Some(batches) = self.num_batches_tracked.as_deref().filter(|_| training) {
                    no_grad(|| batches.add_(1).map(|_| ()))?;
                    momentum = match self.options.momentum {
                        Some(momentum) => momentum,
                        None => 1.0 / batches.item_f64()?,
                    };
                }
                let running = self.running_mean.as_deref().zip(self.running_var.as_deref());
                let options = Batch {
                    running: running.map(|(mean, var)| RunningStats { mean, var }),
                    weight: self.weight.as_deref(),
                    bias: self.bias.as_deref(),
                    momentum,
                    eps: self.options.eps,
                };
                batch_norm(x, training || running.is_none(), &options)
            }
        }

        #[doc = concat!("Instance norm (Ulyanov et al., 2016) over ", $spatial, ": every channel of every sample")]
        /// normalised over space.
        #[derive(Clone, Debug, Module)]
        #[module(describe)]
        pub struct $instance {
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
            #[module(skip)]
            options: BatchNormOptions,
        }

        impl $instance {
            /// A norm of so many channels; [`BatchNormOptions::INSTANCE`] has PyTorch's defaults.
            ///
            /// # Errors
            /// `Shape` if they are more than memory can address.
            pub fn new(num_features: usize, options: BatchNormOptions) -> Result<Self> {
                let [weight, bias] = affine(&[num_features], options.affine, options.affine)?;
                let Running { mean, var, batches } = Running::new(num_features, options.track_running_stats)?;
                Ok($instance {
                    weight,
                    bias,
                    running_mean: mean,
                    running_var: var,
                    num_batches_tracked: batches,
                    mode: Mode::default(),
                    num_features,
                    options,
                })
            }

            fn describe(&self) -> String {
                describe(self.num_features, &self.options)
            }
        }

        impl Forward for $instance {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                let [without_batch, with_batch] = $instance_ranks;
                if x.rank() == without_batch {
                    return self.forward(&x.unsqueeze(0)?)?.squeeze_dim(0);
                }
                let checked = if self.options.affine || self.options.track_running_stats {
                    self.num_features
                } else {
                    // Without state, PyTorch takes any number of channels.
                    x.shape().get(1).copied().unwrap_or(self.num_features)
                };
                check(stringify!($instance), x, checked, &[with_batch])?;
                let running = self.running_mean.as_deref().zip(self.running_var.as_deref());
                let options = Batch {
                    running: running.map(|(mean, var)| RunningStats { mean, var }),
                    weight: self.weight.as_deref(),
                    bias: self.bias.as_deref(),
                    momentum: self.options.momentum.unwrap_or(0.0),
                    eps: self.options.eps,
                };
                instance_norm(x, self.mode.is_training() || running.is_none(), &options)
            }
        }
    )* };
}

batch_norms! {
    BatchNorm1d, InstanceNorm1d: "vectors or sequences, `[batch, channels, length?]`", &[2, 3], [2, 3];
    BatchNorm2d, InstanceNorm2d: "images, `[batch, channels, height, width]`", &[4], [3, 4];
    BatchNorm3d, InstanceNorm3d: "volumes, `[batch, channels, depth, height, width]`", &[5], [4, 5];
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

/// Group norm (Wu & He, 2018): the channels of a group of a sample normalised together over space.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct GroupNorm {
    /// Factors, `[channels]`.
    pub weight: Option<Parameter>,
    /// Summands, `[channels]`.
    pub bias: Option<Parameter>,
    num_groups: usize,
    num_channels: usize,
    eps: f64,
}

impl GroupNorm {
    /// A norm of `num_channels` channels in groups; PyTorch's defaults are an `eps` of 1e-5 and `affine`.
    ///
    /// # Errors
    /// `Value` unless the groups divide the channels.
    pub fn new(num_groups: usize, num_channels: usize, eps: f64, affine_: bool) -> Result<Self> {
        ensure!(
            num_groups > 0 && num_channels.is_multiple_of(num_groups),
            Value,
            "GroupNorm: {num_groups} groups must divide {num_channels} channels"
        );
        let [weight, bias] = affine(&[num_channels], affine_, affine_)?;
        Ok(GroupNorm {
            weight,
            bias,
            num_groups,
            num_channels,
            eps,
        })
    }

    fn describe(&self) -> String {
        let (eps, affine) = (text::float(self.eps), text::bool(self.weight.is_some()));
        format!(
            "{}, {}, eps={eps}, affine={affine}",
            self.num_groups, self.num_channels
        )
    }
}

impl Forward for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        group_norm(
            x,
            self.num_groups,
            self.weight.as_deref(),
            self.bias.as_deref(),
            self.eps,
        )
    }
}

/// Layer norm (Ba et al., 2016): the trailing dimensions of each sample normalised together.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct LayerNorm {
    /// Factors, of the normalised shape.
    pub weight: Option<Parameter>,
    /// Summands, of the normalised shape.
    pub bias: Option<Parameter>,
    #[module(skip)]
    normalized_shape: Vec<usize>,
    eps: f64,
}

/// Options of [`LayerNorm`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormOptions {
    /// Added to variances.
    pub eps: f64,
    /// Whether factors are learnt, and summands too unless `bias` is false.
    pub elementwise_affine: bool,
    /// Whether summands are learnt.
    pub bias: bool,
}

impl Default for LayerNormOptions {
    fn default() -> Self {
        LayerNormOptions {
            eps: 1e-5,
            elementwise_affine: true,
            bias: true,
        }
    }
}

impl LayerNorm {
    /// A norm over trailing dimensions of this shape.
    ///
    /// # Errors
    /// `Shape` if it is larger than memory can address.
    pub fn new(normalized_shape: &[usize], options: LayerNormOptions) -> Result<Self> {
        let learnt = options.elementwise_affine;
        let [weight, bias] = affine(normalized_shape, learnt, learnt && options.bias)?;
        Ok(LayerNorm {
            weight,
            bias,
            normalized_shape: normalized_shape.to_vec(),
            eps: options.eps,
        })
    }

    fn describe(&self) -> String {
        let (eps, affine) = (text::float(self.eps), text::bool(self.weight.is_some()));
        let bias = if self.weight.is_some() {
            format!(", bias={}", text::bool(self.bias.is_some()))
        } else {
            String::new()
        };
        format!(
            "{}, eps={eps}, elementwise_affine={affine}{bias}",
            text::list(&self.normalized_shape)
        )
    }
}

impl Forward for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(
            x,
            &self.normalized_shape,
            self.weight.as_deref(),
            self.bias.as_deref(),
            self.eps,
        )
    }
}

/// RMS norm (Zhang & Sennrich, 2019): the trailing dimensions of each sample divided by their root mean square.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct RMSNorm {
    /// Factors, of the normalised shape.
    pub weight: Option<Parameter>,
    #[module(skip)]
    normalized_shape: Vec<usize>,
    eps: Option<f64>,
}

impl RMSNorm {
    /// A norm over trailing dimensions of this shape. Without `eps` (PyTorch's default), the smallest step of the type at
    /// 1 is added to the mean square.
    ///
    /// # Errors
    /// `Shape` if it is larger than memory can address.
    pub fn new(normalized_shape: &[usize], eps: Option<f64>, elementwise_affine: bool) -> Result<Self> {
        let [weight, _] = affine(normalized_shape, elementwise_affine, false)?;
        Ok(RMSNorm {
            weight,
            normalized_shape: normalized_shape.to_vec(),
            eps,
        })
    }

    fn describe(&self) -> String {
        let eps = self.eps.map_or("None".to_string(), text::float);
        let affine = text::bool(self.weight.is_some());
        format!(
            "{}, eps={eps}, elementwise_affine={affine}",
            text::list(&self.normalized_shape)
        )
    }
}

impl Forward for RMSNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        rms_norm(x, &self.normalized_shape, self.weight.as_deref(), self.eps)
    }
}

/// Local response norm over neighbouring channels (Krizhevsky et al., 2012).
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct LocalResponseNorm {
    /// How many channels count.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// Summand.
    pub k: f64,
}

impl LocalResponseNorm {
    /// A norm over `size` channels, with PyTorch's defaults for the rest.
    pub fn new(size: usize) -> Self {
        LocalResponseNorm {
            size,
            alpha: 1e-4,
            beta: 0.75,
            k: 1.0,
        }
    }

    fn describe(&self) -> String {
        let [alpha, beta, k] = [self.alpha, self.beta, self.k].map(text::float);
        format!("{}, alpha={alpha}, beta={beta}, k={k}", self.size)
    }
}

impl Forward for LocalResponseNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        local_response_norm(x, self.size, self.alpha, self.beta, self.k)
    }
}
