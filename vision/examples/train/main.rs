//! Trains a model to classify images.
//!
//! ```sh
//! cargo run --release -p flambeau-vision --example train -- --data FOLDER
//! ```
//!
//! FOLDER holds the four files of Fashion-MNIST; other datasets and models are options (`--help`). Everything that comes of
//! a run is written to `--out`: the weights (`model.safetensors`), a checkpoint that `--resume` goes on from exactly where it
//! was, also after Ctrl-C (`last.safetensors`), the measurements (`log.csv`, and event files for TensorBoard) and their
//! curves (`curves.png`).

mod args;
#[path = "../common/mod.rs"]
mod common;
mod data;
#[path = "../common/measure.rs"]
mod measure;
mod run;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use flambeau_autograd::Backward;
use flambeau_autograd::amp::autocast;
use flambeau_data::LoaderState;
use flambeau_nn::Module;
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_optim::lr_scheduler::LRScheduler;
use flambeau_optim::{AveragedModel, Averaging, GradScaler, Optimizer};
use flambeau_tensor::ops::loss::{CrossEntropyOptions, cross_entropy};
use flambeau_tensor::{Tensor, random};
use flambeau_trainer::{Checkpoint, Interrupt};
use flambeau_vision::models::{self, Classifier, Options};
use flambeau_vision::pretrained::Description;

use args::Args;
use data::{Data, preparation};
use measure::{Progress, evaluate};
use run::Row;

fn main() -> ExitCode {
    let args = Args::parse();
    common::exit(train(&args).map(|outcome| {
        if let (Some(outcome), true) = (outcome, args.json) {
            println!("{outcome}");
        }
    }))
}

/// Trains; returns what came of it as JSON, or nothing if Ctrl-C ended it.
fn train(args: &Args) -> Result<Option<serde_json::Value>> {
    ensure!(args.batch_size > 0, "--batch-size 0: expected at least 1");
    random::manual_seed(args.seed);
    let data = Data::open(args)?;
    let options = Options {
        num_classes: data.classes.len(),
        ..Options::default()
    };
    let model = models::create(&args.model, options)?;
    let averaged = models::create(&args.model, options)?;
    averaged.eval();
    let steps_per_epoch = data.train.len().context("the dataset has no length")?;
    ensure!(
        steps_per_epoch > 0,
        "the training set has fewer images than --batch-size {}",
        args.batch_size
    );
    let mut trainer = Trainer {
        optimizer: args.optimizer(model.parameters())?,
        scheduler: None,
        scaler: args.scaler()?,
        average: AveragedModel::new(
            model.state_dict().into_values(),
            Averaging::Exponential { decay: args.ema },
        )?,
        model,
        averaged,
        done: Progress::default(),
    };
    trainer.scheduler = Some(args.scheduler(&mut *trainer.optimizer, args.epochs() * steps_per_epoch)?);
    let interrupt = Interrupt::new()?;
    let mut run = run::open(args, &data, &mut trainer)?;
    run.say(&format!(
        "{}: {} parameters, {} classes, {steps_per_epoch} steps in each of {} epochs",
        args.model,
        trainer.model.num_parameters(false),
        data.classes.len(),
        args.epochs()
    ));

    while trainer.done.epoch < args.epochs() {
        let begun = trainer.done.loader.as_ref().map_or(0, LoaderState::batches);
        let mut bar = run.epoch(trainer.done.epoch + 1, steps_per_epoch, begun, "images");
        let mut batches = match trainer.done.loader.take() {
            Some(state) => data.train.resume(&state)?,
            None => data.train.iter(),
        };
        trainer.model.train();
        while let Some(batch) = batches.next() {
            let (x, y) = batch?;
            let images = y.numel();
            let loss = trainer.step(args, &x, &y)?;
            trainer.done.train.add(loss, None, images);
            bar.step(images, trainer.done.train.loss());
            if interrupt.requested() {
                trainer.done.loader = Some(batches.state());
                trainer.done.epoch_seconds += bar.finish();
                run.save(trainer.checkpoint()?)?;
                run.say(&format!(
                    "stopped: --resume goes on from {}",
                    run.checkpoint().display()
                ));
                return Ok(None);
            }
        }
        let seconds = std::mem::take(&mut trainer.done.epoch_seconds) + bar.finish();
        trainer.done.seconds += seconds;
        trainer.done.epoch += 1;
        let train = std::mem::take(&mut trainer.done.train);
        let test = evaluate(&*trainer.model, &data.test)?;
        trainer.average_into()?;
        let row = Row {
            epoch: trainer.done.epoch,
            lr: trainer.optimizer.param_groups()[0].lr(),
            train,
            test,
            ema: evaluate(&*trainer.averaged, &data.test)?,
            seconds,
        };
        row.write(&mut run)?;
        run.save(trainer.checkpoint()?)?;
    }
    trainer.average_into()?;
    let weights = run.folder().join("model.safetensors");
    Description::new(&args.model, preparation(args), data.classes.clone())
        .save(&weights, &trainer.averaged.state_dict())?;
    let test = evaluate(&*trainer.averaged, &data.test)?;
    run.say(&format!(
        "{:.2}% of {} test images are right; the weights are in {}",
        100.0 * test.accuracy(),
        test.images,
        weights.display()
    ));
    Ok(Some(serde_json::json!({
        "model": args.model,
        "accuracy": test.accuracy(),
        "epochs": trainer.done.epoch,
        "seconds": trainer.done.seconds,
        "weights": weights,
    })))
}

/// What is trained, and how far it has come.
struct Trainer {
    model: Box<dyn Classifier>,
    /// The model with the running average of the weights, which is what is kept in the end.
    averaged: Box<dyn Classifier>,
    average: AveragedModel,
    optimizer: Box<dyn Optimizer>,
    /// There from when the number of steps is known.
    scheduler: Option<Box<dyn LRScheduler>>,
    scaler: GradScaler,
    done: Progress,
}

impl Trainer {
    /// Learns from one batch; returns the loss.
    fn step(&mut self, args: &Args, x: &Tensor, y: &Tensor) -> Result<f64> {
        let options = CrossEntropyOptions {
            label_smoothing: args.label_smoothing,
            ..Default::default()
        };
        self.optimizer.zero_grad();
        let loss = autocast(args.half(), || {
            let outputs = self.model.forward_outputs(x)?;
            let mut loss = cross_entropy(&outputs.logits, y, &options)?;
            for auxiliary in &outputs.auxiliary {
                loss = loss.add(&cross_entropy(auxiliary, y, &options)?.mul(args.aux_weight)?)?;
            }
            anyhow::Ok(loss)
        })?;
        self.scaler.scale(&loss)?.backward()?;
        self.scaler.unscale_(&*self.optimizer)?;
        if let Some(norm) = args.clip_norm {
            clip_grad_norm_(&self.model.parameters(), norm, 2.0, true)?;
        }
        self.scaler.step(&mut *self.optimizer)?;
        self.scaler.update(None)?;
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.step(&mut *self.optimizer)?;
        }
        let state = self.model.state_dict();
        self.average.update_parameters(state.values())?;
        Ok(loss.item_f64()?)
    }

    /// Everything that the run depends on.
    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set_tensors("model", self.model.state_dict())?;
        checkpoint.set_tensors("average", self.average.state_dict())?;
        checkpoint.set_optimizer("optimizer", &self.optimizer.state_dict()?)?;
        if let Some(scheduler) = &self.scheduler {
            checkpoint.set("scheduler", &scheduler.state_dict()?)?;
        }
        if self.scaler.is_enabled() {
            checkpoint.set("scaler", &self.scaler.state_dict()?)?;
        }
        checkpoint.set("progress", &self.done)?;
        Ok(checkpoint)
    }

    /// Goes back to where a checkpoint was made.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.model.load_state_dict(&checkpoint.tensors("model")?, true)?;
        self.average.load_state_dict(&checkpoint.tensors("average")?)?;
        self.optimizer
            .load_state_dict(&checkpoint.optimizer("optimizer")?)?;
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.load_state_dict(&checkpoint.get("scheduler")?)?;
        }
        if self.scaler.is_enabled() {
            self.scaler.load_state_dict(&checkpoint.get("scaler")?)?;
        }
        self.done = checkpoint.get("progress")?;
        Ok(())
    }

    /// Copies the running average into `averaged`.
    fn average_into(&self) -> Result<()> {
        let names = self.averaged.state_dict().into_keys();
        let state = names.zip(self.average.params().iter().cloned()).collect();
        self.averaged.load_state_dict(&state, true)?;
        Ok(())
    }
}
