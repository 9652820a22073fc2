//! `Display` of tensors, in PyTorch's layout: `println!("{t}")` prints what `print(t)` does there.
//!
//! One format serves all elements that are shown: integers and truth values are padded to the widest; floats are
//! written with four digits, as integers with a point (`1.`) if all of them are whole, or in scientific notation if the
//! greatest is more than a thousand times the least, above 10⁸, or the least is below 10⁻⁴ (zeros, infinities and NaN do
//! not count). Tensors of more than a thousand elements are cut to three at each end of each dimension.
//!
//! The one difference: a result of a recorded operation ends in `grad_fn=<mul>`, our operation's name, where PyTorch
//! gives the name of its backward class, `<MulBackward0>`.

use std::fmt;

use crate::buffer::Buffer;
use crate::value::Value;
use crate::{DType, Tensor};

/// How tensors are printed (`torch.set_printoptions`); the defaults are PyTorch's.
///
/// ```
/// use flambeau_tensor::{PrintOptions, Tensor};
///
/// let t = Tensor::new([1.0f32 / 3.0, 2.5])?;
/// assert_eq!(t.to_string(), "tensor([0.3333, 2.5000])");
/// let options = PrintOptions { precision: 2, ..PrintOptions::default() };
/// assert_eq!(t.display(&options).to_string(), "tensor([0.33, 2.50])");
/// assert_eq!(format!("{t:.1}"), "tensor([0.3, 2.5])");
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintOptions {
    /// Digits after the point.
    pub precision: usize,
    /// Tensors of more elements than this are cut.
    pub threshold: usize,
    /// How many elements are shown at each end of each dimension of a tensor that is cut.
    pub edgeitems: usize,
    /// Characters per line.
    pub linewidth: usize,
    /// Whether floats are in scientific notation; `None` lets their sizes decide.
    pub sci_mode: Option<bool>,
}

impl Default for PrintOptions {
    fn default() -> PrintOptions {
        PrintOptions {
            precision: 4,
            threshold: 1000,
            edgeitems: 3,
            linewidth: 80,
            sci_mode: None,
        }
    }
}

impl PrintOptions {
    /// PyTorch's profile `short`: two digits, two elements at each end.
    pub fn short() -> PrintOptions {
        PrintOptions {
            precision: 2,
            edgeitems: 2,
            ..PrintOptions::default()
        }
    }

    /// PyTorch's profile `full`: nothing is cut.
    pub fn full() -> PrintOptions {
        PrintOptions {
            threshold: usize::MAX,
            ..PrintOptions::default()
        }
    }
}

/// A tensor with the options by which it is printed; made by [`Tensor::display`].
pub struct TensorDisplay<'a> {
    tensor: &'a Tensor,
    options: &'a PrintOptions,
}

impl Tensor {
    /// The tensor as it is printed with these options.
    pub fn display<'a>(&'a self, options: &'a PrintOptions) -> TensorDisplay<'a> {
        TensorDisplay {
            tensor: self,
            options,
        }
    }
}

/// Prints with the default options; a precision in the format string (`{t:.2}`) replaces theirs.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = PrintOptions::default();
        options.precision = f.precision().unwrap_or(options.precision);
        self.display(&options).fmt(f)
    }
}

const PREFIX: &str = "tensor(";

impl fmt::Display for TensorDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, options) = (self.tensor.value(), self.options);
        let empty = value.numel() == 0;
        let body = if empty {
            "[]".to_string()
        } else {
            let printer = Printer::new(&value, options);
            printer.print(0, value.offset, PREFIX.len())
        };
        let mut suffixes = Vec::new();
        if empty && value.shape().len() != 1 || !empty && options.edgeitems == 0 {
            suffixes.push(format!("size={}", tuple(value.shape())));
        }
        // Nothing in an empty tensor shows that it is of integers or truth values.
        let implied =
            value.dtype == DType::DEFAULT || !empty && matches!(value.dtype, DType::I64 | DType::Bool);
        if !implied {
            suffixes.push(format!("dtype=torch.{}", value.dtype));
        }
        match self.tensor.edge() {
            Some(edge) if edge.node.is_leaf() => suffixes.push("requires_grad=True".to_string()),
            Some(edge) => suffixes.push(format!("grad_fn=<{}>", edge.node.name())),
            None => {}
        }
        f.write_str(&with_suffixes(
            format!("{PREFIX}{body}"),
            &suffixes,
            options.linewidth,
        ))
    }
}

/// A shape as Python writes it: `()`, `(3,)`, `(2, 3)`.
fn tuple(shape: &[usize]) -> String {
    match shape {
        [only] => format!("({only},)"),
        _ => format!("({})", join(shape.iter().map(usize::to_string), ", ")),
    }
}

fn join(parts: impl Iterator<Item = String>, separator: &str) -> String {
    parts.collect::<Vec<_>>().join(separator)
}

/// Appends the suffixes and the closing bracket, breaking the line before what does not fit. As in PyTorch, the length
/// of the last line of `text` is counted one (or, if it is the only one, two) too high.
fn with_suffixes(mut text: String, suffixes: &[String], linewidth: usize) -> String {
    let mut line = text
        .rfind('\n')
        .map_or(text.len() + 2, |end| text.len() - end + 1);
    for suffix in suffixes {
        if line + suffix.len() + 2 > linewidth {
            text += ",\n";
            text += &" ".repeat(PREFIX.len());
            line = PREFIX.len() + suffix.len();
        } else {
            text += ", ";
            line += suffix.len() + 2;
        }
        text += suffix;
    }
    text + ")"
}

/// Prints the elements of one value.
struct Printer<'a> {
    value: &'a Value,
    options: &'a PrintOptions,
    /// Whether long dimensions are cut.
    summarize: bool,
    format: Format,
}

impl<'a> Printer<'a> {
    fn new(value: &'a Value, options: &'a PrintOptions) -> Self {
        let mut printer = Printer {
            value,
            options,
            summarize: value.numel() > options.threshold,
            format: Format::default(),
        };
        let mut shown = Vec::new();
        printer.collect(0, value.offset, &mut shown);
        printer.format = Format::new(&shown, value.dtype.is_float(), options);
        printer
    }

    /// The indices of dimension `dim` that are shown; `None` stands for those left out.
    fn indices(&self, dim: usize) -> Vec<Option<usize>> {
        let (size, edge) = (self.value.shape[dim], self.options.edgeitems);
        if self.summarize && size / 2 >= edge && size > 2 * edge {
            let (first, last) = (0..edge, size - edge..size);
            first.map(Some).chain([None]).chain(last.map(Some)).collect()
        } else {
            (0..size).map(Some).collect()
        }
    }

    /// Appends the elements that are shown of the part that starts at `offset`.
    fn collect(&self, dim: usize, offset: usize, shown: &mut Vec<Item>) {
        if dim == self.value.shape.len() {
            return shown.push(item(self.value, offset));
        }
        for index in self.indices(dim).into_iter().flatten() {
            self.collect(dim + 1, offset + index * self.value.strides[dim], shown);
        }
    }

    /// The part from dimension `dim` on that starts at `offset`, the lines after the first indented.
    fn print(&self, dim: usize, offset: usize, indent: usize) -> String {
        let rank = self.value.shape.len();
        if dim == rank {
            return self.format.write(item(self.value, offset));
        }
        let stride = self.value.strides[dim];
        let parts: Vec<String> = self
            .indices(dim)
            .into_iter()
            .map(|index| match index {
                Some(index) => self.print(dim + 1, offset + index * stride, indent + 1),
                // In a row of elements PyTorch sets the dots off by one space more.
                None if dim + 1 == rank && self.options.edgeitems > 0 => " ...".to_string(),
                None => "...".to_string(),
            })
            .collect();
        let margin = " ".repeat(indent + 1);
        if dim + 1 < rank {
            let gap = "\n".repeat(rank - dim - 1);
            return format!("[{}]", parts.join(&format!(",{gap}{margin}")));
        }
        let room = self.options.linewidth.saturating_sub(indent);
        let per_line = (room / (self.format.width + 2)).max(1);
        let lines = parts.chunks(per_line).map(|line| line.join(", "));
        format!("[{}]", join(lines, &format!(",\n{margin}")))
    }
}

/// One element.
#[derive(Clone, Copy)]
enum Item {
    Bool(bool),
    Int(i64),
    Float(f64),
}

fn item(value: &Value, at: usize) -> Item {
    match &*value.buffer {
        Buffer::U8(x) if value.dtype == DType::Bool => Item::Bool(x[at] != 0),
        Buffer::U8(x) => Item::Int(x[at].into()),
        Buffer::I8(x) => Item::Int(x[at].into()),
        Buffer::I16(x) => Item::Int(x[at].into()),
        Buffer::I32(x) => Item::Int(x[at].into()),
        Buffer::I64(x) => Item::Int(x[at]),
        Buffer::F16(x) => Item::Float(x[at].into()),
        Buffer::BF16(x) => Item::Float(x[at].into()),
        Buffer::F32(x) => Item::Float(x[at].into()),
        Buffer::F64(x) => Item::Float(x[at]),
    }
}

/// How each element is written.
#[derive(Default)]
struct Format {
    precision: usize,
    /// All floats are whole.
    integers: bool,
    scientific: bool,
    width: usize,
}

impl Format {
    fn new(shown: &[Item], floats: bool, options: &PrintOptions) -> Format {
        let mut format = Format {
            precision: options.precision,
            integers: true,
            scientific: false,
            width: 1,
        };
        if floats {
            // Zeros and what is not finite follow the others' format and are not measured.
            let counted = shown.iter().filter_map(|&x| match x {
                Item::Float(x) if x.is_finite() && x != 0.0 => Some(x),
                _ => None,
            });
            let (mut least, mut greatest) = (f64::INFINITY, 0.0f64);
            for x in counted.clone() {
                least = least.min(x.abs());
                greatest = greatest.max(x.abs());
                format.integers &= x == x.ceil();
            }
            if greatest == 0.0 {
                return format;
            }
            format.scientific = options
                .sci_mode
                .unwrap_or(greatest / least > 1000.0 || greatest > 1.0e8 || least < 1.0e-4);
            format.width = format.widest(counted.map(Item::Float));
        } else {
            format.width = format.widest(shown.iter().copied());
        }
        format
    }

    fn widest(&self, items: impl Iterator<Item = Item>) -> usize {
        items.map(|x| self.write(x).len()).max().unwrap_or(0).max(1)
    }

    /// The element, padded on the left to the common width.
    fn write(&self, item: Item) -> String {
        let text = match item {
            Item::Bool(true) => "True".to_string(),
            Item::Bool(false) => "False".to_string(),
            Item::Int(x) => x.to_string(),
            Item::Float(x) if x.is_nan() => "nan".to_string(),
            Item::Float(x) if x.is_infinite() => if x > 0.0 { "inf" } else { "-inf" }.to_string(),
            Item::Float(x) if self.scientific => scientific(x, self.precision),
            Item::Float(x) if self.integers => format!("{x:.0}."),
            Item::Float(x) => format!("{x:.*}", self.precision),
        };
        format!("{text:>width$}", width = self.width)
    }
}

/// `1.5000e-07`: Python's exponents have a sign and at least two digits.
fn scientific(x: f64, precision: usize) -> String {
    let text = format!("{x:.precision$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_shown() {
        let x = Tensor::new([0.5f32, 1.0]).unwrap().requires_grad(true).unwrap();
        assert_eq!(x.to_string(), "tensor([0.5000, 1.0000], requires_grad=True)");
        let y = x.mul(&x).unwrap();
        assert_eq!(y.to_string(), "tensor([0.2500, 1.0000], grad_fn=<mul>)");
        assert_eq!(y.detach().to_string(), "tensor([0.2500, 1.0000])");
    }

    #[test]
    fn views_print_their_own_elements() {
        let x = Tensor::new([[1i64, 2, 3], [4, 5, 6]]).unwrap().t().unwrap();
        assert_eq!(
            x.to_string(),
            "tensor([[1, 4],\n        [2, 5],\n        [3, 6]])"
        );
    }

    #[test]
    fn exponents_are_written_as_in_python() {
        assert_eq!(scientific(1.5e-7, 4), "1.5000e-07");
        assert_eq!(scientific(-2.0e100, 1), "-2.0e+100");
        assert_eq!(scientific(0.0, 4), "0.0000e+00");
    }
}
