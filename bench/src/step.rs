//! `step/*`: steps of training: gradients forgotten, forward, loss, backward, the optimiser's step.

use anyhow::Result;
use flambeau_autograd::Backward;
use flambeau_autograd::amp::autocast;
use flambeau_nn::functional::{binary_cross_entropy_with_logits, cross_entropy, mse_loss};
use flambeau_nn::{
    Forward, Module, Reduction, TransformerEncoder, TransformerEncoderLayer, TransformerLayerOptions, summary,
};
use flambeau_optim::{Adam, AdamOptions, Optimizer, SGD, SGDOptions};
use flambeau_tensor::random::{Generator, Sample, manual_seed};
use flambeau_tensor::{DType, Result as TensorResult, Tensor};
use flambeau_vision::models::{mobilenet_v2, resnet18};

use crate::infer::transformer_encoder;
use crate::nets::{Gcn, LstmClassifier, UNet, lenet, resnet20};
use crate::overhead::mlp;
use crate::workload::{Call, Workload};

/// All workloads of this group: PyTorch's, and some in full and in mixed precision.
pub(crate) fn workloads() -> Vec<Workload> {
    let mixed = Some(DType::BF16);
    vec![
        Workload::new("step/resnet18_b8_224", || resnet18_step(224, None)),
        Workload::new("step/mobilenet_v2_b8_224", || {
            images_by_sgd(mobilenet_v2(Default::default())?, [8, 3, 224], 1000, None)
        }),
        Workload::new("step/resnet20_b128_28", || {
            images_by_sgd(resnet20()?, [128, 1, 28], 10, None)
        }),
        Workload::new("step/lenet_b64_28", || {
            let (x, y) = images([64, 1, 28], 10)?;
            by_adam(lenet()?, x, move |scores| {
                cross_entropy(scores, &y, &Default::default())
            })
        }),
        Workload::new("step/mlp_4_128_128_2_b64_adam", || {
            let (x, y) = (normal(&[64, 4])?, normal(&[64, 2])?);
            by_adam(mlp()?, x, move |scores| mse_loss(scores, &y, Reduction::Mean))
        }),
        Workload::new("step/encoder4_d256_b16_t128_adam", || {
            let (x, y) = (normal(&[16, 128, 256])?, normal(&[16, 128, 256])?);
            let model = transformer_encoder(4, [256, 8, 1024])?;
            by_adam(model, x, move |out| mse_loss(out, &y, Reduction::Mean))
        }),
        Workload::new("step/lstm_classifier_b32_t100_adam", || {
            let (x, y) = (integers(10_000, &[32, 100])?, integers(2, &[32])?);
            by_adam(LstmClassifier::new()?, x, move |scores| {
                cross_entropy(scores, &y, &Default::default())
            })
        }),
        Workload::new("step/gcn_cora_size_adam", || {
            let x = Generator::new(0).rand((2708, 1433), DType::F32)?.lt(0.0127)?;
            let (x, y) = (x.to_dtype(DType::F32)?, integers(7, &[2708])?);
            by_adam(Gcn::new()?, x, move |scores| {
                cross_entropy(scores, &y, &Default::default())
            })
        }),
        Workload::new("step/unet_c32_b4_128", || {
            let x = normal(&[4, 3, 128, 128])?;
            let y = Generator::new(1).rand((4, 1, 128, 128), DType::F32)?.round()?;
            by_adam(UNet::new(32)?, x, move |scores| {
                binary_cross_entropy_with_logits(scores, &y, None, None, Reduction::Mean)
            })
        }),
        Workload::new("step/resnet18_b8_64", || resnet18_step(64, None)),
        Workload::new("step/resnet18_b8_64_bf16", move || resnet18_step(64, mixed)),
        Workload::new("step/transformer_b8_t64_d256", || transformer_step(None)),
        Workload::new("step/transformer_b8_t64_d256_bf16", move || {
            transformer_step(mixed)
        }),
    ]
}

fn normal(shape: &[usize]) -> TensorResult<Tensor> {
    Generator::new(0).randn(shape, DType::F32)
}

fn integers(below: i64, shape: &[usize]) -> TensorResult<Tensor> {
    Generator::new(2).randint(0, below, shape, DType::I64)
}

/// Square images (how many, channels, side) and their classes.
fn images(sizes: [usize; 3], classes: i64) -> TensorResult<(Tensor, Tensor)> {
    let [batch, channels, side] = sizes;
    Ok((
        normal(&[batch, channels, side, side])?,
        integers(classes, &[batch])?,
    ))
}

fn by_adam(
    model: impl Forward + 'static,
    x: Tensor,
    loss: impl Fn(&Tensor) -> TensorResult<Tensor> + 'static,
) -> Result<Call> {
    let optimizer = Adam::new(model.parameters(), AdamOptions::default())?;
    let multiply_adds = multiply_adds(&model, &x)?;
    Ok(step(optimizer, move || loss(&model.forward(&x)?)).multiply_adds(multiply_adds))
}

fn images_by_sgd(
    model: impl Forward + 'static,
    sizes: [usize; 3],
    classes: i64,
    half: Option<DType>,
) -> Result<Call> {
    let (x, y) = images(sizes, classes)?;
    let options = SGDOptions {
        lr: 0.01,
        momentum: 0.9,
        ..Default::default()
    };
    let optimizer = SGD::new(model.parameters(), options)?;
    let multiply_adds = multiply_adds(&model, &x)?;
    let call = step(optimizer, move || {
        autocast(half, || {
            cross_entropy(&model.forward(&x)?, &y, &Default::default())
        })
    });
    Ok(call.multiply_adds(multiply_adds))
}

fn resnet18_step(side: usize, half: Option<DType>) -> Result<Call> {
    manual_seed(0);
    images_by_sgd(resnet18(Default::default())?, [8, 3, side], 1000, half)
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
    let multiply_adds = multiply_adds(&model, &x)?;
    let call = step(optimizer, move || {
        autocast(half, || mse_loss(&model.forward(&x)?, &y, Reduction::Mean))
    });
    Ok(call.multiply_adds(multiply_adds))
}

/// The multiply-adds of a step: thrice those of a forward pass, for outputs, gradients of inputs and gradients of weights.
fn multiply_adds(model: &impl Forward, x: &Tensor) -> TensorResult<u64> {
    Ok(3 * summary(model, x)?.multiply_adds())
}

/// A step along the gradient of a loss.
fn step(mut optimizer: impl Optimizer + 'static, loss: impl Fn() -> TensorResult<Tensor> + 'static) -> Call {
    Call::new(move || {
        optimizer.zero_grad();
        loss()?.backward()?;
        Ok(optimizer.step()?)
    })
}
