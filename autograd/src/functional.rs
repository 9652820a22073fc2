//! Derivatives of functions (`torch.autograd.functional`): vector–Jacobian and Jacobian–vector products, Jacobians,
//! Hessians and their products with vectors.
//!
//! The functions here take their point as plain tensors: they make leaves of their own and leave [`Tensor::grad`] alone.

use flambeau_tensor::{Result, Tensor, bail, enable_grad, ensure};

use crate::{GradOptions, grad};

/// A function of several tensors with several results.
pub trait TensorFunction: Fn(&[Tensor]) -> Result<Vec<Tensor>> {}

impl<F: Fn(&[Tensor]) -> Result<Vec<Tensor>>> TensorFunction for F {}

/// Gradients that are recorded themselves, zeros where the result does not depend on the input.
fn recorded_gradients(
    op: &str,
    outputs: &[&Tensor],
    inputs: &[&Tensor],
    given: &[Option<&Tensor>],
) -> Result<Vec<Tensor>> {
    let options = GradOptions {
        create_graph: true,
        allow_unused: true,
        ..GradOptions::default()
    };
    let tracked: Vec<usize> = (0..outputs.len()).filter(|&i| outputs[i].is_tracked()).collect();
    let roots: Vec<&Tensor> = tracked.iter().map(|&i| outputs[i]).collect();
    let given: Vec<Option<&Tensor>> = if given.is_empty() {
        Vec::new()
    } else {
        tracked.iter().map(|&i| given[i]).collect()
    };
    let grads = grad(&roots, inputs, &given, options).map_err(|error| error.context(op))?;
    grads
        .into_iter()
        .zip(inputs)
        .map(|(g, x)| g.map_or_else(|| x.zeros_like(), Ok))
        .collect()
}

fn leaves(op: &str, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let leaf = |x: &&Tensor| x.detach().requires_grad(true);
    let leaves: Result<_> = inputs.iter().map(leaf).collect();
    leaves.map_err(|error| error.context(op))
}

fn detached(tensors: Vec<Tensor>) -> Vec<Tensor> {
    tensors.iter().map(Tensor::detach).collect()
}

/// The results of `f` and the product of `vectors` (one per result) with its Jacobian: one tensor per input.
///
/// # Errors
/// `Shape` if a vector does not fit its result; the errors of `f`.
pub fn vjp(
    f: impl TensorFunction,
    inputs: &[&Tensor],
    vectors: &[&Tensor],
) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    enable_grad(|| {
        let inputs = leaves("vjp", inputs)?;
        let outputs = f(&inputs)?;
        let (got, wanted) = (vectors.len(), outputs.len());
        ensure!(got == wanted, Shape, "vjp: {got} vectors for {wanted} results");
        let given: Vec<Option<&Tensor>> = vectors.iter().copied().map(Some).collect();
        let refs: Vec<&Tensor> = inputs.iter().collect();
        let grads = recorded_gradients("vjp", &outputs.iter().collect::<Vec<_>>(), &refs, &given)?;
        Ok((detached(outputs), detached(grads)))
    })
}

/// The results of `f` and the product of its Jacobian with `vectors` (one per input): one tensor per result. Computed as
/// the gradient of [`vjp`], which is linear in its vectors.
///
/// # Errors
/// `Shape` if a vector does not fit its input; the errors of `f`.
pub fn jvp(
    f: impl TensorFunction,
    inputs: &[&Tensor],
    vectors: &[&Tensor],
) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    let (got, wanted) = (vectors.len(), inputs.len());
    ensure!(got == wanted, Shape, "jvp: {got} vectors for {wanted} inputs");
    enable_grad(|| {
        let inputs = leaves("jvp", inputs)?;
        let outputs = f(&inputs)?;
        let dummies: Vec<Tensor> = outputs
            .iter()
            .map(|o| o.zeros_like()?.requires_grad(true))
            .collect::<Result<_>>()?;
        let given: Vec<Option<&Tensor>> = dummies.iter().map(Some).collect();
        let refs: Vec<&Tensor> = inputs.iter().collect();
        let pulled = recorded_gradients("jvp", &outputs.iter().collect::<Vec<_>>(), &refs, &given)?;
        let given: Vec<Option<&Tensor>> = vectors.iter().copied().map(Some).collect();
        let pushed = recorded_gradients(
            "jvp",
            &pulled.iter().collect::<Vec<_>>(),
            &dummies.iter().collect::<Vec<_>>(),
            &given,
        )?;
        Ok((detached(outputs), detached(pushed)))
    })
}

/// The Jacobian of each result of `f` with respect to each input: `jacobian[result][input]`, of the result's shape
/// followed by the input's.
///
/// # Errors
/// The errors of `f`.
pub fn jacobian(f: impl TensorFunction, inputs: &[&Tensor]) -> Result<Vec<Vec<Tensor>>> {
    enable_grad(|| {
        let inputs = leaves("jacobian", inputs)?;
        let outputs = f(&inputs)?;
        outputs
            .iter()
            .map(|output| Ok(detached(jacobian_of("jacobian", output, &inputs)?)))
            .collect()
    })
}

/// The recorded Jacobian of one result, row by row.
fn jacobian_of(op: &str, output: &Tensor, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let refs: Vec<&Tensor> = inputs.iter().collect();
    let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); inputs.len()];
    for row in 0..output.numel() {
        let element = output.reshape(output.numel())?.select(0, row as isize)?;
        for (rows, grad) in rows
            .iter_mut()
            .zip(recorded_gradients(op, &[&element], &refs, &[])?)
        {
            rows.push(grad.unsqueeze(0)?);
        }
    }
    let stacked = rows.iter().zip(inputs).map(|(rows, input)| {
        let shape: Vec<usize> = output.shape().iter().chain(input.shape()).copied().collect();
        if rows.is_empty() {
            return Tensor::zeros(shape, input.dtype());
        }
        Tensor::cat(&rows.iter().collect::<Vec<_>>(), 0)?.reshape(shape)
    });
    stacked.collect()
}

/// The Hessian of the one-element result of `f`: `hessian[i][j]`, of the shape of input `i` followed by that of `j`.
///
/// # Errors
/// `Shape` if `f` does not give one element; the errors of `f`.
pub fn hessian(f: impl TensorFunction, inputs: &[&Tensor]) -> Result<Vec<Vec<Tensor>>> {
    enable_grad(|| {
        let inputs = leaves("hessian", inputs)?;
        let output = scalar_output("hessian", f(&inputs)?)?;
        let refs: Vec<&Tensor> = inputs.iter().collect();
        let first = recorded_gradients("hessian", &[&output], &refs, &[])?;
        first
            .iter()
            .map(|g| Ok(detached(jacobian_of("hessian", g, &inputs)?)))
            .collect()
    })
}

/// The one-element result of `f` and the product of its Hessian with `vectors`: one tensor per input. The Hessian is
/// symmetric, so this is PyTorch's `vhp` too.
///
/// # Errors
/// `Shape` if `f` does not give one element or a vector does not fit its input; the errors of `f`.
pub fn hvp(f: impl TensorFunction, inputs: &[&Tensor], vectors: &[&Tensor]) -> Result<(Tensor, Vec<Tensor>)> {
    let (got, wanted) = (vectors.len(), inputs.len());
    ensure!(got == wanted, Shape, "hvp: {got} vectors for {wanted} inputs");
    enable_grad(|| {
        let inputs = leaves("hvp", inputs)?;
        let output = scalar_output("hvp", f(&inputs)?)?;
        let refs: Vec<&Tensor> = inputs.iter().collect();
        let first = recorded_gradients("hvp", &[&output], &refs, &[])?;
        let given: Vec<Option<&Tensor>> = vectors.iter().copied().map(Some).collect();
        let product = recorded_gradients("hvp", &first.iter().collect::<Vec<_>>(), &refs, &given)?;
        Ok((output.detach(), detached(product)))
    })
}

fn scalar_output(op: &str, outputs: Vec<Tensor>) -> Result<Tensor> {
    match <[Tensor; 1]>::try_from(outputs) {
        Ok([output]) if output.numel() == 1 => Ok(output),
        Ok([output]) => bail!(
            Shape,
            "{op}: expected a result of one element, got {:?}",
            output.shape()
        ),
        Err(outputs) => bail!(Shape, "{op}: expected one result, got {}", outputs.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(x·y, sum x²)` elementwise and summed.
    fn f(x: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![x[0].mul(&x[1])?, x[0].mul(&x[0])?.sum()?])
    }

    fn point() -> [Tensor; 2] {
        [
            Tensor::new([1.0f64, 2.0]).unwrap(),
            Tensor::new([3.0f64, 4.0]).unwrap(),
        ]
    }

    #[test]
    fn products_with_the_jacobian() {
        let [x, y] = point();
        let (v, w) = (Tensor::new([1.0f64, 10.0]).unwrap(), Tensor::scalar(2.0f64));
        let (outputs, grads) = vjp(f, &[&x, &y], &[&v, &w]).unwrap();
        assert_eq!(outputs[0].to_vec::<f64>().unwrap(), [3.0, 8.0]);
        assert_eq!(grads[0].to_vec::<f64>().unwrap(), [3.0 + 4.0, 40.0 + 8.0]);
        assert_eq!(grads[1].to_vec::<f64>().unwrap(), [1.0, 20.0]);
        let (_, pushed) = jvp(f, &[&x, &y], &[&v, &Tensor::new([0.0f64, 1.0]).unwrap()]).unwrap();
        assert_eq!(pushed[0].to_vec::<f64>().unwrap(), [3.0, 42.0]);
        assert_eq!(pushed[1].item::<f64>().unwrap(), 2.0 + 40.0);
    }

    #[test]
    fn jacobian_and_hessian() {
        let [x, y] = point();
        let j = jacobian(f, &[&x, &y]).unwrap();
        assert_eq!(j[0][0].shape(), [2, 2]);
        assert_eq!(j[0][0].to_vec::<f64>().unwrap(), [3.0, 0.0, 0.0, 4.0]);
        assert_eq!(j[1][1].to_vec::<f64>().unwrap(), [0.0, 0.0]);
        let cubic = |x: &[Tensor]| Ok(vec![x[0].mul(&x[0])?.mul(&x[1])?.sum()?]);
        let h = hessian(cubic, &[&x, &y]).unwrap();
        assert_eq!(h[0][0].to_vec::<f64>().unwrap(), [6.0, 0.0, 0.0, 8.0]);
        assert_eq!(h[0][1].to_vec::<f64>().unwrap(), [2.0, 0.0, 0.0, 4.0]);
        let ones = Tensor::new([1.0f64, 1.0]).unwrap();
        let (_, product) = hvp(cubic, &[&x, &y], &[&ones, &ones]).unwrap();
        assert_eq!(product[0].to_vec::<f64>().unwrap(), [8.0, 12.0]);
    }
}
