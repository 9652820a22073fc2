//! Rule of user-defined functions: their own `backward`.

use flambeau_tensor::ops::custom::CustomOp;
use flambeau_tensor::{Result, Tensor, bail};

use super::{Context, Grads};

pub(super) fn backward(op: &CustomOp, cx: &Context<'_>) -> Result<Grads> {
    let inputs: Vec<Tensor> = op.inputs.iter().map(|s| cx.tensor(s)).collect();
    let outputs: Vec<Tensor> = op.outputs.iter().map(|s| cx.tensor(s)).collect();
    let grads = op.function.backward(&inputs, &outputs, cx.grads)?;
    if grads.len() != inputs.len() {
        bail!(
            Autograd,
            "backward of {}: {} gradients for {} inputs",
            op.function.name(),
            grads.len(),
            inputs.len()
        );
    }
    Ok(grads.into())
}
