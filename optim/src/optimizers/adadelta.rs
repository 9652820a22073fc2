//! `torch.optim.Adadelta`: steps in the parameter's own units, from averages of squared gradients and squared steps.
//!
//! ```text
//! v ← ρ · v + (1 - ρ) · g²,   Δ = √(u + eps)/√(v + eps) · g
//! u ← ρ · u + (1 - ρ) · Δ²,   p ← p - lr · Δ
//! ```
//!
//! Zeiler 2012, "ADADELTA: An Adaptive Learning Rate Method".

use flambeau_tensor::optimizer::{self, Real, Update};
use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Adadelta (`torch.optim.Adadelta`).
pub type Adadelta = Grouped<AdadeltaOptions>;

/// Options of [`Adadelta`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AdadeltaOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay rate of the averages.
    pub rho: f64,
    /// Added under both roots.
    pub eps: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for AdadeltaOptions {
    fn default() -> Self {
        AdadeltaOptions {
            lr: 1.0,
            rho: 0.9,
            eps: 1e-6,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

impl HyperParameters for AdadeltaOptions {
    const NAME: &'static str = "Adadelta";

    rates!();

    fn check(&self) -> Result<()> {
        check::learning_rate(self.lr)?;
        let rho = self.rho;
        ensure!((0.0..=1.0).contains(&rho), Value, "Invalid rho value: {rho:?}");
        check::epsilon(self.eps)?;
        check::not_negative("weight_decay", self.weight_decay)
    }
}

impl Algorithm for AdadeltaOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<2> for AdadeltaOptions {
    fn slots(&self) -> [Option<&'static str>; 2] {
        [Some("square_avg"), Some("acc_delta")]
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 2> + use<T>> {
        let kernel = optimizer::Adadelta {
            lr: self.lr,
            rho: self.rho,
            eps: self.eps,
            weight_decay: self.weight_decay,
            maximize: self.maximize,
        };
        state.count_step()?;
        Ok(kernel.update())
    }
}
