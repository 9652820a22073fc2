//! Returns of several steps: `R = r₁ + γ r₂ + … + γⁿ⁻¹ rₙ`, after which the value counts γⁿ (Sutton, *Learning to predict by the
//! methods of temporal differences*, 1988).

use std::collections::VecDeque;

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::Transition;

/// Joins the steps of several environments into transitions of up to `n` steps, which never span two episodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NStep {
    n: usize,
    gamma: f32,
    /// Of each environment: observation, action and reward of the steps that are not complete yet.
    pending: Vec<VecDeque<Begun>>,
}

/// Observation, action and reward of a step.
type Begun = (Vec<f32>, Vec<f32>, f32);

impl NStep {
    /// Transitions of `n` steps in so many environments; with 1, those of single steps.
    ///
    /// # Errors
    /// `Value` if `n` is 0 or `gamma` is not in `[0, 1]`.
    pub fn new(n: usize, gamma: f64, envs: usize) -> Result<NStep> {
        ensure!(
            n > 0 && (0.0..=1.0).contains(&gamma),
            Value,
            "NStep: expected at least 1 step and gamma in [0, 1], got {n} and {gamma}"
        );
        Ok(NStep {
            n,
            gamma: gamma as f32,
            pending: vec![VecDeque::new(); envs],
        })
    }

    /// Takes a step of an environment and gives the transitions that are complete with it. `done` tells that the episode
    /// ended or was broken off.
    pub fn push(&mut self, env: usize, step: Transition, done: bool) -> Vec<Transition> {
        let pending = &mut self.pending[env];
        pending.push_back((step.observation, step.action, step.reward));
        let mut complete = Vec::new();
        while pending.len() == self.n || (done && !pending.is_empty()) {
            let discounted = pending
                .iter()
                .rev()
                .fold(0.0, |sum, (_, _, reward)| reward + self.gamma * sum);
            let discount = self.gamma.powi(pending.len() as i32);
            if let Some((observation, action, _)) = pending.pop_front() {
                complete.push(Transition {
                    observation,
                    action,
                    reward: discounted,
                    next_observation: step.next_observation.clone(),
                    terminated: step.terminated,
                    discount,
                });
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_steps_are_joined_and_an_end_closes_all() {
        let mut steps = NStep::new(3, 0.5, 1).unwrap();
        let mut push = |i: usize, terminated, done| {
            let step = Transition {
                observation: vec![i as f32],
                action: vec![0.0],
                reward: 1.0,
                next_observation: vec![i as f32 + 1.0],
                terminated,
                discount: 0.5,
            };
            let complete = steps.push(0, step, done);
            complete
                .iter()
                .map(|t| {
                    (
                        t.observation[0],
                        t.reward,
                        t.next_observation[0],
                        t.terminated,
                        t.discount,
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(push(0, false, false), []);
        assert_eq!(push(1, false, false), []);
        assert_eq!(push(2, false, false), [(0.0, 1.75, 3.0, false, 0.125)]);
        assert_eq!(
            push(3, true, true),
            [
                (1.0, 1.75, 4.0, true, 0.125),
                (2.0, 1.5, 4.0, true, 0.25),
                (3.0, 1.0, 4.0, true, 0.5)
            ]
        );
        assert_eq!(push(7, false, false), []);
        assert!(NStep::new(0, 0.9, 1).is_err());
    }
}
