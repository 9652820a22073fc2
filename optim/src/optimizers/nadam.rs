//! `torch.optim.NAdam`: Adam with Nesterov's momentum.
//!
//! ```text
//! μₜ = β₁ · (1 - 0.96^(t · momentum_decay) / 2)
//! m ← β₁ · m + (1 - β₁) · g,   v ← β₂ · v + (1 - β₂) · g²
//! m̂ = μₜ₊₁ · m/(1 - Πμ₁…μₜ₊₁) + (1 - μₜ) · g/(1 - Πμ₁…μₜ)
//! p ← p - lr · m̂ / (√(v/(1 - β₂ᵗ)) + eps)
//! ```
//!
//! Dozat 2016, "Incorporating Nesterov Momentum into Adam".

use flambeau_tensor::Result;
use flambeau_tensor::optimizer::{self, Real, Update};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Adam with Nesterov's momentum (`torch.optim.NAdam`).
pub type NAdam = Grouped<NAdamOptions>;

/// Options of [`NAdam`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct NAdamOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, or decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the momentum's schedule.
    pub momentum_decay: f64,
    /// Shrink the parameter itself rather than add to the gradient.
    pub decoupled_weight_decay: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for NAdamOptions {
    fn default() -> Self {
        NAdamOptions {
            lr: 2e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            momentum_decay: 4e-3,
            decoupled_weight_decay: false,
            maximize: false,
        }
    }
}

impl HyperParameters for NAdamOptions {
    const NAME: &'static str = "NAdam";

    rates!(betas.0);

    fn check(&self) -> Result<()> {
        check::adam(self.lr, self.betas, self.eps, self.weight_decay)?;
        check::not_negative("momentum_decay", self.momentum_decay)
    }
}

impl Algorithm for NAdamOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<2> for NAdamOptions {
    fn slots(&self) -> [Option<&'static str>; 2] {
        [Some("exp_avg"), Some("exp_avg_sq")]
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 2> + use<T>> {
        let kernel = optimizer::NAdam {
            lr: self.lr,
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            momentum_decay: self.momentum_decay,
            decoupled_weight_decay: self.decoupled_weight_decay,
            maximize: self.maximize,
        };
        let step = state.count_step()?;
        let mut product = state.number("mu_product")?.unwrap_or(1.0);
        let update = kernel.update(step, &mut product);
        state.set_number("mu_product", product);
        Ok(update)
    }
}
