//! Wrong calls: gradients.

use std::sync::Arc;

use flambeau_autograd::functional::{hessian, hvp, jacobian, jvp, vjp};
use flambeau_autograd::{Backward, Function, GradOptions, apply, checkpoint, grad, gradcheck, no_grad};
use flambeau_tensor::{DType, Result, Tensor, bail};

use super::table::counting;

/// `x` of two elements whose gradient is wanted.
fn leaf() -> Tensor {
    counting(&[2], DType::F64).requires_grad(true).unwrap()
}

/// A function whose rule gives as many gradients as it is told, or one of another shape.
struct Broken(usize, &'static [usize]);

impl Function for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(inputs.to_vec())
    }

    fn backward(&self, _: &[Tensor], _: &[Tensor], _: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        (0..self.0)
            .map(|_| Tensor::ones(self.1, DType::F64).map(Some))
            .collect()
    }
}

fn through(function: Broken) -> Result<()> {
    apply(Arc::new(function), &[&leaf()])?[0].sum()?.backward()
}

/// Backward through one graph a second time.
fn twice(options: GradOptions) -> Result<()> {
    let y = leaf().exp()?.sum()?;
    y.backward_with(None, options)?;
    y.backward()?;
    y.backward()
}

fn sum_of_squares(x: &[Tensor]) -> Result<Vec<Tensor>> {
    Ok(vec![x[0].mul(&x[0])?.sum()?])
}

fn squares(x: &[Tensor]) -> Result<Vec<Tensor>> {
    Ok(vec![x[0].mul(&x[0])?])
}

#[rustfmt::skip]
pub(crate) fn faults() -> Vec<(String, Option<String>)> {
    let (x, v, i) = (leaf(), counting(&[3], DType::F64), counting(&[3], DType::I64));
    let y = x.mul(2.0).unwrap();
    let options = GradOptions::default();
    refused! {
        "backward" v.sum().and_then(|s| s.backward()) => "[]", "tracked";
        "backward" y.backward() => "[2]", "gradient";
        "backward" no_grad(|| x.sum()).and_then(|s| s.backward()) => "tracked";
        "backward" y.detach().backward() => "tracked";
        "backward" y.backward_with(Some(&v), options) => "[3]", "[2]";
        "backward" y.backward_with(Some(&counting(&[2, 1], DType::F64)), options) => "[2, 1]", "[2]";
        "backward" twice(options) => "retain_graph";
        "backward" twice(GradOptions { retain_graph: true, ..options }) => "retain_graph";
        "requires_grad" i.requires_grad(true) => "int64";
        "requires_grad" counting(&[2], DType::Bool).requires_grad(true) => "bool";
        "requires_grad" y.requires_grad(false) => "detach";
        "retain_grad" v.retain_grad() => "tracked";
        "register_hook" v.register_hook(|_| Ok(None)) => "tracked";
        "register_post_accumulate_grad_hook" y.register_post_accumulate_grad_hook(|_| Ok(())) => "leaf";
        "set_grad" x.set_grad(Some(v.clone())) => "[3]", "[2]";
        "set_grad" x.set_grad(Some(counting(&[2], DType::F32))) => "float32", "float64";
        "grad" grad(&[&y.sum().unwrap()], &[&leaf()], &[], options) => "input 0", "[2]", "allow_unused";
        "grad" grad(&[&y.sum().unwrap()], &[&x, &v], &[], options) => "input 1", "[3]";
        "grad" grad(&[&y], &[&x], &[], options) => "[2]", "gradient";
        "grad" grad(&[&y], &[&x], &[Some(&v)], options) => "[3]", "[2]";
        "grad" grad(&[&y], &[&x], &[None, None], options) => "2 gradients", "1 outputs";
        "grad" grad(&[&v.sum().unwrap()], &[&x], &[], options) => "tracked";
        "add_" x.add_(1.0) => "leaf", "no_grad";
        "mul_" x.mul_(2.0) => "leaf";
        "zero_" x.zero_() => "leaf";
        "copy_" x.copy_(&v) => "leaf";
        "set" x.set(0, 1.0) => "leaf";
        "broken" through(Broken(2, &[2])) => "2", "1";
        "broken" through(Broken(0, &[2])) => "0", "1";
        "broken" through(Broken(1, &[3])) => "[3]", "[2]";
        "checkpoint" checkpoint(|| bail!(Value, "checkpoint: refused inside")) => "inside";
        "vjp" vjp(squares, &[&v], &[]) => "0 vectors", "1 results";
        "vjp" vjp(squares, &[&v], &[&x.detach()]) => "[2]", "[3]";
        "vjp" vjp(squares, &[&i], &[&v]) => "int64";
        "jvp" jvp(squares, &[&v], &[]) => "0 vectors", "1 inputs";
        "jvp" jvp(squares, &[&v], &[&x.detach()]) => "[2]", "[3]";
        "jacobian" jacobian(squares, &[&i]) => "int64";
        "hessian" hessian(squares, &[&v]) => "[3]";
        "hessian" hessian(|x| Ok([squares(x)?, squares(x)?].concat()), &[&v]) => "2";
        "hvp" hvp(sum_of_squares, &[&v], &[]) => "0 vectors", "1 inputs";
        "hvp" hvp(sum_of_squares, &[&v], &[&x.detach()]) => "[2]", "[3]";
        "hvp" hvp(squares, &[&v], &[&v]) => "[3]";
        "gradcheck" gradcheck(squares, std::slice::from_ref(&v), Default::default()) => "requires a gradient";
    }
}
