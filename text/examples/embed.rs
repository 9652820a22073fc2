//! Says how much sentences are alike.
//!
//! ```sh
//! cargo run --release -p flambeau-text --example embed -- --model all-MiniLM-L6-v2 \
//!     "That is a happy person" "That is a happy dog" "Today is a sunny day"
//! ```
//!
//! The folder has a BERT as Hugging Face has it: `config.json`, `model.safetensors` and `tokenizer.json`. Printed are the cosines of the
//! first sentence's vector with those of the others; vectors are means of hidden states, of length 1.

use std::path::PathBuf;

use clap::Parser;
use flambeau_text::embeddings::SentenceEmbedder;

/// Says how much sentences are alike
#[derive(Parser)]
#[command(name = "embed")]
struct Args {
    /// The sentences, of which the first is compared with the others
    #[arg(required = true, num_args = 2..)]
    sentences: Vec<String>,
    /// A folder with a BERT and its tokeniser
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// How many tokens of a sentence are read
    #[arg(long, default_value_t = 256)]
    max_length: usize,
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
    let embedder = SentenceEmbedder::from_pretrained(&args.model, args.max_length)?;
    let vectors = embedder.embed(&args.sentences)?;
    let cosines = vectors
        .matmul(&vectors.select(0, 0)?.unsqueeze(1)?)?
        .to_vec::<f32>()?;
    if args.json {
        println!(
            "{}",
            serde_json::json!({"sentences": args.sentences, "cosines": cosines})
        );
        return Ok(());
    }
    for (sentence, cosine) in args.sentences.iter().zip(&cosines).skip(1) {
        println!("{cosine:.5} {sentence}");
    }
    Ok(())
}
