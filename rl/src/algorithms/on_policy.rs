//! What A2C and PPO have in common: they act for some steps, learn from these, and forget them (`OnPolicyAlgorithm`).

use flambeau_tensor::{DType, Result, no_grad};

use super::Runner;
use crate::buffers::RolloutBuffer;
use crate::policies::ActorCriticPolicy;

/// Acts for `n_steps` in each environment and gives what happened, with advantages.
pub(super) fn collect_rollouts(
    runner: &mut Runner,
    policy: &ActorCriticPolicy,
    n_steps: usize,
    gamma: f64,
    gae_lambda: f64,
) -> Result<RolloutBuffer> {
    let features = runner.envs.observation_space().flat_dim();
    let mut buffer = RolloutBuffer::new(runner.envs.len(), features);
    no_grad(|| {
        for _ in 0..n_steps {
            let observations = runner.envs.observation_tensor()?;
            let (distribution, values) = policy.forward(&observations)?;
            let numbers = distribution.sample(&mut runner.generator)?;
            let log_probs = distribution.log_prob(&numbers)?.to_vec::<f32>()?;
            let seen = runner.envs.observations().to_vec();
            let mut step = runner.step(&policy.to_actions(&numbers)?)?;
            // An episode that was broken off would have gone on: the value of its last state stands for that.
            for env in 0..step.rewards.len() {
                if step.truncated[env] && !step.terminated[env] {
                    let last = &step.next_observations[env * features..(env + 1) * features];
                    let last = flambeau_tensor::Tensor::from_slice(last, (1, features))?;
                    step.rewards[env] += gamma as f32 * policy.values(&last)?.item::<f32>()?;
                }
            }
            buffer.push(
                &seen,
                &numbers.to_dtype(DType::F32)?.to_vec::<f32>()?,
                &step.rewards,
                step.dones(),
                &values.to_vec::<f32>()?,
                &log_probs,
            )?;
        }
        let last_values = policy.values(&runner.envs.observation_tensor()?)?;
        buffer.compute_returns_and_advantage(&last_values.to_vec::<f32>()?, gamma, gae_lambda)
    })?;
    Ok(buffer)
}
