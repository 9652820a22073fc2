//! `SWALR`: the learning rate goes to the constant one of stochastic weight averaging and stays there.
//!
//! Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization".

use std::f64::consts::PI;

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::scheduled::{Progress, Schedule, Scheduled, as_data};
use super::{AnnealStrategy, PerGroup};
use crate::{Optimizer, ParamGroup};

/// The way to the learning rate of weight averaging (`torch.optim.swa_utils.SWALR`); see
/// [`AveragedModel`](crate::AveragedModel).
pub type SWALR = Scheduled<SWALROptions>;

/// Options of [`SWALR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SWALROptions {
    /// The learning rate at the end.
    pub swa_lr: PerGroup,
    /// Epochs until then.
    pub anneal_epochs: i64,
    /// The shape of the way.
    pub anneal_strategy: AnnealStrategy,
}

impl SWALROptions {
    /// PyTorch's defaults for this learning rate.
    pub fn new(swa_lr: impl Into<PerGroup>) -> Self {
        SWALROptions {
            swa_lr: swa_lr.into(),
            anneal_epochs: 10,
            anneal_strategy: AnnealStrategy::Cos,
        }
    }

    /// The part of the way that lies behind after this number of steps.
    fn done(&self, step: i64) -> f64 {
        let done = (step as f64 / self.anneal_epochs.max(1) as f64).clamp(0.0, 1.0);
        match self.anneal_strategy {
            AnnealStrategy::Cos => (1.0 - (PI * done).cos()) / 2.0,
            AnnealStrategy::Linear => done,
        }
    }
}

impl Schedule for SWALROptions {
    const NAME: &'static str = "SWALR";

    as_data!();

    fn attach(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.swa_lr.check("swa_lr", optimizer.param_groups().len())?;
        let epochs = self.anneal_epochs;
        ensure!(
            epochs >= 0,
            Value,
            "anneal_epochs must be equal or greater than 0, got {epochs}"
        );
        Ok(())
    }

    fn lr(&self, now: &Progress, index: usize, group: &dyn ParamGroup) -> Result<f64> {
        let target = self.swa_lr.at(index)?;
        let step = now.step_count as i64 - 1;
        let step = if self.anneal_epochs == 0 {
            step.max(1)
        } else {
            step
        };
        // The learning rate without averaging, from the one that was a part of the way to the target.
        let before = self.done(step - 1);
        let own = if before == 1.0 {
            target
        } else {
            (group.lr() - before * target) / (1.0 - before)
        };
        let now = self.done(step);
        Ok(target * now + own * (1.0 - now))
    }
}
