//! Draws the mel spectrogram of a file as a picture.
//!
//! ```sh
//! cargo run --release -p flambeau-audio --example features -- --out mel.png             # a bundled sentence
//! cargo run --release -p flambeau-audio --example features -- sound.wav --out mel.png
//! ```
//!
//! Low frequencies are at the bottom; a column is 10 ms, and bright is loud.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use flambeau_audio::io::{LoadOptions, decode_wav, load};
use flambeau_audio::transforms::{AmplitudeToDB, MelSpectrogram, MelSpectrogramOptions, Scale};
use flambeau_nn::Forward;
use flambeau_tensor::{DType, Tensor};

/// Draws the mel spectrogram of a file
#[derive(Parser)]
#[command(name = "features")]
struct Args {
    /// A file of sound [default: a bundled sentence]
    file: Option<PathBuf>,
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "mel.png")]
    out: PathBuf,
    /// How many mel filters there are
    #[arg(long, default_value_t = 80)]
    mels: usize,
    /// Pixels to a filter, in height
    #[arg(long, default_value_t = 3)]
    zoom: usize,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    let (waveform, sample_rate) = match &args.file {
        Some(file) => load(file, &LoadOptions::default())?,
        None => decode_wav(include_bytes!("../assets/sentence.wav"), &LoadOptions::default())?,
    };
    let mel = MelSpectrogram::new(MelSpectrogramOptions {
        sample_rate,
        n_fft: (sample_rate / 25).next_power_of_two(),
        win_length: Some(sample_rate / 40),
        hop_length: Some(sample_rate / 100),
        n_mels: args.mels,
        ..MelSpectrogramOptions::default()
    })?;
    let mono = waveform.mean_dim(0, false)?;
    let decibels = AmplitudeToDB::new(Scale::Power, Some(80.0))?.forward(&mel.forward(&mono)?)?;
    let (quiet, loud) = (decibels.min()?, decibels.max()?);
    let range = loud.sub(&quiet)?.clamp_min(1e-6)?;
    let levels = decibels.sub(&quiet)?.div(&range)?.flip(0)?;
    let zoomed = levels.repeat_interleave(args.zoom.max(1), Some(0))?;
    write_png(&zoomed, &args.out)?;
    println!(
        "{}: {} by {} pixels, {} mel filters, {:.0} dB from black to white",
        args.out.display(),
        zoomed.shape()[1],
        zoomed.shape()[0],
        args.mels,
        range.item_f64()?
    );
    Ok(())
}

/// Levels from 0 to 1 as black, purple, orange and white.
fn write_png(levels: &Tensor, path: &PathBuf) -> Result<()> {
    const COLORS: [[f32; 3]; 5] = [
        [0., 0., 4.],
        [87., 16., 110.],
        [188., 55., 84.],
        [249., 142., 9.],
        [252., 255., 200.],
    ];
    let mut pixels = Vec::with_capacity(3 * levels.numel());
    for level in levels.to_dtype(DType::F32)?.to_vec::<f32>()? {
        let at = level.clamp(0.0, 1.0) * 4.0;
        let (from, part) = ((at as usize).min(3), at - (at as usize).min(3) as f32);
        for channel in 0..3 {
            let (a, b) = (COLORS[from][channel], COLORS[from + 1][channel]);
            pixels.push((a + (b - a) * part) as u8);
        }
    }
    let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    let mut encoder = png::Encoder::new(file, levels.shape()[1] as u32, levels.shape()[0] as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}
