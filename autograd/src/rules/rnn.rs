//! Rule of recurrent sequences: a fused kernel runs the steps backwards; with `create_graph`, the steps are made again of
//! recorded operations, whose gradients can be differentiated.

use flambeau_tensor::ops::rnn::RnnOp;
use flambeau_tensor::{Result, Tensor, is_grad_enabled};

use super::{Context, Grads};
use crate::GradOptions;

pub(super) fn backward(op: &RnnOp, cx: &Context<'_>) -> Result<Grads> {
    if !is_grad_enabled() {
        return Ok(op.gradients(cx.grads)?.into_iter().map(Some).collect());
    }
    // Fresh names for the inputs: the gradients wanted are the partial ones, also if one input was made of another.
    let rename = |saved| {
        let input = cx.tensor(saved);
        input.reshape(input.shape())
    };
    let inputs: Vec<Tensor> = op.inputs.iter().map(rename).collect::<Result<_>>()?;
    let results = op.composite(&inputs)?;
    let with_grads = results
        .iter()
        .zip(cx.grads)
        .filter_map(|(r, g)| Some((r, Some(g.as_ref()?))));
    let (outputs, grads): (Vec<&Tensor>, Vec<Option<&Tensor>>) = with_grads.unzip();
    let wanted: Vec<usize> = (0..inputs.len()).filter(|&i| cx.needs(i)).collect();
    let targets: Vec<&Tensor> = wanted.iter().map(|&i| &inputs[i]).collect();
    let options = GradOptions {
        create_graph: true,
        allow_unused: true,
        ..GradOptions::default()
    };
    let found = crate::grad(&outputs, &targets, &grads, options)?;
    let mut all: Grads = smallvec::SmallVec::from_elem(None, inputs.len());
    for (i, grad) in wanted.into_iter().zip(found) {
        all[i] = grad;
    }
    Ok(all)
}
