//! Reinforcement learning: Gymnasium's environments and Stable-Baselines3's algorithms, with their names and defaults.
//!
//! An [`Env`] is a world to act in, found by name ([`envs::make`]); with the same seed and the same actions it gives
//! Gymnasium's numbers. [`wrappers`] change an environment, a [`VecEnv`] runs several side by side. [`policies`] act,
//! [`algorithms`] make them better, [`evaluate_policy`] says how good they are.
//!
//! # Example: an episode of random actions
//!
//! ```
//! use flambeau_rl::{Env, Pcg64, envs};
//!
//! # fn main() -> flambeau_tensor::Result<()> {
//! let mut env = envs::make("CartPole-v1")?;
//! let mut rng = Pcg64::new(7);
//! env.reset(Some(7))?;
//! let mut reward = 0.0;
//! loop {
//!     let step = env.step(&env.action_space().sample(&mut rng))?;
//!     reward += step.reward;
//!     if step.done() {
//!         break;
//!     }
//! }
//! assert!(reward < 100.0, "nobody balances a pole by chance");
//! # Ok(())
//! # }
//! ```
//!
//! # Example: PPO learns to balance the pole
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use flambeau_rl::algorithms::{Algorithm, Ppo, PpoOptions, learn};
//! use flambeau_rl::{VecEnv, envs, evaluate_policy};
//!
//! # fn main() -> flambeau_tensor::Result<()> {
//! let vec_env = VecEnv::new(8, 0, || envs::make("CartPole-v1"))?;
//! let mut ppo = Ppo::new(vec_env, PpoOptions::default(), 0)?;
//! learn(&mut ppo, 100_000, &mut |ppo| {
//!     println!("{:6} steps: {:?}", ppo.runner().timesteps(), ppo.runner().mean_reward());
//!     Ok(ControlFlow::Continue(()))
//! })?;
//! let result = evaluate_policy(ppo.policy(), &mut *envs::make("CartPole-v1")?, 100, true, 1)?;
//! println!("{:.1} ± {:.1}", result.mean(), result.std());
//! # Ok(())
//! # }
//! ```

pub mod agents;
pub mod algorithms;
pub mod buffers;
mod env;
pub mod envs;
mod evaluation;
pub mod policies;
mod random;
pub mod render;
pub mod sb3;
mod space;
mod vec_env;
pub mod wrappers;

pub use env::{Env, Step};
pub use evaluation::{Evaluation, evaluate_policy, play_episode};
pub use random::Pcg64;
pub use space::{Space, Value};
pub use vec_env::{Episode, VecEnv, VecStep};

/// The page of the book whose program is a test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/rl.md")]
struct ReinforcementLearning;
