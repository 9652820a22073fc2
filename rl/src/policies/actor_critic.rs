//! A network that acts and one that estimates how well it will go (`ActorCriticPolicy`): for A2C, PPO and REINFORCE.

use flambeau_nn::{Forward, Linear, LinearOptions, Module, Parameter, Sequential, StateDict, init};
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

use super::{Activation, Extractor, FeaturesExtractor, Policy, mlp, scalar_output, widths};
use crate::{Space, Value};

/// Options of [`ActorCriticPolicy`].
#[derive(Clone, Debug)]
pub struct ActorCriticOptions {
    /// The widths of the layers, of the actor's and of the critic's.
    pub net_arch: Vec<usize>,
    /// The widths of the critic's layers, if they are others (`net_arch=dict(pi=…, vf=…)`).
    pub vf_net_arch: Option<Vec<usize>>,
    /// What lies between them.
    pub activation: Activation,
    /// How features are made of observations; what suits them if not given.
    pub features_extractor: Option<Extractor>,
    /// Whether actor and critic see the same features.
    pub share_features_extractor: bool,
    /// Whether weights begin as orthogonal matrices.
    pub ortho_init: bool,
    /// The logarithm of the standard deviation of continuous actions, at first.
    pub log_std_init: f64,
}

impl Default for ActorCriticOptions {
    fn default() -> Self {
        ActorCriticOptions {
            net_arch: vec![64, 64],
            vf_net_arch: None,
            activation: Activation::Tanh,
            features_extractor: None,
            share_features_extractor: true,
            ortho_init: true,
            log_std_init: 0.0,
        }
    }
}

/// The two networks without their last layers.
#[derive(Debug, Module)]
pub struct MlpExtractor {
    /// The actor's.
    pub policy_net: Sequential,
    /// The critic's.
    pub value_net: Sequential,
}

/// An actor and a critic.
#[derive(Debug, Module)]
pub struct ActorCriticPolicy {
    /// The logarithm of the standard deviation of each action, if actions are continuous.
    pub log_std: Option<Parameter>,
    /// What is seen of observations.
    pub features_extractor: FeaturesExtractor,
    /// What the critic sees, if that is something else.
    pub vf_features_extractor: Option<FeaturesExtractor>,
    /// The networks without their last layers.
    pub mlp_extractor: MlpExtractor,
    /// The scores of actions, or their means.
    pub action_net: Linear,
    /// The value of a state.
    pub value_net: Linear,
    /// The bounds of continuous actions.
    #[module(skip)]
    bounds: Option<(Vec<f32>, Vec<f32>)>,
}

/// How likely actions are.
#[derive(Clone, Debug)]
pub enum ActionDistribution {
    /// One of several; the logarithms of the probabilities, `[batch, actions]`.
    Categorical(Tensor),
    /// Independent normal numbers.
    DiagGaussian {
        /// The means, `[batch, dimensions]`.
        mean: Tensor,
        /// The logarithms of the standard deviations, `[dimensions]`.
        log_std: Tensor,
    },
}

impl ActionDistribution {
    /// Draws actions: numbers, `[batch]` as `int64` or `[batch, dimensions]`.
    ///
    /// # Errors
    /// `Value` if probabilities are not finite.
    pub fn sample(&self, generator: &mut Generator) -> Result<Tensor> {
        match self {
            ActionDistribution::Categorical(log_probs) => {
                let probabilities = log_probs.detach().exp()?;
                Sample::multinomial(generator, &probabilities, 1, true)?.squeeze_dim(-1)
            }
            ActionDistribution::DiagGaussian { mean, log_std } => {
                let noise = generator.randn(mean.shape(), DType::F32)?;
                mean.add(&noise.mul(&log_std.exp()?)?)
            }
        }
    }

    /// The likeliest actions.
    ///
    /// # Errors
    /// None that a valid distribution meets.
    pub fn mode(&self) -> Result<Tensor> {
        match self {
            ActionDistribution::Categorical(log_probs) => log_probs.argmax(Some(-1), false),
            ActionDistribution::DiagGaussian { mean, .. } => Ok(mean.clone()),
        }
    }

    /// The logarithm of how likely actions are, `[batch]`.
    ///
    /// # Errors
    /// `Shape` or `DType` if they are not what [`ActionDistribution::sample`] gives.
    pub fn log_prob(&self, actions: &Tensor) -> Result<Tensor> {
        match self {
            ActionDistribution::Categorical(log_probs) => {
                log_probs.gather(-1, &actions.unsqueeze(-1)?)?.squeeze_dim(-1)
            }
            ActionDistribution::DiagGaussian { mean, log_std } => {
                let scaled = actions.sub(mean)?.mul(&log_std.neg()?.exp()?)?;
                let constant = 0.5 * std::f64::consts::TAU.ln();
                scaled
                    .square()?
                    .mul(-0.5)?
                    .sub(log_std)?
                    .sub(constant)?
                    .sum_dim(-1, false)
            }
        }
    }

    /// How undecided it is, `[batch]`; `[]` if it is the same for all observations.
    ///
    /// # Errors
    /// None that a valid distribution meets.
    pub fn entropy(&self) -> Result<Tensor> {
        match self {
            ActionDistribution::Categorical(log_probs) => {
                log_probs.exp()?.mul(log_probs)?.sum_dim(-1, false)?.neg()
            }
            ActionDistribution::DiagGaussian { log_std, .. } => {
                log_std.add(0.5 + 0.5 * std::f64::consts::TAU.ln())?.sum()
            }
        }
    }
}

impl ActorCriticPolicy {
    /// Networks for an environment's observations and actions.
    ///
    /// # Errors
    /// `Unsupported` if actions are neither [`Space::Discrete`] nor [`Space::Box`]; those of [`FeaturesExtractor::new`].
    pub fn new(
        observations: &Space,
        actions: &Space,
        options: &ActorCriticOptions,
    ) -> Result<ActorCriticPolicy> {
        let (outputs, bounds) = match actions {
            Space::Discrete { n } => (*n, None),
            Space::Box { low, high, .. } => (low.len(), Some((low.clone(), high.clone()))),
            other => bail!(
                Unsupported,
                "ActorCriticPolicy: expected actions of Discrete or Box, got {other}"
            ),
        };
        let extractor = || FeaturesExtractor::new(observations, options.features_extractor);
        let features_extractor = extractor()?;
        let vf_features_extractor = (!options.share_features_extractor).then(extractor).transpose()?;
        let features = features_extractor.features_dim();
        let vf_net_arch = options.vf_net_arch.as_ref().unwrap_or(&options.net_arch);
        let net = |widths: &[usize]| mlp(features, widths, None, options.activation);
        let mlp_extractor = MlpExtractor {
            policy_net: net(&options.net_arch)?,
            value_net: net(vf_net_arch)?,
        };
        let latent = |widths: &[usize]| widths.last().copied().unwrap_or(features);
        let log_std = bounds
            .as_ref()
            .map(|_| Parameter::new(Tensor::full(outputs, options.log_std_init, DType::F32)?));
        let policy = ActorCriticPolicy {
            log_std: log_std.transpose()?,
            action_net: Linear::new(latent(&options.net_arch), outputs, LinearOptions::default())?,
            value_net: Linear::new(latent(vf_net_arch), 1, LinearOptions::default())?,
            features_extractor,
            vf_features_extractor,
            mlp_extractor,
            bounds,
        };
        if options.ortho_init {
            let root = std::f64::consts::SQRT_2;
            orthogonal(&policy.features_extractor, root)?;
            if let Some(extractor) = &policy.vf_features_extractor {
                orthogonal(extractor, root)?;
            }
            orthogonal(&policy.mlp_extractor, root)?;
            // Nearly the same probability for all actions at first.
            orthogonal(&policy.action_net, 0.01)?;
            orthogonal(&policy.value_net, 1.0)?;
        }
        Ok(policy)
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
    ) -> Result<ActorCriticPolicy> {
        ensure!(
            dict.contains_key("action_net.weight"),
            Key,
            "ActorCriticPolicy: expected weights called action_net.weight and so on, got {:?}",
            dict.keys().take(8).collect::<Vec<_>>()
        );
        // Stable-Baselines3 has the extractor under three names, of which the actor's is always the first one.
        let shares = shares_features_extractor(dict)?;
        let mut dict = dict.clone();
        dict.retain(|key, _| {
            let again = key.starts_with("pi_features_extractor.") || shares && key.starts_with(VF_EXTRACTOR);
            !again
        });
        let options = ActorCriticOptions {
            net_arch: widths(&dict, "mlp_extractor.policy_net"),
            vf_net_arch: Some(widths(&dict, "mlp_extractor.value_net")),
            activation: activation.unwrap_or(Activation::Tanh),
            features_extractor: Some(Extractor::in_state_dict(&dict, EXTRACTOR)),
            share_features_extractor: shares,
            ..Default::default()
        };
        let policy = ActorCriticPolicy::new(observations, actions, &options)?;
        policy.load_state_dict(&dict, true)?;
        Ok(policy)
    }

    /// How likely actions are, and the values of the states, `[batch]`.
    ///
    /// # Errors
    /// `Shape` if there are other features than the environment's.
    pub fn forward(&self, observations: &Tensor) -> Result<(ActionDistribution, Tensor)> {
        let features = self.features_extractor.forward(observations)?;
        let values = match &self.vf_features_extractor {
            None => self.values_of(&features)?,
            Some(extractor) => self.values_of(&extractor.forward(observations)?)?,
        };
        Ok((self.distribution(&features)?, values))
    }

    /// The values of the states, `[batch]`.
    ///
    /// # Errors
    /// As [`ActorCriticPolicy::forward`].
    pub fn values(&self, observations: &Tensor) -> Result<Tensor> {
        let extractor = self
            .vf_features_extractor
            .as_ref()
            .unwrap_or(&self.features_extractor);
        self.values_of(&extractor.forward(observations)?)
    }

    fn values_of(&self, features: &Tensor) -> Result<Tensor> {
        scalar_output(&self.value_net, &self.mlp_extractor.value_net.forward(features)?)
    }

    fn distribution(&self, features: &Tensor) -> Result<ActionDistribution> {
        let outputs = self
            .action_net
            .forward(&self.mlp_extractor.policy_net.forward(features)?)?;
        Ok(match &self.log_std {
            None => ActionDistribution::Categorical(outputs.log_softmax(-1)?),
            Some(log_std) => ActionDistribution::DiagGaussian {
                mean: outputs,
                log_std: log_std.tensor().clone(),
            },
        })
    }

    /// The environment's actions for a distribution's numbers; continuous ones are clipped to their bounds.
    ///
    /// # Errors
    /// `DType` if they are not what [`ActionDistribution::sample`] gives.
    pub fn to_actions(&self, numbers: &Tensor) -> Result<Vec<Value>> {
        match &self.bounds {
            None => {
                let chosen = numbers.to_vec::<i64>()?.into_iter();
                Ok(chosen.map(|i| Value::Discrete(i as usize)).collect())
            }
            Some((low, high)) => {
                let rows = numbers.to_vec::<f32>()?;
                let clipped = |row: &[f32]| {
                    let bounds = low.iter().zip(high);
                    row.iter()
                        .zip(bounds)
                        .map(|(x, (low, high))| x.clamp(*low, *high))
                        .collect()
                };
                Ok(rows
                    .chunks(low.len())
                    .map(|row| Value::Box(clipped(row)))
                    .collect())
            }
        }
    }

    /// How many numbers an action is, and whether they are continuous.
    pub(crate) fn action_numbers(&self) -> (usize, bool) {
        self.bounds
            .as_ref()
            .map_or((1, false), |(low, _)| (low.len(), true))
    }
}

/// The names of the extractor's weights, and of the critic's if it has its own.
const EXTRACTOR: &str = "features_extractor.";
const VF_EXTRACTOR: &str = "vf_features_extractor.";

/// Whether the critic's extractor in a state dict is none or has the values of the actor's.
fn shares_features_extractor(dict: &StateDict) -> Result<bool> {
    for (key, own) in dict {
        let Some(name) = key.strip_prefix(VF_EXTRACTOR) else {
            continue;
        };
        let same = match dict.get(&format!("{EXTRACTOR}{name}")) {
            Some(other) => own.to_vec::<f32>()? == other.to_vec::<f32>()?,
            None => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Weights of all layers as orthogonal matrices times a factor, biases 0.
fn orthogonal(module: &dyn Module, gain: f64) -> Result<()> {
    module
        .named_parameters()
        .into_iter()
        .try_for_each(|(name, parameter)| {
            if name.ends_with("bias") {
                init::zeros_(parameter)
            } else {
                init::orthogonal_(parameter, gain)
            }
        })
}

impl Policy for ActorCriticPolicy {
    fn predict(
        &self,
        observations: &Tensor,
        deterministic: bool,
        generator: &mut Generator,
    ) -> Result<Vec<Value>> {
        no_grad(|| {
            let features = self.features_extractor.forward(observations)?;
            let distribution = self.distribution(&features)?;
            let numbers = match deterministic {
                true => distribution.mode()?,
                false => distribution.sample(generator)?,
            };
            self.to_actions(&numbers)
        })
    }

    fn module(&self) -> &dyn Module {
        self
    }
}
