//! Arguments as torch's callers give them, read by position or by keyword.

use std::collections::BTreeMap;

use flambeau_tensor::{DType, Operand, Result, Scalar, Tensor, bail};

/// One argument.
#[derive(Clone)]
pub enum Arg {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A complex number.
    Complex(f64, f64),
    /// A string.
    Str(String),
    /// A tensor.
    Tensor(Tensor),
    /// A complex tensor, its last dimension being (real, imaginary).
    ComplexTensor(Tensor),
    /// A list; Python's tuples too, where the difference does not matter.
    List(Vec<Arg>),
    /// A tuple, where it differs from a list: an index.
    Tuple(Vec<Arg>),
    /// A slice `start:end:step`, in an index.
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// `...`, in an index.
    Ellipsis,
    /// A torch dtype by name; complex ones keep their names.
    DType(String),
    /// A memory format, layout or device by name.
    Name(String),
    /// A module of `torch.nn`, as its class is called.
    Module(Box<Args>),
    /// A dictionary with strings as keys.
    Dict(BTreeMap<String, Arg>),
}

impl std::fmt::Debug for Arg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Arg::None => f.write_str("None"),
            Arg::Bool(x) => x.fmt(f),
            Arg::Int(x) => x.fmt(f),
            Arg::Float(x) => x.fmt(f),
            Arg::Complex(re, im) => write!(f, "{re}+{im}j"),
            Arg::Str(x) => x.fmt(f),
            Arg::Tensor(t) => write!(f, "{}{:?}", t.dtype(), t.shape()),
            Arg::ComplexTensor(t) => write!(f, "complex {}{:?}", t.dtype(), t.shape()),
            Arg::List(x) | Arg::Tuple(x) => x.fmt(f),
            Arg::Slice(a, b, c) => write!(f, "slice({a:?}, {b:?}, {c:?})"),
            Arg::Ellipsis => f.write_str("..."),
            Arg::DType(x) | Arg::Name(x) => f.write_str(x),
            Arg::Module(args) => f.write_str(args.op()),
            Arg::Dict(x) => x.fmt(f),
        }
    }
}

/// NumPy's name of an argument, which PyTorch takes as well.
fn numpy_name(name: &str) -> Option<&'static str> {
    match name {
        "dim" => Some("axis"),
        "keepdim" => Some("keepdims"),
        "input" => Some("x"),
        "other" => Some("x2"),
        _ => None,
    }
}

/// The arguments of one call. An entry of the registry takes each out by position and name; what it leaves makes the call
/// fail, so that no argument is silently ignored.
#[derive(Clone, Debug)]
pub struct Args {
    op: String,
    positional: Vec<Option<Arg>>,
    keywords: BTreeMap<String, Arg>,
}

impl Args {
    /// The arguments of a call to `op`.
    pub fn new(op: &str, positional: Vec<Arg>, keywords: BTreeMap<String, Arg>) -> Args {
        Args {
            op: op.to_string(),
            positional: positional.into_iter().map(Some).collect(),
            keywords,
        }
    }

    /// The name by which the function was called.
    pub fn op(&self) -> &str {
        &self.op
    }

    /// The number of positional arguments given.
    pub fn positional_len(&self) -> usize {
        self.positional.len()
    }

    /// Takes out the argument at `position` or called `name`; `None` if it was not given.
    pub fn take(&mut self, position: usize, name: &str) -> Option<Arg> {
        self.positional
            .get_mut(position)
            .and_then(Option::take)
            .or_else(|| self.keywords.remove(name))
            .or_else(|| self.keywords.remove(numpy_name(name)?))
    }

    /// Looks at the argument at `position` or called `name` without taking it.
    pub fn peek(&self, position: usize, name: &str) -> Option<&Arg> {
        self.positional
            .get(position)
            .and_then(Option::as_ref)
            .or_else(|| self.keywords.get(name))
            .or_else(|| self.keywords.get(numpy_name(name)?))
    }

    /// Takes out all positional arguments from `position` on.
    pub fn rest(&mut self, position: usize) -> Vec<Arg> {
        self.positional
            .iter_mut()
            .skip(position)
            .filter_map(Option::take)
            .collect()
    }

    /// Takes out all arguments, of whoever ignores them.
    pub fn clear(&mut self) {
        self.positional.clear();
        self.keywords.clear();
    }

    /// Takes out keyword arguments that mean nothing here: where to put the result, whether to require a gradient.
    pub fn ignore_factory_keywords(&mut self) {
        for name in ["device", "layout", "requires_grad", "pin_memory"] {
            self.keywords.remove(name);
        }
    }

    /// An error if an argument has not been taken.
    ///
    /// # Errors
    /// `Unsupported`, naming the arguments.
    pub fn finish(&self) -> Result<()> {
        let left: Vec<String> = self
            .positional
            .iter()
            .flatten()
            .map(|a| format!("{a:?}"))
            .collect();
        if left.is_empty() && self.keywords.is_empty() {
            return Ok(());
        }
        bail!(
            Unsupported,
            "{}: arguments not supported: {left:?} {:?}",
            self.op,
            self.keywords
        )
    }

    fn wrong<T>(&self, name: &str, expected: &str, got: Option<&Arg>) -> Result<T> {
        bail!(
            Value,
            "{}: argument `{name}`: expected {expected}, got {got:?}",
            self.op
        )
    }

    /// A real tensor.
    ///
    /// # Errors
    /// `Value` if the argument is missing or something else; `Unsupported` if it is a complex tensor.
    pub fn tensor(&mut self, position: usize, name: &str) -> Result<Tensor> {
        match self.opt_tensor(position, name)? {
            Some(tensor) => Ok(tensor),
            None => self.wrong(name, "a tensor", None),
        }
    }

    /// A real tensor or `None`.
    ///
    /// # Errors
    /// As [`Args::tensor`].
    pub fn opt_tensor(&mut self, position: usize, name: &str) -> Result<Option<Tensor>> {
        match self.take(position, name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Tensor(tensor)) => Ok(Some(tensor)),
            Some(Arg::ComplexTensor(_)) => bail!(Unsupported, "{}: complex `{name}`", self.op),
            other => self.wrong(name, "a tensor", other.as_ref()),
        }
    }

    /// A tensor that may be complex; the flag tells. Complex ones have a last dimension of 2.
    ///
    /// # Errors
    /// `Value` if the argument is missing or something else.
    pub fn maybe_complex(&mut self, position: usize, name: &str) -> Result<(Tensor, bool)> {
        match self.take(position, name) {
            Some(Arg::Tensor(tensor)) => Ok((tensor, false)),
            Some(Arg::ComplexTensor(tensor)) => Ok((tensor, true)),
            other => self.wrong(name, "a tensor", other.as_ref()),
        }
    }

    /// A list of real tensors.
    ///
    /// # Errors
    /// `Value` if the argument is missing or something else; `Unsupported` for complex tensors.
    pub fn tensors(&mut self, position: usize, name: &str) -> Result<Vec<Tensor>> {
        match self.take(position, name) {
            Some(Arg::List(items) | Arg::Tuple(items)) => self.tensors_of(items, name),
            other => self.wrong(name, "a list of tensors", other.as_ref()),
        }
    }

    /// The items of a list as real tensors.
    ///
    /// # Errors
    /// As [`Args::tensors`].
    pub fn tensors_of(&self, items: Vec<Arg>, name: &str) -> Result<Vec<Tensor>> {
        let tensor = |item| match item {
            Arg::Tensor(tensor) => Ok(tensor),
            Arg::ComplexTensor(_) => bail!(Unsupported, "{}: complex `{name}`", self.op),
            other => self.wrong(name, "a list of tensors", Some(&other)),
        };
        items.into_iter().map(tensor).collect()
    }

    /// A number.
    ///
    /// # Errors
    /// `Value` if the argument is missing or something else.
    pub fn scalar(&mut self, position: usize, name: &str) -> Result<Scalar> {
        match self.opt_scalar(position, name)? {
            Some(scalar) => Ok(scalar),
            None => self.wrong(name, "a number", None),
        }
    }

    /// A number or `None`.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn opt_scalar(&mut self, position: usize, name: &str) -> Result<Option<Scalar>> {
        match self.take(position, name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Bool(b)) => Ok(Some(b.into())),
            Some(Arg::Int(i)) => Ok(Some(i.into())),
            Some(Arg::Float(f)) => Ok(Some(f.into())),
            Some(Arg::Complex(..)) => bail!(Unsupported, "{}: complex `{name}`", self.op),
            other => self.wrong(name, "a number", other.as_ref()),
        }
    }

    /// A tensor or a number; use [`Either::operand`] to pass it on.
    ///
    /// # Errors
    /// `Value` if the argument is missing or something else; `Unsupported` if it is complex.
    pub fn operand(&mut self, position: usize, name: &str) -> Result<Either> {
        match self.peek(position, name) {
            Some(Arg::Tensor(_) | Arg::ComplexTensor(_)) => Ok(Either::Tensor(self.tensor(position, name)?)),
            _ => Ok(Either::Scalar(self.scalar(position, name)?)),
        }
    }

    /// A floating point number, or the default.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn float(&mut self, position: usize, name: &str, default: f64) -> Result<f64> {
        Ok(self.opt_scalar(position, name)?.map_or(default, Scalar::to_f64))
    }

    /// A floating point number or `None`.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn opt_float(&mut self, position: usize, name: &str) -> Result<Option<f64>> {
        Ok(self.opt_scalar(position, name)?.map(Scalar::to_f64))
    }

    /// An integer, or the default.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn int(&mut self, position: usize, name: &str, default: i64) -> Result<i64> {
        Ok(self.opt_int(position, name)?.unwrap_or(default))
    }

    /// An integer that must be given.
    ///
    /// # Errors
    /// `Value` if the argument is missing or something else.
    pub fn required_int(&mut self, position: usize, name: &str) -> Result<i64> {
        match self.opt_int(position, name)? {
            Some(i) => Ok(i),
            None => self.wrong(name, "an integer", None),
        }
    }

    /// A number of things, or the default.
    ///
    /// # Errors
    /// `Value` if the argument is negative or something else.
    pub fn count(&mut self, position: usize, name: &str, default: usize) -> Result<usize> {
        Ok(self.opt_count(position, name)?.unwrap_or(default))
    }

    /// A number of things that must be given.
    ///
    /// # Errors
    /// `Value` if the argument is missing, negative or something else.
    pub fn required_count(&mut self, position: usize, name: &str) -> Result<usize> {
        match self.opt_count(position, name)? {
            Some(count) => Ok(count),
            None => self.wrong(name, "an integer", None),
        }
    }

    /// A number of things, or `None`.
    ///
    /// # Errors
    /// `Value` if the argument is negative or something else.
    pub fn opt_count(&mut self, position: usize, name: &str) -> Result<Option<usize>> {
        let given = self.opt_int(position, name)?;
        match given.map(usize::try_from) {
            None => Ok(None),
            Some(Ok(count)) => Ok(Some(count)),
            Some(Err(_)) => self.wrong(name, "no negative number", given.map(Arg::Int).as_ref()),
        }
    }

    /// An integer or `None`. A one-element integer tensor counts as an integer.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn opt_int(&mut self, position: usize, name: &str) -> Result<Option<i64>> {
        match self.take(position, name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Int(i)) => Ok(Some(i)),
            Some(Arg::Bool(b)) => Ok(Some(b as i64)),
            Some(Arg::Tensor(t)) if t.numel() == 1 && t.dtype().is_integer() => {
                Ok(Some(t.item_f64()? as i64))
            }
            other => self.wrong(name, "an integer", other.as_ref()),
        }
    }

    /// A truth value, or the default.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn bool(&mut self, position: usize, name: &str, default: bool) -> Result<bool> {
        match self.take(position, name) {
            None | Some(Arg::None) => Ok(default),
            Some(Arg::Bool(b)) => Ok(b),
            Some(Arg::Int(i)) => Ok(i != 0),
            other => self.wrong(name, "a truth value", other.as_ref()),
        }
    }

    /// A string or `None`.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn opt_str(&mut self, position: usize, name: &str) -> Result<Option<String>> {
        match self.take(position, name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Str(s)) => Ok(Some(s)),
            other => self.wrong(name, "a string", other.as_ref()),
        }
    }

    /// A list of integers; a single integer counts as a list of one.
    ///
    /// # Errors
    /// `Value` if the argument is missing or something else.
    pub fn ints(&mut self, position: usize, name: &str) -> Result<Vec<i64>> {
        match self.opt_ints(position, name)? {
            Some(ints) => Ok(ints),
            None => self.wrong(name, "integers", None),
        }
    }

    /// A list of integers (a single integer counts as a list of one) or `None`.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn opt_ints(&mut self, position: usize, name: &str) -> Result<Option<Vec<i64>>> {
        match self.take(position, name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Int(i)) => Ok(Some(vec![i])),
            Some(Arg::List(items) | Arg::Tuple(items)) => self.ints_of(&items, name).map(Some),
            other => self.wrong(name, "integers", other.as_ref()),
        }
    }

    /// The items of a list as integers.
    ///
    /// # Errors
    /// `Value` if one is something else.
    pub fn ints_of(&self, items: &[Arg], name: &str) -> Result<Vec<i64>> {
        let int = |item: &Arg| match item {
            Arg::Int(i) => Ok(*i),
            other => self.wrong(name, "integers", Some(other)),
        };
        items.iter().map(int).collect()
    }

    /// Sizes given as one list at `position` or spread over the positions from there on: `view(2, 3)`, `view([2, 3])`.
    ///
    /// # Errors
    /// `Value` if they are something else.
    pub fn varargs_ints(&mut self, position: usize, name: &str) -> Result<Vec<i64>> {
        if let Some(Arg::List(_) | Arg::Tuple(_)) = self.peek(position, name) {
            return self.ints(position, name);
        }
        let rest = self.rest(position);
        self.ints_of(&rest, name)
    }

    /// Dimensions: a list, a single one, or `None`.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn opt_dims(&mut self, position: usize, name: &str) -> Result<Option<Vec<isize>>> {
        Ok(self
            .opt_ints(position, name)?
            .map(|ints| ints.into_iter().map(|i| i as isize).collect()))
    }

    /// A list of floating point numbers or `None`.
    ///
    /// # Errors
    /// `Value` if the argument is something else.
    pub fn opt_floats(&mut self, position: usize, name: &str) -> Result<Option<Vec<f64>>> {
        match self.take(position, name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Float(f)) => Ok(Some(vec![f])),
            Some(Arg::Int(i)) => Ok(Some(vec![i as f64])),
            Some(Arg::List(items) | Arg::Tuple(items)) => {
                let float = |item: &Arg| match item {
                    Arg::Float(f) => Ok(*f),
                    Arg::Int(i) => Ok(*i as f64),
                    other => self.wrong(name, "numbers", Some(other)),
                };
                items.iter().map(float).collect::<Result<_>>().map(Some)
            }
            other => self.wrong(name, "numbers", other.as_ref()),
        }
    }

    /// An element type or `None`.
    ///
    /// # Errors
    /// `Value` if the argument is something else; `Unsupported` for complex types.
    pub fn opt_dtype(&mut self, position: usize, name: &str) -> Result<Option<DType>> {
        match self.take(position, name) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::DType(dtype)) => match DType::from_name(&dtype) {
                Some(dtype) => Ok(Some(dtype)),
                None => bail!(Unsupported, "{}: dtype {dtype}", self.op),
            },
            other => self.wrong(name, "a dtype", other.as_ref()),
        }
    }
}

/// A tensor or a number, owned.
#[derive(Clone)]
pub enum Either {
    /// A tensor.
    Tensor(Tensor),
    /// A number.
    Scalar(Scalar),
}

impl Either {
    /// As arithmetic methods take it.
    pub fn operand(&self) -> Operand<'_> {
        match self {
            Either::Tensor(tensor) => tensor.into(),
            Either::Scalar(scalar) => (*scalar).into(),
        }
    }
}
