//! REINFORCE with a baseline: whole episodes are played, and what led to more than was expected becomes likelier.
//!
//! `∇ log π(aₜ|sₜ) · (Gₜ - V(sₜ))`. Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement
//! learning* (1992); Sutton & Barto, *Reinforcement learning*, section 13.4.

use flambeau_autograd::Backward;
use flambeau_nn::Module;
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::ops::loss::{Reduction, mse_loss};
use flambeau_tensor::{DType, Result, Tensor, no_grad, random};
use flambeau_trainer::Checkpoint;

use super::{Algorithm, Runner, Schedule, check, set_lr};
use crate::VecEnv;
use crate::policies::{ActorCriticOptions, ActorCriticPolicy, Policy};

/// Options of [`Reinforce`].
#[derive(Clone, Debug)]
pub struct ReinforceOptions {
    /// Adam's learning rate.
    pub learning_rate: Schedule,
    /// How many episodes are played before each update.
    pub episodes: usize,
    /// How much a reward counts that comes a step later.
    pub gamma: f64,
    /// How much the baseline's loss counts.
    pub vf_coef: f64,
    /// The largest norm of a gradient.
    pub max_grad_norm: f64,
    /// The networks.
    pub policy: ActorCriticOptions,
}

impl Default for ReinforceOptions {
    fn default() -> Self {
        ReinforceOptions {
            learning_rate: Schedule::Constant(3e-3),
            episodes: 8,
            gamma: 0.99,
            vf_coef: 0.5,
            max_grad_norm: 0.5,
            policy: ActorCriticOptions::default(),
        }
    }
}

/// The gradient of the policy by whole episodes.
pub struct Reinforce {
    runner: Runner,
    policy: ActorCriticPolicy,
    optimizer: Adam,
    options: ReinforceOptions,
}

/// The steps of an episode that is being played.
#[derive(Clone, Default)]
struct Played {
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
}

impl Reinforce {
    /// A learner with new networks.
    ///
    /// # Errors
    /// `Unsupported` if actions are neither [`crate::Space::Discrete`] nor [`crate::Space::Box`]; `Value` for options outside
    /// their ranges.
    pub fn new(envs: VecEnv, options: ReinforceOptions, seed: u64) -> Result<Reinforce> {
        let gamma = options.gamma;
        check(
            "REINFORCE",
            &[
                ("episodes", options.episodes as f64, options.episodes > 0),
                ("gamma", gamma, (0.0..=1.0).contains(&gamma)),
            ],
        )?;
        let (observations, actions) = (envs.observation_space(), envs.action_space());
        let policy = random::fork(seed, || {
            ActorCriticPolicy::new(observations, actions, &options.policy)
        })?;
        let adam = AdamOptions {
            lr: options.learning_rate.initial(),
            ..Default::default()
        };
        Ok(Reinforce {
            optimizer: Adam::new(policy.parameters(), adam)?,
            runner: Runner::new(envs, seed),
            policy,
            options,
        })
    }

    /// Plays until enough episodes have ended; gives their steps and the returns from each on.
    fn play(&mut self) -> Result<(Played, Vec<f32>)> {
        let mut running = vec![Played::default(); self.runner.envs.len()];
        let (mut all, mut returns, mut ended) = (Played::default(), Vec::new(), 0);
        let width = self.policy.action_numbers().0;
        while ended < self.options.episodes {
            let observations = self.runner.envs.observation_tensor()?;
            let features = observations.size(1)?;
            let numbers = no_grad(|| {
                let (distribution, _) = self.policy.forward(&observations)?;
                distribution.sample(&mut self.runner.generator)
            })?;
            let seen = self.runner.envs.observations().to_vec();
            let step = self.runner.step(&self.policy.to_actions(&numbers)?)?;
            let numbers = numbers.to_dtype(DType::F32)?.to_vec::<f32>()?;
            for (env, done) in step.dones().enumerate() {
                let played = &mut running[env];
                played
                    .observations
                    .extend(&seen[env * features..(env + 1) * features]);
                played.actions.extend(&numbers[env * width..(env + 1) * width]);
                played.rewards.push(step.rewards[env]);
                if done {
                    ended += 1;
                    let episode = std::mem::take(played);
                    let mut sum = 0.0;
                    let from_the_end = episode.rewards.iter().rev().map(|reward| {
                        sum = reward + self.options.gamma as f32 * sum;
                        sum
                    });
                    let mut episode_returns: Vec<f32> = from_the_end.collect();
                    episode_returns.reverse();
                    returns.extend(episode_returns);
                    all.observations.extend(episode.observations);
                    all.actions.extend(episode.actions);
                    all.rewards.extend(episode.rewards);
                }
            }
        }
        Ok((all, returns))
    }
}

impl Algorithm for Reinforce {
    fn name(&self) -> &'static str {
        "REINFORCE"
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
        // Episodes are whole only if all begin now; a checkpoint has none that is being played.
        let seed = self.runner.generator.next_u32();
        self.runner.envs.reset(u64::from(seed))?;
        let (played, returns) = self.play()?;
        let remaining = self.runner.remaining(total_timesteps);
        set_lr(&mut self.optimizer, self.options.learning_rate.at(remaining));

        let steps = returns.len();
        let features = played.observations.len() / steps;
        let observations = Tensor::from_vec(played.observations, (steps, features))?;
        let actions = match self.policy.action_numbers() {
            (width, true) => Tensor::from_vec(played.actions, (steps, width))?,
            (_, false) => Tensor::from_vec(played.actions, steps)?.to_dtype(DType::I64)?,
        };
        let returns = Tensor::from_vec(returns, steps)?;
        let (distribution, values) = self.policy.forward(&observations)?;
        let advantages = no_grad(|| {
            let advantages = returns.sub(&values)?;
            let (std, mean) = advantages.std_mean(0, 0.0, false)?;
            advantages.sub(&mean)?.div(&std.add(1e-8)?)
        })?;
        let log_prob = distribution.log_prob(&actions)?;
        let policy_loss = advantages.mul(&log_prob)?.mean()?.neg()?;
        let value_loss = mse_loss(&values, &returns, Reduction::Mean)?;
        let loss = policy_loss.add(&value_loss.mul(self.options.vf_coef)?)?;
        self.optimizer.zero_grad();
        loss.backward()?;
        clip_grad_norm_(&self.policy.parameters(), self.options.max_grad_norm, 2.0, false)?;
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
