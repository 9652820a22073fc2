//! Collating: how samples become a batch (`collate_fn`, `default_collate`, `pad_sequence`).
//!
//! | Samples | Batch |
//! |---|---|
//! | tensors `[…]` | a tensor `[batch, …]` |
//! | numbers, `bool` | a tensor `[batch]` of their type (`usize`: `int64`) |
//! | tuples, arrays | a tuple, an array of batches |
//! | `Vec`s of one length, maps with the same keys | a `Vec`, a map of batches |
//! | text, paths, options | a `Vec` of them, unchanged |

use std::collections::BTreeMap;
use std::path::PathBuf;

use flambeau_tensor::{Result, Scalar, Tensor, bail, ensure};

/// Makes a batch of samples. Every function `Fn(Vec<Item>) -> Result<Batch>` does.
pub trait Collate<Item>: Send + Sync {
    /// What samples become.
    type Batch: Send;

    /// The batch of these samples, of which there is at least one.
    ///
    /// # Errors
    /// When the samples don't fit together.
    fn collate(&self, samples: Vec<Item>) -> Result<Self::Batch>;
}

impl<Item, Batch: Send, F: Fn(Vec<Item>) -> Result<Batch> + Send + Sync> Collate<Item> for F {
    type Batch = Batch;

    fn collate(&self, samples: Vec<Item>) -> Result<Batch> {
        self(samples)
    }
}

/// PyTorch's `default_collate`, by the table in the [module's documentation](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultCollate;

impl<Item: Stack> Collate<Item> for DefaultCollate {
    type Batch = Item::Batch;

    fn collate(&self, samples: Vec<Item>) -> Result<Item::Batch> {
        Item::stack(samples)
    }
}

/// No batches: the sample itself ([`LoaderBuilder::unbatched`](crate::LoaderBuilder::unbatched)).
#[derive(Clone, Copy, Debug)]
pub struct Unbatched;

impl<Item: Send> Collate<Item> for Unbatched {
    type Batch = Item;

    fn collate(&self, mut samples: Vec<Item>) -> Result<Item> {
        match (samples.pop(), samples.len()) {
            (Some(sample), 0) => Ok(sample),
            (sample, more) => bail!(
                Value,
                "Unbatched: expected one sample, got {}",
                more + usize::from(sample.is_some())
            ),
        }
    }
}

/// Samples that [`DefaultCollate`] makes batches of.
pub trait Stack: Sized {
    /// What samples become.
    type Batch: Send;

    /// The batch of these samples.
    ///
    /// # Errors
    /// When they don't fit together, or there are none where one is needed to tell what the batch is made of.
    fn stack(samples: Vec<Self>) -> Result<Self::Batch>;
}

impl Stack for Tensor {
    type Batch = Tensor;

    fn stack(samples: Vec<Tensor>) -> Result<Tensor> {
        Tensor::stack(&samples, 0)
    }
}

macro_rules! stack_numbers {
    ($($T:ty),*) => { $(
        impl Stack for $T {
            type Batch = Tensor;

            fn stack(samples: Vec<$T>) -> Result<Tensor> {
                Tensor::from_slice(&samples, samples.len())
            }
        }
    )* };
}
stack_numbers!(bool, u8, i8, i16, i32, i64, f32, f64);

/// Indices and counts become `int64`.
impl Stack for usize {
    type Batch = Tensor;

    fn stack(samples: Vec<usize>) -> Result<Tensor> {
        let numbers: Vec<i64> = samples.into_iter().map(|n| n as i64).collect();
        Tensor::from_slice(&numbers, numbers.len())
    }
}

macro_rules! keep_as_they_are {
    ($($(#[$doc:meta])* [$($generics:tt)*] $T:ty),*) => { $(
        $(#[$doc])*
        impl<$($generics)*> Stack for $T {
            type Batch = Vec<$T>;

            fn stack(samples: Vec<$T>) -> Result<Vec<$T>> {
                Ok(samples)
            }
        }
    )* };
}
keep_as_they_are!([] String, [] &'static str, [] char, [] PathBuf, [T: Send] Option<T>);

macro_rules! stack_tuples {
    ($($T:ident $i:tt),+) => {
        impl<$($T: Stack),+> Stack for ($($T,)+) {
            type Batch = ($($T::Batch,)+);

            fn stack(samples: Vec<Self>) -> Result<Self::Batch> {
                let mut columns = ($(Vec::<$T>::with_capacity(samples.len()),)+);
                for sample in samples {
                    $(columns.$i.push(sample.$i);)+
                }
                Ok(($($T::stack(columns.$i).map_err(|error| error.context(format_args!("part {}", $i)))?,)+))
            }
        }
    };
}
stack_tuples!(A 0);
stack_tuples!(A 0, B 1);
stack_tuples!(A 0, B 1, C 2);
stack_tuples!(A 0, B 1, C 2, D 3);
stack_tuples!(A 0, B 1, C 2, D 3, E 4);
stack_tuples!(A 0, B 1, C 2, D 3, E 4, F 5);

/// The batch of each of `width` columns.
fn stack_columns<T: Stack>(
    samples: impl Iterator<Item = impl IntoIterator<Item = T>>,
    width: usize,
) -> Result<Vec<T::Batch>> {
    let mut columns: Vec<Vec<T>> = Vec::new();
    columns.resize_with(width, Vec::new);
    for sample in samples {
        for (column, part) in columns.iter_mut().zip(sample) {
            column.push(part);
        }
    }
    let stack = |(i, column)| T::stack(column).map_err(|error| error.context(format_args!("part {i}")));
    columns.into_iter().enumerate().map(stack).collect()
}

impl<T: Stack, const N: usize> Stack for [T; N] {
    type Batch = [T::Batch; N];

    fn stack(samples: Vec<[T; N]>) -> Result<[T::Batch; N]> {
        let batches = stack_columns(samples.into_iter(), N)?;
        let Ok(batches) = batches.try_into() else {
            unreachable!("there are as many columns as parts")
        };
        Ok(batches)
    }
}

/// Sequences of one length become the sequence of the batches of their elements.
impl<T: Stack> Stack for Vec<T> {
    type Batch = Vec<T::Batch>;

    fn stack(samples: Vec<Vec<T>>) -> Result<Vec<T::Batch>> {
        let width = samples.first().map_or(0, Vec::len);
        if let Some(other) = samples.iter().find(|sample| sample.len() != width) {
            bail!(
                Shape,
                "collate: expected sequences of one length, got {width} and {} elements",
                other.len()
            );
        }
        stack_columns(samples.into_iter(), width)
    }
}

/// Maps with the same keys become the map of the batches of their values.
impl<K: Ord + Send + std::fmt::Debug, T: Stack> Stack for BTreeMap<K, T> {
    type Batch = BTreeMap<K, T::Batch>;

    fn stack(samples: Vec<BTreeMap<K, T>>) -> Result<Self::Batch> {
        let mut columns: BTreeMap<K, Vec<T>> = BTreeMap::new();
        for (n, sample) in samples.into_iter().enumerate() {
            ensure!(
                n == 0 || (sample.len() == columns.len() && sample.keys().eq(columns.keys())),
                Key,
                "collate: expected maps with the same keys, got {:?} and {:?}",
                columns.keys().collect::<Vec<_>>(),
                sample.keys().collect::<Vec<_>>()
            );
            for (key, value) in sample {
                columns.entry(key).or_default().push(value);
            }
        }
        let stack = |(key, column)| match T::stack(column) {
            Ok(batch) => Ok((key, batch)),
            Err(error) => Err(error.context(format_args!("key {key:?}"))),
        };
        columns.into_iter().map(stack).collect()
    }
}

/// Sequences of several lengths in one tensor.
#[derive(Clone, Debug)]
pub struct Padded {
    /// `[batch, longest, …]`, or `[longest, batch, …]`.
    pub values: Tensor,
    /// The length of each sequence: `[batch]`, `int64`.
    pub lengths: Tensor,
}

/// Pads sequences to the length of the longest. Samples are tensors `[length, …]`, or pairs of such a tensor and
/// something that is collated by default (a label).
///
/// ```
/// use flambeau_data::collate::{Collate, PadCollate};
/// use flambeau_tensor::Tensor;
///
/// let samples = vec![(Tensor::new([1i64, 2, 3])?, 0i64), (Tensor::new([4i64])?, 1)];
/// let (text, labels) = PadCollate::default().collate(samples)?;
/// assert_eq!(text.values.to_vec2::<i64>()?, [[1, 2, 3], [4, 0, 0]]);
/// assert_eq!(text.lengths.to_vec::<i64>()?, [3, 1]);
/// assert_eq!(labels.to_vec::<i64>()?, [0, 1]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PadCollate {
    /// What stands after the end of a sequence. Default: 0.
    pub value: Scalar,
    /// Whether the batch is the first dimension, and time the second. Default: true.
    pub batch_first: bool,
}

impl Default for PadCollate {
    fn default() -> Self {
        PadCollate {
            value: Scalar::from(0i64),
            batch_first: true,
        }
    }
}

impl Collate<Tensor> for PadCollate {
    type Batch = Padded;

    fn collate(&self, sequences: Vec<Tensor>) -> Result<Padded> {
        let values = pad_sequence(&sequences, self.batch_first, self.value)?;
        let lengths = sequences.iter().map(|sequence| sequence.shape()[0]).collect();
        Ok(Padded {
            values,
            lengths: usize::stack(lengths)?,
        })
    }
}

impl<T: Stack> Collate<(Tensor, T)> for PadCollate {
    type Batch = (Padded, T::Batch);

    fn collate(&self, samples: Vec<(Tensor, T)>) -> Result<Self::Batch> {
        let (sequences, others): (Vec<Tensor>, Vec<T>) = samples.into_iter().unzip();
        Ok((self.collate(sequences)?, T::stack(others)?))
    }
}

/// Sequences in one tensor, padded with `value` to the length of the longest (`torch.nn.utils.rnn.pad_sequence`).
///
/// # Shapes
/// `[length, …]` each `→ [batch, longest, …]` with `batch_first`, else `[longest, batch, …]`.
///
/// # Errors
/// `Value` for no sequence, `Shape` unless all have a first dimension and agree in the others.
pub fn pad_sequence(sequences: &[Tensor], batch_first: bool, value: Scalar) -> Result<Tensor> {
    let [first, ..] = sequences else {
        bail!(Value, "pad_sequence: expected at least one sequence")
    };
    let fits = |t: &Tensor| t.rank() > 0 && t.rank() == first.rank() && t.shape()[1..] == first.shape()[1..];
    if let Some(other) = sequences.iter().find(|t| !fits(t)) {
        bail!(
            Shape,
            "pad_sequence: expected sequences [length, …] that agree in all dimensions but the first, got {:?} and {:?}",
            first.shape(),
            other.shape()
        );
    }
    let longest = sequences.iter().map(|t| t.shape()[0]).max().unwrap_or(0);
    let pad = |t: &Tensor| {
        let missing = longest - t.shape()[0];
        if missing == 0 {
            return Ok(t.clone());
        }
        // Pairs of paddings, those of the last dimension first.
        let mut pads = vec![0; 2 * t.rank()];
        pads[2 * t.rank() - 1] = missing as isize;
        t.constant_pad_nd(&pads, value)
    };
    let padded = sequences.iter().map(pad).collect::<Result<Vec<Tensor>>>()?;
    Tensor::stack(&padded, if batch_first { 0 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    fn dtype_of<T: Stack<Batch = Tensor>>(number: T) -> DType {
        T::stack(vec![number]).unwrap().dtype()
    }

    #[test]
    fn numbers_keep_their_type() {
        let dtypes = [
            (dtype_of(1.0f64), DType::F64),
            (dtype_of(1.0f32), DType::F32),
            (dtype_of(1i64), DType::I64),
            (dtype_of(1usize), DType::I64),
            (dtype_of(1i32), DType::I32),
            (dtype_of(1u8), DType::U8),
            (dtype_of(true), DType::Bool),
        ];
        for (got, expected) in dtypes {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn nested_samples() {
        let sample = |x: f32, name: &str| {
            let row = Tensor::new([x, x + 1.0]).unwrap();
            let map = BTreeMap::from([("a".to_string(), x), ("b".to_string(), -x)]);
            (row, [1i64, 2], vec![x], map, name.to_string(), Some(x))
        };
        let batch = DefaultCollate
            .collate(vec![sample(1.0, "one"), sample(3.0, "two")])
            .unwrap();
        let (rows, [ones, twos], sequence, map, names, options) = batch;
        assert_eq!(rows.to_vec2::<f32>().unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(ones.to_vec::<i64>().unwrap(), [1, 1]);
        assert_eq!(twos.to_vec::<i64>().unwrap(), [2, 2]);
        assert_eq!(sequence[0].to_vec::<f32>().unwrap(), [1.0, 3.0]);
        assert_eq!(map["b"].to_vec::<f32>().unwrap(), [-1.0, -3.0]);
        assert_eq!(names, ["one", "two"]);
        assert_eq!(options, [Some(1.0), Some(3.0)]);
    }

    #[test]
    fn samples_that_do_not_fit_are_errors() {
        let zeros = |n: usize| Tensor::zeros(n, DType::F32).unwrap();
        let tensors = DefaultCollate
            .collate(vec![(0i64, zeros(2)), (0, zeros(3))])
            .unwrap_err();
        assert!(tensors.to_string().starts_with("part 1: stack: "), "{tensors}");
        let lengths = DefaultCollate.collate(vec![vec![1i64], vec![1, 2]]).unwrap_err();
        assert_eq!(
            lengths.to_string(),
            "collate: expected sequences of one length, got 1 and 2 elements"
        );
        let map = |key: &str| BTreeMap::from([(key.to_string(), 1i64)]);
        let keys = DefaultCollate.collate(vec![map("a"), map("b")]).unwrap_err();
        assert_eq!(
            keys.to_string(),
            r#"collate: expected maps with the same keys, got ["a"] and ["b"]"#
        );
    }

    #[test]
    fn sequences_are_padded() {
        let sequences = vec![
            Tensor::new([[1.0f32, 2.0]]).unwrap(),
            Tensor::new([[3.0f32, 4.0], [5.0, 6.0]]).unwrap(),
        ];
        let pad = PadCollate {
            value: Scalar::from(-1.0),
            batch_first: false,
        };
        let batch = pad.collate(sequences).unwrap();
        assert_eq!(batch.values.shape(), [2, 2, 2]);
        assert_eq!(
            batch.values.to_vec::<f32>().unwrap(),
            [1.0, 2.0, 3.0, 4.0, -1.0, -1.0, 5.0, 6.0]
        );
        assert_eq!(batch.lengths.to_vec::<i64>().unwrap(), [1, 2]);
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32).unwrap();
        for wrong in [vec![zeros(&[2, 3]), zeros(&[2, 4])], vec![zeros(&[])], vec![]] {
            assert!(PadCollate::default().collate(wrong).is_err());
        }
    }
}
