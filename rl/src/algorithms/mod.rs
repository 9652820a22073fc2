//! Algorithms, one file each, with Stable-Baselines3's structure, names and defaults.
//!
//! A further algorithm is a file here that implements [`Algorithm`].

mod a2c;
mod dqn;
mod off_policy;
mod on_policy;
mod ppo;
mod reinforce;
mod runner;
mod sac;

pub use a2c::{A2c, A2cOptions};
pub use dqn::{Dqn, DqnOptions};
pub use ppo::{Ppo, PpoOptions};
pub use reinforce::{Reinforce, ReinforceOptions};
pub use runner::{Runner, Timed};
pub use sac::{EntCoef, Sac, SacOptions};

use std::ops::ControlFlow;

use flambeau_optim::Optimizer;
use flambeau_tensor::{Result, Tensor, ensure, no_grad};
use flambeau_trainer::Checkpoint;

use crate::policies::Policy;

/// Something that learns to act.
pub trait Algorithm {
    /// Its name, as checkpoints have it.
    fn name(&self) -> &'static str;

    /// What acts.
    fn policy(&self) -> &dyn Policy;

    /// The environments and what has been measured.
    fn runner(&self) -> &Runner;

    /// [`Algorithm::runner`], to change it.
    fn runner_mut(&mut self) -> &mut Runner;

    /// Collects some steps and learns from them. Schedules follow `total_timesteps`.
    ///
    /// # Errors
    /// Those of the environments.
    fn iterate(&mut self, total_timesteps: u64) -> Result<()>;

    /// Puts networks, optimisers and what else it remembers into a checkpoint.
    ///
    /// # Errors
    /// `Format` if something can't be written.
    fn save_into(&self, checkpoint: &mut Checkpoint) -> Result<()>;

    /// Takes over what [`Algorithm::save_into`] put in.
    ///
    /// # Errors
    /// `Key` if something is missing; `Shape` or `Format` if it is of another kind.
    fn load_from(&mut self, checkpoint: &Checkpoint) -> Result<()>;

    /// Everything that the training depends on; who restores it goes on with the same numbers.
    ///
    /// # Errors
    /// `Format` if something can't be written.
    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("algorithm", self.name())?;
        checkpoint.set_tensors("policy", self.policy().module().state_dict())?;
        self.runner().save_into(&mut checkpoint)?;
        self.save_into(&mut checkpoint)?;
        Ok(checkpoint)
    }

    /// Goes on where the training was whose checkpoint this is.
    ///
    /// # Errors
    /// `Format` if it is another algorithm's; `Key` or `Shape` if the networks differ.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let name: String = checkpoint.get("algorithm")?;
        ensure!(
            name == self.name(),
            Format,
            "restore: expected a checkpoint of {}, got one of {name}",
            self.name()
        );
        let weights = checkpoint.tensors("policy")?.into_iter().collect();
        self.policy().module().load_state_dict(&weights, true)?;
        self.runner_mut().load_from(checkpoint)?;
        self.load_from(checkpoint)
    }
}

/// Learns until so many steps have been taken in all environments together, or `after`, which is called after each
/// iteration, breaks off.
///
/// # Errors
/// Those of the algorithm and of `after`.
pub fn learn(
    algorithm: &mut dyn Algorithm,
    total_timesteps: u64,
    after: &mut dyn FnMut(&dyn Algorithm) -> Result<ControlFlow<()>>,
) -> Result<()> {
    while algorithm.runner().timesteps() < total_timesteps {
        algorithm.iterate(total_timesteps)?;
        if after(algorithm)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// A number that may fall while training goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// The same all the time.
    Constant(f64),
    /// From this number down to 0 (`lin_…` of RL Zoo).
    Linear(f64),
}

impl Schedule {
    /// The number when so much of the training remains, from 1 to 0.
    pub fn at(self, remaining: f64) -> f64 {
        match self {
            Schedule::Constant(x) => x,
            Schedule::Linear(x) => x * remaining,
        }
    }

    /// The number in the beginning.
    pub fn initial(self) -> f64 {
        self.at(1.0)
    }
}

impl From<f64> for Schedule {
    fn from(x: f64) -> Schedule {
        Schedule::Constant(x)
    }
}

/// Sets the learning rate of all groups.
fn set_lr(optimizer: &mut dyn Optimizer, lr: f64) {
    optimizer
        .param_groups_mut()
        .into_iter()
        .for_each(|group| group.set_lr(lr));
}

/// Moves targets towards what is learnt: `t ← (1 - τ)·t + τ·p` (`polyak_update`).
fn polyak_update(learnt: &[Tensor], targets: &[Tensor], tau: f64) -> Result<()> {
    no_grad(|| {
        learnt.iter().zip(targets).try_for_each(|(learnt, target)| {
            match tau {
                1.0 => target.copy_(learnt)?,
                tau => target.lerp_(learnt, tau)?,
            };
            Ok(())
        })
    })
}

/// Refuses numbers outside of their ranges; `checks` are names, values and whether they are in order.
fn check(algorithm: &str, checks: &[(&str, f64, bool)]) -> Result<()> {
    for (name, value, valid) in checks {
        ensure!(*valid, Value, "{algorithm}: {name} can't be {value}");
    }
    Ok(())
}
