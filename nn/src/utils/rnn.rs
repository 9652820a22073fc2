//! Sequences of different lengths in one batch: padded and packed (`torch.nn.utils.rnn`).
//!
//! A packed batch holds, step after step, the rows of those sequences that have not ended, longest first; nothing is
//! computed for padding.

use flambeau_tensor::{Result, Tensor, bail, ensure};

/// Sequences of different lengths without padding (`torch.nn.utils.rnn.PackedSequence`).
#[derive(Clone, Debug)]
pub struct PackedSequence {
    /// Rows: those of step 0, then of step 1, …, of the sequences from longest to shortest.
    pub data: Tensor,
    /// How many sequences have each step.
    pub batch_sizes: Vec<usize>,
    /// The sequences' numbers from longest to shortest; `None` if they were sorted already.
    pub sorted_indices: Option<Tensor>,
    /// The places of the sequences among the sorted ones.
    pub unsorted_indices: Option<Tensor>,
}

impl PackedSequence {
    /// The lengths of the sequences, in the order that they had before they were sorted.
    ///
    /// # Errors
    /// `Index` if the fields were set so that they do not fit each other.
    pub fn lengths(&self) -> Result<Vec<usize>> {
        let sorted = self.sorted_lengths();
        let Some(places) = &self.unsorted_indices else {
            return Ok(sorted);
        };
        let places = places.to_vec::<i64>()?.into_iter();
        let length = |place: i64| match usize::try_from(place).ok().and_then(|i| sorted.get(i)) {
            Some(length) => Ok(*length),
            None => bail!(
                Index,
                "PackedSequence: place {place} among {} sequences",
                sorted.len()
            ),
        };
        places.map(length).collect()
    }

    fn sorted_lengths(&self) -> Vec<usize> {
        let sequences = 0..self.batch_sizes.first().copied().unwrap_or(0);
        let length = |i| self.batch_sizes.iter().filter(|&&size| size > i).count();
        sequences.map(length).collect()
    }
}

/// Indices as a tensor.
fn indices(items: impl IntoIterator<Item = usize>) -> Result<Tensor> {
    let items: Vec<i64> = items.into_iter().map(|i| i as i64).collect();
    let len = items.len();
    Tensor::from_vec(items, len)
}

/// The first two dimensions of `x`, time first.
fn time_and_batch(op: &str, x: &Tensor, batch_first: bool) -> Result<(Tensor, usize, usize)> {
    ensure!(
        x.rank() >= 2,
        Shape,
        "{op}: expected sequences [time, batch, …], got {:?}",
        x.shape()
    );
    let x = if batch_first {
        x.transpose(0, 1)?
    } else {
        x.clone()
    };
    let (time, batch) = (x.shape()[0], x.shape()[1]);
    Ok((x, time, batch))
}

/// Leaves out the padding of `[time, batch, …]` (`[batch, time, …]` if `batch_first`). Sequences need not be sorted by
/// length unless `enforce_sorted`, which saves sorting them.
///
/// # Errors
/// `Value` unless there is one length for each sequence, from 1 to the input's, falling if `enforce_sorted`; `Shape`
/// unless there are two or more dimensions.
pub fn pack_padded_sequence(
    input: &Tensor,
    lengths: &[usize],
    batch_first: bool,
    enforce_sorted: bool,
) -> Result<PackedSequence> {
    let op = "pack_padded_sequence";
    let (input, time, batch) = time_and_batch(op, input, batch_first)?;
    ensure!(
        lengths.len() == batch && batch > 0 && lengths.iter().all(|n| (1..=time).contains(n)),
        Value,
        "{op}: expected {batch} lengths from 1 to {time}, got {lengths:?}"
    );
    let mut order: Vec<usize> = (0..batch).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    ensure!(
        !enforce_sorted || lengths.is_sorted_by(|a, b| a >= b),
        Value,
        "{op}: with enforce_sorted, lengths must fall, got {lengths:?}"
    );
    let longest = lengths[order[0]];
    let steps = 0..longest;
    let batch_sizes: Vec<usize> = steps
        .map(|t| lengths.iter().filter(|&&n| n > t).count())
        .collect();
    let rows = batch_sizes.iter().enumerate();
    let rows = indices(rows.flat_map(|(t, &size)| order[..size].iter().map(move |i| t * batch + i)))?;
    let mut places = vec![0; batch];
    order.iter().enumerate().for_each(|(place, &i)| places[i] = place);
    let sorted = (!enforce_sorted).then(|| indices(order.iter().copied()));
    let unsorted = (!enforce_sorted).then(|| indices(places));
    Ok(PackedSequence {
        data: input.flatten(0, 1)?.index_select(0, &rows)?,
        batch_sizes,
        sorted_indices: sorted.transpose()?,
        unsorted_indices: unsorted.transpose()?,
    })
}

/// The inverse of [`pack_padded_sequence`]: `[time, batch, …]` (`[batch, time, …]` if `batch_first`) with `padding_value`
/// after the ends, and the lengths. `total_length` is the time, which is the longest sequence's unless given.
///
/// # Errors
/// `Value` if `total_length` is too small, or if rows and numbers of sequences do not fit each other.
pub fn pad_packed_sequence(
    sequence: &PackedSequence,
    batch_first: bool,
    padding_value: f64,
    total_length: Option<usize>,
) -> Result<(Tensor, Vec<usize>)> {
    let op = "pad_packed_sequence";
    let (data, sizes) = (&sequence.data, &sequence.batch_sizes);
    let time = total_length.unwrap_or(sizes.len());
    ensure!(
        time >= sizes.len(),
        Value,
        "{op}: expected a total_length of at least {}, got {time}",
        sizes.len()
    );
    let rows: usize = sizes.iter().sum();
    ensure!(
        data.shape().first() == Some(&rows) && sizes.is_sorted_by(|a, b| a >= b),
        Value,
        "{op}: rows {:?} for {sizes:?} sequences at each step",
        data.shape()
    );
    let lengths = sequence.lengths()?;
    let batch = lengths.len();
    let places = match &sequence.unsorted_indices {
        Some(places) => places.to_vec::<i64>()?.into_iter().map(|i| i as usize).collect(),
        None => (0..batch).collect::<Vec<_>>(),
    };
    // What is missing is read from a row of padding after the last.
    let mut wanted = Vec::with_capacity(time * batch);
    let mut start = 0;
    for t in 0..time {
        let size = sizes.get(t).copied().unwrap_or(0);
        wanted.extend(places.iter().map(|&i| if i < size { start + i } else { rows }));
        start += size;
    }
    let mut padding = data.shape().to_vec();
    padding[0] = 1;
    let padding = Tensor::full(&padding[..], padding_value, data.dtype())?;
    let mut shape = vec![time, batch];
    shape.extend(&data.shape()[1..]);
    let padded = Tensor::cat(&[data, &padding], 0)?.index_select(0, &indices(wanted)?)?;
    let padded = padded.reshape(&shape[..])?;
    let padded = if batch_first {
        padded.transpose(0, 1)?
    } else {
        padded
    };
    Ok((padded, lengths))
}

/// Where [`pad_sequence`] puts the padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingSide {
    /// After the sequences.
    #[default]
    Right,
    /// Before the sequences.
    Left,
}

/// Sequences `[length, …]` as one batch `[time, batch, …]` (`[batch, time, …]` if `batch_first`), with `padding_value`
/// wherever there is none.
///
/// # Errors
/// `Value` if there are no sequences; `Shape` or `DType` unless they differ in length alone.
pub fn pad_sequence(
    sequences: &[impl AsRef<Tensor>],
    batch_first: bool,
    padding_value: f64,
    padding_side: PaddingSide,
) -> Result<Tensor> {
    let op = "pad_sequence";
    let sequences: Vec<&Tensor> = sequences.iter().map(AsRef::as_ref).collect();
    let Some(first) = sequences.first() else {
        bail!(Value, "{op}: expected sequences, got none")
    };
    for sequence in &sequences {
        ensure!(
            sequence.rank() > 0 && first.rank() > 0 && sequence.shape()[1..] == first.shape()[1..],
            Shape,
            "{op}: expected sequences [length, …] that differ in length alone, got {:?} and {:?}",
            first.shape(),
            sequence.shape()
        );
        ensure!(
            sequence.dtype() == first.dtype(),
            DType,
            "{op}: expected sequences of one type, got {} and {}",
            first.dtype(),
            sequence.dtype()
        );
    }
    let time = sequences.iter().map(|s| s.shape()[0]).max().unwrap_or(0);
    let mut padded = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let mut shape = sequence.shape().to_vec();
        shape[0] = time - shape[0];
        let padding = Tensor::full(&shape[..], padding_value, sequence.dtype())?;
        padded.push(match padding_side {
            PaddingSide::Right => Tensor::cat(&[sequence, &padding], 0)?,
            PaddingSide::Left => Tensor::cat(&[&padding, sequence], 0)?,
        });
    }
    Tensor::stack(&padded, if batch_first { 0 } else { 1 })
}

/// The inverse of [`pad_sequence`] for padding after the sequences.
///
/// # Errors
/// `Value` unless there is one length for each sequence, up to the input's; `Shape` unless there are two or more
/// dimensions.
pub fn unpad_sequence(padded: &Tensor, lengths: &[usize], batch_first: bool) -> Result<Vec<Tensor>> {
    let op = "unpad_sequence";
    let (padded, time, batch) = time_and_batch(op, padded, batch_first)?;
    ensure!(
        lengths.len() == batch && lengths.iter().all(|&n| n <= time),
        Value,
        "{op}: expected {batch} lengths up to {time}, got {lengths:?}"
    );
    let sequences = lengths.iter().enumerate();
    sequences
        .map(|(i, &length)| padded.select(1, i as isize)?.narrow(0, 0, length))
        .collect()
}

/// Packs sequences `[length, …]`; they need not be sorted by length unless `enforce_sorted`.
///
/// # Errors
/// As [`pad_sequence`] and [`pack_padded_sequence`].
pub fn pack_sequence(sequences: &[impl AsRef<Tensor>], enforce_sorted: bool) -> Result<PackedSequence> {
    let padded = pad_sequence(sequences, false, 0.0, PaddingSide::Right)?;
    let lengths: Vec<usize> = sequences.iter().map(|s| s.as_ref().shape()[0]).collect();
    pack_padded_sequence(&padded, &lengths, false, enforce_sorted)
}

/// The inverse of [`pack_sequence`].
///
/// # Errors
/// As [`pad_packed_sequence`].
pub fn unpack_sequence(sequence: &PackedSequence) -> Result<Vec<Tensor>> {
    let (padded, lengths) = pad_packed_sequence(sequence, false, 0.0, None)?;
    unpad_sequence(&padded, &lengths, false)
}
