//! Learns to tell spoken words apart, and says which one a file is.
//!
//! ```sh
//! cargo run --release -p flambeau-audio --example keyword -- train FOLDER --model ds_cnn_s
//! cargo run --release -p flambeau-audio --example keyword -- classify FOLDER/yes/0.wav
//! ```
//!
//! FOLDER is laid out as Google's Speech Commands are: a folder for each word, with files of about a second in it. Every tenth
//! file of a word, by name, is kept out of the training and measured with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use flambeau_audio::functional::{ResampleOptions, resample};
use flambeau_audio::io::{LoadOptions, load};
use flambeau_audio::models::{DsCnn, DsCnnOptions, M5};
use flambeau_audio::transforms::{MFCC, MelSpectrogramOptions, MfccOptions};
use flambeau_autograd::Backward;
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::{Forward, Module};
use flambeau_optim::{AdamW, AdamWOptions, Optimizer};
use flambeau_tensor::io::safetensors::{self, SafeTensorsFile};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Tensor, no_grad, random};

/// Learns to tell spoken words apart, and says which one a file is
#[derive(Parser)]
#[command(name = "keyword")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Learns the words of a folder
    Train {
        /// The folder with a folder for each word
        folder: PathBuf,
        /// The network
        #[arg(long, value_enum, default_value_t = Model::DsCnnS)]
        model: Model,
        /// Where to write the weights
        #[arg(long, default_value = "keyword.safetensors")]
        out: PathBuf,
        /// How often to go over the files
        #[arg(long, default_value_t = 20)]
        epochs: usize,
        /// The seed of weights and orders
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Says which words files are
    Classify {
        /// Files of sound
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The weights
        #[arg(long, default_value = "keyword.safetensors")]
        weights: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Model {
    /// DS-CNN, small, of MFCCs
    #[value(name = "ds_cnn_s")]
    DsCnnS,
    /// M5, of waveforms
    #[value(name = "m5")]
    M5,
}

impl Model {
    fn name(self) -> &'static str {
        match self {
            Model::DsCnnS => "ds_cnn_s",
            Model::M5 => "m5",
        }
    }

    fn build(self, words: usize) -> Result<Box<dyn Forward>> {
        Ok(match self {
            Model::DsCnnS => Box::new(DsCnn::new(DsCnnOptions {
                num_classes: words,
                ..DsCnnOptions::SMALL
            })?),
            Model::M5 => Box::new(M5::new(words, 32, 16)?),
        })
    }

    fn sample_rate(self) -> usize {
        match self {
            Model::DsCnnS => 16000,
            Model::M5 => 8000,
        }
    }

    /// What the network sees of a file: one second, as MFCCs every 20 ms or as it is.
    fn features(self, file: &Path) -> Result<Tensor> {
        let (waveform, rate) = load(file, &LoadOptions::default())?;
        let wanted = self.sample_rate();
        let mono = resample(
            &waveform.mean_dim(0, false)?,
            rate,
            wanted,
            &ResampleOptions::default(),
        )?;
        let missing = wanted as isize - mono.numel() as isize;
        let second = mono.pad(&[missing / 2, missing - missing / 2], PadMode::Constant, 0)?;
        let second = second.unsqueeze(0)?;
        Ok(match self {
            Model::M5 => second,
            Model::DsCnnS => {
                let mfcc = MFCC::new(MfccOptions {
                    n_mfcc: 10,
                    mel: MelSpectrogramOptions {
                        n_fft: 640,
                        hop_length: Some(320),
                        n_mels: 40,
                        center: false,
                        ..MelSpectrogramOptions::default()
                    },
                    ..MfccOptions::default()
                })?;
                mfcc.forward(&second)?.div(50)?.transpose(-1, -2)?
            }
        })
    }
}

fn main() {
    let result = match Args::parse().command {
        Command::Train {
            folder,
            model,
            out,
            epochs,
            seed,
        } => train(&folder, model, &out, epochs, seed),
        Command::Classify { files, weights } => classify(&files, &weights),
    };
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

/// What is in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = read
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

/// Features and words of a set of files.
type Set = (Vec<Tensor>, Vec<i64>);

fn train(folder: &Path, model: Model, out: &Path, epochs: usize, seed: u64) -> Result<()> {
    let folders: Vec<PathBuf> = entries(folder)?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    ensure!(
        folders.len() > 1,
        "{}: expected a folder for each of several words",
        folder.display()
    );
    let (mut words, mut learnt, mut tested): (Vec<String>, Set, Set) = Default::default();
    for word in &folders {
        for (i, file) in entries(word)?.iter().enumerate() {
            let set = if i % 10 == 9 { &mut tested } else { &mut learnt };
            set.0.push(model.features(file)?);
            set.1.push(words.len() as i64);
        }
        words.push(
            word.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
    }
    ensure!(
        !tested.0.is_empty(),
        "{}: expected at least 10 files of a word",
        folder.display()
    );
    random::manual_seed(seed);
    let network = model.build(words.len())?;
    println!(
        "{} files to learn from, {} to test with, {} words",
        learnt.0.len(),
        tested.0.len(),
        words.len()
    );
    let mut optimizer = AdamW::new(
        network.parameters(),
        AdamWOptions {
            lr: 2e-3,
            ..Default::default()
        },
    )?;
    let (features, classes) = joined(&learnt)?;
    for epoch in 1..=epochs {
        network.train();
        let (mut sum, mut batches) = (0.0, 0);
        for batch in Tensor::randperm(classes.numel())?.split(32, 0)? {
            // Statistics of a batch of one are none.
            if batch.numel() < 2 {
                continue;
            }
            optimizer.zero_grad();
            let scores = network.forward(&features.index_select(0, &batch)?)?;
            let loss = cross_entropy(
                &scores,
                &classes.index_select(0, &batch)?,
                &CrossEntropyOptions::default(),
            )?;
            loss.backward()?;
            optimizer.step()?;
            (sum, batches) = (sum + loss.item_f64()?, batches + 1);
        }
        println!(
            "epoch {epoch:2}: loss {:.3}, {:.1}% of the test files are right",
            sum / batches.max(1) as f64,
            100.0 * accuracy(&*network, &tested)?
        );
    }
    let metadata = [
        ("model".to_string(), model.name().to_string()),
        ("words".to_string(), words.join(" ")),
    ];
    safetensors::save_with_metadata(out, network.state_dict().iter(), &metadata.into_iter().collect())?;
    println!("the weights are in {}", out.display());
    Ok(())
}

fn joined(set: &Set) -> Result<(Tensor, Tensor)> {
    Ok((
        Tensor::stack(&set.0, 0)?,
        Tensor::from_vec(set.1.clone(), set.1.len())?,
    ))
}

fn accuracy(network: &dyn Forward, set: &Set) -> Result<f64> {
    network.eval();
    let (features, classes) = joined(set)?;
    let answers = no_grad(|| network.forward(&features)?.argmax(Some(1), false))?;
    let right = answers.eq(&classes)?.count_nonzero()?.item::<i64>()?;
    Ok(right as f64 / classes.numel() as f64)
}

fn classify(files: &[PathBuf], weights: &Path) -> Result<()> {
    let file = SafeTensorsFile::open(weights)?;
    let known = file.metadata();
    let model = match known.get("model").map(String::as_str) {
        Some("m5") => Model::M5,
        Some("ds_cnn_s") => Model::DsCnnS,
        _ => bail!("{}: these are no weights of this program", weights.display()),
    };
    let words: Vec<&str> = known.get("words").map_or("", String::as_str).split(' ').collect();
    let network = model.build(words.len())?;
    network.load_state_dict(&file.tensors()?, true)?;
    network.eval();
    for file in files {
        let features = model.features(file)?.unsqueeze(0)?;
        let scores = no_grad(|| network.forward(&features)?.softmax(1))?.to_vec_f64()?;
        let best = (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
        println!(
            "{}: {} ({:.1}%)",
            file.display(),
            words[best],
            100.0 * scores[best]
        );
    }
    Ok(())
}
