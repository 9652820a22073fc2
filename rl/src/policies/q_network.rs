//! Networks that estimate what each action is worth (`DQNPolicy`), also with the duelling head.
//!
//! Mnih et al., *Human-level control through deep reinforcement learning* (2015); Wang et al., *Dueling network architectures
//! for deep reinforcement learning* (2016).

use flambeau_nn::{Forward, Module, Sequential, StateDict, observed};
use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, Tensor, ensure, no_grad};

use super::{Activation, Extractor, FeaturesExtractor, Policy, discrete_actions, mlp, widths};
use crate::{Space, Value};

/// Options of [`QNetwork`].
#[derive(Clone, Debug)]
pub struct QNetworkOptions {
    /// The widths of the layers.
    pub net_arch: Vec<usize>,
    /// Whether the value of a state and the advantages of actions are estimated apart.
    pub dueling: bool,
    /// What lies between the layers.
    pub activation: Activation,
    /// How features are made of observations; what suits them if not given.
    pub features_extractor: Option<Extractor>,
}

impl Default for QNetworkOptions {
    fn default() -> Self {
        QNetworkOptions {
            net_arch: vec![64, 64],
            dueling: false,
            activation: Activation::ReLU,
            features_extractor: None,
        }
    }
}

/// What each action is worth.
///
/// # Shapes
/// `[batch, features] → [batch, actions]`.
#[derive(Debug, Module)]
pub struct QNetwork {
    /// What is seen of observations.
    pub features_extractor: FeaturesExtractor,
    /// The values of actions; with a duelling head, their advantages.
    pub q_net: Sequential,
    /// The value of the state, in a duelling network.
    pub value_net: Option<Sequential>,
}

impl QNetwork {
    /// A network for an environment's observations and actions.
    ///
    /// # Errors
    /// `Unsupported` if actions are not [`Space::Discrete`]; those of [`FeaturesExtractor::new`].
    pub fn new(observations: &Space, actions: &Space, options: &QNetworkOptions) -> Result<QNetwork> {
        let actions = discrete_actions("QNetwork", actions)?;
        let features_extractor = FeaturesExtractor::new(observations, options.features_extractor)?;
        let inputs = features_extractor.features_dim();
        let net = |outputs| mlp(inputs, &options.net_arch, Some(outputs), options.activation);
        Ok(QNetwork {
            q_net: net(actions)?,
            value_net: options.dueling.then(|| net(1)).transpose()?,
            features_extractor,
        })
    }
}

impl Forward for QNetwork {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let features = self.features_extractor.forward(x)?;
        let values = self.q_net.forward(&features)?;
        match &self.value_net {
            // Advantages are relative to their mean: else they and the value could shift against each other.
            Some(value_net) => values
                .sub(&values.mean_dim(-1, true)?)?
                .add(&value_net.forward(&features)?),
            None => Ok(values),
        }
    }
}

/// A network of values, and the older copy that its targets are computed with.
#[derive(Debug, Module)]
pub struct DqnPolicy {
    /// The network that is learnt.
    pub q_net: QNetwork,
    /// The network of the targets.
    pub q_net_target: QNetwork,
}

impl DqnPolicy {
    /// Two networks of the same values.
    ///
    /// # Errors
    /// As [`QNetwork::new`].
    pub fn new(observations: &Space, actions: &Space, options: &QNetworkOptions) -> Result<DqnPolicy> {
        let q_net = QNetwork::new(observations, actions, options)?;
        let q_net_target = QNetwork::new(observations, actions, options)?;
        q_net_target.load_state_dict(&q_net.state_dict(), true)?;
        Ok(DqnPolicy { q_net, q_net_target })
    }

    /// The policy whose weights a state dict has, such as one of Stable-Baselines3 ([`crate::sb3`]); the sizes of the
    /// layers are found in it. The activation is the default if not given.
    ///
    /// # Errors
    /// `Key` or `Shape` if it is not one for such observations and actions.
    pub fn from_state_dict(
        observations: &Space,
        actions: &Space,
        activation: Option<Activation>,
        dict: &StateDict,
    ) -> Result<DqnPolicy> {
        let mut net_arch = widths(dict, "q_net.q_net");
        ensure!(
            net_arch.pop().is_some(),
            Key,
            "DqnPolicy: expected weights called q_net.q_net.0.weight and so on, got {:?}",
            dict.keys().take(8).collect::<Vec<_>>()
        );
        let options = QNetworkOptions {
            net_arch,
            dueling: dict.keys().any(|key| key.starts_with("q_net.value_net.")),
            activation: activation.unwrap_or(Activation::ReLU),
            features_extractor: Some(Extractor::in_state_dict(dict, "q_net.features_extractor.")),
        };
        let policy = DqnPolicy::new(observations, actions, &options)?;
        policy.load_state_dict(dict, true)?;
        Ok(policy)
    }
}

impl Policy for DqnPolicy {
    fn predict(&self, observations: &Tensor, _: bool, _: &mut Generator) -> Result<Vec<Value>> {
        let values = no_grad(|| self.q_net.forward(observations))?;
        let best = values.argmax(Some(-1), false)?.to_vec::<i64>()?;
        Ok(best.into_iter().map(|i| Value::Discrete(i as usize)).collect())
    }

    fn module(&self) -> &dyn Module {
        self
    }
}
