//! `step/*`: steps of training: gradients forgotten, forward, loss, backward, the optimiser's step.

use anyhow::Result;
use flambeau_autograd::Backward;
use flambeau_nn::functional::{cross_entropy, mse_loss};
use flambeau_nn::{Forward, Module, Reduction};
use flambeau_optim::{Adam, AdamOptions, Optimizer, SGD, SGDOptions};
use flambeau_tensor::random::{Generator, Sample, manual_seed};
use flambeau_tensor::{DType, Result as TensorResult, Tensor};
use flambeau_vision::models::resnet18;

use crate::overhead::mlp;
use crate::workload::{Call, Workload};

/// All workloads of this group.
pub(crate) fn workloads() -> [Workload; 2] {
    [
        Workload::new("step/resnet18_b8_224", resnet18_step),
        Workload::new("step/mlp_4_128_128_2_b64_adam", mlp_step),
    ]
}

fn mlp_step() -> Result<Call> {
    let model = mlp()?;
    let mut g = Generator::new(0);
    let (x, y) = (g.randn((64, 4), DType::F32)?, g.randn((64, 2), DType::F32)?);
    let optimizer = Adam::new(model.parameters(), AdamOptions::default())?;
    Ok(step(optimizer, move || {
        mse_loss(&model.forward(&x)?, &y, Reduction::Mean)
    }))
}

fn resnet18_step() -> Result<Call> {
    manual_seed(0);
    let model = resnet18(Default::default())?;
    let mut g = Generator::new(0);
    let x = g.randn((8, 3, 224, 224), DType::F32)?;
    let y = g.randint(0, 1000, 8, DType::I64)?;
    let options = SGDOptions {
        lr: 0.01,
        momentum: 0.9,
        ..Default::default()
    };
    let optimizer = SGD::new(model.parameters(), options)?;
    Ok(step(optimizer, move || {
        cross_entropy(&model.forward(&x)?, &y, &Default::default())
    }))
}

/// A step along the gradient of a loss.
fn step(mut optimizer: impl Optimizer + 'static, loss: impl Fn() -> TensorResult<Tensor> + 'static) -> Call {
    Box::new(move || {
        optimizer.zero_grad();
        loss()?.backward()?;
        Ok(optimizer.step()?)
    })
}
