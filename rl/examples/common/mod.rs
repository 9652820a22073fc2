//! What the programs that train have in common: their arguments, the loop that reports, and the curve.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use flambeau_nn::StateDict;
use flambeau_rl::algorithms::{Algorithm, learn};
use flambeau_rl::policies::RandomPolicy;
use flambeau_rl::{Env, VecEnv, envs, evaluate_policy};
use flambeau_tensor::io::safetensors;
use flambeau_trainer::{Curve, Interrupt, Panel, Run, RunOptions, plot_curves};

/// Arguments of all programs that train.
#[derive(Args, Clone, Debug)]
pub(crate) struct TrainArgs {
    /// The environment, by its name in Gymnasium; `play --list` prints them [default: CartPole-v1, of sac Pendulum-v1]
    #[arg(long, value_name = "ID")]
    pub(crate) env: Option<String>,
    /// How many steps to take [default: what the recipe for the environment says]
    #[arg(long)]
    pub(crate) steps: Option<u64>,
    /// The seed of networks, environments and actions
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// The folder for curves, log, checkpoint and weights [default: runs/ALGORITHM-ENV-SEED]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Go on from the checkpoint in the folder, with the arguments that the run began with
    #[arg(long)]
    pub(crate) resume: bool,
    /// Evaluate after so many steps [default: 5000, or a fortieth of all]
    #[arg(long, value_name = "STEPS")]
    pub(crate) eval_every: Option<u64>,
    /// A few steps only, to see that it runs
    #[arg(long)]
    pub(crate) smoke: bool,
}

impl TrainArgs {
    /// The environment's name.
    pub(crate) fn env_id(&self, default: &str) -> String {
        self.env.clone().unwrap_or_else(|| default.to_string())
    }

    /// So many environments, with seeds that differ from those of evaluations.
    pub(crate) fn vec_env(&self, id: &str, count: usize) -> Result<VecEnv> {
        Ok(VecEnv::new(count, 1000 * (self.seed + 1), || envs::make(id))?)
    }
}

/// Trains, reports, keeps the weights that did best in evaluations, and plays 100 episodes with them in the end.
pub(crate) fn train(
    args: &TrainArgs,
    id: &str,
    algorithm: &mut dyn Algorithm,
    steps: u64,
    greedy: bool,
) -> Result<()> {
    let name = algorithm.name().to_lowercase();
    let steps = match args.smoke {
        true => 2000,
        false => args.steps.unwrap_or(steps),
    };
    let eval_every = args.eval_every.unwrap_or((steps / 40).max(5000));
    let folder = match (&args.out, args.smoke) {
        (Some(folder), _) => folder.clone(),
        (None, true) => std::env::temp_dir().join(format!("flambeau-{name}-smoke-{}", std::process::id())),
        (None, false) => PathBuf::from(format!("runs/{name}-{id}-{}", args.seed)),
    };
    let (mut run, checkpoint) = Run::open(RunOptions {
        folder: &folder,
        settings: serde_json::json!({"algorithm": name, "env": id, "seed": args.seed, "steps": steps}),
        changeable: &[],
        columns: &["timesteps", "train_reward", "eval_reward", "steps_per_second"],
        resume: args.resume,
        quiet: false,
    })?;
    let best_path = folder.join("best.safetensors");
    let mut best: Option<(f64, StateDict)> = None;
    if let Some(checkpoint) = checkpoint {
        algorithm.restore(&checkpoint)?;
        best = Some((
            checkpoint.get("best")?,
            safetensors::load(&best_path)?.into_iter().collect(),
        ));
        run.say(&format!(
            "going on after {} steps",
            algorithm.runner().timesteps()
        ));
    }
    let parameters = algorithm.policy().module().num_parameters(true);
    run.say(&format!(
        "{} on {id}: {parameters} parameters, {steps} steps, seed {}; all files are in {}",
        algorithm.name(),
        args.seed,
        folder.display()
    ));
    let interrupt = Interrupt::new()?;
    let mut env = envs::make(id)?;
    let mut next = algorithm.runner().timesteps() + eval_every;
    let (mut seconds, mut begin, mut since) = (0.0, Instant::now(), algorithm.runner().timesteps());
    learn(algorithm, steps, &mut |algorithm| {
        let timesteps = algorithm.runner().timesteps();
        if timesteps >= next || timesteps >= steps || interrupt.requested() {
            // What evaluations take does not count.
            let took = begin.elapsed().as_secs_f64();
            seconds += took;
            let speed = (timesteps - since) as f64 / took.max(1e-9);
            let policy = algorithm.policy();
            let evaluated = evaluate_policy(policy, &mut *env, 20, greedy, 50_000)?.mean();
            let trained = algorithm.runner().mean_reward().unwrap_or(f64::NAN);
            run.say(&format!(
                "{timesteps:8} steps   training {trained:8.2}   evaluation {evaluated:8.2}   {speed:7.0} steps/s"
            ));
            run.row(&[timesteps as f64, trained, evaluated, speed])?;
            if best.as_ref().is_none_or(|(reward, _)| evaluated >= *reward) {
                let weights = policy.module().state_dict();
                safetensors::save(&best_path, &weights)?;
                best = Some((evaluated, weights));
            }
            let mut checkpoint = algorithm.checkpoint()?;
            checkpoint.set(
                "best",
                &best.as_ref().map_or(f64::NEG_INFINITY, |(reward, _)| *reward),
            )?;
            run.save(checkpoint)?;
            next = timesteps + eval_every;
            (begin, since) = (Instant::now(), timesteps);
        }
        Ok(match interrupt.requested() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })?;
    let xs = run.column("timesteps")?;
    let curve = |name: &str, column: &str| -> Result<Curve> {
        let points = xs.iter().copied().zip(run.column(column)?).collect();
        Ok(Curve {
            name: name.to_string(),
            points,
        })
    };
    let panel = Panel {
        title: format!(
            "{} on {id}, seed {}: reward of an episode",
            algorithm.name(),
            args.seed
        ),
        x_label: "steps".to_string(),
        curves: vec![
            curve("evaluation", "eval_reward")?,
            curve("training", "train_reward")?,
        ],
    };
    if !xs.is_empty() {
        plot_curves(folder.join("curves.png"), &[panel])?;
    }
    if interrupt.requested() {
        run.say("stopped; --resume goes on");
        return Ok(());
    }
    let episodes = if args.smoke { 5 } else { 100 };
    let test = |algorithm: &dyn Algorithm, env: &mut dyn Env| {
        evaluate_policy(algorithm.policy(), env, episodes, greedy, 100_000)
    };
    let last = test(algorithm, &mut *env)?;
    let (_, weights) = best.context("there was no evaluation")?;
    algorithm.policy().module().load_state_dict(&weights, true)?;
    let best = test(algorithm, &mut *env)?;
    let chance = RandomPolicy::new(&env.action_space());
    let chance = evaluate_policy(&chance, &mut *env, episodes, false, 100_000)?;
    let mut out = std::io::stdout();
    // A run is complete even if nobody reads what it says any more.
    let _ = writeln!(
        out,
        "{episodes} episodes: {:.2} ± {:.2} with the best weights, {:.2} ± {:.2} with the last ones, {:.2} ± {:.2} by chance; \
         {:.0} steps/s",
        best.mean(),
        best.std(),
        last.mean(),
        last.std(),
        chance.mean(),
        chance.std(),
        steps as f64 / seconds.max(1e-9)
    );
    if args.smoke && args.out.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// Ends the process with one line on stderr if something went wrong.
pub(crate) fn exit_on_error(result: Result<()>) {
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}
