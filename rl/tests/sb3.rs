//! Models that Stable-Baselines3 saved act here as they act there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use flambeau_nn::Forward;
use flambeau_rl::policies::{Activation, ActorCriticPolicy, DqnPolicy, Policy, SacPolicy};
use flambeau_rl::{Value, envs, sb3};
use flambeau_tensor::io::npz;
use flambeau_tensor::random::Generator;
use flambeau_tensor::{DType, Tensor};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn arrays(model: &str) -> BTreeMap<String, Tensor> {
    let all = npz::read(golden("sb3.npz")).unwrap();
    let own = all.into_iter().filter_map(|(key, tensor)| {
        let name = key.strip_prefix(model)?.strip_prefix('/')?.to_string();
        Some((name, tensor))
    });
    own.collect()
}

fn assert_close(got: &Tensor, expected: &Tensor, what: &str) {
    let (got, expected) = (got.to_vec::<f32>().unwrap(), expected.to_vec::<f32>().unwrap());
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        assert!(
            (got - expected).abs() < 1e-5,
            "{what}: {got}, expected {expected}"
        );
    }
}

fn assert_acts(policy: &dyn Policy, arrays: &BTreeMap<String, Tensor>) {
    let actions = policy
        .predict(&arrays["observations"], true, &mut Generator::new(0))
        .unwrap();
    for (action, expected) in actions.iter().zip(arrays["actions"].to_vec2::<f32>().unwrap()) {
        match action {
            Value::Discrete(i) => assert_eq!(*i as f32, expected[0]),
            Value::Box(x) => assert!((x[0] - expected[0]).abs() < 1e-5, "{x:?}, expected {expected:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn dqn_estimates_the_same_values() {
    let env = envs::make("CartPole-v1").unwrap();
    let weights = sb3::load(golden("sb3_dqn_cart_pole.zip")).unwrap();
    let policy = DqnPolicy::from_state_dict(&env.observation_space(), &env.action_space(), &weights).unwrap();
    let arrays = arrays("dqn_cart_pole");
    let values = policy.q_net.forward(&arrays["observations"]).unwrap();
    assert_close(&values, &arrays["q_values"], "values");
    assert_acts(&policy, &arrays);
}

#[test]
fn ppo_and_a2c_have_the_same_values_and_probabilities() {
    for (name, id) in [("ppo_cart_pole", "CartPole-v1"), ("a2c_pendulum", "Pendulum-v1")] {
        let env = envs::make(id).unwrap();
        let weights = sb3::load(golden(&format!("sb3_{name}.zip"))).unwrap();
        let (observations, actions) = (env.observation_space(), env.action_space());
        let policy =
            ActorCriticPolicy::from_state_dict(&observations, &actions, Activation::Tanh, &weights).unwrap();
        let arrays = arrays(name);
        let (distribution, values) = policy.forward(&arrays["observations"]).unwrap();
        assert_close(&values, &arrays["values"], name);
        let drawn = match id {
            "CartPole-v1" => arrays["drawn"]
                .flatten(0, -1)
                .unwrap()
                .to_dtype(DType::I64)
                .unwrap(),
            _ => arrays["drawn"].clone(),
        };
        assert_close(&distribution.log_prob(&drawn).unwrap(), &arrays["log_prob"], name);
        let entropy = distribution.entropy().unwrap().expand(16isize).unwrap();
        assert_close(&entropy, &arrays["entropy"], name);
        assert_acts(&policy, &arrays);
    }
}

#[test]
fn sac_acts_the_same() {
    let env = envs::make("Pendulum-v1").unwrap();
    let weights = sb3::load(golden("sb3_sac_pendulum.zip")).unwrap();
    let policy = SacPolicy::from_state_dict(&env.observation_space(), &env.action_space(), &weights).unwrap();
    assert_acts(&policy, &arrays("sac_pendulum"));
}

#[test]
fn other_files_and_other_environments_are_refused() {
    let error = |path: PathBuf| sb3::load(path).unwrap_err().to_string();
    let missing = error(golden("missing.zip"));
    assert!(missing.contains("missing.zip"), "{missing}");
    let text = error(golden("sb3_models.py"));
    assert!(text.contains("sb3_models.py"), "{text}");
    let other = error(golden("gymnasium_episodes.npz"));
    assert!(other.contains("there is no policy.pth in it"), "{other}");

    let weights = sb3::load(golden("sb3_dqn_cart_pole.zip")).unwrap();
    let env = envs::make("Acrobot-v1").unwrap();
    let (observations, actions) = (env.observation_space(), env.action_space());
    let shapes = DqnPolicy::from_state_dict(&observations, &actions, &weights)
        .unwrap_err()
        .to_string();
    assert!(shapes.contains("q_net.q_net.0.weight"), "{shapes}");
    let keys = ActorCriticPolicy::from_state_dict(&observations, &actions, Activation::Tanh, &weights)
        .unwrap_err()
        .to_string();
    assert!(keys.contains("action_net.weight"), "{keys}");
}
