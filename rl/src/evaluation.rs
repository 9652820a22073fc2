//! How well a policy does (`evaluate_policy`), and how it does it.

use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, Tensor, ensure};

use crate::policies::Policy;
use crate::{Env, Episode, Value};

/// The rewards of some episodes.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The episodes, in the order in which they were played.
    pub episodes: Vec<Episode>,
}

impl Evaluation {
    /// The mean reward of an episode.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.episodes.iter().map(|episode| episode.reward).sum();
        sum / self.episodes.len().max(1) as f64
    }

    /// The standard deviation of the rewards of episodes.
    pub fn std(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self
            .episodes
            .iter()
            .map(|episode| (episode.reward - mean).powi(2))
            .sum();
        (squares / self.episodes.len().max(1) as f64).sqrt()
    }
}

/// Plays so many episodes, the first of which begins with this seed.
///
/// # Errors
/// `Value` if no episodes are to be played; those of policy and environment.
pub fn evaluate_policy(
    policy: &dyn Policy,
    env: &mut dyn Env,
    n_eval_episodes: usize,
    deterministic: bool,
    seed: u64,
) -> Result<Evaluation> {
    ensure!(
        n_eval_episodes > 0,
        Value,
        "evaluate_policy: expected at least 1 episode, got 0"
    );
    let mut generator = Generator::new(seed);
    let mut player = Player::new(policy, env, deterministic);
    let mut episodes = Vec::with_capacity(n_eval_episodes);
    for i in 0..n_eval_episodes {
        let seed = (i == 0).then_some(seed);
        episodes.push(player.episode(seed, &mut generator, &mut |_| ())?);
    }
    Ok(Evaluation { episodes })
}

/// Plays an episode and shows the environment to `see` in its beginning and after each step, to make pictures of it.
///
/// # Errors
/// Those of policy and environment.
pub fn play_episode(
    policy: &dyn Policy,
    env: &mut dyn Env,
    deterministic: bool,
    seed: u64,
    see: &mut dyn FnMut(&dyn Env),
) -> Result<Episode> {
    let mut player = Player::new(policy, env, deterministic);
    player.episode(Some(seed), &mut Generator::new(seed), see)
}

struct Player<'a> {
    policy: &'a dyn Policy,
    env: &'a mut dyn Env,
    deterministic: bool,
}

impl<'a> Player<'a> {
    fn new(policy: &'a dyn Policy, env: &'a mut dyn Env, deterministic: bool) -> Player<'a> {
        Player {
            policy,
            env,
            deterministic,
        }
    }

    fn episode(
        &mut self,
        seed: Option<u64>,
        generator: &mut Generator,
        see: &mut dyn FnMut(&dyn Env),
    ) -> Result<Episode> {
        let space = self.env.observation_space();
        let mut observation = self.env.reset(seed)?;
        see(&*self.env);
        let mut episode = Episode {
            reward: 0.0,
            length: 0,
        };
        loop {
            let mut flat = Vec::new();
            space.flatten(&observation, &mut flat)?;
            let flat = Tensor::from_vec(flat, (1, space.flat_dim()))?;
            let actions = self.policy.predict(&flat, self.deterministic, generator)?;
            let action = actions.first().cloned().unwrap_or(Value::Discrete(0));
            let step = self.env.step(&action)?;
            episode.reward += step.reward;
            episode.length += 1;
            see(&*self.env);
            if step.done() {
                return Ok(episode);
            }
            observation = step.observation;
        }
    }
}
