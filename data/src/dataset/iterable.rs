//! Datasets without an index: [`IterableDataset`] (`torch.utils.data.IterableDataset`).

use std::collections::VecDeque;
use std::sync::Arc;

use flambeau_tensor::Result;
use flambeau_tensor::random::Generator;

use crate::Epoch;

/// What a stream gives, in order; nothing after an error.
pub type Stream<T> = Box<dyn Iterator<Item = Result<T>> + Send>;

/// Samples that come one after another (`torch.utils.data.IterableDataset`).
///
/// A sample is made in two steps: [`stream`](Self::stream) gives raw samples in order, and [`prepare`](Self::prepare)
/// makes a sample of each. A loader with workers reads one stream, whoever of them comes first, and prepares in parallel:
/// so samples come once each and in the same order whatever the number of workers, and no dataset needs to know about
/// them. What is slow, as decoding is, belongs into `prepare`, or into [`map`](Self::map), which adds to it.
///
/// ```
/// use flambeau_data::{DataLoader, IterableDataset, from_fn};
///
/// let squares = from_fn(|_epoch| Ok(Box::new((0..5i64).map(Ok)))).map(|x| Ok(x * x));
/// let loader = DataLoader::stream(squares).batch_size(3).num_workers(2).build()?;
/// let batches: Vec<Vec<i64>> = loader.iter().map(|batch| batch?.to_vec()).collect::<Result<_, _>>()?;
/// assert_eq!(batches, [vec![0, 1, 4], vec![9, 16]]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub trait IterableDataset: Send + Sync {
    /// What the stream gives.
    type Raw: Send + 'static;
    /// A sample.
    type Item: Send;

    /// The raw samples of an epoch. The same epoch has to give the same stream: it is begun again when a loader resumes.
    ///
    /// # Errors
    /// Whatever keeps the stream from beginning.
    fn stream(&self, epoch: &Epoch) -> Result<Stream<Self::Raw>>;

    /// The sample that is made of a raw one.
    ///
    /// # Errors
    /// Whatever is wrong with the raw sample.
    fn prepare(&self, raw: Self::Raw) -> Result<Self::Item>;

    /// The number of samples of an epoch, if it is known.
    fn len(&self) -> Option<usize> {
        None
    }

    /// Whether it is known that there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The dataset of `f(sample)`.
    fn map<T: Send, F: Fn(Self::Item) -> Result<T> + Send + Sync>(self, f: F) -> MappedStream<Self, F>
    where
        Self: Sized,
    {
        MappedStream { dataset: self, f }
    }

    /// The samples in another order in every epoch: of the next `buffer` raw samples, one at random comes first. At
    /// least 1 is taken.
    fn shuffle(self, buffer: usize) -> ShuffledStream<Self>
    where
        Self: Sized,
    {
        ShuffledStream {
            dataset: self,
            buffer: buffer.max(1),
        }
    }

    /// The samples of an epoch one by one, without a loader.
    ///
    /// # Errors
    /// Whatever keeps the stream from beginning.
    fn samples<'a>(&'a self, epoch: &Epoch) -> Result<Box<dyn Iterator<Item = Result<Self::Item>> + 'a>> {
        let stream = self.stream(epoch)?;
        Ok(Box::new(stream.map(|raw| self.prepare(raw?))))
    }
}

macro_rules! iterable_behind {
    ($($pointer:ty),*) => { $(
        impl<D: IterableDataset + ?Sized> IterableDataset for $pointer {
            type Raw = D::Raw;
            type Item = D::Item;

            fn stream(&self, epoch: &Epoch) -> Result<Stream<D::Raw>> {
                (**self).stream(epoch)
            }

            fn prepare(&self, raw: D::Raw) -> Result<D::Item> {
                (**self).prepare(raw)
            }

            fn len(&self) -> Option<usize> {
                (**self).len()
            }
        }
    )* };
}
iterable_behind!(&D, Box<D>, Arc<D>);

/// The dataset whose streams a function begins.
pub fn from_fn<T: Send + 'static, F: Fn(&Epoch) -> Result<Stream<T>> + Send + Sync>(f: F) -> FnDataset<F> {
    FnDataset { f }
}

/// See [`from_fn`].
#[derive(Clone, Debug)]
pub struct FnDataset<F> {
    f: F,
}

impl<T: Send + 'static, F: Fn(&Epoch) -> Result<Stream<T>> + Send + Sync> IterableDataset for FnDataset<F> {
    type Raw = T;
    type Item = T;

    fn stream(&self, epoch: &Epoch) -> Result<Stream<T>> {
        (self.f)(epoch)
    }

    fn prepare(&self, raw: T) -> Result<T> {
        Ok(raw)
    }
}

/// Streams one after another (`ChainDataset`). Those of several types go in as
/// `Box<dyn IterableDataset<Raw = …, Item = …>>`.
#[derive(Clone, Debug)]
pub struct ChainDataset<D> {
    datasets: Arc<Vec<D>>,
}

impl<D: IterableDataset + 'static> ChainDataset<D> {
    /// The streams of `datasets`, each begun when the one before has ended.
    pub fn new(datasets: Vec<D>) -> Self {
        ChainDataset {
            datasets: Arc::new(datasets),
        }
    }
}

impl<D: IterableDataset + 'static> IterableDataset for ChainDataset<D> {
    /// With the number of the dataset, which prepares it.
    type Raw = (usize, D::Raw);
    type Item = D::Item;

    fn stream(&self, epoch: &Epoch) -> Result<Stream<Self::Raw>> {
        let (datasets, epoch) = (self.datasets.clone(), *epoch);
        let streams = (0..datasets.len()).map(move |i| match datasets[i].stream(&epoch) {
            Ok(stream) => Box::new(stream.map(move |raw| Ok((i, raw?)))),
            Err(error) => Box::new(std::iter::once(Err(error))) as Stream<Self::Raw>,
        });
        Ok(Box::new(streams.flatten()))
    }

    fn prepare(&self, (i, raw): Self::Raw) -> Result<D::Item> {
        self.datasets[i].prepare(raw)
    }

    fn len(&self) -> Option<usize> {
        self.datasets.iter().map(D::len).sum()
    }
}

/// See [`IterableDataset::map`].
#[derive(Clone, Debug)]
pub struct MappedStream<D, F> {
    dataset: D,
    f: F,
}

impl<D: IterableDataset, T: Send, F: Fn(D::Item) -> Result<T> + Send + Sync> IterableDataset
    for MappedStream<D, F>
{
    type Raw = D::Raw;
    type Item = T;

    fn stream(&self, epoch: &Epoch) -> Result<Stream<D::Raw>> {
        self.dataset.stream(epoch)
    }

    fn prepare(&self, raw: D::Raw) -> Result<T> {
        (self.f)(self.dataset.prepare(raw)?)
    }

    fn len(&self) -> Option<usize> {
        self.dataset.len()
    }
}

/// See [`IterableDataset::shuffle`].
#[derive(Clone, Debug)]
pub struct ShuffledStream<D> {
    dataset: D,
    buffer: usize,
}

impl<D: IterableDataset> IterableDataset for ShuffledStream<D> {
    type Raw = D::Raw;
    type Item = D::Item;

    fn stream(&self, epoch: &Epoch) -> Result<Stream<D::Raw>> {
        let mut stream = self.dataset.stream(epoch)?.fuse();
        let mut generator = Generator::new(epoch.seed);
        let size = self.buffer;
        let mut buffer = VecDeque::new();
        let next = move || {
            while buffer.len() < size {
                match stream.next() {
                    Some(Ok(raw)) => buffer.push_back(raw),
                    Some(Err(error)) => return Some(Err(error)),
                    None => break,
                }
            }
            let chosen = (generator.next_u64() % buffer.len().max(1) as u64) as usize;
            buffer.swap_remove_back(chosen).map(Ok)
        };
        Ok(Box::new(std::iter::from_fn(next)))
    }

    fn prepare(&self, raw: D::Raw) -> Result<D::Item> {
        self.dataset.prepare(raw)
    }

    fn len(&self) -> Option<usize> {
        self.dataset.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::Error;

    fn numbers(from: i64, to: i64) -> impl IterableDataset<Raw = i64, Item = i64> + 'static {
        from_fn(move |_: &Epoch| Ok(Box::new((from..to).map(Ok)) as Stream<i64>))
    }

    fn collect<D: IterableDataset>(dataset: &D, seed: u64) -> Vec<D::Item> {
        let samples = dataset.samples(&Epoch { number: 0, seed }).unwrap();
        samples.map(Result::unwrap).collect()
    }

    #[test]
    fn streams_one_after_another() {
        type Boxed = Box<dyn IterableDataset<Raw = i64, Item = i64>>;
        let parts: Vec<Boxed> = vec![
            Box::new(numbers(0, 3)),
            Box::new(numbers(7, 7)),
            Box::new(numbers(5, 7).map(|x| Ok(10 * x))),
        ];
        let chain = ChainDataset::new(parts);
        assert_eq!(collect(&chain, 0), [0, 1, 2, 50, 60]);
        assert_eq!(chain.len(), None);
    }

    #[test]
    fn a_stream_that_does_not_begin_is_an_error_in_its_place() {
        let fails = from_fn(|_: &Epoch| Err::<Stream<i64>, _>(Error::Value("closed".to_string())));
        type Boxed = Box<dyn IterableDataset<Raw = i64, Item = i64>>;
        let chain = ChainDataset::new(vec![Box::new(numbers(0, 1)) as Boxed, Box::new(fails)]);
        let epoch = Epoch { number: 0, seed: 0 };
        let samples: Vec<_> = chain.samples(&epoch).unwrap().collect();
        assert_eq!(samples[0].clone().unwrap(), 0);
        assert_eq!(samples[1].clone().unwrap_err().to_string(), "closed");
    }

    #[test]
    fn a_buffer_shuffles() {
        let shuffled = numbers(0, 40).shuffle(8);
        let order = collect(&shuffled, 1);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<_>>());
        assert_ne!(order, sorted);
        // A sample can come at most as much earlier as the buffer is long.
        assert!(order.iter().enumerate().all(|(i, x)| *x < i as i64 + 8));
        assert_eq!(order, collect(&shuffled, 1));
        assert_ne!(order, collect(&shuffled, 2));
        assert_eq!(collect(&numbers(0, 3).shuffle(0), 1), [0, 1, 2]);
    }
}
