//! Running all case files below some directories, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flambeau_tensor::{Error, Result};
use safetensors::SafeTensors;
use serde_json::Value as Json;

use super::case::{Case, Outcome};
use super::file::CaseFile;
use super::{models, optim, promo, random, sched};
use crate::{modules, registry};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Run only files whose name contains this, or one of these if they are separated by commas.
    pub only: Option<String>,
}

/// A case that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The file's name.
    pub file: String,
    /// The case's number.
    pub id: i64,
    /// What differs.
    pub why: String,
}

/// The result of one group.
#[derive(Clone, Debug, Default)]
pub struct GroupReport {
    /// How many functions are known.
    pub known: usize,
    /// Names of functions that several files or cases share, as far as they are known.
    pub(super) known_names: BTreeSet<String>,
    /// Functions that it has not.
    pub unknown: Vec<String>,
    /// Cases of known functions.
    pub cases: usize,
    /// Cases that passed.
    pub passed: usize,
    /// Cases of complex tensors for functions that don't take them.
    pub skipped_complex: usize,
    /// Cases that failed.
    pub failed: Vec<Failure>,
}

impl GroupReport {
    pub(super) fn count(&mut self, file: &str, id: i64, outcome: Outcome) {
        self.cases += 1;
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::SkippedComplex => self.skipped_complex += 1,
            Outcome::Failed(why) => self.failed.push(Failure {
                file: file.to_string(),
                id,
                why,
            }),
        }
    }
}

/// Runs every case file below `directories` in the groups that exist. A group is the name of the folder that holds the
/// files.
///
/// # Errors
/// `Io` or `Format` if a directory or file can't be read. A failing case is no error: it is in the report.
pub fn run(directories: &[PathBuf], options: &Options) -> Result<BTreeMap<String, GroupReport>> {
    let mut files = Vec::new();
    for directory in directories {
        collect(directory, &mut files)?;
    }
    files.sort();
    let mut report = BTreeMap::<String, GroupReport>::new();
    for path in files {
        let stem = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default()
            .to_string();
        let group = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|s| s.to_str())
            .unwrap_or_default()
            .to_string();
        if options
            .only
            .as_ref()
            .is_some_and(|only| !stem.contains(only.as_str()))
        {
            continue;
        }
        match group.as_str() {
            "audio" | "ops" | "vision" => run_ops(&path, &stem, report.entry(group).or_default())?,
            "optim" => {
                let report = report.entry(group).or_default();
                run_named(&path, &stem, report, optim::knows, optim::check)?;
            }
            "promo" => promo::run(&path, &stem, report.entry(group).or_default())?,
            "modules" => run_modules(&path, &stem, report.entry(group).or_default())?,
            "sched" => {
                let report = report.entry(group).or_default();
                run_named(&path, &stem, report, sched::knows, sched::check)?;
            }
            "models" => {
                let report = report.entry(group).or_default();
                run_named(&path, &stem, report, models::knows, models::check_outputs)?;
            }
            "train_steps" => {
                let report = report.entry(group).or_default();
                run_named(&path, &stem, report, models::knows, models::check_train_step)?;
            }
            "state_dicts" => run_state_dict(&path, &stem, report.entry(group).or_default())?,
            "random" => random::run(&path, &stem, report.entry(group).or_default())?,
            _ => {}
        }
    }
    Ok(report)
}

fn run_ops(path: &Path, stem: &str, report: &mut GroupReport) -> Result<()> {
    let file = CaseFile::open(path)?;
    let tensors = file.tensors()?;
    let name = file
        .cases
        .first()
        .and_then(|case| case["op"].as_str())
        .unwrap_or(stem);
    if !registry::knows(name) {
        report.unknown.push(stem.to_string());
        return Ok(());
    }
    report.known += 1;
    for json in &file.cases {
        let case = Case::new(json, &tensors);
        let id = case.id();
        report.count(stem, id, case.run());
    }
    Ok(())
}

fn run_modules(path: &Path, stem: &str, report: &mut GroupReport) -> Result<()> {
    let file = CaseFile::open(path)?;
    let tensors = file.tensors()?;
    let name = file
        .cases
        .first()
        .and_then(|case| case["module"].as_str())
        .unwrap_or(stem);
    if !modules::knows(name) {
        report.unknown.push(stem.to_string());
        return Ok(());
    }
    report.known += 1;
    for json in &file.cases {
        let case = Case::new(json, &tensors);
        let id = case.id();
        report.count(stem, id, case.run_by(Case::check_module));
    }
    Ok(())
}

/// Runs a file whose cases are about the thing that it is named after, if there is such.
fn run_named(
    path: &Path,
    stem: &str,
    report: &mut GroupReport,
    knows: fn(&str) -> bool,
    check: fn(&Json, &SafeTensors<'_>) -> Result<Option<String>>,
) -> Result<()> {
    if !knows(stem) {
        report.unknown.push(stem.to_string());
        return Ok(());
    }
    report.known += 1;
    let file = CaseFile::open(path)?;
    let tensors = file.tensors()?;
    for json in &file.cases {
        let outcome = Outcome::of(|| check(json, &tensors));
        report.count(stem, json["id"].as_i64().unwrap_or(-1), outcome);
    }
    Ok(())
}

/// Runs a list of a model's keys.
fn run_state_dict(path: &Path, stem: &str, report: &mut GroupReport) -> Result<()> {
    if !models::knows(stem) {
        report.unknown.push(stem.to_string());
        return Ok(());
    }
    report.known += 1;
    let list = std::fs::read_to_string(path).map_err(|e| Error::Io(format!("{}: {e}", path.display())))?;
    report.count(stem, 0, Outcome::of(|| models::check_state_dict(stem, &list)));
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let io = |error: std::io::Error| Error::Io(format!("{}: {error}", directory.display()));
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|e| e == "safetensors" || e == "json" || e == "txt")
        {
            files.push(path);
        }
    }
    Ok(())
}
