//! Says what is on pictures, by published weights in a local file:
//!
//! ```text
//! cargo run --release -p flambeau-vision --example classify -- \
//!     --model efficientnet_lite0 --weights efficientnet-lite0-57934424.pth chelsea.png
//! ```
//!
//! Files are those that torchvision publishes (`.pth`), or `.safetensors`. Pictures are prepared as for the published weights
//! of the file's name, or those that `--member` names.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use flambeau_nn::{Forward, Module, init};
use flambeau_tensor::no_grad;
use flambeau_vision::io::{DecodeOptions, read_image};
use flambeau_vision::models::{self, Options};
use flambeau_vision::transforms::{ImageClassification, Sample, Transform};

#[derive(Parser)]
#[command(about = "Says what is on pictures")]
struct Args {
    /// The model, by its name in the registry (`--example models` prints it).
    #[arg(long)]
    model: String,
    /// The file with its weights.
    #[arg(long)]
    weights: PathBuf,
    /// Which published weights these are, such as IMAGENET1K_V1, if the file has another name than they had.
    #[arg(long)]
    member: Option<String>,
    /// How many classes to name.
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// PNG or JPEG files.
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    let entry = models::entry(&args.model)?;
    let file = args
        .weights
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let published = match &args.member {
        None => entry.weights.iter().find(|weights| weights.file == file),
        Some(member) => entry.weights.iter().find(|weights| weights.name == member),
    };
    let Some(published) = published else {
        let known: Vec<_> = entry.weights.iter().map(|weights| weights.name).collect();
        bail!(
            "{}: say with --member which weights these are: {}",
            args.model,
            known.join(", ")
        );
    };
    let (categories, prepare) = (
        (published.categories)(),
        ImageClassification::try_from(published.preset)?,
    );

    let state = flambeau_hub::load(&args.weights)?.state_dict()?;
    // Their parameters are loaded, so none is drawn.
    let options = Options {
        transform_input: matches!(entry.name, "googlenet" | "inception_v3").then_some(true),
        ..Options::default()
    };
    let model = init::skip(|| models::create(entry.name, options))?;
    model
        .load_state_dict(&state, true)
        .context("the file has other weights")?;
    model.eval();

    for path in &args.pictures {
        let picture = read_image(path, &DecodeOptions::default())?;
        let picture = prepare.forward(Sample {
            image: Some(picture),
            ..Sample::default()
        })?;
        let scores = no_grad(|| model.forward(&picture.picture("classify")?.unsqueeze(0)?))?;
        let (chances, classes) = scores.softmax(-1)?.topk(args.top, -1, true, true)?;
        let named = classes.to_vec::<i64>()?.into_iter().zip(chances.to_vec::<f32>()?);
        let named = named.map(|(class, chance)| {
            let name = categories.get(class as usize).copied().unwrap_or("?");
            format!("{name} {chance:.3}")
        });
        println!("{}: {}", path.display(), named.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
