//! The project's chores, as `cargo xtask <command>`.
//!
//! `cargo xtask check` is what a change must pass. Its steps are commands of their own, so that one can be run alone.
//! `bench` and `golden` are programs of their own; their arguments are handed on.

mod steps;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use steps::Step;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The project's chores",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that a change must pass, cheapest first: fmt, tidy, clippy, test, doc.
    Check {
        /// Leaves out the formatting check.
        #[arg(long)]
        no_fmt: bool,
        /// Leaves out the project's own rules.
        #[arg(long)]
        no_tidy: bool,
        /// Leaves out clippy.
        #[arg(long)]
        no_clippy: bool,
        /// Leaves out the tests.
        #[arg(long)]
        no_test: bool,
        /// Leaves out the documentation.
        #[arg(long)]
        no_doc: bool,
    },
    /// Checks the formatting: `cargo fmt --all --check`.
    Fmt,
    /// Checks the project's own rules: layers, file headers and lengths, links.
    Tidy,
    /// Runs clippy over all targets, warnings denied.
    Clippy,
    /// Runs all tests, doctests included.
    Test,
    /// Builds the documentation, warnings denied.
    Doc,
    /// Times Flambeau's workloads, alone or beside PyTorch's; `cargo xtask bench --help` lists the options.
    #[command(disable_help_flag = true)]
    Bench(Forwarded),
    /// Runs reference cases made by PyTorch: `cargo xtask golden DIR... [--only NAME] [--json]`.
    #[command(disable_help_flag = true)]
    Golden(Forwarded),
}

/// Arguments that go to another program as they are.
#[derive(Args)]
struct Forwarded {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let steps = match command {
        Command::Check {
            no_fmt,
            no_tidy,
            no_clippy,
            no_test,
            no_doc,
        } => [
            (Step::Fmt, no_fmt),
            (Step::Tidy, no_tidy),
            (Step::Clippy, no_clippy),
            (Step::Test, no_test),
            (Step::Doc, no_doc),
        ]
        .into_iter()
        .filter_map(|(step, left_out)| (!left_out).then_some(step))
        .collect(),
        Command::Fmt => vec![Step::Fmt],
        Command::Tidy => vec![Step::Tidy],
        Command::Clippy => vec![Step::Clippy],
        Command::Test => vec![Step::Test],
        Command::Doc => vec![Step::Doc],
        Command::Bench(Forwarded { args }) => {
            return steps::program("release", "flambeau-bench", "bench", &args);
        }
        // The cases are small: what the tests have built serves, and a release build would take longer than the run.
        Command::Golden(Forwarded { args }) => {
            return steps::program("dev", "flambeau-parity", "golden", &args);
        }
    };
    steps::run(&steps)?;
    Ok(ExitCode::SUCCESS)
}
