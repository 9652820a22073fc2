//! Schedules along a cosine: `CosineAnnealingLR`, and `CosineAnnealingWarmRestarts`, which starts again and again.
//!
//! ```text
//! lr = eta_min + (base - eta_min) · (1 + cos(π · epoch/T)) / 2
//! ```
//!
//! Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts".

use std::f64::consts::PI;

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::scheduled::{Progress, Schedule, Scheduled, as_data};
use crate::{Optimizer, ParamGroup};

/// Half a wave of a cosine over `t_max` epochs (`CosineAnnealingLR`), and back if it goes on.
pub type CosineAnnealingLR = Scheduled<CosineAnnealingLROptions>;

/// Options of [`CosineAnnealingLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CosineAnnealingLROptions {
    /// Epochs until the lowest learning rate.
    #[serde(rename = "T_max")]
    pub t_max: i64,
    /// The lowest learning rate.
    pub eta_min: f64,
}

impl CosineAnnealingLROptions {
    /// PyTorch's defaults (`eta_min` 0) for this number of epochs.
    pub fn new(t_max: i64) -> Self {
        CosineAnnealingLROptions { t_max, eta_min: 0.0 }
    }

    fn on_schedule(&self, now: &Progress, index: usize) -> Result<f64> {
        let done = now.last_epoch as f64 / self.t_max as f64;
        Ok(on_wave(now.base_lr(index)?, self.eta_min, done))
    }
}

/// The learning rate after the part `done` of the half wave.
fn on_wave(base: f64, lowest: f64, done: f64) -> f64 {
    lowest + (base - lowest) * (1.0 + (PI * done).cos()) / 2.0
}

impl Schedule for CosineAnnealingLROptions {
    const NAME: &'static str = "CosineAnnealingLR";

    as_data!();

    fn attach(&mut self, _optimizer: &mut dyn Optimizer) -> Result<()> {
        ensure!(
            self.t_max > 0,
            Value,
            "expected a positive T_max, got {}",
            self.t_max
        );
        Ok(())
    }

    fn lr(&self, now: &Progress, index: usize, group: &dyn ParamGroup) -> Result<f64> {
        let (epoch, t_max) = (now.last_epoch, self.t_max);
        if now.initial {
            return Ok(group.lr());
        }
        if now.step_count == 1 && epoch > 0 {
            return self.on_schedule(now, index);
        }
        let height = |epoch: i64| 1.0 + (PI * epoch as f64 / t_max as f64).cos();
        // At the bottom of the wave the ratio below would divide by zero.
        if (epoch - 1 - t_max) % (2 * t_max) == 0 {
            let rise = (now.base_lr(index)? - self.eta_min) * (1.0 - (PI / t_max as f64).cos()) / 2.0;
            return Ok(group.lr() + rise);
        }
        Ok(height(epoch) / height(epoch - 1) * (group.lr() - self.eta_min) + self.eta_min)
    }

    fn closed_form(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        self.on_schedule(now, index).map(Some)
    }
}

/// A half wave that starts again after `t_0` epochs, then after `t_mult` times as many, and so on
/// (`CosineAnnealingWarmRestarts`).
pub type CosineAnnealingWarmRestarts = Scheduled<WarmRestarts>;

/// Options of [`CosineAnnealingWarmRestarts`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CosineAnnealingWarmRestartsOptions {
    /// Epochs until the first restart.
    #[serde(rename = "T_0")]
    pub t_0: i64,
    /// How much longer each wave is than the last.
    #[serde(rename = "T_mult")]
    pub t_mult: i64,
    /// The lowest learning rate.
    pub eta_min: f64,
}

/// The schedule of [`CosineAnnealingWarmRestarts`]: its options and where it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WarmRestarts {
    #[serde(flatten)]
    options: CosineAnnealingWarmRestartsOptions,
    /// Epochs since the last restart, and from there to the next.
    #[serde(rename = "T_cur")]
    t_cur: f64,
    #[serde(rename = "T_i")]
    t_i: f64,
}

impl From<CosineAnnealingWarmRestartsOptions> for WarmRestarts {
    fn from(options: CosineAnnealingWarmRestartsOptions) -> Self {
        WarmRestarts {
            t_cur: -1.0,
            t_i: options.t_0 as f64,
            options,
        }
    }
}

impl CosineAnnealingWarmRestartsOptions {
    /// PyTorch's defaults (`t_mult` 1, `eta_min` 0) for this number of epochs until the first restart.
    pub fn new(t_0: i64) -> Self {
        CosineAnnealingWarmRestartsOptions {
            t_0,
            t_mult: 1,
            eta_min: 0.0,
        }
    }
}

impl WarmRestarts {
    /// Finds the wave of an epoch.
    fn seek(&mut self, epoch: f64) {
        let (first, factor) = (self.options.t_0 as f64, self.options.t_mult as f64);
        if epoch < first {
            (self.t_cur, self.t_i) = (epoch, first);
        } else if self.options.t_mult == 1 {
            self.t_cur = epoch % first;
        } else {
            let waves = (epoch / first * (factor - 1.0) + 1.0).ln() / factor.ln();
            let longer = factor.powf(waves.floor());
            self.t_cur = epoch - first * (longer - 1.0) / (factor - 1.0);
            self.t_i = first * longer;
        }
    }
}

impl Schedule for WarmRestarts {
    const NAME: &'static str = "CosineAnnealingWarmRestarts";

    as_data!();

    fn attach(&mut self, _optimizer: &mut dyn Optimizer) -> Result<()> {
        let (first, factor) = (self.options.t_0, self.options.t_mult);
        ensure!(first > 0, Value, "Expected positive integer T_0, but got {first}");
        ensure!(
            factor >= 1,
            Value,
            "Expected integer T_mult >= 1, but got {factor}"
        );
        Ok(())
    }

    fn advance(&mut self, now: &mut Progress) {
        if now.last_epoch < 0 {
            self.seek(0.0);
            now.last_epoch = 0;
            return;
        }
        now.last_epoch += 1;
        self.t_cur += 1.0;
        if self.t_cur >= self.t_i {
            self.t_cur %= self.t_i;
            self.t_i *= self.options.t_mult as f64;
        }
    }

    fn lr(&self, now: &Progress, index: usize, _group: &dyn ParamGroup) -> Result<f64> {
        Ok(on_wave(
            now.base_lr(index)?,
            self.options.eta_min,
            self.t_cur / self.t_i,
        ))
    }
}

impl CosineAnnealingWarmRestarts {
    /// Goes to any epoch, which may be fractional: `epoch + batch/batches` steps in mid-epoch (`step(epoch)`).
    ///
    /// # Errors
    /// `Value` if the epoch is negative or the optimiser has other groups than when the schedule began.
    pub fn step_to(&mut self, optimizer: &mut dyn Optimizer, epoch: f64) -> Result<()> {
        ensure!(
            epoch >= 0.0,
            Value,
            "CosineAnnealingWarmRestarts: Expected non-negative epoch, but got {epoch:?}"
        );
        self.schedule.seek(epoch);
        self.progress.last_epoch = epoch.floor() as i64;
        self.apply(optimizer)
    }
}
