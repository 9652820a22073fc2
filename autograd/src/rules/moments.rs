//! Rule of variance, `dx = dy·2(x - mean)/(n - correction)`, and of standard deviation.

use flambeau_tensor::Result;
use flambeau_tensor::ops::moments::VarianceOp;
use flambeau_tensor::ops::reduce::{kept_shape, reduced_numel};

use super::sum::kept_grad;
use super::{Context, Grads, one};

pub(super) fn backward(op: &VarianceOp, cx: &Context<'_>) -> Result<Grads> {
    let x = cx.tensor(&op.input);
    let mut grad = kept_grad(cx, &op.dims)?;
    if let Some(std) = &op.std {
        // d√v = dv/(2√v); a deviation of 0 is a minimum, whose gradient is 0.
        let std = cx.tensor(std).reshape(kept_shape(x.shape(), &op.dims))?;
        let flat = std.eq(0.0)?;
        grad = grad
            .div(&std.masked_fill(&flat, 1.0)?.mul(2.0)?)?
            .masked_fill(&flat, 0.0)?;
    }
    let freedom = reduced_numel(x.shape(), &op.dims) as f64 - op.correction;
    let scale = if x.numel() == 0 {
        0.0 // there is nothing to scale
    } else if freedom <= 0.0 && op.dims.len() >= x.rank() {
        f64::INFINITY
    } else {
        2.0 / freedom
    };
    let dims: Vec<isize> = op.dims.iter().map(|&d| d as isize).collect();
    let deviation = x.sub(&x.mean_dim(dims, true)?)?;
    one(deviation.mul(&grad.mul(scale)?)?)
}
