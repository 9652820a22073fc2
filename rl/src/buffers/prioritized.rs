//! A replay buffer that draws what was estimated badly more often.
//!
//! Schaul et al., *Prioritized experience replay* (2016): with probability `pᵢ^α / Σ pᵏ^α`, where `p` is the last error; the
//! weights `(N · P)^-β` make up for it.

use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, Tensor, ensure};
use flambeau_trainer::Checkpoint;
use serde::{Deserialize, Serialize};

use super::{Batch, Replay, ReplayBuffer, Transition};

/// Options of [`PrioritizedReplayBuffer`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PrioritizedOptions {
    /// How much errors count: 0 not at all.
    pub alpha: f64,
    /// How much the weights make up for it at first; 1 in the end.
    pub beta: f64,
    /// Added to errors, so that each transition can be drawn.
    pub epsilon: f64,
}

impl Default for PrioritizedOptions {
    fn default() -> Self {
        PrioritizedOptions {
            alpha: 0.6,
            beta: 0.4,
            epsilon: 1e-6,
        }
    }
}

/// The last transitions, drawn by their priorities.
#[derive(Clone, Debug)]
pub struct PrioritizedReplayBuffer {
    buffer: ReplayBuffer,
    options: PrioritizedOptions,
    /// A binary tree of sums: the leaves are priorities to the power of alpha, the root, at 1, is their sum.
    sums: Vec<f64>,
    /// What a new transition gets: the largest priority so far, so that each is drawn soon.
    largest: f64,
    beta: f64,
}

impl PrioritizedReplayBuffer {
    /// A buffer, empty or not, with priorities.
    ///
    /// # Errors
    /// `Value` unless alpha and beta are in `[0, 1]` and epsilon is above 0.
    pub fn new(buffer: ReplayBuffer, options: PrioritizedOptions) -> Result<PrioritizedReplayBuffer> {
        let unit = 0.0..=1.0;
        ensure!(
            unit.contains(&options.alpha) && unit.contains(&options.beta) && options.epsilon > 0.0,
            Value,
            "PrioritizedReplayBuffer: expected alpha and beta in [0, 1] and epsilon > 0, got {options:?}"
        );
        let mut prioritized = PrioritizedReplayBuffer {
            sums: vec![0.0; 2 * buffer.capacity().next_power_of_two()],
            beta: options.beta,
            largest: 1.0,
            options,
            buffer,
        };
        (0..prioritized.buffer.len()).for_each(|i| prioritized.set(i, 1.0));
        Ok(prioritized)
    }

    fn set(&mut self, index: usize, priority: f64) {
        let mut node = self.sums.len() / 2 + index;
        self.sums[node] = priority;
        while node > 1 {
            node /= 2;
            self.sums[node] = self.sums[2 * node] + self.sums[2 * node + 1];
        }
    }

    /// The leaf up to which the priorities sum to `mass`.
    fn find(&self, mut mass: f64) -> usize {
        let leaves = self.sums.len() / 2;
        let mut node = 1;
        while node < leaves {
            node *= 2;
            // Where rounding has left too much, the right half may be empty.
            if mass >= self.sums[node] && self.sums[node + 1] > 0.0 {
                mass -= self.sums[node];
                node += 1;
            }
        }
        node - leaves
    }
}

impl Replay for PrioritizedReplayBuffer {
    fn push(&mut self, transition: &Transition) -> Result<()> {
        let place = self.buffer.position();
        self.buffer.push(transition)?;
        self.set(place, self.largest);
        Ok(())
    }

    fn len(&self) -> usize {
        self.buffer.len()
    }

    fn sample(&mut self, batch_size: usize, generator: &mut Generator) -> Result<Batch> {
        ensure!(
            !self.is_empty(),
            Value,
            "PrioritizedReplayBuffer: there is nothing to draw from"
        );
        let total = self.sums[1];
        // One from each of as many equal parts.
        let part = total / batch_size as f64;
        let indices: Vec<usize> = (0..batch_size)
            .map(|i| self.find((i as f64 + generator.next_f64()) * part))
            .collect();
        let (leaves, len) = (self.sums.len() / 2, self.len() as f64);
        let weights: Vec<f64> = indices
            .iter()
            .map(|i| (len * self.sums[leaves + i] / total).powf(-self.beta))
            .collect();
        let most = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let weights: Vec<f32> = weights.into_iter().map(|weight| (weight / most) as f32).collect();
        let mut batch = self.buffer.batch(indices)?;
        batch.weights = Some(Tensor::from_vec(weights, batch_size)?);
        Ok(batch)
    }

    fn update_priorities(&mut self, indices: &[usize], errors: &[f32]) {
        for (&index, error) in indices.iter().zip(errors) {
            let priority = (f64::from(error.abs()) + self.options.epsilon).powf(self.options.alpha);
            self.largest = self.largest.max(priority);
            self.set(index, priority);
        }
    }

    fn set_progress(&mut self, progress: f64) {
        self.beta = self.options.beta + (1.0 - self.options.beta) * progress.clamp(0.0, 1.0);
    }

    fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let leaves = self.sums.len() / 2;
        self.buffer.save(checkpoint)?;
        checkpoint.set(
            "priorities",
            &(&self.sums[leaves..leaves + self.len()], self.largest, self.beta),
        )
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.buffer.load(checkpoint)?;
        let (priorities, largest, beta): (Vec<f64>, f64, f64) = checkpoint.get("priorities")?;
        ensure!(
            priorities.len() == self.len(),
            Format,
            "PrioritizedReplayBuffer: expected {} priorities, got {}",
            self.len(),
            priorities.len()
        );
        (self.largest, self.beta) = (largest, beta);
        for (i, priority) in priorities.into_iter().enumerate() {
            self.set(i, priority);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_estimated_badly_is_drawn_more_often_and_counts_less() {
        let buffer = ReplayBuffer::new(6, 1, 1).unwrap();
        let options = PrioritizedOptions {
            alpha: 1.0,
            beta: 1.0,
            ..Default::default()
        };
        let mut buffer = PrioritizedReplayBuffer::new(buffer, options).unwrap();
        for i in 0..8 {
            let row = vec![i as f32];
            buffer
                .push(&Transition {
                    observation: row.clone(),
                    action: row.clone(),
                    reward: i as f32,
                    next_observation: row,
                    terminated: false,
                    discount: 1.0,
                })
                .unwrap();
        }
        buffer.update_priorities(&[0, 1, 2, 3, 4, 5], &[1.0, 2.0, 3.0, -4.0, 0.0, 10.0]);
        let batch = buffer.sample(20_000, &mut Generator::new(0)).unwrap();
        let share = |place| batch.indices.iter().filter(|&&i| i == place).count() as f64 / 20_000.0;
        for (place, expected) in [1.0, 2.0, 3.0, 4.0, 0.0, 10.0].into_iter().enumerate() {
            assert!(
                (share(place) - expected / 20.0).abs() < 0.005,
                "{place}: {}",
                share(place)
            );
        }
        // The rarest of those drawn has the weight 1, twice as many draws half of it.
        let weights = batch.weights.unwrap().to_vec::<f32>().unwrap();
        let weight = |place| weights[batch.indices.iter().position(|&i| i == place).unwrap()];
        assert!((weight(0) - 1.0).abs() < 1e-6 && (weight(1) - 0.5).abs() < 1e-5);
        assert!(
            PrioritizedReplayBuffer::new(
                ReplayBuffer::new(2, 1, 1).unwrap(),
                PrioritizedOptions {
                    alpha: 2.0,
                    ..options
                }
            )
            .is_err()
        );
    }
}
