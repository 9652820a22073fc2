//! The batches of a dataset with an index: a sampler's order, a job for each of its batches.

use std::sync::Arc;

use flambeau_tensor::Result;

use super::epoch::{Epoch, Plan, SampleName, Task};
use super::pipeline::{Job, Jobs};
use crate::{Collate, Dataset, Pass, Sampler};

pub(super) struct MapPlan<D, C> {
    pub(super) dataset: Arc<D>,
    pub(super) collate: Arc<C>,
    pub(super) sampler: Box<dyn Sampler<Item = Vec<usize>>>,
}

impl<D: Dataset + 'static, C: Collate<D::Item> + 'static> Plan<C::Batch> for MapPlan<D, C> {
    fn len(&self) -> Option<usize> {
        Some(self.sampler.len())
    }

    fn begin(&self, epoch: &Epoch, pass: &mut Pass<'_>, skip: u64) -> Result<Jobs<C::Batch>> {
        let (epoch, dataset, collate) = (*epoch, self.dataset.clone(), self.collate.clone());
        let tasks = self
            .sampler
            .draw(pass)?
            .into_iter()
            .scan(0, |first, parts: Vec<usize>| {
                let task = Task { first: *first, parts };
                *first += task.parts.len() as u64;
                Some(task)
            });
        let job = move |task| {
            let (dataset, collate) = (dataset.clone(), collate.clone());
            let name = |index: &usize, _| SampleName::Index(*index);
            Box::new(move || epoch.make(task, name, |index| dataset.get(index), &*collate)) as Job<C::Batch>
        };
        Ok(Box::new(
            tasks.skip(usize::try_from(skip).unwrap_or(usize::MAX)).map(job),
        ))
    }
}
