//! `SequentialLR`: one schedule after the other, each from its own beginning.

use flambeau_tensor::{Result, ensure};
use serde_json::{Value as Json, json};

use super::chained::{load_states, states};
use super::{LRScheduler, cannot_restart};
use crate::Optimizer;
use crate::state::json_error;

/// Schedules in turn, which change at the milestones (`SequentialLR`); e.g. a warm-up before a cosine.
///
/// ```
/// use flambeau_optim::lr_scheduler::*;
/// use flambeau_optim::{SGD, SGDOptions};
/// use flambeau_tensor::Tensor;
///
/// let mut optimizer = SGD::new([Tensor::new([1.0f32])?], SGDOptions { lr: 1.0, ..Default::default() })?;
/// let warm_up = LinearLROptions { start_factor: 0.5, total_iters: 2, ..Default::default() };
/// let schedulers: Vec<Box<dyn LRScheduler>> = vec![
///     Box::new(LinearLR::new(&mut optimizer, warm_up)?),
///     Box::new(CosineAnnealingLR::new(&mut optimizer, CosineAnnealingLROptions::new(4))?),
/// ];
/// let mut scheduler = SequentialLR::new(&mut optimizer, schedulers, [2])?;
/// let mut seen = vec![scheduler.last_lr()[0]];
/// for _ in 0..4 {
///     scheduler.step(&mut optimizer)?;
///     seen.push(scheduler.last_lr()[0]);
/// }
/// assert_eq!(seen[..3], [0.5, 0.75, 1.0]);
/// assert!((seen[4] - 0.5).abs() < 1e-12);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub struct SequentialLR {
    schedulers: Vec<Box<dyn LRScheduler>>,
    milestones: Vec<i64>,
    last_epoch: i64,
    last_lr: Vec<f64>,
}

impl SequentialLR {
    /// Begins with the first schedule. All must have been made for this optimiser.
    ///
    /// # Errors
    /// `Value` unless there is one milestone less than schedules.
    pub fn new(
        optimizer: &mut dyn Optimizer,
        schedulers: Vec<Box<dyn LRScheduler>>,
        milestones: impl Into<Vec<i64>>,
    ) -> Result<SequentialLR> {
        let milestones = milestones.into();
        ensure!(
            !schedulers.is_empty(),
            Value,
            "SequentialLR expects at least one scheduler, but got no scheduler."
        );
        ensure!(
            milestones.len() == schedulers.len() - 1,
            Value,
            "Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone \
             points, but got number of schedulers {} and the number of milestones to be equal to {}",
            schedulers.len(),
            milestones.len()
        );
        let mut new = SequentialLR {
            schedulers,
            milestones,
            last_epoch: 0,
            last_lr: Vec::new(),
        };
        for group in optimizer.param_groups_mut() {
            let lr = group.initial_lr().unwrap_or(group.lr());
            group.set_lr(lr);
        }
        new.undo();
        let first = new.place();
        new.schedulers[first].begin(optimizer)?;
        new.last_lr = new.schedulers[first].last_lr().to_vec();
        Ok(new)
    }

    /// Which schedule's turn it is.
    fn place(&self) -> usize {
        self.milestones
            .partition_point(|&milestone| milestone <= self.last_epoch)
    }
}

impl LRScheduler for SequentialLR {
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.last_epoch += 1;
        let place = self.place();
        let begins = place > 0 && self.milestones[place - 1] == self.last_epoch;
        let scheduler = &mut self.schedulers[place];
        if begins {
            scheduler.restart(optimizer)?;
        } else {
            scheduler.step(optimizer)?;
        }
        self.last_lr = scheduler.last_lr().to_vec();
        Ok(())
    }

    fn last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    fn state_dict(&self) -> Result<Json> {
        Ok(json!({
            "_milestones": self.milestones,
            "last_epoch": self.last_epoch,
            "_last_lr": self.last_lr,
            "_schedulers": states(&self.schedulers)?,
        }))
    }

    fn load_state_dict(&mut self, state: &Json) -> Result<()> {
        let in_name = |error| json_error(error).context("SequentialLR");
        let milestones: Vec<i64> = serde_json::from_value(state["_milestones"].clone()).map_err(in_name)?;
        ensure!(
            milestones.len() == self.milestones.len(),
            Format,
            "SequentialLR: {} milestones in the state, expected {}",
            milestones.len(),
            self.milestones.len()
        );
        let last_epoch = serde_json::from_value(state["last_epoch"].clone()).map_err(in_name)?;
        let last_lr = serde_json::from_value(state["_last_lr"].clone()).map_err(in_name)?;
        load_states("SequentialLR", &mut self.schedulers, state)?;
        (self.milestones, self.last_epoch, self.last_lr) = (milestones, last_epoch, last_lr);
        Ok(())
    }

    fn undo(&mut self) {
        self.schedulers.iter_mut().for_each(|scheduler| scheduler.undo());
    }

    fn begin(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.step(optimizer)
    }

    fn restart(&mut self, _optimizer: &mut dyn Optimizer) -> Result<()> {
        cannot_restart("SequentialLR")
    }
}
