//! What a loader asks of a kind of dataset, and the seeds of an epoch's samples.

use flambeau_tensor::{Result, random};

use super::pipeline::{Jobs, guarded};
use crate::{Collate, Pass};

/// One pass of a loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The number of the pass, from 0.
    pub number: u64,
    /// What all random numbers of the pass's samples depend on.
    pub seed: u64,
}

/// How the batches of an epoch are made.
pub(crate) trait Plan<B>: Send + Sync {
    /// The number of batches, where it is known beforehand.
    fn len(&self) -> Option<usize>;

    /// The jobs that make the batches after the first `skip`.
    fn begin(&self, epoch: &Epoch, pass: &mut Pass<'_>, skip: u64) -> Result<Jobs<B>>;
}

/// What errors call a sample.
#[derive(Clone, Copy)]
pub(crate) enum SampleName {
    /// By its index in the dataset.
    Index(usize),
    /// By its position in the epoch's stream.
    Position(u64),
}

impl std::fmt::Display for SampleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SampleName::Index(index) => write!(f, "sample {index}"),
            SampleName::Position(position) => write!(f, "sample {position} of the stream"),
        }
    }
}

/// A batch yet to be made: what its samples are made of.
pub(crate) struct Task<W> {
    /// How many samples come before in the epoch.
    pub(crate) first: u64,
    pub(crate) parts: Vec<W>,
}

impl Epoch {
    /// Makes a batch: `load` makes a sample of each part, and `collate` the batch of them. Random numbers that either
    /// draws from the default generator depend on the epoch's seed and the sample's position alone.
    pub(crate) fn make<W, Item, C: Collate<Item>>(
        &self,
        task: Task<W>,
        name: impl Fn(&W, u64) -> SampleName,
        load: impl Fn(W) -> Result<Item>,
        collate: &C,
    ) -> Result<C::Batch> {
        let Task { first, parts } = task;
        let mut samples = Vec::with_capacity(parts.len());
        let mut names = Vec::with_capacity(parts.len());
        for (position, part) in (first..).zip(parts) {
            let name = name(&part, position);
            let seed = mix(self.seed, 2 * position);
            samples.push(guarded(name, || random::fork(seed, || load(part)))?);
            names.push(name);
        }
        let batch = || random::fork(mix(self.seed, 2 * first + 1), || collate.collate(samples));
        guarded(format_args!("batch of {}", Listed(&names)), batch)
    }
}

/// A list of names, cut after a few.
struct Listed<'a>(&'a [SampleName]);

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MOST: usize = 8;
        for (i, name) in self.0.iter().take(MOST).enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A seed for each `n`, unlike its neighbours in every bit (the finaliser of SplitMix64).
fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
