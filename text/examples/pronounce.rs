//! Says how English words are pronounced.
//!
//! ```sh
//! cargo run --release -p flambeau-text --example pronounce                                        # four words
//! cargo run --release -p flambeau-text --example pronounce -- torch flambeau
//! cargo run --release -p flambeau-text --example pronounce -- torch --weights checkpoint20.npz
//! ```
//!
//! The weights are g2p-en's (Apache-2.0), bundled in half precision; `--weights` takes the file `checkpoint20.npz` of its package.
//! Phonemes are ARPAbet's.

use std::path::PathBuf;

use clap::Parser;
use flambeau_text::g2p::G2p;

/// Says how English words are pronounced
#[derive(Parser)]
#[command(name = "pronounce")]
struct Args {
    /// The words
    #[arg(default_values = ["tensor", "autograd", "torch", "flambeau"])]
    words: Vec<String>,
    /// g2p-en's file of weights [default: the bundled ones]
    #[arg(long, value_name = "NPZ")]
    weights: Option<PathBuf>,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let network = match &args.weights {
        Some(path) => G2p::load(path)?,
        None => G2p::english()?,
    };
    for word in &args.words {
        println!("{word}: {}", network.pronounce(word)?.join(" "));
    }
    Ok(())
}
