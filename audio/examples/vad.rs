//! Says where speech is in a file, by Silero's detector.
//!
//! ```sh
//! cargo run --release -p flambeau-audio --example vad                  # a bundled sentence
//! cargo run --release -p flambeau-audio --example vad -- sound.wav
//! ```

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use flambeau_audio::functional::{ResampleOptions, resample};
use flambeau_audio::io::{LoadOptions, decode_wav, load};
use flambeau_audio::models::{SileroVad, SpeechOptions, VAD_SAMPLE_RATE};
use flambeau_nn::Forward;
use flambeau_tensor::no_grad;

/// Says where speech is in files
#[derive(Parser)]
#[command(name = "vad")]
struct Args {
    /// Files of sound [default: a bundled sentence]
    files: Vec<PathBuf>,
    /// From which probability on a window of 32 ms is speech
    #[arg(long, default_value_t = 0.5)]
    threshold: f64,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    let detector = SileroVad::pretrained()?;
    let options = SpeechOptions {
        threshold: args.threshold,
        ..SpeechOptions::default()
    };
    let mut sounds = Vec::new();
    for file in &args.files {
        sounds.push((file.display().to_string(), load(file, &LoadOptions::default())?));
    }
    if sounds.is_empty() {
        let sentence = decode_wav(include_bytes!("../assets/sentence.wav"), &LoadOptions::default())?;
        sounds.push(("the bundled sentence".to_string(), sentence));
    }
    for (name, (waveform, rate)) in sounds {
        let mono = waveform.mean_dim(0, false)?;
        let x = resample(&mono, rate, VAD_SAMPLE_RATE, &ResampleOptions::default())?;
        let seconds = x.numel() as f64 / VAD_SAMPLE_RATE as f64;
        let begin = Instant::now();
        let probabilities = no_grad(|| detector.forward(&x.unsqueeze(0)?))?.to_vec_f64()?;
        let elapsed = begin.elapsed().as_secs_f64();
        println!("{name}: {seconds:.2} s");
        for [from, to] in detector.speech(&x, &options)? {
            println!("  speech from {from:.2} to {to:.2} s");
        }
        let speech = probabilities.iter().filter(|&&p| p >= args.threshold).count();
        println!(
            "  {:.1}% of {} windows are speech; the network took {:.4} of real time",
            100.0 * speech as f64 / probabilities.len() as f64,
            probabilities.len(),
            elapsed / seconds
        );
    }
    Ok(())
}
