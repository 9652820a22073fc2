//! `torch.optim.SGD`: stochastic gradient descent, with (Nesterov's) momentum.
//!
//! ```text
//! g ← g + weight_decay · p
//! b ← momentum · b + (1 - dampening) · g        (b = g at first)
//! p ← p - lr · b                                (Nesterov: lr · (g + momentum · b))
//! ```
//!
//! Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".

use flambeau_tensor::optimizer::{self, Real, Update};
use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Stochastic gradient descent, optionally with momentum (`torch.optim.SGD`).
///
/// ```
/// use flambeau_optim::{Optimizer, SGD, SGDOptions};
/// use flambeau_tensor::Tensor;
///
/// let weight = Tensor::new([1.0f32, -2.0])?.requires_grad(true)?;
/// let options = SGDOptions { lr: 0.1, momentum: 0.9, ..Default::default() };
/// let mut optimizer = SGD::new([weight.clone()], options)?;
/// weight.set_grad(Some(Tensor::new([1.0f32, 1.0])?))?;
/// optimizer.step()?;
/// assert_eq!(weight.to_vec::<f32>()?, [0.9, -2.1]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub type SGD = Grouped<SGDOptions>;

/// Options of [`SGD`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct SGDOptions {
    /// Learning rate.
    pub lr: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// How much of the gradient the momentum leaves out.
    pub dampening: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for SGDOptions {
    fn default() -> Self {
        SGDOptions {
            lr: 1e-3,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            maximize: false,
        }
    }
}

impl HyperParameters for SGDOptions {
    const NAME: &'static str = "SGD";

    rates!(momentum);

    fn check(&self) -> Result<()> {
        check::learning_rate(self.lr)?;
        check::not_negative("momentum", self.momentum)?;
        check::not_negative("weight_decay", self.weight_decay)?;
        let nesterov = !self.nesterov || (self.momentum > 0.0 && self.dampening == 0.0);
        ensure!(
            nesterov,
            Value,
            "Nesterov momentum requires a momentum and zero dampening"
        );
        Ok(())
    }
}

impl Algorithm for SGDOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

/// The state that momentum needs.
const BUFFER: &str = "momentum_buffer";

impl Fused<1> for SGDOptions {
    fn slots(&self) -> [Option<&'static str>; 1] {
        [(self.momentum != 0.0).then_some(BUFFER)]
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 1> + use<T>> {
        let kernel = optimizer::Sgd {
            lr: self.lr,
            momentum: self.momentum,
            dampening: self.dampening,
            weight_decay: self.weight_decay,
            nesterov: self.nesterov,
            maximize: self.maximize,
        };
        Ok(kernel.update(state.tensor(BUFFER).is_none()))
    }
}
