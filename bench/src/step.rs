//! `step/*`: steps of training: gradients forgotten, forward, loss, backward, the optimiser's step.

use anyhow::Result;
use flambeau_autograd::Backward;
use flambeau_autograd::amp::autocast;
use flambeau_nn::functional::{cross_entropy, mse_loss};
use flambeau_nn::{
    Forward, Module, Reduction, TransformerEncoder, TransformerEncoderLayer, TransformerLayerOptions,
};
use flambeau_optim::{Adam, AdamOptions, Optimizer, SGD, SGDOptions};
use flambeau_tensor::random::{Generator, Sample, manual_seed};
use flambeau_tensor::{DType, Result as TensorResult, Tensor};
use flambeau_vision::models::resnet18;

use crate::overhead::mlp;
use crate::workload::{Call, Workload};

/// All workloads of this group.
pub(crate) fn workloads() -> [Workload; 6] {
    // In full and in mixed precision.
    let mixed = Some(DType::BF16);
    [
        Workload::new("step/resnet18_b8_224", || resnet18_step(224, None)),
        Workload::new("step/mlp_4_128_128_2_b64_adam", mlp_step),
        Workload::new("step/resnet18_b8_64", || resnet18_step(64, None)),
        Workload::new("step/resnet18_b8_64_bf16", move || resnet18_step(64, mixed)),
        Workload::new("step/transformer_b8_t64_d256", || transformer_step(None)),
        Workload::new("step/transformer_b8_t64_d256_bf16", move || {
            transformer_step(mixed)
        }),
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

fn resnet18_step(size: usize, half: Option<DType>) -> Result<Call> {
    manual_seed(0);
    let model = resnet18(Default::default())?;
    let mut g = Generator::new(0);
    let x = g.randn((8, 3, size, size), DType::F32)?;
    let y = g.randint(0, 1000, 8, DType::I64)?;
    let options = SGDOptions {
        lr: 0.01,
        momentum: 0.9,
        ..Default::default()
    };
    let optimizer = SGD::new(model.parameters(), options)?;
    Ok(step(optimizer, move || {
        autocast(half, || {
            cross_entropy(&model.forward(&x)?, &y, &Default::default())
        })
    }))
}

/// Two layers of a Transformer's encoder.
fn transformer_step(half: Option<DType>) -> Result<Call> {
    manual_seed(0);
    let options = TransformerLayerOptions {
        dim_feedforward: 1024,
        dropout: 0.0,
        batch_first: true,
        ..Default::default()
    };
    let layer = TransformerEncoderLayer::new(256, 4, options)?;
    let model = TransformerEncoder::new(&layer, 2, None)?;
    let mut g = Generator::new(0);
    let (x, y) = (
        g.randn((8, 64, 256), DType::F32)?,
        g.randn((8, 64, 256), DType::F32)?,
    );
    let options = SGDOptions {
        lr: 0.01,
        ..Default::default()
    };
    let optimizer = SGD::new(model.parameters(), options)?;
    Ok(step(optimizer, move || {
        autocast(half, || mse_loss(&model.forward(&x)?, &y, Reduction::Mean))
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
