//! Says what a model's time goes into.
//!
//! ```sh
//! cargo run --release -p flambeau-vision --example profile                                 # a ResNet-18 that answers
//! cargo run --release -p flambeau-vision --example profile -- resnet50 --train --batch 8 --trace trace.json
//! ```
//!
//! The pictures are random numbers, and so are the weights: neither changes what is computed.

#[path = "common/mod.rs"]
mod common;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use flambeau_autograd::Backward;
use flambeau_nn::functional::cross_entropy;
use flambeau_nn::{Forward, Module};
use flambeau_optim::{Optimizer, SGD, SGDOptions};
use flambeau_tensor::profiler::profile;
use flambeau_tensor::{DType, Result as TensorResult, Tensor, no_grad};
use flambeau_vision::models::create;

/// Says what a model's time goes into: operations, layers, gradient rules and the optimiser's step
#[derive(Parser)]
#[command(name = "profile")]
struct Args {
    /// The model; the example `models` lists all
    #[arg(default_value = "resnet18")]
    model: String,
    /// Profile a step of training instead of an answer
    #[arg(long)]
    train: bool,
    /// How many pictures at once
    #[arg(long, value_name = "N", default_value = "1")]
    batch: NonZeroUsize,
    /// The pictures' width and height
    #[arg(long, value_name = "PIXELS", default_value = "224")]
    size: NonZeroUsize,
    /// Write a trace for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let model = create(&args.model, Default::default())?;
    let (batch, size) = (args.batch.get(), args.size.get());
    let x = Tensor::randn((batch, 3, size, size), DType::F32)?;
    let y = Tensor::zeros(batch, DType::I64)?;
    let mut optimizer = SGD::new(model.parameters(), SGDOptions::default())?;
    if args.train {
        model.train();
    } else {
        model.eval();
    }
    let mut once = || -> TensorResult<()> {
        if !args.train {
            return no_grad(|| model.forward(&x)).map(drop);
        }
        optimizer.zero_grad();
        cross_entropy(&model.forward(&x)?, &y, &Default::default())?.backward()?;
        optimizer.step()
    };
    once()?; // the first call takes memory from the system
    let (done, profile) = profile(once);
    done?;
    write!(std::io::stdout().lock(), "{profile}")?;
    if let Some(path) = &args.trace {
        profile.export_chrome_trace(path)?;
        writeln!(std::io::stdout().lock(), "The trace is in {}", path.display())?;
    }
    Ok(())
}
