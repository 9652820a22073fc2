//! The batches of a stream: consecutive raw samples, a job for each batch of them.

use std::sync::Arc;

use flambeau_tensor::{Error, Result};

use super::epoch::{Epoch, Plan, SampleName, Task};
use super::pipeline::{Job, Jobs};
use crate::{Collate, IterableDataset, Pass, Stream};

pub(super) struct StreamPlan<D, C> {
    pub(super) dataset: Arc<D>,
    pub(super) collate: Arc<C>,
    pub(super) batch_size: usize,
    pub(super) drop_last: bool,
}

impl<D: IterableDataset + 'static, C: Collate<D::Item> + 'static> Plan<C::Batch> for StreamPlan<D, C> {
    fn len(&self) -> Option<usize> {
        let len = self.dataset.len()?;
        Some(if self.drop_last {
            len / self.batch_size
        } else {
            len.div_ceil(self.batch_size)
        })
    }

    fn begin(&self, epoch: &Epoch, _: &mut Pass<'_>, skip: u64) -> Result<Jobs<C::Batch>> {
        let mut chunks = Chunks {
            stream: self.dataset.stream(epoch)?,
            size: self.batch_size,
            drop_last: self.drop_last,
            first: 0,
            done: false,
        };
        // The samples that were handed out are read again, but neither prepared nor collated.
        for _ in 0..skip {
            chunks.next().transpose()?;
        }
        let (epoch, dataset, collate) = (*epoch, self.dataset.clone(), self.collate.clone());
        let job = move |chunk: Result<Task<D::Raw>>| {
            let (dataset, collate) = (dataset.clone(), collate.clone());
            let name = |_: &D::Raw, position| SampleName::Position(position);
            Box::new(move || epoch.make(chunk?, name, |raw| dataset.prepare(raw), &*collate)) as Job<C::Batch>
        };
        Ok(Box::new(chunks.map(job)))
    }
}

/// Batches of raw samples.
struct Chunks<T> {
    stream: Stream<T>,
    size: usize,
    drop_last: bool,
    /// How many samples have been given out.
    first: u64,
    done: bool,
}

impl<T> Iterator for Chunks<T> {
    type Item = Result<Task<T>>;

    fn next(&mut self) -> Option<Result<Task<T>>> {
        if self.done {
            return None;
        }
        let mut parts = Vec::new();
        while parts.len() < self.size {
            match self.stream.next() {
                Some(Ok(raw)) => parts.push(raw),
                Some(Err(error)) => {
                    self.done = true;
                    return Some(Err(self.at(parts.len(), error)));
                }
                None => {
                    self.done = true;
                    break;
                }
            }
        }
        if parts.is_empty() || (self.drop_last && parts.len() < self.size) {
            return None;
        }
        let first = self.first;
        self.first += parts.len() as u64;
        Some(Ok(Task { first, parts }))
    }
}

impl<T> Chunks<T> {
    fn at(&self, offset: usize, error: Error) -> Error {
        error.context(SampleName::Position(self.first + offset as u64))
    }
}
