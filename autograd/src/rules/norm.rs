//! Rules of the normalisations `y = x̂·w + b` with `x̂ = (x - mean)·rstd`:
//! `dx = rstd·(g - mean(g) - x̂·mean(g·x̂))` with `g = dy·w`, `dw = Σ dy·x̂`, `db = Σ dy`.
//!
//! A gradient that an activation in the same pass stops is 0 from the start.
//!
//! RMS norm has no mean to subtract, and neither input nor gradient have one taken off; where statistics are given,
//! `dx = rstd·g`. Without `create_graph` one fused kernel computes all; with it, the formulas above are recorded.

use flambeau_tensor::ops::norm::{NormKind, NormOp};
use flambeau_tensor::{Result, Tensor, is_grad_enabled};

use super::{Context, Grads, zero_where};

pub(super) fn backward(op: &NormOp, cx: &Context<'_>) -> Result<Grads> {
    let bias_at = 1 + usize::from(op.weight.is_some());
    let wanted = [
        cx.needs(0),
        op.weight.is_some() && cx.needs(1),
        op.has_bias && cx.needs(bias_at),
    ];
    let [dx, dw, db] = if is_grad_enabled() {
        recorded(op, cx, wanted)?
    } else if cx.grad()?.is_unique() {
        // Nobody else sees a gradient with a single handle.
        cx.grad()?.norm_backward_(op, wanted)?
    } else {
        cx.grad()?.norm_backward(op, wanted)?
    };
    let mut grads = Grads::new();
    grads.push(dx);
    if op.weight.is_some() {
        grads.push(dw);
    }
    if op.has_bias {
        grads.push(db);
    }
    Ok(grads)
}

fn recorded(op: &NormOp, cx: &Context<'_>, wanted: [bool; 3]) -> Result<[Option<Tensor>; 3]> {
    let view = op.view();
    let count: usize = view.reduced.iter().map(|&d| view.input[d as usize]).product();
    let mean = |x: &Tensor| x.sum_dim(&view.reduced, true)?.mul(1.0 / count as f64);
    // Statistics of half-width floats are computed in float32, as in the forward pass.
    let full = op.statistics()[0].dtype();
    let mut dy = cx.grad()?.to_dtype(full)?.reshape(&view.input[..])?;
    if let Some(stopped) = op.stopped()? {
        dy = zero_where(&stopped, &dy)?;
    }
    let x = cx.tensor(&op.input).to_dtype(full)?.reshape(&view.input[..])?;
    let weight = match &op.weight {
        Some(weight) => Some(cx.tensor(weight).to_dtype(full)?.reshape(&view.weight[..])?),
        None => None,
    };
    let inference = matches!(op.kind, NormKind::BatchInference(_));
    let has_mean = !inference && !matches!(op.kind, NormKind::Rms(_));
    let (centred, var) = if inference {
        let [given_mean, given_var] = op.statistics();
        let centred = x.sub(&given_mean.reshape(&view.weight[..])?)?;
        (centred, given_var.reshape(&view.weight[..])?)
    } else {
        let centred = if has_mean { x.sub(&mean(&x)?)? } else { x };
        let var = mean(&centred.mul(&centred)?)?;
        (centred, var)
    };
    let std = var.add(op.eps)?.sqrt()?;
    let normalised = centred.div(&std)?;
    let dx = if wanted[0] {
        let mut g = match &weight {
            Some(weight) => dy.mul(weight)?,
            None => dy.clone(),
        };
        if !inference {
            let slope = normalised.mul(&mean(&g.mul(&normalised)?)?)?;
            g = if has_mean { g.sub(&mean(&g)?)? } else { g };
            g = g.sub(&slope)?;
        }
        Some(g.div(&std)?.reshape(cx.grad()?.shape())?)
    } else {
        None
    };
    let channels: usize = view.weight.iter().product();
    let per_weight = |x: Tensor| x.sum_to_size(&view.weight[..])?.reshape(channels);
    let dw = if wanted[1] {
        Some(per_weight(dy.mul(&normalised)?)?)
    } else {
        None
    };
    let db = if wanted[2] { Some(per_weight(dy)?) } else { None };
    Ok([dx, dw, db])
}
