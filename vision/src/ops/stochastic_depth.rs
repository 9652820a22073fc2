//! Stochastic depth (Huang et al., 2016): residual branches dropped at random in training, whole, the rest scaled up to
//! keep the mean (`torchvision.ops.stochastic_depth`).

use flambeau_nn::{Forward, Mode, Module, observed};
use flambeau_tensor::{Result, Tensor, ensure, no_grad};

/// What is dropped together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StochasticDepthMode {
    /// The branch for all samples.
    Batch,
    /// The branch for each sample by itself.
    Row,
}

impl StochasticDepthMode {
    fn name(self) -> &'static str {
        match self {
            StochasticDepthMode::Batch => "batch",
            StochasticDepthMode::Row => "row",
        }
    }
}

/// `x` set to zero with probability `p`, else divided by `1 - p`; `x` itself unless in `training`.
///
/// # Shapes
/// `[batch, …] → [batch, …]`.
///
/// # Errors
/// `Value` unless `p` is between 0 and 1; `Shape` if there is no batch; `DType` for other than floating point types.
pub fn stochastic_depth(x: &Tensor, p: f64, mode: StochasticDepthMode, training: bool) -> Result<Tensor> {
    ensure!(
        (0.0..=1.0).contains(&p),
        Value,
        "stochastic_depth: expected a probability between 0 and 1, got {p}"
    );
    if !training || p == 0.0 {
        return Ok(x.clone());
    }
    ensure!(
        x.rank() > 0,
        Shape,
        "stochastic_depth: expected a batch, got a tensor without dimensions"
    );
    let mut shape = vec![1; x.rank()];
    if mode == StochasticDepthMode::Row {
        shape[0] = x.shape()[0];
    }
    let survival = 1.0 - p;
    let noise = no_grad(|| -> Result<Tensor> {
        let noise = x.new_empty(shape)?;
        noise.bernoulli_(survival)?;
        if survival > 0.0 {
            noise.div_(survival)?;
        }
        Ok(noise)
    })?;
    x.mul(&noise)
}

/// [`stochastic_depth`] as a module.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct StochasticDepth {
    p: f64,
    #[module(skip)]
    depth_mode: StochasticDepthMode,
    mode: Mode,
}

impl StochasticDepth {
    /// Drops with probability `p`.
    ///
    /// # Errors
    /// `Value` unless `p` is between 0 and 1.
    pub fn new(p: f64, mode: StochasticDepthMode) -> Result<Self> {
        ensure!(
            (0.0..=1.0).contains(&p),
            Value,
            "StochasticDepth: expected a probability between 0 and 1, got {p}"
        );
        Ok(StochasticDepth {
            p,
            depth_mode: mode,
            mode: Mode::default(),
        })
    }

    fn describe(&self) -> String {
        format!("p={}, mode={}", self.p, self.depth_mode.name())
    }
}

impl Forward for StochasticDepth {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        stochastic_depth(x, self.p, self.depth_mode, self.mode.is_training())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::{DType, random};

    #[test]
    fn rows_are_dropped_whole_and_the_others_scaled() {
        let layer = StochasticDepth::new(0.5, StochasticDepthMode::Row).unwrap();
        let x = Tensor::ones((64, 3), DType::F32).unwrap();
        let rows = random::fork(0, || layer.forward(&x)).unwrap();
        let rows = rows.to_vec::<f32>().unwrap();
        let mut kept = 0;
        for row in rows.chunks(3) {
            assert!(row == [0.0; 3] || row == [2.0; 3], "{row:?}");
            kept += usize::from(row[0] > 0.0);
        }
        assert!((16..48).contains(&kept), "{kept} of 64 rows kept");
        layer.eval();
        assert_eq!(
            layer.forward(&x).unwrap().to_vec::<f32>().unwrap(),
            x.to_vec::<f32>().unwrap()
        );
    }

    #[test]
    fn a_batch_is_dropped_as_one() {
        let x = Tensor::ones((8, 2), DType::F32).unwrap();
        for _ in 0..8 {
            let out = stochastic_depth(&x, 0.5, StochasticDepthMode::Batch, true).unwrap();
            let out = out.to_vec::<f32>().unwrap();
            assert!(out.iter().all(|&y| y == out[0]));
        }
        assert!(stochastic_depth(&x, 1.5, StochasticDepthMode::Batch, true).is_err());
    }
}
