//! `torch.optim.Adagrad`: steps divided by the root of the sum of all squared gradients.
//!
//! ```text
//! s ← s + g²,   p ← p - lr/(1 + (t-1) · lr_decay) · g/(√s + eps)
//! ```
//!
//! Duchi et al. 2011, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization".

use flambeau_tensor::optimizer::{self, Real, Update};
use flambeau_tensor::{Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Adagrad (`torch.optim.Adagrad`).
pub type Adagrad = Grouped<AdagradOptions>;

/// Options of [`Adagrad`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AdagradOptions {
    /// Learning rate.
    pub lr: f64,
    /// How fast the learning rate falls.
    pub lr_decay: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Where the sums of squares begin.
    pub initial_accumulator_value: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for AdagradOptions {
    fn default() -> Self {
        AdagradOptions {
            lr: 1e-2,
            lr_decay: 0.0,
            weight_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
            maximize: false,
        }
    }
}

impl HyperParameters for AdagradOptions {
    const NAME: &'static str = "Adagrad";

    rates!();

    fn check(&self) -> Result<()> {
        check::learning_rate(self.lr)?;
        check::not_negative("lr_decay", self.lr_decay)?;
        check::not_negative("weight_decay", self.weight_decay)?;
        check::not_negative("initial_accumulator_value", self.initial_accumulator_value)?;
        check::epsilon(self.eps)
    }
}

impl Algorithm for AdagradOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<1> for AdagradOptions {
    fn slots(&self) -> [Option<&'static str>; 1] {
        [Some("sum")]
    }

    fn init(&self, _slot: &str, param: &Tensor) -> Result<Tensor> {
        param.full_like(self.initial_accumulator_value)
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 1> + use<T>> {
        let kernel = optimizer::Adagrad {
            lr: self.lr,
            lr_decay: self.lr_decay,
            weight_decay: self.weight_decay,
            eps: self.eps,
            maximize: self.maximize,
        };
        Ok(kernel.update(state.count_step()?))
    }
}
