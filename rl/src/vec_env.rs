//! Several environments side by side (`DummyVecEnv`, `VecMonitor`), in one thread or in several (`SubprocVecEnv`).

mod workers;

use flambeau_tensor::{Result, Tensor, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::env::{from_json, to_json};
use crate::{Env, Space, Value};
use workers::Workers;

/// An episode that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The sum of its rewards.
    pub reward: f64,
    /// How many steps it took.
    pub length: usize,
}

/// What a step of all environments gives.
#[derive(Clone, Debug)]
pub struct VecStep {
    /// What came of each step, `[envs × features]`: for an episode that ended, its last observation.
    pub next_observations: Vec<f32>,
    /// The reward of each.
    pub rewards: Vec<f32>,
    /// Which episodes came to their end.
    pub terminated: Vec<bool>,
    /// Which episodes were broken off.
    pub truncated: Vec<bool>,
}

impl VecStep {
    /// Which episodes ended, one way or the other.
    pub fn dones(&self) -> impl Iterator<Item = bool> + '_ {
        self.terminated.iter().zip(&self.truncated).map(|(&a, &b)| a || b)
    }
}

/// Environments of one kind that are stepped together. One whose episode ends begins the next at once.
///
/// Observations are flattened to `float32` ([`Space::flatten`]): what networks see.
pub struct VecEnv {
    envs: Vec<Box<dyn Env>>,
    count: usize,
    workers: Workers,
    observation_space: Space,
    action_space: Space,
    own: Own,
}

#[derive(Default, Serialize, Deserialize)]
struct Own {
    observations: Vec<f32>,
    running: Vec<Episode>,
    finished: Vec<Episode>,
}

const NO_STEPS: Episode = Episode {
    reward: 0.0,
    length: 0,
};

impl VecEnv {
    /// `count` environments that `make` makes, whose episodes begin with the seeds `seed`, `seed + 1`, ….
    ///
    /// # Errors
    /// `Value` if the count is 0 or the environments differ in their spaces; those of `make`.
    pub fn new(count: usize, seed: u64, mut make: impl FnMut() -> Result<Box<dyn Env>>) -> Result<VecEnv> {
        ensure!(count > 0, Value, "VecEnv: expected at least 1 environment, got 0");
        let envs = (0..count).map(|_| make()).collect::<Result<Vec<_>>>()?;
        let mut all = VecEnv {
            observation_space: envs[0].observation_space(),
            action_space: envs[0].action_space(),
            count,
            envs,
            workers: Workers::default(),
            own: Own::default(),
        };
        for env in &all.envs {
            let spaces = (env.observation_space(), env.action_space());
            ensure!(
                spaces.0 == all.observation_space && spaces.1 == all.action_space,
                Value,
                "VecEnv: expected environments with one kind of observations and actions, got {} → {} and {} → {}",
                all.observation_space,
                all.action_space,
                spaces.0,
                spaces.1
            );
        }
        all.reset(seed)?;
        Ok(all)
    }

    /// Steps the environments in so many threads (`SubprocVecEnv`), the calling one included. What happens is the same whatever
    /// their number, and whether it changes in between.
    ///
    /// That pays if a step of the environments of one thread takes longer than handing them over, some hundredths of a
    /// millisecond: simulations do, those of [`crate::envs`] do not.
    ///
    /// # Errors
    /// `Value` if it is 0; `Io` if a thread can't be started.
    pub fn with_threads(mut self, threads: usize) -> Result<VecEnv> {
        ensure!(threads > 0, Value, "VecEnv: expected at least 1 thread, got 0");
        self.workers = Workers::new(threads.min(self.count))?;
        Ok(self)
    }

    /// Begins all episodes anew, with the seeds `seed`, `seed + 1`, ….
    ///
    /// # Errors
    /// Those of the environments.
    pub fn reset(&mut self, seed: u64) -> Result<()> {
        self.own = Own {
            running: vec![NO_STEPS; self.count],
            ..Own::default()
        };
        for (i, env) in self.envs.iter_mut().enumerate() {
            let first = env.reset(Some(seed.wrapping_add(i as u64)))?;
            self.observation_space
                .flatten(&first, &mut self.own.observations)?;
        }
        Ok(())
    }

    /// How many environments there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none, which is not so.
    pub fn is_empty(&self) -> bool {
        self.envs.is_empty()
    }

    /// Which observations each has.
    pub fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    /// Which actions each has.
    pub fn action_space(&self) -> &Space {
        &self.action_space
    }

    /// What is seen now, `[envs × features]`.
    pub fn observations(&self) -> &[f32] {
        &self.own.observations
    }

    /// What is seen now, `[envs, features]`.
    ///
    /// # Errors
    /// None that a valid environment meets.
    pub fn observation_tensor(&self) -> Result<Tensor> {
        let features = self.own.observations.len() / self.count;
        Tensor::from_slice(&self.own.observations, (self.count, features))
    }

    /// The episodes that have ended since the last call.
    pub fn take_finished(&mut self) -> Vec<Episode> {
        std::mem::take(&mut self.own.finished)
    }

    /// Acts in each environment.
    ///
    /// # Errors
    /// `Value` for another number of actions, or for one that is not in [`VecEnv::action_space`]: then nothing has moved;
    /// those of the environments.
    pub fn step(&mut self, actions: &[Value]) -> Result<VecStep> {
        let count = self.count;
        ensure!(
            actions.len() == count,
            Value,
            "VecEnv: expected {count} actions, got {}",
            actions.len()
        );
        for (i, action) in actions.iter().enumerate() {
            let checked = self.action_space.check_action("VecEnv", action);
            checked.map_err(|error| error.context(format!("environment {i}")))?;
        }
        ensure!(
            self.envs.len() == count,
            Backend,
            "VecEnv: expected {count} environments, {} are left: one has panicked",
            self.envs.len()
        );
        let steps = self.workers.step(&mut self.envs, actions)?;
        let features = self.own.observations.len() / count;
        let mut all = VecStep {
            next_observations: Vec::with_capacity(count * features),
            rewards: Vec::with_capacity(count),
            terminated: Vec::with_capacity(count),
            truncated: Vec::with_capacity(count),
        };
        let mut observations = Vec::with_capacity(count * features);
        for (stepped, running) in steps.into_iter().zip(&mut self.own.running) {
            let stepped = stepped?;
            let space = &self.observation_space;
            space.flatten(stepped.seen(), &mut observations)?;
            let step = stepped.step;
            space.flatten(&step.observation, &mut all.next_observations)?;
            running.reward += step.reward;
            running.length += 1;
            if step.done() {
                self.own.finished.push(std::mem::replace(running, NO_STEPS));
            }
            all.rewards.push(step.reward as f32);
            all.terminated.push(step.terminated);
            all.truncated.push(step.truncated);
        }
        self.own.observations = observations;
        Ok(all)
    }

    /// Everything that later steps depend on, as data.
    ///
    /// # Errors
    /// Those of [`Env::state`].
    pub fn state(&self) -> Result<Json> {
        let states = self
            .envs
            .iter()
            .map(|env| env.state())
            .collect::<Result<Vec<_>>>()?;
        Ok(Json::Array(vec![Json::Array(states), to_json(&self.own)?]))
    }

    /// Takes over what [`VecEnv::state`] gave.
    ///
    /// # Errors
    /// `Format` if it is that of other environments or of another number of them.
    pub fn set_state(&mut self, state: Json) -> Result<()> {
        let (states, own): (Vec<Json>, Own) = from_json(state)?;
        ensure!(
            states.len() == self.count && own.observations.len() == self.own.observations.len(),
            Format,
            "set_state: expected the state of {} environments, got that of {}",
            self.count,
            states.len()
        );
        for (env, state) in self.envs.iter_mut().zip(states) {
            env.set_state(state)?;
        }
        self.own = own;
        Ok(())
    }
}

impl std::fmt::Debug for VecEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "VecEnv({} × {} → {})",
            self.count, self.observation_space, self.action_space
        )
    }
}
