//! Gradients checked against finite differences (`torch.autograd.gradcheck`, `gradgradcheck`).

use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

use crate::{GradOptions, grad};

/// Step and tolerances of a check; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// The step of the central differences.
    pub eps: f64,
    /// The absolute tolerance.
    pub atol: f64,
    /// The tolerance relative to the numerical derivative.
    pub rtol: f64,
}

impl Default for CheckOptions {
    fn default() -> Self {
        CheckOptions {
            eps: 1e-6,
            atol: 1e-5,
            rtol: 1e-3,
        }
    }
}

/// Compares the gradients of `f` at `inputs`, element by element, with central differences. Inputs that require a
/// gradient must be of `float64`; outputs of other than floating point types are left out.
///
/// # Errors
/// `Autograd` with the first element that differs, or if an input to check is not `float64` or none requires a gradient;
/// else the errors of `f`.
pub fn gradcheck(
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    options: CheckOptions,
) -> Result<()> {
    let checked: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i].is_tracked()).collect();
    ensure!(
        !checked.is_empty(),
        Autograd,
        "gradcheck: no input requires a gradient"
    );
    for &i in &checked {
        let dtype = inputs[i].dtype();
        ensure!(
            dtype == DType::F64,
            Autograd,
            "gradcheck: input {i} is of {dtype}; finite differences need float64"
        );
    }
    let outputs = f(inputs)?;
    for (o, output) in outputs
        .iter()
        .enumerate()
        .filter(|(_, output)| output.dtype() == DType::F64)
    {
        let analytic = analytic_rows(output, inputs, &checked)?;
        for (&i, rows) in checked.iter().zip(&analytic) {
            let input = &inputs[i];
            for column in 0..input.numel() {
                let numeric = numeric_column(&f, inputs, i, column, o, options.eps)?;
                for (row, &n) in numeric.iter().enumerate() {
                    let a = rows[row][column];
                    let close = (a - n).abs() <= options.atol + options.rtol * n.abs();
                    ensure!(
                        close,
                        Autograd,
                        "gradcheck: d output {o}[{row}] / d input {i}[{column}] is {a:e}, finite differences give {n:e}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Checks the gradients of the gradients: [`gradcheck`] of the function that maps inputs and incoming gradients to the
/// inputs' gradients. The incoming gradients are fixed pseudo-random numbers.
///
/// # Errors
/// As [`gradcheck`].
pub fn gradgradcheck(
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    options: CheckOptions,
) -> Result<()> {
    let checked: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i].is_tracked()).collect();
    let outputs: Vec<Tensor> = no_grad(|| f(inputs))?;
    let mut all = inputs.to_vec();
    for (o, output) in outputs
        .iter()
        .enumerate()
        .filter(|(_, output)| output.dtype() == DType::F64)
    {
        let numbers: Vec<f64> = (0..output.numel()).map(|i| pseudo_random(i + 7919 * o)).collect();
        all.push(Tensor::from_vec(numbers, output.shape())?.requires_grad(true)?);
    }
    let first_grad = inputs.len();
    let first_order = |all: &[Tensor]| -> Result<Vec<Tensor>> {
        let (inputs, given) = all.split_at(first_grad);
        let outputs: Vec<Tensor> = f(inputs)?
            .into_iter()
            .filter(|o| o.dtype() == DType::F64)
            .collect();
        let tracked: Vec<(&Tensor, Option<&Tensor>)> = outputs
            .iter()
            .zip(given.iter().map(Some))
            .filter(|(o, _)| o.is_tracked())
            .collect();
        let (outputs, given): (Vec<_>, Vec<_>) = tracked.into_iter().unzip();
        let targets: Vec<&Tensor> = checked.iter().map(|&i| &inputs[i]).collect();
        let options = GradOptions {
            create_graph: true,
            allow_unused: true,
            ..GradOptions::default()
        };
        let grads = grad(&outputs, &targets, &given, options)?;
        grads
            .into_iter()
            .zip(targets)
            .map(|(g, t)| g.map_or_else(|| t.zeros_like(), Ok))
            .collect()
    };
    gradcheck(first_order, &all, options)
}

/// Row by row the Jacobian of `output` for each checked input: `[input][row][column]`.
fn analytic_rows(output: &Tensor, inputs: &[Tensor], checked: &[usize]) -> Result<Vec<Vec<Vec<f64>>>> {
    let targets: Vec<&Tensor> = checked.iter().map(|&i| &inputs[i]).collect();
    let mut rows = vec![Vec::new(); checked.len()];
    for row in 0..output.numel() {
        let mut unit = vec![0.0; output.numel()];
        unit[row] = 1.0;
        let unit = Tensor::from_vec(unit, output.shape())?;
        let options = GradOptions {
            retain_graph: true,
            allow_unused: true,
            ..GradOptions::default()
        };
        let grads = if output.is_tracked() {
            grad(&[output], &targets, &[Some(&unit)], options)?
        } else {
            vec![None; targets.len()]
        };
        for ((grad, target), rows) in grads.into_iter().zip(&targets).zip(&mut rows) {
            let grad = match grad {
                Some(grad) => grad,
                None => target.zeros_like()?,
            };
            if grad.shape() != target.shape() {
                bail!(
                    Autograd,
                    "gradcheck: gradient {:?} for an input {:?}",
                    grad.shape(),
                    target.shape()
                );
            }
            rows.push(grad.to_vec::<f64>()?);
        }
    }
    Ok(rows)
}

/// One column of the Jacobian by central differences.
fn numeric_column(
    f: &impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    input: usize,
    column: usize,
    output: usize,
    eps: f64,
) -> Result<Vec<f64>> {
    let at = |step: f64| -> Result<Vec<f64>> {
        let mut moved = inputs.to_vec();
        let mut numbers = inputs[input].to_vec::<f64>()?;
        numbers[column] += step;
        let changed = Tensor::from_vec(numbers, inputs[input].shape())?.requires_grad(true)?;
        // An input that is given twice is one variable: every place that holds it moves.
        for slot in moved.iter_mut().filter(|t| t.same(&inputs[input])) {
            *slot = changed.clone();
        }
        match f(&moved)?.get(output) {
            Some(output) => output.to_vec::<f64>(),
            None => bail!(
                Autograd,
                "gradcheck: the function gave fewer outputs the second time"
            ),
        }
    };
    let (above, below) = (at(eps)?, at(-eps)?);
    Ok(above
        .iter()
        .zip(&below)
        .map(|(a, b)| (a - b) / (2.0 * eps))
        .collect())
}

/// Numbers between -1 and 1 that look random and never change.
fn pseudo_random(i: usize) -> f64 {
    let x = (i as f64 * 12.9898 + 4.1414).sin() * 43758.5453;
    2.0 * (x - x.floor()) - 1.0
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::ops::custom::{Function, apply};

    use super::*;

    /// `x²` with a wrong gradient.
    struct Wrong;

    impl Function for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }

        fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
            Ok(vec![inputs[0].mul(&inputs[0])?])
        }

        fn backward(
            &self,
            inputs: &[Tensor],
            _: &[Tensor],
            grads: &[Option<Tensor>],
        ) -> Result<Vec<Option<Tensor>>> {
            let Some(Some(grad)) = grads.first() else {
                bail!(Autograd, "no gradient")
            };
            Ok(vec![Some(grad.mul(&inputs[0])?)])
        }
    }

    #[test]
    fn right_gradients_pass_and_wrong_ones_are_named() {
        let x = Tensor::new([0.5f64, -1.5]).unwrap().requires_grad(true).unwrap();
        let square = |x: &[Tensor]| Ok(vec![x[0].mul(&x[0])?]);
        gradcheck(square, std::slice::from_ref(&x), CheckOptions::default()).unwrap();
        gradgradcheck(square, std::slice::from_ref(&x), CheckOptions::default()).unwrap();
        let wrong = |x: &[Tensor]| apply(std::sync::Arc::new(Wrong), &[&x[0]]);
        let error = gradcheck(wrong, &[x], CheckOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("gradcheck: d output 0[0] / d input 0[0] is 5e-1"),
            "{error}"
        );
    }
}
