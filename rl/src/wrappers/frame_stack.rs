//! `FrameStackObservation`: the last observations together, so that velocities can be seen.

use std::collections::VecDeque;

use flambeau_tensor::{Result, bail, ensure};

use super::pass_on;
use crate::{Env, Space, Step, Value};

/// Shows the last observations, the oldest first (`gymnasium.wrappers.FrameStackObservation`). An episode begins with its
/// first observation repeated.
#[derive(Debug)]
pub struct FrameStackObservation<E> {
    env: E,
    stack_size: usize,
    own: VecDeque<Vec<f32>>,
}

impl<E: Env> FrameStackObservation<E> {
    /// The environment, of which the last `stack_size` observations are seen.
    ///
    /// # Errors
    /// `Value` if the size is 0 or observations are not arrays.
    pub fn new(env: E, stack_size: usize) -> Result<FrameStackObservation<E>> {
        ensure!(
            stack_size > 0,
            Value,
            "FrameStackObservation: expected a stack_size of at least 1, got 0"
        );
        match env.observation_space() {
            Space::Box { .. } => Ok(FrameStackObservation {
                env,
                stack_size,
                own: VecDeque::new(),
            }),
            space => bail!(
                Value,
                "FrameStackObservation: expected observations of a Box, got {space}"
            ),
        }
    }

    fn push(&mut self, observation: Value) -> Value {
        let newest = observation.as_box().unwrap_or_default();
        while self.own.len() >= self.stack_size {
            self.own.pop_front();
        }
        while self.own.len() < self.stack_size {
            self.own.push_back(newest.to_vec());
        }
        Value::Box(self.own.iter().flatten().copied().collect())
    }
}

impl<E: Env> Env for FrameStackObservation<E> {
    pass_on!(action_space, render, state);

    fn observation_space(&self) -> Space {
        match self.env.observation_space() {
            Space::Box { low, high, shape } => Space::Box {
                low: low.repeat(self.stack_size),
                high: high.repeat(self.stack_size),
                shape: [&[self.stack_size], &shape[..]].concat(),
            },
            other => other,
        }
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        let first = self.env.reset(seed)?;
        self.own.clear();
        Ok(self.push(first))
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        let mut step = self.env.step(action)?;
        step.observation = self.push(step.observation);
        Ok(step)
    }
}
