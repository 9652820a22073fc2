//! Recognises spoken digits, cards and commands, and learns to.
//!
//! ```sh
//! cargo run --release -p flambeau-audio --example asr                                   # a bundled command
//! cargo run --release -p flambeau-audio --example asr -- transcribe sound.wav
//! cargo run --release -p flambeau-audio --example asr -- train --data FOLDER
//! ```
//!
//! FOLDER is what `references/commands/corpus.py` makes: three lists of files with what is said in them. Training ends with
//! the word error rate of the test sentences, whose voices and words were not in the training; `references/commands/README.md`
//! has the run that made the bundled weights.

mod data;
mod train;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use flambeau_audio::Recognizer;
use flambeau_audio::decoder::BeamOptions;
use flambeau_audio::io::{LoadOptions, decode, load};
use flambeau_audio::metrics::ErrorRate;

/// Recognises spoken digits, cards and commands, and learns to
#[derive(Parser)]
#[command(name = "asr")]
struct Args {
    /// What to do [default: write down what is said in a bundled file]
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Writes down what is said in files
    Transcribe(Transcribe),
    /// Learns from files
    Train(train::Train),
}

#[derive(clap::Args)]
struct Transcribe {
    /// Files of sound: .wav, FLAC, Ogg Vorbis or MP3 [default: a bundled command]
    files: Vec<PathBuf>,
    /// A list of files with what is said in them, to be measured by
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Weights [default: bundled ones]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// How many beginnings of texts are followed; 0 for the best path
    #[arg(long, default_value_t = 16)]
    beam: usize,
}

/// What the bundled file is called in the output.
const BUNDLED: &str = "the bundled command";

fn main() {
    let result = match Args::parse().command {
        Some(Command::Transcribe(args)) => transcribe(&args),
        Some(Command::Train(args)) => train::run(&args),
        None => transcribe(&Transcribe {
            files: Vec::new(),
            list: None,
            weights: None,
            beam: BeamOptions::default().beam_size,
        }),
    };
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn transcribe(args: &Transcribe) -> Result<()> {
    let mut jobs: Vec<(PathBuf, Option<String>)> =
        args.files.iter().map(|file| (file.clone(), None)).collect();
    if let Some(list) = &args.list {
        let said = data::read_list(list)?;
        jobs.extend(said.into_iter().map(|(file, text)| (file, Some(text))));
    }
    if jobs.is_empty() {
        jobs.push((PathBuf::from(BUNDLED), None));
    }
    let recognizer = match &args.weights {
        Some(weights) => Recognizer::load(weights)?,
        None => Recognizer::pretrained()?,
    };
    let beam = BeamOptions {
        beam_size: args.beam,
        ..BeamOptions::default()
    };
    let beam = (args.beam > 0).then_some(&beam);
    let (mut words, mut letters) = (ErrorRate::default(), ErrorRate::default());
    let (mut seconds, begin) = (0.0, Instant::now());
    for (file, said) in &jobs {
        let (waveform, rate) = if file == Path::new(BUNDLED) {
            decode(
                include_bytes!("../../assets/command.wav"),
                &LoadOptions::default(),
            )?
        } else {
            load(file, &LoadOptions::default())?
        };
        seconds += waveform.shape()[1] as f64 / rate as f64;
        let text = recognizer
            .transcribe(&waveform, rate, beam)
            .with_context(|| file.display().to_string())?;
        println!("{}: {text}", file.display());
        if let Some(said) = said {
            words.add_words(said, &text);
            letters.add_chars(said, &text);
            if *said != text {
                println!("    said: {said}");
            }
        }
    }
    let elapsed = begin.elapsed().as_secs_f64();
    if words.items > 0 {
        println!(
            "{:.2}% of {} words wrong, {:.2}% of {} letters",
            100.0 * words.rate(),
            words.items,
            100.0 * letters.rate(),
            letters.items
        );
    }
    println!(
        "{seconds:.1} s of sound in {elapsed:.2} s: {:.3} of real time",
        elapsed / seconds
    );
    Ok(())
}
