//! Running statistics of batch norms computed anew (`torch.optim.swa_utils.update_bn`).

use flambeau_tensor::{Result, no_grad};

use crate::Module;
use crate::layers::with_plain_averages;
use crate::module::own;

/// Computes the running statistics of all batch norms in `model` anew, as plain averages over `batches`: after its
/// parameters were replaced, e.g. by averages over training (Izmailov et al., 2018). `forward` runs the model on a batch.
/// Does nothing if there are no batch norms.
///
/// ```
/// use flambeau_nn::utils::update_bn;
/// use flambeau_nn::{BatchNorm1d, Forward, Module};
/// use flambeau_tensor::{Result, Tensor};
///
/// # fn main() -> Result<()> {
/// let model = BatchNorm1d::new(1, Default::default())?;
/// let batches = [[[1.0f32], [3.0]], [[2.0], [6.0]]].map(Tensor::new);
/// update_bn(&model, batches, |x| model.forward(&x).map(drop))?;
/// assert_eq!(model.state_dict()["running_mean"].to_vec::<f32>()?, [3.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of the batches and of `forward`.
pub fn update_bn<B>(
    model: &dyn Module,
    batches: impl IntoIterator<Item = Result<B>>,
    mut forward: impl FnMut(B) -> Result<()>,
) -> Result<()> {
    let modules = model.named_modules();
    let norms = || {
        let modules = modules.iter().map(|(_, module)| *module);
        modules.filter(|module| module.name().contains("BatchNorm"))
    };
    if norms().next().is_none() {
        return Ok(());
    }
    no_grad(|| {
        for norm in norms() {
            for (name, buffer) in own(norm).buffers {
                buffer.fill_(if name == "running_var" { 1 } else { 0 })?;
            }
        }
        let was_training = model.is_training();
        model.train();
        let done = with_plain_averages(|| batches.into_iter().try_for_each(|batch| forward(batch?)));
        model.set_training(was_training);
        done
    })
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::Tensor;

    use super::*;
    use crate::{BatchNorm1d, Forward, Linear, ReLU, Sequential};

    fn values(model: &dyn Module, name: &str) -> Vec<f64> {
        model.state_dict()[name].to_vec_f64().unwrap()
    }

    #[test]
    fn statistics_are_averages_over_all_batches() {
        let model = Sequential::new()
            .push(BatchNorm1d::new(2, Default::default()).unwrap())
            .push(ReLU);
        let batch = |scale: f32| Tensor::new([[1.0 * scale, 0.0], [3.0 * scale, 4.0]]);
        model.forward(&batch(100.0).unwrap()).unwrap();
        model.eval();
        let run = |x: Tensor| model.forward(&x).map(drop);
        update_bn(&model, [1.0, 2.0, 3.0].map(batch), run).unwrap();
        assert_eq!(values(&model, "0.running_mean"), [4.0, 2.0]);
        let variances = values(&model, "0.running_var"); // of 2, 8 and 18; and thrice of 8
        assert!(
            (variances[0] - 28.0 / 3.0).abs() < 1e-5 && (variances[1] - 8.0).abs() < 1e-5,
            "{variances:?}"
        );
        assert_eq!(values(&model, "0.num_batches_tracked"), [3.0]);
        assert!(!model.is_training());
        // Afterwards batches weigh as the norm's momentum says.
        model.train();
        model.forward(&batch(14.0).unwrap()).unwrap();
        assert!((values(&model, "0.running_mean")[0] - (0.9 * 4.0 + 0.1 * 28.0)).abs() < 1e-5);
    }

    #[test]
    fn an_error_leaves_the_training_mode() {
        let model = BatchNorm1d::new(2, Default::default()).unwrap();
        model.eval();
        let wrong = [Tensor::new([[1.0f32]])];
        assert!(update_bn(&model, wrong, |x| model.forward(&x).map(drop)).is_err());
        assert!(!model.is_training());
        let plain = Linear::new(2, 2, Default::default()).unwrap();
        let unused = [Tensor::new([[1.0f32]])];
        update_bn(&plain, unused, |_| panic!("there is nothing to be updated")).unwrap();
    }
}
