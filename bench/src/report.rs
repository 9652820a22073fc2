//! What is printed and written: a table, raw results as JSON, and a summary of the ratios.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use flambeau_trainer::{Bar, BarChart, plot_bars};
use serde_json::{Value, json};

use crate::clock::Measurement;
use crate::load::{self, QUIET, STEADY};
use crate::machine;
use crate::peak::Peaks;
use crate::workload::Work;

/// The groups of workloads.
const GROUPS: [&str; 6] = ["op/", "overhead/", "infer/", "step/", "data/", "growth/"];

/// All rounds of one workload.
pub(crate) struct Row {
    name: String,
    peaks: Peaks,
    /// The work of one call.
    pub(crate) work: Work,
    /// Operations that candle runs in one call of ours.
    pub(crate) fallbacks: u64,
    pub(crate) ours: Vec<Measurement>,
    pub(crate) theirs: Vec<Measurement>,
    pub(crate) peer: Option<String>,
}

impl Row {
    /// A row without measurements.
    pub(crate) fn new(name: &str, peaks: Peaks) -> Self {
        Row {
            name: name.to_string(),
            peaks,
            work: Work::Unstated,
            fallbacks: 0,
            ours: Vec::new(),
            theirs: Vec::new(),
            peer: None,
        }
    }

    /// Our median over theirs: below 1, we are faster.
    fn ratio(&self) -> Option<f64> {
        Some(self.combine(&self.ours)?.median_ms / self.combine(&self.theirs)?.median_ms)
    }

    /// The part of the machine's limit that a measurement reaches.
    fn share(&self, measurement: &Measurement) -> Option<f64> {
        self.peaks.share(self.work, measurement.median_ms)
    }

    fn is_quiet(&self, measurement: &Measurement) -> bool {
        load::disturbance(measurement, self.peaks.gflops) <= 1.0
    }

    /// One measurement from several rounds, of the quiet ones if there are any.
    fn combine(&self, rounds: &[Measurement]) -> Option<Measurement> {
        let quiet = rounds.iter().filter(|round| self.is_quiet(round)).copied();
        let quiet: Vec<Measurement> = quiet.collect();
        combine(if quiet.is_empty() { rounds } else { &quiet })
    }

    /// The head of the table.
    pub(crate) fn heading(compared: bool) -> String {
        let ours = format!(
            "{:<36} {:>10} {:>10} {:>13} {:>5}",
            "workload", "min ms", "median ms", "reached", "share"
        );
        if !compared {
            return ours;
        }
        format!(
            "{ours} {:>10} {:>10} {:>13} {:>5} {:>7}",
            "their min", "median", "reached", "share", "ratio"
        )
    }

    /// One JSON object a measurement.
    pub(crate) fn json_lines(&self, threads: usize) -> Vec<Value> {
        let flambeau = format!("flambeau {}", env!("CARGO_PKG_VERSION"));
        let theirs = self.peer.clone().unwrap_or_default();
        let ours = std::iter::repeat_n((flambeau, Some(self.fallbacks)), self.ours.len());
        let sides = ours.chain(std::iter::repeat((theirs, None)));
        let line = |(measurement, (by, fallbacks)): (&Measurement, (String, Option<u64>))| {
            let mut line = json!({ "name": self.name, "by": by, "threads": threads, "fallbacks": fallbacks });
            merge(&mut line, work_json(self.work));
            merge(&mut line, measurement_json(measurement));
            merge(&mut line, json!({ "share": self.share(measurement) }));
            line
        };
        self.ours
            .iter()
            .chain(&self.theirs)
            .zip(sides)
            .map(line)
            .collect()
    }

    fn json(&self) -> Value {
        let side = |rounds: &[Measurement]| {
            self.combine(rounds).map(|all| {
                let mut side = measurement_json(&all);
                let rounds: Vec<Value> = rounds.iter().map(measurement_json).collect();
                merge(&mut side, json!({ "share": self.share(&all), "rounds": rounds }));
                side
            })
        };
        let mut row = json!({
            "name": self.name,
            "ours": side(&self.ours),
            "theirs": side(&self.theirs),
            "ratio": self.ratio(),
            "fallbacks": self.fallbacks,
        });
        merge(&mut row, work_json(self.work));
        row
    }

    fn cells(&self) -> Vec<String> {
        let side = |all: &Measurement| {
            let disturbed = if self.is_quiet(all) { "" } else { "*" };
            [
                format!("{:.4}", all.min_ms),
                format!("{:.4}{disturbed}", all.median_ms),
                reached(self.work, all.median_ms),
                self.share(all)
                    .map_or_else(|| "-".to_string(), |share| format!("{:.0}%", 100.0 * share)),
            ]
        };
        let mut cells = vec![self.name.clone()];
        cells.extend(self.combine(&self.ours).iter().flat_map(side));
        cells.extend(self.combine(&self.theirs).iter().flat_map(side));
        cells.extend(self.ratio().map(|ratio| format!("{ratio:.2}")));
        cells
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTHS: [usize; 10] = [36, 10, 10, 13, 5, 10, 10, 13, 5, 7];
        for (i, (cell, width)) in self.cells().iter().zip(WIDTHS).enumerate() {
            match i {
                0 => write!(f, "{cell:<width$}")?,
                _ => write!(f, " {cell:>width$}")?,
            }
        }
        Ok(())
    }
}

/// The least minimum, the median of the medians, and the greatest disturbance.
fn combine(rounds: &[Measurement]) -> Option<Measurement> {
    let mut medians: Vec<f64> = rounds.iter().map(|round| round.median_ms).collect();
    medians.sort_by(f64::total_cmp);
    let middle = medians.len() / 2;
    let median_ms = match medians.len() % 2 {
        _ if medians.is_empty() => return None,
        0 => (medians[middle - 1] + medians[middle]) / 2.0,
        _ => medians[middle],
    };
    Some(Measurement {
        min_ms: rounds
            .iter()
            .map(|round| round.min_ms)
            .fold(f64::INFINITY, f64::min),
        median_ms,
        calls: rounds.iter().map(|round| round.calls).sum(),
        others: rounds
            .iter()
            .filter_map(|round| round.others)
            .max_by(f64::total_cmp),
        speeds: rounds
            .iter()
            .filter_map(|round| round.speeds)
            .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1])]),
    })
}

fn reached(work: Work, ms: f64) -> String {
    match work {
        Work::Gflop(gflop) => format!("{:.1} GFLOP/s", gflop / ms * 1e3),
        Work::Gb(gb) => format!("{:.1} GB/s", gb / ms * 1e3),
        Work::Unstated => "-".to_string(),
    }
}

fn measurement_json(measurement: &Measurement) -> Value {
    json!({
        "min_ms": measurement.min_ms,
        "median_ms": measurement.median_ms,
        "calls": measurement.calls,
        "others": measurement.others,
        "gflops_around": measurement.speeds,
    })
}

fn work_json(work: Work) -> Value {
    match work {
        Work::Gflop(gflop) => json!({ "gflop": gflop, "gb": null }),
        Work::Gb(gb) => json!({ "gflop": null, "gb": gb }),
        Work::Unstated => json!({ "gflop": null, "gb": null }),
    }
}

/// Adds the entries of one JSON object to another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// A whole run.
pub(crate) struct Report {
    threads: usize,
    rounds: u32,
    against: Option<String>,
    peaks: Peaks,
    rows: Vec<Row>,
}

impl Report {
    /// A report without rows.
    pub(crate) fn new(threads: usize, rounds: u32, against: Option<String>, peaks: Peaks) -> Self {
        Report {
            threads,
            rounds,
            against,
            peaks,
            rows: Vec::new(),
        }
    }

    /// Adds a row. By then the machine has done `gflops` at most, which counts for all rows.
    pub(crate) fn push(&mut self, row: Row, gflops: f64) -> &Row {
        self.peaks.gflops = gflops;
        for row in &mut self.rows {
            row.peaks = self.peaks;
        }
        let peaks = self.peaks;
        self.rows.push_mut(Row { peaks, ..row })
    }

    /// The limits so far.
    pub(crate) fn peaks(&self) -> Peaks {
        self.peaks
    }

    /// Geometric means of the ratios over everything and over each group, the worst ratio, and how many are above 1; and the
    /// operations that candle ran for us.
    pub(crate) fn summary(&self) -> Value {
        let ratios: Vec<(&str, f64)> = self
            .rows
            .iter()
            .filter_map(|row| Some((row.name.as_str(), row.ratio()?)))
            .collect();
        let geomean = |group: &str| {
            let logs: Vec<f64> = ratios
                .iter()
                .filter(|(name, _)| name.starts_with(group))
                .map(|(_, ratio)| ratio.ln())
                .collect();
            (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
        };
        json!({
            "geomean": geomean(""),
            "op": geomean("op/"),
            "overhead": geomean("overhead/"),
            "infer": geomean("infer/"),
            "prepared": geomean("prepared/"),
            "step": geomean("step/"),
            "data": geomean("data/"),
            "growth": geomean("growth/"),
            "worst": ratios.iter().max_by(|a, b| a.1.total_cmp(&b.1)),
            "above_1": ratios.iter().filter(|(_, ratio)| *ratio > 1.0).count(),
            "fallbacks": self.rows.iter().map(|row| row.fallbacks).sum::<u64>(),
        })
    }

    /// Writes the raw results to `path`, the table to the file of the same name that ends in `.md`, and, of a comparison, a bar
    /// chart of the ratios to the one that ends in `.png`.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let raw = json!({
            "date": machine::date(),
            "machine": machine::describe(),
            "versions": machine::versions(),
            "peer": self.peer(),
            "peaks": self.peaks.json(),
            "threads": self.threads,
            "rounds": self.rounds,
            "summary": self.summary(),
            "results": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        let table = path.with_extension("md");
        for (path, text) in [(path, format!("{raw:#}\n")), (&table, self.markdown(&raw))] {
            fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        if self.against.is_some() {
            self.draw(&path.with_extension("png"))?;
        }
        Ok(())
    }

    fn draw(&self, path: &Path) -> Result<()> {
        let group = |name: &str| {
            GROUPS
                .iter()
                .position(|group| name.starts_with(group))
                .unwrap_or(GROUPS.len())
        };
        let bar = |row: &Row| {
            Some(Bar {
                name: row.name.clone(),
                value: row.ratio()?,
                group: group(&row.name),
            })
        };
        let bars: Vec<Bar> = self.rows.iter().filter_map(bar).collect();
        if bars.is_empty() {
            return Ok(());
        }
        let chart = BarChart {
            title: format!(
                "Time beside {}, {} threads",
                self.peer().unwrap_or("the other"),
                self.threads
            ),
            x_label: "Flambeau's time / the other's: shorter is faster, 1 is equal".to_string(),
            bars,
            mark: Some(1.0),
        };
        Ok(plot_bars(path, &chart)?)
    }

    fn peer(&self) -> Option<&str> {
        self.rows.iter().find_map(|row| row.peer.as_deref())
    }

    fn markdown(&self, raw: &Value) -> String {
        let text = |value: &Value| value.as_str().unwrap_or("unknown").to_string();
        let (machine, versions) = (&raw["machine"], &raw["versions"]);
        let mut out = format!(
            "# Flambeau {} beside {}\n\n\
             {} on {} ({} processors, {}, {}); {} threads on both sides, rounds: {}; commit {}, {}.\n\n\
             Times are milliseconds. The ratio is our median over theirs: below 1, we are faster. A star marks a time \
             during which other processes\nkept more than {QUIET} processors busy, or around which the machine did less than {:.0} % of \
             the multiply-adds that it can do, in spite of\nrepetition. The share is what is \
             reached of the most that the machine did in the same run:\n{}.\n\n",
            text(&versions["flambeau"]),
            self.peer().unwrap_or("nothing else"),
            text(&raw["date"]),
            text(&machine["cpu"]),
            machine["processors"],
            text(&machine["isa"]),
            text(&machine["os"]),
            self.threads,
            self.rounds,
            text(&versions["commit"]),
            text(&versions["rustc"]),
            100.0 * STEADY,
            self.peaks.describe(),
        );
        let compared = self.against.is_some();
        out.push_str(match compared {
            true => "| workload | min | median | reached | share | their min | their median | they reach | share | ratio |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
            false => "| workload | min | median | reached | share |\n|---|---:|---:|---:|---:|\n",
        });
        for row in &self.rows {
            out.push_str(&format!("| {} |\n", row.cells().join(" | ")));
        }
        if compared {
            out.push_str(&format!("\nSummary: `{}`\n", raw["summary"]));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(median_ms: f64, others: f64) -> Measurement {
        Measurement {
            min_ms: median_ms / 2.0,
            median_ms,
            calls: 5,
            others: Some(others),
            speeds: Some([100.0, 100.0]),
        }
    }

    fn row(name: &str, ours: f64, theirs: Option<f64>) -> Row {
        Row {
            work: Work::Gb(0.05),
            ours: vec![round(ours, 0.0)],
            theirs: theirs.map(|ms| round(ms, 0.0)).into_iter().collect(),
            peer: Some("torch 2".to_string()),
            ..Row::new(name, Peaks::of(100.0, 100.0))
        }
    }

    #[test]
    fn quiet_rounds_count_where_there_are_any() {
        let combine = |rounds: &[Measurement]| row("op/a", 1.0, None).combine(rounds);
        let all = combine(&[round(9.0, 1.0), round(2.0, 0.0), round(4.0, 0.05)]).unwrap();
        assert_eq!((all.min_ms, all.median_ms, all.others), (1.0, 3.0, Some(0.05)));
        let all = combine(&[round(9.0, 1.0), round(3.0, 0.5), round(4.0, 0.2)]).unwrap();
        assert_eq!((all.min_ms, all.median_ms, all.others), (1.5, 4.0, Some(1.0)));
        let slow = Measurement {
            speeds: Some([100.0, 70.0]),
            ..round(9.0, 0.0)
        };
        let all = combine(&[slow, round(2.0, 0.0)]).unwrap();
        assert_eq!((all.median_ms, all.speeds), (2.0, Some([100.0, 100.0])));
        let all = combine(&[slow, slow]).unwrap();
        assert_eq!((all.median_ms, all.speeds), (9.0, Some([100.0, 70.0])));
        assert_eq!(combine(&[]), None);
    }

    #[test]
    fn the_greatest_limit_counts_for_all_rows() {
        let mut report = Report::new(2, 1, None, Peaks::of(100.0, 100.0));
        let row = |name: &str| Row {
            work: Work::Gflop(0.1),
            ..row(name, 1.0, None)
        };
        report.push(row("op/a"), 100.0);
        assert!(report.rows[0].to_string().contains("100%"));
        report.push(row("op/b"), 200.0);
        assert!(report.rows.iter().all(|row| row.to_string().contains("50%")));
        // Found while the machine did half of what it can.
        assert!(report.rows[0].to_string().contains("1.0000*"));
    }

    #[test]
    fn the_summary_is_a_geometric_mean_by_group() {
        let mut report = Report::new(2, 1, Some("peer".to_string()), Peaks::of(100.0, 100.0));
        report.rows = vec![
            row("op/a", 1.0, Some(2.0)),
            row("op/b", 4.0, Some(2.0)),
            row("op/c", 4.0, None),
            row("step/d", 1.0, Some(8.0)),
        ];
        let summary = report.summary();
        let close = |key: &str, want: f64| (summary[key].as_f64().unwrap() - want).abs() < 1e-12;
        assert!(close("op", 1.0) && close("step", 0.125) && close("geomean", 0.5));
        assert_eq!(summary["infer"], Value::Null);
        assert_eq!(summary["worst"], json!(["op/b", 2.0]));
        assert_eq!(
            (&summary["above_1"], &summary["fallbacks"]),
            (&json!(1), &json!(0))
        );
    }

    #[test]
    fn a_row_shows_both_sides() {
        let shown = row("op/a", 1.0, Some(2.0)).to_string();
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "op/a", "0.5000", "1.0000", "50.0", "GB/s", "50%", "1.0000", "2.0000", "25.0", "GB/s", "25%",
                "0.50"
            ]
        );
        let lines = row("op/a", 1.0, Some(2.0)).json_lines(2);
        assert_eq!(lines[0]["median_ms"], 1.0);
        assert_eq!(
            (&lines[0]["share"], &lines[1]["share"]),
            (&json!(0.5), &json!(0.25))
        );
        assert_eq!(lines[1]["by"], "torch 2");
    }

    #[test]
    fn a_disturbed_median_is_marked() {
        let mut disturbed = row("op/a", 1.0, None);
        disturbed.ours = vec![round(1.0, 0.5)];
        assert!(disturbed.to_string().contains("1.0000*"));
    }
}
