//! Trains an agent with DQN.
//!
//! ```sh
//! cargo run --release -p flambeau-rl --example dqn                                # CartPole-v1
//! cargo run --release -p flambeau-rl --example dqn -- --dueling --prioritized --n-steps 3
//! ```
//!
//! For CartPole-v1, the targets' network follows the other one slowly instead of jumping, and the learning rate falls: the estimates
//! of the original DQN go up and down until the end.

mod common;

use anyhow::Result;
use clap::Parser;
use common::TrainArgs;
use flambeau_rl::algorithms::{Dqn, DqnOptions, Schedule};
use flambeau_rl::buffers::PrioritizedOptions;
use flambeau_rl::policies::QNetworkOptions;

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
                learning_rate: Schedule::Linear(1e-3),
                buffer_size: 50_000,
                learning_starts: 1000,
                batch_size: 128,
                train_freq: 2,
                tau: 0.01,
                target_update_interval: 2,
                exploration_final_eps: 0.02,
                policy: QNetworkOptions {
                    net_arch: vec![128, 128],
                    ..default.policy.clone()
                },
                ..default
            };
            (50_000, options)
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
