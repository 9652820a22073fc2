//! `torch.optim.SparseAdam`: Adam that leaves alone the rows (of an embedding, say) that a gradient does not touch.
//!
//! ```text
//! in the rows that the gradient has:
//! m ← m + (1 - β₁) · (g - m),   v ← v + (1 - β₂) · (g² - v)
//! p ← p - lr · √(1 - β₂ᵗ)/(1 - β₁ᵗ) · m/(√v + eps)
//! ```
//!
//! Tensors here are dense: a row that is zero throughout counts as one that the gradient does not have.
//! Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization".

use flambeau_tensor::{Result, Tensor, ensure};
use serde::{Deserialize, Serialize};

use crate::fused::one_by_one;
use crate::group::{Active, Algorithm, Grouped, HyperParameters, check, rates};

/// Adam for gradients with few rows that are not zero (`torch.optim.SparseAdam`).
pub type SparseAdam = Grouped<SparseAdamOptions>;

/// Options of [`SparseAdam`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct SparseAdamOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

impl Default for SparseAdamOptions {
    fn default() -> Self {
        SparseAdamOptions {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            maximize: false,
        }
    }
}

impl HyperParameters for SparseAdamOptions {
    const NAME: &'static str = "SparseAdam";

    rates!(betas.0);

    fn check(&self) -> Result<()> {
        ensure!(self.lr > 0.0, Value, "Invalid learning rate: {:?}", self.lr);
        ensure!(self.eps > 0.0, Value, "Invalid epsilon value: {:?}", self.eps);
        check::betas(self.betas)
    }
}

impl Algorithm for SparseAdamOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        one_by_one(active, |param, grad, state| {
            let step = state.count_step()? as f64;
            let average = state.tensor_or("exp_avg", || param.zeros_like())?;
            let square = state.tensor_or("exp_avg_sq", || param.zeros_like())?;
            let Some(rows) = touched_rows(grad)? else {
                return Ok(());
            };
            let grad = grad.index_select(0, &rows)?;
            let grad = if self.maximize { grad.neg()? } else { grad };
            let (beta1, beta2) = self.betas;
            let advance = |state: &Tensor, to: &Tensor, beta: f64| -> Result<Tensor> {
                let old = state.index_select(0, &rows)?;
                let new = old.add(&to.sub(&old)?.mul(1.0 - beta)?)?;
                state.index_copy_(0, &rows, &new)?;
                Ok(new)
            };
            let average = advance(&average, &grad, beta1)?;
            let square = advance(&square, &grad.square()?, beta2)?;
            let size = self.lr * (1.0 - beta2.powf(step)).sqrt() / (1.0 - beta1.powf(step));
            let change = average.div(&square.sqrt()?.add(self.eps)?)?.mul(-size)?;
            param.index_add_(0, &rows, &change)?;
            Ok(())
        })
    }
}

/// The rows with an element that is not zero; none if there is none.
fn touched_rows(grad: &Tensor) -> Result<Option<Tensor>> {
    ensure!(
        grad.rank() > 0,
        Shape,
        "a parameter without dimensions has no rows"
    );
    if grad.numel() == 0 {
        return Ok(None);
    }
    let rows = grad.flatten(0, -1)?.reshape([grad.shape()[0] as isize, -1])?;
    let touched = rows.ne(0.0)?.any_dim(1, false)?.nonzero()?.flatten(0, -1)?;
    Ok((touched.numel() > 0).then_some(touched))
}
