//! Fetches files of a repository on Hugging Face into the cache and prints where they are.
//!
//! ```sh
//! cargo run -p flambeau-hub --features download --example fetch -- google/vit-base-patch16-224 config.json
//! cargo run -p flambeau-hub --features download --example fetch -- org/name '*.safetensors' --revision v1.0
//! ```
//!
//! Files are names or patterns (`*.json`); without any, everything is fetched. The paths are printed on stdout, one a
//! line, and a bar on stderr where that is a terminal. `HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE` and the like hold.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use flambeau_hub::{HubBuilder, Repo};

/// Fetches files of a repository on Hugging Face into the cache and prints where they are.
#[derive(Parser)]
struct Args {
    /// The repository, `owner/name`.
    repo: String,
    /// Names or patterns of files (default: all files).
    files: Vec<String>,
    /// A branch, a tag or a commit.
    #[arg(long, default_value = "main")]
    revision: String,
    /// The repository is one of data.
    #[arg(long)]
    dataset: bool,
    /// Use the cache alone.
    #[arg(long)]
    offline: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fetch: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let mut builder = HubBuilder::from_env()?;
    if args.offline {
        builder = builder.offline(true);
    }
    let repo = if args.dataset {
        Repo::dataset(&args.repo)
    } else {
        Repo::model(&args.repo)
    };
    let repo = repo.on(&builder.build()?).revision(&args.revision);
    // Plain names need no list of what there is.
    let plain = !args.files.is_empty() && !args.files.iter().any(|file| file.contains(['*', '?', '[']));
    if plain {
        for file in &args.files {
            println!("{}", repo.get(file)?.display());
        }
        return Ok(());
    }
    let patterns: Vec<&str> = args.files.iter().map(String::as_str).collect();
    let snapshot = repo.snapshot(&patterns)?;
    for file in &snapshot.files {
        println!("{}", snapshot.folder.join(file).display());
    }
    Ok(())
}
