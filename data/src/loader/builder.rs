//! What a loader is built from.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, ensure};

use super::epoch::Plan;
use super::map::MapPlan;
use super::stream::StreamPlan;
use super::{Course, DataLoader, Options};
use crate::sampler::{BatchSampler, RandomSampler, SequentialSampler};
use crate::{Collate, Dataset, DefaultCollate, IterableDataset, Sampler, Unbatched};

/// Builds a [`DataLoader`]; begun by [`DataLoader::builder`] or [`DataLoader::stream`]. Defaults are PyTorch's.
pub struct LoaderBuilder<K, C = DefaultCollate> {
    kind: K,
    collate: C,
    batching: Batching,
    num_workers: usize,
    prefetch: usize,
    timeout: Option<Duration>,
    generator: Option<Generator>,
}

/// How many samples make a batch.
#[derive(Clone, Copy, Default)]
struct Batching {
    size: Option<usize>,
    drop_last: bool,
    /// Every sample is handed out by itself.
    off: bool,
}

impl Batching {
    fn size(&self) -> usize {
        self.size.unwrap_or(1)
    }
}

/// The kind of dataset of a [`LoaderBuilder`]: [`Indexed`] or [`Streamed`].
pub trait DatasetKind {
    /// A sample.
    type Item;
}

/// A [`Dataset`] and the order of its samples.
pub struct Indexed<D> {
    dataset: D,
    shuffle: bool,
    sampler: Option<Box<dyn Sampler<Item = usize>>>,
    batch_sampler: Option<Box<dyn Sampler<Item = Vec<usize>>>>,
}

impl<D: Dataset> DatasetKind for Indexed<D> {
    type Item = D::Item;
}

/// An [`IterableDataset`].
pub struct Streamed<D> {
    dataset: D,
}

impl<D: IterableDataset> DatasetKind for Streamed<D> {
    type Item = D::Item;
}

// The type of the batches is known only when the builder is done; `()` stands for it where one begins.
impl DataLoader<()> {
    /// Begins a loader of a dataset with an index.
    pub fn builder<D: Dataset + 'static>(dataset: D) -> LoaderBuilder<Indexed<D>> {
        LoaderBuilder::of(Indexed {
            dataset,
            shuffle: false,
            sampler: None,
            batch_sampler: None,
        })
    }

    /// Begins a loader of a stream.
    pub fn stream<D: IterableDataset + 'static>(dataset: D) -> LoaderBuilder<Streamed<D>> {
        LoaderBuilder::of(Streamed { dataset })
    }
}

impl<K: DatasetKind> LoaderBuilder<K> {
    fn of(kind: K) -> Self {
        LoaderBuilder {
            kind,
            collate: DefaultCollate,
            batching: Batching::default(),
            num_workers: 0,
            prefetch: 2,
            timeout: None,
            generator: None,
        }
    }

    /// How samples become a batch. Default: [`DefaultCollate`].
    pub fn collate<C: Collate<K::Item>>(self, collate: C) -> LoaderBuilder<K, C> {
        LoaderBuilder {
            kind: self.kind,
            collate,
            batching: self.batching,
            num_workers: self.num_workers,
            prefetch: self.prefetch,
            timeout: self.timeout,
            generator: self.generator,
        }
    }

    /// Hands out the samples themselves, one by one (`batch_size=None`): for what is a batch already, and for what is
    /// not to become one. Workers load them in parallel all the same.
    ///
    /// ```
    /// use flambeau_data::DataLoader;
    ///
    /// let texts = DataLoader::builder(vec!["one", "two", "three"]).unbatched().num_workers(2).build()?;
    /// assert_eq!(texts.iter().collect::<Result<Vec<&str>, _>>()?, ["one", "two", "three"]);
    /// # Ok::<(), flambeau_tensor::Error>(())
    /// ```
    pub fn unbatched(mut self) -> LoaderBuilder<K, Unbatched>
    where
        K::Item: Send,
    {
        self.batching.off = true;
        self.collate(Unbatched)
    }
}

impl<K: DatasetKind, C> LoaderBuilder<K, C> {
    /// The number of samples in a batch. Default: 1.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batching.size = Some(batch_size);
        self
    }

    /// Whether a last batch of fewer samples is dropped. Default: false.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.batching.drop_last = drop_last;
        self
    }

    /// The number of threads that make batches beforehand. Default: 0, the thread that asks makes them.
    pub fn num_workers(mut self, num_workers: usize) -> Self {
        self.num_workers = num_workers;
        self
    }

    /// How many batches may be ready or under way for each worker (`prefetch_factor`). Default: 2.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// How long workers may keep the program waiting for a batch before it gets an error. Default: for ever.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What the loader draws from. Default: the process's default generator.
    pub fn generator(mut self, generator: Generator) -> Self {
        self.generator = Some(generator);
        self
    }

    /// A generator of that seed.
    pub fn seed(self, seed: u64) -> Self {
        self.generator(Generator::new(seed))
    }

    /// The loader with what its kind of dataset makes of the other arguments.
    fn finish<B>(
        self,
        plan: impl FnOnce(K, C, Batching) -> Result<Box<dyn Plan<B>>>,
    ) -> Result<DataLoader<B>> {
        ensure!(
            self.timeout.is_none() || self.num_workers > 0,
            Value,
            "DataLoader: timeout wants num_workers above 0"
        );
        ensure!(self.prefetch > 0, Value, "DataLoader: prefetch must be positive");
        ensure!(
            self.batching.size != Some(0),
            Value,
            "DataLoader: batch_size must be positive"
        );
        ensure!(
            !self.batching.off || (self.batching.size.is_none() && !self.batching.drop_last),
            Value,
            "DataLoader: unbatched excludes batch_size and drop_last"
        );
        Ok(DataLoader {
            plan: plan(self.kind, self.collate, self.batching)?,
            options: Options {
                workers: self.num_workers,
                prefetch: self.prefetch,
                timeout: self.timeout,
            },
            course: Mutex::new(Course {
                epoch: 0,
                generator: self.generator,
            }),
        })
    }
}

impl<D: Dataset + 'static, C> LoaderBuilder<Indexed<D>, C> {
    /// Whether every epoch has an order of its own, drawn at random. Default: false.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.kind.shuffle = shuffle;
        self
    }

    /// The order of samples, in place of `shuffle`.
    pub fn sampler(mut self, sampler: impl Sampler<Item = usize> + 'static) -> Self {
        self.kind.sampler = Some(Box::new(sampler));
        self
    }

    /// The order of batches, in place of `batch_size`, `shuffle`, `sampler` and `drop_last`.
    pub fn batch_sampler(mut self, sampler: impl Sampler<Item = Vec<usize>> + 'static) -> Self {
        self.kind.batch_sampler = Some(Box::new(sampler));
        self
    }

    /// The loader.
    ///
    /// # Errors
    /// `Value` for arguments that contradict each other or are 0, and to shuffle a dataset without samples.
    pub fn build(self) -> Result<DataLoader<C::Batch>>
    where
        C: Collate<D::Item> + 'static,
    {
        self.finish(|mut kind, collate, batching| {
            Ok(Box::new(MapPlan {
                sampler: kind.order(&batching)?,
                dataset: Arc::new(kind.dataset),
                collate: Arc::new(collate),
            }))
        })
    }
}

impl<D: Dataset> Indexed<D> {
    /// The sampler of batches that the arguments describe.
    fn order(&mut self, batching: &Batching) -> Result<Box<dyn Sampler<Item = Vec<usize>>>> {
        ensure!(
            self.sampler.is_none() || !self.shuffle,
            Value,
            "DataLoader: sampler and shuffle exclude each other"
        );
        if let Some(sampler) = self.batch_sampler.take() {
            ensure!(
                batching.size.is_none() && !self.shuffle && !batching.drop_last && self.sampler.is_none(),
                Value,
                "DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last"
            );
            ensure!(
                !batching.off,
                Value,
                "DataLoader: unbatched and batch_sampler exclude each other"
            );
            return Ok(sampler);
        }
        let len = self.dataset.len();
        let sampler: Box<dyn Sampler<Item = usize>> = match self.sampler.take() {
            Some(sampler) => sampler,
            None if self.shuffle => Box::new(RandomSampler::new(len)?),
            None => Box::new(SequentialSampler::new(len)),
        };
        Ok(Box::new(BatchSampler::new(
            sampler,
            batching.size(),
            batching.drop_last,
        )?))
    }
}

impl<D: IterableDataset + 'static, C> LoaderBuilder<Streamed<D>, C> {
    /// The loader.
    ///
    /// # Errors
    /// `Value` for arguments that contradict each other or are 0.
    pub fn build(self) -> Result<DataLoader<C::Batch>>
    where
        C: Collate<D::Item> + 'static,
    {
        self.finish(|kind, collate, batching| {
            Ok(Box::new(StreamPlan {
                dataset: Arc::new(kind.dataset),
                collate: Arc::new(collate),
                batch_size: batching.size(),
                drop_last: batching.drop_last,
            }))
        })
    }
}
