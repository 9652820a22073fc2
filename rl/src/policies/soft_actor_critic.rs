//! SAC's networks (`SACPolicy`): an actor whose actions are normal numbers squashed by tanh, and two critics.

use flambeau_nn::{Forward, Linear, LinearOptions, Module, Sequential, StateDict};
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Result, Tensor, ensure, no_grad};

use super::{Activation, Extractor, FeaturesExtractor, Policy, continuous_actions, mlp, widths};
use crate::{Space, Value};

/// Between which bounds the logarithm of the standard deviation is kept.
const LOG_STD: [f64; 2] = [-20.0, 2.0];

/// Options of [`SacPolicy`].
#[derive(Clone, Debug)]
pub struct SacPolicyOptions {
    /// The widths of the layers, of the actor's and of the critics'.
    pub net_arch: Vec<usize>,
    /// The widths of the critics' layers, if they are others (`net_arch=dict(pi=…, qf=…)`).
    pub qf_net_arch: Option<Vec<usize>>,
    /// What lies between them.
    pub activation: Activation,
    /// How features are made of observations; what suits them if not given.
    pub features_extractor: Option<Extractor>,
}

impl Default for SacPolicyOptions {
    fn default() -> Self {
        SacPolicyOptions {
            net_arch: vec![256, 256],
            qf_net_arch: None,
            activation: Activation::ReLU,
            features_extractor: None,
        }
    }
}

/// Actions between −1 and 1, drawn or the likeliest.
#[derive(Debug, Module)]
pub struct Actor {
    /// What is seen of observations.
    pub features_extractor: FeaturesExtractor,
    /// The layers before the last ones.
    pub latent_pi: Sequential,
    /// The means.
    pub mu: Linear,
    /// The logarithms of the standard deviations.
    pub log_std: Linear,
}

impl Actor {
    fn new(observations: &Space, dimensions: usize, options: &SacPolicyOptions) -> Result<Actor> {
        let features_extractor = FeaturesExtractor::new(observations, options.features_extractor)?;
        let features = features_extractor.features_dim();
        let latent = options.net_arch.last().copied().unwrap_or(features);
        Ok(Actor {
            latent_pi: mlp(features, &options.net_arch, None, options.activation)?,
            mu: Linear::new(latent, dimensions, LinearOptions::default())?,
            log_std: Linear::new(latent, dimensions, LinearOptions::default())?,
            features_extractor,
        })
    }

    fn latent(&self, observations: &Tensor) -> Result<Tensor> {
        self.latent_pi
            .forward(&self.features_extractor.forward(observations)?)
    }

    /// The likeliest actions, `[batch, dimensions]`.
    ///
    /// # Errors
    /// `Shape` if there are other features than the environment's.
    pub fn mode(&self, observations: &Tensor) -> Result<Tensor> {
        self.mu.forward(&self.latent(observations)?)?.tanh()
    }

    /// Draws actions, `[batch, dimensions]`, and gives the logarithm of how likely they are, `[batch]`.
    ///
    /// # Errors
    /// As [`Actor::mode`].
    pub fn action_log_prob(
        &self,
        observations: &Tensor,
        generator: &mut Generator,
    ) -> Result<(Tensor, Tensor)> {
        let latent = self.latent(observations)?;
        let mean = self.mu.forward(&latent)?;
        let [least, most] = LOG_STD.map(|x| Some(x.into()));
        let log_std = self.log_std.forward(&latent)?.clamp(least, most)?;
        let noise = generator.randn(mean.shape(), DType::F32)?;
        let actions = mean.add(&log_std.exp()?.mul(&noise)?)?.tanh()?;
        // Of the normal number, and of the squashing: log(1 - tanh²), with 1e-6 against the logarithm of 0.
        let constant = 0.5 * std::f64::consts::TAU.ln();
        let normal = noise.square()?.mul(-0.5)?.sub(&log_std)?.sub(constant)?;
        let squashed = actions.square()?.neg()?.add(1.0 + 1e-6)?.log()?;
        let log_prob = normal.sub(&squashed)?.sum_dim(-1, false)?;
        Ok((actions, log_prob))
    }
}

/// Two estimates of what an action is worth.
#[derive(Debug, Module)]
pub struct ContinuousCritic {
    /// What is seen of observations.
    pub features_extractor: FeaturesExtractor,
    /// The first estimate.
    pub qf0: Sequential,
    /// The second.
    pub qf1: Sequential,
}

impl ContinuousCritic {
    fn new(observations: &Space, dimensions: usize, options: &SacPolicyOptions) -> Result<ContinuousCritic> {
        let features_extractor = FeaturesExtractor::new(observations, options.features_extractor)?;
        let inputs = features_extractor.features_dim() + dimensions;
        let widths = options.qf_net_arch.as_ref().unwrap_or(&options.net_arch);
        let net = || mlp(inputs, widths, Some(1), options.activation);
        Ok(ContinuousCritic {
            qf0: net()?,
            qf1: net()?,
            features_extractor,
        })
    }

    /// Both estimates, `[batch]` each.
    ///
    /// # Errors
    /// `Shape` if sizes do not fit.
    pub fn forward(&self, observations: &Tensor, actions: &Tensor) -> Result<[Tensor; 2]> {
        let features = self.features_extractor.forward(observations)?;
        let inputs = Tensor::cat(&[&features, actions], 1)?;
        Ok([
            self.qf0.forward(&inputs)?.flatten(0, -1)?,
            self.qf1.forward(&inputs)?.flatten(0, -1)?,
        ])
    }
}

/// An actor, its critics, and the older copy of these that targets are computed with.
#[derive(Debug, Module)]
pub struct SacPolicy {
    /// What acts.
    pub actor: Actor,
    /// What judges.
    pub critic: ContinuousCritic,
    /// What targets are computed with.
    pub critic_target: ContinuousCritic,
    #[module(skip)]
    low: Vec<f32>,
    #[module(skip)]
    high: Vec<f32>,
}

impl SacPolicy {
    /// Networks for an environment's observations and actions.
    ///
    /// # Errors
    /// `Unsupported` unless actions are of [`Space::Box`] with finite bounds; those of [`FeaturesExtractor::new`].
    pub fn new(observations: &Space, actions: &Space, options: &SacPolicyOptions) -> Result<SacPolicy> {
        let (low, high) = continuous_actions("SacPolicy", actions)?;
        let critic = || ContinuousCritic::new(observations, low.len(), options);
        let policy = SacPolicy {
            actor: Actor::new(observations, low.len(), options)?,
            critic: critic()?,
            critic_target: critic()?,
            low,
            high,
        };
        policy
            .critic_target
            .load_state_dict(&policy.critic.state_dict(), true)?;
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
    ) -> Result<SacPolicy> {
        ensure!(
            dict.contains_key("actor.mu.weight"),
            Key,
            "SacPolicy: expected weights called actor.mu.weight and so on, got {:?}",
            dict.keys().take(8).collect::<Vec<_>>()
        );
        let mut qf_net_arch = widths(dict, "critic.qf0");
        qf_net_arch.pop();
        let options = SacPolicyOptions {
            net_arch: widths(dict, "actor.latent_pi"),
            qf_net_arch: Some(qf_net_arch),
            activation: activation.unwrap_or(Activation::ReLU),
            features_extractor: Some(Extractor::in_state_dict(dict, "actor.features_extractor.")),
        };
        let policy = SacPolicy::new(observations, actions, &options)?;
        policy.load_state_dict(dict, true)?;
        Ok(policy)
    }

    /// How many numbers an action is.
    pub(crate) fn dimensions(&self) -> usize {
        self.low.len()
    }

    /// The environment's actions for numbers between −1 and 1.
    pub(crate) fn unscaled(&self, numbers: &[f32]) -> Vec<Value> {
        let unscaled = |row: &[f32]| {
            let bounds = self.low.iter().zip(&self.high);
            row.iter()
                .zip(bounds)
                .map(|(x, (low, high))| low + 0.5 * (x + 1.0) * (high - low))
                .collect()
        };
        let rows = numbers.chunks(self.low.len());
        rows.map(|row| Value::Box(unscaled(row))).collect()
    }
}

impl Policy for SacPolicy {
    fn predict(
        &self,
        observations: &Tensor,
        deterministic: bool,
        generator: &mut Generator,
    ) -> Result<Vec<Value>> {
        let numbers = no_grad(|| match deterministic {
            true => self.actor.mode(observations),
            false => Ok(self.actor.action_log_prob(observations, generator)?.0),
        })?;
        Ok(self.unscaled(&numbers.to_vec::<f32>()?))
    }

    fn module(&self) -> &dyn Module {
        self
    }
}
