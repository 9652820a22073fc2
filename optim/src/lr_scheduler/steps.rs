//! Schedules that fall in steps: `StepLR` every few epochs, `MultiStepLR` at given epochs.
//!
//! ```text
//! StepLR:       lr = base · gamma^⌊epoch/step_size⌋
//! MultiStepLR:  lr = base · gamma^(number of milestones ≤ epoch)
//! ```

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::scheduled::{Progress, Schedule, Scheduled, as_data};
use crate::{Optimizer, ParamGroup};

/// Multiplies the learning rate by `gamma` every `step_size` epochs (`StepLR`).
pub type StepLR = Scheduled<StepLROptions>;

/// Options of [`StepLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepLROptions {
    /// Epochs from one step to the next.
    pub step_size: i64,
    /// The factor.
    pub gamma: f64,
}

impl StepLROptions {
    /// PyTorch's defaults (`gamma` 0.1) for steps of this length.
    pub fn new(step_size: i64) -> Self {
        StepLROptions {
            step_size,
            gamma: 0.1,
        }
    }
}

impl Schedule for StepLROptions {
    const NAME: &'static str = "StepLR";

    as_data!();

    fn attach(&mut self, _optimizer: &mut dyn Optimizer) -> Result<()> {
        let size = self.step_size;
        ensure!(size > 0, Value, "expected a positive step_size, got {size}");
        Ok(())
    }

    fn lr(&self, now: &Progress, _index: usize, group: &dyn ParamGroup) -> Result<f64> {
        let steps = now.last_epoch != 0 && now.last_epoch % self.step_size == 0;
        Ok(if steps {
            group.lr() * self.gamma
        } else {
            group.lr()
        })
    }

    fn closed_form(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        let steps = now.last_epoch.div_euclid(self.step_size);
        Ok(Some(now.base_lr(index)? * self.gamma.powf(steps as f64)))
    }
}

/// Multiplies the learning rate by `gamma` at each milestone (`MultiStepLR`).
pub type MultiStepLR = Scheduled<MultiStepLROptions>;

/// Options of [`MultiStepLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MultiStepLROptions {
    /// The epochs; one that comes twice counts twice.
    pub milestones: Vec<i64>,
    /// The factor.
    pub gamma: f64,
}

impl MultiStepLROptions {
    /// PyTorch's defaults (`gamma` 0.1) for these milestones.
    pub fn new(milestones: impl Into<Vec<i64>>) -> Self {
        MultiStepLROptions {
            milestones: milestones.into(),
            gamma: 0.1,
        }
    }

    fn factor(&self, reached: impl Fn(i64) -> bool) -> f64 {
        let count = self.milestones.iter().filter(|&&m| reached(m)).count();
        self.gamma.powf(count as f64)
    }
}

impl Schedule for MultiStepLROptions {
    const NAME: &'static str = "MultiStepLR";

    as_data!();

    fn lr(&self, now: &Progress, _index: usize, group: &dyn ParamGroup) -> Result<f64> {
        Ok(group.lr() * self.factor(|milestone| milestone == now.last_epoch))
    }

    fn closed_form(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        let factor = self.factor(|milestone| milestone <= now.last_epoch);
        Ok(Some(now.base_lr(index)? * factor))
    }
}
