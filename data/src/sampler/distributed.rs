//! A replica's share of a dataset (`torch.utils.data.DistributedSampler`).

use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, ensure};

use super::{Pass, Sampler};
use crate::dataset::permutation;

/// Every `replicas`-th index, beginning with the `rank`-th, so that the replicas together see the whole dataset.
///
/// The order is drawn from `seed + epoch` alone, so that all replicas agree; the epoch is the loader's (PyTorch's
/// `set_epoch` is not needed). So that all have as many samples, indices from the beginning are added at the end, or the
/// last are left out with [`drop_last`](Self::drop_last).
#[derive(Clone, Debug)]
pub struct DistributedSampler {
    len: usize,
    replicas: usize,
    rank: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
}

impl DistributedSampler {
    /// The share of replica `rank` of `replicas`, shuffled with seed 0.
    ///
    /// # Errors
    /// `Value` unless `rank < replicas`.
    pub fn new(len: usize, replicas: usize, rank: usize) -> Result<Self> {
        ensure!(
            rank < replicas,
            Value,
            "DistributedSampler: expected a rank below the number of replicas, got {rank} of {replicas}"
        );
        Ok(DistributedSampler {
            len,
            replicas,
            rank,
            shuffle: true,
            seed: 0,
            drop_last: false,
        })
    }

    /// Whether the order is random. Default: true.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// What, with the epoch, determines the order; the same on all replicas. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether samples are left out, instead of repeated, for all replicas to have as many. Default: false.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }
}

impl Sampler for DistributedSampler {
    type Item = usize;

    fn len(&self) -> usize {
        if self.drop_last {
            self.len / self.replicas
        } else {
            self.len.div_ceil(self.replicas)
        }
    }

    fn draw(&self, pass: &mut Pass<'_>) -> Result<Vec<usize>> {
        if self.len == 0 {
            return Ok(Vec::new());
        }
        let order = if self.shuffle {
            permutation(self.len, &mut Generator::new(self.seed.wrapping_add(pass.epoch)))
        } else {
            (0..self.len).collect()
        };
        let total = self.len() * self.replicas;
        let mine = (self.rank..total).step_by(self.replicas);
        Ok(mine.map(|i| order[i % self.len]).collect())
    }
}
