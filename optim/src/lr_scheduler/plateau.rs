//! `ReduceLROnPlateau`: the learning rate falls when a measurement has stopped improving.

use flambeau_tensor::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{PerGroup, learning_rates};
use crate::Optimizer;
use crate::state::json_error;

/// Options of [`ReduceLROnPlateau`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ReduceLROnPlateauOptions {
    /// Which direction is better.
    pub mode: PlateauMode,
    /// What the learning rate is multiplied by; below 1.
    pub factor: f64,
    /// Epochs without improvement that are put up with.
    pub patience: u64,
    /// How much better counts as better.
    pub threshold: f64,
    /// Whether the threshold is a part of the best measurement or a difference from it.
    pub threshold_mode: ThresholdMode,
    /// Epochs after a reduction in which none are counted.
    pub cooldown: u64,
    /// The lowest learning rate.
    pub min_lr: PerGroup,
    /// Reductions that are not larger are left out.
    pub eps: f64,
}

/// Which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    /// Less, as of a loss.
    Min,
    /// More, as of an accuracy.
    Max,
}

/// What the threshold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdMode {
    /// A part of the best measurement.
    Rel,
    /// A difference from it.
    Abs,
}

impl Default for ReduceLROnPlateauOptions {
    fn default() -> Self {
        ReduceLROnPlateauOptions {
            mode: PlateauMode::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0.into(),
            eps: 1e-8,
        }
    }
}

/// Lowers the learning rate when a measurement has stopped improving (`ReduceLROnPlateau`).
///
/// ```
/// use flambeau_optim::lr_scheduler::{ReduceLROnPlateau, ReduceLROnPlateauOptions};
/// use flambeau_optim::{SGD, SGDOptions};
/// use flambeau_tensor::Tensor;
///
/// let mut optimizer = SGD::new([Tensor::new([1.0f32])?], SGDOptions { lr: 0.5, ..Default::default() })?;
/// let options = ReduceLROnPlateauOptions { patience: 1, ..Default::default() };
/// let mut scheduler = ReduceLROnPlateau::new(&mut optimizer, options)?;
/// for loss in [3.0, 2.0, 2.0, 2.0] {
///     scheduler.step(&mut optimizer, loss)?;
/// }
/// assert_eq!(scheduler.last_lr(), [0.05]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReduceLROnPlateau {
    #[serde(flatten)]
    options: ReduceLROnPlateauOptions,
    /// None before the first measurement that is better than nothing.
    best: Option<f64>,
    cooldown_counter: u64,
    num_bad_epochs: u64,
    last_epoch: i64,
    #[serde(rename = "_last_lr")]
    last_lr: Vec<f64>,
}

impl ReduceLROnPlateau {
    /// Begins the schedule; the learning rates stay as they are.
    ///
    /// # Errors
    /// `Value` if the factor is not below 1 or `min_lr` does not fit the optimiser's groups.
    pub fn new(
        optimizer: &mut dyn Optimizer,
        options: ReduceLROnPlateauOptions,
    ) -> Result<ReduceLROnPlateau> {
        ensure!(
            options.factor < 1.0,
            Value,
            "ReduceLROnPlateau: Factor should be < 1.0."
        );
        let groups = optimizer.param_groups().len();
        if let PerGroup::Each(values) = &options.min_lr
            && values.len() != groups
        {
            bail!(
                Value,
                "ReduceLROnPlateau: expected {groups} min_lrs, got {}",
                values.len()
            )
        }
        Ok(ReduceLROnPlateau {
            options,
            best: None,
            cooldown_counter: 0,
            num_bad_epochs: 0,
            last_epoch: 0,
            last_lr: learning_rates(optimizer),
        })
    }

    /// Takes an epoch's measurement and lowers the learning rates if it has not improved for too long.
    ///
    /// # Errors
    /// `Value` if `min_lr` is a list and the optimiser's groups have become more.
    pub fn step(&mut self, optimizer: &mut dyn Optimizer, metric: f64) -> Result<()> {
        self.last_epoch += 1;
        if self.is_better(metric) {
            self.best = Some(metric);
            self.num_bad_epochs = 0;
        } else {
            self.num_bad_epochs += 1;
        }
        if self.cooldown_counter > 0 {
            self.cooldown_counter -= 1;
            self.num_bad_epochs = 0;
        }
        if self.num_bad_epochs > self.options.patience {
            self.reduce(optimizer)?;
            self.cooldown_counter = self.options.cooldown;
            self.num_bad_epochs = 0;
        }
        self.last_lr = learning_rates(optimizer);
        Ok(())
    }

    fn is_better(&self, metric: f64) -> bool {
        let ReduceLROnPlateauOptions {
            mode,
            threshold,
            threshold_mode,
            ..
        } = self.options;
        let worst = match mode {
            PlateauMode::Min => f64::INFINITY,
            PlateauMode::Max => f64::NEG_INFINITY,
        };
        let best = self.best.unwrap_or(worst);
        match (mode, threshold_mode) {
            (PlateauMode::Min, ThresholdMode::Rel) => metric < best * (1.0 - threshold),
            (PlateauMode::Min, ThresholdMode::Abs) => metric < best - threshold,
            (PlateauMode::Max, ThresholdMode::Rel) => metric > best * (threshold + 1.0),
            (PlateauMode::Max, ThresholdMode::Abs) => metric > best + threshold,
        }
    }

    fn reduce(&self, optimizer: &mut dyn Optimizer) -> Result<()> {
        for (i, group) in optimizer.param_groups_mut().into_iter().enumerate() {
            let old = group.lr();
            let lowest = self.options.min_lr.at(i);
            let new = (old * self.options.factor).max(lowest.map_err(|e| e.context("ReduceLROnPlateau"))?);
            if old - new > self.options.eps {
                group.set_lr(new);
            }
        }
        Ok(())
    }

    /// The learning rates after the last step, one per group.
    pub fn last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    /// Where the schedule stands and what it does, as data.
    ///
    /// # Errors
    /// `Format` if a number can't be written.
    pub fn state_dict(&self) -> Result<Json> {
        serde_json::to_value(self).map_err(json_error)
    }

    /// Takes over a saved state.
    ///
    /// # Errors
    /// `Format` if the state is of another schedule.
    pub fn load_state_dict(&mut self, state: &Json) -> Result<()> {
        *self =
            ReduceLROnPlateau::deserialize(state).map_err(|e| json_error(e).context("ReduceLROnPlateau"))?;
        Ok(())
    }
}
