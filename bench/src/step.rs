//! `step/*`: steps of training: gradients forgotten, forward, loss, backward, the optimiser's step.

use anyhow::Result;
use flambeau_autograd::Backward;
use flambeau_tensor::ops::conv::{ConvOptions, Padding, conv2d};
use flambeau_tensor::ops::linear::linear;
use flambeau_tensor::ops::loss::{Reduction, cross_entropy, mse_loss};
use flambeau_tensor::ops::norm::{BatchNormOptions, RunningStats, batch_norm};
use flambeau_tensor::ops::pool::{MaxPoolOptions, max_pool2d};
use flambeau_tensor::optimizer::{Adam, Sgd};
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Tensor};

use crate::overhead::{mlp, mlp_parameters};
use crate::training::Training;
use crate::workload::{Call, Workload};

/// All workloads of this group.
pub(crate) fn workloads() -> [Workload; 2] {
    [
        Workload::new("step/resnet18_b8_224", resnet18_step),
        Workload::new("step/mlp_4_128_128_2_b64_adam", mlp_step),
    ]
}

fn mlp_step() -> Result<Call> {
    let mut g = Generator::new(0);
    let (x, y) = (g.randn((64, 4), DType::F32)?, g.randn((64, 2), DType::F32)?);
    let mut training = Training::<3>::new(mlp_parameters(&mut g, [4, 128, 128, 2])?, 2)?;
    Ok(Box::new(move || {
        training.zero_grad();
        mse_loss(&mlp(&training.params, &x)?, &y, Reduction::Mean)?.backward()?;
        training.step(Adam::default().update(training.steps + 1))
    }))
}

fn resnet18_step() -> Result<Call> {
    let mut g = Generator::new(0);
    let network = ResNet18::new(&mut g)?;
    let x = g.randn((8, 3, 224, 224), DType::F32)?;
    let y = g.randint(0, 1000, 8, DType::I64)?;
    let mut training = Training::<1>::new(network.parameters(), 1)?;
    let sgd = Sgd {
        lr: 0.01,
        momentum: 0.9,
        ..Sgd::default()
    };
    Ok(Box::new(move || {
        training.zero_grad();
        cross_entropy(&network.forward(&x)?, &y, &Default::default())?.backward()?;
        training.step(sgd.update(training.steps == 0))
    }))
}

/// The residual network of 18 layers (He et al., 2015).
struct ResNet18 {
    stem: ConvNorm,
    blocks: Vec<Block>,
    weight: Tensor,
    bias: Tensor,
}

/// Two convolutions beside a shortcut.
struct Block {
    convs: [ConvNorm; 2],
    shortcut: Option<ConvNorm>,
}

impl ResNet18 {
    fn new(g: &mut Generator) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut c_in = 64;
        for (stage, c_out) in [64, 128, 256, 512].into_iter().enumerate() {
            for block in 0..2 {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let convs = [
                    ConvNorm::new(g, c_in, c_out, 3, stride)?,
                    ConvNorm::new(g, c_out, c_out, 3, 1)?,
                ];
                let changes = stride != 1 || c_in != c_out;
                let shortcut = changes
                    .then(|| ConvNorm::new(g, c_in, c_out, 1, stride))
                    .transpose()?;
                blocks.push(Block { convs, shortcut });
                c_in = c_out;
            }
        }
        Ok(ResNet18 {
            stem: ConvNorm::new(g, 3, 64, 7, 2)?,
            blocks,
            weight: g.randn((1000, 512), DType::F32)?.mul(0.04)?.requires_grad(true)?,
            bias: Tensor::zeros(1000, DType::F32)?.requires_grad(true)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.stem.forward(x)?.relu()?;
        let pool = MaxPoolOptions {
            stride: Some([2, 2]),
            padding: [1, 1],
            ..MaxPoolOptions::default()
        };
        let mut x = max_pool2d(&x, [3, 3], &pool)?;
        for Block {
            convs: [first, second],
            shortcut,
        } in &self.blocks
        {
            let residual = second.forward(&first.forward(&x)?.relu()?)?;
            let kept = match shortcut {
                Some(shortcut) => shortcut.forward(&x)?,
                None => x,
            };
            x = residual.add(&kept)?.relu()?;
        }
        Ok(linear(
            &x.mean_dim([2, 3], false)?,
            &self.weight,
            Some(&self.bias),
        )?)
    }

    fn parameters(&self) -> Vec<Tensor> {
        let blocks = self
            .blocks
            .iter()
            .flat_map(|block| block.convs.iter().chain(&block.shortcut));
        let layers = std::iter::once(&self.stem).chain(blocks);
        let mut all: Vec<Tensor> = layers
            .flat_map(|layer| [&layer.weight, &layer.scale, &layer.shift].map(Tensor::clone))
            .collect();
        all.extend([self.weight.clone(), self.bias.clone()]);
        all
    }
}

/// A convolution without bias, and batch norm.
struct ConvNorm {
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    var: Tensor,
    stride: usize,
}

impl ConvNorm {
    fn new(g: &mut Generator, c_in: usize, c_out: usize, kernel: usize, stride: usize) -> Result<Self> {
        let deviation = (2.0 / (c_out * kernel * kernel) as f64).sqrt();
        let constant = |value: f64| Tensor::full(c_out, value, DType::F32);
        Ok(ConvNorm {
            weight: g
                .randn((c_out, c_in, kernel, kernel), DType::F32)?
                .mul(deviation)?
                .requires_grad(true)?,
            scale: constant(1.0)?.requires_grad(true)?,
            shift: constant(0.0)?.requires_grad(true)?,
            mean: constant(0.0)?,
            var: constant(1.0)?,
            stride,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let kernel = self.weight.shape()[2];
        let options = ConvOptions {
            stride: [self.stride; 2],
            padding: Padding::Explicit([kernel / 2; 2]),
            ..ConvOptions::default()
        };
        let norm = BatchNormOptions {
            running: Some(RunningStats {
                mean: &self.mean,
                var: &self.var,
            }),
            weight: Some(&self.scale),
            bias: Some(&self.shift),
            ..BatchNormOptions::default()
        };
        Ok(batch_norm(
            &conv2d(x, &self.weight, None, &options)?,
            true,
            &norm,
        )?)
    }
}
