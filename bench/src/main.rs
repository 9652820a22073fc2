//! Times workloads: `cargo xtask bench [--only SUBSTRING] [--against "COMMAND"]`.
//!
//! A workload is timed the same way on both sides: inputs made once from a normal distribution, two warm-up calls,
//! then at least 5 calls and at least 0.7 s of them ([`clock`]). With `--against`, another program measures the
//! workload of the same name right after ours, with the same number of threads ([`peer`]). A measurement during which
//! other processes used the processor, or around which the machine was slow, is repeated ([`load`]), and a result says how
//! quiet it was.

mod clock;
mod data;
mod graph;
mod growth;
mod infer;
mod load;
mod machine;
mod nets;
mod op;
mod overhead;
mod peak;
mod peer;
mod report;
mod step;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use flambeau_tensor::debug;
use serde_json::json;

use load::Guard;
use peak::Peaks;
use peer::Peer;
use report::{Report, Row};
use workload::{Call, Workload};

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Times workloads, alone or beside PyTorch's"
)]
struct Options {
    /// Runs only the workloads whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Lists the workloads' names.
    #[arg(long)]
    list: bool,
    /// Prints one JSON object a measurement instead of a table.
    #[arg(long)]
    json: bool,
    /// A program to compare with, such as "python3 torch_bench.py"; it is given `--only NAME --threads N` and prints
    /// one JSON object a line with `name`, `min_ms`, `median_ms` and `calls`.
    #[arg(long, value_name = "COMMAND")]
    against: Option<String>,
    /// Measures every workload this often, both sides in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Threads on both sides; by default, the machine's processors.
    #[arg(long)]
    threads: Option<usize>,
    /// Repeats a disturbed measurement up to this often.
    #[arg(long, default_value_t = 3)]
    retries: u32,
    /// Prints how much memory the one workload chosen takes at most, before it began and during five calls.
    #[arg(long, conflicts_with_all = ["against", "json", "out", "rounds"])]
    memory: bool,
    /// Writes all results to this JSON file, and the table beside it as Markdown.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let workloads: Vec<Workload> = workload::all()
        .into_iter()
        .filter(|workload| workload.name.contains(&options.only))
        .collect();
    ensure!(
        !workloads.is_empty(),
        "no workload's name contains {:?}",
        options.only
    );
    if options.list {
        workloads
            .iter()
            .for_each(|workload| println!("{}", workload.name));
        return Ok(());
    }
    let threads = options.threads.unwrap_or_else(machine::processors);
    flambeau_tensor::pool::set_num_threads(threads);
    if options.memory {
        return memory(&workloads, threads);
    }
    let peer = options
        .against
        .as_deref()
        .map(|command| Peer::new(command, threads))
        .transpose()?;

    let peaks = Peaks::measure(threads);
    let mut guard = Guard::new(threads, options.retries, peaks.gflops);
    let mut report = Report::new(threads, options.rounds, options.against.clone(), peaks);
    if !options.json {
        println!("at most {}", peaks.describe());
        println!("{}", Row::heading(peer.is_some()));
    }
    for workload in &workloads {
        if let Err(reason) = workload.check() {
            eprintln!("{} is left out: {reason}", workload.name);
            continue;
        }
        let row = Row::new(&workload.name, report.peaks());
        let row = measure(row, workload, peer.as_ref(), options.rounds, &mut guard)
            .with_context(|| format!("{} failed", workload.name))?;
        let row = report.push(row, guard.gflops());
        if options.json {
            row.json_lines(threads).iter().for_each(|line| println!("{line}"));
        } else {
            println!("{row}");
        }
    }
    if let Some(path) = &options.out {
        report.write(path)?;
    }
    if peer.is_some() || !options.json {
        println!("{}", report.summary());
    }
    Ok(())
}

/// The memory that a workload takes, as one JSON object. It must be the process's only one: a peak does not go down.
fn memory(workloads: &[Workload], threads: usize) -> Result<()> {
    let [workload] = workloads else {
        bail!(
            "--memory takes one workload, and --only chooses {}",
            workloads.len()
        )
    };
    let before = machine::resident("VmRSS")?;
    let mut call = workload.prepare()?;
    for _ in 0..5 {
        call.run()?;
    }
    let by = format!("flambeau {}", env!("CARGO_PKG_VERSION"));
    let peak = machine::resident("VmHWM")?;
    let line = json!({ "name": workload.name, "by": by, "threads": threads, "before_mib": before, "peak_mib": peak });
    println!("{line}");
    Ok(())
}

/// How many operations candle runs in one call.
fn fallbacks(call: &mut Call) -> Result<u64> {
    debug::reset_fallbacks();
    call.run()?;
    Ok(debug::fallbacks().values().sum())
}

/// All rounds of one workload: ours, theirs, ours, theirs, …
fn measure(
    mut row: Row,
    workload: &Workload,
    peer: Option<&Peer>,
    rounds: u32,
    guard: &mut Guard,
) -> Result<Row> {
    for _ in 0..rounds {
        let ours = guard.undisturbed(|| {
            let mut call = workload.prepare()?;
            row.work = workload.work(&call);
            row.fallbacks = fallbacks(&mut call)?;
            clock::measure(&mut call).map(Some)
        })?;
        row.ours.extend(ours);
        if let Some(peer) = peer {
            let theirs = guard.undisturbed(|| peer.measure(&workload.name))?;
            row.theirs.extend(theirs);
        }
    }
    row.peer = peer.and_then(Peer::version);
    Ok(row)
}
