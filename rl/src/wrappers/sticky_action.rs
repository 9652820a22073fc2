//! `StickyAction`: sometimes the action before is repeated, so that no fixed sequence of actions solves a game.
//!
//! Machado et al., *Revisiting the Arcade Learning Environment* (2018).

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::pass_on;
use crate::{Env, Pcg64, Step, Value};

/// Repeats the action before with a probability (`gymnasium.wrappers.StickyAction`).
#[derive(Debug)]
pub struct StickyAction<E> {
    env: E,
    probability: f64,
    own: Own,
}

#[derive(Debug, Serialize, Deserialize)]
struct Own {
    last: Option<Value>,
    rng: Pcg64,
}

impl<E: Env> StickyAction<E> {
    /// The environment, with a probability that the action before is repeated.
    ///
    /// # Errors
    /// `Value` unless the probability is in `[0, 1)`.
    pub fn new(env: E, probability: f64) -> Result<StickyAction<E>> {
        ensure!(
            (0.0..1.0).contains(&probability),
            Value,
            "StickyAction: expected a probability in [0, 1), got {probability}"
        );
        let own = Own {
            last: None,
            rng: Pcg64::new(0),
        };
        Ok(StickyAction {
            env,
            probability,
            own,
        })
    }
}

impl<E: Env> Env for StickyAction<E> {
    pass_on!(observation_space, action_space, render, state);

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.own.rng = Pcg64::new(seed);
        }
        self.own.last = None;
        self.env.reset(seed)
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        let sticks = self.own.rng.random() < self.probability;
        let action = match self.own.last.take() {
            Some(last) if sticks => last,
            _ => action.clone(),
        };
        let step = self.env.step(&action);
        self.own.last = Some(action);
        step
    }
}
