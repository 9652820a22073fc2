//! Policies: networks that say how to act, with Stable-Baselines3's structure, keys and initial values.

mod actor_critic;
mod features;
mod q_network;
mod random_policy;
mod soft_actor_critic;

pub use actor_critic::{ActionDistribution, ActorCriticOptions, ActorCriticPolicy, MlpExtractor};
pub use features::{Extractor, FeaturesExtractor};
pub use q_network::{DqnPolicy, QNetwork, QNetworkOptions};
pub use random_policy::RandomPolicy;
pub use soft_actor_critic::{Actor, ContinuousCritic, SacPolicy, SacPolicyOptions};

use flambeau_nn::{
    ELU, Forward, GELU, LeakyReLU, Linear, LinearOptions, Module, ReLU, Sequential, SiLU, Sigmoid, StateDict,
    Tanh,
};
use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, Tensor, bail};

use crate::{Space, Value};

/// What acts.
pub trait Policy {
    /// The actions for observations, drawn or the best ones.
    ///
    /// # Shapes
    /// `[batch, features]`, as [`Space::flatten`] gives them; one action for each.
    ///
    /// # Errors
    /// `Shape` if there are other features.
    fn predict(
        &self,
        observations: &Tensor,
        deterministic: bool,
        generator: &mut Generator,
    ) -> Result<Vec<Value>>;

    /// The networks.
    fn module(&self) -> &dyn Module;
}

/// What lies between the layers of a network (`activation_fn`), with PyTorch's names and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// The rectifier.
    ReLU,
    /// The hyperbolic tangent.
    Tanh,
    /// The exponential linear unit.
    ELU,
    /// The Gaussian error linear unit.
    GELU,
    /// The rectifier with a small slope below 0.
    LeakyReLU,
    /// The sigmoid linear unit.
    SiLU,
    /// The logistic function.
    Sigmoid,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 7] = [
        Activation::ReLU,
        Activation::Tanh,
        Activation::ELU,
        Activation::GELU,
        Activation::LeakyReLU,
        Activation::SiLU,
        Activation::Sigmoid,
    ];

    fn push_to(self, layers: Sequential) -> Sequential {
        match self {
            Activation::ReLU => layers.push(ReLU),
            Activation::Tanh => layers.push(Tanh),
            Activation::ELU => layers.push(ELU::default()),
            Activation::GELU => layers.push(GELU::default()),
            Activation::LeakyReLU => layers.push(LeakyReLU::default()),
            Activation::SiLU => layers.push(SiLU),
            Activation::Sigmoid => layers.push(Sigmoid),
        }
    }
}

/// Linear layers of these widths, each followed by the activation, and a last one of `outputs` if there is to be one
/// (`create_mlp` of Stable-Baselines3): keys `0`, `2`, `4`, ….
pub(crate) fn mlp(
    inputs: usize,
    widths: &[usize],
    outputs: Option<usize>,
    activation: Activation,
) -> Result<Sequential> {
    let mut layers = Sequential::new();
    let mut last = inputs;
    for &width in widths {
        layers = layers.push(Linear::new(last, width, LinearOptions::default())?);
        layers = activation.push_to(layers);
        last = width;
    }
    Ok(match outputs {
        Some(outputs) => layers.push(Linear::new(last, outputs, LinearOptions::default())?),
        None => layers,
    })
}

/// The widths of an MLP's layers that a state dict has under a prefix, the last one included.
pub(crate) fn widths(dict: &StateDict, prefix: &str) -> Vec<usize> {
    (0..)
        .step_by(2)
        .map_while(|i| dict.get(&format!("{prefix}.{i}.weight")))
        .filter_map(|weight| weight.shape().first().copied())
        .collect()
}

/// The number of actions to choose from.
///
/// # Errors
/// `Unsupported` that names the algorithm if actions are of another kind.
pub(crate) fn discrete_actions(algorithm: &str, space: &Space) -> Result<usize> {
    match space {
        Space::Discrete { n } => Ok(*n),
        other => bail!(
            Unsupported,
            "{algorithm}: expected Discrete actions, got {other}; continuous ones are for PPO, A2C and SAC"
        ),
    }
}

/// The bounds of continuous actions.
///
/// # Errors
/// `Unsupported` that names the algorithm if actions are of another kind or their bounds are infinite.
pub(crate) fn continuous_actions(algorithm: &str, space: &Space) -> Result<(Vec<f32>, Vec<f32>)> {
    match space {
        Space::Box { low, high, .. } if low.iter().chain(high).all(|x| x.is_finite()) => {
            Ok((low.clone(), high.clone()))
        }
        other => bail!(
            Unsupported,
            "{algorithm}: expected actions of a Box with finite bounds, got {other}; Discrete ones are for DQN, PPO and A2C"
        ),
    }
}

/// The forward pass of a `Sequential` with a single output, `[batch]`.
pub(crate) fn scalar_output(network: &dyn Forward, x: &Tensor) -> Result<Tensor> {
    network.forward(x)?.flatten(0, -1)
}
