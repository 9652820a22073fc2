//! Prints the models that there are: `cargo run -p flambeau-vision --example models`.

#[path = "common/mod.rs"]
mod common;

use std::io::Write;
use std::process::ExitCode;

use flambeau_vision::models;

fn main() -> ExitCode {
    common::exit(print().map_err(Into::into))
}

fn print() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<20} {:>12} {:>8}  weights (ImageNet-1K acc@1)",
        "name", "parameters", "GFLOPs"
    )?;
    for entry in models::list() {
        let weights = entry.weights.iter().map(|weights| match weights.accuracy {
            Some(accuracy) => format!("{} ({:.1}%)", weights.name, accuracy.acc1),
            None => weights.name.to_string(),
        });
        let weights: Vec<_> = weights.collect();
        let line = format!(
            "{:<20} {:>12} {:>8.3}  {}",
            entry.name,
            entry.parameters,
            entry.gflops,
            weights.join(", ")
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
