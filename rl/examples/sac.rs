//! Trains an agent with SAC, for continuous actions.
//!
//! ```sh
//! cargo run --release -p flambeau-rl --example sac                                      # Pendulum-v1
//! cargo run --release -p flambeau-rl --example sac -- --env MountainCarContinuous-v0
//! ```
//!
//! The hyper-parameters are those of [RL Baselines3 Zoo](https://github.com/DLR-RM/rl-baselines3-zoo); for Pendulum-v1 with
//! layers of 64 instead of 256.

mod common;

use anyhow::Result;
use clap::Parser;
use common::TrainArgs;
use flambeau_rl::algorithms::{EntCoef, Sac, SacOptions, Schedule};
use flambeau_rl::policies::SacPolicyOptions;

/// Trains an agent with SAC: soft actor-critic
#[derive(Parser)]
#[command(name = "sac")]
struct Args {
    #[command(flatten)]
    train: TrainArgs,
}

/// How many steps, and the options for an environment.
fn recipe(id: &str) -> (u64, SacOptions) {
    let default = SacOptions::default();
    let policy = SacPolicyOptions {
        net_arch: vec![64, 64],
        ..Default::default()
    };
    match id {
        "MountainCarContinuous-v0" => {
            let options = SacOptions {
                buffer_size: 50_000,
                batch_size: 512,
                ent_coef: EntCoef::Fixed(0.1),
                train_freq: 32,
                gradient_steps: 32,
                gamma: 0.9999,
                tau: 0.01,
                learning_starts: 0,
                policy,
                ..default
            };
            (50_000, options)
        }
        _ => {
            let options = SacOptions {
                learning_rate: Schedule::Constant(1e-3),
                policy,
                ..default
            };
            (15_000, options)
        }
    }
}

fn main() {
    common::exit_on_error(run(&Args::parse().train));
}

fn run(args: &TrainArgs) -> Result<()> {
    let id = args.env_id("Pendulum-v1");
    let (steps, mut options) = recipe(&id);
    if args.smoke {
        (options.batch_size, options.policy.net_arch) = (16, vec![16, 16]);
    }
    let mut sac = Sac::new(args.vec_env(&id, 1)?, options, args.seed)?;
    common::train(args, &id, &mut sac, steps, true)
}
