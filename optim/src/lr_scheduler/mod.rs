//! Learning rate schedules: PyTorch's `torch.optim.lr_scheduler`.
//!
//! A schedule does not keep the optimiser borrowed: it is given it at each step.
//!
//! ```
//! use flambeau_optim::lr_scheduler::{LRScheduler, StepLR, StepLROptions};
//! use flambeau_optim::{Optimizer, SGD, SGDOptions};
//! use flambeau_tensor::Tensor;
//!
//! let weight = Tensor::new([1.0f32])?.requires_grad(true)?;
//! let mut optimizer = SGD::new([weight], SGDOptions { lr: 0.1, ..Default::default() })?;
//! let mut scheduler = StepLR::new(&mut optimizer, StepLROptions { gamma: 0.5, ..StepLROptions::new(2) })?;
//! let mut seen = Vec::new();
//! for _epoch in 0..4 {
//!     seen.push(scheduler.last_lr()[0]);
//!     optimizer.step()?;
//!     scheduler.step(&mut optimizer)?;
//! }
//! assert_eq!(seen, [0.1, 0.1, 0.05, 0.05]);
//! # Ok::<(), flambeau_tensor::Error>(())
//! ```
//!
//! As in PyTorch, most schedules change the learning rate that the group has, so that several can be applied in turn
//! ([`ChainedScheduler`]). A saved state ([`LRScheduler::state_dict`]) is JSON; functions are not part of it.

mod chained;
mod cosine;
mod cyclic;
mod factor;
mod lambda;
mod one_cycle;
mod per_group;
mod plateau;
mod scheduled;
mod sequential;
mod steps;
mod swa;

pub use chained::ChainedScheduler;
pub use cosine::{
    CosineAnnealingLR, CosineAnnealingLROptions, CosineAnnealingWarmRestarts,
    CosineAnnealingWarmRestartsOptions, WarmRestarts,
};
pub use cyclic::{CyclicLR, CyclicLROptions, CyclicMode, ScaleFn, ScaleMode};
pub use factor::{
    ConstantLR, ConstantLROptions, ExponentialLR, ExponentialLROptions, LinearLR, LinearLROptions,
    PolynomialLR, PolynomialLROptions,
};
pub use lambda::{LambdaLR, LambdaLROptions, LrLambda, MultiplicativeLR, MultiplicativeLROptions};
pub use one_cycle::{OneCycleLR, OneCycleLROptions};
pub use per_group::PerGroup;
pub use plateau::{PlateauMode, ReduceLROnPlateau, ReduceLROnPlateauOptions, ThresholdMode};
pub use scheduled::{Progress, Schedule, Scheduled};
pub use sequential::SequentialLR;
pub use steps::{MultiStepLR, MultiStepLROptions, StepLR, StepLROptions};
pub use swa::{SWALR, SWALROptions};

use std::f64::consts::PI;

use flambeau_tensor::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Optimizer;

/// A schedule that is stepped without a measurement (`torch.optim.lr_scheduler.LRScheduler`); see
/// [`ReduceLROnPlateau`] for the one that wants one.
pub trait LRScheduler: Send + Sync {
    /// Sets the learning rates (and momenta, for some schedules) of the next epoch or batch. Call it after the
    /// optimiser's step.
    ///
    /// # Errors
    /// `Value` if the schedule is over or the optimiser has other groups than when it began.
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()>;

    /// The learning rates last set, one per group (`get_last_lr`).
    fn last_lr(&self) -> &[f64];

    /// Where the schedule stands and what it does, as data.
    ///
    /// # Errors
    /// `Format` if a number can't be written.
    fn state_dict(&self) -> Result<Json>;

    /// Takes over a saved state. The optimiser's learning rates are part of its own state.
    ///
    /// # Errors
    /// `Format` if the state is of another schedule.
    fn load_state_dict(&mut self, state: &Json) -> Result<()>;

    /// Takes the first step back: [`SequentialLR`] lets its schedules begin when their turn comes.
    fn undo(&mut self);

    /// Takes the first step, to epoch 0.
    ///
    /// # Errors
    /// As [`LRScheduler::step`].
    fn begin(&mut self, optimizer: &mut dyn Optimizer) -> Result<()>;

    /// Sets the learning rates of epoch 0, whatever they are now.
    ///
    /// # Errors
    /// As [`LRScheduler::step`]; `Unsupported` if the schedule consists of others.
    fn restart(&mut self, optimizer: &mut dyn Optimizer) -> Result<()>;
}

/// The shape of the way from one value to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnealStrategy {
    /// Half a wave of a cosine.
    #[default]
    Cos,
    /// A straight line.
    Linear,
}

impl AnnealStrategy {
    /// The value after the part `done` of the way.
    fn between(self, start: f64, end: f64, done: f64) -> f64 {
        match self {
            AnnealStrategy::Cos => end + (start - end) / 2.0 * ((PI * done).cos() + 1.0),
            AnnealStrategy::Linear => (end - start) * done + start,
        }
    }
}

/// The current learning rates.
fn learning_rates(optimizer: &dyn Optimizer) -> Vec<f64> {
    optimizer.param_groups().iter().map(|group| group.lr()).collect()
}

/// Refuses to begin anew what consists of several schedules, as PyTorch does.
fn cannot_restart(name: &str) -> Result<()> {
    bail!(
        Unsupported,
        "SequentialLR: a {name} can't stand after the first place"
    )
}

/// Sets the momentum of all groups; they must have one.
fn begin_momentum(name: &str, optimizer: &mut dyn Optimizer, momentum: &PerGroup) -> Result<()> {
    for (i, group) in optimizer.param_groups_mut().into_iter().enumerate() {
        if group.momentum().is_none() {
            bail!(
                Value,
                "{name}: optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        }
        group.set_momentum(momentum.at(i)?);
    }
    Ok(())
}
