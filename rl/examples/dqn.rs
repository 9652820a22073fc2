//! Trains an agent with DQN.
//!
//! ```sh
//! cargo run --release -p flambeau-rl --example dqn                                # CartPole-v1, a few minutes
//! cargo run --release -p flambeau-rl --example dqn -- --dueling --prioritized --n-steps 3
//! ```
//!
//! The hyper-parameters for CartPole-v1 are those of [RL Baselines3 Zoo](https://github.com/DLR-RM/rl-baselines3-zoo), with
//! layers of 64 instead of 256, a learning rate that falls, double Q-learning and twice as many steps.

mod common;

use anyhow::Result;
use clap::Parser;
use common::TrainArgs;
use flambeau_rl::algorithms::{Dqn, DqnOptions, Schedule};
use flambeau_rl::buffers::PrioritizedOptions;

/// Trains an agent with DQN: deep Q-learning
#[derive(Parser)]
#[command(name = "dqn")]
struct Args {
    #[command(flatten)]
    train: TrainArgs,
    /// The targets' network also chooses their actions (the original DQN)
    #[arg(long)]
    single: bool,
    /// Estimate values of states and advantages of actions apart
    #[arg(long)]
    dueling: bool,
    /// Learn more often from what was estimated badly
    #[arg(long)]
    prioritized: bool,
    /// Sum rewards over so many steps
    #[arg(long, default_value_t = 1)]
    n_steps: usize,
}

/// How many steps, and the options for an environment.
fn recipe(id: &str) -> (u64, DqnOptions) {
    let default = DqnOptions::default();
    match id {
        "CartPole-v1" => {
            let options = DqnOptions {
                learning_rate: Schedule::Linear(2.3e-3),
                buffer_size: 100_000,
                learning_starts: 1000,
                batch_size: 64,
                train_freq: 256,
                gradient_steps: 128,
                target_update_interval: 10,
                exploration_fraction: 0.16,
                exploration_final_eps: 0.04,
                ..default
            };
            (100_000, options)
        }
        _ => {
            let options = DqnOptions {
                learning_rate: Schedule::Linear(1e-3),
                buffer_size: 100_000,
                learning_starts: 1000,
                target_update_interval: 500,
                ..default
            };
            (100_000, options)
        }
    }
}

fn main() {
    common::exit_on_error(run(&Args::parse()));
}

fn run(args: &Args) -> Result<()> {
    let id = args.train.env_id("CartPole-v1");
    let (steps, mut options) = recipe(&id);
    options.double = !args.single;
    options.policy.dueling = args.dueling;
    options.prioritized = args.prioritized.then(PrioritizedOptions::default);
    options.n_steps = args.n_steps;
    let mut dqn = Dqn::new(args.train.vec_env(&id, 1)?, options, args.train.seed)?;
    common::train(&args.train, &id, &mut dqn, steps, true)
}
