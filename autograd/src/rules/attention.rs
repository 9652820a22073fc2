//! Rule of attention `o = p·v`, `p = softmax(scale·q·kᵀ + mask)`: with `dp = do·vᵀ` and `ds = p·(dp - Σ dp·p)`,
//! `dq = scale·ds·k`, `dk = scale·dsᵀ·q`, `dv = pᵀ·do`.
//!
//! Without `create_graph` a fused kernel makes the scores again block by block; with it, they are recorded as a whole.

use flambeau_tensor::ops::attention::{AttentionOp, attention_weights};
use flambeau_tensor::{Result, is_grad_enabled};
use smallvec::smallvec;

use super::{Context, Grads};

pub(super) fn backward(op: &AttentionOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    if !is_grad_enabled() {
        let [dq, dk, dv] = grad.attention_backward(op)?;
        return Ok(smallvec![Some(dq), Some(dk), Some(dv)]);
    }
    let [q, k, v] = [&op.query, &op.key, &op.value].map(|saved| cx.tensor(saved));
    let mut scores = q.mul(op.scale)?.matmul(&k.transpose(-2, -1)?)?;
    if let Some(added) = op.added()? {
        scores = scores.add(&added)?;
    }
    let p = attention_weights(&scores)?;
    let dv = if cx.needs(2) {
        Some(p.transpose(-2, -1)?.matmul(grad)?)
    } else {
        None
    };
    let dp = grad.matmul(&v.transpose(-2, -1)?)?;
    let ds = p.mul(&dp.sub(&dp.mul(&p)?.sum_dim(-1, true)?)?)?.mul(op.scale)?;
    let dq = if cx.needs(0) { Some(ds.matmul(&k)?) } else { None };
    let dk = if cx.needs(1) {
        Some(ds.transpose(-2, -1)?.matmul(&q)?)
    } else {
        None
    };
    Ok(smallvec![dq, dk, dv])
}
