//! `torch.optim.RAdam`: Adam whose adaptive step waits until its variance can be estimated.
//!
//! ```text
//! ρ∞ = 2/(1 - β₂) - 1,   ρₜ = ρ∞ - 2t · β₂ᵗ/(1 - β₂ᵗ)
//! ρₜ > 5:  p ← p - lr · m̂ · r · √(1 - β₂ᵗ)/(√v + eps),   r = √((ρₜ-4)(ρₜ-2)ρ∞ / ((ρ∞-4)(ρ∞-2)ρₜ))
//! else:    p ← p - lr · m̂
//! ```
//!
//! Liu et al. 2020, "On the Variance of the Adaptive Learning Rate and Beyond".

use flambeau_tensor::Result;
use flambeau_tensor::optimizer::{self, Real, Update};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Rectified Adam (`torch.optim.RAdam`).
pub type RAdam = Grouped<RAdamOptions>;

/// Options of [`RAdam`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RAdamOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, or decoupled weight decay.
    pub weight_decay: f64,
    /// Shrink the parameter itself rather than add to the gradient.
    pub decoupled_weight_decay: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for RAdamOptions {
    fn default() -> Self {
        RAdamOptions {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            maximize: false,
        }
    }
}

impl HyperParameters for RAdamOptions {
    const NAME: &'static str = "RAdam";

    rates!(betas.0);

    fn check(&self) -> Result<()> {
        check::adam(self.lr, self.betas, self.eps, self.weight_decay)
    }
}

impl Algorithm for RAdamOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<2> for RAdamOptions {
    fn slots(&self) -> [Option<&'static str>; 2] {
        [Some("exp_avg"), Some("exp_avg_sq")]
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 2> + use<T>> {
        let kernel = optimizer::RAdam {
            lr: self.lr,
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            decoupled_weight_decay: self.decoupled_weight_decay,
            maximize: self.maximize,
        };
        Ok(kernel.update(state.count_step()?))
    }
}
