//! Models that Stable-Baselines3 saved act here as they act there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use flambeau_nn::{Forward, Module};
use flambeau_rl::policies::{Activation, ActorCriticPolicy, DqnPolicy, Policy, SacPolicy};
use flambeau_rl::{Space, Value, envs, sb3};
use flambeau_tensor::io::npz;
use flambeau_tensor::random::Generator;
use flambeau_tensor::{DType, Tensor};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn arrays(model: &str) -> BTreeMap<String, Tensor> {
    let file = match model.split('_').next() {
        Some("cnn" | "elu") => "sb3_more.npz",
        _ => "sb3.npz",
    };
    let all = npz::read(golden(file)).unwrap();
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

/// Observations as policies see them: a row each.
fn rows(arrays: &BTreeMap<String, Tensor>) -> Tensor {
    let observations = arrays["observations"].to_dtype(DType::F32).unwrap();
    observations.flatten(1, -1).unwrap()
}

fn assert_acts(policy: &dyn Policy, arrays: &BTreeMap<String, Tensor>) {
    let actions = policy
        .predict(&rows(arrays), true, &mut Generator::new(0))
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
    let weights = sb3::load(golden("sb3_dqn_cart_pole.zip")).unwrap().weights;
    let policy =
        DqnPolicy::from_state_dict(&env.observation_space(), &env.action_space(), None, &weights).unwrap();
    let arrays = arrays("dqn_cart_pole");
    let values = policy.q_net.forward(&arrays["observations"]).unwrap();
    assert_close(&values, &arrays["q_values"], "values");
    assert_acts(&policy, &arrays);
}

#[test]
fn ppo_and_a2c_have_the_same_values_and_probabilities() {
    for (name, id) in [("ppo_cart_pole", "CartPole-v1"), ("a2c_pendulum", "Pendulum-v1")] {
        let env = envs::make(id).unwrap();
        let weights = sb3::load(golden(&format!("sb3_{name}.zip"))).unwrap().weights;
        let (observations, actions) = (env.observation_space(), env.action_space());
        let policy = ActorCriticPolicy::from_state_dict(&observations, &actions, None, &weights).unwrap();
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
    let weights = sb3::load(golden("sb3_sac_pendulum.zip")).unwrap().weights;
    let policy =
        SacPolicy::from_state_dict(&env.observation_space(), &env.action_space(), None, &weights).unwrap();
    assert_acts(&policy, &arrays("sac_pendulum"));
}

/// What `sb3_more_models.py` has pictures of.
fn pixels() -> Space {
    let bytes = vec![255.0; 2 * 36 * 44];
    Space::Box {
        low: vec![0.0; bytes.len()],
        high: bytes,
        shape: vec![2, 36, 44],
    }
}

#[test]
fn policies_of_pixels_are_the_same() {
    let (discrete, torque) = (Space::discrete(3), Space::bounded(&[-2.0], &[2.0]));
    for (name, actions) in [("cnn_ppo", &discrete), ("cnn_ppo_apart", &torque)] {
        let sb3::Model { weights, activation } = sb3::load(golden(&format!("sb3_{name}.zip"))).unwrap();
        let policy = ActorCriticPolicy::from_state_dict(&pixels(), actions, activation, &weights).unwrap();
        assert_eq!(policy.vf_features_extractor.is_some(), name == "cnn_ppo_apart");
        let arrays = arrays(name);
        let (distribution, values) = policy.forward(&rows(&arrays)).unwrap();
        assert_close(&values, &arrays["values"], name);
        assert_close(&policy.values(&rows(&arrays)).unwrap(), &arrays["values"], name);
        let drawn = match name {
            "cnn_ppo" => arrays["drawn"]
                .flatten(0, -1)
                .unwrap()
                .to_dtype(DType::I64)
                .unwrap(),
            _ => arrays["drawn"].clone(),
        };
        assert_close(&distribution.log_prob(&drawn).unwrap(), &arrays["log_prob"], name);
        assert_acts(&policy, &arrays);
        // What is saved here has other names where extractors are shared, and is read as well.
        let again = ActorCriticPolicy::from_state_dict(&pixels(), actions, activation, &policy.state_dict());
        assert_close(
            &again.unwrap().values(&rows(&arrays)).unwrap(),
            &arrays["values"],
            name,
        );
    }
    let weights = sb3::load(golden("sb3_cnn_dqn.zip")).unwrap().weights;
    let policy = DqnPolicy::from_state_dict(&pixels(), &discrete, None, &weights).unwrap();
    let arrays_of_dqn = arrays("cnn_dqn");
    let values = policy.q_net.forward(&rows(&arrays_of_dqn)).unwrap();
    assert_close(&values, &arrays_of_dqn["q_values"], "values");
    assert_acts(&policy, &arrays_of_dqn);

    let sb3::Model { weights, activation } = sb3::load(golden("sb3_cnn_sac.zip")).unwrap();
    assert_eq!(activation, Some(Activation::Tanh));
    let policy = SacPolicy::from_state_dict(&pixels(), &torque, activation, &weights).unwrap();
    let arrays = arrays("cnn_sac");
    assert_acts(&policy, &arrays);
    let critics = policy.critic.forward(&rows(&arrays), &arrays["tried"]).unwrap();
    let critics = Tensor::stack(&[&critics[0], &critics[1]], 1).unwrap();
    assert_close(&critics, &arrays["critics"], "critics");
}

#[test]
fn activations_and_widths_are_those_of_the_file() {
    let env = envs::make("CartPole-v1").unwrap();
    let (observations, actions) = (env.observation_space(), env.action_space());
    let sb3::Model { weights, activation } = sb3::load(golden("sb3_elu_ppo.zip")).unwrap();
    assert_eq!(activation, Some(Activation::ELU));
    let policy = ActorCriticPolicy::from_state_dict(&observations, &actions, activation, &weights).unwrap();
    let arrays_of_ppo = arrays("elu_ppo");
    let (_, values) = policy.forward(&rows(&arrays_of_ppo)).unwrap();
    assert_close(&values, &arrays_of_ppo["values"], "values");
    assert_acts(&policy, &arrays_of_ppo);
    let sb3::Model { weights, activation } = sb3::load(golden("sb3_elu_dqn.zip")).unwrap();
    let policy = DqnPolicy::from_state_dict(&observations, &actions, activation, &weights).unwrap();
    let arrays = arrays("elu_dqn");
    assert_close(
        &policy.q_net.forward(&rows(&arrays)).unwrap(),
        &arrays["q_values"],
        "values",
    );
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

    let noise = error(golden("sb3_sde_ppo.zip"));
    assert!(
        noise.contains("sb3_sde_ppo.zip: ") && noise.contains("use_sde=True"),
        "{noise}"
    );

    let weights = sb3::load(golden("sb3_dqn_cart_pole.zip")).unwrap().weights;
    let env = envs::make("Acrobot-v1").unwrap();
    let (observations, actions) = (env.observation_space(), env.action_space());
    let shapes = DqnPolicy::from_state_dict(&observations, &actions, None, &weights)
        .unwrap_err()
        .to_string();
    assert!(shapes.contains("q_net.q_net.0.weight"), "{shapes}");
    let keys = ActorCriticPolicy::from_state_dict(&observations, &actions, None, &weights)
        .unwrap_err()
        .to_string();
    assert!(keys.contains("action_net.weight"), "{keys}");
}
