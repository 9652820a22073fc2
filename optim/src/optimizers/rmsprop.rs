//! `torch.optim.RMSprop`: steps divided by the root of the gradient's mean square.
//!
//! ```text
//! v ← α · v + (1 - α) · g²                      (centered: the variance, v - a² with a the gradient's average)
//! b ← momentum · b + g/(√v + eps),   p ← p - lr · b
//! ```
//!
//! Tieleman and Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning"; centered: Graves 2013, "Generating
//! Sequences With Recurrent Neural Networks".

use flambeau_tensor::Result;
use flambeau_tensor::optimizer::{self, Real, Update};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// RMSprop (`torch.optim.RMSprop`).
pub type RMSprop = Grouped<RMSpropOptions>;

/// Options of [`RMSprop`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RMSpropOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay rate of the averages.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// Divide by the variance, not the second moment.
    pub centered: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for RMSpropOptions {
    fn default() -> Self {
        RMSpropOptions {
            lr: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            maximize: false,
        }
    }
}

impl HyperParameters for RMSpropOptions {
    const NAME: &'static str = "RMSprop";

    rates!(momentum);

    fn check(&self) -> Result<()> {
        check::learning_rate(self.lr)?;
        check::epsilon(self.eps)?;
        check::not_negative("momentum", self.momentum)?;
        check::not_negative("weight_decay", self.weight_decay)?;
        check::not_negative("alpha", self.alpha)
    }
}

impl Algorithm for RMSpropOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<3> for RMSpropOptions {
    fn slots(&self) -> [Option<&'static str>; 3] {
        [
            Some("square_avg"),
            (self.momentum > 0.0).then_some("momentum_buffer"),
            self.centered.then_some("grad_avg"),
        ]
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 3> + use<T>> {
        let kernel = optimizer::RmsProp {
            lr: self.lr,
            alpha: self.alpha,
            eps: self.eps,
            weight_decay: self.weight_decay,
            momentum: self.momentum,
            centered: self.centered,
            maximize: self.maximize,
        };
        state.count_step()?;
        Ok(kernel.update())
    }
}
