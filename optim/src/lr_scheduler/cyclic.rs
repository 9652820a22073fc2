//! `CyclicLR`: the learning rate goes up and down between two bounds, the momentum the other way.
//!
//! Smith 2017, "Cyclical Learning Rates for Training Neural Networks".

use std::fmt;
use std::sync::Arc;

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use super::scheduled::{Progress, Schedule, Scheduled};
use super::{PerGroup, begin_momentum};
use crate::{Optimizer, ParamGroup};

/// A learning rate that cycles between two bounds (`CyclicLR`); stepped after each batch.
pub type CyclicLR = Scheduled<CyclicLROptions>;

/// Options of [`CyclicLR`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CyclicLROptions {
    /// The lower bound.
    pub base_lr: PerGroup,
    /// The upper bound of the first cycle.
    pub max_lr: PerGroup,
    /// Steps on the way up.
    pub step_size_up: f64,
    /// Steps on the way down; none for as many.
    pub step_size_down: Option<f64>,
    /// How the cycles' height changes.
    pub mode: CyclicMode,
    /// The factor of [`CyclicMode::ExpRange`].
    pub gamma: f64,
    /// The cycles' height by a function of `scale_mode`'s number, in place of `mode`. Not part of the saved state.
    #[serde(skip)]
    pub scale_fn: Option<ScaleFn>,
    /// What `scale_fn` is given.
    pub scale_mode: ScaleMode,
    /// Whether the momentum cycles too.
    pub cycle_momentum: bool,
    /// The momentum's lower bound, reached with the highest learning rate.
    pub base_momentum: PerGroup,
    /// The momentum's upper bound.
    pub max_momentum: PerGroup,
}

/// How the height of [`CyclicLR`]'s cycles changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CyclicMode {
    /// Not at all.
    Triangular,
    /// It halves with each cycle.
    Triangular2,
    /// It falls by the factor `gamma` with each step.
    ExpRange,
}

/// What [`CyclicLROptions::scale_fn`] is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleMode {
    /// The cycle's number, from 1.
    Cycle,
    /// The number of steps.
    Iterations,
}

/// A function that scales the height of [`CyclicLR`]'s cycles.
#[derive(Clone)]
pub struct ScaleFn(Arc<dyn Fn(f64) -> f64 + Send + Sync>);

impl ScaleFn {
    /// The function as an option.
    pub fn new(scale: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        ScaleFn(Arc::new(scale))
    }
}

impl fmt::Debug for ScaleFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScaleFn")
    }
}

impl CyclicLROptions {
    /// PyTorch's defaults for these bounds.
    pub fn new(base_lr: impl Into<PerGroup>, max_lr: impl Into<PerGroup>) -> Self {
        CyclicLROptions {
            base_lr: base_lr.into(),
            max_lr: max_lr.into(),
            step_size_up: 2000.0,
            step_size_down: None,
            mode: CyclicMode::Triangular,
            gamma: 1.0,
            scale_fn: None,
            scale_mode: ScaleMode::Cycle,
            cycle_momentum: true,
            base_momentum: 0.8.into(),
            max_momentum: 0.9.into(),
        }
    }

    /// How far up between the bounds, as a part of the first cycle's height.
    fn height(&self, now: &Progress) -> f64 {
        let total = self.step_size_up + self.step_size_down.unwrap_or(self.step_size_up);
        let ratio = self.step_size_up / total;
        let epoch = now.last_epoch as f64;
        let cycle = (1.0 + epoch / total).floor();
        let x = 1.0 + epoch / total - cycle;
        let triangle = if x <= ratio {
            x / ratio
        } else {
            (x - 1.0) / (ratio - 1.0)
        };
        let scale = match (&self.scale_fn, self.scale_mode, self.mode) {
            (Some(scale), ScaleMode::Cycle, _) => scale.0(cycle),
            (Some(scale), ScaleMode::Iterations, _) => scale.0(epoch),
            (None, _, CyclicMode::Triangular) => 1.0,
            (None, _, CyclicMode::Triangular2) => 1.0 / 2f64.powf(cycle - 1.0),
            (None, _, CyclicMode::ExpRange) => self.gamma.powf(epoch),
        };
        triangle * scale
    }
}

impl Schedule for CyclicLROptions {
    const NAME: &'static str = "CyclicLR";

    fn to_json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(crate::state::json_error)
    }

    fn set_json(&mut self, state: &serde_json::Value) -> Result<()> {
        let scale_fn = self.scale_fn.take();
        let new = CyclicLROptions::deserialize(state).map_err(crate::state::json_error)?;
        *self = CyclicLROptions { scale_fn, ..new };
        Ok(())
    }

    fn attach(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        let groups = optimizer.param_groups().len();
        self.base_lr.check("base_lr", groups)?;
        self.max_lr.check("max_lr", groups)?;
        for (i, group) in optimizer.param_groups_mut().into_iter().enumerate() {
            group.set_lr(self.base_lr.at(i)?);
        }
        if self.cycle_momentum {
            self.base_momentum.check("base_momentum", groups)?;
            self.max_momentum.check("max_momentum", groups)?;
            begin_momentum(Self::NAME, optimizer, &self.max_momentum)?;
        }
        Ok(())
    }

    fn base_lrs(&self, groups: usize) -> Result<Option<Vec<f64>>> {
        (0..groups)
            .map(|i| self.base_lr.at(i))
            .collect::<Result<_>>()
            .map(Some)
    }

    fn lr(&self, now: &Progress, index: usize, _group: &dyn ParamGroup) -> Result<f64> {
        let base = now.base_lr(index)?;
        Ok(base + (self.max_lr.at(index)? - base) * self.height(now))
    }

    fn momentum(&self, now: &Progress, index: usize) -> Result<Option<f64>> {
        if !self.cycle_momentum {
            return Ok(None);
        }
        let (low, high) = (self.base_momentum.at(index)?, self.max_momentum.at(index)?);
        Ok(Some(high - (high - low) * self.height(now)))
    }
}
