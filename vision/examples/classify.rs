//! Says what is on pictures.
//!
//! ```sh
//! cargo run --release -p flambeau-vision --example classify                       # a bundled picture, bundled weights
//! cargo run --release -p flambeau-vision --example classify -- photo.jpg --model resnet50 --cam why.png
//! cargo run --release -p flambeau-vision --example classify -- shoe.png --weights runs/train/model.safetensors
//! cargo run --release -p flambeau-vision --features download --example classify -- photos/*.jpg --json
//! ```
//!
//! Which weights are used, unless `--weights` names a file or a repository:
//!
//! - of `--model`, the published ones that are on this machine, in PyTorch's cache or the hub's; with the feature
//!   `download`, they are got from Hugging Face, after a line that says so;
//! - without `--model`, the best ones for ImageNet's thousand classes on this machine, with the feature `download` those of a
//!   ResNet-18 (45 MB), and else the bundled ones, which know Fashion-MNIST's ten kinds of clothing only.

#[path = "common/mod.rs"]
mod common;
#[path = "common/weights.rs"]
mod weights;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use flambeau_vision::io::write_png;
use flambeau_vision::pretrained::{ImageClassifier, Prediction, sample_picture};
use flambeau_vision::transforms::functional::resize;
use flambeau_vision::transforms::{InterpolationMode, ResizeOptions};
use flambeau_vision::utils::draw_heat_map;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use weights::Choice;

/// Says what is on pictures: the most probable classes of each, by a pretrained model
#[derive(Parser)]
#[command(name = "classify", after_help = EXAMPLES)]
struct Args {
    /// PNG or JPEG files [default: a bundled picture of an ankle boot]
    pictures: Vec<PathBuf>,
    /// The model, such as resnet50; the example `models` lists all [default: the best on this machine, else a bundled one]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// A file with weights, or a repository on Hugging Face (owner/name) [default: the model's published weights]
    #[arg(long, value_name = "FILE|REPO")]
    weights: Option<String>,
    /// Which of the model's published weights, such as IMAGENET1K_V1 [default: what the file's name says, or the best]
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// How many classes to name
    #[arg(long, value_name = "N", default_value = "5")]
    top: NonZeroUsize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Draw where the most probable class is seen (Grad-CAM) into this file
    #[arg(long, value_name = "PNG")]
    cam: Option<PathBuf>,
    /// How many pictures the model looks at together
    #[arg(long, value_name = "N", default_value = "16")]
    batch_size: NonZeroUsize,
}

const EXAMPLES: &str = "\
Examples:
  classify                                      a bundled picture, to see that it works
  classify photo.jpg                            the best model whose weights are on this machine
  classify photo.jpg --model resnet50 --cam why.png
  classify photos/*.jpg --json > answers.json
  classify tulip.jpg --weights runs/finetune/model.safetensors";

/// What the program says about a picture.
#[derive(Serialize)]
struct Answer {
    file: String,
    top: Vec<Prediction>,
}

/// What is wrong with a file.
#[derive(Serialize)]
struct Failure {
    file: String,
    error: String,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    ensure!(
        args.cam.is_none() || args.pictures.len() <= 1,
        "--cam explains one picture, not {}",
        args.pictures.len()
    );
    // Before weights are looked for or downloaded.
    if let (Some(first), true) = (
        args.pictures.first(),
        args.pictures.iter().all(|path| !path.exists()),
    ) {
        common::read_photo(first)?;
    }
    // A picture of clothing is for the model that knows clothing.
    let demo = args.pictures.is_empty() && args.model.is_none() && args.weights.is_none();
    let Choice { classifier, weights } = match demo && args.member.is_none() {
        true => weights::bundled()?,
        false => weights::choose(
            args.model.as_deref(),
            args.weights.as_deref(),
            args.member.as_deref(),
        )?,
    };
    let begin = Instant::now();
    let (answers, failures) = classify(args, &classifier)?;
    let seconds = begin.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    if args.json {
        let report = serde_json::json!({
            "model": classifier.name(),
            "weights": weights,
            "seconds": seconds,
            "pictures": answers,
            "failures": failures,
        });
        writeln!(out, "{report}")?;
    } else if !answers.is_empty() {
        let count = match answers.len() {
            1 => "1 picture".to_string(),
            count => format!("{count} pictures"),
        };
        let model = classifier.name();
        writeln!(out, "{count} in {:.1} ms by {model}, {weights}", 1e3 * seconds)?;
    }
    if let (Some(path), [answer]) = (&args.cam, &answers[..]) {
        explain(args, &classifier, path)?;
        eprintln!(
            "{} shows where {} is seen",
            path.display(),
            answer.top[0].category
        );
    }
    match &failures[..] {
        [] => Ok(()),
        [failure] if answers.is_empty() => bail!("{}", failure.error),
        _ => bail!(
            "{} of {} files are no pictures that can be read",
            failures.len(),
            args.pictures.len()
        ),
    }
}

/// The most probable classes of all pictures, and what is wrong with files that are none. Text is printed as it comes.
fn classify(args: &Args, classifier: &ImageClassifier) -> Result<(Vec<Answer>, Vec<Failure>)> {
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    if args.pictures.is_empty() {
        let top = classifier
            .classify(&[sample_picture()?], args.top.get())?
            .remove(0);
        answers.push(Answer {
            file: "ankle_boot.png".to_string(),
            top,
        });
        print(args, &answers)?;
        return Ok((answers, failures));
    }
    let bar = progress(args.pictures.len());
    for paths in args.pictures.chunks(args.batch_size.get()) {
        let (mut files, mut pictures) = (Vec::new(), Vec::new());
        for path in paths {
            match common::read_photo(path) {
                Ok(picture) => {
                    files.push(path.display().to_string());
                    pictures.push(picture);
                }
                Err(error) => {
                    if args.pictures.len() > 1 {
                        bar.suspend(|| eprintln!("error: {error}"));
                    }
                    failures.push(Failure {
                        file: path.display().to_string(),
                        error: error.to_string(),
                    });
                }
            }
        }
        if !pictures.is_empty() {
            let tops = classifier.classify(&pictures, args.top.get())?;
            let new: Vec<Answer> = files
                .into_iter()
                .zip(tops)
                .map(|(file, top)| Answer { file, top })
                .collect();
            bar.suspend(|| print(args, &new))?;
            answers.extend(new);
        }
        bar.inc(paths.len() as u64);
    }
    bar.finish_and_clear();
    Ok((answers, failures))
}

/// A bar on stderr, if there is a terminal and more to do than a moment's work.
fn progress(pictures: usize) -> ProgressBar {
    let template = "{bar:30} {pos}/{len} pictures, {per_sec}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) if pictures > 1 => ProgressBar::new(pictures as u64).with_style(style),
        _ => ProgressBar::hidden(),
    }
}

fn print(args: &Args, answers: &[Answer]) -> std::io::Result<()> {
    if args.json {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    for answer in answers {
        writeln!(out, "{}", answer.file)?;
        for class in &answer.top {
            writeln!(out, "{:7.2}%  {}", 100.0 * class.probability, class.category)?;
        }
    }
    Ok(())
}

/// Draws where on the picture the most probable class is seen.
fn explain(args: &Args, classifier: &ImageClassifier, path: &Path) -> Result<()> {
    let mut picture = match args.pictures.first() {
        Some(path) => common::read_photo(path)?,
        None => sample_picture()?,
    };
    let mut heat = classifier.explain(&picture, None)?;
    // Small pictures are enlarged, so that there is something to see.
    const WIDE: usize = 280;
    let (height, width) = (picture.shape()[1], picture.shape()[2]);
    let factor = WIDE / height.max(width);
    if factor > 1 {
        let options = ResizeOptions {
            interpolation: InterpolationMode::Nearest,
            ..ResizeOptions::default()
        };
        let size = (factor * height, factor * width);
        picture = resize(&picture, size, &options)?;
        heat = resize(&heat.unsqueeze(0)?, size, &ResizeOptions::default())?.squeeze_dim(0)?;
    }
    write_png(&draw_heat_map(&picture, &heat, 0.6)?, path, 6)?;
    Ok(())
}
