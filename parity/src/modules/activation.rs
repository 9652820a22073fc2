//! Activation functions.

use flambeau_nn::*;

use super::{Entry, unary};

pub(super) const TABLE: &[Entry] = &[
    ("CELU", |a| {
        unary(CELU {
            alpha: a.float(0, "alpha", 1.0)?,
        })
    }),
    ("ELU", |a| {
        unary(ELU {
            alpha: a.float(0, "alpha", 1.0)?,
        })
    }),
    ("GELU", |a| {
        unary(GELU {
            tanh: a.opt_str(0, "approximate")?.as_deref() == Some("tanh"),
        })
    }),
    ("GLU", |a| {
        unary(GLU {
            dim: a.int(0, "dim", -1)? as isize,
        })
    }),
    ("Hardshrink", |a| {
        unary(Hardshrink {
            lambda: a.float(0, "lambd", 0.5)?,
        })
    }),
    ("Hardsigmoid", |_| unary(Hardsigmoid)),
    ("Hardswish", |_| unary(Hardswish)),
    ("Hardtanh", |a| {
        unary(Hardtanh {
            min_val: a.float(0, "min_val", -1.0)?,
            max_val: a.float(1, "max_val", 1.0)?,
        })
    }),
    ("Identity", |a| {
        // Whatever arguments it is given, it ignores.
        a.clear();
        unary(Identity)
    }),
    ("LeakyReLU", |a| {
        unary(LeakyReLU {
            negative_slope: a.float(0, "negative_slope", 0.01)?,
        })
    }),
    ("LogSigmoid", |_| unary(LogSigmoid)),
    ("LogSoftmax", |a| {
        unary(LogSoftmax {
            dim: a.int(0, "dim", -1)? as isize,
        })
    }),
    ("Mish", |_| unary(Mish)),
    ("PReLU", |a| {
        unary(PReLU::new(
            a.count(0, "num_parameters", 1)?,
            a.float(1, "init", 0.25)?,
        )?)
    }),
    ("RReLU", |a| {
        unary(RReLU::new(
            a.float(0, "lower", 1.0 / 8.0)?,
            a.float(1, "upper", 1.0 / 3.0)?,
        ))
    }),
    ("ReLU", |_| unary(ReLU)),
    ("ReLU6", |_| unary(ReLU6)),
    ("SELU", |_| unary(SELU)),
    ("SiLU", |_| unary(SiLU)),
    ("Sigmoid", |_| unary(Sigmoid)),
    ("Softmax", |a| {
        unary(Softmax {
            dim: a.int(0, "dim", -1)? as isize,
        })
    }),
    ("Softmax2d", |_| unary(Softmax2d)),
    ("Softmin", |a| {
        unary(Softmin {
            dim: a.int(0, "dim", -1)? as isize,
        })
    }),
    ("Softplus", |a| {
        unary(Softplus {
            beta: a.float(0, "beta", 1.0)?,
            threshold: a.float(1, "threshold", 20.0)?,
        })
    }),
    ("Softshrink", |a| {
        unary(Softshrink {
            lambda: a.float(0, "lambd", 0.5)?,
        })
    }),
    ("Softsign", |_| unary(Softsign)),
    ("Tanh", |_| unary(Tanh)),
    ("Tanhshrink", |_| unary(Tanhshrink)),
    ("Threshold", |a| {
        unary(Threshold {
            threshold: a.float(0, "threshold", 0.0)?,
            value: a.float(1, "value", 0.0)?,
        })
    }),
];
