//! Summaries of models: every module with the shape of its output, its parameters and multiplications, measured by a
//! forward pass.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use flambeau_tensor::{Result, Tensor, no_grad};

use crate::module::{Entry, Forward, Module, own, walk};
use crate::observe::{Call, Outputs, Watcher, watch};

/// One module of a [`Summary`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryRow {
    /// Its full name; `""` is the model.
    pub name: String,
    /// Its type.
    pub class: String,
    /// How deep it lies in the model.
    pub depth: usize,
    /// How often it was called. A module whose `forward` is not marked [`#[observed]`](macro@crate::observed) is not seen to
    /// be called.
    pub calls: usize,
    /// Shapes of the outputs of its last call.
    pub output_shapes: Vec<Vec<usize>>,
    /// Numbers in parameters of its own, not counting those that stand above already.
    pub parameters: usize,
    /// How many of them are learnt.
    pub trainable: usize,
    /// Multiplications, each followed by an addition, of all its calls: matrix products and convolutions.
    pub multiply_adds: u64,
    /// Bytes of the outputs of all calls, if there is no module in it.
    pub output_bytes: usize,
}

/// A model's modules and what a forward pass does in them; printed as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The model and the modules in it, each before those in it.
    pub rows: Vec<SummaryRow>,
    /// Bytes of parameters and buffers.
    pub state_bytes: usize,
}

impl Summary {
    /// Numbers in all parameters.
    pub fn parameters(&self) -> usize {
        self.rows.iter().map(|row| row.parameters).sum()
    }

    /// Numbers in the parameters that are learnt.
    pub fn trainable(&self) -> usize {
        self.rows.iter().map(|row| row.trainable).sum()
    }

    /// Multiplications of the whole pass.
    pub fn multiply_adds(&self) -> u64 {
        self.rows.iter().map(|row| row.multiply_adds).sum()
    }

    /// Bytes of the outputs of all modules that have none in them.
    pub fn output_bytes(&self) -> usize {
        self.rows.iter().map(|row| row.output_bytes).sum()
    }
}

/// A summary of a model of one input, by a forward pass without gradients and in evaluation mode.
///
/// ```
/// # use flambeau_nn::{Linear, LinearOptions, ReLU, Sequential, summary};
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let model = Sequential::new()
///     .push(Linear::new(784, 100, LinearOptions::default())?)
///     .push(ReLU)
///     .push(Linear::new(100, 10, LinearOptions::default())?);
/// let summary = summary(&model, &Tensor::zeros((32, 784), DType::F32)?)?;
/// assert_eq!(summary.to_string(), "\
/// Layer (type)   Output shape  Parameters  Mult-adds
/// ──────────────────────────────────────────────────
/// Sequential     [32, 10]              --         --
/// ├─ 0 (Linear)  [32, 100]         78,500  2,508,800
/// ├─ 1 (ReLU)    [32, 100]             --         --
/// └─ 2 (Linear)  [32, 10]           1,010     32,000
/// ──────────────────────────────────────────────────
/// Parameters: 79,510 (79,510 trainable, 0 frozen)
/// Mult-adds: 2,540,800
/// Memory: 0.32 MB of parameters and buffers, 0.03 MB of outputs
/// ");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of the forward pass.
pub fn summary(model: &impl Forward, x: &Tensor) -> Result<Summary> {
    summarize(model, || model.forward(x))
}

/// A summary of a model whose forward pass is `forward`, which is called without gradients and in evaluation mode.
///
/// # Errors
/// Those of the forward pass.
pub fn summarize<R: Outputs>(model: &dyn Module, forward: impl FnOnce() -> Result<R>) -> Result<Summary> {
    let recorder = Rc::new(Recorder::default());
    let modes = Modes::set_to_evaluation(model);
    let output = watch(model, recorder.clone(), || no_grad(forward));
    drop(modes);
    let mut shapes = Vec::new();
    output?.map(&mut |tensor| {
        shapes.push(tensor.shape().to_vec());
        Ok(tensor)
    })?;

    let mut summary = Summary::default();
    let mut counted = BTreeSet::new();
    let calls = recorder.calls.borrow();
    add_rows(model, "", 0, &calls, &mut counted, &mut summary.rows);
    if let Some(root) = summary.rows.first_mut() {
        // What the pass gives is known even if nobody was told of the model's own call.
        root.output_shapes = shapes;
    }
    let bytes = |tensor: &Tensor| tensor.numel() * tensor.dtype().size_in_bytes();
    let parameters = model.named_parameters();
    let buffers = model.named_buffers();
    summary.state_bytes = parameters.iter().map(|(_, p)| bytes(p)).sum::<usize>()
        + buffers.iter().map(|(_, b)| bytes(b)).sum::<usize>();
    Ok(summary)
}

/// The training modes of a model's parts, which are restored at the end.
struct Modes<'a>(Vec<(&'a crate::Mode, bool)>);

impl<'a> Modes<'a> {
    fn set_to_evaluation(model: &'a dyn Module) -> Self {
        let mut modes = Vec::new();
        walk(model, "", &mut |_, entry| {
            if let Entry::Mode(mode) = entry {
                modes.push((mode, mode.is_training()));
                mode.set_training(false);
            }
        });
        Modes(modes)
    }
}

impl Drop for Modes<'_> {
    fn drop(&mut self) {
        self.0
            .iter()
            .for_each(|(mode, training)| mode.set_training(*training));
    }
}

/// What was seen of a module's calls.
#[derive(Clone, Debug, Default)]
struct Seen {
    calls: usize,
    shapes: Vec<Vec<usize>>,
    multiply_adds: u64,
    bytes: usize,
}

#[derive(Default)]
struct Recorder {
    calls: RefCell<BTreeMap<String, Seen>>,
}

impl Watcher for Recorder {
    fn before(&self, _: &Call, _: &dyn Module, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        Ok(inputs)
    }

    fn after(
        &self,
        call: &Call,
        module: &dyn Module,
        inputs: &[Tensor],
        outputs: Vec<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let mut calls = self.calls.borrow_mut();
        let seen = calls.entry(call.name.clone()).or_default();
        seen.calls += 1;
        seen.shapes = outputs.iter().map(|output| output.shape().to_vec()).collect();
        seen.multiply_adds += module.multiply_adds(inputs, &outputs);
        seen.bytes += outputs
            .iter()
            .map(|output| output.numel() * output.dtype().size_in_bytes())
            .sum::<usize>();
        Ok(outputs)
    }
}

fn add_rows(
    module: &dyn Module,
    name: &str,
    depth: usize,
    calls: &BTreeMap<String, Seen>,
    counted: &mut BTreeSet<usize>,
    rows: &mut Vec<SummaryRow>,
) {
    let own = own(module);
    let seen = calls.get(name).cloned().unwrap_or_default();
    let mut row = SummaryRow {
        name: name.to_string(),
        class: module.name().to_string(),
        depth,
        calls: seen.calls,
        output_shapes: seen.shapes,
        multiply_adds: seen.multiply_adds,
        output_bytes: if own.modules.is_empty() { seen.bytes } else { 0 },
        ..SummaryRow::default()
    };
    for (_, parameter) in own.parameters {
        if counted.insert(parameter.id()) {
            row.parameters += parameter.numel();
            row.trainable += if parameter.is_tracked() {
                parameter.numel()
            } else {
                0
            };
        }
    }
    rows.push(row);
    for (child, module) in own.modules {
        let full = if name.is_empty() {
            child
        } else {
            format!("{name}.{child}")
        };
        add_rows(module, &full, depth + 1, calls, counted, rows);
    }
}

/// A number with commas, or `--` for 0.
fn count(n: u64) -> String {
    if n == 0 { "--".to_string() } else { grouped(n) }
}

fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl Summary {
    /// The first column: the tree.
    fn labels(&self) -> Vec<String> {
        let mut labels = Vec::with_capacity(self.rows.len());
        for (i, row) in self.rows.iter().enumerate() {
            if row.depth == 0 {
                labels.push(row.class.clone());
                continue;
            }
            // A line goes on at a depth if another row of that depth follows before one above it.
            let goes_on = |depth: usize| {
                let after = self.rows[i + 1..].iter().find(|later| later.depth <= depth);
                after.is_some_and(|later| later.depth == depth)
            };
            let mut label: String = (1..row.depth)
                .map(|depth| if goes_on(depth) { "│  " } else { "   " })
                .collect();
            label += if goes_on(row.depth) { "├─ " } else { "└─ " };
            let parent = self.rows[..i].iter().rev().find(|above| above.depth < row.depth);
            let parent = parent.map_or("", |parent| &parent.name);
            let local = row
                .name
                .strip_prefix(parent)
                .unwrap_or(&row.name)
                .trim_start_matches('.');
            labels.push(format!("{label}{local} ({})", row.class));
        }
        labels
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["Layer (type)", "Output shape", "Parameters", "Mult-adds"].map(String::from);
        let mut table = vec![head];
        for (row, label) in self.rows.iter().zip(self.labels()) {
            let shapes: Vec<String> = row
                .output_shapes
                .iter()
                .map(|shape| format!("{shape:?}"))
                .collect();
            let shapes = if shapes.is_empty() {
                "--".to_string()
            } else {
                shapes.join(", ")
            };
            let parameters = match row.parameters {
                n if n > 0 && row.trainable == 0 => format!("({})", count(n as u64)),
                n => count(n as u64),
            };
            table.push([label, shapes, parameters, count(row.multiply_adds)]);
        }
        let width = |column: usize| {
            table
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; 4] = std::array::from_fn(width);
        let rule = "─".repeat(widths.iter().sum::<usize>() + 6);
        for (i, [label, shapes, parameters, multiply_adds]) in table.iter().enumerate() {
            if i == 1 {
                writeln!(f, "{rule}")?;
            }
            writeln!(
                f,
                "{label:<0$}  {shapes:<1$}  {parameters:>2$}  {multiply_adds:>3$}",
                widths[0], widths[1], widths[2], widths[3]
            )?;
        }
        let (all, trainable) = (self.parameters() as u64, self.trainable() as u64);
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        writeln!(f, "{rule}")?;
        writeln!(
            f,
            "Parameters: {} ({} trainable, {} frozen)",
            grouped(all),
            grouped(trainable),
            grouped(all - trainable)
        )?;
        writeln!(f, "Mult-adds: {}", grouped(self.multiply_adds()))?;
        writeln!(
            f,
            "Memory: {:.2} MB of parameters and buffers, {:.2} MB of outputs",
            megabytes(self.state_bytes),
            megabytes(self.output_bytes())
        )
    }
}
