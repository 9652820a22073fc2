//! Learns to tell points inside a circle from those outside, saves what was learnt, and loads it again.

use flambeau_nn::tensor::{io::safetensors, random};
use flambeau_nn::{
    BCEWithLogitsLoss, Backward, DType, Forward, Linear, LinearOptions, Module, Result, Tensor, no_grad,
};
use flambeau_optim::{Adam, AdamOptions, Optimizer};

/// Two linear layers.
#[derive(Module)]
struct Classifier {
    hidden: Linear,
    output: Linear,
}

impl Classifier {
    fn new() -> Result<Classifier> {
        Ok(Classifier {
            hidden: Linear::new(2, 32, LinearOptions::default())?,
            output: Linear::new(32, 1, LinearOptions::default())?,
        })
    }
}

impl Forward for Classifier {
    /// `[points, 2] → [points]`: positive for points inside.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.output
            .forward(&self.hidden.forward(x)?.tanh()?)?
            .squeeze_dim(-1)
    }
}

fn main() -> Result<()> {
    random::manual_seed(0);
    let points = Tensor::randn((512, 2), DType::F32)?;
    let inside = points
        .square()?
        .sum_dim(1, false)?
        .lt(1.4)?
        .to_dtype(DType::F32)?;

    let model = Classifier::new()?;
    println!("{}", model.repr());
    let loss_of = BCEWithLogitsLoss::default();
    let mut optimizer = Adam::new(
        model.parameters(),
        AdamOptions {
            lr: 0.02,
            ..Default::default()
        },
    )?;
    for step in 0..=200 {
        optimizer.zero_grad();
        let loss = loss_of.forward(&model.forward(&points)?, &inside)?;
        loss.backward()?;
        optimizer.step()?;
        if step % 50 == 0 {
            println!("step {step:3}: loss {:.4}", loss.item::<f32>()?);
        }
    }

    let path = std::env::temp_dir().join(format!("circle-{}.safetensors", std::process::id()));
    safetensors::save(&path, &model.state_dict())?;
    let copy = Classifier::new()?;
    copy.load_state_dict(&safetensors::load(&path)?, true)?;
    std::fs::remove_file(&path).ok();

    let scores = no_grad(|| copy.forward(&points))?;
    let right = scores.gt(0)?.to_dtype(DType::F32)?.eq(&inside)?;
    let accuracy = right.to_dtype(DType::F32)?.mean()?.item::<f32>()?;
    println!(
        "the loaded model is right about {:.1}% of the points",
        100.0 * accuracy
    );
    Ok(())
}
