//! Rule of convolutions: the gradients of each of the three parts of `⟨g, x ∗ w⟩` are the other two parts.

use flambeau_tensor::ops::conv::{ConvOp, ConvPart, convolution};
use flambeau_tensor::{Result, Tensor};

use super::{Context, Grads};

pub(super) fn backward(op: &ConvOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let order = |part: ConvPart| match part {
        ConvPart::Input => 0,
        ConvPart::Output => 1,
        ConvPart::Weight => 2,
    };
    let mut grads = Grads::new();
    for (i, wanted) in op.part.operands().into_iter().enumerate() {
        if !cx.needs(i) {
            grads.push(None);
            continue;
        }
        // The gradient stands for `op.part`, the other operand for its own part; a part takes the two in this order.
        let (other, saved) = match i {
            0 => (op.part.operands()[1], &op.rhs),
            _ => (op.part.operands()[0], &op.lhs),
        };
        let saved = cx.kept(saved)?;
        let (lhs, rhs) = if order(op.part) < order(other) {
            (grad, &saved)
        } else {
            (&saved, grad)
        };
        grads.push(Some(convolution(&op.geometry, wanted, lhs, rhs, None)?));
    }
    if cx.node.inputs().len() == 3 {
        grads.push(if cx.needs(2) {
            Some(channel_sums(grad)?)
        } else {
            None
        });
    }
    Ok(grads)
}

/// The sum over all dimensions but the channels': the gradient of a bias.
fn channel_sums(grad: &Tensor) -> Result<Tensor> {
    let dims: Vec<isize> = (0..grad.rank() as isize).filter(|&d| d != 1).collect();
    grad.sum_dim(dims, false)
}
