//! The focal loss (`sigmoid_focal_loss`): `-αₜ·(1 - pₜ)^γ·log pₜ`, where pₜ is the probability of what is true.

use flambeau_tensor::ops::loss::{Reduction, binary_cross_entropy_with_logits};
use flambeau_tensor::{Result, Tensor, ensure};

/// Options of [`sigmoid_focal_loss`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct FocalLossOptions {
    /// The weight of what is there; 1 less it is that of what is not. -1 for no weights.
    pub alpha: f64,
    /// How much what is classified well counts less.
    pub gamma: f64,
    /// What becomes of the losses of elements.
    pub reduction: Reduction,
}

impl Default for FocalLossOptions {
    fn default() -> Self {
        FocalLossOptions {
            alpha: 0.25,
            gamma: 2.0,
            reduction: Reduction::None,
        }
    }
}

/// The focal loss of logits against targets of 0 and 1 (Lin et al., 2017).
///
/// # Errors
/// `Shape` if the shapes differ; `Value` for another `alpha` than 0 to 1 or -1.
pub fn sigmoid_focal_loss(inputs: &Tensor, targets: &Tensor, options: &FocalLossOptions) -> Result<Tensor> {
    let FocalLossOptions {
        alpha,
        gamma,
        reduction,
    } = *options;
    ensure!(
        (0.0..=1.0).contains(&alpha) || alpha == -1.0,
        Value,
        "sigmoid_focal_loss: expected an alpha from 0 to 1, or -1 for none, got {alpha}"
    );
    let entropy = binary_cross_entropy_with_logits(inputs, targets, None, None, Reduction::None)?;
    let absent = targets.rsub(1.0)?;
    let p = inputs.sigmoid()?;
    let p_true = p.mul(targets)?.add(&p.rsub(1.0)?.mul(&absent)?)?;
    let mut loss = entropy.mul(&p_true.rsub(1.0)?.pow(gamma)?)?;
    if alpha >= 0.0 {
        let weight = targets.mul(alpha)?.add(&absent.mul(1.0 - alpha)?)?;
        loss = weight.mul(&loss)?;
    }
    reduction.apply(&loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_focus_it_is_cross_entropy() {
        let inputs = Tensor::new([0.3f64, -2.0, 1.5]).unwrap();
        let targets = Tensor::new([1.0f64, 0.0, 0.0]).unwrap();
        let options = FocalLossOptions {
            alpha: -1.0,
            gamma: 0.0,
            reduction: Reduction::Sum,
        };
        let loss = sigmoid_focal_loss(&inputs, &targets, &options).unwrap();
        let entropy =
            binary_cross_entropy_with_logits(&inputs, &targets, None, None, Reduction::Sum).unwrap();
        assert!(loss.allclose(&entropy, 1e-12, 1e-12, false).unwrap());
        let wrong = FocalLossOptions {
            alpha: 2.0,
            ..options
        };
        assert!(sigmoid_focal_loss(&inputs, &targets, &wrong).is_err());
    }
}
