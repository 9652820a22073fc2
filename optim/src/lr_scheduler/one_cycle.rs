//! `OneCycleLR`: the learning rate goes up to a maximum and down to almost nothing, the momentum the other way; once.
//!
//! Smith and Topin 2018, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates".

use flambeau_tensor::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::scheduled::{Progress, Schedule, Scheduled, as_data};
use super::{AnnealStrategy, PerGroup, begin_momentum};
use crate::{Optimizer, ParamGroup};

/// One cycle of learning rate and momentum over the whole training (`OneCycleLR`); stepped after each batch.
pub type OneCycleLR = Scheduled<OneCycleLROptions>;

/// Options of [`OneCycleLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OneCycleLROptions {
    /// The highest learning rate.
    pub max_lr: PerGroup,
    /// The number of steps; none if `epochs` and `steps_per_epoch` say it.
    pub total_steps: Option<i64>,
    /// Epochs of training.
    pub epochs: Option<i64>,
    /// Steps in an epoch.
    pub steps_per_epoch: Option<i64>,
    /// The part of the cycle in which the learning rate rises.
    pub pct_start: f64,
    /// The shape of rise and fall.
    pub anneal_strategy: AnnealStrategy,
    /// Whether the momentum cycles too.
    pub cycle_momentum: bool,
    /// The lowest momentum, reached with the highest learning rate.
    pub base_momentum: PerGroup,
    /// The highest momentum.
    pub max_momentum: PerGroup,
    /// The first learning rate is `max_lr/div_factor`.
    pub div_factor: f64,
    /// The last learning rate is the first one over this.
    pub final_div_factor: f64,
    /// Fall as fast as it rose, and then to the end; rather than fall to the end at once.
    pub three_phase: bool,
}

impl OneCycleLROptions {
    /// PyTorch's defaults for this maximum and number of steps.
    pub fn new(max_lr: impl Into<PerGroup>, total_steps: i64) -> Self {
        OneCycleLROptions {
            total_steps: Some(total_steps),
            ..OneCycleLROptions::with_epochs(max_lr, 0, 0)
        }
    }

    /// PyTorch's defaults for this maximum and number of epochs, and steps in each.
    pub fn with_epochs(max_lr: impl Into<PerGroup>, epochs: i64, steps_per_epoch: i64) -> Self {
        OneCycleLROptions {
            max_lr: max_lr.into(),
            total_steps: None,
            epochs: Some(epochs),
            steps_per_epoch: Some(steps_per_epoch),
            pct_start: 0.3,
            anneal_strategy: AnnealStrategy::Cos,
            cycle_momentum: true,
            base_momentum: 0.85.into(),
            max_momentum: 0.95.into(),
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }

    fn steps(&self) -> Result<i64> {
        let positive = |name: &str, n: i64| {
            ensure!(n > 0, Value, "Expected positive integer {name}, but got {n}");
            Ok(n)
        };
        match (self.total_steps, self.epochs, self.steps_per_epoch) {
            (Some(total), _, _) => positive("total_steps", total),
            (None, Some(epochs), Some(steps)) => {
                Ok(positive("epochs", epochs)? * positive("steps_per_epoch", steps)?)
            }
            _ => bail!(
                Value,
                "You must define either total_steps OR (epochs AND steps_per_epoch)"
            ),
        }
    }

    /// A group's first, highest and last learning rate.
    fn bounds(&self, index: usize) -> Result<(f64, f64, f64)> {
        let highest = self.max_lr.at(index)?;
        let first = highest / self.div_factor;
        Ok((first, highest, first / self.final_div_factor))
    }

    /// What goes from `stations[k]` to `stations[k + 1]` in phase `k`, now.
    fn value(&self, now: &Progress, stations: [f64; 4]) -> Result<f64> {
        let total = self.steps()? as f64;
        let step = now.last_epoch as f64;
        ensure!(
            step <= total,
            Value,
            "Tried to step {step} times. The specified number of total steps is {total}"
        );
        let rise = self.pct_start * total;
        let ends = match self.three_phase {
            true => vec![rise - 1.0, 2.0 * rise - 2.0, total - 1.0],
            false => vec![rise - 1.0, total - 1.0],
        };
        let last = ends.len() - 1;
        let phase = ends.iter().position(|&end| step <= end).unwrap_or(last);
        let start = if phase == 0 { 0.0 } else { ends[phase - 1] };
        ensure!(
            ends[phase] != start,
            Value,
            "{total} steps with pct_start {:?} leave a phase without a step",
            self.pct_start
        );
        let done = (step - start) / (ends[phase] - start);
        let (from, to) = (stations[phase], stations[phase + 1]);
        Ok(self.anneal_strategy.between(from, to, done))
    }
}

impl Schedule for OneCycleLROptions {
    const NAME: &'static str = "OneCycleLR";

    as_data!();

    fn attach(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.steps()?;
        let part = self.pct_start;
        ensure!(
            (0.0..=1.0).contains(&part),
            Value,
            "Expected float between 0 and 1 pct_start, but got {part:?}"
        );
        let groups = optimizer.param_groups().len();
        self.max_lr.check("max_lr", groups)?;
        for (i, group) in optimizer.param_groups_mut().into_iter().enumerate() {
            group.set_initial_lr(self.bounds(i)?.0);
        }
        if self.cycle_momentum {
            self.max_momentum.check("max_momentum", groups)?;
            self.base_momentum.check("base_momentum", groups)?;
            begin_momentum(Self::NAME, optimizer, &self.max_momentum)?;
        }
        Ok(())
    }

    fn lr(&self, now: &Progress, index: usize, _group: &dyn ParamGroup) -> Result<f64> {
        let (first, highest, last) = self.bounds(index)?;
        match self.three_phase {
            true => self.value(now, [first, highest, first, last]),
            false => self.value(now, [first, highest, last, last]),
        }
    }

    fn momentum(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        if !self.cycle_momentum {
            return Ok(None);
        }
        let (low, high) = (self.base_momentum.at(index)?, self.max_momentum.at(index)?);
        self.value(now, [high, low, high, high]).map(Some)
    }
}
