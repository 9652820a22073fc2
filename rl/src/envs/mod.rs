//! Environments, and the table in which they are found by name.
//!
//! A further environment is a file here and a line in [`all`].

mod acrobot;
mod blackjack;
mod breakout;
mod cart_pole;
mod catch;
mod cliff_walking;
mod frozen_lake;
mod grid;
mod mountain_car;
mod pendulum;
mod taxi;

pub use acrobot::Acrobot;
pub use blackjack::Blackjack;
pub use breakout::Breakout;
pub use cart_pole::CartPole;
pub use catch::Catch;
pub use cliff_walking::CliffWalking;
pub use frozen_lake::{FrozenLake, FrozenLakeOptions};
pub use mountain_car::{MountainCar, MountainCarContinuous};
pub use pendulum::Pendulum;
pub use taxi::Taxi;

use flambeau_tensor::{Error, Result};

use crate::Env;
use crate::wrappers::{OrderEnforcing, StickyAction, TimeLimit};

/// An environment's entry in the table (`gymnasium.envs.registration.EnvSpec`).
#[derive(Clone, Copy, Debug)]
pub struct EnvSpec {
    /// Its name with its version.
    pub id: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// After how many steps an episode is broken off.
    pub max_episode_steps: Option<usize>,
    /// The mean reward from which on it counts as solved.
    pub reward_threshold: Option<f64>,
    /// How many pictures per second show it at its own speed.
    pub render_fps: u32,
    make: fn() -> Result<Box<dyn Env>>,
}

impl EnvSpec {
    /// The environment, with the limit of its episodes; it refuses steps outside of one.
    ///
    /// # Errors
    /// None that an entry of the table meets.
    pub fn make(&self) -> Result<Box<dyn Env>> {
        let env = (self.make)()?;
        Ok(match self.max_episode_steps {
            Some(steps) => Box::new(OrderEnforcing::new(TimeLimit::new(env, steps)?, self.id)),
            None => Box::new(OrderEnforcing::new(env, self.id)),
        })
    }
}

/// All environments.
pub fn all() -> &'static [EnvSpec] {
    macro_rules! table {
        ($($id:literal, $about:literal, $steps:expr, $threshold:expr, $fps:literal, $env:expr;)*) => {
            &[$(EnvSpec {
                id: $id,
                about: $about,
                max_episode_steps: $steps,
                reward_threshold: $threshold,
                render_fps: $fps,
                make: || Ok(Box::new($env)),
            }),*]
        };
    }
    table! {
        "CartPole-v1", "balance a pole on a cart", Some(500), Some(475.0), 50, CartPole::new();
        "MountainCar-v0", "swing up a hill, three actions", Some(200), Some(-110.0), 30, MountainCar::new();
        "MountainCarContinuous-v0", "swing up a hill, a force", Some(999), Some(90.0), 30, MountainCarContinuous::new();
        "Acrobot-v1", "swing up two links", Some(500), Some(-100.0), 15, Acrobot::new();
        "Pendulum-v1", "swing up a pendulum and hold it", Some(200), None, 30, Pendulum::new();
        "FrozenLake-v1", "cross slippery ice, 4x4", Some(100), Some(0.7), 4, FrozenLake::new(FrozenLakeOptions::default())?;
        "FrozenLake8x8-v1", "cross slippery ice, 8x8", Some(200), Some(0.85), 4, FrozenLake::new(FrozenLakeOptions::map_8x8())?;
        "CliffWalking-v1", "walk along a cliff", None, None, 4, CliffWalking::new(false);
        "CliffWalkingSlippery-v1", "walk along a slippery cliff", None, None, 4, CliffWalking::new(true);
        "Taxi-v4", "fetch and bring a passenger", Some(200), Some(8.0), 4, Taxi::new();
        "Blackjack-v1", "play against a dealer", None, None, 4, Blackjack::new();
        "Catch-v0", "catch a falling ball, pixels", None, None, 8, Catch::new();
        "Breakout-v0", "break bricks with a ball, pixels", Some(2500), None, 15, StickyAction::new(Breakout::new(), 0.1)?;
    }
}

/// The table's entry of this name.
///
/// # Errors
/// `Key` that lists all names if there is none.
pub fn spec(id: &str) -> Result<&'static EnvSpec> {
    let found = all().iter().find(|spec| spec.id == id);
    found.ok_or_else(|| {
        let names: Vec<&str> = all().iter().map(|spec| spec.id).collect();
        Error::Key(format!(
            "make: no environment is called {id:?}; there are {}",
            names.join(", ")
        ))
    })
}

/// The environment of this name (`gymnasium.make`), with the limit of its episodes.
///
/// # Errors
/// As [`spec`].
pub fn make(id: &str) -> Result<Box<dyn Env>> {
    spec(id)?.make()
}
