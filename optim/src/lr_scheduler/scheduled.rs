//! Schedules that give each group's learning rate by a formula: the formula ([`Schedule`]) and how far it has come
//! ([`Scheduled`]).

use flambeau_tensor::{Error, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{LRScheduler, learning_rates};
use crate::state::json_error;
use crate::{Optimizer, ParamGroup};

/// How far a schedule has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Learning rates before any schedule, one per group.
    pub base_lrs: Vec<f64>,
    /// The number of the current epoch, from 0.
    pub last_epoch: i64,
    /// How many steps were taken, the first one at construction included.
    #[serde(rename = "_step_count")]
    pub step_count: u64,
    #[serde(rename = "_last_lr")]
    last_lr: Vec<f64>,
    /// Whether this is the step at construction.
    #[serde(skip)]
    pub initial: bool,
}

impl Progress {
    /// A group's learning rate before any schedule.
    ///
    /// # Errors
    /// `Value` if the group was added after the schedule began.
    pub fn base_lr(&self, group: usize) -> Result<f64> {
        match self.base_lrs.get(group) {
            Some(lr) => Ok(*lr),
            None => bail!(
                Value,
                "the optimiser had {} groups of parameters when the schedule began, and has a number {group} now",
                self.base_lrs.len()
            ),
        }
    }
}

/// The formula of a schedule.
pub trait Schedule: Send + Sync {
    /// The schedule's name.
    const NAME: &'static str;

    /// Checks the options, and sets what the schedule wants to begin with.
    ///
    /// # Errors
    /// `Value`, with PyTorch's text.
    fn attach(&mut self, _optimizer: &mut dyn Optimizer) -> Result<()> {
        Ok(())
    }

    /// The learning rates that the formula starts from, if not those before any schedule.
    ///
    /// # Errors
    /// `Value` if their number is wrong.
    fn base_lrs(&self, _groups: usize) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }

    /// Goes on to the next epoch.
    fn advance(&mut self, now: &mut Progress) {
        now.last_epoch += 1;
    }

    /// A group's learning rate now, from the one it has.
    ///
    /// # Errors
    /// `Value` if the schedule is over or does not know the group.
    fn lr(&self, now: &Progress, index: usize, group: &dyn ParamGroup) -> Result<f64>;

    /// A group's learning rate now, from the one before any schedule; none if there is no such formula.
    ///
    /// # Errors
    /// As [`Schedule::lr`].
    fn closed_form(&self, _now: &Progress, _index: usize) -> Result<Option<f64>> {
        Ok(None)
    }

    /// A group's momentum now; none to leave it alone.
    ///
    /// # Errors
    /// As [`Schedule::lr`].
    fn momentum(&self, _now: &Progress, _index: usize) -> Result<Option<f64>> {
        Ok(None)
    }

    /// The options and what else changes, as a JSON object.
    ///
    /// # Errors
    /// `Format` if a number can't be written.
    fn to_json(&self) -> Result<Json>;

    /// Takes over what [`Schedule::to_json`] gave.
    ///
    /// # Errors
    /// `Format` if it is of another schedule.
    fn set_json(&mut self, state: &Json) -> Result<()>;
}

/// [`Schedule::to_json`] and [`Schedule::set_json`] of options that are nothing but data.
macro_rules! as_data {
    () => {
        fn to_json(&self) -> flambeau_tensor::Result<serde_json::Value> {
            serde_json::to_value(self).map_err(crate::state::json_error)
        }

        fn set_json(&mut self, state: &serde_json::Value) -> flambeau_tensor::Result<()> {
            *self = serde::Deserialize::deserialize(state).map_err(crate::state::json_error)?;
            Ok(())
        }
    };
}
pub(super) use as_data;

/// A schedule by a formula; see the aliases, e.g. [`StepLR`](super::StepLR).
#[derive(Clone, Debug)]
pub struct Scheduled<S> {
    pub(super) schedule: S,
    pub(super) progress: Progress,
}

/// Which formula gives the learning rate.
#[derive(Clone, Copy)]
enum Form {
    Chainable,
    Closed,
}

impl<S: Schedule> Scheduled<S> {
    /// Begins the schedule: sets the learning rates of epoch 0.
    ///
    /// # Errors
    /// `Value` if an option is out of range or does not fit the optimiser.
    pub fn new(optimizer: &mut dyn Optimizer, options: impl Into<S>) -> Result<Scheduled<S>> {
        let mut new = Scheduled {
            schedule: options.into(),
            progress: Progress::default(),
        };
        new.schedule
            .attach(optimizer)
            .map_err(|error| error.context(S::NAME))?;
        for group in optimizer.param_groups_mut() {
            let lr = group.initial_lr().unwrap_or(group.lr());
            group.set_initial_lr(lr);
            new.progress.base_lrs.push(lr);
        }
        new.progress.last_epoch = -1;
        new.begin(optimizer)?;
        let groups = new.progress.base_lrs.len();
        if let Some(base_lrs) = new.schedule.base_lrs(groups)? {
            new.progress.base_lrs = base_lrs;
        }
        Ok(new)
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Its options, and what else the formula keeps.
    pub fn schedule(&self) -> &S {
        &self.schedule
    }

    pub(super) fn apply(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.set_rates(optimizer, Form::Chainable)
    }

    fn set_rates(&mut self, optimizer: &mut dyn Optimizer, form: Form) -> Result<()> {
        let in_name = |error: Error| error.context(S::NAME);
        let now = &self.progress;
        for (index, group) in optimizer.param_groups_mut().into_iter().enumerate() {
            let closed = match form {
                Form::Closed => self.schedule.closed_form(now, index).map_err(in_name)?,
                Form::Chainable => None,
            };
            let lr = match closed {
                Some(lr) => lr,
                None => self.schedule.lr(now, index, group).map_err(in_name)?,
            };
            if let Some(momentum) = self.schedule.momentum(now, index).map_err(in_name)? {
                group.set_momentum(momentum);
            }
            group.set_lr(lr);
        }
        self.progress.last_lr = learning_rates(optimizer);
        Ok(())
    }
}

impl<S: Schedule> LRScheduler for Scheduled<S> {
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.progress.step_count += 1;
        self.schedule.advance(&mut self.progress);
        self.apply(optimizer)
    }

    fn last_lr(&self) -> &[f64] {
        &self.progress.last_lr
    }

    fn state_dict(&self) -> Result<Json> {
        let mut all = Map::new();
        let progress = serde_json::to_value(&self.progress).map_err(json_error)?;
        for part in [progress, self.schedule.to_json()?] {
            if let Json::Object(part) = part {
                all.extend(part);
            }
        }
        Ok(Json::Object(all))
    }

    fn load_state_dict(&mut self, state: &Json) -> Result<()> {
        let in_name = |error: Error| error.context(S::NAME);
        let progress = Progress::deserialize(state).map_err(|e| in_name(json_error(e)))?;
        self.schedule.set_json(state).map_err(in_name)?;
        self.progress = progress;
        Ok(())
    }

    fn undo(&mut self) {
        self.progress.last_epoch -= 1;
    }

    fn begin(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.progress.step_count = 0;
        self.progress.initial = true;
        let done = self.step(optimizer);
        self.progress.initial = false;
        done
    }

    fn restart(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.progress.last_epoch = 0;
        self.set_rates(optimizer, Form::Closed)
    }
}
