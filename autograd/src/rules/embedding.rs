//! Rule of `embedding_bag`: one fused kernel, or with `create_graph` look-ups of the bags' gradients, recorded.

use flambeau_tensor::ops::embedding::{BagMode, EmbeddingBagOp};
use flambeau_tensor::{Result, is_grad_enabled};
use smallvec::smallvec;

use super::{Context, Grads};

pub(super) fn backward(op: &EmbeddingBagOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    if !is_grad_enabled() {
        let (table, samples) = grad.embedding_bag_backward(op, [cx.needs(0), cx.needs(1)])?;
        return Ok(smallvec![table, samples]);
    }
    if op.mode == BagMode::Max {
        let (select, found) = op.maxima()?;
        return Ok(smallvec![Some(grad.mul(&found)?.linear_map(select.transpose())?)]);
    }
    let each = grad.linear_map(op.bags()?)?;
    let n = each.shape()[0];
    let mut scaled = each.clone();
    if op.mode == BagMode::Mean {
        scaled = scaled.mul(&op.shares()?)?;
    }
    if let Some(factors) = &op.per_sample_weights {
        scaled = scaled.mul(&cx.tensor(factors).reshape((n, 1))?)?;
    }
    let table = if cx.needs(0) {
        Some(scaled.linear_map(op.rows(op.scale_grad_by_freq).transpose())?)
    } else {
        None
    };
    let samples = match &op.per_sample_weights {
        Some(factors) if cx.needs(1) => {
            let looked_up = cx.tensor(&op.weight).linear_map(op.rows(false))?;
            let sums = each.mul(&looked_up)?.sum_dim(-1, false)?;
            Some(sums.reshape(factors.value().shape())?)
        }
        _ => None,
    };
    Ok(smallvec![table, samples])
}
