//! PPO: a policy is improved by several passes over what it did, but not moved far by any of them.
//!
//! `L = E[min(ρ A, clip(ρ, 1 ± ε) A)]` with `ρ = π(a|s) / π_old(a|s)`. Schulman et al., *Proximal policy optimization
//! algorithms* (2017).

use flambeau_autograd::Backward;
use flambeau_nn::Module;
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::ops::loss::{Reduction, mse_loss};
use flambeau_tensor::{Result, no_grad, random};
use flambeau_trainer::Checkpoint;

use super::on_policy::collect_rollouts;
use super::{Algorithm, Runner, Schedule, check, set_lr};
use crate::VecEnv;
use crate::buffers::RolloutBatch;
use crate::policies::{ActorCriticOptions, ActorCriticPolicy, Policy};

/// Options of [`Ppo`]; the defaults are Stable-Baselines3's.
#[derive(Clone, Debug)]
pub struct PpoOptions {
    /// Adam's learning rate.
    pub learning_rate: Schedule,
    /// How many steps are taken in each environment before each update.
    pub n_steps: usize,
    /// How many steps are learnt from at once.
    pub batch_size: usize,
    /// How often all steps are learnt from.
    pub n_epochs: usize,
    /// How much a reward counts that comes a step later.
    pub gamma: f64,
    /// How far advantages look ahead.
    pub gae_lambda: f64,
    /// How far the probability of an action may move.
    pub clip_range: Schedule,
    /// How far a value may move, if it is bounded.
    pub clip_range_vf: Option<Schedule>,
    /// Whether the advantages of a batch are brought to mean 0 and deviation 1.
    pub normalize_advantage: bool,
    /// How much being undecided counts.
    pub ent_coef: f64,
    /// How much the critic's loss counts.
    pub vf_coef: f64,
    /// The largest norm of a gradient.
    pub max_grad_norm: f64,
    /// The Kullback-Leibler divergence from which on no more passes follow.
    pub target_kl: Option<f64>,
    /// The networks.
    pub policy: ActorCriticOptions,
}

impl Default for PpoOptions {
    fn default() -> Self {
        PpoOptions {
            learning_rate: Schedule::Constant(3e-4),
            n_steps: 2048,
            batch_size: 64,
            n_epochs: 10,
            gamma: 0.99,
            gae_lambda: 0.95,
            clip_range: Schedule::Constant(0.2),
            clip_range_vf: None,
            normalize_advantage: true,
            ent_coef: 0.0,
            vf_coef: 0.5,
            max_grad_norm: 0.5,
            target_kl: None,
            policy: ActorCriticOptions::default(),
        }
    }
}

/// Proximal policy optimisation.
pub struct Ppo {
    runner: Runner,
    policy: ActorCriticPolicy,
    optimizer: Adam,
    options: PpoOptions,
}

impl Ppo {
    /// A learner with new networks.
    ///
    /// # Errors
    /// `Unsupported` if actions are neither [`crate::Space::Discrete`] nor [`crate::Space::Box`]; `Value` for options outside
    /// their ranges.
    pub fn new(envs: VecEnv, options: PpoOptions, seed: u64) -> Result<Ppo> {
        let unit = |x: f64| (0.0..=1.0).contains(&x);
        let PpoOptions {
            gamma, gae_lambda, ..
        } = options;
        check(
            "PPO",
            &[
                ("n_steps", options.n_steps as f64, options.n_steps > 0),
                ("batch_size", options.batch_size as f64, options.batch_size > 1),
                ("gamma", gamma, unit(gamma)),
                ("gae_lambda", gae_lambda, unit(gae_lambda)),
            ],
        )?;
        let (observations, actions) = (envs.observation_space(), envs.action_space());
        let policy = random::fork(seed, || {
            ActorCriticPolicy::new(observations, actions, &options.policy)
        })?;
        let adam = AdamOptions {
            lr: options.learning_rate.initial(),
            eps: 1e-5,
            ..Default::default()
        };
        Ok(Ppo {
            optimizer: Adam::new(policy.parameters(), adam)?,
            runner: Runner::new(envs, seed),
            policy,
            options,
        })
    }

    /// One step of gradient descent on a batch; false if the policy had moved too far for another one.
    fn update(&mut self, batch: &RolloutBatch, remaining: f64) -> Result<bool> {
        let options = &self.options;
        let (distribution, values) = self.policy.forward(&batch.observations)?;
        let log_prob = distribution.log_prob(&batch.actions)?;

        let mut advantages = batch.advantages.clone();
        if options.normalize_advantage && advantages.numel() > 1 {
            let (std, mean) = advantages.std_mean(0, 1.0, false)?;
            advantages = advantages.sub(&mean)?.div(&std.add(1e-8)?)?;
        }
        let clip = options.clip_range.at(remaining);
        let log_ratio = log_prob.sub(&batch.old_log_prob)?;
        let ratio = log_ratio.exp()?;
        let clipped = ratio.clamp(Some((1.0 - clip).into()), Some((1.0 + clip).into()))?;
        let policy_loss = advantages
            .mul(&ratio)?
            .minimum(&advantages.mul(&clipped)?)?
            .mean()?
            .neg()?;

        let values = match options.clip_range_vf {
            None => values,
            Some(clip) => {
                let clip = clip.at(remaining);
                let moved = values
                    .sub(&batch.old_values)?
                    .clamp(Some((-clip).into()), Some(clip.into()))?;
                batch.old_values.add(&moved)?
            }
        };
        let value_loss = mse_loss(&values, &batch.returns, Reduction::Mean)?;

        let mut loss = policy_loss.add(&value_loss.mul(options.vf_coef)?)?;
        if options.ent_coef != 0.0 {
            loss = loss.sub(&distribution.entropy()?.mean()?.mul(options.ent_coef)?)?;
        }
        if let Some(target) = options.target_kl {
            // http://joschu.net/blog/kl-approx.html
            let divergence = no_grad(|| ratio.sub(1.0)?.sub(&log_ratio)?.mean())?.item_f64()?;
            if divergence > 1.5 * target {
                return Ok(false);
            }
        }
        self.optimizer.zero_grad();
        loss.backward()?;
        clip_grad_norm_(&self.policy.parameters(), options.max_grad_norm, 2.0, false)?;
        self.optimizer.step()?;
        self.runner.set_record("policy_loss", policy_loss.item_f64()?);
        self.runner.set_record("value_loss", value_loss.item_f64()?);
        self.runner.count_update();
        Ok(true)
    }
}

impl Algorithm for Ppo {
    fn name(&self) -> &'static str {
        "PPO"
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
        let PpoOptions {
            n_steps,
            gamma,
            gae_lambda,
            ..
        } = self.options;
        let rollouts = collect_rollouts(&mut self.runner, &self.policy, n_steps, gamma, gae_lambda)?;
        let remaining = self.runner.remaining(total_timesteps);
        set_lr(&mut self.optimizer, self.options.learning_rate.at(remaining));
        let continuous = self.policy.action_numbers().1;
        for _ in 0..self.options.n_epochs {
            let generator = &mut self.runner.generator;
            for batch in rollouts.batches(self.options.batch_size, continuous, generator)? {
                if !self.update(&batch, remaining)? {
                    return Ok(());
                }
            }
        }
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
