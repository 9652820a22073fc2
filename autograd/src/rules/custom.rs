//! Rule of user-defined functions: their own `backward`.

use flambeau_tensor::ops::custom::CustomOp;
use flambeau_tensor::{Result, Tensor, ensure};

use super::{Context, Grads};

pub(super) fn backward(op: &CustomOp, cx: &Context<'_>) -> Result<Grads> {
    let inputs: Vec<Tensor> = op.inputs.iter().map(|s| cx.tensor(s)).collect();
    let outputs: Vec<Tensor> = op.outputs.iter().map(|s| cx.tensor(s)).collect();
    let grads = op.function.backward(&inputs, &outputs, cx.grads)?;
    let (got, wanted) = (grads.len(), cx.node.inputs().len());
    ensure!(
        got == wanted,
        Autograd,
        "backward of {}: {got} gradients for {wanted} inputs",
        op.function.name()
    );
    Ok(grads.into())
}
