//! Learns to tell spoken words apart, and says which one a file is.
//!
//! ```sh
//! cargo run --release -p flambeau-audio --example keyword                              # a bundled word
//! cargo run --release -p flambeau-audio --example keyword -- classify word.wav
//! cargo run --release -p flambeau-audio --example keyword -- train FOLDER --model ds_cnn_s
//! cargo run --release -p flambeau-audio --example keyword -- classify word.wav --weights keyword.safetensors
//! ```
//!
//! The bundled weights know yes, no, up, down, left, right, on, off, stop and go; `references/commands/README.md` says how they
//! were made. FOLDER is laid out as Google's Speech Commands are: a folder for each word, with files of about a second in it. Every tenth
//! file of a word, by name, is kept out of the training and measured with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use flambeau_audio::functional::{ResampleOptions, resample};
use flambeau_audio::io::{LoadOptions, decode, load};
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
    /// What to do [default: say which word a bundled file is]
    #[command(subcommand)]
    command: Option<Command>,
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
        /// Files of sound: .wav, FLAC, Ogg Vorbis or MP3
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The weights [default: bundled ones]
        #[arg(long)]
        weights: Option<PathBuf>,
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
    fn features(self, (waveform, rate): (Tensor, usize)) -> Result<Tensor> {
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

/// `assets/README.md` says where they come from.
const BUNDLED: &[u8] = include_bytes!("../assets/keyword.safetensors");
/// The words of the bundled weights.
const BUNDLED_WORDS: &str = "down go left no off on right stop up yes";

fn main() {
    let result = match Args::parse().command {
        Some(Command::Train {
            folder,
            model,
            out,
            epochs,
            seed,
        }) => train(&folder, model, &out, epochs, seed),
        Some(Command::Classify { files, weights }) => classify(&files, weights.as_deref()),
        None => demonstrate(),
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
            set.0.push(model.features(load(file, &LoadOptions::default())?)?);
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

/// A network, the words that it knows, and what it is.
struct Classifier {
    network: Box<dyn Forward>,
    words: Vec<String>,
    model: Model,
}

impl Classifier {
    /// With the weights of a file, or the bundled ones.
    fn load(weights: Option<&Path>) -> Result<Classifier> {
        let (model, words, state) = match weights {
            None => (
                Model::DsCnnS,
                BUNDLED_WORDS.to_string(),
                safetensors::from_bytes(BUNDLED)?,
            ),
            Some(path) => {
                let file = SafeTensorsFile::open(path)?;
                let known = |key| file.metadata().get(key).map_or("", String::as_str);
                let model = match known("model") {
                    "m5" => Model::M5,
                    "ds_cnn_s" => Model::DsCnnS,
                    _ => bail!("{}: these are no weights of this program", path.display()),
                };
                (model, known("words").to_string(), file.tensors()?)
            }
        };
        let words: Vec<String> = words.split(' ').map(str::to_string).collect();
        let network = model.build(words.len())?;
        network.load_state_dict(&state, true)?;
        network.eval();
        Ok(Classifier {
            network,
            words,
            model,
        })
    }

    /// The most probable word, and how probable it is.
    fn classify(&self, sound: (Tensor, usize)) -> Result<(&str, f64)> {
        let features = self.model.features(sound)?.unsqueeze(0)?;
        let scores = no_grad(|| self.network.forward(&features)?.softmax(1))?.to_vec_f64()?;
        let best = (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
        Ok((&self.words[best], scores[best]))
    }
}

fn classify(files: &[PathBuf], weights: Option<&Path>) -> Result<()> {
    let classifier = Classifier::load(weights)?;
    for file in files {
        let (word, probability) = classifier.classify(load(file, &LoadOptions::default())?)?;
        println!("{}: {word} ({:.1}%)", file.display(), 100.0 * probability);
    }
    Ok(())
}

fn demonstrate() -> Result<()> {
    let word = include_bytes!("../assets/word.wav");
    let classifier = Classifier::load(None)?;
    let (word, probability) = classifier.classify(decode(word, &LoadOptions::default())?)?;
    println!("the bundled word: {word} ({:.1}%)", 100.0 * probability);
    Ok(())
}
