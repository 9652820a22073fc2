//! `ChainedScheduler`: several schedules, all stepped at once, each changing what the one before it has set.

use flambeau_tensor::{Result, ensure};
use serde_json::{Value as Json, json};

use super::{LRScheduler, cannot_restart, learning_rates};
use crate::Optimizer;
use crate::state::json_error;

/// Several schedules at once (`ChainedScheduler`).
pub struct ChainedScheduler {
    schedulers: Vec<Box<dyn LRScheduler>>,
    last_lr: Vec<f64>,
}

impl ChainedScheduler {
    /// Chains schedules that were made, in this order, for this optimiser.
    ///
    /// # Errors
    /// `Value` if there is none.
    pub fn new(
        optimizer: &mut dyn Optimizer,
        schedulers: Vec<Box<dyn LRScheduler>>,
    ) -> Result<ChainedScheduler> {
        ensure!(
            !schedulers.is_empty(),
            Value,
            "ChainedScheduler expects at least one scheduler to be chained, but got no scheduler."
        );
        Ok(ChainedScheduler {
            schedulers,
            last_lr: learning_rates(optimizer),
        })
    }
}

impl LRScheduler for ChainedScheduler {
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        for scheduler in &mut self.schedulers {
            scheduler.step(optimizer)?;
        }
        self.last_lr = learning_rates(optimizer);
        Ok(())
    }

    fn last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    fn state_dict(&self) -> Result<Json> {
        Ok(json!({ "_last_lr": self.last_lr, "_schedulers": states(&self.schedulers)? }))
    }

    fn load_state_dict(&mut self, state: &Json) -> Result<()> {
        let last_lr = serde_json::from_value(state["_last_lr"].clone());
        let last_lr = last_lr.map_err(|e| json_error(e).context("ChainedScheduler"))?;
        load_states("ChainedScheduler", &mut self.schedulers, state)?;
        self.last_lr = last_lr;
        Ok(())
    }

    fn undo(&mut self) {
        self.schedulers.iter_mut().for_each(|scheduler| scheduler.undo());
    }

    fn begin(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.step(optimizer)
    }

    fn restart(&mut self, _optimizer: &mut dyn Optimizer) -> Result<()> {
        cannot_restart("ChainedScheduler")
    }
}

/// The states of several schedules.
pub(super) fn states(schedulers: &[Box<dyn LRScheduler>]) -> Result<Vec<Json>> {
    schedulers
        .iter()
        .map(|scheduler| scheduler.state_dict())
        .collect()
}

/// Takes over the states of several schedules.
pub(super) fn load_states(name: &str, schedulers: &mut [Box<dyn LRScheduler>], state: &Json) -> Result<()> {
    let saved = state["_schedulers"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(
        saved.len() == schedulers.len(),
        Format,
        "{name}: {} schedules in the state, expected {}",
        saved.len(),
        schedulers.len()
    );
    for (scheduler, state) in schedulers.iter_mut().zip(saved) {
        scheduler.load_state_dict(state)?;
    }
    Ok(())
}
