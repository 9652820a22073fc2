//! Nonsense is refused, not a crash: calls of the reference cases with arguments spoiled at random (no elements, other
//! ranks and types, numbers without bounds, arguments missing or swapped), and calls of every function with arguments
//! drawn at random. Whatever comes, and whatever its gradient is, a function returns or gives an error.
//!
//! `FLAMBEAU_NONSENSE=20..40` makes those rounds over all calls, `FLAMBEAU_GOLDEN` names the directory of case files,
//! and `FLAMBEAU_NONSENSE_LOG` a file that holds the call being made, should it end the process.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use flambeau_autograd::{GradOptions, grad};
use flambeau_parity::args::{Arg, Args};
use flambeau_parity::golden::{Call, calls};
use flambeau_parity::registry;
use flambeau_tensor::random::Generator;
use flambeau_tensor::{DType, Result, Tensor};

/// Integers that sizes, dimensions, steps and counts are rarely, or never.
const INTEGERS: [i64; 15] = [
    0,
    1,
    -1,
    2,
    -2,
    3,
    7,
    100,
    -100,
    1 << 40,
    -(1 << 40),
    1 << 62,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
];
const FLOATS: [f64; 11] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e300,
    -1e300,
    5e-324,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];
const WORDS: [&str; 8] = [
    "",
    "nonsense",
    "mean",
    "none",
    "same",
    "reflect",
    "ij,jk->ik",
    "\u{e9}",
];

/// Draws nonsense.
struct Draw(Generator);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        let mut out = [0i64];
        self.0.random_range(&mut out, 0, n.max(1) as i64);
        out[0] as usize
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn tensor(&mut self) -> Tensor {
        let rank = self.below(5);
        let shape: Vec<usize> = (0..rank).map(|_| self.one_of(&[0, 1, 1, 2, 3, 4])).collect();
        let data: Vec<f64> = (0..shape.iter().product())
            .map(|i: usize| (i % 5) as f64 - 1.0)
            .collect();
        let dtype = self.one_of(&DType::ALL);
        Tensor::from_vec(data, shape).unwrap().to_dtype(dtype).unwrap()
    }

    fn argument(&mut self, depth: usize) -> Arg {
        match self.below(if depth == 0 { 7 } else { 8 }) {
            0 | 1 => Arg::Tensor(self.tensor()),
            2 => Arg::Int(self.one_of(&INTEGERS)),
            3 => Arg::Float(self.one_of(&FLOATS)),
            4 => Arg::Bool(self.below(2) == 1),
            5 => Arg::Str(self.one_of(&WORDS).to_string()),
            6 => Arg::None,
            _ => Arg::List((0..self.below(4)).map(|_| self.argument(depth - 1)).collect()),
        }
    }

    /// The tensor with another shape, another type or other elements.
    fn spoiled_tensor(&mut self, x: &Tensor) -> Result<Tensor> {
        let dim = self.below(x.rank().max(1)) as isize;
        let size = x.shape().get(dim as usize).copied().unwrap_or(1);
        match self.below(12) {
            0 => x.to_dtype(self.one_of(&DType::ALL)),
            1 => x.narrow(dim, 0, 0),
            2 => x.narrow(dim, 0, size.saturating_sub(1)),
            3 => x.select(dim, 0),
            4 => x.unsqueeze(dim),
            5 => x.transpose(0, -1),
            6 => Tensor::cat(&[x, x], dim),
            7 => x.reshape(-1),
            8 => Tensor::scalar(2.0f64).to_dtype(x.dtype()),
            9 => Ok(self.tensor()),
            10 if x.dtype().is_float() => x.add(self.one_of(&FLOATS)),
            10 => Tensor::full(x.shape(), self.one_of(&INTEGERS), x.dtype()),
            _ => x.narrow(dim, 0, 1)?.expand(x.shape()),
        }
    }

    fn spoil(&mut self, arg: &mut Arg) {
        if self.below(8) == 0 {
            *arg = self.argument(1);
            return;
        }
        match arg {
            Arg::Tensor(x) | Arg::ComplexTensor(x) => {
                if let Ok(spoiled) = self.spoiled_tensor(x) {
                    *x = spoiled;
                }
            }
            Arg::Int(i) => *i = self.one_of(&INTEGERS),
            Arg::Float(f) => *f = self.one_of(&FLOATS),
            Arg::Bool(b) => *b = !*b,
            Arg::Str(s) => *s = self.one_of(&WORDS).to_string(),
            Arg::List(items) | Arg::Tuple(items) => match self.below(4) {
                0 => drop(items.pop()),
                1 => items.push(self.argument(0)),
                _ if items.is_empty() => {}
                _ => {
                    let i = self.below(items.len());
                    self.spoil(&mut items[i]);
                }
            },
            Arg::Slice(a, b, c) => {
                let number = Some(self.one_of(&INTEGERS));
                *[a, b, c][self.below(3)] = number;
            }
            _ => *arg = self.argument(0),
        }
    }

    /// The call with one to three arguments spoiled.
    fn spoiled(&mut self, call: &Call) -> Call {
        let mut call = call.clone();
        for _ in 0..1 + self.below(3) {
            let (n, m) = (call.positional.len(), call.keywords.len());
            match self.below(10) {
                0 => drop(call.positional.pop()),
                1 if n >= 2 => {
                    let (i, j) = (self.below(n), self.below(n));
                    call.positional.swap(i, j);
                }
                2 => call.positional.push(self.argument(1)),
                _ if n + m > 0 => match self.below(n + m) {
                    i if i < n => self.spoil(&mut call.positional[i]),
                    i => {
                        if let Some(arg) = call.keywords.values_mut().nth(i - n) {
                            self.spoil(arg);
                        }
                    }
                },
                _ => {}
            }
        }
        call
    }

    fn invented(&mut self, op: &str) -> Call {
        Call {
            op: op.to_string(),
            positional: (0..self.below(5)).map(|_| self.argument(2)).collect(),
            keywords: BTreeMap::new(),
        }
    }
}

/// All floating point tensors among the arguments.
fn floats(arg: &Arg, found: &mut Vec<Tensor>) {
    match arg {
        Arg::Tensor(t) | Arg::ComplexTensor(t) if t.dtype().is_float() => found.push(t.clone()),
        Arg::List(items) | Arg::Tuple(items) => items.iter().for_each(|item| floats(item, found)),
        _ => {}
    }
}

/// Cuts tensors off from those of other calls, which share them.
fn detach(arg: &mut Arg) {
    match arg {
        Arg::Tensor(t) | Arg::ComplexTensor(t) => *t = t.detach(),
        Arg::List(items) | Arg::Tuple(items) => items.iter_mut().for_each(detach),
        _ => {}
    }
}

/// Makes the call and, if asked for, differentiates what it gives, twice.
fn make(mut call: Call, differentiate: bool) -> Result<()> {
    let mut inputs = Vec::new();
    let all = call.positional.iter_mut().chain(call.keywords.values_mut());
    for arg in all {
        detach(arg);
        floats(arg, &mut inputs);
    }
    for input in &inputs {
        input.requires_grad(differentiate)?;
    }
    let output = registry::call(&call.op, Args::new(&call.op, call.positional, call.keywords))?;
    let mut results = Vec::new();
    output.values.iter().for_each(|value| floats(value, &mut results));
    for _ in 0..2 {
        let tracked: Vec<&Tensor> = results.iter().filter(|t| t.is_tracked()).collect();
        let ones: Vec<Tensor> = tracked.iter().map(|t| t.ones_like()).collect::<Result<_>>()?;
        let ones: Vec<Option<&Tensor>> = ones.iter().map(Some).collect();
        let options = GradOptions {
            create_graph: true,
            allow_unused: true,
            ..GradOptions::default()
        };
        let grads = grad(&tracked, &inputs.iter().collect::<Vec<_>>(), &ones, options)?;
        results = grads.into_iter().flatten().collect();
    }
    Ok(())
}

/// The calls that panicked, one for each place in the program.
struct Panics {
    log: Option<OsString>,
    made: usize,
    found: BTreeMap<String, String>,
}

impl Panics {
    fn new() -> Panics {
        std::panic::set_hook(Box::new(|panic| {
            LAST.with(|last| *last.borrow_mut() = panic.to_string())
        }));
        Panics {
            log: std::env::var_os("FLAMBEAU_NONSENSE_LOG"),
            made: 0,
            found: BTreeMap::new(),
        }
    }

    fn watch(&mut self, call: Call) {
        if call.op.contains("_polynomial_") {
            return; // takes as many steps as its degree says, here and in PyTorch
        }
        let shown = format!("{call:?}");
        if let Some(log) = &self.log {
            std::fs::write(log, &shown).unwrap();
        }
        self.made += 1;
        // The result is of no interest: an argument left over is an error of the registry's, for instance.
        if catch_unwind(AssertUnwindSafe(|| make(call, !self.made.is_multiple_of(4)))).is_err() {
            let text = LAST.with(|last| last.take());
            let place = text.lines().next().unwrap_or_default().to_string();
            self.found.entry(place).or_insert(format!("{text}\n    {shown}"));
        }
    }

    /// Fails with all of them.
    fn report(self) {
        drop(std::panic::take_hook());
        println!("{} calls", self.made);
        let listed: Vec<String> = self.found.into_values().collect();
        assert!(
            listed.is_empty(),
            "{} panics:\n{}",
            listed.len(),
            listed.join("\n")
        );
    }
}

thread_local!(static LAST: RefCell<String> = const { RefCell::new(String::new()) });

/// The rounds to be made; each is the seed of its own calls.
fn rounds() -> Range<u64> {
    let given = std::env::var("FLAMBEAU_NONSENSE").unwrap_or("0..10".into());
    let (from, to) = given.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

fn case_files(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            case_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "safetensors") {
            found.push(path);
        }
    }
}

#[test]
fn spoiled_calls() {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ops");
    let directory = std::env::var_os("FLAMBEAU_GOLDEN").map_or(shipped, PathBuf::from);
    let mut files = Vec::new();
    case_files(&directory, &mut files);
    let calls: Vec<Call> = files.iter().flat_map(|path| calls(path).unwrap()).collect();
    assert!(!calls.is_empty());
    let mut panics = Panics::new();
    for round in rounds() {
        let mut draw = Draw(Generator::new(round));
        calls.iter().for_each(|call| panics.watch(draw.spoiled(call)));
    }
    panics.report();
}

#[test]
fn invented_calls() {
    let mut panics = Panics::new();
    for round in rounds() {
        let mut draw = Draw(Generator::new(round));
        registry::names()
            .iter()
            .for_each(|op| panics.watch(draw.invented(op)));
    }
    panics.report();
}
