//! The table: one line a function.

use std::sync::Arc;

use flambeau_autograd::{Function as CustomFunction, apply};
use flambeau_tensor::{DType, Result, Tensor, bail};

use super::Row;

macro_rules! rows {
    ($($name:ident [$($shape:expr),*] $($positive:ident)? |$x:ident| $body:expr;)*) => {
        &[$(Row {
            name: stringify!($name),
            shapes: &[$(&$shape),*],
            positive: rows!(@positive $($positive)?),
            function: |$x| $body,
        }),*]
    };
    (@positive positive) => { true };
    (@positive) => { false };
}

pub(super) const ROWS: &[Row] = rows! {
    // Functions of one tensor.
    neg [[2, 3]] |x| x[0].neg();
    exp [[2, 3]] |x| x[0].exp();
    log [[2, 3]] positive |x| x[0].log();
    sqrt [[2, 3]] positive |x| x[0].sqrt();
    sin [[2, 3]] |x| x[0].sin();
    cos [[2, 3]] |x| x[0].cos();
    tanh [[2, 3]] |x| x[0].tanh();
    sigmoid [[2, 3]] |x| x[0].sigmoid();
    scalars [[2, 3]] |x| x[0].add(1.5)?.mul(-0.5)?.sub(2.0)?.div(3.0);
    custom [[2, 3]] |x| Ok(apply(Arc::new(Cube), &[&x[0]])?.remove(0));
    cast [[2, 3]] |x| x[0].mul(&x[0])?.to_dtype(DType::F64)?.to_dtype(DType::F64)?.mul(&widened(&x[0])?);
    // Functions of two tensors, broadcast on either side, and of one tensor twice.
    add [[2, 3], [3]] |x| x[0].add(&x[1]);
    sub [[2, 1], [2, 3]] |x| x[0].sub(&x[1]);
    mul [[2, 1, 3], [4, 1]] |x| x[0].mul(&x[1]);
    div [[2, 3], [1, 3]] positive |x| x[0].div(&x[1]);
    twice [[2, 3]] |x| x[0].mul(&x[0])?.add(&x[0]);
    // Shapes.
    reshape [[2, 6]] |x| x[0].reshape((3, 4))?.exp();
    permute [[2, 3, 4]] |x| x[0].permute([2, 0, 1])?.sin();
    expand [[2, 1, 3]] |x| x[0].expand((4, 2, 2, 3))?.sin();
    slice [[5, 4]] |x| x[0].slice(0, Some(1), None, 2)?.exp();
    cat [[2, 3], [2, 2]] |x| Tensor::cat(&[&x[0], &x[1], &x[0]], 1)?.sin();
    // Sums and products.
    sum [[2, 3, 2]] |x| x[0].sin()?.sum_dim([0, 2], true);
    matmul [[3, 2], [2, 4]] |x| x[0].matmul(&x[1]);
    batched_matmul [[2, 1, 3, 2], [3, 2, 4]] |x| x[0].matmul(&x[1]);
    matrix_vector [[2, 3, 4], [4]] |x| x[0].matmul(&x[1]);
};

/// `x` through `float32` would lose digits; through no other type can a `float64` go and come back, so the cast is
/// recorded by adding a `float32` zero made from it.
fn widened(x: &Tensor) -> Result<Tensor> {
    x.add(&x.to_dtype(DType::F32)?.mul(0.0)?)
}

/// `x³` with its own rule.
struct Cube;

impl CustomFunction for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].mul(&inputs[0])?.mul(&inputs[0])?])
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &[Tensor],
        grads: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let Some(Some(grad)) = grads.first() else {
            bail!(Autograd, "cube: no gradient")
        };
        Ok(vec![Some(grad.mul(&inputs[0].mul(&inputs[0])?.mul(3.0)?)?)])
    }
}
