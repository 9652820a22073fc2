//! Says how much sentences are alike.
//!
//! ```sh
//! cargo run --release -p flambeau-text --example embed -- --model all-MiniLM-L6-v2 \
//!     "That is a happy person" "That is a happy dog" "Today is a sunny day"
//! cargo run --release -p flambeau-text --example embed -- --model all-MiniLM-L6-v2 --file sentences.txt --json > cosines.json
//! ```
//!
//! The folder has a BERT as Hugging Face has it: `config.json`, `model.safetensors` and `tokenizer.json`. Printed are the cosines of the
//! first sentence's vector with those of the others; vectors are means of hidden states, of length 1.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use clap::Parser;
use flambeau_tensor::Tensor;
use flambeau_text::datasets::read_text;
use flambeau_text::embeddings::SentenceEmbedder;

/// Says how much sentences are alike
#[derive(Parser)]
#[command(name = "embed")]
struct Args {
    /// The sentences, of which the first is compared with the others
    #[arg(required_unless_present = "file")]
    sentences: Vec<String>,
    /// A file of more sentences, one in each line
    #[arg(long)]
    file: Option<PathBuf>,
    /// A folder with a BERT and its tokeniser
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// How many tokens of a sentence are read
    #[arg(long, default_value_t = 256)]
    max_length: usize,
    /// How many sentences are read at once
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let mut sentences = args.sentences.clone();
    if let Some(path) = &args.file {
        sentences.extend(read_text(path)?.lines().map(str::to_string));
    }
    ensure!(
        sentences.len() > 1 && args.batch_size > 0,
        "expected at least two sentences, in batches of at least one, got {} and {}",
        sentences.len(),
        args.batch_size
    );
    let embedder = SentenceEmbedder::from_pretrained(&args.model, args.max_length)?;
    let begin = Instant::now();
    let batches = sentences
        .chunks(args.batch_size)
        .map(|batch| embedder.embed(batch));
    let vectors = Tensor::cat(&batches.collect::<Result<Vec<_>, _>>()?, 0)?;
    let seconds = begin.elapsed().as_secs_f64();
    let cosines = vectors
        .matmul(&vectors.select(0, 0)?.unsqueeze(1)?)?
        .to_vec::<f32>()?;
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "sentences": sentences, "cosines": cosines, "sentences_per_second": sentences.len() as f64 / seconds,
            })
        );
        return Ok(());
    }
    for (sentence, cosine) in sentences.iter().zip(&cosines).skip(1) {
        println!("{cosine:.5} {sentence}");
    }
    Ok(())
}
