//! Algorithms: gradients reach every parameter, a seed gives the same numbers, a checkpoint goes on exactly, wrong options and
//! environments are refused, and what is learnt is better than chance.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use flambeau_rl::algorithms::{
    A2c, A2cOptions, Algorithm, Dqn, DqnOptions, EntCoef, Ppo, PpoOptions, Reinforce, ReinforceOptions, Sac,
    SacOptions, Schedule, learn,
};
use flambeau_rl::buffers::PrioritizedOptions;
use flambeau_rl::policies::{ActorCriticOptions, QNetworkOptions, SacPolicyOptions};
use flambeau_rl::render::Frame;
use flambeau_rl::{Env, Space, Step, Value, VecEnv, envs, evaluate_policy, play_episode};
use flambeau_tensor::Result;
use flambeau_trainer::Checkpoint;

fn vec_env(id: &str, count: usize) -> VecEnv {
    VecEnv::new(count, 5, || envs::make(id)).unwrap()
}

/// A game with three actions, played with a number between −1 and 1.
struct Torque(Box<dyn Env>);

impl Env for Torque {
    fn observation_space(&self) -> Space {
        self.0.observation_space()
    }

    fn action_space(&self) -> Space {
        Space::bounded(&[-1.0], &[1.0])
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        self.0.reset(seed)
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        let number = action.as_box().unwrap()[0];
        self.0
            .step(&Value::Discrete(((number + 1.0) * 1.5).clamp(0.0, 2.0) as usize))
    }

    fn render(&self) -> Frame {
        self.0.render()
    }

    fn state(&self) -> Result<serde_json::Value> {
        self.0.state()
    }

    fn set_state(&mut self, state: serde_json::Value) -> Result<()> {
        self.0.set_state(state)
    }
}

type Make = Box<dyn Fn() -> Box<dyn Algorithm>>;

/// Every algorithm in several forms, small, with a name.
fn learners() -> Vec<(&'static str, Make)> {
    let dqn = |id: &'static str, double, dueling, prioritized, n_steps| {
        move || -> Box<dyn Algorithm> {
            let options = DqnOptions {
                learning_starts: 20,
                buffer_size: 64,
                batch_size: 8,
                gradient_steps: 2,
                target_update_interval: 30,
                double,
                prioritized,
                n_steps,
                policy: QNetworkOptions {
                    net_arch: vec![8, 8],
                    dueling,
                    ..Default::default()
                },
                ..Default::default()
            };
            Box::new(Dqn::new(vec_env(id, 2), options, 3).unwrap())
        }
    };
    let policy = || ActorCriticOptions {
        net_arch: vec![8, 8],
        ..Default::default()
    };
    let ppo = move |id: &'static str| {
        move || -> Box<dyn Algorithm> {
            let options = PpoOptions {
                n_steps: 12,
                batch_size: 8,
                n_epochs: 2,
                ent_coef: 0.01,
                clip_range_vf: Some(Schedule::Constant(0.2)),
                policy: policy(),
                ..Default::default()
            };
            Box::new(Ppo::new(vec_env(id, 2), options, 3).unwrap())
        }
    };
    let a2c = move || -> Box<dyn Algorithm> {
        let options = A2cOptions {
            ent_coef: 0.01,
            policy: policy(),
            ..Default::default()
        };
        Box::new(A2c::new(vec_env("Acrobot-v1", 2), options, 3).unwrap())
    };
    let reinforce = move || -> Box<dyn Algorithm> {
        let options = ReinforceOptions {
            episodes: 2,
            policy: policy(),
            ..Default::default()
        };
        Box::new(Reinforce::new(vec_env("CartPole-v1", 2), options, 3).unwrap())
    };
    let sac = |id: &'static str| {
        move || -> Box<dyn Algorithm> {
            let options = SacOptions {
                learning_starts: 20,
                buffer_size: 64,
                batch_size: 8,
                policy: SacPolicyOptions {
                    net_arch: vec![8, 8],
                    ..Default::default()
                },
                ..Default::default()
            };
            let make = move || match id {
                "pixels" => Ok(Box::new(Torque(envs::make("Breakout-v0")?)) as Box<dyn Env>),
                id => envs::make(id),
            };
            Box::new(Sac::new(VecEnv::new(1, 5, make).unwrap(), options, 3).unwrap())
        }
    };
    vec![
        ("DQN", Box::new(dqn("CartPole-v1", false, false, None, 1))),
        (
            "double, duelling, prioritised, 3 steps",
            Box::new(dqn(
                "CartPole-v1",
                true,
                true,
                Some(PrioritizedOptions::default()),
                3,
            )),
        ),
        ("DQN, pixels", Box::new(dqn("Breakout-v0", true, false, None, 1))),
        ("PPO", Box::new(ppo("CartPole-v1"))),
        ("PPO, continuous", Box::new(ppo("Pendulum-v1"))),
        ("PPO, pixels", Box::new(ppo("Breakout-v0"))),
        ("PPO, one-hot", Box::new(ppo("Blackjack-v1"))),
        ("A2C", Box::new(a2c)),
        ("REINFORCE", Box::new(reinforce)),
        ("SAC", Box::new(sac("Pendulum-v1"))),
        ("SAC, pixels", Box::new(sac("pixels"))),
    ]
}

fn weights(algorithm: &dyn Algorithm) -> Vec<(String, Vec<f32>)> {
    let dict = algorithm.policy().module().state_dict();
    dict.into_iter()
        .map(|(name, tensor)| (name, tensor.to_vec().unwrap()))
        .collect()
}

fn iterate(algorithm: &mut dyn Algorithm, count: usize) {
    (0..count).for_each(|_| algorithm.iterate(1000).unwrap());
}

#[test]
fn updates_reach_every_parameter_and_a_seed_repeats_them() {
    for (name, make) in learners() {
        let (mut a, mut b) = (make(), make());
        let before = weights(&*a);
        assert_eq!(before, weights(&*b), "{name}");
        iterate(&mut *a, 24);
        iterate(&mut *b, 24);
        let after = weights(&*a);
        assert_eq!(after, weights(&*b), "{name}");
        assert_eq!(a.runner().episodes(), b.runner().episodes(), "{name}");
        assert!(a.runner().updates() > 0, "{name}");
        for ((key, old), (_, new)) in before.iter().zip(&after) {
            assert!(new.iter().all(|x| x.is_finite()), "{name}: {key}");
            assert!(old != new, "{name}: {key} never changed");
        }
    }
}

#[test]
fn a_checkpoint_goes_on_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    for (name, make) in learners() {
        let (mut a, mut b) = (make(), make());
        iterate(&mut *a, 14);
        a.checkpoint().unwrap().save(&path).unwrap();
        iterate(&mut *a, 12);
        b.restore(&Checkpoint::load(&path).unwrap()).unwrap();
        iterate(&mut *b, 12);
        assert_eq!(weights(&*a), weights(&*b), "{name}");
        assert_eq!(a.runner().timesteps(), b.runner().timesteps(), "{name}");
        assert_eq!(a.runner().episodes(), b.runner().episodes(), "{name}");
        // Everything that further steps depend on: optimisers, memory and its priorities, environments, random numbers.
        let files = [&*a, &*b].map(|algorithm| {
            algorithm.checkpoint().unwrap().save(&path).unwrap();
            std::fs::read(&path).unwrap()
        });
        assert!(files[0] == files[1], "{name}: the checkpoints differ");
    }
    // SAC's file is the last one.
    let mut ppo = Ppo::new(vec_env("CartPole-v1", 2), PpoOptions::default(), 0).unwrap();
    let error = ppo
        .restore(&Checkpoint::load(&path).unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected a checkpoint of PPO, got one of SAC"),
        "{error}"
    );
}

#[test]
fn wrong_options_and_environments_are_refused() {
    let cart = || vec_env("CartPole-v1", 1);
    let text = |result: Result<()>| result.unwrap_err().to_string();
    let dqn = |options| text(Dqn::new(cart(), options, 0).map(|_| ()));
    let wrong = DqnOptions {
        gamma: 1.5,
        ..Default::default()
    };
    assert_eq!(dqn(wrong), "DQN: gamma can't be 1.5");
    let wrong = DqnOptions {
        batch_size: 0,
        ..Default::default()
    };
    assert_eq!(dqn(wrong), "DQN: batch_size can't be 0");
    let wrong = DqnOptions {
        buffer_size: 0,
        ..Default::default()
    };
    assert!(dqn(wrong).contains("a capacity of at least 1"));
    let wrong = DqnOptions {
        n_steps: 0,
        ..Default::default()
    };
    assert!(dqn(wrong).contains("at least 1 step"));
    let pendulum = text(Dqn::new(vec_env("Pendulum-v1", 1), DqnOptions::default(), 0).map(|_| ()));
    assert!(
        pendulum.contains("DQN: expected Discrete actions, got Box(-2, 2, [1])"),
        "{pendulum}"
    );
    let discrete = text(Sac::new(cart(), SacOptions::default(), 0).map(|_| ()));
    assert!(discrete.contains("got Discrete(2)"), "{discrete}");
    let wrong = SacOptions {
        ent_coef: EntCoef::Fixed(-1.0),
        ..Default::default()
    };
    let error = text(Sac::new(vec_env("Pendulum-v1", 1), wrong, 0).map(|_| ()));
    assert_eq!(error, "SAC: ent_coef can't be -1");
    let wrong = PpoOptions {
        n_steps: 0,
        ..Default::default()
    };
    assert_eq!(
        text(Ppo::new(cart(), wrong, 0).map(|_| ())),
        "PPO: n_steps can't be 0"
    );
    let wrong = A2cOptions {
        gae_lambda: f64::NAN,
        ..Default::default()
    };
    assert_eq!(
        text(A2c::new(cart(), wrong, 0).map(|_| ())),
        "A2C: gae_lambda can't be NaN"
    );
    let wrong = ReinforceOptions {
        episodes: 0,
        ..Default::default()
    };
    assert_eq!(
        text(Reinforce::new(cart(), wrong, 0).map(|_| ())),
        "REINFORCE: episodes can't be 0"
    );
    let ppo = Ppo::new(cart(), PpoOptions::default(), 0).unwrap();
    let error = evaluate_policy(ppo.policy(), &mut *envs::make("CartPole-v1").unwrap(), 0, true, 0);
    assert!(error.unwrap_err().to_string().contains("at least 1 episode"));
    let error = evaluate_policy(ppo.policy(), &mut *envs::make("Acrobot-v1").unwrap(), 1, true, 0);
    assert!(error.is_err(), "six numbers for a network of four");
}

#[test]
fn the_exploration_rate_falls_and_stays() {
    let options = DqnOptions {
        learning_starts: u64::MAX,
        exploration_fraction: 0.5,
        ..Default::default()
    };
    let mut dqn = Dqn::new(vec_env("CartPole-v1", 1), options, 0).unwrap();
    let mut rates = Vec::new();
    learn(&mut dqn, 100, &mut |algorithm| {
        rates.push(algorithm.runner().timesteps());
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(rates.len(), 25);
    assert!(dqn.exploration_rate(1_000_000_000) > 0.999_999);
    assert!((dqn.exploration_rate(400) - 0.525).abs() < 1e-9);
    assert!((dqn.exploration_rate(100) - 0.05).abs() < 1e-9);
}

/// Catch is solved within seconds by a policy that sees the ball, by PPO and by DQN with everything.
#[test]
fn catch_is_learnt() {
    let catch = || envs::make("Catch-v0");
    let mut ppo = Ppo::new(
        VecEnv::new(8, 0, catch).unwrap(),
        PpoOptions {
            learning_rate: Schedule::Constant(3e-3),
            n_steps: 36,
            batch_size: 72,
            n_epochs: 6,
            gamma: 0.95,
            policy: ActorCriticOptions {
                net_arch: vec![32],
                ..Default::default()
            },
            ..Default::default()
        },
        0,
    )
    .unwrap();
    let untrained = evaluate_policy(ppo.policy(), &mut *catch().unwrap(), 60, false, 1)
        .unwrap()
        .mean();
    learn(&mut ppo, 8000, &mut |_| Ok(ControlFlow::Continue(()))).unwrap();
    let trained = evaluate_policy(ppo.policy(), &mut *catch().unwrap(), 60, true, 1)
        .unwrap()
        .mean();
    assert!(
        untrained < 0.0 && trained > 0.9,
        "{untrained} before, {trained} after"
    );

    let mut dqn = Dqn::new(
        VecEnv::new(4, 0, catch).unwrap(),
        DqnOptions {
            learning_rate: Schedule::Constant(3e-3),
            buffer_size: 5000,
            train_freq: 2,
            gamma: 0.95,
            target_update_interval: 200,
            exploration_fraction: 0.5,
            double: true,
            prioritized: Some(PrioritizedOptions::default()),
            n_steps: 3,
            policy: QNetworkOptions {
                net_arch: vec![32],
                dueling: true,
                ..Default::default()
            },
            ..Default::default()
        },
        0,
    )
    .unwrap();
    learn(&mut dqn, 8000, &mut |_| Ok(ControlFlow::Continue(()))).unwrap();
    let mut seen = 0;
    let episode = play_episode(dqn.policy(), &mut *catch().unwrap(), true, 2, &mut |_| seen += 1).unwrap();
    assert_eq!((episode.length, seen), (9, 10));
    let trained = evaluate_policy(dqn.policy(), &mut *catch().unwrap(), 60, true, 1)
        .unwrap()
        .mean();
    assert!(trained > 0.9, "{trained}");
}
