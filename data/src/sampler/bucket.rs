//! Batches of samples that are about as long as each other, so that little is padded.

use flambeau_tensor::{Result, ensure};

use super::{Pass, Sampler};
use crate::dataset::permutation;

/// Batches of samples of similar length, in random order.
///
/// The dataset's random order is cut into pools of `pool` batches; each pool is sorted by length and cut into batches,
/// and all batches are shuffled. So a batch holds neighbours in length, and neighbours differ from pass to pass.
#[derive(Clone, Debug)]
pub struct BucketSampler {
    lengths: Vec<usize>,
    batch_size: usize,
    pool: usize,
    shuffle: bool,
    drop_last: bool,
}

impl BucketSampler {
    /// Batches of `batch_size` of a dataset whose samples have these lengths; pools of 100 batches.
    ///
    /// # Errors
    /// `Value` if the size is 0.
    pub fn new(lengths: Vec<usize>, batch_size: usize) -> Result<Self> {
        ensure!(
            batch_size > 0,
            Value,
            "BucketSampler: batch_size must be positive"
        );
        Ok(BucketSampler {
            lengths,
            batch_size,
            pool: 100,
            shuffle: true,
            drop_last: false,
        })
    }

    /// The number of batches that are sorted together. Default: 100.
    ///
    /// # Errors
    /// `Value` if it is 0.
    pub fn pool(mut self, batches: usize) -> Result<Self> {
        ensure!(
            batches > 0,
            Value,
            "BucketSampler: a pool must have at least one batch"
        );
        self.pool = batches;
        Ok(self)
    }

    /// Whether the order is random; otherwise all samples are sorted by length, the shortest first. Default: true.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Whether a last batch of fewer samples is dropped. Default: false.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }
}

impl Sampler for BucketSampler {
    type Item = Vec<usize>;

    fn len(&self) -> usize {
        if self.drop_last {
            self.lengths.len() / self.batch_size
        } else {
            self.lengths.len().div_ceil(self.batch_size)
        }
    }

    fn draw(&self, pass: &mut Pass<'_>) -> Result<Vec<Vec<usize>>> {
        let len = self.lengths.len();
        let mut order: Vec<usize> = (0..len).collect();
        let mut pool = len;
        if self.shuffle {
            order = permutation(len, pass.generator);
            pool = self.pool.saturating_mul(self.batch_size);
        }
        // Every pool but the last is a multiple of the batch size, so batches never straddle two pools.
        for samples in order.chunks_mut(pool.max(1)) {
            samples.sort_by_key(|&i| self.lengths[i]);
        }
        let whole = |batch: &&[usize]| !self.drop_last || batch.len() == self.batch_size;
        let batches: Vec<Vec<usize>> = order
            .chunks(self.batch_size)
            .filter(whole)
            .map(<[usize]>::to_vec)
            .collect();
        if !self.shuffle {
            return Ok(batches);
        }
        let order = permutation(batches.len(), pass.generator);
        Ok(order.into_iter().map(|i| batches[i].clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::random::Generator;

    fn draw(sampler: &BucketSampler, seed: u64) -> Vec<Vec<usize>> {
        let batches = sampler
            .draw(&mut Pass::new(0, &mut Generator::new(seed)))
            .unwrap();
        assert_eq!(batches.len(), sampler.len());
        batches
    }

    #[test]
    fn batches_hold_neighbours_in_length() {
        let lengths: Vec<usize> = (0..103).map(|i| i * 37 % 103).collect();
        let sampler = BucketSampler::new(lengths.clone(), 10).unwrap();
        let batches = draw(&sampler, 0);
        let mut all: Vec<usize> = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        for batch in &batches {
            let (least, most) = (
                batch.iter().map(|&i| lengths[i]).min(),
                batch.iter().map(|&i| lengths[i]).max(),
            );
            assert!(most.unwrap() - least.unwrap() < 10);
        }
        assert_eq!(batches, draw(&sampler, 0));
        assert_ne!(batches, draw(&sampler, 1));

        let small_pools = sampler.clone().pool(2).unwrap().drop_last(true);
        let batches = draw(&small_pools, 0);
        assert!(batches.iter().all(|batch| batch.len() == 10));
        assert_eq!(batches.len(), 10);
    }

    #[test]
    fn without_shuffling_the_shortest_come_first() {
        let sampler = BucketSampler::new(vec![5, 1, 4, 1, 3], 2).unwrap().shuffle(false);
        assert_eq!(draw(&sampler, 0), [vec![1, 3], vec![4, 2], vec![0]]);
        assert!(draw(&BucketSampler::new(vec![], 2).unwrap(), 0).is_empty());
        assert!(BucketSampler::new(vec![], 0).is_err());
    }
}
