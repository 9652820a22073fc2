//! SAC: an actor seeks rewards and stays as undecided as it can afford; two critics judge it.
//!
//! Haarnoja et al., *Soft actor-critic* (2018), and *Soft actor-critic algorithms and applications* (2018), where how much being
//! undecided counts is learnt.

use flambeau_autograd::Backward;
use flambeau_nn::Module;
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::ops::loss::{Reduction, mse_loss};
use flambeau_tensor::{DType, Result, Tensor, no_grad, random};
use flambeau_trainer::Checkpoint;

use super::off_policy::step_and_remember;
use super::{Algorithm, Runner, Schedule, check, polyak_update, set_lr};
use crate::VecEnv;
use crate::buffers::{Batch, NStep, Replay, ReplayBuffer};
use crate::policies::{Policy, SacPolicy, SacPolicyOptions};

/// How much being undecided counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EntCoef {
    /// It is learnt, from this number on (`"auto"`, `"auto_0.1"`).
    Auto(f64),
    /// It is always this number.
    Fixed(f64),
}

/// Options of [`Sac`]; the defaults are Stable-Baselines3's.
#[derive(Clone, Debug)]
pub struct SacOptions {
    /// The learning rate of all three Adams.
    pub learning_rate: Schedule,
    /// How many transitions are remembered.
    pub buffer_size: usize,
    /// How many steps are taken before the first update.
    pub learning_starts: u64,
    /// How many transitions an update learns from.
    pub batch_size: usize,
    /// How far the targets' critics move towards the others in each update.
    pub tau: f64,
    /// How much a reward counts that comes a step later.
    pub gamma: f64,
    /// How many steps are taken in each environment between updates.
    pub train_freq: usize,
    /// How many updates then follow.
    pub gradient_steps: usize,
    /// How much being undecided counts.
    pub ent_coef: EntCoef,
    /// How undecided it is to be; minus the number of an action's dimensions if not given.
    pub target_entropy: Option<f64>,
    /// The networks.
    pub policy: SacPolicyOptions,
}

impl Default for SacOptions {
    fn default() -> Self {
        SacOptions {
            learning_rate: Schedule::Constant(3e-4),
            buffer_size: 1_000_000,
            learning_starts: 100,
            batch_size: 256,
            tau: 0.005,
            gamma: 0.99,
            train_freq: 1,
            gradient_steps: 1,
            ent_coef: EntCoef::Auto(1.0),
            target_entropy: None,
            policy: SacPolicyOptions::default(),
        }
    }
}

/// Soft actor-critic.
pub struct Sac {
    runner: Runner,
    policy: SacPolicy,
    log_ent_coef: Tensor,
    actor_optimizer: Adam,
    critic_optimizer: Adam,
    ent_coef_optimizer: Adam,
    replay: ReplayBuffer,
    n_step: NStep,
    options: SacOptions,
}

/// The name of the logarithm of the entropy's coefficient in a checkpoint.
const LOG_ENT_COEF: &str = "log_ent_coef";

impl Sac {
    /// A learner with new networks.
    ///
    /// # Errors
    /// `Unsupported` unless actions are of [`crate::Space::Box`] with finite bounds; `Value` for options outside their ranges.
    pub fn new(envs: VecEnv, options: SacOptions, seed: u64) -> Result<Sac> {
        let (EntCoef::Auto(ent_coef) | EntCoef::Fixed(ent_coef)) = options.ent_coef;
        let unit = |x: f64| (0.0..=1.0).contains(&x);
        check(
            "SAC",
            &[
                ("batch_size", options.batch_size as f64, options.batch_size > 0),
                ("train_freq", options.train_freq as f64, options.train_freq > 0),
                ("tau", options.tau, unit(options.tau)),
                ("gamma", options.gamma, unit(options.gamma)),
                ("ent_coef", ent_coef, ent_coef > 0.0),
            ],
        )?;
        let (observations, actions) = (envs.observation_space(), envs.action_space());
        let policy = random::fork(seed, || SacPolicy::new(observations, actions, &options.policy))?;
        let adam = |parameters: Vec<Tensor>| {
            let lr = options.learning_rate.initial();
            Adam::new(
                parameters,
                AdamOptions {
                    lr,
                    ..Default::default()
                },
            )
        };
        let log_ent_coef = Tensor::full(1, ent_coef.ln(), DType::F32)?.requires_grad(true)?;
        Ok(Sac {
            actor_optimizer: adam(policy.actor.parameters())?,
            critic_optimizer: adam(policy.critic.parameters())?,
            ent_coef_optimizer: adam(vec![log_ent_coef.clone()])?,
            log_ent_coef,
            replay: ReplayBuffer::new(options.buffer_size, observations.flat_dim(), policy.dimensions())?,
            n_step: NStep::new(1, options.gamma, envs.len())?,
            runner: Runner::new(envs, seed),
            policy,
            options,
        })
    }

    /// How much being undecided counts now.
    ///
    /// # Errors
    /// None that a valid learner meets.
    pub fn ent_coef(&self) -> Result<f64> {
        Ok(self.log_ent_coef.detach().item_f64()?.exp())
    }

    /// One step for the entropy's coefficient, the critics and the actor.
    fn update(&mut self) -> Result<()> {
        let batch = self
            .replay
            .sample(self.options.batch_size, &mut self.runner.generator)?;
        let generator = &mut self.runner.generator;
        let (actions, log_prob) = self
            .policy
            .actor
            .action_log_prob(&batch.observations, generator)?;

        let ent_coef = self.ent_coef()?;
        if matches!(self.options.ent_coef, EntCoef::Auto(_)) {
            let dimensions = self.policy.dimensions() as f64;
            let target = self.options.target_entropy.unwrap_or(-dimensions);
            let gap = log_prob.detach().mean()?.add(target)?;
            self.ent_coef_optimizer.zero_grad();
            self.log_ent_coef.mul(&gap)?.sum()?.neg()?.backward()?;
            self.ent_coef_optimizer.step()?;
        }
        let critic_loss = self.update_critic(&batch, ent_coef)?;

        // The critics judge the actor's actions; they themselves learn nothing from it.
        self.policy.critic.requires_grad_(false)?;
        let [first, second] = self.policy.critic.forward(&batch.observations, &actions)?;
        let actor_loss = log_prob.mul(ent_coef)?.sub(&first.minimum(&second)?)?.mean()?;
        self.actor_optimizer.zero_grad();
        actor_loss.backward()?;
        self.actor_optimizer.step()?;
        self.policy.critic.requires_grad_(true)?;

        let SacPolicy {
            critic,
            critic_target,
            ..
        } = &self.policy;
        polyak_update(
            &critic.parameters(),
            &critic_target.parameters(),
            self.options.tau,
        )?;
        self.runner.set_record("actor_loss", actor_loss.item_f64()?);
        self.runner.set_record("critic_loss", critic_loss);
        self.runner.set_record("ent_coef", ent_coef);
        self.runner.count_update();
        Ok(())
    }

    /// Moves both critics towards `r + γ (min Q'(s', a') - α log π(a'|s'))`; gives the loss.
    fn update_critic(&mut self, batch: &Batch, ent_coef: f64) -> Result<f64> {
        let SacPolicy {
            actor,
            critic,
            critic_target,
            ..
        } = &self.policy;
        let target = no_grad(|| {
            let next = &batch.next_observations;
            let (actions, log_prob) = actor.action_log_prob(next, &mut self.runner.generator)?;
            let [first, second] = critic_target.forward(next, &actions)?;
            let value = first.minimum(&second)?.sub(&log_prob.mul(ent_coef)?)?;
            batch.rewards.add(&batch.discounts.mul(&value)?)
        })?;
        let [first, second] = critic.forward(&batch.observations, &batch.actions)?;
        let loss = mse_loss(&first, &target, Reduction::Mean)?
            .add(&mse_loss(&second, &target, Reduction::Mean)?)?
            .mul(0.5)?;
        self.critic_optimizer.zero_grad();
        loss.backward()?;
        self.critic_optimizer.step()?;
        loss.item_f64()
    }
}

impl Algorithm for Sac {
    fn name(&self) -> &'static str {
        "SAC"
    }

    fn policy(&self) -> &dyn Policy {
        &self.policy
    }

    fn runner(&self) -> &Runner {
        &self.runner
    }

    fn runner_mut(&mut self) -> &mut Runner {
        &mut self.runner
    }

    fn iterate(&mut self, total_timesteps: u64) -> Result<()> {
        for _ in 0..self.options.train_freq {
            let (count, dimensions) = (self.runner.envs.len(), self.policy.dimensions());
            let numbers: Vec<f32> = if self.runner.timesteps() < self.options.learning_starts {
                let generator = &mut self.runner.generator;
                let random = (0..count * dimensions).map(|_| 2.0 * generator.next_f32() - 1.0);
                random.collect()
            } else {
                let observations = self.runner.envs.observation_tensor()?;
                let generator = &mut self.runner.generator;
                no_grad(|| self.policy.actor.action_log_prob(&observations, generator))?
                    .0
                    .to_vec()?
            };
            let actions = self.policy.unscaled(&numbers);
            let gamma = self.options.gamma;
            let replay = &mut self.replay;
            step_and_remember(
                &mut self.runner,
                replay,
                &mut self.n_step,
                &actions,
                &numbers,
                gamma,
            )?;
        }
        if self.runner.timesteps() > self.options.learning_starts && !self.replay.is_empty() {
            let lr = self
                .options
                .learning_rate
                .at(self.runner.remaining(total_timesteps));
            for optimizer in [
                &mut self.actor_optimizer,
                &mut self.critic_optimizer,
                &mut self.ent_coef_optimizer,
            ] {
                set_lr(optimizer, lr);
            }
            for _ in 0..self.options.gradient_steps {
                self.update()?;
            }
        }
        Ok(())
    }

    fn save_into(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        checkpoint.set_tensors(
            "entropy",
            [(LOG_ENT_COEF.to_string(), self.log_ent_coef.detach())],
        )?;
        checkpoint.set_optimizer("actor_optimizer", &self.actor_optimizer.state_dict()?)?;
        checkpoint.set_optimizer("critic_optimizer", &self.critic_optimizer.state_dict()?)?;
        checkpoint.set_optimizer("ent_coef_optimizer", &self.ent_coef_optimizer.state_dict()?)?;
        self.replay.save(checkpoint)
    }

    fn load_from(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let entropy = checkpoint.tensors("entropy")?;
        let saved = entropy.get(LOG_ENT_COEF).ok_or_else(|| {
            flambeau_tensor::Error::Key(format!("SAC: the checkpoint has no {LOG_ENT_COEF}"))
        })?;
        no_grad(|| self.log_ent_coef.copy_(saved).map(|_| ()))?;
        for (name, optimizer) in [
            ("actor_optimizer", &mut self.actor_optimizer),
            ("critic_optimizer", &mut self.critic_optimizer),
            ("ent_coef_optimizer", &mut self.ent_coef_optimizer),
        ] {
            optimizer.load_state_dict(&checkpoint.optimizer(name)?)?;
        }
        self.replay.load(checkpoint)
    }
}
