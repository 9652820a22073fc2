//! Tracks the pitch in a file, by CREPE.
//!
//! ```sh
//! cargo run --release -p flambeau-audio --example pitch                # sines of 110, 440 and 880 Hz
//! cargo run --release -p flambeau-audio --example pitch -- sound.wav
//! ```

use std::f64::consts::TAU;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use flambeau_audio::io::{LoadOptions, load};
use flambeau_audio::models::{CREPE_SAMPLE_RATE, Crepe, CrepeDecoder};
use flambeau_tensor::{DType, Tensor};

/// Tracks the pitch in a file
#[derive(Parser)]
#[command(name = "pitch")]
struct Args {
    /// A file of sound [default: sines of 110, 440 and 880 Hz]
    file: Option<PathBuf>,
    /// Seconds from frame to frame
    #[arg(long, default_value_t = 0.01)]
    hop: f64,
    /// Frames in which the network is less sure than this have no pitch
    #[arg(long, default_value_t = 0.5)]
    least: f64,
    /// How scores become a frequency
    #[arg(long, value_enum, default_value_t = Decoder::Argmax)]
    decoder: Decoder,
}

#[derive(Clone, Copy, ValueEnum)]
enum Decoder {
    /// The pitch with the highest score
    Argmax,
    /// The mean of the pitches around it
    Weighted,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    let crepe = Crepe::pretrained()?;
    let decoder = match args.decoder {
        Decoder::Argmax => CrepeDecoder::Argmax,
        Decoder::Weighted => CrepeDecoder::WeightedArgmax,
    };
    let Some(file) = &args.file else {
        let time = Tensor::arange(0, 16000, 1, DType::F32)?.div(CREPE_SAMPLE_RATE as f64)?;
        for hz in [110.0, 440.0, 880.0] {
            let sine = time.mul(hz * TAU)?.sin()?;
            let mut heard = crepe.track(&sine, CREPE_SAMPLE_RATE, args.hop, decoder)?;
            heard.sort_by(|a, b| a.frequency.total_cmp(&b.frequency));
            println!(
                "a sine of {hz} Hz is heard as {:.1} Hz",
                heard[heard.len() / 2].frequency
            );
        }
        return Ok(());
    };
    let (waveform, rate) = load(file, &LoadOptions::default())?;
    let seconds = waveform.shape()[1] as f64 / rate as f64;
    let begin = Instant::now();
    let pitches = crepe.track(&waveform.mean_dim(0, false)?, rate, args.hop, decoder)?;
    let elapsed = begin.elapsed().as_secs_f64();
    for pitch in pitches {
        if pitch.periodicity >= args.least {
            println!(
                "{:7.3} s  {:7.1} Hz  {:.2}",
                pitch.time, pitch.frequency, pitch.periodicity
            );
        } else {
            println!("{:7.3} s        -", pitch.time);
        }
    }
    println!(
        "{seconds:.2} s of sound in {elapsed:.2} s: {:.3} of real time",
        elapsed / seconds
    );
    Ok(())
}
