//! `torch.optim.Muon`: for weight matrices, momentum whose update is made (nearly) orthogonal.
//!
//! ```text
//! b ← b + (1 - momentum) · (g - b),   u = b   (Nesterov: g + momentum · (b - g))
//! p ← p · (1 - lr · weight_decay) - adjusted lr · orthogonal(u)
//! ```
//!
//! A few Newton-Schulz iterations `X ← aX + (bA + cA²)X`, `A = XXᵀ`, in bfloat16 move all singular values towards 1.
//! Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the adjusted learning rates: Liu et al.
//! 2025, "Muon is Scalable for LLM Training".

use flambeau_tensor::ops::products::AddProduct;
use flambeau_tensor::{DType, Result, Tensor, ensure};
use serde::{Deserialize, Serialize};

use crate::fused::one_by_one;
use crate::group::{Active, Algorithm, Grouped, HyperParameters, rates};

/// Muon (`torch.optim.Muon`), for parameters that are matrices.
pub type Muon = Grouped<MuonOptions>;

/// Options of [`Muon`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct MuonOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Weight of the past in the average of gradients.
    pub momentum: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// Coefficients a, b, c of the Newton-Schulz iteration.
    pub ns_coefficients: (f64, f64, f64),
    /// The smallest norm that a matrix is divided by.
    pub eps: f64,
    /// Number of iterations.
    pub ns_steps: usize,
    /// How the learning rate depends on the matrix's shape; none means [`AdjustLr::Original`].
    pub adjust_lr_fn: Option<AdjustLr>,
}

/// How [`Muon`]'s learning rate depends on the shape of a matrix `[rows, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustLr {
    /// Times `√max(1, rows/columns)`.
    Original,
    /// Times `0.2·√max(rows, columns)`, so that learning rates of AdamW fit.
    MatchRmsAdamw,
    /// Times `√(rows/columns)`.
    SpectralUnclamped,
}

impl Default for MuonOptions {
    fn default() -> Self {
        MuonOptions {
            lr: 1e-3,
            weight_decay: 0.1,
            momentum: 0.95,
            nesterov: true,
            ns_coefficients: (3.4445, -4.775, 2.0315),
            eps: 1e-7,
            ns_steps: 5,
            adjust_lr_fn: None,
        }
    }
}

impl HyperParameters for MuonOptions {
    const NAME: &'static str = "Muon";

    rates!(momentum);

    fn check(&self) -> Result<()> {
        let lr = self.lr;
        ensure!(lr >= 0.0, Value, "Learning rate should be >= 0 but is: {lr:?}");
        let momentum = self.momentum;
        ensure!(
            momentum >= 0.0,
            Value,
            "momentum should be >= 0 but is: {momentum:?}"
        );
        let decay = self.weight_decay;
        ensure!(
            decay >= 0.0,
            Value,
            "weight decay should be >= 0 but is: {decay:?}"
        );
        ensure!(
            self.ns_steps < 100,
            Value,
            "Number of steps must be less than 100 for computational efficiency"
        );
        Ok(())
    }

    fn check_param(&self, param: &Tensor) -> Result<()> {
        ensure!(
            param.rank() == 2,
            Shape,
            "Muon only supports 2D parameters whereas we found a parameter with size: {:?}",
            param.shape()
        );
        Ok(())
    }
}

impl Algorithm for MuonOptions {
    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        one_by_one(active, |param, grad, state| {
            let buffer = state.tensor_or("momentum_buffer", || param.zeros_like())?;
            buffer.lerp_(grad, 1.0 - self.momentum)?;
            let update = match self.nesterov {
                true => grad.lerp(&buffer, self.momentum)?,
                false => buffer,
            };
            let update = self.orthogonal(&update)?.to_dtype(param.dtype())?;
            param.mul_(1.0 - self.lr * self.weight_decay)?;
            param.add_scaled_(&update, -self.adjusted_lr(param.shape()))?;
            Ok(())
        })
    }
}

impl MuonOptions {
    /// A matrix with (about) the singular vectors of `update`, and singular values near 1. Every product is summed in
    /// float32 and rounded to bfloat16 once, as PyTorch does.
    fn orthogonal(&self, update: &Tensor) -> Result<Tensor> {
        let (a, b, c) = self.ns_coefficients;
        let round = |x: Tensor| x.to_dtype(DType::BF16)?.to_dtype(DType::F32);
        let x = round(update.clone())?;
        let tall = x.shape()[0] > x.shape()[1];
        let x = if tall { x.t()? } else { x };
        let norm = round(round(x.norm()?)?.clamp_min(self.eps)?)?;
        let mut x = round(x.div(&norm)?)?;
        let factors = |beta: f64, alpha: f64| AddProduct {
            beta: beta.into(),
            alpha: alpha.into(),
        };
        for _ in 0..self.ns_steps {
            let gram = round(x.matmul(&x.t()?)?)?;
            let polynomial = round(gram.addmm(&gram, &gram, factors(b, c))?)?;
            x = round(x.addmm(&polynomial, &x, factors(a, 1.0))?)?;
        }
        if tall { x.t() } else { Ok(x) }
    }

    fn adjusted_lr(&self, shape: &[usize]) -> f64 {
        let (rows, columns) = (shape[0] as f64, shape[1] as f64);
        let ratio = match self.adjust_lr_fn.unwrap_or(AdjustLr::Original) {
            AdjustLr::Original => (rows / columns).max(1.0).sqrt(),
            AdjustLr::MatchRmsAdamw => 0.2 * rows.max(columns).sqrt(),
            AdjustLr::SpectralUnclamped => (rows / columns).sqrt(),
        };
        self.lr * ratio
    }
}
