//! Loaders with every number of workers: the same batches, errors and states.

use std::sync::Mutex;
use std::sync::mpsc;

use flambeau_tensor::random::{self, Generator};
use flambeau_tensor::{DType, Error, Tensor};

use super::*;
use crate::{Collate, Dataset, IterableDataset, Sampler, Unbatched};

const WORKERS: [usize; 4] = [0, 1, 2, 4];

/// Numbers with noise from the default generator.
#[derive(Clone)]
struct Noisy(usize);

impl Dataset for Noisy {
    type Item = (i64, Tensor);

    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> Result<(i64, Tensor)> {
        Ok((index as i64, Tensor::rand(3, DType::F32)?))
    }
}

type Numbers = (Vec<i64>, Vec<f32>);

fn numbers(batches: Batches<(Tensor, Tensor)>) -> Vec<Numbers> {
    batches
        .map(|batch| {
            let (indices, noise) = batch.unwrap();
            (indices.to_vec::<i64>().unwrap(), noise.to_vec::<f32>().unwrap())
        })
        .collect()
}

fn noisy(workers: usize) -> DataLoader<(Tensor, Tensor)> {
    let builder = DataLoader::builder(Noisy(23)).batch_size(4).shuffle(true).seed(5);
    builder.num_workers(workers).build().unwrap()
}

#[test]
fn batches_do_not_depend_on_the_workers() {
    let epochs = |workers| {
        let loader = noisy(workers);
        assert_eq!(loader.len(), Some(6));
        [numbers(loader.iter()), numbers(loader.iter())]
    };
    let expected = epochs(0);
    let mut indices: Vec<i64> = expected[0].iter().flat_map(|batch| batch.0.clone()).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..23).collect::<Vec<_>>());
    assert_ne!(expected[0], expected[1], "epochs differ");
    let noise: Vec<f32> = expected
        .iter()
        .flatten()
        .flat_map(|batch| batch.1.clone())
        .collect();
    let mut distinct = noise.clone();
    distinct.sort_by(f32::total_cmp);
    distinct.dedup();
    assert!(
        distinct.len() > noise.len() - 3,
        "samples have noise of their own"
    );
    for workers in WORKERS {
        assert_eq!(epochs(workers), expected, "{workers} workers");
    }
}

#[test]
fn collating_may_be_random_too() {
    let epoch = |workers| {
        let noise = |samples: Vec<i64>| random::with_default(|g| Ok((samples.len(), g.next_u32())));
        let builder = DataLoader::builder((0..9i64).collect::<Vec<_>>())
            .batch_size(2)
            .collate(noise);
        let loader = builder.seed(0).num_workers(workers).build().unwrap();
        loader.iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(epoch(0).len(), 5);
    for workers in WORKERS {
        assert_eq!(epoch(workers), epoch(0));
    }
}

#[test]
fn an_epoch_leaves_the_default_generator_alone_but_for_its_seeds() {
    random::fork(3, || {
        let after = |workers| {
            random::manual_seed(1);
            let builder = DataLoader::builder(Noisy(8)).shuffle(true).num_workers(workers);
            let loader = builder.build().unwrap();
            let batches = numbers(loader.iter());
            (batches, random::with_default(Generator::next_u32))
        };
        let expected = after(0);
        let mut seeds = Generator::new(1);
        (0..4).for_each(|_| {
            seeds.next_u32();
        });
        assert_eq!(expected.1, seeds.next_u32(), "two numbers of 64 bits are drawn");
        for workers in WORKERS {
            assert_eq!(after(workers), expected);
        }
    });
}

#[test]
fn every_epoch_can_be_resumed_from_every_batch() {
    for workers in WORKERS {
        let whole = noisy(0);
        let epochs = [
            numbers(whole.iter()),
            numbers(whole.iter()),
            numbers(whole.iter()),
        ];
        for taken in 0..=6 {
            let first = noisy(workers);
            numbers(first.iter());
            let mut second_epoch = first.iter();
            for _ in 0..taken {
                second_epoch.next().unwrap().unwrap();
            }
            let saved = serde_json::to_string(&second_epoch.state()).unwrap();
            drop((second_epoch, first));

            let state: LoaderState = serde_json::from_str(&saved).unwrap();
            assert_eq!((state.epoch(), state.batches()), (1, taken));
            let resumed = noisy(workers);
            let rest = resumed.resume(&state).unwrap();
            assert_eq!(rest.state(), state);
            assert_eq!(numbers(rest), epochs[1][taken as usize..]);
            assert_eq!(numbers(resumed.iter()), epochs[2]);
        }
    }
}

#[test]
fn an_epoch_drawn_from_the_default_generator_can_be_resumed() {
    random::fork(11, || {
        let loader = || DataLoader::builder(Noisy(9)).shuffle(true).build().unwrap();
        let first = loader();
        let mut batches = first.iter();
        batches.next();
        let (state, default) = (batches.state(), random::state());
        let expected = [numbers(batches), numbers(first.iter())];

        random::manual_seed(0);
        random::set_state(default).unwrap();
        let second = loader();
        assert_eq!(
            [numbers(second.resume(&state).unwrap()), numbers(second.iter())],
            expected
        );
    });
}

#[test]
fn states_of_other_loaders_are_refused() {
    let state = noisy(0).iter().state();
    let other = DataLoader::builder(Noisy(9)).build().unwrap();
    let error = other.resume(&state).err().unwrap().to_string();
    assert_eq!(
        error,
        "DataLoader: the state is of a loader with a generator of its own, unlike this one"
    );
    let other = DataLoader::builder(Noisy(9)).seed(5).build().unwrap();
    let error = other.resume(&state).err().unwrap().to_string();
    assert_eq!(
        error,
        "DataLoader: the state is of epochs of 6 batches, 0 of them handed out; here they have 9"
    );
    let cases = [
        (
            "generator",
            serde_json::json!([1, 2, 3]),
            "expected 5056 bytes, got 3",
        ),
        (
            "batches",
            serde_json::json!(7),
            "of 6 batches, 7 of them handed out",
        ),
    ];
    for (field, value, expected) in cases {
        let mut altered = serde_json::to_value(&state).unwrap();
        altered[field] = value;
        let altered = serde_json::from_value(altered).unwrap();
        let error = noisy(0).resume(&altered).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn errors_and_panics_name_the_sample_and_end_the_epoch() {
    for workers in WORKERS {
        for (panics, expected) in [
            (false, "DataLoader: sample 5: Vec: no such thing"),
            (true, "DataLoader: sample 5: panicked: no such thing"),
        ] {
            let faulty = (0..20i64).collect::<Vec<_>>().map(move |x| match x {
                5 if panics => panic!("no such thing"),
                5 => Err(Error::Value("Vec: no such thing".to_string())),
                x => Ok(x),
            });
            let builder = DataLoader::builder(faulty).batch_size(2).num_workers(workers);
            let loader = builder.build().unwrap();
            for _ in 0..2 {
                let mut batches = loader.iter();
                for first in [0, 2] {
                    let batch = batches.next().unwrap().unwrap();
                    assert_eq!(batch.to_vec::<i64>().unwrap(), [first, first + 1]);
                }
                assert_eq!(batches.next().unwrap().unwrap_err().to_string(), expected);
                assert!(batches.next().is_none() && batches.next().is_none());
            }
        }
    }
}

#[test]
fn batches_that_do_not_fit_name_their_samples() {
    let ragged: Vec<Tensor> = (1..12usize)
        .map(|n| Tensor::zeros(n, DType::F32).unwrap())
        .collect();
    let loader = DataLoader::builder(ragged).batch_size(10).build().unwrap();
    let error = loader.iter().next().unwrap().unwrap_err().to_string();
    let named = "DataLoader: batch of sample 0, sample 1, sample 2, sample 3, sample 4, sample 5, sample 6, sample 7 \
        and 2 more: stack: ";
    assert!(error.starts_with(named), "{error}");
}

struct FaultySampler(bool);

impl Sampler for FaultySampler {
    type Item = usize;

    fn len(&self) -> usize {
        1
    }

    fn draw(&self, _: &mut crate::Pass<'_>) -> Result<Vec<usize>> {
        assert!(!self.0, "drawn");
        Err(Error::Value("no order".to_string()))
    }
}

#[test]
fn a_sampler_that_fails_is_the_first_item() {
    let place = "DataLoader: the beginning of an epoch";
    for workers in WORKERS {
        for (sampler, expected) in [
            (FaultySampler(false), format!("{place}: no order")),
            (FaultySampler(true), format!("{place}: panicked: drawn")),
        ] {
            let builder = DataLoader::builder(vec![1i64])
                .sampler(sampler)
                .num_workers(workers);
            let loader = builder.build().unwrap();
            let mut batches = loader.iter();
            assert_eq!(batches.next().unwrap().unwrap_err().to_string(), expected);
            assert!(batches.next().is_none());
        }
        let loader = DataLoader::builder(vec![1i64])
            .sampler(vec![0, 1])
            .num_workers(workers);
        let errors: Vec<_> = loader.build().unwrap().iter().filter_map(Result::err).collect();
        assert_eq!(
            errors[0].to_string(),
            "DataLoader: sample 1: Vec: index 1 is out of range for 1 samples"
        );
    }
}

#[test]
fn an_epoch_dropped_midway_does_not_wait_for_its_workers() {
    for workers in [1, 2, 4] {
        let (release, caught) = mpsc::channel::<()>();
        let caught = Mutex::new(caught);
        let dataset = (0..50i64).collect::<Vec<_>>().map(move |x| {
            if x >= 4 {
                // Ends when `release` is dropped: after the epoch and its loader.
                let _ = lock(&caught).recv();
            }
            Ok(x)
        });
        let loader = DataLoader::builder(dataset).num_workers(workers).build().unwrap();
        let mut batches = loader.iter();
        batches.next().unwrap().unwrap();
        drop(batches);
        drop(loader);
        drop(release);
    }
}

#[test]
fn a_batch_that_does_not_come_in_time_is_an_error() {
    let (release, caught) = mpsc::channel::<()>();
    let caught = Mutex::new(caught);
    let dataset = vec![1i64].map(move |x| {
        let _ = lock(&caught).recv();
        Ok(x)
    });
    let builder = DataLoader::builder(dataset).num_workers(1);
    let loader = builder.timeout(Duration::from_millis(1)).build().unwrap();
    let error = loader.iter().next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "DataLoader: batch 0 did not come within 1ms");
    drop(release);
}

#[test]
fn contradictions_are_errors() {
    let builder = || DataLoader::builder(vec![1i64, 2]);
    let cases = [
        (builder().batch_size(0), "batch_size must be positive"),
        (builder().shuffle(true).sampler(vec![0]), "sampler and shuffle"),
        (
            builder().batch_sampler(vec![vec![0]]).batch_size(2),
            "batch_sampler excludes",
        ),
        (
            builder().batch_sampler(vec![vec![0]]).drop_last(true),
            "batch_sampler excludes",
        ),
        (builder().timeout(Duration::from_secs(1)), "num_workers above 0"),
        (builder().prefetch(0), "prefetch must be positive"),
        (DataLoader::builder(vec![]).shuffle(true), "no samples"),
    ];
    for (builder, expected) in cases {
        let error = builder.build().err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let cases = [
        (builder().batch_size(1), "unbatched excludes batch_size"),
        (builder().drop_last(true), "unbatched excludes batch_size"),
        (
            builder().batch_sampler(vec![vec![0]]),
            "unbatched and batch_sampler",
        ),
    ];
    for (builder, expected) in cases {
        let error = builder.unbatched().build().err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let stream = DataLoader::stream(crate::from_fn(|_| {
        Ok(Box::new((0..3i64).map(Ok)) as crate::Stream<i64>)
    }));
    assert!(stream.drop_last(true).unbatched().build().is_err());
}

#[test]
fn samples_may_be_handed_out_by_themselves() {
    // What has no batch: neither `Stack` nor `Clone`.
    struct Sample(i64, f32);
    let sample = |x: i64| Ok(Sample(x, Tensor::rand(1, DType::F32)?.item()?));
    let noisy = |x: Result<Sample>| x.map(|sample| (sample.0, sample.1)).unwrap();
    let indexed = |workers| {
        let dataset = (0..9i64).collect::<Vec<_>>().map(sample);
        let builder = DataLoader::builder(dataset).shuffle(true).seed(3);
        builder.unbatched().num_workers(workers).build().unwrap()
    };
    let streamed = |workers| {
        let numbers = crate::from_fn(|_| Ok(Box::new((0..9i64).map(Ok)) as crate::Stream<i64>));
        let builder = DataLoader::stream(numbers.map(sample)).seed(3);
        builder.unbatched().num_workers(workers).build().unwrap()
    };
    let loaders: [&dyn Fn(usize) -> DataLoader<Sample>; 2] = [&indexed, &streamed];
    for loader in loaders {
        let expected: Vec<_> = loader(0).iter().map(noisy).collect();
        let mut sorted: Vec<i64> = expected.iter().map(|sample| sample.0).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..9).collect::<Vec<_>>());
        for workers in WORKERS {
            let loader = loader(workers);
            let mut begun = loader.iter();
            let first: Vec<_> = begun.by_ref().take(4).map(noisy).collect();
            assert_eq!(first, expected[..4], "{workers} workers");
            let rest: Vec<_> = loader.resume(&begun.state()).unwrap().map(noisy).collect();
            assert_eq!(rest, expected[4..], "{workers} workers");
        }
    }
    assert_eq!(indexed(0).len(), Some(9));
    let error = Unbatched.collate(vec![1, 2]).unwrap_err().to_string();
    assert_eq!(error, "Unbatched: expected one sample, got 2");
}

/// Workers that make a batch, that wait for room, for the stream or for each other: all end soon after the epoch is
/// dropped, and let go of the dataset.
#[test]
fn workers_end_after_a_drop_at_any_point() {
    struct Held(mpsc::Sender<()>);
    for workers in [1, 2, 4] {
        for taken in [0, 1, 7, 20] {
            let (held, all_gone) = mpsc::channel();
            let held = std::sync::Arc::new(Mutex::new(Held(held)));
            let dataset = (0..20i64).collect::<Vec<_>>().map({
                let held = held.clone();
                move |x| Ok(x + i64::from(lock(&held).0.send(()).is_err()))
            });
            let numbers = crate::from_fn(|_| Ok(Box::new((0..20i64).map(Ok)) as crate::Stream<i64>));
            let streamed = numbers.map(move |x| Ok(x + i64::from(lock(&held).0.send(()).is_err())));
            let builder = DataLoader::builder(dataset).num_workers(workers);
            let loaders = [
                builder.build().unwrap(),
                DataLoader::stream(streamed).num_workers(workers).build().unwrap(),
            ];
            for loader in loaders {
                let mut batches = loader.iter();
                assert_eq!(batches.by_ref().take(taken).filter(Result::is_ok).count(), taken);
                drop(batches);
            }
            // Ends when the last sender has gone: with the last worker.
            assert!(all_gone.iter().count() >= 2 * taken);
        }
    }
}

#[test]
fn orders_and_sizes_of_batches() {
    let builder = || DataLoader::builder((0..5i64).collect::<Vec<_>>());
    let cases = [
        (builder().batch_size(2), vec![vec![0, 1], vec![2, 3], vec![4]]),
        (
            builder().batch_size(2).drop_last(true),
            vec![vec![0, 1], vec![2, 3]],
        ),
        (
            builder().batch_size(3).sampler(vec![4, 4, 0, 1]),
            vec![vec![4, 4, 0], vec![1]],
        ),
        (
            builder().batch_sampler(vec![vec![3], vec![1, 2]]),
            vec![vec![3], vec![1, 2]],
        ),
        (DataLoader::builder(vec![]), vec![]),
    ];
    for (builder, expected) in cases {
        let loader = builder.num_workers(2).build().unwrap();
        let batches: Vec<Vec<i64>> = loader
            .iter()
            .map(|b| b.unwrap().to_vec::<i64>().unwrap())
            .collect();
        assert_eq!(batches, expected);
        assert_eq!(loader.len(), Some(expected.len()));
        assert_eq!(loader.is_empty(), expected.is_empty());
    }
}

#[test]
fn streams_give_the_same_batches_whatever_the_workers() {
    let noisy = || {
        let numbers = crate::from_fn(|_| Ok(Box::new((0..23i64).map(Ok)) as crate::Stream<i64>));
        numbers.shuffle(7).map(|x| Ok((x, Tensor::rand(3, DType::F32)?)))
    };
    let loader = |workers| {
        let builder = DataLoader::stream(noisy())
            .batch_size(4)
            .seed(2)
            .num_workers(workers);
        builder.build().unwrap()
    };
    let whole = loader(0);
    let expected = [numbers(whole.iter()), numbers(whole.iter())];
    let mut indices: Vec<i64> = expected[0].iter().flat_map(|batch| batch.0.clone()).collect();
    assert_eq!(indices.len(), 23);
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), 23);
    assert_ne!(expected[0], expected[1]);
    for workers in WORKERS {
        let first = loader(workers);
        assert_eq!(numbers(first.iter()), expected[0]);
        for taken in 0..=6 {
            let first = loader(workers);
            let mut batches = first.iter();
            assert!(batches.by_ref().take(taken).all(|batch| batch.is_ok()));
            let state = batches.state();
            drop(batches);
            let second = loader(workers);
            assert_eq!(numbers(second.resume(&state).unwrap()), expected[0][taken..]);
            assert_eq!(numbers(second.iter()), expected[1]);
        }
    }
}

#[test]
fn errors_of_streams_name_the_sample() {
    let stream = |fails: &'static str| {
        let item = move |x| match x {
            5 if fails == "stream" => Err(Error::Value("cut".to_string())),
            5 if fails == "panic" => panic!("cut"),
            x => Ok(x),
        };
        let numbers = crate::from_fn(move |_| Ok(Box::new((0..9i64).map(item)) as crate::Stream<i64>));
        numbers.map(move |x| match x {
            5 if fails == "prepare" => Err(Error::Value("cut".to_string())),
            x => Ok(x),
        })
    };
    let cases = [
        ("stream", "DataLoader: sample 5 of the stream: cut"),
        ("prepare", "DataLoader: sample 5 of the stream: cut"),
        (
            "panic",
            "DataLoader: the order or stream of samples: panicked: cut",
        ),
    ];
    for workers in WORKERS {
        for (fails, expected) in cases {
            let builder = DataLoader::stream(stream(fails))
                .batch_size(2)
                .num_workers(workers);
            let loader = builder.build().unwrap();
            let results: Vec<_> = loader.iter().collect();
            assert_eq!(results.len(), 3);
            assert!(results[0].is_ok() && results[1].is_ok());
            let error = results[2].as_ref().unwrap_err().to_string();
            assert_eq!(error, expected);
        }
    }
}

#[test]
fn lengths_and_last_batches_of_streams() {
    struct Seven;
    impl crate::IterableDataset for Seven {
        type Raw = i64;
        type Item = i64;
        fn stream(&self, _: &Epoch) -> Result<crate::Stream<i64>> {
            Ok(Box::new((0..7).map(Ok)))
        }
        fn prepare(&self, raw: i64) -> Result<i64> {
            Ok(raw)
        }
        fn len(&self) -> Option<usize> {
            Some(7)
        }
    }
    for (drop_last, batches) in [(false, 3), (true, 2)] {
        let loader = DataLoader::stream(Seven)
            .batch_size(3)
            .drop_last(drop_last)
            .build()
            .unwrap();
        assert_eq!(loader.len(), Some(batches));
        assert_eq!(loader.iter().map(Result::unwrap).count(), batches);
    }
    assert!(DataLoader::stream(Seven).batch_size(0).build().is_err());
}
