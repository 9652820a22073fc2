//! A2C: a policy moves along what it just did, by how much better that went than its critic thought.
//!
//! `∇ log π(a|s) · A`. Mnih et al., *Asynchronous methods for deep reinforcement learning* (2016), with all environments in step.

use flambeau_autograd::Backward;
use flambeau_nn::Module;
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_optim::{Optimizer, RMSprop, RMSpropOptions};
use flambeau_tensor::ops::loss::{Reduction, mse_loss};
use flambeau_tensor::{Result, random};
use flambeau_trainer::Checkpoint;

use super::on_policy::collect_rollouts;
use super::{Algorithm, Runner, Schedule, check, set_lr};
use crate::VecEnv;
use crate::policies::{ActorCriticOptions, ActorCriticPolicy, Policy};

/// Options of [`A2c`]; the defaults are Stable-Baselines3's.
#[derive(Clone, Debug)]
pub struct A2cOptions {
    /// RMSprop's learning rate.
    pub learning_rate: Schedule,
    /// How many steps are taken in each environment before each update.
    pub n_steps: usize,
    /// How much a reward counts that comes a step later.
    pub gamma: f64,
    /// How far advantages look ahead: 1 to the end.
    pub gae_lambda: f64,
    /// How much being undecided counts.
    pub ent_coef: f64,
    /// How much the critic's loss counts.
    pub vf_coef: f64,
    /// The largest norm of a gradient.
    pub max_grad_norm: f64,
    /// The networks.
    pub policy: ActorCriticOptions,
}

impl Default for A2cOptions {
    fn default() -> Self {
        A2cOptions {
            learning_rate: Schedule::Constant(7e-4),
            n_steps: 5,
            gamma: 0.99,
            gae_lambda: 1.0,
            ent_coef: 0.0,
            vf_coef: 0.5,
            max_grad_norm: 0.5,
            policy: ActorCriticOptions::default(),
        }
    }
}

/// Advantage actor-critic.
pub struct A2c {
    runner: Runner,
    policy: ActorCriticPolicy,
    optimizer: RMSprop,
    options: A2cOptions,
}

impl A2c {
    /// A learner with new networks.
    ///
    /// # Errors
    /// `Unsupported` if actions are neither [`crate::Space::Discrete`] nor [`crate::Space::Box`]; `Value` for options outside
    /// their ranges.
    pub fn new(envs: VecEnv, options: A2cOptions, seed: u64) -> Result<A2c> {
        let unit = |x: f64| (0.0..=1.0).contains(&x);
        let A2cOptions {
            gamma, gae_lambda, ..
        } = options;
        check(
            "A2C",
            &[
                ("n_steps", options.n_steps as f64, options.n_steps > 0),
                ("gamma", gamma, unit(gamma)),
                ("gae_lambda", gae_lambda, unit(gae_lambda)),
            ],
        )?;
        let (observations, actions) = (envs.observation_space(), envs.action_space());
        let policy = random::fork(seed, || {
            ActorCriticPolicy::new(observations, actions, &options.policy)
        })?;
        let rmsprop = RMSpropOptions {
            lr: options.learning_rate.initial(),
            alpha: 0.99,
            eps: 1e-5,
            ..Default::default()
        };
        Ok(A2c {
            optimizer: RMSprop::new(policy.parameters(), rmsprop)?,
            runner: Runner::new(envs, seed),
            policy,
            options,
        })
    }
}

impl Algorithm for A2c {
    fn name(&self) -> &'static str {
        "A2C"
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
        let options = &self.options;
        let (n_steps, gamma, gae_lambda) = (options.n_steps, options.gamma, options.gae_lambda);
        let rollouts = collect_rollouts(&mut self.runner, &self.policy, n_steps, gamma, gae_lambda)?;
        let remaining = self.runner.remaining(total_timesteps);
        set_lr(&mut self.optimizer, options.learning_rate.at(remaining));

        let batch = rollouts.whole(self.policy.action_numbers().1)?;
        let (distribution, values) = self.policy.forward(&batch.observations)?;
        let log_prob = distribution.log_prob(&batch.actions)?;
        let policy_loss = batch.advantages.mul(&log_prob)?.mean()?.neg()?;
        let value_loss = mse_loss(&values, &batch.returns, Reduction::Mean)?;
        let mut loss = policy_loss.add(&value_loss.mul(options.vf_coef)?)?;
        if options.ent_coef != 0.0 {
            loss = loss.sub(&distribution.entropy()?.mean()?.mul(options.ent_coef)?)?;
        }
        self.optimizer.zero_grad();
        loss.backward()?;
        clip_grad_norm_(&self.policy.parameters(), options.max_grad_norm, 2.0, false)?;
        self.optimizer.step()?;
        self.runner.set_record("policy_loss", policy_loss.item_f64()?);
        self.runner.set_record("value_loss", value_loss.item_f64()?);
        self.runner.count_update();
        Ok(())
    }

    fn save_into(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        checkpoint.set_optimizer("optimizer", &self.optimizer.state_dict()?)
    }

    fn load_from(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.optimizer
            .load_state_dict(&checkpoint.optimizer("optimizer")?)
    }
}
