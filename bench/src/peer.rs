//! The other side of a comparison: a program that measures a workload by name and prints JSON.

use std::cell::RefCell;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::clock::Measurement;

/// A program that takes `--only NAME --threads N` and prints one JSON object a line.
pub(crate) struct Peer {
    program: String,
    args: Vec<String>,
    threads: usize,
    version: RefCell<Option<String>>,
}

impl Peer {
    /// The program and its first arguments, separated by blanks.
    pub(crate) fn new(command: &str, threads: usize) -> Result<Self> {
        let mut words = command.split_whitespace().map(str::to_string);
        Ok(Peer {
            program: words.next().context("--against names no program")?,
            args: words.collect(),
            threads,
            version: RefCell::new(None),
        })
    }

    /// Measures the workload called `name`; nothing if the other side has none of that name.
    pub(crate) fn measure(&self, name: &str) -> Result<Option<Measurement>> {
        let output = Command::new(&self.program)
            .args(&self.args)
            .args(["--only", name, "--threads", &self.threads.to_string()])
            // Unbound, the threads of an OpenMP barrier are moved about and wait for each other in steps of 4 ms.
            .env("OMP_PROC_BIND", "true")
            .env("OMP_NUM_THREADS", self.threads.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("{} cannot be started", self.program))?;
        ensure!(
            output.status.success(),
            "{} ended with {}",
            self.program,
            output.status
        );
        let Some(line) = find(&String::from_utf8_lossy(&output.stdout), name)? else {
            return Ok(None);
        };
        self.version.replace(line["by"].as_str().map(str::to_string));
        measurement(&line).map(Some)
    }

    /// What the other side calls itself.
    pub(crate) fn version(&self) -> Option<String> {
        self.version.borrow().clone()
    }
}

/// The line of the workload `name`. There may be others, of names that contain this one.
fn find(output: &str, name: &str) -> Result<Option<Value>> {
    for line in output.lines().filter(|line| !line.trim().is_empty()) {
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("not a JSON object: {line}"))?;
        if value["name"] == name {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn measurement(line: &Value) -> Result<Measurement> {
    let number = |key: &str| {
        line[key]
            .as_f64()
            .with_context(|| format!("no number {key:?} in {line}"))
    };
    Ok(Measurement {
        min_ms: number("min_ms")?,
        median_ms: number("median_ms")?,
        calls: number("calls")? as usize,
        others: None,
        speeds: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_that_very_name_is_taken() {
        let output = "{\"name\": \"op/a_fwdbwd\", \"min_ms\": 9}\n\n{\"name\": \"op/a\", \"min_ms\": 1.5, \"median_ms\": 2, \"calls\": 7}\n";
        let line = find(output, "op/a").unwrap().unwrap();
        assert_eq!(
            measurement(&line).unwrap(),
            Measurement {
                min_ms: 1.5,
                median_ms: 2.0,
                calls: 7,
                others: None,
                speeds: None,
            }
        );
        assert_eq!(find(output, "op/b").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert!(
            find("Traceback\n", "op/a")
                .unwrap_err()
                .to_string()
                .contains("Traceback")
        );
        let line = serde_json::json!({ "name": "op/a", "min_ms": 1 });
        assert!(measurement(&line).unwrap_err().to_string().contains("median_ms"));
        assert!(Peer::new(" ", 2).is_err());
    }
}
