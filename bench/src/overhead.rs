//! `overhead/*`: what an operation costs beside its arithmetic. PyTorch's side is `bench/torch_extra.py`.
//!
//! A call of `add_4_x1000` is a thousand additions of 4 elements, since one is shorter than a clock can measure well.

use anyhow::Result;
use flambeau_autograd::{Backward, no_grad};
use flambeau_tensor::ops::linear::linear;
use flambeau_tensor::ops::loss::{Reduction, mse_loss};
use flambeau_tensor::optimizer::Adam;
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Tensor};

use crate::training::Training;
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
    Ok(Box::new(move || {
        for _ in 0..1000 {
            std::hint::black_box(a.add(&b)?);
        }
        Ok(())
    }))
}

/// Weights `[out, in]` and biases of a perceptron with two hidden layers.
pub(crate) fn mlp_parameters(g: &mut Generator, sizes: [usize; 4]) -> Result<Vec<Tensor>> {
    let mut params = Vec::new();
    for pair in sizes.windows(2) {
        let bound = (1.0 / pair[0] as f64).sqrt();
        for shape in [&[pair[1], pair[0]][..], &[pair[1]]] {
            let uniform = g.rand(shape, DType::F32)?.mul(2.0 * bound)?.sub(bound)?;
            params.push(uniform.requires_grad(true)?);
        }
    }
    Ok(params)
}

/// A perceptron with ReLU between its layers.
pub(crate) fn mlp(params: &[Tensor], x: &Tensor) -> Result<Tensor> {
    let mut x = x.clone();
    for (i, layer) in params.chunks(2).enumerate() {
        if i > 0 {
            x = x.relu()?;
        }
        x = linear(&x, &layer[0], Some(&layer[1]))?;
    }
    Ok(x)
}

fn mlp_forward() -> Result<Call> {
    let mut g = Generator::new(0);
    let (params, x) = (
        mlp_parameters(&mut g, [4, 128, 128, 2])?,
        g.randn((64, 4), DType::F32)?,
    );
    Ok(Box::new(move || no_grad(|| mlp(&params, &x)).map(drop)))
}

/// The optimiser's step alone; `step/mlp_4_128_128_2_b64_adam` is a whole step of training.
fn mlp_adam_step() -> Result<Call> {
    let mut g = Generator::new(0);
    let (x, y) = (g.randn((64, 4), DType::F32)?, g.randn((64, 2), DType::F32)?);
    let mut training = Training::<3>::new(mlp_parameters(&mut g, [4, 128, 128, 2])?, 2)?;
    mse_loss(&mlp(&training.params, &x)?, &y, Reduction::Mean)?.backward()?;
    Ok(Box::new(move || {
        training.step(Adam::default().update(training.steps + 1))
    }))
}
