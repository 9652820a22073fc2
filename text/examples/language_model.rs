//! Learns to write like a text, letter by letter or word by word.
//!
//! ```sh
//! cargo run --release -p flambeau-text --example language_model                            # learns this project's architecture
//! cargo run --release -p flambeau-text --example language_model -- --data book.txt --words --epochs 20 --prompt "it was"
//! ```
//!
//! The last tenth of the text is held out, and its perplexity is printed after each epoch; then the model writes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use flambeau_autograd::Backward;
use flambeau_nn::Module;
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::{Tensor, no_grad, random};
use flambeau_text::datasets::read_text;
use flambeau_text::generation::{GenerationConfig, generate};
use flambeau_text::language::{LSTMLanguageModel, LSTMState, LanguageModelOptions};
use flambeau_text::metrics::perplexity;
use flambeau_text::tokenize::{Vocab, VocabOptions};

/// Learns to write like a text, letter by letter or word by word
#[derive(Parser)]
#[command(name = "language_model")]
struct Args {
    /// The text [default: this project's ARCHITECTURE.md]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Tokens are words, not letters
    #[arg(long)]
    words: bool,
    /// How often to go over the text
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// How many tokens are read before each step of learning
    #[arg(long, default_value_t = 64)]
    steps: usize,
    /// How many parts of the text are read side by side
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// The learning rate
    #[arg(long, default_value_t = 5e-3)]
    lr: f64,
    /// Features of a hidden state
    #[arg(long, default_value_t = 256)]
    hidden: usize,
    /// How the text that is written begins
    #[arg(long, default_value = "the ")]
    prompt: String,
    /// How many tokens are written
    #[arg(long, default_value_t = 200)]
    tokens: usize,
    /// Divides scores before tokens are drawn
    #[arg(long, default_value_t = 0.7)]
    temperature: f64,
    /// The seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() {
    let args = Args::parse();
    if let Err(error) = random::fork(args.seed, || run(&args)) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    let (text, place) = match &args.data {
        Some(path) => (read_text(path)?, path.display().to_string()),
        None => (
            include_str!("../../ARCHITECTURE.md").to_string(),
            "ARCHITECTURE.md".to_string(),
        ),
    };
    let split = |text: &str| -> Vec<String> {
        match args.words {
            true => text.split_whitespace().map(str::to_string).collect(),
            false => text.chars().map(String::from).collect(),
        }
    };
    let tokens = split(&text);
    let vocab = match args.words {
        true => Vocab::build(
            [&tokens],
            &VocabOptions {
                specials: &["<unk>"],
                default: Some("<unk>"),
                ..VocabOptions::default()
            },
        )?,
        false => Vocab::new(
            tokens
                .iter()
                .cloned()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            None,
        )?,
    };
    let ids = vocab.ids(&tokens)?;
    let prompt = vocab
        .ids(&split(&args.prompt))
        .with_context(|| format!("the prompt has letters that {place} has not"))?;
    ensure!(!prompt.is_empty(), "the prompt is empty");
    let (learnt, held_out) = ids.split_at(ids.len() * 9 / 10);
    let columns = learnt.len() / args.batch_size.max(1);
    ensure!(
        args.steps > 0 && args.batch_size > 0 && columns > args.steps && held_out.len() > 1,
        "{place}: a text of {} tokens is too short for {} parts of {} tokens",
        ids.len(),
        args.batch_size,
        args.steps
    );
    let options = LanguageModelOptions {
        hidden_dim: args.hidden,
        ..LanguageModelOptions::default()
    };
    let model = LSTMLanguageModel::new(vocab.len(), options)?;
    println!(
        "{} tokens, {} of them different, {} parameters",
        ids.len(),
        vocab.len(),
        model.num_parameters(true)
    );
    let options = AdamOptions {
        lr: args.lr,
        ..AdamOptions::default()
    };
    let mut optimizer = Adam::new(model.parameters(), options)?;
    let parts = Tensor::from_slice(&learnt[..columns * args.batch_size], (args.batch_size, columns))?;
    for epoch in 1..=args.epochs {
        let (mut sum, mut count) = (0.0, 0);
        for begin in (0..columns - args.steps).step_by(args.steps) {
            let read = parts.narrow(1, begin as isize, args.steps)?;
            let next = parts.narrow(1, begin as isize + 1, args.steps)?;
            let scores = model.forward(&read, &mut LSTMState::default())?.flatten(0, 1)?;
            let loss = cross_entropy(&scores, &next.reshape(-1)?, &CrossEntropyOptions::default())?;
            optimizer.zero_grad();
            loss.backward()?;
            clip_grad_norm_(&model.parameters(), 1.0, 2.0, false)?;
            optimizer.step()?;
            sum += loss.item::<f32>()?;
            count += 1;
        }
        let read = Tensor::from_slice(&held_out[..held_out.len() - 1], (1, held_out.len() - 1))?;
        let next = Tensor::from_slice(&held_out[1..], (1, held_out.len() - 1))?;
        let scores = no_grad(|| model.forward(&read, &mut LSTMState::default()))?;
        let held_out = perplexity(&scores, &next, None)?;
        println!(
            "epoch {epoch}: loss {:.4}; perplexity of the held-out tenth {held_out:.2}",
            sum / count as f32
        );
    }
    model.eval();
    let settings = GenerationConfig {
        max_new_tokens: Some(args.tokens),
        do_sample: true,
        temperature: args.temperature,
        ..GenerationConfig::default()
    };
    let written = generate(
        &model,
        &Tensor::from_slice(&prompt, (1, prompt.len()))?,
        None,
        &settings,
    )?;
    let written = written.to_vec::<i64>()?;
    let written = written
        .iter()
        .map(|&id| vocab.token(id))
        .collect::<Result<Vec<&str>, _>>()?;
    println!("\n{}", written.join(if args.words { " " } else { "" }));
    Ok(())
}
