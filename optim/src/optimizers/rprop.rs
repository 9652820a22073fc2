//! `torch.optim.Rprop`: each element has a step size of its own, which grows while the gradient keeps its sign.
//!
//! ```text
//! s ← clamp(s · η₊ or η₋)   as gₜ · gₜ₋₁ is positive or negative (in which case g counts as 0)
//! p ← p - s · sign(g)
//! ```
//!
//! Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning".

use flambeau_tensor::optimizer::{self, Real, Update};
use flambeau_tensor::{Result, Tensor, ensure};
use serde::{Deserialize, Serialize};

use crate::fused::{Fused, fused_step};
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};
use crate::state::ParamState;

/// Resilient backpropagation (`torch.optim.Rprop`), for full batches.
pub type Rprop = Grouped<RpropOptions>;

/// Options of [`Rprop`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RpropOptions {
    /// Step size at first.
    pub lr: f64,
    /// Factors of the step size where the gradient's sign changes, and where it stays.
    pub etas: (f64, f64),
    /// Smallest and largest step size.
    pub step_sizes: (f64, f64),
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for RpropOptions {
    fn default() -> Self {
        RpropOptions {
            lr: 1e-2,
            etas: (0.5, 1.2),
            step_sizes: (1e-6, 50.0),
            maximize: false,
        }
    }
}

impl HyperParameters for RpropOptions {
    const NAME: &'static str = "Rprop";

    rates!();

    fn check(&self) -> Result<()> {
        check::learning_rate(self.lr)?;
        let (minus, plus) = self.etas;
        ensure!(
            0.0 < minus && minus < 1.0 && 1.0 < plus,
            Value,
            "Invalid eta values: {minus:?}, {plus:?}"
        );
        Ok(())
    }
}

impl Algorithm for RpropOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        fused_step(self, active)
    }
}

/// The state that begins as the learning rate.
const STEP_SIZE: &str = "step_size";

impl Fused<2> for RpropOptions {
    fn slots(&self) -> [Option<&'static str>; 2] {
        [Some("prev"), Some(STEP_SIZE)]
    }

    fn init(&self, slot: &str, param: &Tensor) -> Result<Tensor> {
        param.full_like(if slot == STEP_SIZE { self.lr } else { 0.0 })
    }

    fn update<T: Real>(&self, state: &mut ParamState) -> Result<impl Update<T, 2> + use<T>> {
        let kernel = optimizer::Rprop {
            etas: self.etas,
            step_sizes: self.step_sizes,
            maximize: self.maximize,
        };
        state.count_step()?;
        Ok(kernel.update())
    }
}
