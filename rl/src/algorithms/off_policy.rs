//! What DQN and SAC have in common: they remember steps in a buffer and learn from any of them (`OffPolicyAlgorithm`).

use flambeau_tensor::Result;

use super::Runner;
use crate::Value;
use crate::buffers::{NStep, Replay, Transition};

/// Acts in all environments and remembers what came of it. `numbers` are the actions as the buffer has them, one after the
/// other.
pub(super) fn step_and_remember(
    runner: &mut Runner,
    replay: &mut dyn Replay,
    n_step: &mut NStep,
    actions: &[Value],
    numbers: &[f32],
    gamma: f64,
) -> Result<()> {
    let envs = runner.envs.len();
    let seen = runner.envs.observations().to_vec();
    let step = runner.step(actions)?;
    let row = |data: &[f32], env: usize| {
        let width = data.len() / envs;
        data[env * width..(env + 1) * width].to_vec()
    };
    for (env, done) in step.dones().enumerate() {
        let transition = Transition {
            observation: row(&seen, env),
            action: row(numbers, env),
            reward: step.rewards[env],
            next_observation: row(&step.next_observations, env),
            terminated: step.terminated[env],
            discount: gamma as f32,
        };
        for complete in n_step.push(env, transition, done) {
            replay.push(&complete)?;
        }
    }
    Ok(())
}
