//! Environments give Gymnasium's numbers: 20 sequences of actions for each, from seeded beginnings.

#![allow(clippy::unwrap_used)]

use flambeau_rl::wrappers::{
    FrameStackObservation, NormalizeObservation, RescaleAction, StickyAction, TimeLimit, TransformReward,
};
use flambeau_rl::{Env, Space, Value, VecEnv, envs};
use flambeau_tensor::io::npz;

/// The numbers of an observation, as the fixture has them.
fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Discrete(i) => vec![*i as f32],
        Value::Box(x) => x.clone(),
        Value::Tuple(values) => values.iter().flat_map(numbers).collect(),
        other => panic!("{other:?}"),
    }
}

fn action(space: &Space, numbers: &[f32]) -> Value {
    match space {
        Space::Discrete { .. } => Value::Discrete(numbers[0] as usize),
        _ => Value::Box(numbers.to_vec()),
    }
}

#[test]
fn episodes_are_those_of_gymnasium() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gymnasium_episodes.npz");
    let golden = npz::read(path).unwrap();
    let ids = golden.keys().filter_map(|key| key.strip_suffix("/first"));
    let mut compared = 0;
    for id in ids {
        let part = |name: &str| &golden[&format!("{id}/{name}")];
        let first = part("first").to_vec2::<f32>().unwrap();
        let [actions, observations, resets] =
            ["actions", "observations", "resets"].map(|name| part(name).to_vec3::<f32>().unwrap());
        let rewards = part("rewards").to_vec2::<f64>().unwrap();
        let ends = part("ends").to_vec2::<u8>().unwrap();
        for seed in 0..20 {
            let mut env = envs::make(id).unwrap();
            let beginning = env.reset(Some(seed as u64)).unwrap();
            assert_same(&beginning, &first[seed], &format!("{id}, seed {seed}, beginning"));
            for (i, numbers) in actions[seed].iter().enumerate() {
                let what = format!("{id}, seed {seed}, step {i}");
                let step = env.step(&action(&env.action_space(), numbers)).unwrap();
                assert_same(&step.observation, &observations[seed][i], &what);
                let expected = rewards[seed][i];
                assert!(
                    (step.reward - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                    "{what}: {}, expected {expected}",
                    step.reward
                );
                let end = u8::from(step.terminated) + 2 * u8::from(step.truncated);
                assert_eq!(end, ends[seed][i], "{what}");
                if step.done() {
                    assert_same(
                        &env.reset(None).unwrap(),
                        &resets[seed][i],
                        &format!("{what}, reset"),
                    );
                }
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 11 * 20);
}

fn assert_same(got: &Value, expected: &[f32], what: &str) {
    let got = numbers(got);
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        assert!(
            (got - expected).abs() <= 1e-6 * expected.abs().max(1.0),
            "{what}: {got}, expected {expected}"
        );
    }
}

/// Each environment of the table: its observations are in its space, a saved state goes on with the same numbers, wrong
/// actions are refused by name, and the pictures show something.
#[test]
fn every_environment_keeps_its_word() {
    for spec in envs::all() {
        let id = spec.id;
        let (mut env, mut other) = (spec.make().unwrap(), spec.make().unwrap());
        let mut rng = flambeau_rl::Pcg64::new(3);
        assert!(
            env.observation_space().contains(&env.reset(Some(3)).unwrap()),
            "{id}"
        );
        let actions = env.action_space();
        for _ in 0..30 {
            let step = env.step(&actions.sample(&mut rng)).unwrap();
            assert!(
                env.observation_space().contains(&step.observation),
                "{id}: {step:?}"
            );
            if step.done() {
                env.reset(None).unwrap();
            }
        }
        other.set_state(env.state().unwrap()).unwrap();
        assert_eq!(other.render(), env.render(), "{id}");
        for _ in 0..30 {
            let action = actions.sample(&mut rng);
            let step = env.step(&action).unwrap();
            assert_eq!(other.step(&action).unwrap(), step, "{id}");
            if step.done() {
                assert_eq!(other.reset(None).unwrap(), env.reset(None).unwrap(), "{id}");
            }
        }
        let wrong = match actions {
            Space::Discrete { n } => Value::Discrete(n),
            _ => Value::Box(vec![0.0; 7]),
        };
        let error = env.step(&wrong).unwrap_err().to_string();
        let name = id.split("8x8").next().unwrap().split("Slippery").next().unwrap();
        assert!(
            error.contains("expected an action of") && error.contains(name.split('-').next().unwrap()),
            "{id}: {error}"
        );
        assert!(env.set_state(serde_json::json!({"x": 1})).is_err(), "{id}");
        let frame = env.render();
        let colors: std::collections::BTreeSet<_> = (0..frame.height())
            .flat_map(|y| (0..frame.width()).map(move |x| (x, y)))
            .filter_map(|(x, y)| frame.get(x, y))
            .collect();
        assert!(colors.len() > 2, "{id}");
    }
    let error = envs::make("CartPole-v9").err().unwrap().to_string();
    assert!(
        error.contains("CartPole-v9") && error.contains("Pendulum-v1"),
        "{error}"
    );
}

#[test]
fn wrappers_do_what_they_say() {
    let pendulum = || envs::Pendulum::new();
    let mut limited = TimeLimit::new(pendulum(), 3).unwrap();
    limited.reset(Some(0)).unwrap();
    let ends = [(); 3].map(|()| limited.step(&vec![0.0].into()).unwrap().truncated);
    assert_eq!(ends, [false, false, true]);

    // An action of 1 in [-1, 1] is a torque of 2.
    let (mut plain, mut rescaled) = (pendulum(), RescaleAction::new(pendulum(), -1.0, 1.0).unwrap());
    plain.reset(Some(4)).unwrap();
    rescaled.reset(Some(4)).unwrap();
    let (a, b) = (plain.step(&vec![2.0].into()), rescaled.step(&vec![1.0].into()));
    assert_eq!(a.unwrap(), b.unwrap());

    let mut clipped = TransformReward::new(envs::CliffWalking::new(false), |r| r.clamp(-1.0, 1.0));
    clipped.reset(Some(0)).unwrap();
    assert_eq!(clipped.step(&1.into()).unwrap().reward, -1.0);

    let mut stacked = FrameStackObservation::new(envs::CartPole::new(), 2).unwrap();
    let first = numbers(&stacked.reset(Some(1)).unwrap());
    assert_eq!(first[..4], first[4..]);
    let second = numbers(&stacked.step(&0.into()).unwrap().observation);
    assert_eq!(second[..4], first[4..]);
    assert_ne!(second[4..], first[4..]);
    let Space::Box { shape, .. } = stacked.observation_space() else {
        panic!()
    };
    assert_eq!(shape, [2, 4]);

    let mut normal = NormalizeObservation::new(envs::CartPole::new(), 1e-8).unwrap();
    normal.reset(Some(0)).unwrap();
    let mut rng = flambeau_rl::Pcg64::new(0);
    let mut sums = [0.0; 4];
    for _ in 0..2000 {
        let step = normal.step(&normal.action_space().sample(&mut rng)).unwrap();
        for (sum, x) in sums.iter_mut().zip(numbers(&step.observation)) {
            *sum += f64::from(x * x) / 2000.0;
        }
        if step.done() {
            normal.reset(None).unwrap();
        }
    }
    assert!(sums.iter().all(|square| (0.5..2.0).contains(square)), "{sums:?}");

    // Of many actions that alternate, a quarter is replaced by the one before.
    let mut sticky = StickyAction::new(envs::MountainCar::new(), 0.25).unwrap();
    sticky.reset(Some(0)).unwrap();
    let (mut free, mut differing) = (envs::MountainCar::new(), 0);
    for i in 0..400usize {
        free.set_state(sticky.state().unwrap()[0].clone()).unwrap();
        let action = (2 * (i % 2)).into();
        differing += usize::from(free.step(&action).unwrap() != sticky.step(&action).unwrap());
    }
    assert!((50..150).contains(&differing), "{differing}");

    // Who acts outside of an episode is told so, also after a limit and in a state that was taken over.
    for id in ["CartPole-v1", "Pendulum-v1", "Blackjack-v1"] {
        let mut env = envs::make(id).unwrap();
        let action = match env.action_space() {
            Space::Discrete { .. } => Value::Discrete(0),
            _ => vec![0.0].into(),
        };
        let refused = |env: &mut dyn Env| {
            let error = env.step(&action).unwrap_err().to_string();
            assert!(error.contains(id) && error.contains("call reset"), "{error}");
        };
        refused(&mut *env);
        env.reset(Some(0)).unwrap();
        while !env.step(&action).unwrap().done() {}
        refused(&mut *env);
        let mut other = envs::make(id).unwrap();
        other.reset(Some(0)).unwrap();
        other.set_state(env.state().unwrap()).unwrap();
        refused(&mut *other);
        env.reset(None).unwrap();
        env.step(&action).unwrap();
    }

    assert!(TimeLimit::new(pendulum(), 0).is_err());
    assert!(StickyAction::new(pendulum(), 1.0).is_err());
    assert!(RescaleAction::new(envs::CartPole::new(), -1.0, 1.0).is_err());
    assert!(FrameStackObservation::new(envs::Taxi::new(), 2).is_err());
    assert!(NormalizeObservation::new(envs::Taxi::new(), 1e-8).is_err());
}

#[test]
fn environments_side_by_side_are_those_alone() {
    let make = || envs::make("CartPole-v1");
    let mut all = VecEnv::new(3, 11, make).unwrap();
    let mut alone: Vec<_> = (0..3).map(|_| make().unwrap()).collect();
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for (i, env) in alone.iter_mut().enumerate() {
        seen.push(numbers(&env.reset(Some(11 + i as u64)).unwrap()));
    }
    let (mut rewards, mut finished) = (vec![0.0; 3], Vec::new());
    for i in 0..100usize {
        assert_eq!(all.observations(), seen.concat());
        let actions: Vec<Value> = (0..3).map(|j| ((i / (j + 2)) % 2).into()).collect();
        let step = all.step(&actions).unwrap();
        for (j, env) in alone.iter_mut().enumerate() {
            let own = env.step(&actions[j]).unwrap();
            assert_eq!(
                step.next_observations[4 * j..4 * j + 4],
                numbers(&own.observation)
            );
            assert_eq!(step.terminated[j], own.terminated);
            rewards[j] += own.reward;
            seen[j] = numbers(&own.observation);
            if own.done() {
                finished.push(std::mem::take(&mut rewards[j]));
                seen[j] = numbers(&env.reset(None).unwrap());
            }
        }
    }
    let episodes = all.take_finished();
    assert!(episodes.len() > 5);
    assert_eq!(
        episodes.iter().map(|episode| episode.reward).collect::<Vec<_>>(),
        finished
    );

    let error = all.step(&[0.into()]).unwrap_err().to_string();
    assert_eq!(error, "VecEnv: expected 3 actions, got 1");
    assert!(VecEnv::new(0, 0, make).is_err());
    let mut ids = ["CartPole-v1", "Acrobot-v1"].iter();
    let mixed = VecEnv::new(2, 0, || envs::make(ids.next().unwrap()));
    assert!(mixed.unwrap_err().to_string().contains("one kind"));
}
