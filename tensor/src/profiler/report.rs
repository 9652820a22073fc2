//! A profile as a table and as a trace.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Event, Kind, Profile};
use crate::io::write_atomically;
use crate::{Error, Result};

/// All events of one name and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The events' name.
    pub name: String,
    /// What they are.
    pub kind: Kind,
    /// How many there are.
    pub calls: usize,
    /// How long they took together.
    pub time: Duration,
    /// How long they took together without the events inside them.
    pub own: Duration,
    /// Bytes of what they gave or wrote.
    pub bytes: usize,
}

impl Kind {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Operation => "operation",
            Kind::Fallback => "fallback",
            Kind::Gradient => "gradient",
            Kind::Module => "module",
            Kind::Step => "step",
            Kind::Range => "range",
        }
    }
}

impl Profile {
    /// The events by name, those that took longest by themselves first (`key_averages`).
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: BTreeMap<(&str, &str), Line> = BTreeMap::new();
        for event in &self.events {
            let line = lines
                .entry((event.kind.name(), &event.name))
                .or_insert_with(|| Line {
                    name: event.name.to_string(),
                    kind: event.kind,
                    calls: 0,
                    time: Duration::ZERO,
                    own: Duration::ZERO,
                    bytes: 0,
                });
            line.calls += 1;
            line.time += event.time;
            line.own += event.own;
            line.bytes += event.bytes;
        }
        let mut lines: Vec<Line> = lines.into_values().collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.own));
        lines
    }

    /// How many operations candle ran because there is no kernel of ours.
    pub fn fallbacks(&self) -> usize {
        let fallbacks = self.events.iter().filter(|event| event.kind == Kind::Fallback);
        fallbacks.count()
    }

    /// Writes the events as a trace in Chrome's format, which `chrome://tracing` and Perfetto draw.
    ///
    /// # Errors
    /// `Io` with the path if the file can't be written.
    pub fn export_chrome_trace(&self, path: impl AsRef<Path>) -> Result<()> {
        let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
        let traced = |event: &Event| -> Json {
            json!({
                "name": event.name,
                "cat": event.kind.name(),
                "ph": "X",
                "ts": microseconds(event.begin),
                "dur": microseconds(event.time),
                "pid": 0,
                "tid": 0,
                "args": { "shape": event.shape, "bytes": event.bytes },
            })
        };
        let events: Vec<Json> = self.events.iter().map(traced).collect();
        let trace = json!({ "traceEvents": events, "displayTimeUnit": "ms" });
        write_atomically(path, |file| {
            file.write_all(trace.to_string().as_bytes())
                .map_err(|error| Error::Io(error.to_string()))
        })
    }
}

/// The table of [`Profile::lines`]: times in milliseconds, their share of the whole, and megabytes of results.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
        let heads = [
            "Name", "Kind", "Own ms", "Own %", "Total ms", "Calls", "Mean ms", "MB",
        ];
        let mut table = vec![heads.map(String::from)];
        for line in self.lines() {
            table.push([
                line.name.clone(),
                line.kind.name().to_string(),
                milliseconds(line.own),
                format!("{:.1}", 100.0 * share(line.own, self.time)),
                milliseconds(line.time),
                line.calls.to_string(),
                milliseconds(line.time / line.calls.max(1) as u32),
                format!("{:.2}", line.bytes as f64 / 1e6),
            ]);
        }
        let width = |column: usize| {
            table
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; 8] = std::array::from_fn(width);
        let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
        for (i, row) in table.iter().enumerate() {
            if i == 1 {
                writeln!(f, "{rule}")?;
            }
            let cells = row
                .iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    0 | 1 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        let busy: Duration = self
            .events
            .iter()
            .filter(|event| event.depth == 0)
            .map(|event| event.time)
            .sum();
        writeln!(f, "{rule}")?;
        writeln!(
            f,
            "Time: {} ms, {} ms of it in events",
            milliseconds(self.time),
            milliseconds(busy)
        )?;
        writeln!(f, "Operations run by candle: {}", self.fallbacks())
    }
}

fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        return 0.0;
    }
    part.as_secs_f64() / whole.as_secs_f64()
}
