//! Learns to recognise speech by connectionist temporal classification.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use flambeau_audio::Recognizer;
use flambeau_audio::decoder::ctc_greedy;
use flambeau_audio::metrics::ErrorRate;
use flambeau_autograd::Backward;
use flambeau_data::DataLoader;
use flambeau_nn::Module;
use flambeau_nn::functional::{CtcOptions, Reduction, ctc_loss};
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_optim::lr_scheduler::{LRScheduler, OneCycleLR, OneCycleLROptions};
use flambeau_optim::{AdamW, AdamWOptions, Optimizer};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{no_grad, random};

use crate::data::{Batch, batches};

#[derive(clap::Args)]
pub(crate) struct Train {
    /// The folder with train.tsv, valid.tsv and test.tsv
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Where to write the weights
    #[arg(long, value_name = "FILE", default_value = "asr.safetensors")]
    out: PathBuf,
    /// How often to go over the files
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Files in a batch
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// The highest learning rate
    #[arg(long, default_value_t = 3e-3)]
    lr: f64,
    /// The seed of weights, orders and disturbances
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Ends in seconds: few files, once
    #[arg(long)]
    smoke: bool,
}

pub(crate) fn run(args: &Train) -> Result<()> {
    random::manual_seed(args.seed);
    let (epochs, limit) = if args.smoke {
        (1, 64)
    } else {
        (args.epochs, usize::MAX)
    };
    let list = |name: &str| args.data.join(name);
    let train = batches(&list("train.tsv"), limit, args.batch_size, true, args.seed)?;
    let valid = batches(&list("valid.tsv"), limit, args.batch_size, false, 0)?;
    let test = batches(&list("test.tsv"), limit, args.batch_size, false, 0)?;
    let recognizer = Recognizer::new()?;
    let steps = train.len().unwrap_or(0);
    println!(
        "{} parameters, {steps} steps in each of {epochs} epochs",
        recognizer.model.num_parameters(true)
    );
    let options = AdamWOptions {
        lr: args.lr,
        weight_decay: 1e-3,
        ..AdamWOptions::default()
    };
    let mut optimizer = AdamW::new(recognizer.model.parameters(), options)?;
    let cycle = OneCycleLROptions {
        cycle_momentum: false,
        ..OneCycleLROptions::new(args.lr, (epochs * steps) as i64)
    };
    let mut scheduler = OneCycleLR::new(&mut optimizer, cycle)?;
    for epoch in 1..=epochs {
        let (mut sum, begin) = (0.0, Instant::now());
        recognizer.model.train();
        for (step, batch) in train.iter().enumerate() {
            let loss = learn(&recognizer, &mut optimizer, &batch?)?;
            scheduler.step(&mut optimizer)?;
            sum += loss;
            if (step + 1) % 20 == 0 {
                eprintln!("epoch {epoch}, step {}: {:.3}", step + 1, sum / (step + 1) as f64);
            }
        }
        let [words, letters] = errors(&recognizer, &valid)?;
        println!(
            "epoch {epoch:2}: loss {:.3}; validation: {:.2}% of the words and {:.2}% of the letters wrong; {:.0} s",
            sum / steps as f64,
            100.0 * words,
            100.0 * letters,
            begin.elapsed().as_secs_f64()
        );
        safetensors::save(&args.out, recognizer.model.state_dict().iter())?;
    }
    let [words, letters] = errors(&recognizer, &test)?;
    println!(
        "test: {:.2}% of the words and {:.2}% of the letters wrong; the weights are in {}",
        100.0 * words,
        100.0 * letters,
        args.out.display()
    );
    Ok(())
}

/// One step; returns the loss for each letter.
fn learn(recognizer: &Recognizer, optimizer: &mut AdamW, batch: &Batch) -> Result<f64> {
    optimizer.zero_grad();
    let (log_probs, lengths) = recognizer
        .model
        .forward_lengths(&batch.features, &batch.lengths)?;
    let options = CtcOptions {
        reduction: Reduction::Mean,
        zero_infinity: true,
        ..CtcOptions::default()
    };
    let log_probs = log_probs.transpose(0, 1)?;
    let lengths: Vec<i64> = lengths.iter().map(|&n| n as i64).collect();
    let loss = ctc_loss(
        &log_probs,
        &batch.targets,
        &lengths,
        &batch.target_lengths,
        options,
    )?;
    loss.backward()?;
    clip_grad_norm_(&recognizer.model.parameters(), 5.0, 2.0, false)?;
    optimizer.step()?;
    Ok(loss.item_f64()?)
}

/// Which parts of the words and of the letters are wrong.
fn errors(recognizer: &Recognizer, batches: &DataLoader<Batch>) -> Result<[f64; 2]> {
    recognizer.model.eval();
    let (mut words, mut letters) = (ErrorRate::default(), ErrorRate::default());
    for batch in batches {
        let batch = batch?;
        let (log_probs, lengths) =
            no_grad(|| recognizer.model.forward_lengths(&batch.features, &batch.lengths))?;
        let said = batch.targets.to_vec::<i64>()?;
        let mut begin = 0;
        for (i, (&frames, &length)) in lengths.iter().zip(&batch.target_lengths).enumerate() {
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
    Ok([words.rate(), letters.rate()])
}
