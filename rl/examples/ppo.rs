//! Trains an agent with PPO.
//!
//! ```sh
//! cargo run --release -p flambeau-rl --example ppo                          # CartPole-v1
//! cargo run --release -p flambeau-rl --example ppo -- --env Breakout-v0     # a game of pixels
//! cargo run --release -p flambeau-rl --example ppo -- --env Pendulum-v1     # continuous actions
//! ```
//!
//! The hyper-parameters are those of [RL Baselines3 Zoo](https://github.com/DLR-RM/rl-baselines3-zoo) where it has some.

mod common;

use anyhow::Result;
use clap::Parser;
use common::TrainArgs;
use flambeau_rl::algorithms::{Ppo, PpoOptions, Schedule};

/// Trains an agent with PPO: proximal policy optimisation
#[derive(Parser)]
#[command(name = "ppo")]
struct Args {
    #[command(flatten)]
    train: TrainArgs,
}

/// How many environments, how many steps, and the options for an environment.
fn recipe(id: &str) -> (usize, u64, PpoOptions) {
    let default = PpoOptions::default();
    match id {
        "CartPole-v1" => {
            let options = PpoOptions {
                learning_rate: Schedule::Linear(1e-3),
                clip_range: Schedule::Linear(0.2),
                n_steps: 32,
                batch_size: 256,
                n_epochs: 20,
                gamma: 0.98,
                gae_lambda: 0.8,
                ..default
            };
            (8, 100_000, options)
        }
        "Pendulum-v1" => {
            let options = PpoOptions {
                learning_rate: Schedule::Constant(1e-3),
                n_steps: 1024,
                gamma: 0.9,
                ..default
            };
            (4, 100_000, options)
        }
        "Breakout-v0" => {
            let options = PpoOptions {
                learning_rate: Schedule::Linear(1e-3),
                clip_range: Schedule::Linear(0.2),
                n_steps: 128,
                batch_size: 256,
                n_epochs: 4,
                ent_coef: 0.01,
                ..default
            };
            (8, 2_000_000, options)
        }
        _ => (
            8,
            200_000,
            PpoOptions {
                n_steps: 256,
                ..default
            },
        ),
    }
}

fn main() {
    common::exit_on_error(run(&Args::parse().train));
}

fn run(args: &TrainArgs) -> Result<()> {
    let id = args.env_id("CartPole-v1");
    let (count, steps, options) = recipe(&id);
    let mut ppo = Ppo::new(args.vec_env(&id, count)?, options, args.seed)?;
    common::train(args, &id, &mut ppo, steps, true)
}
