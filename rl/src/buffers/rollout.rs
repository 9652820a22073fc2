//! What a policy did since it was last changed, with returns and advantages (`RolloutBuffer`).
//!
//! Schulman et al., *High-dimensional continuous control using generalized advantage estimation* (2016):
//! `Aₜ = δₜ + γλ Aₜ₊₁` with `δₜ = rₜ + γ V(sₜ₊₁) - V(sₜ)`.

use flambeau_tensor::random::Generator;
use flambeau_tensor::{DType, Result, Tensor, ensure};

/// Steps of several environments, in the order in which they happened.
#[derive(Clone, Debug, Default)]
pub struct RolloutBuffer {
    envs: usize,
    features: usize,
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    /// Whether the episode ended with the step.
    dones: Vec<bool>,
    values: Vec<f32>,
    log_probs: Vec<f32>,
    advantages: Vec<f32>,
    returns: Vec<f32>,
}

/// Steps to learn from.
#[derive(Clone, Debug)]
pub struct RolloutBatch {
    /// `[batch, features]`.
    pub observations: Tensor,
    /// `[batch]` as `int64`, or `[batch, dimensions]`.
    pub actions: Tensor,
    /// What the states were thought to be worth, `[batch]`.
    pub old_values: Tensor,
    /// How likely the actions were, `[batch]`.
    pub old_log_prob: Tensor,
    /// How much better it went than thought, `[batch]`.
    pub advantages: Tensor,
    /// What the states were worth after all, `[batch]`.
    pub returns: Tensor,
}

impl RolloutBuffer {
    /// An empty buffer for so many environments with so many features.
    pub fn new(envs: usize, features: usize) -> RolloutBuffer {
        RolloutBuffer {
            envs,
            features,
            ..Default::default()
        }
    }

    /// How many steps of all environments there are.
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// Puts in a step of all environments: what each saw, did and got, whether its episode ended, and the policy's value and
    /// logarithm of the probability.
    ///
    /// # Errors
    /// `Shape` if there are not as many of each as environments.
    pub fn push(
        &mut self,
        observations: &[f32],
        actions: &[f32],
        rewards: &[f32],
        dones: impl Iterator<Item = bool>,
        values: &[f32],
        log_probs: &[f32],
    ) -> Result<()> {
        let envs = self.envs;
        ensure!(
            observations.len() == envs * self.features
                && [rewards.len(), values.len(), log_probs.len()] == [envs; 3]
                && actions.len().is_multiple_of(envs),
            Shape,
            "RolloutBuffer: expected a step of {envs} environments with {} features, got {} observed numbers, {} actions and {} rewards",
            self.features,
            observations.len(),
            actions.len(),
            rewards.len()
        );
        self.observations.extend_from_slice(observations);
        self.actions.extend_from_slice(actions);
        self.rewards.extend_from_slice(rewards);
        self.dones.extend(dones);
        self.values.extend_from_slice(values);
        self.log_probs.extend_from_slice(log_probs);
        Ok(())
    }

    /// Computes advantages and returns, once all steps are in. `last_values` are those of the states after the last step.
    ///
    /// # Errors
    /// `Shape` if there are not as many last values as environments.
    pub fn compute_returns_and_advantage(
        &mut self,
        last_values: &[f32],
        gamma: f64,
        gae_lambda: f64,
    ) -> Result<()> {
        ensure!(
            last_values.len() == self.envs && self.dones.len() == self.rewards.len(),
            Shape,
            "RolloutBuffer: expected {} last values, got {}",
            self.envs,
            last_values.len()
        );
        let (gamma, lambda) = (gamma as f32, gae_lambda as f32);
        self.advantages = vec![0.0; self.len()];
        let mut next_values = last_values.to_vec();
        let mut next_advantages = vec![0.0; self.envs];
        for step in (0..self.len() / self.envs).rev() {
            for env in 0..self.envs {
                let i = step * self.envs + env;
                let goes_on = if self.dones[i] { 0.0 } else { 1.0 };
                let delta = self.rewards[i] + gamma * next_values[env] * goes_on - self.values[i];
                self.advantages[i] = delta + gamma * lambda * goes_on * next_advantages[env];
                next_values[env] = self.values[i];
                next_advantages[env] = self.advantages[i];
            }
        }
        self.returns = self
            .advantages
            .iter()
            .zip(&self.values)
            .map(|(a, v)| a + v)
            .collect();
        Ok(())
    }

    /// All steps in random order, in batches of at most `batch_size`.
    ///
    /// # Errors
    /// `Value` if the batch size is 0, or [`RolloutBuffer::compute_returns_and_advantage`] was not called.
    pub fn batches(
        &self,
        batch_size: usize,
        continuous: bool,
        generator: &mut Generator,
    ) -> Result<Vec<RolloutBatch>> {
        let mut order = vec![0i64; self.len()];
        generator.permutation(&mut order);
        let order: Vec<usize> = order.into_iter().map(|i| i as usize).collect();
        ensure!(
            batch_size > 0,
            Value,
            "RolloutBuffer: expected a batch size of at least 1, got 0"
        );
        let batches = order.chunks(batch_size);
        batches.map(|indices| self.batch(indices, continuous)).collect()
    }

    /// All steps, in the order in which they happened.
    ///
    /// # Errors
    /// As [`RolloutBuffer::batches`].
    pub fn whole(&self, continuous: bool) -> Result<RolloutBatch> {
        self.batch(&(0..self.len()).collect::<Vec<_>>(), continuous)
    }

    fn batch(&self, indices: &[usize], continuous: bool) -> Result<RolloutBatch> {
        ensure!(
            self.returns.len() == self.len() && !self.is_empty(),
            Value,
            "RolloutBuffer: expected returns of {} steps, got {}: compute_returns_and_advantage comes first",
            self.len(),
            self.returns.len()
        );
        let rows = |data: &[f32]| {
            let width = data.len() / self.len();
            let rows = indices.iter().map(|i| &data[i * width..(i + 1) * width]);
            Tensor::from_vec(
                rows.flatten().copied().collect::<Vec<f32>>(),
                (indices.len(), width),
            )
        };
        let column = |data: &[f32]| rows(data)?.flatten(0, -1);
        Ok(RolloutBatch {
            observations: rows(&self.observations)?,
            actions: match continuous {
                true => rows(&self.actions)?,
                false => column(&self.actions)?.to_dtype(DType::I64)?,
            },
            old_values: column(&self.values)?,
            old_log_prob: column(&self.log_probs)?,
            advantages: column(&self.advantages)?,
            returns: column(&self.returns)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_are_sums_of_discounted_differences() {
        let mut buffer = RolloutBuffer::new(2, 1);
        let rewards = [[1.0, 0.5], [2.0, -1.0], [0.0, 3.0]];
        let values = [[0.3, 0.1], [0.7, 0.2], [-0.4, 0.9]];
        let dones = [[false, false], [true, false], [false, false]];
        for i in 0..3 {
            let row = [i as f32; 2];
            buffer
                .push(
                    &row,
                    &row,
                    &rewards[i],
                    dones[i].into_iter(),
                    &values[i],
                    &[0.0; 2],
                )
                .unwrap();
        }
        buffer
            .compute_returns_and_advantage(&[0.25, -0.5], 0.9, 0.8)
            .unwrap();
        // By the definition: the sum of (γλ)^k δ up to the episode's end.
        let last = [0.25, -0.5];
        for env in 0..2 {
            for start in 0..3 {
                let (mut sum, mut factor) = (0.0, 1.0f32);
                for t in start..3 {
                    let next = if t == 2 { last[env] } else { values[t + 1][env] };
                    let next = if dones[t][env] { 0.0 } else { next };
                    sum += factor * (rewards[t][env] + 0.9 * next - values[t][env]);
                    factor *= 0.9 * 0.8;
                    if dones[t][env] {
                        break;
                    }
                }
                let i = 2 * start + env;
                assert!((buffer.advantages[i] - sum).abs() < 1e-6);
                assert!((buffer.returns[i] - sum - values[start][env]).abs() < 1e-6);
            }
        }
        let batches = buffer.batches(4, false, &mut Generator::new(0)).unwrap();
        assert_eq!(batches.len(), 2);
        let mut seen: Vec<i64> = batches
            .iter()
            .flat_map(|b| b.actions.to_vec::<i64>().unwrap())
            .collect();
        seen.sort();
        assert_eq!(seen, [0, 0, 1, 1, 2, 2]);
        assert!(buffer.batches(0, false, &mut Generator::new(0)).is_err());
        assert!(RolloutBuffer::new(1, 1).whole(false).is_err());
    }
}
