//! Agents that are part of the crate: small policies for CartPole-v1 and Breakout-v0, trained by the examples `ppo` and `dqn` (how is
//! written in `assets/README.md`).

use flambeau_nn::StateDict;
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{Error, Result};

use crate::Env;
use crate::envs::{Breakout, CartPole};
use crate::policies::{ActorCriticPolicy, DqnPolicy};

fn weights(name: &str, bytes: &[u8]) -> Result<StateDict> {
    let tensors = safetensors::from_bytes(bytes).map_err(|error: Error| error.context(name))?;
    Ok(tensors.into_iter().collect())
}

/// A policy that PPO learnt: it balances the pole of CartPole-v1 through all 500 steps.
///
/// ```
/// use flambeau_rl::{agents, envs, evaluate_policy};
///
/// # fn main() -> flambeau_tensor::Result<()> {
/// let agent = agents::ppo_cart_pole()?;
/// let result = evaluate_policy(&agent, &mut *envs::make("CartPole-v1")?, 2, true, 7)?;
/// assert!(result.mean() >= 475.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// None, as the weights belong to this version.
pub fn ppo_cart_pole() -> Result<ActorCriticPolicy> {
    let weights = weights(
        "ppo_cart_pole.safetensors",
        include_bytes!("../assets/ppo_cart_pole.safetensors"),
    )?;
    let env = CartPole::new();
    let (observations, actions) = (env.observation_space(), env.action_space());
    ActorCriticPolicy::from_state_dict(&observations, &actions, None, &weights)
}

/// A policy of pixels that PPO learnt: it breaks most of the bricks of Breakout-v0.
///
/// # Errors
/// None, as the weights belong to this version.
pub fn ppo_breakout() -> Result<ActorCriticPolicy> {
    let weights = weights(
        "ppo_breakout.safetensors",
        include_bytes!("../assets/ppo_breakout.safetensors"),
    )?;
    let env = Breakout::new();
    let (observations, actions) = (env.observation_space(), env.action_space());
    ActorCriticPolicy::from_state_dict(&observations, &actions, None, &weights)
}

/// Values that DQN learnt: whoever takes the best action by them balances the pole of CartPole-v1 through all 500 steps.
///
/// # Errors
/// None, as the weights belong to this version.
pub fn dqn_cart_pole() -> Result<DqnPolicy> {
    let weights = weights(
        "dqn_cart_pole.safetensors",
        include_bytes!("../assets/dqn_cart_pole.safetensors"),
    )?;
    let env = CartPole::new();
    DqnPolicy::from_state_dict(&env.observation_space(), &env.action_space(), None, &weights)
}
