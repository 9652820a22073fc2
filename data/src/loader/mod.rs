//! The loader of batches: [`DataLoader`] (`torch.utils.data.DataLoader`).

mod builder;
mod epoch;
mod map;
mod pipeline;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::time::Duration;

use flambeau_tensor::random::{self, Generator};
use flambeau_tensor::{Error, Result, ensure};
use serde::{Deserialize, Serialize};

pub use builder::{DatasetKind, Indexed, LoaderBuilder, Streamed};
pub use epoch::Epoch;
use epoch::Plan;
use pipeline::{Jobs, Pipeline, guarded, lock, next_job};
pub use pipeline::{WorkerInfo, worker_info};

/// Hands out the batches of a dataset, epoch after epoch.
///
/// A pass over `&loader`, or [`iter`](Self::iter), is one epoch. It is made by [`DataLoader::builder`]:
///
/// ```
/// use flambeau_data::DataLoader;
///
/// let loader = DataLoader::builder(vec![1.0f32, 2.0, 3.0]).batch_size(2).build()?;
/// let sums = loader.iter().map(|batch| batch?.sum()?.item::<f32>());
/// assert_eq!(sums.collect::<Result<Vec<_>, _>>()?, [3.0, 3.0]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Workers
/// With `num_workers` 0, batches are made when they are asked for, on the thread that asks. With more, threads make them
/// beforehand, at most `prefetch` for each worker; batches, their order and their random numbers are the same.
/// A sample's error ends the epoch: batches before it are handed out, then the error, which names the sample. A panic is
/// treated as an error. An epoch that is dropped midway stops its workers without waiting for them.
pub struct DataLoader<B> {
    plan: Box<dyn Plan<B>>,
    options: Options,
    course: Mutex<Course>,
}

/// How batches are made.
#[derive(Clone, Copy, Debug)]
struct Options {
    workers: usize,
    prefetch: usize,
    timeout: Option<Duration>,
}

/// How far the loader has come.
struct Course {
    epoch: u64,
    /// What epochs draw from, if it is not the default generator.
    generator: Option<Generator>,
}

/// Where an epoch stands: what it takes to go on with it, or after it, exactly ([`DataLoader::resume`]).
///
/// It is data for `serde`, about 5 kB of it the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoaderState {
    /// The number of the epoch.
    epoch: u64,
    /// How many of its batches have been handed out.
    batches: u64,
    /// How many it has, if that is known beforehand.
    len: Option<u64>,
    /// Whether the loader draws from the process's default generator.
    is_default: bool,
    /// The state of the generator before the epoch drew from it, as [`Generator::to_bytes`].
    generator: Vec<u8>,
}

impl LoaderState {
    /// The number of the epoch, from 0.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many batches of the epoch have been handed out.
    pub fn batches(&self) -> u64 {
        self.batches
    }
}

impl<B: Send + 'static> DataLoader<B> {
    /// The number of batches of an epoch, where the dataset has a length.
    pub fn len(&self) -> Option<usize> {
        self.plan.len()
    }

    /// Whether it is known that an epoch has no batches.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Begins the next epoch. Whatever keeps it from beginning is its first item.
    ///
    /// It draws from the generator that the loader was built with, or else from the default one
    /// ([`random::manual_seed`]), just as PyTorch's loader does.
    pub fn iter(&self) -> Batches<B> {
        let mut course = lock(&self.course);
        let is_default = course.generator.is_none();
        let before = course
            .generator
            .clone()
            .unwrap_or_else(|| random::with_default(|generator| generator.clone()));
        let state = LoaderState {
            epoch: course.epoch,
            batches: 0,
            len: self.len().map(|len| len as u64),
            is_default,
            generator: before.to_bytes(),
        };
        let (batches, after) = self.begin(state, before.clone());
        course.epoch += 1;
        match &mut course.generator {
            Some(generator) => *generator = after,
            // A sampler of the program's own may have drawn from the default generator meanwhile.
            None if after.state() != before.state() => random::with_default(|generator| *generator = after),
            None => {}
        }
        batches
    }

    /// Goes on with the epoch that `state` is of, after the batches that had been handed out: the rest is exactly what it
    /// would have been. The loader then stands where the one that the state is of stood.
    ///
    /// A loader without a generator of its own draws later epochs from the default one, whose state is the program's to
    /// save and to restore ([`random::state`]).
    ///
    /// ```
    /// use flambeau_data::DataLoader;
    ///
    /// let loader = || DataLoader::builder((0..10i64).collect::<Vec<_>>()).batch_size(3).shuffle(true).seed(1).build();
    /// let first = loader()?;
    /// let mut batches = first.iter();
    /// batches.next();
    /// let state = serde_json::to_string(&batches.state()).unwrap();
    ///
    /// let second = loader()?; // in another process, later
    /// let rest = second.resume(&serde_json::from_str(&state).unwrap())?;
    /// for (a, b) in rest.zip(batches) {
    ///     assert_eq!(a?.to_vec::<i64>()?, b?.to_vec::<i64>()?);
    /// }
    /// # Ok::<(), flambeau_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Value` if the state can't be one of a loader like this.
    pub fn resume(&self, state: &LoaderState) -> Result<Batches<B>> {
        let mut course = lock(&self.course);
        ensure!(
            state.is_default == course.generator.is_none(),
            Value,
            "DataLoader: the state is of a loader {} generator of its own, unlike this one",
            if state.is_default { "without a" } else { "with a" }
        );
        let len = self.len().map(|len| len as u64);
        ensure!(
            state.len == len && len.is_none_or(|len| state.batches <= len),
            Value,
            "DataLoader: the state is of epochs of {} batches, {} of them handed out; here they have {}",
            described(state.len),
            state.batches,
            described(len)
        );
        let mut generator = Generator::default();
        generator
            .set_bytes(&state.generator)
            .map_err(|error| Error::Value(format!("DataLoader: {error}")))?;
        let (batches, after) = self.begin(state.clone(), generator);
        course.epoch = state.epoch.saturating_add(1);
        if let Some(generator) = &mut course.generator {
            *generator = after;
        }
        Ok(batches)
    }

    /// The batches of an epoch from where the state says; also the generator as the epoch leaves it.
    fn begin(&self, state: LoaderState, mut generator: Generator) -> (Batches<B>, Generator) {
        let epoch = Epoch {
            number: state.epoch,
            seed: crate::sampler::random_seed(&mut generator),
        };
        let begun = guarded("DataLoader: the beginning of an epoch", || {
            let mut pass = crate::Pass {
                epoch: epoch.number,
                generator: &mut generator,
                is_default: state.is_default,
            };
            let jobs = self.plan.begin(&epoch, &mut pass, state.batches)?;
            let Options {
                workers,
                prefetch,
                timeout,
            } = self.options;
            if workers == 0 {
                return Ok(Source::Inline(jobs));
            }
            Pipeline::start(jobs, workers, prefetch.saturating_mul(workers), timeout).map(Source::Workers)
        });
        let source = begun.unwrap_or_else(|error| Source::Failed(Some(error)));
        (Batches { source, state }, generator)
    }
}

fn described(len: Option<u64>) -> String {
    len.map_or("an unknown number of".to_string(), |len| len.to_string())
}

impl<B: Send + 'static> IntoIterator for &DataLoader<B> {
    type Item = Result<B>;
    type IntoIter = Batches<B>;

    fn into_iter(self) -> Batches<B> {
        self.iter()
    }
}

/// The batches of one epoch, in order. After an error there are none.
pub struct Batches<B> {
    source: Source<B>,
    state: LoaderState,
}

enum Source<B> {
    Inline(Jobs<B>),
    Workers(Pipeline<B>),
    Failed(Option<Error>),
}

impl<B> Batches<B> {
    /// Where this epoch stands: after the batches handed out so far.
    pub fn state(&self) -> LoaderState {
        self.state.clone()
    }
}

impl<B: Send + 'static> Iterator for Batches<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        let result = match &mut self.source {
            Source::Inline(jobs) => next_job(jobs).map(|job| guarded("DataLoader", job)),
            Source::Workers(pipeline) => pipeline.next(),
            Source::Failed(error) => error.take().map(Err),
        };
        match &result {
            Some(Ok(_)) => self.state.batches += 1,
            Some(Err(_)) => self.source = Source::Failed(None),
            None => {}
        }
        result
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self
            .state
            .len
            .map(|len| len.saturating_sub(self.state.batches) as usize);
        // An error may end the epoch with the next item.
        (0, left)
    }
}
