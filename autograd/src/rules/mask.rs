//! Rule of `masked_fill`: no gradient under the mask, where the value gets it.

use flambeau_tensor::Result;
use flambeau_tensor::ops::mask::MaskedFillOp;

use super::{Context, Grads};

pub(super) fn masked_fill(op: &MaskedFillOp, cx: &Context<'_>) -> Result<Grads> {
    let (grad, mask) = (cx.grad()?, op.mask());
    let input = cx.needs(0).then(|| grad.masked_fill(&mask, 0));
    let value = cx.needs(1).then(|| grad.masked_select(&mask)?.sum());
    [input, value].into_iter().map(Option::transpose).collect()
}
