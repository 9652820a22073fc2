//! How the tables of wrong calls are written, and what is asked of an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flambeau_parity::args::Arg;
use flambeau_tensor::{DType, Result, Tensor};

/// What a table holds as an argument.
pub(crate) trait ToArg {
    fn to_arg(&self) -> Arg;
}

impl ToArg for Arg {
    fn to_arg(&self) -> Arg {
        self.clone()
    }
}

impl ToArg for i32 {
    fn to_arg(&self) -> Arg {
        Arg::Int((*self).into())
    }
}

impl ToArg for i64 {
    fn to_arg(&self) -> Arg {
        Arg::Int(*self)
    }
}

impl ToArg for f64 {
    fn to_arg(&self) -> Arg {
        Arg::Float(*self)
    }
}

impl ToArg for bool {
    fn to_arg(&self) -> Arg {
        Arg::Bool(*self)
    }
}

impl ToArg for &str {
    fn to_arg(&self) -> Arg {
        Arg::Str(self.to_string())
    }
}

impl<T: ToArg, const N: usize> ToArg for [T; N] {
    fn to_arg(&self) -> Arg {
        Arg::List(self.iter().map(ToArg::to_arg).collect())
    }
}

/// 0, 1, 2, … in this shape.
pub(crate) fn counting(shape: &[usize], dtype: DType) -> Tensor {
    let data: Vec<f64> = (0..shape.iter().product()).map(|i: usize| i as f64).collect();
    Tensor::from_vec(data, shape).unwrap().to_dtype(dtype).unwrap()
}

/// A `float32` argument of this shape.
macro_rules! f {
    ($($size:literal),*) => { Arg::Tensor(counting(&[$($size),*], DType::F32)) };
}
/// An `int64` argument of this shape.
macro_rules! l {
    ($($size:literal),*) => { Arg::Tensor(counting(&[$($size),*], DType::I64)) };
}
/// A `bool` argument of this shape.
macro_rules! b {
    ($($size:literal),*) => { Arg::Tensor(counting(&[$($size),*], DType::Bool)) };
}
/// An `int64` argument with these elements.
macro_rules! ints {
    ($($x:literal),*) => { Arg::Tensor(Tensor::new([$($x as i64),*]).unwrap()) };
}

/// One call: name, positional and keyword arguments, and what its error must mention beside the name.
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) positional: Vec<Arg>,
    pub(crate) keywords: Vec<(&'static str, Arg)>,
    pub(crate) mentions: &'static [&'static str],
}

/// Lines `"name" [positional] keyword = value, … => mentions, …;`.
macro_rules! calls {
    ($($name:literal [$($arg:expr),*] $($key:ident = $value:expr),* => $($mention:literal),+;)*) => {
        vec![$(Call {
            name: $name,
            positional: vec![$($arg.to_arg()),*],
            keywords: vec![$((stringify!($key), $value.to_arg())),*],
            mentions: &[$($mention),+],
        }),*]
    };
}

/// Lines `"name" expression => mentions, …;`: the results of methods and functions of Rust.
macro_rules! refused {
    ($($name:literal $call:expr => $($mention:literal),+;)*) => {
        vec![$({
            let mentions: &[&str] = &[$($mention),+];
            let fault = $crate::table::fault(|| $call.map(drop), $name, mentions);
            (stringify!($call).to_string(), fault)
        }),*]
    };
}

/// Names of torch under which we have no function of our own, and the function that serves them.
const OURS: [(&str, &str); 9] = [
    ("__getitem__", "index"),
    ("chain_matmul", "multi_dot"),
    ("fft.fft2", "fftn"),
    ("ger", "outer"),
    ("hann_window", "hann"),
    ("linalg.norm", "matrix_norm"),
    ("norm", "vector_norm"),
    ("special.zeta", "special_zeta"),
    ("split", "split_with_sizes"),
];

/// What is wrong with the outcome of a call, if anything.
pub(crate) fn fault(call: impl FnOnce() -> Result<()>, name: &str, mentions: &[&str]) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(call));
    let message = match outcome {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            return Some(format!("panicked: {}", text.unwrap_or_default()));
        }
        Ok(Ok(())) => return Some("was accepted".to_string()),
        Ok(Err(error)) => error.to_string(),
    };
    // The message begins with the name: nobody but the function itself has put it there.
    let short = name.rsplit('.').next().unwrap_or(name);
    let ours = OURS.iter().filter(|(torch, _)| *torch == name);
    let head = message.split(": ").next().unwrap_or_default();
    let named = ours
        .map(|(_, ours)| *ours)
        .chain([short])
        .any(|name| stands_in(head, name));
    let mut missing: Vec<&str> = mentions
        .iter()
        .copied()
        .filter(|text| !stands_in(&message, text))
        .collect();
    if !named {
        missing.insert(0, short);
    }
    (!missing.is_empty()).then(|| format!("does not mention {missing:?}: {message}"))
}

/// Whether the message has this text, not as a part of a longer word or number.
fn stands_in(message: &str, text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    message.match_indices(text).any(|(at, _)| {
        let (before, after) = (&message[..at], &message[at + text.len()..]);
        let begins = !text.starts_with(word) || !before.ends_with(|c| word(c) || c == '-');
        let ends = !text.ends_with(word) || !after.starts_with(word);
        begins && ends
    })
}

/// Fails with all faults at once.
pub(crate) fn check(faults: Vec<(String, Option<String>)>, at_least: usize) {
    assert!(faults.len() >= at_least, "only {} calls", faults.len());
    let listed: Vec<String> = faults
        .into_iter()
        .filter_map(|(call, fault)| Some(format!("{call} {}", fault?)))
        .collect();
    assert!(
        listed.is_empty(),
        "{} wrong calls are not refused well:\n{}",
        listed.len(),
        listed.join("\n")
    );
}
