//! Steps environments in threads and says how fast: are the steps so expensive that threads pay?
//!
//! ```sh
//! cargo run --release -p flambeau-rl --example vec_env                       # CartPole-v1 as it is
//! cargo run --release -p flambeau-rl --example vec_env -- --work 100         # each step takes 100 µs longer
//! ```

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use flambeau_rl::render::Frame;
use flambeau_rl::{Env, Pcg64, Space, Step, Value, VecEnv, envs};

/// Steps environments in threads and says how fast
#[derive(Parser)]
#[command(name = "vec_env")]
struct Args {
    /// The environment, by its name in Gymnasium
    #[arg(long, value_name = "ID", default_value = "CartPole-v1")]
    env: String,
    /// How many environments
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    envs: usize,
    /// Up to how many threads
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    threads: usize,
    /// How much longer each step is to take, in microseconds of computing
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    work: u64,
    /// How long to measure, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    time: u64,
}

/// An environment whose steps take longer.
struct Slow {
    env: Box<dyn Env>,
    work: Duration,
}

impl Env for Slow {
    fn observation_space(&self) -> Space {
        self.env.observation_space()
    }

    fn action_space(&self) -> Space {
        self.env.action_space()
    }

    fn reset(&mut self, seed: Option<u64>) -> flambeau_tensor::Result<Value> {
        self.env.reset(seed)
    }

    fn step(&mut self, action: &Value) -> flambeau_tensor::Result<Step> {
        let begin = Instant::now();
        while begin.elapsed() < self.work {
            std::hint::spin_loop();
        }
        self.env.step(action)
    }

    fn render(&self) -> Frame {
        self.env.render()
    }

    fn state(&self) -> flambeau_tensor::Result<serde_json::Value> {
        self.env.state()
    }

    fn set_state(&mut self, state: serde_json::Value) -> flambeau_tensor::Result<()> {
        self.env.set_state(state)
    }
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    for threads in 1..=args.threads {
        let make = || -> flambeau_tensor::Result<Box<dyn Env>> {
            let env = envs::make(&args.env)?;
            let work = Duration::from_micros(args.work);
            Ok(Box::new(Slow { env, work }))
        };
        let mut all = VecEnv::new(args.envs, 0, make)?.with_threads(threads)?;
        let (mut rng, mut steps) = (Pcg64::new(0), 0);
        let (begin, time) = (Instant::now(), Duration::from_millis(args.time));
        while begin.elapsed() < time {
            let actions: Vec<Value> = (0..all.len())
                .map(|_| all.action_space().sample(&mut rng))
                .collect();
            all.step(&actions)?;
            steps += all.len();
        }
        let speed = steps as f64 / begin.elapsed().as_secs_f64();
        let mut out = std::io::stdout();
        writeln!(
            out,
            "{} × {}, {threads} threads: {speed:9.0} steps/s",
            args.envs, args.env
        )?;
    }
    Ok(())
}
