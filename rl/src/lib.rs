//! Reinforcement learning: Gymnasium's environments and Stable-Baselines3's algorithms, with their names and defaults.
//!
//! An [`Env`] is a world to act in, found by name ([`envs::make`]); with the same seed and the same actions it gives
//! Gymnasium's numbers. [`wrappers`] change an environment, a [`VecEnv`] runs several side by side.
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

mod env;
pub mod envs;
mod random;
pub mod render;
mod space;
mod vec_env;
pub mod wrappers;

pub use env::{Env, Step};
pub use random::Pcg64;
pub use space::{Space, Value};
pub use vec_env::{Episode, VecEnv, VecStep};
