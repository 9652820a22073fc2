//! Schedules by a function of the epoch: `LambdaLR` (a factor of the first learning rate) and `MultiplicativeLR` (a factor
//! of the last one).

use std::fmt;

use flambeau_tensor::{Result, bail, ensure};
use serde_json::{Value as Json, json};

use super::scheduled::{Progress, Schedule, Scheduled};
use crate::{Optimizer, ParamGroup};

/// A factor as a function of the epoch.
pub type LrLambda = Box<dyn Fn(i64) -> f64 + Send + Sync>;

/// Functions of the epoch: one for all groups, or one for each.
struct Lambdas(Vec<LrLambda>);

impl fmt::Debug for Lambdas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} functions", self.0.len())
    }
}

impl Lambdas {
    /// Refuses a list of another length than the number of groups.
    fn check(&self, optimizer: &dyn Optimizer) -> Result<()> {
        let (groups, got) = (optimizer.param_groups().len(), self.0.len());
        ensure!(
            got == 1 || got == groups,
            Value,
            "Expected {groups} lr_lambdas, but got {got}"
        );
        Ok(())
    }

    fn at(&self, group: usize, epoch: i64) -> Result<f64> {
        let lambda = if self.0.len() == 1 {
            self.0.first()
        } else {
            self.0.get(group)
        };
        match lambda {
            Some(lambda) => Ok(lambda(epoch)),
            None => bail!(Value, "no function for group {group}"),
        }
    }
}

/// Declares options that are functions.
macro_rules! lambda_options {
    ($($(#[$doc:meta])* $Options:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $Options(Lambdas);

        impl $Options {
            /// The same function for all groups.
            pub fn new(lr_lambda: impl Fn(i64) -> f64 + Send + Sync + 'static) -> Self {
                $Options(Lambdas(vec![Box::new(lr_lambda)]))
            }

            /// One function for each group.
            pub fn per_group(lr_lambdas: Vec<LrLambda>) -> Self {
                $Options(Lambdas(lr_lambdas))
            }
        }
    )* };
}

lambda_options! {
    /// Options of [`LambdaLR`]: the factor by epoch.
    LambdaLROptions;
    /// Options of [`MultiplicativeLR`]: the factor by epoch.
    MultiplicativeLROptions;
}

/// The learning rate before any schedule times a function of the epoch (`LambdaLR`).
///
/// ```
/// use flambeau_optim::lr_scheduler::{LRScheduler, LambdaLR, LambdaLROptions};
/// use flambeau_optim::{SGD, SGDOptions};
/// use flambeau_tensor::Tensor;
///
/// let mut optimizer = SGD::new([Tensor::new([1.0f32])?], SGDOptions { lr: 0.5, ..Default::default() })?;
/// let warm_up = |epoch: i64| (epoch as f64 / 4.0).min(1.0);
/// let mut scheduler = LambdaLR::new(&mut optimizer, LambdaLROptions::new(warm_up))?;
/// scheduler.step(&mut optimizer)?;
/// assert_eq!(scheduler.last_lr(), [0.125]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub type LambdaLR = Scheduled<LambdaLROptions>;

/// The last learning rate times a function of the epoch (`MultiplicativeLR`).
pub type MultiplicativeLR = Scheduled<MultiplicativeLROptions>;

impl Schedule for LambdaLROptions {
    const NAME: &'static str = "LambdaLR";

    fn attach(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.0.check(optimizer)
    }

    fn lr(&self, now: &Progress, index: usize, _group: &dyn ParamGroup) -> Result<f64> {
        Ok(now.base_lr(index)? * self.0.at(index, now.last_epoch)?)
    }

    fn to_json(&self) -> Result<Json> {
        Ok(json!({}))
    }

    fn set_json(&mut self, _state: &Json) -> Result<()> {
        Ok(())
    }
}

impl Schedule for MultiplicativeLROptions {
    const NAME: &'static str = "MultiplicativeLR";

    fn attach(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.0.check(optimizer)
    }

    fn lr(&self, now: &Progress, index: usize, group: &dyn ParamGroup) -> Result<f64> {
        if now.initial {
            return Ok(group.lr());
        }
        Ok(group.lr() * self.0.at(index, now.last_epoch)?)
    }

    fn to_json(&self) -> Result<Json> {
        Ok(json!({}))
    }

    fn set_json(&mut self, _state: &Json) -> Result<()> {
        Ok(())
    }
}
