//! What an environment is (`gymnasium.Env`).

use flambeau_tensor::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::render::Frame;
use crate::space::{Space, Value};

/// What a step gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is seen after it.
    pub observation: Value,
    /// The reward for it.
    pub reward: f64,
    /// Whether the episode has come to its end: nothing comes after it.
    pub terminated: bool,
    /// Whether the episode is broken off, by a limit of its length for example.
    pub truncated: bool,
}

impl Step {
    /// Whether `reset` is to be called next.
    pub fn done(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// A world that is acted in, step by step, in episodes (`gymnasium.Env`).
///
/// ```
/// use flambeau_rl::{Env, Value, envs};
///
/// # fn main() -> flambeau_tensor::Result<()> {
/// let mut env = envs::make("CartPole-v1")?;
/// let first = env.reset(Some(123))?;
/// // The numbers of `gymnasium.make("CartPole-v1").reset(seed=123)`.
/// assert_eq!(first, Value::Box(vec![0.018235186, -0.0446179, -0.027964013, -0.03156282]));
/// let step = env.step(&Value::Discrete(1))?;
/// assert_eq!((step.reward, step.done()), (1.0, false));
/// # Ok(())
/// # }
/// ```
pub trait Env: Send {
    /// Which observations there are.
    fn observation_space(&self) -> Space;

    /// Which actions there are.
    fn action_space(&self) -> Space;

    /// Begins an episode and returns the first observation. A seed begins a new stream of random numbers; without one,
    /// the stream goes on.
    ///
    /// # Errors
    /// Those of environments and wrappers of one's own.
    fn reset(&mut self, seed: Option<u64>) -> Result<Value>;

    /// Acts.
    ///
    /// # Errors
    /// `Value` if the action is not one of [`Env::action_space`].
    fn step(&mut self, action: &Value) -> Result<Step>;

    /// A picture of the present state.
    fn render(&self) -> Frame;

    /// Everything that later steps depend on, as data.
    ///
    /// # Errors
    /// `Format` if it can't be written as JSON.
    fn state(&self) -> Result<Json>;

    /// Takes over a state that [`Env::state`] gave: later steps are those of the environment that was saved.
    ///
    /// # Errors
    /// `Format` if it is another environment's.
    fn set_state(&mut self, state: Json) -> Result<()>;
}

impl<E: Env + ?Sized> Env for Box<E> {
    fn observation_space(&self) -> Space {
        (**self).observation_space()
    }

    fn action_space(&self) -> Space {
        (**self).action_space()
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        (**self).reset(seed)
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        (**self).step(action)
    }

    fn render(&self) -> Frame {
        (**self).render()
    }

    fn state(&self) -> Result<Json> {
        (**self).state()
    }

    fn set_state(&mut self, state: Json) -> Result<()> {
        (**self).set_state(state)
    }
}

/// The JSON of a state.
pub(crate) fn to_json<T: Serialize>(state: &T) -> Result<Json> {
    serde_json::to_value(state).map_err(|error| Error::Format(format!("state: {error}")))
}

/// The state that a JSON value is.
pub(crate) fn from_json<T: DeserializeOwned>(state: Json) -> Result<T> {
    serde_json::from_value(state).map_err(|error| Error::Format(format!("set_state: {error}")))
}

/// [`Env::state`] and [`Env::set_state`] of an environment whose fields are its state.
macro_rules! fields_are_the_state {
    () => {
        fn state(&self) -> flambeau_tensor::Result<serde_json::Value> {
            $crate::env::to_json(self)
        }

        fn set_state(&mut self, state: serde_json::Value) -> flambeau_tensor::Result<()> {
            *self = $crate::env::from_json(state)?;
            Ok(())
        }
    };
}
pub(crate) use fields_are_the_state;
