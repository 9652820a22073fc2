//! Says how English words are pronounced.
//!
//! ```sh
//! cargo run --release -p flambeau-text --example pronounce -- --weights checkpoint20.npz tensor autograd
//! ```
//!
//! The weights are g2p-en's (Apache-2.0), the file `checkpoint20.npz` of its package; phonemes are ARPAbet's.

use std::path::PathBuf;

use clap::Parser;
use flambeau_text::g2p::G2p;

/// Says how English words are pronounced
#[derive(Parser)]
#[command(name = "pronounce")]
struct Args {
    /// The words
    #[arg(required = true)]
    words: Vec<String>,
    /// g2p-en's file of weights
    #[arg(long, value_name = "NPZ")]
    weights: PathBuf,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let network = G2p::load(&args.weights)?;
    for word in &args.words {
        println!("{word}: {}", network.pronounce(word)?.join(" "));
    }
    Ok(())
}
