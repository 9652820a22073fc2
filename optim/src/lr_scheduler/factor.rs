//! Schedules by a factor that depends on the epoch: `ConstantLR`, `LinearLR` (warm-up), `ExponentialLR`, `PolynomialLR`.
//!
//! ```text
//! ConstantLR:     lr = base · factor                           until total_iters, then base
//! LinearLR:       lr = base · (start + (end - start) · epoch/total_iters), end from total_iters on
//! ExponentialLR:  lr = base · gamma^epoch
//! PolynomialLR:   lr = base · (1 - epoch/total_iters)^power,   0 from total_iters on
//! ```

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::scheduled::{Progress, Schedule, Scheduled, as_data};
use crate::{Optimizer, ParamGroup};

/// A smaller learning rate for the first epochs (`ConstantLR`).
pub type ConstantLR = Scheduled<ConstantLROptions>;

/// Options of [`ConstantLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConstantLROptions {
    /// The factor of the first epochs, between 0 and 1.
    pub factor: f64,
    /// How many epochs.
    pub total_iters: i64,
}

impl Default for ConstantLROptions {
    fn default() -> Self {
        ConstantLROptions {
            factor: 1.0 / 3.0,
            total_iters: 5,
        }
    }
}

impl Schedule for ConstantLROptions {
    const NAME: &'static str = "ConstantLR";

    as_data!();

    fn attach(&mut self, _optimizer: &mut dyn Optimizer) -> Result<()> {
        ensure!(
            (0.0..=1.0).contains(&self.factor),
            Value,
            "Constant multiplicative factor expected to be between 0 and 1."
        );
        Ok(())
    }

    fn lr(&self, now: &Progress, _index: usize, group: &dyn ParamGroup) -> Result<f64> {
        Ok(match now.last_epoch {
            0 => group.lr() * self.factor,
            epoch if epoch == self.total_iters => {
                ensure!(
                    self.factor != 0.0,
                    Value,
                    "a factor of 0 can't be taken back after {epoch} epochs"
                );
                group.lr() * (1.0 / self.factor)
            }
            _ => group.lr(),
        })
    }

    fn closed_form(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        let over = if now.last_epoch >= self.total_iters {
            1.0
        } else {
            0.0
        };
        Ok(Some(
            now.base_lr(index)? * (self.factor + over * (1.0 - self.factor)),
        ))
    }
}

/// A learning rate that changes linearly over the first epochs, e.g. to warm up (`LinearLR`).
pub type LinearLR = Scheduled<LinearLROptions>;

/// Options of [`LinearLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinearLROptions {
    /// The factor of epoch 0, above 0 and at most 1.
    pub start_factor: f64,
    /// The factor from `total_iters` on, between 0 and 1.
    pub end_factor: f64,
    /// How many epochs it takes.
    pub total_iters: i64,
}

impl Default for LinearLROptions {
    fn default() -> Self {
        LinearLROptions {
            start_factor: 1.0 / 3.0,
            end_factor: 1.0,
            total_iters: 5,
        }
    }
}

impl Schedule for LinearLROptions {
    const NAME: &'static str = "LinearLR";

    as_data!();

    fn attach(&mut self, _optimizer: &mut dyn Optimizer) -> Result<()> {
        ensure!(
            self.start_factor > 0.0 && self.start_factor <= 1.0,
            Value,
            "Starting multiplicative factor expected to be greater than 0 and less or equal to 1."
        );
        ensure!(
            (0.0..=1.0).contains(&self.end_factor),
            Value,
            "Ending multiplicative factor expected to be between 0 and 1."
        );
        Ok(())
    }

    fn lr(&self, now: &Progress, _index: usize, group: &dyn ParamGroup) -> Result<f64> {
        let (epoch, total) = (now.last_epoch, self.total_iters);
        if epoch == 0 {
            return Ok(group.lr() * self.start_factor);
        }
        if now.initial || epoch > total {
            return Ok(group.lr());
        }
        let rise = self.end_factor - self.start_factor;
        let before = total as f64 * self.start_factor + (epoch - 1) as f64 * rise;
        Ok(group.lr() * (1.0 + rise / before))
    }

    fn closed_form(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        let (epoch, total) = (now.last_epoch.min(self.total_iters), self.total_iters);
        let rise = self.end_factor - self.start_factor;
        let factor = self.start_factor + rise * epoch as f64 / total as f64;
        Ok(Some(now.base_lr(index)? * factor))
    }
}

/// Multiplies the learning rate by `gamma` in every epoch (`ExponentialLR`).
pub type ExponentialLR = Scheduled<ExponentialLROptions>;

/// Options of [`ExponentialLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExponentialLROptions {
    /// The factor.
    pub gamma: f64,
}

impl Schedule for ExponentialLROptions {
    const NAME: &'static str = "ExponentialLR";

    as_data!();

    fn lr(&self, now: &Progress, _index: usize, group: &dyn ParamGroup) -> Result<f64> {
        let factor = if now.initial { 1.0 } else { self.gamma };
        Ok(group.lr() * factor)
    }

    fn closed_form(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        Ok(Some(now.base_lr(index)? * self.gamma.powf(now.last_epoch as f64)))
    }
}

/// A learning rate that falls to 0 by a power of the epochs left (`PolynomialLR`).
pub type PolynomialLR = Scheduled<PolynomialLROptions>;

/// Options of [`PolynomialLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolynomialLROptions {
    /// How many epochs it takes.
    pub total_iters: i64,
    /// The power; 1 is a straight line.
    pub power: f64,
}

impl Default for PolynomialLROptions {
    fn default() -> Self {
        PolynomialLROptions {
            total_iters: 5,
            power: 1.0,
        }
    }
}

impl Schedule for PolynomialLROptions {
    const NAME: &'static str = "PolynomialLR";

    as_data!();

    fn lr(&self, now: &Progress, _index: usize, group: &dyn ParamGroup) -> Result<f64> {
        let (epoch, total) = (now.last_epoch as f64, self.total_iters as f64);
        if now.initial || now.last_epoch > self.total_iters {
            return Ok(group.lr());
        }
        let factor = (1.0 - epoch / total) / (1.0 - (epoch - 1.0) / total);
        Ok(group.lr() * factor.powf(self.power))
    }

    fn closed_form(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        let epoch = now.last_epoch.min(self.total_iters);
        let left = 1.0 - epoch as f64 / self.total_iters as f64;
        Ok(Some(now.base_lr(index)? * left.powf(self.power)))
    }
}
