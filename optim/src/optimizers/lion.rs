//! Lion: steps of equal size in every element, in the direction of an average of gradients (not in torch).
//!
//! ```text
//! p ← p · (1 - lr · weight_decay) - lr · sign(β₁ · m + (1 - β₁) · g)
//! m ← β₂ · m + (1 - β₂) · g
//! ```
//!
//! Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms".

use flambeau_tensor::Result;
use flambeau_tensor::optimizer::{self, Real, Update};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Lion; wants a learning rate some 3 to 10 times smaller than Adam, and as much more weight decay.
pub type Lion = Grouped<LionOptions>;

/// Options of [`Lion`]; the defaults are the paper's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LionOptions {
    /// Learning rate.
    pub lr: f64,
    /// Weights of the average in the direction taken, and of its own past in the average.
    pub betas: (f64, f64),
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for LionOptions {
    fn default() -> Self {
        LionOptions {
            lr: 1e-4,
            betas: (0.9, 0.99),
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

impl HyperParameters for LionOptions {
    const NAME: &'static str = "Lion";

    rates!(betas.0);

    fn check(&self) -> Result<()> {
        check::learning_rate(self.lr)?;
        check::betas(self.betas)?;
        check::not_negative("weight_decay", self.weight_decay)
    }
}

impl Algorithm for LionOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

impl Fused<1> for LionOptions {
    fn slots(&self) -> [Option<&'static str>; 1] {
        [Some("exp_avg")]
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 1> + use<T>> {
        let kernel = optimizer::Lion {
            lr: self.lr,
            betas: self.betas,
            weight_decay: self.weight_decay,
            maximize: self.maximize,
        };
        state.count_step()?;
        Ok(kernel.update())
    }
}
