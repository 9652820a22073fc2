//! Shows what is in a checkpoint, of any format, and converts it to another format.
//!
//! ```sh
//! cargo run -p flambeau-hub --example inspect -- model.pth
//! cargo run -p flambeau-hub --example inspect -- model.pth --weights --convert model.safetensors
//! ```
//!
//! The file is read and never executed. Formats are found by content: `.safetensors`, one file or sharded, PyTorch's
//! `.pt`, `.pth` and `.bin`, GGUF, `.npz`, `.npy`.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use flambeau_hub::gguf::GgufFile;
use flambeau_hub::{Checkpoint, Format, Value, load, save};
use flambeau_tensor::Tensor;
use serde_json::json;

/// Values that are not tensors which the table shows at most.
const MAX_VALUES: usize = 40;
/// Elements that are looked at together.
const PART: usize = 1 << 16;

/// Shows the tensors and other values of a checkpoint; converts it to another format.
#[derive(Parser)]
#[command(name = "inspect")]
struct Args {
    /// A checkpoint, or a folder with one as Hugging Face stores it.
    file: PathBuf,
    /// Write the content to this file, in the format that its ending says: .safetensors, .pt, .pth, .bin, .ckpt, .npz
    /// or .npy.
    #[arg(long, value_name = "OUT")]
    convert: Option<PathBuf>,
    /// Only the model's weights, where a training script saved them beside other things.
    #[arg(long)]
    weights: bool,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(
        std::env::args_os(),
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
}

/// The program: 0, or 1 after a fault in the file, or 2 after one in the arguments.
pub(crate) fn run(
    args: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(help) if !help.use_stderr() => {
            // Nobody is left to tell if this fails.
            let _ = write!(out, "{help}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let _ = write!(err, "{error}");
            return ExitCode::from(2);
        }
    };
    match inspect(&args, out) {
        Ok(()) => ExitCode::SUCCESS,
        // As in `inspect FILE | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(err, "error: {}", printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn inspect(args: &Args, out: &mut dyn Write) -> Result<()> {
    let checkpoint = load(&args.file)?;
    let value = if args.weights {
        checkpoint.weights()
    } else {
        &checkpoint.value
    };
    let mut rows: Vec<Row> = value.tensors().into_iter().map(Row::new).collect::<Result<_>>()?;
    if checkpoint.format == Format::Gguf {
        // What the file has, rather than what it becomes.
        let file = GgufFile::open(&args.file)?;
        for row in &mut rows {
            row.kind = file.kind(&row.name)?.to_string();
        }
    }
    let mut others = Vec::new();
    collect_others(value, "", &mut others);
    if args.json {
        print_json(args, &checkpoint, &rows, &others, out)?;
    } else {
        print_text(args, &checkpoint, &rows, &others, out)?;
    }
    if let Some(target) = &args.convert {
        save(target, value)?;
        if !args.json {
            let ending = target.extension().unwrap_or_default().to_string_lossy();
            let lost = if matches!(&*ending, "safetensors" | "npz" | "npy") {
                others.len()
            } else {
                0
            };
            let note = match lost {
                0 => String::new(),
                1 => " (without the value that is not a tensor)".to_string(),
                n => format!(" (without the {n} values that are not tensors)"),
            };
            writeln!(out, "\nwritten to {}{note}", target.display())?;
        }
    }
    Ok(())
}

/// A tensor and its statistics.
struct Row {
    name: String,
    shape: Vec<usize>,
    /// The element type, or how it is quantised in the file.
    kind: String,
    bytes: usize,
    stats: Stats,
}

impl Row {
    fn new((name, tensor): (String, &Tensor)) -> Result<Row> {
        let stats = Stats::new(tensor).with_context(|| name.clone())?;
        Ok(Row {
            name,
            shape: tensor.shape().to_vec(),
            kind: tensor.dtype().to_string(),
            bytes: tensor.numel() * tensor.dtype().size_in_bytes(),
            stats,
        })
    }

    fn numel(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Statistics of the elements that are numbers; the others are counted.
#[derive(Default)]
struct Stats {
    min: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
    /// With Bessel's correction, as PyTorch's `std`: none for a single element.
    std: Option<f64>,
    zeros: usize,
    nans: usize,
}

impl Stats {
    fn new(tensor: &Tensor) -> Result<Stats> {
        let mut stats = Stats::default();
        let (mut count, mut sum) = (0usize, 0.0);
        for_each_number(tensor, |x| {
            if x.is_nan() {
                stats.nans += 1;
                return;
            }
            count += 1;
            sum += x;
            stats.zeros += usize::from(x == 0.0);
            stats.min = Some(stats.min.map_or(x, |min| min.min(x)));
            stats.max = Some(stats.max.map_or(x, |max| max.max(x)));
        })?;
        if count == 0 {
            return Ok(stats);
        }
        let mean = sum / count as f64;
        stats.mean = Some(mean);
        let mut squares = 0.0;
        for_each_number(tensor, |x| {
            if !x.is_nan() {
                squares += (x - mean).powi(2);
            }
        })?;
        stats.std = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        Ok(stats)
    }
}

/// Calls `f` for each element. Doubles are made of some at a time: a large tensor should not be in memory several times.
fn for_each_number(tensor: &Tensor, mut f: impl FnMut(f64)) -> Result<()> {
    let flat = tensor.reshape([-1])?;
    for start in (0..flat.numel()).step_by(PART) {
        let part = flat.narrow(0, start as isize, PART.min(flat.numel() - start))?;
        part.to_vec_f64()?.into_iter().for_each(&mut f);
    }
    Ok(())
}

/// What is not a tensor, under its name.
fn collect_others<'v>(value: &'v Value, name: &str, others: &mut Vec<(String, &'v Value)>) {
    let below = |part: &dyn std::fmt::Display| match name {
        "" => part.to_string(),
        name => format!("{name}.{part}"),
    };
    match value {
        Value::Tensor(_) => {}
        Value::Dict(dict) if !dict.is_empty() => {
            dict.iter()
                .for_each(|(key, value)| collect_others(value, &below(key), others));
        }
        Value::List(items) | Value::Tuple(items) if items.iter().any(is_nested) => {
            items
                .iter()
                .enumerate()
                .for_each(|(i, item)| collect_others(item, &below(&i), others));
        }
        other => others.push((name.to_string(), other)),
    }
}

fn is_nested(value: &Value) -> bool {
    matches!(
        value,
        Value::Tensor(_) | Value::Dict(_) | Value::List(_) | Value::Tuple(_)
    )
}

fn print_text(
    args: &Args,
    checkpoint: &Checkpoint,
    rows: &[Row],
    others: &[(String, &Value)],
    out: &mut dyn Write,
) -> Result<()> {
    writeln!(
        out,
        "{}: {}",
        printable(&args.file.display().to_string()),
        checkpoint.format
    )?;
    let metadata: Vec<(String, &Value)> = checkpoint
        .metadata
        .iter()
        .map(|(key, value)| (key.to_string(), value))
        .collect();
    print_values("Metadata", &metadata, out)?;
    if !rows.is_empty() {
        writeln!(out)?;
        print_table(rows, out)?;
    }
    print_values("Other values", others, out)?;
    writeln!(out, "\n{}", totals(rows))?;
    Ok(())
}

/// One line a tensor: texts are aligned to the left, numbers to the right.
fn print_table(rows: &[Row], out: &mut dyn Write) -> Result<()> {
    const HEADER: [&str; 9] = [
        "NAME", "SHAPE", "TYPE", "MIN", "MAX", "MEAN", "STD", "ZEROS", "NaN",
    ];
    let mut cells = vec![HEADER.map(str::to_string)];
    for row in rows {
        let stats = &row.stats;
        let name = if row.name.is_empty() {
            "(the tensor)"
        } else {
            &row.name
        };
        cells.push([
            printable(name),
            format!("{:?}", row.shape),
            row.kind.clone(),
            number(stats.min),
            number(stats.max),
            number(stats.mean),
            number(stats.std),
            thousands(stats.zeros),
            thousands(stats.nans),
        ]);
    }
    let width = |column: usize| {
        cells
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 9] = std::array::from_fn(width);
    for row in &cells {
        let cell = |(column, text): (usize, &String)| {
            let padding = " ".repeat(widths[column] - text.chars().count());
            if column < 3 {
                format!("{text}{padding}")
            } else {
                format!("{padding}{text}")
            }
        };
        let line: Vec<String> = row.iter().enumerate().map(cell).collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

fn print_values(title: &str, values: &[(String, &Value)], out: &mut dyn Write) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    let shown = &values[..values.len().min(MAX_VALUES)];
    let width = shown
        .iter()
        .map(|(name, _)| printable(name).chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in shown {
        writeln!(out, "  {:width$}  {}", printable(name), brief(value))?;
    }
    if values.len() > shown.len() {
        writeln!(
            out,
            "  … and {} more, which --json shows",
            values.len() - shown.len()
        )?;
    }
    Ok(())
}

fn totals(rows: &[Row]) -> String {
    let elements: usize = rows.iter().map(Row::numel).sum();
    let total: usize = rows.iter().map(|row| row.bytes).sum();
    let mut types: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        match types.iter_mut().find(|(kind, _)| *kind == row.kind) {
            Some((_, count)) => *count += 1,
            None => types.push((&row.kind, 1)),
        }
    }
    types.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let types: Vec<String> = types
        .iter()
        .map(|(kind, count)| format!("{count} of {kind}"))
        .collect();
    let nans: usize = rows.iter().map(|row| row.stats.nans).sum();
    let tensors = if rows.len() == 1 { "tensor" } else { "tensors" };
    let mut line = format!("{} {tensors}", thousands(rows.len()));
    if types.len() > 1 {
        line += &format!(" ({})", types.join(", "));
    }
    line += &format!(", {} elements, {} in memory", thousands(elements), size(total));
    if nans > 0 {
        line += &format!("; {} NaN", thousands(nans));
    }
    line
}

fn print_json(
    args: &Args,
    checkpoint: &Checkpoint,
    rows: &[Row],
    others: &[(String, &Value)],
    out: &mut dyn Write,
) -> Result<()> {
    let tensor = |row: &Row| {
        let stats = &row.stats;
        json!({
            "name": row.name, "shape": row.shape, "dtype": row.kind, "bytes": row.bytes,
            "min": stats.min, "max": stats.max, "mean": stats.mean, "std": stats.std,
            "zeros": stats.zeros, "nan": stats.nans,
        })
    };
    let entry = |(name, value): (String, &Value)| (name, to_json(value));
    let metadata = checkpoint
        .metadata
        .iter()
        .map(|(key, value)| entry((key.to_string(), value)));
    let all = json!({
        "file": args.file.display().to_string(),
        "format": checkpoint.format.to_string(),
        "metadata": metadata.collect::<serde_json::Map<_, _>>(),
        "tensors": rows.iter().map(tensor).collect::<Vec<_>>(),
        "values": others.iter().cloned().map(entry).collect::<serde_json::Map<_, _>>(),
        "total": {
            "tensors": rows.len(),
            "elements": rows.iter().map(Row::numel).sum::<usize>(),
            "bytes": rows.iter().map(|row| row.bytes).sum::<usize>(),
        },
    });
    writeln!(out, "{all:#}")?;
    Ok(())
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::None => serde_json::Value::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Str(text) => json!(text),
        Value::Bytes(bytes) => json!(bytes),
        Value::DType(dtype) => json!(dtype.name()),
        Value::Tensor(tensor) => json!(tensor.to_vec_f64().ok()),
        Value::List(items) | Value::Tuple(items) => items.iter().map(to_json).collect(),
        Value::Dict(dict) => {
            let entries = dict.iter().map(|(key, value)| (key.to_string(), to_json(value)));
            serde_json::Value::Object(entries.collect())
        }
    }
}

/// A value in a few words.
fn brief(value: &Value) -> String {
    let items = |items: &[Value]| {
        let mut texts: Vec<String> = items.iter().take(6).map(brief).collect();
        if items.len() > 6 {
            texts.push(format!("… {} in all", thousands(items.len())));
        }
        texts.join(", ")
    };
    match value {
        Value::None => "None".to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Str(text) => {
            let mut shown: String = text.chars().take(60).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            format!("{shown:?}")
        }
        Value::Bytes(bytes) => format!("{} bytes", thousands(bytes.len())),
        Value::DType(dtype) => dtype.to_string(),
        Value::Tensor(tensor) => format!("{} numbers of {}", thousands(tensor.numel()), tensor.dtype()),
        Value::List(list) => format!("[{}]", items(list)),
        Value::Tuple(tuple) => format!("({})", items(tuple)),
        Value::Dict(dict) => format!("{{{} entries}}", dict.len()),
    }
}

/// Four digits that count; integers in full.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_string(),
        Some(x) if x.fract() == 0.0 && x.abs() < 1e9 => format!("{x:.0}"),
        Some(x) if x.is_finite() && (1e-3..1e6).contains(&x.abs()) => {
            let before = x.abs().log10().floor().max(0.0) as usize + 1;
            format!("{x:.*}", 5usize.saturating_sub(before).min(4))
        }
        Some(x) if x.is_finite() => format!("{x:.2e}"),
        Some(x) => x.to_string(),
    }
}

/// 1234567 as 1,234,567.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = "bytes";
    for larger in UNITS {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    if unit == "bytes" {
        format!("{bytes} bytes")
    } else {
        format!("{amount:.1} {unit}")
    }
}

/// A text from a file, which must not command the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}
