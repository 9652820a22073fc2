//! `NormalizeObservation`: observations with mean 0 and variance 1, by what has been seen so far.

use flambeau_tensor::{Result, bail};
use serde::{Deserialize, Serialize};

use super::pass_on;
use crate::{Env, Space, Step, Value};

/// Normalises observations by their running mean and variance (`gymnasium.wrappers.NormalizeObservation`).
#[derive(Debug)]
pub struct NormalizeObservation<E> {
    env: E,
    epsilon: f64,
    own: Running,
}

/// Mean and variance of each element, updated by Chan's method.
#[derive(Debug, Serialize, Deserialize)]
struct Running {
    mean: Vec<f64>,
    var: Vec<f64>,
    count: f64,
}

impl<E: Env> NormalizeObservation<E> {
    /// The environment with normalised observations; `epsilon`, 1e-8 in Gymnasium, is added to variances.
    ///
    /// # Errors
    /// `Value` if observations are not arrays.
    pub fn new(env: E, epsilon: f64) -> Result<NormalizeObservation<E>> {
        let len = match env.observation_space() {
            Space::Box { low, .. } => low.len(),
            space => bail!(
                Value,
                "NormalizeObservation: expected observations of a Box, got {space}"
            ),
        };
        let own = Running {
            mean: vec![0.0; len],
            var: vec![1.0; len],
            count: 1e-4,
        };
        Ok(NormalizeObservation { env, epsilon, own })
    }

    fn normalized(&mut self, observation: &Value) -> Value {
        let Running { mean, var, count } = &mut self.own;
        let total = *count + 1.0;
        let elements = observation.as_box().unwrap_or_default().iter();
        let normal = elements
            .zip(mean.iter_mut().zip(var.iter_mut()))
            .map(|(&x, (mean, var))| {
                let delta = f64::from(x) - *mean;
                *mean += delta / total;
                *var = (*var * *count + delta * delta * *count / total) / total;
                ((f64::from(x) - *mean) / (*var + self.epsilon).sqrt()) as f32
            })
            .collect();
        *count = total;
        Value::Box(normal)
    }
}

impl<E: Env> Env for NormalizeObservation<E> {
    pass_on!(action_space, render, state);

    fn observation_space(&self) -> Space {
        match self.env.observation_space() {
            Space::Box { low, shape, .. } => Space::Box {
                low: vec![f32::NEG_INFINITY; low.len()],
                high: vec![f32::INFINITY; low.len()],
                shape,
            },
            other => other,
        }
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        let first = self.env.reset(seed)?;
        Ok(self.normalized(&first))
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        let mut step = self.env.step(action)?;
        step.observation = self.normalized(&step.observation);
        Ok(step)
    }
}
