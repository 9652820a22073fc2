//! What `torch.nn.utils` has: clipping gradients, parameters as one vector, sequences of different lengths, parameters
//! that are computed from others ([`parametrize`], [`prune`]), layers and norms made one ([`fusion`]); and
//! `update_bn` of `torch.optim.swa_utils`.

pub mod fusion;
pub mod parametrizations;
pub mod parametrize;
pub mod prune;
pub mod rnn;
mod update_bn;

use flambeau_tensor::{Result, Tensor, bail, ensure, no_grad};

pub use update_bn::update_bn;

pub use crate::init::skip as skip_init;

/// The norm of all tensors together, as if they were one vector; `norm_type` may be infinite. Of gradients, it is what
/// [`clip_grads_with_norm_`] takes.
///
/// # Errors
/// `Value` if the norm is NaN or infinite and `error_if_nonfinite`; `DType` if the tensors are not of floating point types.
pub fn get_total_norm(tensors: &[Tensor], norm_type: f64, error_if_nonfinite: bool) -> Result<Tensor> {
    no_grad(|| {
        let Some(first) = tensors.first() else {
            return Tensor::new(0.0f32);
        };
        let mut norms = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let norm = tensor.reshape(-1)?.vector_norm(norm_type, 0, true)?;
            norms.push(norm.to_dtype(first.dtype())?);
        }
        let total = Tensor::cat(&norms, 0)?.vector_norm(norm_type, 0, false)?;
        let value = total.item_f64()?;
        ensure!(
            value.is_finite() || !error_if_nonfinite,
            Value,
            "get_total_norm: the norm of order {norm_type} is {value}, so gradients cannot be clipped by it"
        );
        Ok(total)
    })
}

/// Scales all gradients down, in place, so that their norm together is at most `max_norm` (Pascanu et al., 2012).
/// Returns the norm before.
///
/// # Errors
/// As [`get_total_norm`].
pub fn clip_grad_norm_(
    parameters: &[Tensor],
    max_norm: f64,
    norm_type: f64,
    error_if_nonfinite: bool,
) -> Result<Tensor> {
    let grads: Vec<Tensor> = parameters.iter().filter_map(Tensor::grad).collect();
    let total = get_total_norm(&grads, norm_type, error_if_nonfinite)?;
    clip_grads_with_norm_(parameters, max_norm, &total)?;
    Ok(total)
}

/// Scales all gradients down, in place, by what makes `total_norm`, a number, at most `max_norm`.
///
/// # Errors
/// `Broadcast` if the norm is more than one number.
pub fn clip_grads_with_norm_(parameters: &[Tensor], max_norm: f64, total_norm: &Tensor) -> Result<()> {
    no_grad(|| {
        // As PyTorch, multiply by at most one instead of asking: then nothing depends on a branch.
        let factor = total_norm
            .add(1e-6)?
            .reciprocal()?
            .mul(max_norm)?
            .clamp_max(1.0)?;
        for grad in parameters.iter().filter_map(Tensor::grad) {
            grad.mul_(&factor.to_dtype(grad.dtype())?)?;
        }
        Ok(())
    })
}

/// Limits every element of the gradients to `±clip_value`, in place.
///
/// # Errors
/// `Value` if `clip_value` is negative.
pub fn clip_grad_value_(parameters: &[Tensor], clip_value: f64) -> Result<()> {
    ensure!(
        clip_value >= 0.0,
        Value,
        "clip_grad_value_: expected a limit of at least 0, got {clip_value}"
    );
    no_grad(|| {
        for grad in parameters.iter().filter_map(Tensor::grad) {
            grad.clamp_(Some((-clip_value).into()), Some(clip_value.into()))?;
        }
        Ok(())
    })
}

/// All parameters' elements one after the other, `[elements]`; differentiable.
///
/// # Errors
/// `Value` if there are none.
pub fn parameters_to_vector(parameters: &[Tensor]) -> Result<Tensor> {
    ensure!(
        !parameters.is_empty(),
        Value,
        "parameters_to_vector: there are no parameters"
    );
    let flat: Vec<Tensor> = parameters
        .iter()
        .map(|parameter| parameter.reshape(-1))
        .collect::<Result<_>>()?;
    Tensor::cat(&flat, 0)
}

/// Copies the elements of a vector into the parameters, in the order of [`parameters_to_vector`].
///
/// # Errors
/// `Shape` if the vector has another number of elements than the parameters together.
pub fn vector_to_parameters(vector: &Tensor, parameters: &[Tensor]) -> Result<()> {
    let wanted: usize = parameters.iter().map(Tensor::numel).sum();
    if vector.shape() != [wanted] {
        bail!(
            Shape,
            "vector_to_parameters: expected a vector of {wanted} elements, got {:?}",
            vector.shape()
        );
    }
    let mut start = 0usize;
    no_grad(|| {
        for parameter in parameters {
            let part = vector.detach().narrow(0, start as isize, parameter.numel())?;
            parameter.copy_(&part.reshape(parameter.shape())?)?;
            start += parameter.numel();
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Vec<Tensor> {
        [[3.0f32, 0.0], [0.0, -4.0]]
            .map(|grad| {
                let parameter = Tensor::new([1.0f32, 2.0]).unwrap().requires_grad(true).unwrap();
                parameter.set_grad(Some(Tensor::new(grad).unwrap())).unwrap();
                parameter
            })
            .to_vec()
    }

    #[test]
    fn gradients_are_clipped_together() {
        let grads = |all: &[Tensor]| -> Vec<f32> {
            all.iter()
                .flat_map(|p| p.grad().unwrap().to_vec::<f32>().unwrap())
                .collect()
        };
        let all = parameters();
        assert_eq!(
            clip_grad_norm_(&all, 10.0, 2.0, true)
                .unwrap()
                .item::<f32>()
                .unwrap(),
            5.0
        );
        assert_eq!(grads(&all), [3.0, 0.0, 0.0, -4.0]);
        clip_grad_norm_(&all, 1.0, 2.0, true).unwrap();
        let clipped = grads(&all);
        assert!(
            (clipped[0] - 0.6).abs() < 1e-6 && (clipped[3] + 0.8).abs() < 1e-6,
            "{clipped:?}"
        );
        let all = parameters();
        let of_grads: Vec<Tensor> = all.iter().filter_map(Tensor::grad).collect();
        assert_eq!(
            get_total_norm(&of_grads, f64::INFINITY, true)
                .unwrap()
                .item::<f32>()
                .unwrap(),
            4.0
        );
        clip_grad_value_(&all, 3.5).unwrap();
        assert_eq!(grads(&all), [3.0, 0.0, 0.0, -3.5]);
        all[0]
            .set_grad(Some(Tensor::new([f32::NAN, 0.0]).unwrap()))
            .unwrap();
        assert!(
            clip_grad_norm_(&all, 1.0, 2.0, true)
                .unwrap_err()
                .to_string()
                .contains("NaN")
        );
        assert!(clip_grad_norm_(&all, 1.0, 2.0, false).is_ok());
    }

    #[test]
    fn parameters_go_into_a_vector_and_back() {
        let all = parameters();
        assert_eq!(
            parameters_to_vector(&all).unwrap().to_vec::<f32>().unwrap(),
            [1.0, 2.0, 1.0, 2.0]
        );
        vector_to_parameters(&Tensor::new([5.0f32, 6.0, 7.0, 8.0]).unwrap(), &all).unwrap();
        assert_eq!(all[1].to_vec::<f32>().unwrap(), [7.0, 8.0]);
        let error = vector_to_parameters(&Tensor::new([5.0f32]).unwrap(), &all)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "vector_to_parameters: expected a vector of 4 elements, got [1]"
        );
    }
}
