//! `torch.optim.ASGD`: gradient descent that also averages the parameters.
//!
//! ```text
//! p ← p · (1 - lambd · η) - η · g,   ax ← ax + μ · (p - ax)
//! η = lr/(1 + lambd · lr · t)^alpha,   μ = 1/max(1, t - t0)
//! ```
//!
//! Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging".

use flambeau_tensor::Result;
use flambeau_tensor::optimizer::{self, Real, Update};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Averaged stochastic gradient descent (`torch.optim.ASGD`).
pub type ASGD = Grouped<ASGDOptions>;

/// Options of [`ASGD`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ASGDOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay term.
    pub lambd: f64,
    /// Power of the step size's schedule.
    pub alpha: f64,
    /// The step from which on parameters are averaged.
    pub t0: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for ASGDOptions {
    fn default() -> Self {
        ASGDOptions {
            lr: 1e-2,
            lambd: 1e-4,
            alpha: 0.75,
            t0: 1e6,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

impl HyperParameters for ASGDOptions {
    const NAME: &'static str = "ASGD";

    rates!();

    fn check(&self) -> Result<()> {
        check::learning_rate(self.lr)?;
        check::not_negative("lambd", self.lambd)?;
        check::not_negative("alpha", self.alpha)?;
        check::not_negative("weight_decay", self.weight_decay)
    }
}

impl Algorithm for ASGDOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<1> for ASGDOptions {
    fn slots(&self) -> [Option<&'static str>; 1] {
        [Some("ax")]
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 1> + use<T>> {
        let kernel = optimizer::Asgd {
            lr: self.lr,
            lambd: self.lambd,
            alpha: self.alpha,
            t0: self.t0,
            weight_decay: self.weight_decay,
            maximize: self.maximize,
        };
        let step = state.count_step()?;
        // PyTorch keeps both in float32.
        let single = |x: f64| f64::from(x as f32);
        let eta = state.number("eta")?.unwrap_or(single(self.lr));
        let mu = state.number("mu")?.unwrap_or(1.0);
        let (next_eta, next_mu) = kernel.next(step);
        state.set_number("eta", single(next_eta));
        state.set_number("mu", single(next_mu));
        Ok(kernel.update(eta, mu))
    }
}
