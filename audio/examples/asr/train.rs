//! Learns to recognise speech by connectionist temporal classification.

use std::path::PathBuf;

use anyhow::{Context, Result};
use flambeau_audio::Recognizer;
use flambeau_audio::decoder::ctc_greedy;
use flambeau_audio::metrics::ErrorRate;
use flambeau_autograd::Backward;
use flambeau_data::{DataLoader, LoaderState};
use flambeau_nn::Module;
use flambeau_nn::functional::{CtcOptions, Reduction, ctc_loss};
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_optim::lr_scheduler::{LRScheduler, OneCycleLR, OneCycleLROptions};
use flambeau_optim::{AdamW, AdamWOptions, Optimizer};
use flambeau_tensor::{Tensor, no_grad, random};
use flambeau_trainer::{Chart, Checkpoint, Interrupt, Run, RunOptions};

use crate::data::{Batch, batches};

#[derive(clap::Args)]
pub(crate) struct Train {
    /// The folder with train.tsv, valid.tsv and test.tsv
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// The folder for everything that comes of the run
    #[arg(long, value_name = "FOLDER", default_value = "runs/asr")]
    out: PathBuf,
    /// How often to go over the files
    #[arg(long, default_value_t = 24)]
    epochs: usize,
    /// Files in a batch
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// The highest learning rate
    #[arg(long, default_value_t = 3e-3)]
    lr: f64,
    /// The seed of weights, orders and disturbances
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on from the checkpoint in --out
    #[arg(long)]
    resume: bool,
    /// Ends in seconds: few files, once
    #[arg(long)]
    smoke: bool,
}

/// What is written down of each epoch, to log.csv.
const COLUMNS: [&str; 6] = [
    "lr",
    "train_loss",
    "valid_loss",
    "valid_wer",
    "valid_cer",
    "seconds",
];

pub(crate) fn run(args: &Train) -> Result<()> {
    random::manual_seed(args.seed);
    let (epochs, limit) = if args.smoke {
        (1, 64)
    } else {
        (args.epochs, usize::MAX)
    };
    let list = |name: &str| args.data.join(name);
    let train = batches(&list("train.tsv"), limit, args.batch_size, true)?;
    let valid = batches(&list("valid.tsv"), limit, args.batch_size, false)?;
    let test = batches(&list("test.tsv"), limit, args.batch_size, false)?;
    let steps = train.len().context("the files have no number")?;
    // Before the run, which may put the random numbers where they were when it was stopped.
    let mut trainer = Trainer::new(args, epochs * steps)?;
    let interrupt = Interrupt::new()?;
    let (mut run, checkpoint) = Run::open(RunOptions {
        folder: &args.out,
        settings: serde_json::json!({
            "epochs": epochs, "batch_size": args.batch_size, "lr": args.lr, "seed": args.seed, "smoke": args.smoke,
        }),
        changeable: &[],
        columns: &COLUMNS,
        resume: args.resume,
        quiet: false,
    })?;
    run.say(&format!(
        "{} parameters, {steps} steps in each of {epochs} epochs",
        trainer.recognizer.model.num_parameters(true)
    ));
    let mut position = None;
    if let Some(checkpoint) = checkpoint {
        trainer.restore(&checkpoint)?;
        position = checkpoint.get("loader")?;
    }
    while trainer.epoch < epochs {
        let mut bar = run.epoch(
            trainer.epoch + 1,
            steps,
            position.as_ref().map_or(0, LoaderState::batches),
            "files",
        );
        let mut order = match position.take() {
            Some(state) => train.resume(&state)?,
            None => train.iter(),
        };
        trainer.recognizer.model.train();
        while let Some(batch) = order.next() {
            let batch = batch?;
            trainer.learn(&batch)?;
            bar.step(batch.lengths.len(), trainer.mean_loss());
            if interrupt.requested() {
                run.save(trainer.checkpoint(Some(order.state()))?)?;
                run.say(&format!(
                    "stopped: --resume goes on from {}",
                    run.checkpoint().display()
                ));
                return Ok(());
            }
        }
        let seconds = bar.finish();
        let lr = trainer.optimizer.param_groups()[0].lr();
        let (loss, [valid_loss, wer, cer]) = (trainer.mean_loss(), measure(&trainer.recognizer, &valid)?);
        run.row(&[lr, loss, valid_loss, wer, cer, seconds])?;
        draw(&run)?;
        run.say(&format!(
            "epoch {:2}: loss {loss:.3}; validation: loss {valid_loss:.3}, {:.2}% of the words and {:.2}% of the letters wrong; {seconds:.0} s",
            trainer.epoch + 1,
            100.0 * wer,
            100.0 * cer,
        ));
        (trainer.epoch, trainer.losses) = (trainer.epoch + 1, (0.0, 0));
        run.save(trainer.checkpoint(None)?)?;
    }
    let weights = run.folder().join("model.safetensors");
    trainer.recognizer.save(&weights)?;
    // What is measured is what was written, in half precision.
    let [_, wer, cer] = measure(&Recognizer::load(&weights)?, &test)?;
    run.say(&format!(
        "test: {:.2}% of the words and {:.2}% of the letters wrong; the weights are in {}",
        100.0 * wer,
        100.0 * cer,
        weights.display()
    ));
    Ok(())
}

fn draw(run: &Run) -> Result<()> {
    run.draw(&[
        Chart {
            title: "loss for each letter",
            scale: 1.0,
            curves: &[
                ("train_loss", "training, disturbed"),
                ("valid_loss", "validation"),
            ],
        },
        Chart {
            title: "validation: wrong (%)",
            scale: 100.0,
            curves: &[("valid_wer", "words"), ("valid_cer", "letters")],
        },
    ])?;
    Ok(())
}

/// What is trained, and how far it has come.
struct Trainer {
    recognizer: Recognizer,
    optimizer: AdamW,
    scheduler: OneCycleLR,
    epoch: usize,
    /// The sum of the losses of this epoch, and how many they are.
    losses: (f64, usize),
}

impl Trainer {
    fn new(args: &Train, steps: usize) -> Result<Trainer> {
        let recognizer = Recognizer::new()?;
        let options = AdamWOptions {
            lr: args.lr,
            weight_decay: 1e-3,
            ..AdamWOptions::default()
        };
        let mut optimizer = AdamW::new(recognizer.model.parameters(), options)?;
        let cycle = OneCycleLROptions {
            cycle_momentum: false,
            ..OneCycleLROptions::new(args.lr, steps as i64)
        };
        let scheduler = OneCycleLR::new(&mut optimizer, cycle)?;
        Ok(Trainer {
            recognizer,
            optimizer,
            scheduler,
            epoch: 0,
            losses: (0.0, 0),
        })
    }

    /// Learns from one batch.
    fn learn(&mut self, batch: &Batch) -> Result<()> {
        self.optimizer.zero_grad();
        let loss = loss(&self.recognizer, batch)?.0;
        loss.backward()?;
        clip_grad_norm_(&self.recognizer.model.parameters(), 5.0, 2.0, false)?;
        self.optimizer.step()?;
        self.scheduler.step(&mut self.optimizer)?;
        self.losses = (self.losses.0 + loss.item_f64()?, self.losses.1 + 1);
        Ok(())
    }

    fn mean_loss(&self) -> f64 {
        self.losses.0 / self.losses.1.max(1) as f64
    }

    fn checkpoint(&self, loader: Option<LoaderState>) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set_tensors("model", self.recognizer.model.state_dict())?;
        checkpoint.set_optimizer("optimizer", &self.optimizer.state_dict()?)?;
        checkpoint.set("scheduler", &self.scheduler.state_dict()?)?;
        checkpoint.set("epoch", &self.epoch)?;
        checkpoint.set("losses", &self.losses)?;
        checkpoint.set("loader", &loader)?;
        Ok(checkpoint)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let model = &self.recognizer.model;
        model.load_state_dict(&checkpoint.tensors("model")?, true)?;
        self.optimizer
            .load_state_dict(&checkpoint.optimizer("optimizer")?)?;
        self.scheduler.load_state_dict(&checkpoint.get("scheduler")?)?;
        self.epoch = checkpoint.get("epoch")?;
        self.losses = checkpoint.get("losses")?;
        Ok(())
    }
}

/// The loss for each letter, the logarithms of the probabilities, and how many frames there are.
fn loss(recognizer: &Recognizer, batch: &Batch) -> Result<(Tensor, Tensor, Vec<usize>)> {
    let (log_probs, frames) = recognizer
        .model
        .forward_lengths(&batch.features, &batch.lengths)?;
    let options = CtcOptions {
        reduction: Reduction::Mean,
        zero_infinity: true,
        ..CtcOptions::default()
    };
    let lengths: Vec<i64> = frames.iter().map(|&n| n as i64).collect();
    let loss = ctc_loss(
        &log_probs.transpose(0, 1)?,
        &batch.targets,
        &lengths,
        &batch.target_lengths,
        options,
    )?;
    Ok((loss, log_probs, frames))
}

/// The loss, and which parts of the words and of the letters are wrong by the best path.
fn measure(recognizer: &Recognizer, batches: &DataLoader<Batch>) -> Result<[f64; 3]> {
    recognizer.model.eval();
    let (mut words, mut letters) = (ErrorRate::default(), ErrorRate::default());
    let (mut sum, mut count) = (0.0, 0);
    for batch in batches {
        let batch = batch?;
        let (loss, log_probs, frames) = no_grad(|| loss(recognizer, &batch))?;
        (sum, count) = (sum + loss.item_f64()?, count + 1);
        let said = batch.targets.to_vec::<i64>()?;
        let mut begin = 0;
        for (i, (&frames, &length)) in frames.iter().zip(&batch.target_lengths).enumerate() {
            let length = length as usize;
            let labels: Vec<usize> = said[begin..begin + length].iter().map(|&x| x as usize).collect();
            begin += length;
            let heard = ctc_greedy(&log_probs.select(0, i as isize)?.narrow(0, 0, frames)?, 0)?;
            let (said, heard) = (
                recognizer.alphabet.decode(&labels),
                recognizer.alphabet.decode(&heard),
            );
            words.add_words(&said, heard.trim());
            letters.add_chars(&said, heard.trim());
        }
    }
    Ok([sum / count.max(1) as f64, words.rate(), letters.rate()])
}
