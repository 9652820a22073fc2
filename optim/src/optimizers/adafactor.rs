//! `torch.optim.Adafactor`: for matrices, squared gradients are averaged by row and by column only.
//!
//! ```text
//! ρ = min(lr, 1/√t),   α = max(eps₂, rms(p)) · ρ,   w = t^beta2_decay
//! r ← r + w · (mean_cols(g²) - r),   c ← c + w · (mean_rows(g²) - c),   v = r·c/max(mean(r), eps₁)
//! u = g/√max(v, eps₁²),   p ← p - α · u/max(1, rms(u)/d)
//! ```
//!
//! Vectors keep a full average `v`. Shazeer and Stern 2018, "Adafactor: Adaptive Learning Rates with Sublinear Memory
//! Cost".

use flambeau_tensor::{DType, Result, Tensor, ensure};
use serde::{Deserialize, Serialize};

use crate::fused::one_by_one;
use crate::group::{Active, Algorithm, Grouped, HyperParameters, rates};
use crate::state::ParamState;

/// Adafactor (`torch.optim.Adafactor`).
pub type Adafactor = Grouped<AdafactorOptions>;

/// Options of [`Adafactor`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AdafactorOptions {
    /// Learning rate, relative to the parameter's own size.
    pub lr: f64,
    /// The average's weight of the past is `1 - t^beta2_decay`.
    pub beta2_decay: f64,
    /// The smallest average (by default the parameter type's machine epsilon), and the smallest size of a parameter.
    pub eps: (Option<f64>, f64),
    /// Updates with a larger mean square are scaled down to it.
    pub d: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for AdafactorOptions {
    fn default() -> Self {
        AdafactorOptions {
            lr: 1e-2,
            beta2_decay: -0.8,
            eps: (None, 1e-3),
            d: 1.0,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

impl HyperParameters for AdafactorOptions {
    const NAME: &'static str = "Adafactor";

    rates!();

    fn check(&self) -> Result<()> {
        let lr = self.lr;
        ensure!(lr >= 0.0, Value, "Learning rate should be >= 0 but is: {lr:?}");
        let decay = self.beta2_decay;
        ensure!(
            decay <= 0.0,
            Value,
            "beta2_decay should be <= 0 but is: {decay:?}"
        );
        let (eps1, eps2) = self.eps;
        if let Some(eps1) = eps1 {
            ensure!(eps1 >= 0.0, Value, "epsilon1 should be >= 0 but is: {eps1:?}");
        }
        ensure!(eps2 >= 0.0, Value, "epsilon2 should be >= 0 but is: {eps2:?}");
        let d = self.d;
        ensure!(
            d >= 1.0,
            Value,
            "Clipping threshold d should be >= 1 but is: {d:?}"
        );
        let decay = self.weight_decay;
        ensure!(
            decay >= 0.0,
            Value,
            "weight_decay should be >= 0 but is: {decay:?}"
        );
        Ok(())
    }
}

impl Algorithm for AdafactorOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        for one in active {
            let smallest = self.eps.0.unwrap_or_else(|| machine_epsilon(one.param.dtype()));
            one_by_one(std::slice::from_mut(one), |param, grad, state| {
                self.step_one(param, grad, state, smallest)
            })?;
        }
        Ok(())
    }
}

impl AdafactorOptions {
    fn step_one(&self, param: &Tensor, grad: &Tensor, state: &mut ParamState, smallest: f64) -> Result<()> {
        let step = state.count_step()? as f64;
        let weight = step.powf(self.beta2_decay);
        let size = self.eps.1.max(root_mean_square(param)?) * self.lr.min(1.0 / step.sqrt());
        if self.weight_decay != 0.0 {
            param.mul_(1.0 - self.lr * self.weight_decay)?;
        }
        let grad = if self.maximize { grad.neg()? } else { grad.clone() };
        let squares = grad.square()?;
        let variance = if grad.rank() > 1 {
            let mut average = |name: &str, dim: isize| -> Result<Tensor> {
                let mean = squares.mean_dim(dim, true)?;
                let average = state.tensor_or(name, || mean.zeros_like())?;
                average.lerp_(&mean, weight)?;
                Ok(average)
            };
            let (rows, columns) = (average("row_var", -1)?, average("col_var", -2)?);
            rows.mul(&columns)?
                .div(&rows.mean_dim(-2, true)?.clamp_min(smallest)?)?
        } else {
            let average = state.tensor_or("variance", || param.zeros_like())?;
            average.lerp_(&squares, weight)?.clone()
        };
        let update = grad.div(&variance.clamp_min(smallest * smallest)?.sqrt()?)?;
        let excess = (root_mean_square(&update)? / self.d).max(1.0);
        param.add_scaled_(&update, -size / excess)?;
        Ok(())
    }
}

fn root_mean_square(x: &Tensor) -> Result<f64> {
    Ok(x.detach().norm()?.item_f64()? / (x.numel() as f64).sqrt())
}

/// The distance from 1 to the next larger number (`torch.finfo(dtype).eps`).
fn machine_epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F16 => 2f64.powi(-10),
        DType::BF16 => 2f64.powi(-7),
        _ => f64::from(f32::EPSILON),
    }
}
