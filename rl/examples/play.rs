//! Plays an episode with an agent that is part of this program, on the terminal and as an animated GIF.
//!
//! ```sh
//! cargo run --release -p flambeau-rl --example play                                        # PPO balances a pole
//! cargo run --release -p flambeau-rl --example play -- --agent dqn --gif cart_pole.gif
//! cargo run --release -p flambeau-rl --example play -- --env Breakout-v0 --terminal           # PPO plays a game of pixels
//! cargo run --release -p flambeau-rl --example play -- --env Taxi-v4 --agent random --terminal
//! cargo run --release -p flambeau-rl --example play -- --weights runs/ppo-Breakout-v0-0/best.safetensors --env Breakout-v0
//! ```

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use flambeau_rl::policies::{ActorCriticPolicy, DqnPolicy, Policy, RandomPolicy, SacPolicy};
use flambeau_rl::render::{Frame, save_gif};
use flambeau_rl::wrappers::TimeLimit;
use flambeau_rl::{Env, agents, envs, play_episode, sb3};
use flambeau_tensor::io::safetensors;

/// Plays an episode, on the terminal and as an animated GIF
#[derive(Parser)]
#[command(name = "play")]
struct Args {
    /// The environment, by its name in Gymnasium (see --list)
    #[arg(long, value_name = "ID", default_value = "CartPole-v1")]
    env: String,
    /// Who plays: an agent that is part of the program, or chance
    #[arg(long, value_enum, default_value_t = Agent::Ppo)]
    agent: Agent,
    /// Weights of a run (best.safetensors), or a model of Stable-Baselines3 (.zip), to play with
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// The seed of the episode
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write the pictures
    #[arg(long, value_name = "FILE", default_value = "episode.gif")]
    gif: PathBuf,
    /// Show the episode on the terminal, at its own speed
    #[arg(long)]
    terminal: bool,
    /// List the environments
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Agent {
    /// A policy that PPO learnt, for CartPole-v1 and Breakout-v0
    Ppo,
    /// Values that DQN learnt, for CartPole-v1
    Dqn,
    /// Actions by chance, in any environment
    Random,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    let mut out = std::io::stdout();
    if args.list {
        for spec in envs::all() {
            writeln!(out, "{:26} {}", spec.id, spec.about)?;
        }
        return Ok(());
    }
    let spec = envs::spec(&args.env)?;
    let mut env = spec.make()?;
    if spec.max_episode_steps.is_none() {
        // By chance, nobody comes past the cliff.
        env = Box::new(TimeLimit::new(env, 200)?);
    }
    let policy = policy(args, &*env)?;
    if args.terminal && !out.is_terminal() {
        bail!("--terminal needs a terminal that shows colours; the GIF is written without it");
    }
    // 25 pictures per second, at half their size, show as much.
    let every = (spec.render_fps as usize).div_ceil(25);
    let (mut frames, mut seen) = (Vec::new(), 0);
    let episode = play_episode(
        &*policy,
        &mut *env,
        args.agent != Agent::Random,
        args.seed,
        &mut |env| {
            if seen % every == 0 {
                frames.push(env.render().halved());
            }
            seen += 1;
        },
    )?;
    let frames_per_second = f64::from(spec.render_fps) / every as f64;
    if args.terminal {
        show(&frames, frames_per_second)?;
    }
    save_gif(&args.gif, &frames, frames_per_second)?;
    writeln!(
        out,
        "{}: reward {} in {} steps; the pictures are in {}",
        args.env,
        episode.reward,
        episode.length,
        args.gif.display()
    )?;
    Ok(())
}

fn policy(args: &Args, env: &dyn Env) -> Result<Box<dyn Policy>> {
    let (observations, actions) = (env.observation_space(), env.action_space());
    if let Some(path) = &args.weights {
        let zip = path.extension().is_some_and(|ending| ending == "zip");
        let sb3::Model { weights, activation } = match zip {
            true => sb3::load(path)?,
            false => sb3::Model {
                weights: safetensors::load(path)?.into_iter().collect(),
                activation: None,
            },
        };
        // Which algorithm it was is seen by the names of the weights.
        let has = |key: &str| weights.contains_key(key);
        let place = || path.display().to_string();
        return if has("action_net.weight") {
            let policy = ActorCriticPolicy::from_state_dict(&observations, &actions, activation, &weights);
            Ok(Box::new(policy.with_context(place)?))
        } else if has("actor.mu.weight") {
            let policy = SacPolicy::from_state_dict(&observations, &actions, activation, &weights);
            Ok(Box::new(policy.with_context(place)?))
        } else {
            let policy = DqnPolicy::from_state_dict(&observations, &actions, activation, &weights);
            Ok(Box::new(policy.with_context(place)?))
        };
    }
    Ok(match (args.agent, args.env.as_str()) {
        (Agent::Random, _) => Box::new(RandomPolicy::new(&actions)),
        (Agent::Ppo, "CartPole-v1") => Box::new(agents::ppo_cart_pole()?),
        (Agent::Dqn, "CartPole-v1") => Box::new(agents::dqn_cart_pole()?),
        (Agent::Ppo, "Breakout-v0") => Box::new(agents::ppo_breakout()?),
        (_, id) => bail!(
            "no such agent for {id} is part of the program: there are PPO's for CartPole-v1 and Breakout-v0 and DQN's for \
             CartPole-v1; for others take --weights FILE or --agent random"
        ),
    })
}

/// Shows pictures on the terminal, each in the place of the one before.
fn show(frames: &[Frame], frames_per_second: f64) -> Result<()> {
    let mut out = std::io::stdout();
    write!(out, "\x1b[2J")?;
    for frame in frames {
        write!(out, "\x1b[H{}", frame.to_ansi(78))?;
        out.flush()?;
        std::thread::sleep(Duration::from_secs_f64(1.0 / frames_per_second));
    }
    Ok(())
}
