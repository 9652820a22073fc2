//! `torch.optim.Adamax`: Adam with the largest recent magnitude of the gradient in place of its mean square.
//!
//! ```text
//! m ← β₁ · m + (1 - β₁) · g,   u ← max(β₂ · u, |g| + eps)
//! p ← p - lr/(1 - β₁ᵗ) · m/u
//! ```
//!
//! Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", section 7.1.

use flambeau_tensor::Result;
use flambeau_tensor::optimizer::{self, Real, Update};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Adam by the infinity norm (`torch.optim.Adamax`).
pub type Adamax = Grouped<AdamaxOptions>;

/// Options of [`Adamax`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamaxOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the gradient's average and of its largest magnitude.
    pub betas: (f64, f64),
    /// Added to the gradient's magnitude.
    pub eps: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for AdamaxOptions {
    fn default() -> Self {
        AdamaxOptions {
            lr: 2e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

impl HyperParameters for AdamaxOptions {
    const NAME: &'static str = "Adamax";

    rates!(betas.0);

    fn check(&self) -> Result<()> {
        check::adam(self.lr, self.betas, self.eps, self.weight_decay)
    }
}

impl Algorithm for AdamaxOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<2> for AdamaxOptions {
    fn slots(&self) -> [Option<&'static str>; 2] {
        [Some("exp_avg"), Some("exp_inf")]
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 2> + use<T>> {
        let kernel = optimizer::Adamax {
            lr: self.lr,
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            maximize: self.maximize,
        };
        Ok(kernel.update(state.count_step()?))
    }
}
