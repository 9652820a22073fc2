//! Samplers: the order in which a pass over a dataset takes its samples (`torch.utils.data.Sampler`).
//!
//! A [`Sampler`] draws the whole order at the beginning of a pass, from the pass's generator alone: with PyTorch's stream
//! and PyTorch's way to use it, the orders are PyTorch's. Samplers of indices are [`SequentialSampler`],
//! [`RandomSampler`], [`SubsetRandomSampler`], [`WeightedRandomSampler`], [`DistributedSampler`] and every `Vec<usize>`;
//! samplers of batches are [`BatchSampler`] and [`BucketSampler`].

mod bucket;
mod distributed;

use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{Result, Tensor, ensure};

pub use bucket::BucketSampler;
pub use distributed::DistributedSampler;

use crate::dataset::permutation;

/// A pass over a dataset, as a sampler sees it.
#[derive(Debug)]
pub struct Pass<'a> {
    /// The number of the pass, from 0.
    pub epoch: u64,
    /// What to draw from.
    pub generator: &'a mut Generator,
    /// Whether the generator is the process's default one, and not one that the program gave to the loader:
    /// [`RandomSampler`], as in PyTorch, then draws just a seed from it.
    pub is_default: bool,
}

impl<'a> Pass<'a> {
    /// A pass that draws from a generator of one's own.
    pub fn new(epoch: u64, generator: &'a mut Generator) -> Self {
        Pass {
            epoch,
            generator,
            is_default: false,
        }
    }
}

/// The order of a pass: of indices (`Item = usize`) or of batches of indices (`Item = Vec<usize>`).
pub trait Sampler: Send + Sync {
    /// An index or a batch of indices.
    type Item;

    /// How many items a pass has.
    fn len(&self) -> usize;

    /// The items of a pass, in order. The same pass has to give the same order: it is drawn again when a loader resumes.
    ///
    /// # Errors
    /// Whatever keeps the order from being drawn.
    fn draw(&self, pass: &mut Pass<'_>) -> Result<Vec<Self::Item>>;

    /// Whether a pass has no items.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: Sampler + ?Sized> Sampler for Box<S> {
    type Item = S::Item;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn draw(&self, pass: &mut Pass<'_>) -> Result<Vec<S::Item>> {
        (**self).draw(pass)
    }
}

/// A fixed order, of indices or of batches, the same in every pass.
impl<T: Clone + Send + Sync> Sampler for Vec<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn draw(&self, _: &mut Pass<'_>) -> Result<Vec<T>> {
        Ok(self.clone())
    }
}

/// The indices in ascending order (`SequentialSampler`).
#[derive(Clone, Debug)]
pub struct SequentialSampler {
    len: usize,
}

impl SequentialSampler {
    /// The indices of a dataset of that length.
    pub fn new(len: usize) -> Self {
        SequentialSampler { len }
    }
}

impl Sampler for SequentialSampler {
    type Item = usize;

    fn len(&self) -> usize {
        self.len
    }

    fn draw(&self, _: &mut Pass<'_>) -> Result<Vec<usize>> {
        Ok((0..self.len).collect())
    }
}

/// The indices in random order, or drawn with replacement (`RandomSampler`).
#[derive(Clone, Debug)]
pub struct RandomSampler {
    dataset_len: usize,
    replacement: bool,
    num_samples: usize,
}

impl RandomSampler {
    /// Every index of a dataset of that length once, in random order.
    ///
    /// # Errors
    /// `Value` if the length is 0.
    pub fn new(len: usize) -> Result<Self> {
        ensure!(len > 0, Value, "RandomSampler: the dataset has no samples");
        Ok(RandomSampler {
            dataset_len: len,
            replacement: false,
            num_samples: len,
        })
    }

    /// Whether an index is drawn anew for every sample.
    pub fn replacement(mut self, replacement: bool) -> Self {
        self.replacement = replacement;
        self
    }

    /// How many samples a pass has. Without replacement, the dataset is gone through as often as that takes.
    ///
    /// # Errors
    /// `Value` if it is 0.
    pub fn num_samples(mut self, num_samples: usize) -> Result<Self> {
        ensure!(
            num_samples > 0,
            Value,
            "RandomSampler: num_samples must be positive"
        );
        self.num_samples = num_samples;
        Ok(self)
    }
}

impl Sampler for RandomSampler {
    type Item = usize;

    fn len(&self) -> usize {
        self.num_samples
    }

    fn draw(&self, pass: &mut Pass<'_>) -> Result<Vec<usize>> {
        let mut seeded;
        let generator = if pass.is_default {
            seeded = Generator::new(random_seed(pass.generator));
            &mut seeded
        } else {
            &mut *pass.generator
        };
        if self.replacement {
            let mut indices = vec![0i64; self.num_samples];
            generator.random_range(&mut indices, 0, self.dataset_len as i64);
            return Ok(indices.into_iter().map(|i| i as usize).collect());
        }
        let mut indices = Vec::new();
        while indices.len() < self.num_samples {
            indices.extend(permutation(self.dataset_len, generator));
        }
        // PyTorch draws an order for the remainder even if there is none.
        if self.num_samples.is_multiple_of(self.dataset_len) {
            permutation(self.dataset_len, generator);
        }
        indices.truncate(self.num_samples);
        Ok(indices)
    }
}

/// What `torch.empty((), dtype=torch.int64).random_(generator=generator)` draws.
pub(crate) fn random_seed(generator: &mut Generator) -> u64 {
    let mut seed = [0i64];
    generator.random(&mut seed);
    seed[0] as u64
}

/// The given indices in random order (`SubsetRandomSampler`).
#[derive(Clone, Debug)]
pub struct SubsetRandomSampler {
    indices: Vec<usize>,
}

impl SubsetRandomSampler {
    /// Each of `indices` once in a pass.
    pub fn new(indices: Vec<usize>) -> Self {
        SubsetRandomSampler { indices }
    }
}

impl Sampler for SubsetRandomSampler {
    type Item = usize;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn draw(&self, pass: &mut Pass<'_>) -> Result<Vec<usize>> {
        let order = permutation(self.indices.len(), pass.generator);
        Ok(order.into_iter().map(|i| self.indices[i]).collect())
    }
}

/// Indices drawn with the probabilities that weights give (`WeightedRandomSampler`).
#[derive(Clone, Debug)]
pub struct WeightedRandomSampler {
    weights: Vec<f64>,
    num_samples: usize,
    replacement: bool,
}

impl WeightedRandomSampler {
    /// `num_samples` indices below `weights.len()`; the weights need not sum to 1. PyTorch's default is to draw with
    /// replacement.
    ///
    /// # Errors
    /// `Value` for weights that are negative, not finite or sum to zero, for no samples, and for more samples than
    /// weights without replacement.
    pub fn new(weights: Vec<f64>, num_samples: usize, replacement: bool) -> Result<Self> {
        let op = "WeightedRandomSampler";
        ensure!(num_samples > 0, Value, "{op}: num_samples must be positive");
        let bad = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0));
        ensure!(
            bad.is_none() && weights.iter().any(|w| *w > 0.0),
            Value,
            "{op}: expected finite weights that are not negative and not all 0, got {}",
            bad.map_or("none above 0".to_string(), f64::to_string)
        );
        ensure!(
            replacement || num_samples <= weights.len(),
            Value,
            "{op}: {num_samples} samples can't be drawn from {} weights without replacement",
            weights.len()
        );
        Ok(WeightedRandomSampler {
            weights,
            num_samples,
            replacement,
        })
    }
}

impl Sampler for WeightedRandomSampler {
    type Item = usize;

    fn len(&self) -> usize {
        self.num_samples
    }

    fn draw(&self, pass: &mut Pass<'_>) -> Result<Vec<usize>> {
        let weights = Tensor::from_slice(&self.weights, self.weights.len())?;
        let indices = Sample::multinomial(pass.generator, &weights, self.num_samples, self.replacement)?;
        Ok(indices.to_vec::<i64>()?.into_iter().map(|i| i as usize).collect())
    }
}

/// Batches of consecutive indices of another sampler (`BatchSampler`).
#[derive(Clone, Debug)]
pub struct BatchSampler<S> {
    sampler: S,
    batch_size: usize,
    drop_last: bool,
}

impl<S: Sampler<Item = usize>> BatchSampler<S> {
    /// Batches of `batch_size`; the last, if there are fewer left, is given out or dropped.
    ///
    /// # Errors
    /// `Value` if the size is 0.
    pub fn new(sampler: S, batch_size: usize, drop_last: bool) -> Result<Self> {
        ensure!(batch_size > 0, Value, "BatchSampler: batch_size must be positive");
        Ok(BatchSampler {
            sampler,
            batch_size,
            drop_last,
        })
    }
}

impl<S: Sampler<Item = usize>> Sampler for BatchSampler<S> {
    type Item = Vec<usize>;

    fn len(&self) -> usize {
        if self.drop_last {
            self.sampler.len() / self.batch_size
        } else {
            self.sampler.len().div_ceil(self.batch_size)
        }
    }

    fn draw(&self, pass: &mut Pass<'_>) -> Result<Vec<Vec<usize>>> {
        let indices = self.sampler.draw(pass)?;
        let whole = |batch: &&[usize]| !self.drop_last || batch.len() == self.batch_size;
        Ok(indices
            .chunks(self.batch_size)
            .filter(whole)
            .map(<[usize]>::to_vec)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw<S: Sampler>(sampler: S) -> Vec<S::Item> {
        let items = sampler.draw(&mut Pass::new(0, &mut Generator::new(3))).unwrap();
        assert_eq!(items.len(), sampler.len());
        assert_eq!(sampler.is_empty(), items.is_empty());
        items
    }

    #[test]
    fn batches_of_every_size() {
        let batches = |len, size, drop_last| {
            draw(BatchSampler::new(SequentialSampler::new(len), size, drop_last).unwrap())
        };
        assert_eq!(batches(5, 2, false), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(batches(5, 2, true), [[0, 1], [2, 3]]);
        assert_eq!(batches(4, 4, true), [[0, 1, 2, 3]]);
        assert!(batches(3, 4, true).is_empty());
        assert!(batches(0, 4, false).is_empty());
        assert_eq!(
            draw(BatchSampler::new(vec![7, 7, 1], 2, false).unwrap()),
            [vec![7, 7], vec![1]]
        );
    }

    #[test]
    fn every_index_comes_as_often_as_it_should() {
        let mut indices = draw(RandomSampler::new(50).unwrap());
        indices.sort_unstable();
        assert_eq!(indices, (0..50).collect::<Vec<_>>());
        let mut twice = draw(RandomSampler::new(5).unwrap().num_samples(10).unwrap());
        twice.sort_unstable();
        assert_eq!(twice, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        let mut subset = draw(SubsetRandomSampler::new(vec![9, 4, 6]));
        subset.sort_unstable();
        assert_eq!(subset, [4, 6, 9]);
        let weighted = draw(WeightedRandomSampler::new(vec![0.0, 1.0, 0.0, 3.0], 100, true).unwrap());
        assert!(weighted.iter().all(|i| [1, 3].contains(i)));
    }

    #[test]
    fn wrong_arguments_are_errors() {
        let weighted = |w: &[f64], n, r| {
            WeightedRandomSampler::new(w.to_vec(), n, r)
                .unwrap_err()
                .to_string()
        };
        let cases = [
            (RandomSampler::new(0).unwrap_err().to_string(), "no samples"),
            (
                RandomSampler::new(2)
                    .unwrap()
                    .num_samples(0)
                    .unwrap_err()
                    .to_string(),
                "positive",
            ),
            (weighted(&[1.0, -2.0], 1, true), "got -2"),
            (weighted(&[f64::INFINITY], 1, true), "got inf"),
            (weighted(&[0.0], 1, true), "none above 0"),
            (
                weighted(&[1.0], 2, false),
                "2 samples can't be drawn from 1 weights",
            ),
            (weighted(&[1.0], 0, true), "num_samples must be positive"),
            (
                BatchSampler::new(vec![0], 0, false).unwrap_err().to_string(),
                "batch_size must be positive",
            ),
        ];
        for (error, expected) in cases {
            assert!(error.contains(expected), "{error}");
        }
    }
}
