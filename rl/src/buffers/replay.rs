//! A replay buffer: the last transitions, drawn with equal probability (`ReplayBuffer`).
//!
//! Lin, *Self-improving reactive agents based on reinforcement learning, planning and teaching* (1992).

use flambeau_tensor::random::Generator;
use flambeau_tensor::{DType, Result, Tensor, ensure};
use flambeau_trainer::Checkpoint;

/// A step in an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// What was seen before it.
    pub observation: Vec<f32>,
    /// The action: its number, or its elements.
    pub action: Vec<f32>,
    /// The reward for it, or for several steps.
    pub reward: f32,
    /// What was seen after it.
    pub next_observation: Vec<f32>,
    /// Whether nothing comes after it. An episode that was broken off does not count.
    pub terminated: bool,
    /// What the value of the next state counts: γ, or γⁿ after n steps.
    pub discount: f32,
}

/// Transitions to learn from.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[batch, features]`.
    pub observations: Tensor,
    /// `[batch, numbers]`.
    pub actions: Tensor,
    /// `[batch]`.
    pub rewards: Tensor,
    /// `[batch, features]`.
    pub next_observations: Tensor,
    /// What the values of the next states count, `[batch]`: 0 where nothing comes after.
    pub discounts: Tensor,
    /// How much each counts in the loss, `[batch]`, if not all the same.
    pub weights: Option<Tensor>,
    /// Where they lie in the buffer.
    pub indices: Vec<usize>,
}

/// A store of transitions.
pub trait Replay: Send {
    /// Puts a transition in, in place of the oldest one if the store is full.
    ///
    /// # Errors
    /// `Shape` if its sizes are others than before.
    fn push(&mut self, transition: &Transition) -> Result<()>;

    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Draws transitions, each time from all.
    ///
    /// # Errors
    /// `Value` if there are none.
    fn sample(&mut self, batch_size: usize, generator: &mut Generator) -> Result<Batch>;

    /// Tells how wrong the estimates for drawn transitions were.
    fn update_priorities(&mut self, _indices: &[usize], _errors: &[f32]) {}

    /// Tells how much of the training is done, from 0 to 1.
    fn set_progress(&mut self, _progress: f64) {}

    /// Puts the content into a checkpoint.
    ///
    /// # Errors
    /// `Key` if one is in it already.
    fn save(&self, checkpoint: &mut Checkpoint) -> Result<()>;

    /// Takes over the content of a checkpoint.
    ///
    /// # Errors
    /// `Key` if it has none; `Shape` if it is of a buffer of another size.
    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()>;
}

/// The last transitions, of which each is drawn with the same probability.
#[derive(Clone, Debug)]
pub struct ReplayBuffer {
    capacity: usize,
    features: usize,
    numbers: usize,
    observations: Vec<f32>,
    actions: Vec<f32>,
    next_observations: Vec<f32>,
    rewards: Vec<f32>,
    /// γ, or 0 where the episode terminated.
    discounts: Vec<f32>,
    /// Where the next one goes.
    position: usize,
}

impl ReplayBuffer {
    /// An empty buffer of so many transitions with so many features and numbers of an action. Memory is taken as it fills.
    ///
    /// # Errors
    /// `Value` if the capacity is 0.
    pub fn new(capacity: usize, features: usize, numbers: usize) -> Result<ReplayBuffer> {
        ensure!(
            capacity > 0,
            Value,
            "ReplayBuffer: expected a capacity of at least 1, got 0"
        );
        Ok(ReplayBuffer {
            capacity,
            features,
            numbers,
            observations: Vec::new(),
            actions: Vec::new(),
            next_observations: Vec::new(),
            rewards: Vec::new(),
            discounts: Vec::new(),
            position: 0,
        })
    }

    /// How many it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where the next transition goes.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The transitions at these places.
    pub(super) fn batch(&self, indices: Vec<usize>) -> Result<Batch> {
        let rows = |data: &[f32], width: usize| {
            let rows = indices.iter().map(|i| &data[i * width..(i + 1) * width]);
            Tensor::from_vec(
                rows.flatten().copied().collect::<Vec<f32>>(),
                (indices.len(), width),
            )
        };
        let column = |data: &[f32]| rows(data, 1)?.flatten(0, -1);
        Ok(Batch {
            observations: rows(&self.observations, self.features)?,
            actions: rows(&self.actions, self.numbers)?,
            rewards: column(&self.rewards)?,
            next_observations: rows(&self.next_observations, self.features)?,
            discounts: column(&self.discounts)?,
            weights: None,
            indices,
        })
    }

    fn columns(&mut self) -> [(&'static str, &mut Vec<f32>, usize); 5] {
        [
            ("observations", &mut self.observations, self.features),
            ("actions", &mut self.actions, self.numbers),
            ("next_observations", &mut self.next_observations, self.features),
            ("rewards", &mut self.rewards, 1),
            ("discounts", &mut self.discounts, 1),
        ]
    }
}

impl Replay for ReplayBuffer {
    fn push(&mut self, transition: &Transition) -> Result<()> {
        let sizes = [
            transition.observation.len(),
            transition.next_observation.len(),
            transition.action.len(),
        ];
        let expected = [self.features, self.features, self.numbers];
        ensure!(
            sizes == expected,
            Shape,
            "ReplayBuffer: expected observations of {} and an action of {} numbers, got {sizes:?}",
            self.features,
            self.numbers
        );
        let discount = if transition.terminated {
            0.0
        } else {
            transition.discount
        };
        let position = self.position;
        let rows: [&[f32]; 5] = [
            &transition.observation,
            &transition.action,
            &transition.next_observation,
            &[transition.reward],
            &[discount],
        ];
        for ((_, column, width), row) in self.columns().into_iter().zip(rows) {
            let start = position * width;
            match column.get_mut(start..start + width) {
                Some(old) => old.copy_from_slice(row),
                None => column.extend_from_slice(row),
            }
        }
        self.position = (position + 1) % self.capacity;
        Ok(())
    }

    fn len(&self) -> usize {
        self.rewards.len()
    }

    fn sample(&mut self, batch_size: usize, generator: &mut Generator) -> Result<Batch> {
        ensure!(
            !self.is_empty(),
            Value,
            "ReplayBuffer: there is nothing to draw from"
        );
        let mut indices = vec![0i64; batch_size];
        generator.random_range(&mut indices, 0, self.len() as i64);
        self.batch(indices.into_iter().map(|i| i as usize).collect())
    }

    fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let mut copy = self.clone();
        let len = self.len();
        let tensors = copy.columns().map(|(name, column, width)| {
            let tensor = Tensor::from_vec(std::mem::take(column), (len, width))?;
            Ok((name.to_string(), tensor))
        });
        let tensors: Result<Vec<_>> = tensors.into_iter().collect();
        checkpoint.set_tensors("replay", tensors?)?;
        checkpoint.set("replay_position", &self.position)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let tensors = checkpoint.tensors("replay")?;
        let capacity = self.capacity;
        let mut loaded = self.clone();
        for (name, column, width) in loaded.columns() {
            let shape = tensors.get(name).map(|tensor| tensor.shape());
            match (tensors.get(name), shape) {
                (Some(tensor), Some(&[len, columns])) if columns == width && len <= capacity => {
                    *column = tensor.to_dtype(DType::F32)?.to_vec()?;
                }
                _ => flambeau_tensor::bail!(
                    Shape,
                    "ReplayBuffer: {name}: expected at most {capacity} rows of {width}, got {shape:?}"
                ),
            }
        }
        loaded.position = checkpoint.get("replay_position")?;
        *self = loaded;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition(i: usize) -> Transition {
        Transition {
            observation: vec![i as f32, 0.0],
            action: vec![i as f32],
            reward: i as f32,
            next_observation: vec![i as f32 + 1.0, 0.0],
            terminated: i.is_multiple_of(3),
            discount: 0.9,
        }
    }

    #[test]
    fn the_newest_are_kept_and_drawn_alike() {
        let mut buffer = ReplayBuffer::new(5, 2, 1).unwrap();
        let mut generator = Generator::new(0);
        assert!(buffer.sample(1, &mut generator).is_err());
        (0..8).for_each(|i| buffer.push(&transition(i)).unwrap());
        assert_eq!(buffer.len(), 5);
        let batch = buffer.sample(5000, &mut generator).unwrap();
        let rewards = batch.rewards.to_vec::<f32>().unwrap();
        for i in 3..8 {
            let count = rewards.iter().filter(|&&r| r == i as f32).count();
            assert!((850..1150).contains(&count), "{i}: {count}");
        }
        let discounts = batch.discounts.to_vec::<f32>().unwrap();
        for (reward, discount) in rewards.iter().zip(discounts) {
            assert_eq!(discount, if reward % 3.0 == 0.0 { 0.0 } else { 0.9 });
        }
        let wrong = Transition {
            action: vec![],
            ..transition(0)
        };
        assert!(
            buffer
                .push(&wrong)
                .unwrap_err()
                .to_string()
                .contains("an action of 1 numbers")
        );
        assert!(ReplayBuffer::new(0, 2, 1).is_err());
    }

    #[test]
    fn a_saved_buffer_goes_on() {
        let mut buffer = ReplayBuffer::new(5, 2, 1).unwrap();
        (0..7).for_each(|i| buffer.push(&transition(i)).unwrap());
        let mut checkpoint = Checkpoint::new();
        buffer.save(&mut checkpoint).unwrap();
        let mut other = ReplayBuffer::new(5, 2, 1).unwrap();
        other.load(&checkpoint).unwrap();
        for buffer in [&mut buffer, &mut other] {
            buffer.push(&transition(7)).unwrap();
        }
        assert_eq!(buffer.rewards, other.rewards);
        assert_eq!(buffer.observations, other.observations);
        assert!(ReplayBuffer::new(5, 3, 1).unwrap().load(&checkpoint).is_err());
        assert!(ReplayBuffer::new(4, 2, 1).unwrap().load(&checkpoint).is_err());
    }
}
