//! Continues a text by GPT-2.
//!
//! ```sh
//! cargo run --release -p flambeau-text --example generate -- --model gpt2 "The torch was" --beams 4
//! cargo run --release -p flambeau-text --example generate -- --model gpt2 "The torch was" --sample --top-p 0.9 --seed 1
//! ```
//!
//! The folder has a GPT-2 as Hugging Face has it: `config.json`, weights, and `tokenizer.json` or `vocab.json` and `merges.txt`.

use std::path::PathBuf;

use clap::Parser;
use flambeau_tensor::{Tensor, random};
use flambeau_text::generation::{GenerationConfig, generate};
use flambeau_text::models::{GPT2LMHeadModel, Pretrained};
use flambeau_text::tokenize::Tokenizer;

/// Continues a text by GPT-2
#[derive(Parser)]
#[command(name = "generate")]
struct Args {
    /// How the text begins
    prompt: String,
    /// A folder with a GPT-2 and its tokeniser
    #[arg(long, value_name = "FOLDER")]
    model: PathBuf,
    /// How many tokens are added at most
    #[arg(long, value_name = "N", default_value_t = 40)]
    tokens: usize,
    /// How many texts are pursued at once
    #[arg(long, default_value_t = 1)]
    beams: usize,
    /// Draw tokens by their probabilities
    #[arg(long)]
    sample: bool,
    /// Draw from this many best tokens
    #[arg(long, default_value_t = 50)]
    top_k: usize,
    /// Draw from the fewest best tokens that have this probability together
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Divides scores before tokens are drawn
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// By which factor tokens that are in the text already become less likely
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f64,
    /// The seed of what is drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let tokenizer = Tokenizer::from_pretrained(&args.model)?;
    let (model, _) = GPT2LMHeadModel::from_pretrained(&args.model)?;
    let ids = tokenizer.encode(&args.prompt, false)?;
    let settings = GenerationConfig {
        max_new_tokens: Some(args.tokens),
        num_beams: args.beams,
        do_sample: args.sample,
        top_k: args.top_k,
        top_p: args.top_p,
        temperature: args.temperature,
        repetition_penalty: args.repetition_penalty,
        eos_token_id: tokenizer.token_to_id("<|endoftext|>").into_iter().collect(),
        ..GenerationConfig::default()
    };
    let prompt = Tensor::from_slice(&ids, (1, ids.len()))?;
    let text = random::fork(args.seed, || generate(&model, &prompt, None, &settings))?;
    println!("{}", tokenizer.decode(&text.to_vec::<i64>()?, true)?);
    Ok(())
}
