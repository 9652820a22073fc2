//! `overhead/*`: what an operation costs beside its arithmetic. PyTorch's side is `bench/torch_extra.py`.
//!
//! A call of `add_4_x1000` is a thousand additions of 4 elements, since one is shorter than a clock can measure well.

use anyhow::Result;
use flambeau_autograd::{Backward, no_grad};
use flambeau_nn::functional::mse_loss;
use flambeau_nn::{Forward, Linear, LinearOptions, Module, ReLU, Reduction, Sequential, summary};
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::DType;
use flambeau_tensor::random::{Generator, Sample, manual_seed};

use crate::workload::{Call, Workload};

/// All workloads of this group.
pub(crate) fn workloads() -> [Workload; 4] {
    [
        Workload::new("overhead/add_4_x1000", || add(false)),
        Workload::new("overhead/add_4_tracked_x1000", || add(true)),
        Workload::new("overhead/mlp_4_128_128_2_b64_forward", mlp_forward),
        Workload::new("overhead/adam_step_mlp_4_128_128_2", mlp_adam_step),
    ]
}

fn add(tracked: bool) -> Result<Call> {
    let mut g = Generator::new(0);
    let (a, b) = (
        g.randn(4, DType::F32)?.requires_grad(tracked)?,
        g.randn(4, DType::F32)?,
    );
    Ok(Call::new(move || {
        for _ in 0..1000 {
            std::hint::black_box(a.add(&b)?);
        }
        Ok(())
    }))
}

/// A perceptron with two hidden layers and ReLU.
pub(crate) fn mlp() -> Result<Sequential> {
    manual_seed(0);
    let linear = |inputs, outputs| Linear::new(inputs, outputs, LinearOptions::default());
    Ok(Sequential::new()
        .push(linear(4, 128)?)
        .push(ReLU)
        .push(linear(128, 128)?)
        .push(ReLU)
        .push(linear(128, 2)?))
}

fn mlp_forward() -> Result<Call> {
    let (model, x) = (mlp()?, Generator::new(0).randn((64, 4), DType::F32)?);
    let multiply_adds = summary(&model, &x)?.multiply_adds();
    let call = Call::new(move || Ok(no_grad(|| model.forward(&x)).map(drop)?));
    Ok(call.multiply_adds(multiply_adds))
}

/// The optimiser's step alone; `step/mlp_4_128_128_2_b64_adam` is a whole step of training.
fn mlp_adam_step() -> Result<Call> {
    let model = mlp()?;
    let mut g = Generator::new(0);
    let (x, y) = (g.randn((64, 4), DType::F32)?, g.randn((64, 2), DType::F32)?);
    let mut optimizer = Adam::new(model.parameters(), AdamOptions::default())?;
    mse_loss(&model.forward(&x)?, &y, Reduction::Mean)?.backward()?;
    Ok(Call::new(move || Ok(optimizer.step()?)))
}
