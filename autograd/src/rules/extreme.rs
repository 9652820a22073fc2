//! Rule of selections by value: elements that equal a result share its gradient evenly.

use flambeau_tensor::Result;
use flambeau_tensor::ops::extreme::ExtremeOp;
use flambeau_tensor::ops::reduce::kept_shape;

use super::sum::kept_grad;
use super::{Context, Grads, one};

pub(super) fn backward(op: &ExtremeOp, cx: &Context<'_>) -> Result<Grads> {
    let x = cx.tensor(&op.input).detach();
    let chosen = cx
        .tensor(&op.output)
        .detach()
        .reshape(kept_shape(x.shape(), &op.dims))?;
    let mut shares = x.shares_of(&chosen, &op.dims)?;
    // As in PyTorch, which here divides by the number of elements that equal the result: no NaN does.
    if matches!(op.name, "amax" | "amin") && chosen.isnan()?.any()?.item::<bool>()? {
        shares = chosen.isnan()?.where_cond(f64::NAN, &shares)?;
    }
    one(kept_grad(cx, &op.dims)?.mul(&shares)?)
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::{Result, Tensor};

    use crate::Backward;

    #[test]
    fn results_that_are_nan_spread_as_in_pytorch() -> Result<()> {
        let gradient = |f: fn(&Tensor) -> Result<Tensor>| -> Result<Vec<f64>> {
            let x = Tensor::new([1.0f64, f64::NAN, 2.0])?.requires_grad(true)?;
            f(&x)?.backward()?;
            x.grad().map_or(Ok(Vec::new()), |grad| grad.to_vec())
        };
        assert_eq!(gradient(|x| x.max())?, [0.0, 1.0, 0.0]);
        assert!(gradient(|x| x.amax(0, false))?.iter().all(|g| g.is_nan()));
        Ok(())
    }
}
