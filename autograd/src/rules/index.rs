//! Rules of reading and writing by index tensors. Picking and adding are each other's gradient.

use flambeau_tensor::ops::index::{IndexOp, Reduction, ScatterReduceOp};
use flambeau_tensor::{DType, Result, Tensor, bail};
use smallvec::smallvec;

use super::{Context, Grads, one};

pub(super) fn gather(op: &IndexOp, cx: &Context<'_>) -> Result<Grads> {
    one(cx.grad()?.index_backward(op)?)
}

pub(super) fn scatter(op: &IndexOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let base = cx.needs(0).then(|| grad.zero_at(op));
    let source = cx.needs(1).then(|| grad.pick(op));
    [base, source].into_iter().map(Option::transpose).collect()
}

pub(super) fn scatter_add(op: &IndexOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let source = cx.needs(1).then(|| grad.pick(op)).transpose()?;
    Ok(smallvec![Some(grad.clone()), source])
}

pub(super) fn scatter_reduce(op: &ScatterReduceOp, cx: &Context<'_>) -> Result<Grads> {
    let (input, source) = match op.reduction {
        Reduction::Prod => product(op, cx)?,
        Reduction::Amax | Reduction::Amin => extreme(op, cx)?,
        Reduction::Sum | Reduction::Mean => bail!(
            Autograd,
            "backward of {}: sums and means are recorded as other operations",
            op.places.name
        ),
    };
    let input = match input {
        Some(input) if !op.include_self => Some(input.zero_at(&op.places)?),
        input => input,
    };
    Ok(smallvec![input, source])
}

type Pair = (Option<Tensor>, Option<Tensor>);

/// The gradient is shared equally by all that are equal to the extreme value.
fn extreme(op: &ScatterReduceOp, cx: &Context<'_>) -> Result<Pair> {
    let (x, source, output) = (cx.tensor(&op.input), cx.tensor(&op.source), cx.tensor(&op.output));
    let mut own = ones_where_equal(&x, &output)?;
    if !op.include_self {
        own = own.zero_at(&op.places)?;
    }
    let theirs = ones_where_equal(&source, &output.pick(&op.places)?)?;
    let share = cx.grad()?.div(&own.add_at(&op.places, &theirs)?)?;
    Ok((
        Some(own.mul(&share)?),
        Some(theirs.mul(&share.pick(&op.places)?)?),
    ))
}

/// The gradient of a factor is the product of the others: the whole divided by it, or, where it is the only zero, the
/// product without it.
fn product(op: &ScatterReduceOp, cx: &Context<'_>) -> Result<Pair> {
    let (grad, places) = (cx.grad()?, &op.places);
    let (x, source) = (cx.tensor(&op.input), cx.tensor(&op.source));
    let of_input = || {
        let x = x.masked_fill(&x.eq(0)?, 1)?;
        let others = x.reduce_at(places, &source, Reduction::Prod, op.include_self)?;
        grad.mul(&others)?.div(&x)
    };
    let of_source = || {
        let zero = source.eq(0)?;
        let zeros = zero.to_dtype(source.dtype())?;
        let beside = zeros.index_backward(places)?.pick(places)?.sub(&zeros)?;
        let only = zero.masked_fill(&beside.to_dtype(DType::Bool)?, false)?;
        let without = x.reduce_at(
            places,
            &source.masked_fill(&only, 1)?,
            Reduction::Prod,
            op.include_self,
        )?;
        let product = cx.tensor(&op.output);
        let others = grad
            .mul(&product)?
            .pick(places)?
            .div(&source.masked_fill(&zero, 1)?)?;
        let alone = grad.mul(&without)?.pick(places)?;
        others
            .masked_fill(&only, 0)?
            .add(&alone.masked_fill(&only.logical_not()?, 0)?)
    };
    let input = cx.needs(0).then(of_input).transpose()?;
    let source = cx.needs(1).then(of_source).transpose()?;
    Ok((input, source))
}

fn ones_where_equal(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.eq(b)?.to_dtype(a.dtype())
}
