//! What all algorithms have in common: the environments, the random numbers and what has been measured.

use std::collections::BTreeMap;

use flambeau_tensor::random::Generator;
use flambeau_tensor::{Error, Result};
use flambeau_trainer::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::{Episode, Value, VecEnv, VecStep};

/// An episode, and how many steps had been taken when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// The steps of all environments together.
    pub timesteps: u64,
    /// The episode.
    pub episode: Episode,
}

/// The environments of a training, its random numbers and its measurements.
#[derive(Debug)]
pub struct Runner {
    /// The environments.
    pub envs: VecEnv,
    /// What actions and batches are drawn with.
    pub generator: Generator,
    counts: Counts,
    episodes: Vec<Timed>,
    record: BTreeMap<&'static str, f64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Counts {
    timesteps: u64,
    updates: u64,
}

impl Runner {
    /// The beginning of a training.
    pub fn new(envs: VecEnv, seed: u64) -> Runner {
        Runner {
            envs,
            generator: Generator::new(seed),
            counts: Counts::default(),
            episodes: Vec::new(),
            record: BTreeMap::new(),
        }
    }

    /// How many steps have been taken, in all environments together.
    pub fn timesteps(&self) -> u64 {
        self.counts.timesteps
    }

    /// How often the networks have been changed.
    pub fn updates(&self) -> u64 {
        self.counts.updates
    }

    /// Counts a change of the networks.
    pub fn count_update(&mut self) {
        self.counts.updates += 1;
    }

    /// The episodes that have ended.
    pub fn episodes(&self) -> &[Timed] {
        &self.episodes
    }

    /// The mean reward of the last 100 episodes, if one has ended (`rollout/ep_rew_mean`).
    pub fn mean_reward(&self) -> Option<f64> {
        let last = &self.episodes[self.episodes.len().saturating_sub(100)..];
        let sum: f64 = last.iter().map(|timed| timed.episode.reward).sum();
        (!last.is_empty()).then(|| sum / last.len() as f64)
    }

    /// What the last update was like: losses and so on.
    pub fn record(&self) -> &BTreeMap<&'static str, f64> {
        &self.record
    }

    /// Writes down what an update was like.
    pub fn set_record(&mut self, name: &'static str, value: f64) {
        self.record.insert(name, value);
    }

    /// How much of the training remains, from 1 to 0.
    pub fn remaining(&self, total_timesteps: u64) -> f64 {
        1.0 - (self.counts.timesteps as f64 / total_timesteps.max(1) as f64).min(1.0)
    }

    /// Acts in all environments.
    ///
    /// # Errors
    /// As [`VecEnv::step`].
    pub fn step(&mut self, actions: &[Value]) -> Result<VecStep> {
        let step = self.envs.step(actions)?;
        self.counts.timesteps += self.envs.len() as u64;
        let timesteps = self.counts.timesteps;
        let finished = self.envs.take_finished().into_iter();
        self.episodes
            .extend(finished.map(|episode| Timed { timesteps, episode }));
        Ok(step)
    }

    /// Puts everything into a checkpoint.
    pub(super) fn save_into(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        checkpoint.set("envs", &self.envs.state()?)?;
        checkpoint.set("generator", &self.generator.to_bytes())?;
        checkpoint.set("counts", &self.counts)?;
        checkpoint.set("episodes", &self.episodes)
    }

    /// Takes over what a checkpoint has.
    pub(super) fn load_from(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.envs.set_state(checkpoint.get("envs")?)?;
        let random: Vec<u8> = checkpoint.get("generator")?;
        self.generator
            .set_bytes(&random)
            .map_err(|error| Error::Format(format!("generator: {error}")))?;
        self.counts = checkpoint.get("counts")?;
        self.episodes = checkpoint.get("episodes")?;
        Ok(())
    }
}
