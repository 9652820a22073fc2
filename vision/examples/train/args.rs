//! The command line, and what its choices stand for.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use flambeau_optim::lr_scheduler::{
    CosineAnnealingLR, CosineAnnealingLROptions, LRScheduler, LambdaLR, LambdaLROptions, OneCycleLR,
    OneCycleLROptions,
};
use flambeau_optim::{AdamW, AdamWOptions, GradScaler, GradScalerOptions, Optimizer, SGD, SGDOptions};
use flambeau_tensor::{DType, Result, Tensor};
use serde::Serialize;

/// Trains a model to classify images. The defaults are a recipe for Fashion-MNIST.
#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct Args {
    /// The folder with the dataset's files.
    #[arg(long, default_value = ".")]
    pub(crate) data: PathBuf,
    /// The dataset; `folder` is one with a folder `train` and a folder `test`, and in each a folder for every class.
    #[arg(long, value_enum, default_value_t = DatasetName::FashionMnist)]
    pub(crate) dataset: DatasetName,
    /// The model, by its name in the table of the example `models`.
    #[arg(long, default_value = "resnet20")]
    pub(crate) model: String,
    /// Times to go through the training images.
    #[arg(long, default_value_t = 15)]
    pub(crate) epochs: usize,
    /// Images per step.
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,
    /// The optimiser.
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    pub(crate) optimizer: OptimizerName,
    /// The highest learning rate.
    #[arg(long, default_value_t = 0.2)]
    pub(crate) lr: f64,
    /// SGD's momentum.
    #[arg(long, default_value_t = 0.9)]
    pub(crate) momentum: f64,
    /// How strongly weights are pulled to zero.
    #[arg(long, default_value_t = 5e-4)]
    pub(crate) weight_decay: f64,
    /// How the learning rate changes from step to step.
    #[arg(long, value_enum, default_value_t = Schedule::OneCycle)]
    pub(crate) schedule: Schedule,
    /// The part of the target that is spread over all classes.
    #[arg(long, default_value_t = 0.1)]
    pub(crate) label_smoothing: f64,
    /// The weight of auxiliary heads' losses.
    #[arg(long, default_value_t = 0.3)]
    pub(crate) aux_weight: f64,
    /// The largest norm of the gradient.
    #[arg(long)]
    pub(crate) clip_norm: Option<f64>,
    /// How much of the running average of the weights each step keeps; the average is what is tested and saved.
    #[arg(long, default_value_t = 0.998)]
    pub(crate) ema: f64,
    /// How training images are varied.
    #[arg(long, value_enum, default_value_t = Augment::FlipShift)]
    pub(crate) augment: Augment,
    /// Height and width to which images are brought; small datasets keep theirs.
    #[arg(long)]
    pub(crate) image_size: Option<usize>,
    /// Train in mixed precision: convolutions and other products of bfloat16, or of float16 with scaled gradients.
    #[arg(long, value_enum, value_name = "TYPE", num_args = 0..=1, default_missing_value = "bfloat16")]
    pub(crate) amp: Option<Half>,
    /// Threads that prepare images.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: usize,
    /// Seed of the weights, the order of the images and their variation.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// The folder for everything that comes of the run.
    #[arg(long, default_value = "runs/train")]
    pub(crate) out: PathBuf,
    /// Go on from the checkpoint in `--out`.
    #[arg(long)]
    #[serde(skip)]
    pub(crate) resume: bool,
    /// Two epochs of a few steps on random images, to see that everything works.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Print the result as JSON, and nothing else.
    #[arg(long)]
    #[serde(skip)]
    pub(crate) json: bool,
}

/// The datasets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum DatasetName {
    /// Fashion-MNIST: 10 kinds of clothing, 28 by 28 pixels.
    FashionMnist,
    /// MNIST: 10 digits, 28 by 28 pixels.
    Mnist,
    /// KMNIST: 10 characters, 28 by 28 pixels.
    Kmnist,
    /// CIFAR-10: 10 kinds of objects, 32 by 32 pixels.
    Cifar10,
    /// CIFAR-100: 100 kinds of objects, 32 by 32 pixels.
    Cifar100,
    /// A folder of your own.
    Folder,
}

/// The types of mixed precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Half {
    /// As wide a range as float32, and 8 bits of precision.
    Bfloat16,
    /// 11 bits of precision; small gradients need scaling.
    Float16,
}

/// The optimisers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum OptimizerName {
    /// Stochastic gradient descent with Nesterov's momentum.
    Sgd,
    /// AdamW.
    Adamw,
}

/// The schedules, all by steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Schedule {
    /// Up to the highest learning rate and down to almost nothing, both along a cosine.
    OneCycle,
    /// Down to zero along a cosine.
    Cosine,
    /// Always the same.
    Constant,
}

/// The ways to vary training images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Augment {
    /// Not at all.
    None,
    /// Shifts by up to two pixels.
    Shift,
    /// Shifts by up to two pixels, and every second image mirrored.
    FlipShift,
}

impl Args {
    /// The number of epochs.
    pub(crate) fn epochs(&self) -> usize {
        if self.smoke { 2 } else { self.epochs }
    }

    /// The half-width type of mixed precision, if that is asked for.
    pub(crate) fn half(&self) -> Option<DType> {
        self.amp.map(|half| match half {
            Half::Bfloat16 => DType::BF16,
            Half::Float16 => DType::F16,
        })
    }

    /// What keeps small gradients from vanishing in float16; it does nothing otherwise.
    pub(crate) fn scaler(&self) -> Result<GradScaler> {
        GradScaler::new(GradScalerOptions {
            enabled: self.amp == Some(Half::Float16),
            ..Default::default()
        })
    }

    /// The optimiser of these parameters.
    pub(crate) fn optimizer(&self, parameters: Vec<Tensor>) -> Result<Box<dyn Optimizer>> {
        Ok(match self.optimizer {
            OptimizerName::Sgd => Box::new(SGD::new(
                parameters,
                SGDOptions {
                    lr: self.lr,
                    momentum: self.momentum,
                    weight_decay: self.weight_decay,
                    nesterov: self.momentum > 0.0,
                    ..Default::default()
                },
            )?),
            OptimizerName::Adamw => Box::new(AdamW::new(
                parameters,
                AdamWOptions {
                    lr: self.lr,
                    weight_decay: self.weight_decay,
                    ..Default::default()
                },
            )?),
        })
    }

    /// The schedule of that many steps.
    pub(crate) fn scheduler(
        &self,
        optimizer: &mut dyn Optimizer,
        steps: usize,
    ) -> Result<Box<dyn LRScheduler>> {
        let steps = steps as i64;
        Ok(match self.schedule {
            Schedule::OneCycle => {
                // The schedule is stepped after the last step too.
                let options = OneCycleLROptions {
                    cycle_momentum: false,
                    div_factor: 10.0,
                    pct_start: 0.2,
                    ..OneCycleLROptions::new(self.lr, steps + 1)
                };
                Box::new(OneCycleLR::new(optimizer, options)?)
            }
            Schedule::Cosine => Box::new(CosineAnnealingLR::new(
                optimizer,
                CosineAnnealingLROptions::new(steps),
            )?),
            Schedule::Constant => Box::new(LambdaLR::new(optimizer, LambdaLROptions::new(|_| 1.0))?),
        })
    }
}
