//! `torch.optim.Adam` and `AdamW`: steps scaled by running averages of the gradient and of its square.
//!
//! ```text
//! g ← g + weight_decay · p                      (AdamW: p ← p · (1 - lr · weight_decay))
//! m ← β₁ · m + (1 - β₁) · g,   v ← β₂ · v + (1 - β₂) · g²
//! p ← p - lr · m/(1 - β₁ᵗ) / (√(v/(1 - β₂ᵗ)) + eps)
//! ```
//!
//! With `amsgrad`, `v` is the largest so far. Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization"; Loshchilov
//! and Hutter 2019, "Decoupled Weight Decay Regularization"; Reddi et al. 2018, "On the Convergence of Adam and Beyond".

use flambeau_tensor::Result;
use flambeau_tensor::optimizer::{self, Real, Update};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Adam (`torch.optim.Adam`).
///
/// ```
/// use flambeau_optim::{Adam, AdamOptions, Optimizer};
/// use flambeau_tensor::Tensor;
///
/// let weight = Tensor::new([1.0f64, -2.0])?.requires_grad(true)?;
/// let mut optimizer = Adam::new([weight.clone()], AdamOptions { lr: 0.5, ..Default::default() })?;
/// weight.set_grad(Some(Tensor::new([3.0f64, -0.1])?))?;
/// optimizer.step()?;
/// let moved = weight.to_vec::<f64>()?;
/// assert!((moved[0] - 0.5).abs() < 1e-6 && (moved[1] + 1.5).abs() < 1e-6);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub type Adam = Grouped<AdamOptions>;

/// Options of [`Adam`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, or decoupled weight decay.
    pub weight_decay: f64,
    /// Divide by the largest average of the squared gradient so far.
    pub amsgrad: bool,
    /// Shrink the parameter itself rather than add to the gradient.
    pub decoupled_weight_decay: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for AdamOptions {
    fn default() -> Self {
        AdamOptions {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            amsgrad: false,
            decoupled_weight_decay: false,
            maximize: false,
        }
    }
}

impl HyperParameters for AdamOptions {
    const NAME: &'static str = "Adam";

    rates!(betas.0);

    fn check(&self) -> Result<()> {
        check::adam(self.lr, self.betas, self.eps, self.weight_decay)
    }
}

impl Algorithm for AdamOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<3> for AdamOptions {
    fn slots(&self) -> [Option<&'static str>; 3] {
        adam_slots(self.amsgrad)
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 3> + use<T>> {
        let kernel = optimizer::Adam {
            lr: self.lr,
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            decoupled_weight_decay: self.decoupled_weight_decay,
            amsgrad: self.amsgrad,
            maximize: self.maximize,
        };
        Ok(kernel.update(state.count_step()?))
    }
}

fn adam_slots(amsgrad: bool) -> [Option<&'static str>; 3] {
    [
        Some("exp_avg"),
        Some("exp_avg_sq"),
        amsgrad.then_some("max_exp_avg_sq"),
    ]
}

/// Adam with decoupled weight decay (`torch.optim.AdamW`).
pub type AdamW = Grouped<AdamWOptions>;

/// Options of [`AdamW`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamWOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Divide by the largest average of the squared gradient so far.
    pub amsgrad: bool,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        AdamWOptions {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 1e-2,
            amsgrad: false,
            maximize: false,
        }
    }
}

impl HyperParameters for AdamWOptions {
    const NAME: &'static str = "AdamW";

    rates!(betas.0);

    fn check(&self) -> Result<()> {
        check::adam(self.lr, self.betas, self.eps, self.weight_decay)
    }
}

impl Algorithm for AdamWOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<3> for AdamWOptions {
    fn slots(&self) -> [Option<&'static str>; 3] {
        adam_slots(self.amsgrad)
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 3> + use<T>> {
        let kernel = optimizer::Adam {
            lr: self.lr,
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            decoupled_weight_decay: true,
            amsgrad: self.amsgrad,
            maximize: self.maximize,
        };
        Ok(kernel.update(state.count_step()?))
    }
}
