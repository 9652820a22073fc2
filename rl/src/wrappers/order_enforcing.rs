//! `OrderEnforcing`: who acts before an episode has begun, or after it has ended, is told so.

use flambeau_tensor::{Result, ensure};

use super::pass_on;
use crate::{Env, Step, Value};

/// Refuses steps outside of an episode (`gymnasium.wrappers.OrderEnforcing`, which lets those after the end pass).
#[derive(Debug)]
pub struct OrderEnforcing<E> {
    env: E,
    name: &'static str,
    /// Whether an episode is running.
    own: bool,
}

impl<E: Env> OrderEnforcing<E> {
    /// The environment, with its name for the error.
    pub fn new(env: E, name: &'static str) -> OrderEnforcing<E> {
        OrderEnforcing {
            env,
            name,
            own: false,
        }
    }
}

impl<E: Env> Env for OrderEnforcing<E> {
    pass_on!(observation_space, action_space, render, state);

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        let first = self.env.reset(seed)?;
        self.own = true;
        Ok(first)
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        ensure!(
            self.own,
            Value,
            "{}: expected a step of a running episode, but it has ended, or none has begun: call reset",
            self.name
        );
        let step = self.env.step(action)?;
        self.own = !step.done();
        Ok(step)
    }
}
