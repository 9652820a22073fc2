//! `cargo xtask golden DIR... [--only NAME] [--json]`: runs reference cases made by PyTorch and says what fails.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use flambeau_parity::golden::{GroupReport, Options, run};
use serde_json::{Value, json};

#[derive(Parser)]
#[command(name = "cargo xtask golden", about = "Runs reference cases made by PyTorch")]
struct Arguments {
    /// Folders with case files, which are searched through all their levels.
    #[arg(required = true)]
    dir: Vec<PathBuf>,
    /// Runs only files whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { dir, only, json } = Arguments::parse();
    let report = match run(&dir, &Options { only }) {
        Ok(report) if report.is_empty() => {
            eprintln!("error: no case files of a group that exists below {dir:?}");
            return ExitCode::FAILURE;
        }
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if json {
        println!("{}", as_json(&report));
    } else {
        print_table(&report);
    }
    if report.values().all(|group| group.failed.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn as_json(report: &BTreeMap<String, GroupReport>) -> Value {
    let group = |group: &GroupReport| {
        let failed = group
            .failed
            .iter()
            .map(|f| json!({ "file": f.file, "id": f.id, "why": f.why }));
        json!({
            "known": group.known,
            "unknown": group.unknown,
            "cases": group.cases,
            "passed": group.passed,
            "skipped_complex": group.skipped_complex,
            "failed": failed.collect::<Vec<_>>(),
        })
    };
    report
        .iter()
        .map(|(name, of)| (name.clone(), group(of)))
        .collect()
}

fn print_table(report: &BTreeMap<String, GroupReport>) {
    println!(
        "{:<12} {:>6} {:>8} {:>7} {:>7} {:>7} {:>16}",
        "group", "known", "unknown", "cases", "passed", "failed", "skipped complex"
    );
    for (name, group) in report {
        println!(
            "{name:<12} {:>6} {:>8} {:>7} {:>7} {:>7} {:>16}",
            group.known,
            group.unknown.len(),
            group.cases,
            group.passed,
            group.failed.len(),
            group.skipped_complex
        );
    }
    for (name, group) in report {
        for failure in &group.failed {
            println!("{name}/{} case {}: {}", failure.file, failure.id, failure.why);
        }
        if !group.unknown.is_empty() {
            println!("{name}, unknown: {}", group.unknown.join(" "));
        }
    }
}
