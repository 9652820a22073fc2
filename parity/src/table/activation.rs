//! Activation functions: `nn.functional`'s element-wise ones.

use flambeau_tensor::{Result, Tensor, bail};

use crate::args::Args;
use crate::registry::{Entry, Output, out};

/// The input, and the place of `inplace` among the arguments; in place or not, the result is returned.
fn activate(
    a: &mut Args,
    inplace: usize,
    function: impl FnOnce(&mut Args, &Tensor) -> Result<Tensor>,
) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    a.bool(inplace, "inplace", false)?;
    out(function(a, &x)?)
}

/// Activations whose only other argument is `inplace`.
macro_rules! plain {
    ($($name:literal => $method:ident;)*) => {
        &[$(($name, |a| activate(a, 1, |_, x| x.$method())),)*]
    };
}

/// Activations without parameters.
pub(super) const PLAIN: &[Entry] = plain! {
    "nn.functional.hardsigmoid" => hardsigmoid;
    "nn.functional.hardswish" => hardswish;
    "nn.functional.logsigmoid" => logsigmoid;
    "nn.functional.mish" => mish;
    "nn.functional.relu" => relu;
    "nn.functional.relu6" => relu6;
    "nn.functional.selu" => selu;
    "nn.functional.sigmoid" => sigmoid;
    "nn.functional.silu" => silu;
    "nn.functional.softsign" => softsign;
    "nn.functional.tanh" => tanh;
    "nn.functional.tanhshrink" => tanhshrink;
    "relu" => relu;
    "selu" => selu;
};

/// Activations with parameters.
pub(super) const TABLE: &[Entry] = &[
    ("nn.functional.leaky_relu", |a| {
        activate(a, 2, |a, x| x.leaky_relu(a.float(1, "negative_slope", 0.01)?))
    }),
    ("nn.functional.elu", |a| {
        activate(a, 2, |a, x| x.elu(a.float(1, "alpha", 1.0)?))
    }),
    ("nn.functional.celu", |a| {
        activate(a, 2, |a, x| x.celu(a.float(1, "alpha", 1.0)?))
    }),
    ("nn.functional.gelu", |a| {
        let (x, approximate) = (a.tensor(0, "input")?, a.opt_str(1, "approximate")?);
        match approximate.as_deref() {
            None | Some("none") => out(x.gelu()?),
            Some("tanh") => out(x.gelu_tanh()?),
            Some(other) => bail!(Value, "gelu: approximate must be 'none' or 'tanh', got '{other}'"),
        }
    }),
    ("nn.functional.softplus", |a| {
        let x = a.tensor(0, "input")?;
        out(x.softplus(a.float(1, "beta", 1.0)?, a.float(2, "threshold", 20.0)?)?)
    }),
    ("nn.functional.hardtanh", |a| {
        activate(a, 3, |a, x| {
            x.hardtanh(a.float(1, "min_val", -1.0)?, a.float(2, "max_val", 1.0)?)
        })
    }),
    ("nn.functional.hardshrink", |a| {
        let x = a.tensor(0, "input")?;
        out(x.hardshrink(a.float(1, "lambd", 0.5)?)?)
    }),
    ("nn.functional.softshrink", |a| {
        let x = a.tensor(0, "input")?;
        out(x.softshrink(a.float(1, "lambd", 0.5)?)?)
    }),
    ("nn.functional.threshold", |a| {
        activate(a, 3, |a, x| {
            x.threshold(a.scalar(1, "threshold")?, a.scalar(2, "value")?)
        })
    }),
    ("nn.functional.prelu", |a| {
        out(a.tensor(0, "input")?.prelu(&a.tensor(1, "weight")?)?)
    }),
    ("nn.functional.glu", |a| {
        let x = a.tensor(0, "input")?;
        out(x.glu(a.int(1, "dim", -1)? as isize)?)
    }),
    ("nn.functional.rrelu", |a| {
        activate(a, 4, |a, x| {
            let (lower, upper) = (a.float(1, "lower", 1.0 / 8.0)?, a.float(2, "upper", 1.0 / 3.0)?);
            if a.bool(3, "training", false)? {
                x.rrelu_training(lower, upper)
            } else {
                x.rrelu(lower, upper)
            }
        })
    }),
];
