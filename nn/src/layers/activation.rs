//! Activation functions as modules: `ReLU`, `GELU`, `Softmax`, … Each is `torch.nn`'s class of the same name; the
//! formulas stand with the tensor's methods.

use flambeau_tensor::ops::unary::Unary;
use flambeau_tensor::{DType, Result, Tensor};

use super::text;
use crate::{Forward, Mode, Module, Parameter, Step, observed};

/// Modules without parameters that call one method of the tensor; `field: type = default => how it prints` are settings. What
/// follows `in a chain` is the function as a step of one.
macro_rules! activations {
    ($(
        $(#[$doc:meta])*
        $name:ident $( { $($(#[$field_doc:meta])* $field:ident: $ty:ty = $default:expr => $show:expr),* $(,)? } )?
            => |$layer:pat_param, $x:ident| $body:expr $(, in a chain $step:expr)?;
    )*) => { $(
        activations!(@define $(#[$doc])* $name $( { $($(#[$field_doc])* $field: $ty = $default),* } )?);

        impl $name {
            fn describe(&self) -> String {
                let settings: &[String] = &[$( $(setting(stringify!($field), $show(self.$field))),* )?];
                settings.join(", ")
            }
        }

        impl Forward for $name {
            #[observed]
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $layer = self;
                $body
            }

            $(fn as_step(&self, _: usize) -> Option<Step<'_>> {
                let $layer = self;
                Some(Step::Activation($step))
            })?
        }
    )* };
    (@define $(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Module)]
        #[module(describe)]
        pub struct $name;
    };
    (@define $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty = $default:expr),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
            }
        }
    };
}

/// `max(0, x)`.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct ReLU;

impl Forward for ReLU {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.relu()
    }

    fn as_step(&self, _: usize) -> Option<Step<'_>> {
        Some(Step::Activation(Unary::Relu))
    }
}

activations! {
    /// `min(max(0, x), 6)`.
    ReLU6 => |_, x| x.relu6(), in a chain Unary::Hardtanh(0.0, 6.0);
    /// `x` if positive, else `negative_slope·x`.
    LeakyReLU {
        /// Slope below 0.
        negative_slope: f64 = 0.01 => text::float,
    } => |layer, x| x.leaky_relu(layer.negative_slope);
    /// `x` if positive, else `alpha·(eˣ - 1)` (Clevert et al., 2015).
    ELU {
        /// Minus the limit for `x → -∞`.
        alpha: f64 = 1.0 => text::float,
    } => |layer, x| x.elu(layer.alpha);
    /// `max(0, x) + min(0, alpha·(exp(x/alpha) - 1))` (Barron, 2017).
    CELU {
        /// Minus the limit for `x → -∞`.
        alpha: f64 = 1.0 => text::float,
    } => |layer, x| x.celu(layer.alpha);
    /// The scaled exponential linear unit of self-normalising networks (Klambauer et al., 2017).
    SELU => |_, x| x.selu();
    /// `x·Φ(x)` with the normal distribution's Φ, or its approximation by tanh (Hendrycks & Gimpel, 2016).
    GELU {
        /// Whether tanh approximates Φ (`approximate="tanh"`).
        tanh: bool = false => approximate,
    } => |layer, x| if layer.tanh { x.gelu_tanh() } else { x.gelu() },
        in a chain if layer.tanh { Unary::GeluTanh } else { Unary::Gelu };
    /// `x·sigmoid(x)`, also called swish.
    SiLU => |_, x| x.silu(), in a chain Unary::Silu;
    /// `x·tanh(log(1 + eˣ))` (Misra, 2019).
    Mish => |_, x| x.mish(), in a chain Unary::Mish;
    /// `1/(1 + e⁻ˣ)`.
    Sigmoid => |_, x| x.sigmoid(), in a chain Unary::Sigmoid;
    /// `log(sigmoid(x))`.
    LogSigmoid => |_, x| x.logsigmoid();
    /// The hyperbolic tangent.
    Tanh => |_, x| x.tanh(), in a chain Unary::Tanh;
    /// `x - tanh(x)`.
    Tanhshrink => |_, x| x.tanhshrink();
    /// `min(max(x + 3, 0), 6)/6`.
    Hardsigmoid => |_, x| x.hardsigmoid(), in a chain Unary::Hardsigmoid;
    /// `x·min(max(x + 3, 0), 6)/6` (Howard et al., 2019).
    Hardswish => |_, x| x.hardswish(), in a chain Unary::Hardswish;
    /// `x` between two bounds.
    Hardtanh {
        /// Lower bound.
        min_val: f64 = -1.0 => text::float,
        /// Upper bound.
        max_val: f64 = 1.0 => text::float,
    } => |layer, x| x.hardtanh(layer.min_val, layer.max_val);
    /// `log(1 + exp(beta·x))/beta`, and `x` itself where `beta·x` is above `threshold`.
    Softplus {
        /// Sharpness of the bend.
        beta: f64 = 1.0 => text::float,
        /// Where the function is linear.
        threshold: f64 = 20.0 => text::float,
    } => |layer, x| x.softplus(layer.beta, layer.threshold);
    /// `x/(1 + |x|)`.
    Softsign => |_, x| x.softsign();
    /// `x` less `lambda` towards 0, and 0 where `|x| ≤ lambda`.
    Softshrink {
        /// Half the width of the flat part.
        lambda: f64 = 0.5 => text::float,
    } => |layer, x| x.softshrink(layer.lambda);
    /// `x`, and 0 where `|x| ≤ lambda`.
    Hardshrink {
        /// Half the width of the flat part.
        lambda: f64 = 0.5 => text::float,
    } => |layer, x| x.hardshrink(layer.lambda);
    /// `x` above `threshold`, else `value`.
    Threshold {
        /// What `x` must exceed.
        threshold: f64 = 0.0 => text::number,
        /// What takes its place otherwise.
        value: f64 = 0.0 => text::number,
    } => |layer, x| x.threshold(layer.threshold, layer.value);
    /// The first half along a dimension times the sigmoid of the second (Dauphin et al., 2016).
    GLU {
        /// The dimension that is halved.
        dim: isize = -1 => dimension,
    } => |layer, x| x.glu(layer.dim);
    /// `exp(x)/Σexp(x)` along a dimension.
    Softmax {
        /// The dimension that sums to one.
        dim: isize = -1 => dimension,
    } => |layer, x| x.softmax(layer.dim);
    /// `log(softmax(x))` along a dimension.
    LogSoftmax {
        /// The dimension whose exponentials sum to one.
        dim: isize = -1 => dimension,
    } => |layer, x| x.log_softmax(layer.dim);
    /// `softmax(-x)` along a dimension.
    Softmin {
        /// The dimension that sums to one.
        dim: isize = -1 => dimension,
    } => |layer, x| x.softmin(layer.dim);
    /// Softmax over the channels of images `[batch?, channels, height, width]`.
    Softmax2d => |_, x| x.softmax(-3);
}

/// A setting as PyTorch prints it: that of the two shrinking functions without its name.
fn setting(name: &str, value: impl std::fmt::Display) -> String {
    match name {
        "lambda" => value.to_string(),
        "tanh" => format!("approximate={value}"),
        _ => format!("{name}={value}"),
    }
}

fn approximate(tanh: bool) -> &'static str {
    if tanh { "'tanh'" } else { "'none'" }
}

fn dimension(dim: isize) -> isize {
    dim
}

/// ReLU with a learnt slope below 0, one or one per channel (He et al., 2015).
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct PReLU {
    /// Slopes, `[1]` or `[channels]`.
    pub weight: Parameter,
}

impl PReLU {
    /// So many slopes, which begin at `init` (PyTorch's default: one of 0.25).
    ///
    /// # Errors
    /// `Shape` if they are more than memory can address.
    pub fn new(num_parameters: usize, init: f64) -> Result<PReLU> {
        Ok(PReLU {
            weight: Parameter::new(Tensor::full(num_parameters, init, DType::F32)?)?,
        })
    }

    fn describe(&self) -> String {
        format!("num_parameters={}", self.weight.numel())
    }
}

impl Forward for PReLU {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.prelu(&self.weight)
    }
}

/// Leaky ReLU whose slope below 0 is random in training and the mean of its bounds otherwise (Xu et al., 2015).
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct RReLU {
    /// The least slope.
    pub lower: f64,
    /// The greatest slope.
    pub upper: f64,
    mode: Mode,
}

impl RReLU {
    /// Slopes from `lower` to `upper`.
    pub fn new(lower: f64, upper: f64) -> RReLU {
        RReLU {
            lower,
            upper,
            mode: Mode::default(),
        }
    }

    fn describe(&self) -> String {
        format!(
            "lower={}, upper={}",
            text::float(self.lower),
            text::float(self.upper)
        )
    }
}

impl Default for RReLU {
    fn default() -> Self {
        RReLU::new(1.0 / 8.0, 1.0 / 3.0)
    }
}

impl Forward for RReLU {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.mode.is_training() {
            x.rrelu_training(self.lower, self.upper)
        } else {
            x.rrelu(self.lower, self.upper)
        }
    }
}
