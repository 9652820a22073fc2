//! Policies: a gradient reaches every parameter of every form of them, and observations or files of another kind are refused.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_nn::{Forward, Module};
use flambeau_rl::policies::{
    Activation, ActorCriticOptions, ActorCriticPolicy, DqnPolicy, Extractor, FeaturesExtractor, Policy,
    QNetwork, QNetworkOptions, RandomPolicy, SacPolicy, SacPolicyOptions,
};
use flambeau_rl::{Space, Value};
use flambeau_tensor::Tensor;
use flambeau_tensor::random::{self, Generator};

const BATCH: usize = 6;

/// Vectors, small planes and pictures of bytes.
fn observations() -> [Space; 3] {
    let bytes = Space::Box {
        low: vec![0.0; 36 * 36],
        high: vec![255.0; 36 * 36],
        shape: vec![1, 36, 36],
    };
    [
        Space::bounded(&[-1.0; 5], &[1.0; 5]),
        Space::unit(&[2, 5, 4]),
        bytes,
    ]
}

fn seen(space: &Space) -> Tensor {
    let mut rng = flambeau_rl::Pcg64::new(1);
    let mut rows = Vec::new();
    (0..BATCH).for_each(|_| space.flatten(&space.sample(&mut rng), &mut rows).unwrap());
    Tensor::from_vec(rows, (BATCH, space.flat_dim())).unwrap()
}

/// Every parameter but those that the prefixes name gets a gradient, and not one of zeros.
fn assert_reached(what: &str, module: &dyn Module, loss: &Tensor, but: &[&str]) {
    loss.backward().unwrap();
    let (mut reached, mut left_out) = (0, 0);
    for (name, parameter) in module.named_parameters() {
        let gradient = parameter.grad().map(|gradient| gradient.to_vec::<f32>().unwrap());
        if but.iter().any(|prefix| name.starts_with(prefix)) {
            assert!(gradient.is_none(), "{what}: {name}");
            left_out += 1;
        } else {
            let gradient = gradient.unwrap_or_else(|| panic!("{what}: {name} has no gradient"));
            assert!(
                gradient.iter().any(|&x| x != 0.0),
                "{what}: the gradient of {name} is 0"
            );
            assert!(gradient.iter().all(|x| x.is_finite()), "{what}: {name}");
            reached += 1;
        }
    }
    assert!(reached > 0, "{what}");
    assert_eq!(left_out == 0, but.is_empty(), "{what}");
}

#[test]
fn gradients_reach_every_parameter_of_every_policy() {
    let (discrete, torque) = (Space::discrete(3), Space::bounded(&[-2.0, -1.0], &[2.0, 1.0]));
    random::manual_seed(0);
    for space in observations() {
        for activation in Activation::ALL {
            let what = format!("{space}, {activation:?}");
            for dueling in [false, true] {
                let options = QNetworkOptions {
                    net_arch: vec![24],
                    dueling,
                    activation,
                    features_extractor: None,
                };
                let network = QNetwork::new(&space, &discrete, &options).unwrap();
                let values = network.forward(&seen(&space)).unwrap();
                assert_eq!(values.shape(), [BATCH, 3]);
                let loss = values.square().unwrap().sum().unwrap();
                assert_reached(&format!("DQN, {what}"), &network, &loss, &[]);
            }
            for (actions, share_features_extractor) in [(&discrete, true), (&torque, true), (&torque, false)]
            {
                let options = ActorCriticOptions {
                    net_arch: vec![24],
                    vf_net_arch: Some(vec![24, 16]),
                    activation,
                    share_features_extractor,
                    ..Default::default()
                };
                let policy = ActorCriticPolicy::new(&space, actions, &options).unwrap();
                let (distribution, values) = policy.forward(&seen(&space)).unwrap();
                let drawn = distribution.sample(&mut Generator::new(2)).unwrap();
                let log_prob = distribution.log_prob(&drawn.detach()).unwrap();
                let losses = [log_prob.square().unwrap(), values.square().unwrap()];
                let loss = losses[0].sum().unwrap().add(&losses[1].sum().unwrap()).unwrap();
                assert_reached(&format!("actor-critic, {actions}, {what}"), &policy, &loss, &[]);
            }
            let options = SacPolicyOptions {
                net_arch: vec![24],
                qf_net_arch: Some(vec![24, 16]),
                activation,
                features_extractor: None,
            };
            let policy = SacPolicy::new(&space, &torque, &options).unwrap();
            let (actions, log_prob) = policy
                .actor
                .action_log_prob(&seen(&space), &mut Generator::new(3))
                .unwrap();
            let [first, second] = policy.critic.forward(&seen(&space), &actions).unwrap();
            let loss = first
                .add(&second)
                .unwrap()
                .add(&log_prob)
                .unwrap()
                .square()
                .unwrap()
                .sum()
                .unwrap();
            assert_reached(&format!("SAC, {what}"), &policy, &loss, &["critic_target."]);
        }
    }
}

#[test]
fn features_suit_the_observations() {
    let [vectors, planes, pictures] = observations();
    assert_eq!(Extractor::suiting(&vectors), Extractor::Flatten);
    assert_eq!(Extractor::suiting(&planes), Extractor::MinAtar);
    assert_eq!(
        Extractor::suiting(&pictures),
        Extractor::Nature { features_dim: 512 }
    );
    let features = |space: &Space, extractor| FeaturesExtractor::new(space, extractor);
    assert_eq!(features(&pictures, None).unwrap().features_dim(), 512);
    // Bytes become numbers between 0 and 1, with and without a convolution; other numbers stay.
    let flat = features(&pictures, Some(Extractor::Flatten)).unwrap();
    let largest = Tensor::full((1, 36 * 36), 255.0, flambeau_tensor::DType::F32).unwrap();
    assert_eq!(
        flat.forward(&largest).unwrap().to_vec::<f32>().unwrap(),
        vec![1.0; 36 * 36]
    );
    let plain = features(&vectors, None)
        .unwrap()
        .forward(&seen(&vectors))
        .unwrap();
    assert_eq!(
        plain.to_vec::<f32>().unwrap(),
        seen(&vectors).to_vec::<f32>().unwrap()
    );

    let nature = Some(Extractor::Nature { features_dim: 8 });
    let error = features(&planes, nature).unwrap_err().to_string();
    assert_eq!(
        error,
        "FeaturesExtractor: expected pictures of at least 36 × 36, got 5 × 4"
    );
    let error = features(&vectors, Some(Extractor::MinAtar))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected pictures for the convolution, got observations of Box(-1, 1, [5])"),
        "{error}"
    );
    assert!(
        features(&Space::unit(&[1, 2, 9]), None)
            .unwrap_err()
            .to_string()
            .contains("at least 3 × 3")
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let [vectors, planes, _] = observations();
    let (discrete, torque) = (Space::discrete(3), Space::bounded(&[-2.0], &[2.0]));
    let mut generator = Generator::new(0);
    let dqn = DqnPolicy::new(&vectors, &discrete, &QNetworkOptions::default()).unwrap();
    let ppo = ActorCriticPolicy::new(&planes, &discrete, &ActorCriticOptions::default()).unwrap();
    let sac = SacPolicy::new(&vectors, &torque, &SacPolicyOptions::default()).unwrap();
    let policies: [&dyn Policy; 3] = [&dqn, &ppo, &sac];
    for policy in policies {
        let wrong = Tensor::from_vec(vec![0.5f32; 14], (2, 7)).unwrap();
        assert!(policy.predict(&wrong, true, &mut generator).is_err());
        assert!(policy.predict(&wrong, false, &mut generator).is_err());
    }
    let random = RandomPolicy::new(&torque)
        .predict(&seen(&vectors), true, &mut generator)
        .unwrap();
    assert_eq!(random.len(), BATCH);
    assert!(random.iter().all(|action| torque.contains(action)) && random[0] != random[1]);

    // Weights of another algorithm, none, and some that are missing.
    let weights = dqn.state_dict();
    let error = SacPolicy::from_state_dict(&vectors, &torque, None, &weights)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("actor.mu.weight") && error.contains("q_net.q_net.0.bias"),
        "{error}"
    );
    let error = ActorCriticPolicy::from_state_dict(&vectors, &discrete, None, &weights)
        .unwrap_err()
        .to_string();
    assert!(error.contains("action_net.weight"), "{error}");
    assert!(DqnPolicy::from_state_dict(&vectors, &discrete, None, &Default::default()).is_err());
    let mut cut = weights.clone();
    cut.remove("q_net_target.q_net.2.bias");
    let error = DqnPolicy::from_state_dict(&vectors, &discrete, None, &cut)
        .unwrap_err()
        .to_string();
    assert!(error.contains("q_net_target.q_net.2.bias"), "{error}");
    // Another environment's.
    let error = DqnPolicy::from_state_dict(&planes, &discrete, None, &weights)
        .unwrap_err()
        .to_string();
    assert!(error.contains("q_net"), "{error}");
    let error = DqnPolicy::from_state_dict(&vectors, &Space::discrete(5), None, &weights)
        .unwrap_err()
        .to_string();
    assert!(error.contains("[5") && error.contains("[3"), "{error}");
    assert!(DqnPolicy::from_state_dict(&vectors, &torque, None, &weights).is_err());
    assert!(matches!(random[0], Value::Box(_)));
}
