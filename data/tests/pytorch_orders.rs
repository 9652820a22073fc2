//! Orders that PyTorch draws for the same seeds (`tests/golden/make_samplers.py`).

use flambeau_data::sampler::{DistributedSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler};
use flambeau_data::{DataLoader, Pass, Sampler, random_split, random_split_by_fractions};
use flambeau_tensor::random::{self, Generator};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    random: Vec<RandomCase>,
    subset: SubsetCase,
    weighted: Vec<WeightedCase>,
    distributed: Vec<DistributedCase>,
    splits: Vec<SplitCase>,
    loaders: Vec<LoaderCase>,
}

#[derive(Deserialize)]
struct RandomCase {
    n: usize,
    replacement: bool,
    num_samples: Option<usize>,
    seed: u64,
    passes: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct SubsetCase {
    indices: Vec<usize>,
    seed: u64,
    passes: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct WeightedCase {
    weights: Vec<f64>,
    num_samples: usize,
    replacement: bool,
    seed: u64,
    passes: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct DistributedCase {
    n: usize,
    replicas: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
    /// By epoch and rank.
    epochs: Vec<Vec<Vec<usize>>>,
}

#[derive(Deserialize)]
struct SplitCase {
    n: usize,
    parts: Vec<f64>,
    seed: u64,
    indices: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct LoaderCase {
    n: usize,
    batch_size: usize,
    drop_last: bool,
    seed: u64,
    own: bool,
    epochs: Vec<Vec<Vec<i64>>>,
}

fn golden() -> Golden {
    match serde_json::from_str(include_str!("golden/samplers.json")) {
        Ok(golden) => golden,
        Err(error) => panic!("samplers.json: {error}"),
    }
}

/// Passes of one sampler draw from one generator.
fn assert_passes(sampler: &dyn Sampler<Item = usize>, seed: u64, passes: &[Vec<usize>]) {
    let mut generator = Generator::new(seed);
    for (epoch, expected) in (0..).zip(passes) {
        let order = sampler.draw(&mut Pass::new(epoch, &mut generator)).ok();
        assert_eq!(order.as_ref(), Some(expected), "seed {seed}, pass {epoch}");
        assert_eq!(sampler.len(), expected.len());
    }
}

#[test]
fn random_samplers() {
    for case in golden().random {
        let mut sampler = RandomSampler::new(case.n).unwrap().replacement(case.replacement);
        if let Some(num_samples) = case.num_samples {
            sampler = sampler.num_samples(num_samples).unwrap();
        }
        assert_passes(&sampler, case.seed, &case.passes);
    }
}

#[test]
fn samplers_of_subsets_and_weights() {
    let SubsetCase {
        indices,
        seed,
        passes,
    } = golden().subset;
    assert_passes(&SubsetRandomSampler::new(indices), seed, &passes);
    for case in golden().weighted {
        let sampler = WeightedRandomSampler::new(case.weights, case.num_samples, case.replacement).unwrap();
        assert_passes(&sampler, case.seed, &case.passes);
    }
}

#[test]
fn distributed_samplers() {
    for case in golden().distributed {
        for (epoch, ranks) in (0..).zip(&case.epochs) {
            for (rank, expected) in ranks.iter().enumerate() {
                let sampler = DistributedSampler::new(case.n, case.replicas, rank).unwrap();
                let sampler = sampler
                    .shuffle(case.shuffle)
                    .seed(case.seed)
                    .drop_last(case.drop_last);
                let order = sampler
                    .draw(&mut Pass::new(epoch, &mut Generator::new(99)))
                    .unwrap();
                assert_eq!(&order, expected, "{} of {}, epoch {epoch}", rank, case.replicas);
                assert_eq!(sampler.len(), expected.len());
            }
        }
    }
    assert!(DistributedSampler::new(3, 2, 2).is_err());
}

#[test]
fn random_splits() {
    for case in golden().splits {
        let dataset: Vec<i64> = (0..case.n as i64).collect();
        let mut generator = Generator::new(case.seed);
        let subsets = if case.parts.iter().all(|part| part.fract() == 0.0) {
            let lengths: Vec<usize> = case.parts.iter().map(|part| *part as usize).collect();
            random_split(dataset, &lengths, &mut generator)
        } else {
            random_split_by_fractions(dataset, &case.parts, &mut generator)
        };
        let indices: Vec<_> = subsets
            .unwrap()
            .iter()
            .map(|subset| subset.indices().to_vec())
            .collect();
        assert_eq!(indices, case.indices, "{:?} of {}", case.parts, case.n);
    }
}

#[test]
fn loaders() {
    for case in golden().loaders {
        for workers in [0, 2] {
            let dataset: Vec<i64> = (0..case.n as i64).collect();
            let mut builder = DataLoader::builder(dataset)
                .batch_size(case.batch_size)
                .shuffle(true)
                .drop_last(case.drop_last)
                .num_workers(workers);
            if case.own {
                builder = builder.seed(case.seed);
            }
            let loader = builder.build().unwrap();
            // In a fork, so that tests on other threads do not draw from the same default generator.
            random::fork(case.seed, || {
                for expected in &case.epochs {
                    let batches: Vec<Vec<i64>> = loader
                        .iter()
                        .map(|batch| batch.unwrap().to_vec().unwrap())
                        .collect();
                    assert_eq!(&batches, expected, "seed {}", case.seed);
                }
            });
        }
    }
}
