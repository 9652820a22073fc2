//! Finds faces on a picture, with eyes, nose and mouth.
//!
//! ```sh
//! cargo run --release -p flambeau-vision --example detect_faces                                # a bundled portrait
//! cargo run --release -p flambeau-vision --example detect_faces -- party.jpg --out party-faces.png
//! ```
//!
//! The model is MTCNN; its weights are bundled. `--weights-dir` takes others: a folder with `pnet.pt`, `rnet.pt` and `onet.pt`,
//! as facenet-pytorch has them, whatever stands before these names.

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use flambeau_nn::{Module, StateDict};
use flambeau_tensor::Tensor;
use flambeau_vision::io::{DecodeOptions, decode_image, write_png};
use flambeau_vision::models::detection::{Face, Mtcnn, MtcnnOptions};
use flambeau_vision::utils::{
    Color, DrawBoxesOptions, DrawKeyPointsOptions, draw_bounding_boxes, draw_keypoints,
};

/// The bundled portrait; `assets/README.md` says whose it is.
const PORTRAIT: &[u8] = include_bytes!("../assets/astronaut.jpg");

/// Finds faces on a picture, with eyes, nose and mouth, by MTCNN
#[derive(Parser)]
#[command(name = "detect_faces")]
struct Args {
    /// A PNG or JPEG file [default: a bundled portrait]
    picture: Option<PathBuf>,
    /// Draw the faces into this PNG file
    #[arg(long, value_name = "PNG")]
    out: Option<PathBuf>,
    /// The smallest faces to look for, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 20)]
    min_face_size: usize,
    /// How probable a face must be for the last network, from 0 to 1
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.7)]
    threshold: f32,
    /// A folder with the weights of the three networks [default: bundled ones]
    #[arg(long, value_name = "FOLDER")]
    weights_dir: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    ensure!(
        (0.0..=1.0).contains(&args.threshold),
        "--threshold is a probability from 0 to 1, not {}",
        args.threshold
    );
    let detector = match &args.weights_dir {
        Some(folder) => load(folder)?,
        None => Mtcnn::pretrained()?,
    };
    let picture = match &args.picture {
        Some(path) => common::read_photo(path)?,
        None => decode_image(PORTRAIT, &DecodeOptions::default())?,
    };
    let mut options = MtcnnOptions {
        min_face_size: args.min_face_size,
        ..MtcnnOptions::default()
    };
    options.thresholds[2] = args.threshold;
    let begin = Instant::now();
    let faces = detector.detect(&picture, &options)?;
    let seconds = begin.elapsed().as_secs_f64();
    if let Some(path) = &args.out {
        write_png(&drawn(&picture, &faces)?, path, 6)?;
    }
    report(args, &faces, seconds)?;
    Ok(())
}

fn report(args: &Args, faces: &[Face], seconds: f64) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        return writeln!(
            out,
            "{}",
            serde_json::json!({ "seconds": seconds, "faces": faces })
        );
    }
    for face in faces {
        let [left, top, right, bottom] = face.bounds;
        writeln!(
            out,
            "{:6.2}%  a face from ({left:.0}, {top:.0}) to ({right:.0}, {bottom:.0})",
            100.0 * face.probability
        )?;
        let names = ["left eye", "right eye", "nose", "left of mouth", "right of mouth"];
        let points = names.iter().zip(face.landmarks);
        let points: Vec<String> = points
            .map(|(name, [x, y])| format!("{name} ({x:.0}, {y:.0})"))
            .collect();
        writeln!(out, "         {}", points.join(", "))?;
    }
    let count = match faces.len() {
        1 => "1 face".to_string(),
        count => format!("{count} faces"),
    };
    writeln!(out, "{count} in {:.0} ms", 1e3 * seconds)?;
    if let Some(path) = &args.out {
        writeln!(out, "{} shows what was found", path.display())?;
    }
    Ok(())
}

/// The picture with boxes, probabilities and points.
fn drawn(picture: &Tensor, faces: &[Face]) -> Result<Tensor> {
    if faces.is_empty() {
        return Ok(picture.clone());
    }
    let count = faces.len();
    let bounds: Vec<f32> = faces.iter().flat_map(|face| face.bounds).collect();
    let points: Vec<f32> = faces.iter().flat_map(|face| face.landmarks).flatten().collect();
    let labels: Vec<String> = faces
        .iter()
        .map(|face| format!("{:.1}%", 100.0 * face.probability))
        .collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let green = Color([0, 220, 0]);
    let boxes = DrawBoxesOptions {
        labels: &labels,
        colors: &[green],
        width: 2,
        fill_labels: true,
        ..DrawBoxesOptions::default()
    };
    let picture = draw_bounding_boxes(picture, &Tensor::from_vec(bounds, (count, 4))?, &boxes)?;
    let dots = DrawKeyPointsOptions {
        color: Color([255, 40, 40]),
        ..DrawKeyPointsOptions::default()
    };
    Ok(draw_keypoints(
        &picture,
        &Tensor::from_vec(points, (count, 5, 2))?,
        &dots,
    )?)
}

/// The detector with the weights in a folder.
fn load(folder: &Path) -> Result<Mtcnn> {
    let mut state = StateDict::new();
    for network in ["pnet", "rnet", "onet"] {
        let path = find(folder, network)?;
        for (key, tensor) in flambeau_hub::load(&path)?.state_dict()? {
            state.insert(format!("{network}.{key}"), tensor);
        }
    }
    let detector = flambeau_nn::init::skip(Mtcnn::new)?;
    detector
        .load_state_dict(&state, true)
        .with_context(|| format!("{}: these are no weights of MTCNN", folder.display()))?;
    Ok(detector)
}

/// The file of a network, whose name ends with the network's.
fn find(folder: &Path, network: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let is_it = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(network);
        if path.is_file() && path.file_stem().is_some_and(is_it) {
            return Ok(path);
        }
    }
    bail!("{}: no file {network}.pt", folder.display())
}
