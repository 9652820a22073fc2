//! DQN: a network learns what each action is worth, from transitions of any age.
//!
//! `Q(s, a) ← r + γ · max Q'(s', ·)`, where `Q'` is an older copy. Mnih et al., *Human-level control through deep
//! reinforcement learning* (2015). Options: van Hasselt et al., *Deep reinforcement learning with double Q-learning* (2016),
//! duelling networks ([`crate::policies::QNetwork`]), prioritised replay and returns of several steps ([`crate::buffers`]).

use flambeau_autograd::Backward;
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_nn::{Forward, Module};
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::ops::loss::{Reduction, smooth_l1_loss};
use flambeau_tensor::{DType, Result, Tensor, no_grad, random};
use flambeau_trainer::Checkpoint;

use super::off_policy::step_and_remember;
use super::{Algorithm, Runner, Schedule, check, polyak_update, set_lr};
use crate::buffers::{NStep, PrioritizedOptions, PrioritizedReplayBuffer, Replay, ReplayBuffer};
use crate::policies::{DqnPolicy, Policy, QNetworkOptions, discrete_actions};
use crate::{Value, VecEnv};

/// Options of [`Dqn`]; the defaults are Stable-Baselines3's.
#[derive(Clone, Debug)]
pub struct DqnOptions {
    /// Adam's learning rate.
    pub learning_rate: Schedule,
    /// How many transitions are remembered.
    pub buffer_size: usize,
    /// How many steps are taken before the first update.
    pub learning_starts: u64,
    /// How many transitions an update learns from.
    pub batch_size: usize,
    /// How far the targets' network moves towards the other one.
    pub tau: f64,
    /// How much a reward counts that comes a step later.
    pub gamma: f64,
    /// How many steps are taken in each environment between updates.
    pub train_freq: usize,
    /// How many updates then follow.
    pub gradient_steps: usize,
    /// After how many steps the targets' network moves.
    pub target_update_interval: u64,
    /// During which part of the training the probability of a random action falls.
    pub exploration_fraction: f64,
    /// The probability of a random action in the beginning.
    pub exploration_initial_eps: f64,
    /// The probability of a random action after that part.
    pub exploration_final_eps: f64,
    /// The largest norm of a gradient.
    pub max_grad_norm: f64,
    /// Whether the network that is learnt chooses the action whose value the other one gives.
    pub double: bool,
    /// Draws by priorities, if given.
    pub prioritized: Option<PrioritizedOptions>,
    /// Over how many steps rewards are summed up.
    pub n_steps: usize,
    /// The network.
    pub policy: QNetworkOptions,
}

impl Default for DqnOptions {
    fn default() -> Self {
        DqnOptions {
            learning_rate: Schedule::Constant(1e-4),
            buffer_size: 1_000_000,
            learning_starts: 100,
            batch_size: 32,
            tau: 1.0,
            gamma: 0.99,
            train_freq: 4,
            gradient_steps: 1,
            target_update_interval: 10_000,
            exploration_fraction: 0.1,
            exploration_initial_eps: 1.0,
            exploration_final_eps: 0.05,
            max_grad_norm: 10.0,
            double: false,
            prioritized: None,
            n_steps: 1,
            policy: QNetworkOptions::default(),
        }
    }
}

/// Deep Q-learning.
pub struct Dqn {
    runner: Runner,
    policy: DqnPolicy,
    optimizer: Adam,
    replay: Box<dyn Replay>,
    n_step: NStep,
    options: DqnOptions,
}

impl Dqn {
    /// A learner with new networks.
    ///
    /// # Errors
    /// `Unsupported` if actions are not [`crate::Space::Discrete`]; `Value` for options outside their ranges.
    pub fn new(envs: VecEnv, options: DqnOptions, seed: u64) -> Result<Dqn> {
        let unit = |x: f64| (0.0..=1.0).contains(&x);
        let DqnOptions { gamma, tau, .. } = options;
        let [fraction, first, last] = [
            options.exploration_fraction,
            options.exploration_initial_eps,
            options.exploration_final_eps,
        ];
        check(
            "DQN",
            &[
                ("batch_size", options.batch_size as f64, options.batch_size > 0),
                ("train_freq", options.train_freq as f64, options.train_freq > 0),
                ("tau", tau, unit(tau)),
                ("gamma", gamma, unit(gamma)),
                ("exploration_fraction", fraction, unit(fraction)),
                ("exploration_initial_eps", first, unit(first)),
                ("exploration_final_eps", last, unit(last)),
            ],
        )?;
        let (observations, actions) = (envs.observation_space(), envs.action_space());
        discrete_actions("DQN", actions)?;
        let policy = random::fork(seed, || DqnPolicy::new(observations, actions, &options.policy))?;
        let adam = AdamOptions {
            lr: options.learning_rate.initial(),
            ..Default::default()
        };
        let uniform = ReplayBuffer::new(options.buffer_size, observations.flat_dim(), 1)?;
        let replay: Box<dyn Replay> = match options.prioritized {
            Some(prioritized) => Box::new(PrioritizedReplayBuffer::new(uniform, prioritized)?),
            None => Box::new(uniform),
        };
        Ok(Dqn {
            optimizer: Adam::new(policy.q_net.parameters(), adam)?,
            n_step: NStep::new(options.n_steps, gamma, envs.len())?,
            runner: Runner::new(envs, seed),
            policy,
            replay,
            options,
        })
    }

    /// How likely a random action is now.
    pub fn exploration_rate(&self, total_timesteps: u64) -> f64 {
        let options = &self.options;
        let passed = 1.0 - self.runner.remaining(total_timesteps);
        let share = match options.exploration_fraction {
            0.0 => 1.0,
            fraction => (passed / fraction).min(1.0),
        };
        options.exploration_initial_eps
            + share * (options.exploration_final_eps - options.exploration_initial_eps)
    }

    /// The best actions by what is known, with random ones among them.
    fn act(&mut self, epsilon: f64) -> Result<Vec<Value>> {
        let count = discrete_actions("DQN", self.runner.envs.action_space())?;
        let exploring = self.runner.timesteps() < self.options.learning_starts;
        let Runner { envs, generator, .. } = &mut self.runner;
        let random: Vec<Option<Value>> = (0..envs.len())
            .map(|_| {
                let explores = exploring || generator.next_f64() < epsilon;
                explores.then(|| Value::Discrete((generator.next_f64() * count as f64) as usize))
            })
            .collect();
        if random.iter().all(Option::is_some) {
            return Ok(random.into_iter().flatten().collect());
        }
        let best = self
            .policy
            .predict(&envs.observation_tensor()?, true, generator)?;
        let both = random.into_iter().zip(best);
        Ok(both.map(|(random, best)| random.unwrap_or(best)).collect())
    }

    /// One step of gradient descent on a batch; gives the loss.
    fn update(&mut self) -> Result<Tensor> {
        let DqnPolicy { q_net, q_net_target } = &self.policy;
        let batch = self
            .replay
            .sample(self.options.batch_size, &mut self.runner.generator)?;
        let target = no_grad(|| {
            let next = q_net_target.forward(&batch.next_observations)?;
            let next = if self.options.double {
                let chosen = q_net.forward(&batch.next_observations)?.argmax(Some(-1), true)?;
                next.gather(-1, &chosen)?.squeeze_dim(-1)?
            } else {
                next.amax(-1, false)?
            };
            batch.rewards.add(&batch.discounts.mul(&next)?)
        })?;
        let actions = batch.actions.to_dtype(DType::I64)?;
        let current = q_net
            .forward(&batch.observations)?
            .gather(-1, &actions)?
            .squeeze_dim(-1)?;
        let loss = match &batch.weights {
            Some(weights) => {
                let errors = no_grad(|| target.sub(&current))?.to_vec::<f32>()?;
                self.replay.update_priorities(&batch.indices, &errors);
                smooth_l1_loss(&current, &target, 1.0, Reduction::None)?
                    .mul(weights)?
                    .mean()?
            }
            None => smooth_l1_loss(&current, &target, 1.0, Reduction::Mean)?,
        };
        self.optimizer.zero_grad();
        loss.backward()?;
        clip_grad_norm_(&q_net.parameters(), self.options.max_grad_norm, 2.0, false)?;
        self.optimizer.step()?;
        self.runner.count_update();
        Ok(loss)
    }
}

impl Algorithm for Dqn {
    fn name(&self) -> &'static str {
        "DQN"
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
        let interval = self.options.target_update_interval.max(1);
        for _ in 0..self.options.train_freq {
            let before = self.runner.timesteps();
            let actions = self.act(self.exploration_rate(total_timesteps))?;
            let numbers: Vec<f32> = actions
                .iter()
                .filter_map(Value::as_discrete)
                .map(|i| i as f32)
                .collect();
            let gamma = self.options.gamma;
            let replay = self.replay.as_mut();
            step_and_remember(
                &mut self.runner,
                replay,
                &mut self.n_step,
                &actions,
                &numbers,
                gamma,
            )?;
            if self.runner.timesteps() / interval > before / interval {
                let DqnPolicy { q_net, q_net_target } = &self.policy;
                polyak_update(&q_net.parameters(), &q_net_target.parameters(), self.options.tau)?;
            }
        }
        if self.runner.timesteps() > self.options.learning_starts && !self.replay.is_empty() {
            let remaining = self.runner.remaining(total_timesteps);
            set_lr(&mut self.optimizer, self.options.learning_rate.at(remaining));
            self.replay.set_progress(1.0 - remaining);
            let mut last = None;
            for _ in 0..self.options.gradient_steps {
                last = Some(self.update()?);
            }
            if let Some(loss) = last {
                self.runner.set_record("loss", loss.item_f64()?);
            }
        }
        Ok(())
    }

    fn save_into(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        checkpoint.set_optimizer("optimizer", &self.optimizer.state_dict()?)?;
        checkpoint.set("n_step", &self.n_step)?;
        self.replay.save(checkpoint)
    }

    fn load_from(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.optimizer
            .load_state_dict(&checkpoint.optimizer("optimizer")?)?;
        self.n_step = checkpoint.get("n_step")?;
        self.replay.load(checkpoint)
    }
}
