//! The steps of `cargo xtask check`: each is one command of cargo's, or tidy.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tidy;

/// One step of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Fmt,
    Tidy,
    Clippy,
    Test,
    Doc,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Fmt => "fmt",
            Step::Tidy => "tidy",
            Step::Clippy => "clippy",
            Step::Test => "test",
            Step::Doc => "doc",
        }
    }

    /// Every step uses the dev profile, so that clippy and doc share the checked dependencies, and the tests reuse
    /// what was built for xtask.
    fn run(self) -> Result<()> {
        match self {
            Step::Fmt => cargo(&["fmt", "--all", "--check"], &[]),
            Step::Tidy => tidy::run(&root()),
            Step::Clippy => cargo(
                &[
                    "clippy",
                    "--workspace",
                    "--all-features",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ],
                &[],
            ),
            Step::Test => cargo(&["test", "--workspace", "--all-features"], &[]),
            Step::Doc => cargo(
                &["doc", "--workspace", "--all-features", "--no-deps"],
                &[("RUSTDOCFLAGS", "-D warnings")],
            ),
        }
    }
}

/// Runs the steps in turn, prints the time of each, and stops at the first that fails.
pub(crate) fn run(steps: &[Step]) -> Result<()> {
    let mut times: Vec<(Step, Duration)> = Vec::new();
    let mut outcome = Ok(());
    for &step in steps {
        eprintln!("== {}", step.name());
        let begin = Instant::now();
        outcome = step.run().with_context(|| format!("{} failed", step.name()));
        times.push((step, begin.elapsed()));
        if outcome.is_err() {
            break;
        }
    }
    if steps.len() > 1 {
        for (step, time) in &times {
            eprintln!("{:>8} {:>7.1} s", step.name(), time.as_secs_f64());
        }
        if outcome.is_ok() {
            eprintln!("all {} steps passed", times.len());
        }
    }
    outcome
}

/// Builds the binary `bin` of `package` in a profile of cargo's and runs it with `args`; its exit status becomes ours.
pub(crate) fn program(profile: &str, package: &str, bin: &str, args: &[String]) -> Result<ExitCode> {
    let status = cargo_command()
        .args(["run", "--quiet", "--profile", profile])
        .args(["--package", package, "--bin", bin, "--"])
        .args(args)
        .status()
        .context("cargo cannot be started")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// The cargo that runs this program.
pub(crate) fn cargo_command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.stdin(Stdio::null());
    command
}

fn cargo(args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    let status = cargo_command()
        .args(args)
        .envs(env.iter().copied())
        .current_dir(root())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("`cargo {}` ended with {status}", args.join(" "));
    }
    Ok(())
}
