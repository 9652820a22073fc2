//! Continues a text by GPT-2, and teaches a small GPT-2 a book.
//!
//! ```sh
//! cargo run --release -p flambeau-text --example generate                                        # bundled weights, which know one book
//! cargo run --release -p flambeau-text --example generate -- "The old captain" --seed 1
//! cargo run --release -p flambeau-text --example generate -- "The torch was" --model gpt2 --beams 4
//! cargo run --release -p flambeau-text --example generate -- train --data moby_dick --out my_gpt2
//! ```
//!
//! A folder has a GPT-2 as Hugging Face has it: `config.json`, weights, and `tokenizer.json` or `vocab.json` and `merges.txt`. The
//! bundled one is described in `text/references/moby_dick/README.md`.

mod train;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use flambeau_tensor::{Tensor, random};
use flambeau_text::generation::{GenerationConfig, generate};
use flambeau_text::language::moby_dick;
use flambeau_text::models::{GPT2LMHeadModel, Pretrained};
use flambeau_text::tokenize::Tokenizer;

/// Continues a text by GPT-2, and teaches a small GPT-2 a book
#[derive(Parser)]
#[command(name = "generate", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    write: Write,
}

#[derive(Subcommand)]
enum Task {
    /// Learn from texts
    Train(train::Train),
}

#[derive(clap::Args)]
struct Write {
    /// How the text begins
    #[arg(default_value = "The white whale")]
    prompt: String,
    /// A folder with a GPT-2 and its tokeniser [default: the bundled one, which has read Moby-Dick]
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// How many tokens are added at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    tokens: usize,
    /// How many texts are pursued at once, of which the most probable is taken; without it, tokens are drawn
    #[arg(long)]
    beams: Option<usize>,
    /// Take the most probable token each time
    #[arg(long, conflicts_with = "beams")]
    greedy: bool,
    /// Draw from this many best tokens
    #[arg(long, default_value_t = 50)]
    top_k: usize,
    /// Draw from the fewest best tokens that have this probability together
    #[arg(long, default_value_t = 0.9)]
    top_p: f64,
    /// Divides scores before tokens are drawn
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// By which factor tokens that are in the text already become less likely
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f64,
    /// The seed of what is drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() {
    let args = Args::parse();
    let result = match &args.task {
        Some(Task::Train(args)) => random::fork(args.seed, || train::train(args)),
        None => write(&args.write),
    };
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn write(args: &Write) -> Result<()> {
    let (model, tokenizer) = match &args.model {
        Some(folder) => {
            let tokenizer = Tokenizer::from_pretrained(folder)?;
            (GPT2LMHeadModel::from_pretrained(folder)?.0, tokenizer)
        }
        None => moby_dick()?,
    };
    let ids = tokenizer.encode(&args.prompt, false)?;
    ensure!(
        !ids.is_empty(),
        "the text needs a beginning of at least one letter"
    );
    let settings = GenerationConfig {
        max_new_tokens: Some(args.tokens),
        num_beams: args.beams.unwrap_or(1),
        do_sample: args.beams.is_none() && !args.greedy,
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
