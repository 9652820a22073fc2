//! Dropout: elements (or whole channels) set to zero at random in training, the others scaled up to keep the mean.
//!
//! The masks are PyTorch's: they come from the process' generator (`manual_seed`) in PyTorch's order.

use crate::{Result, Shape, Tensor, ensure, no_grad};

/// Elements of `x` set to zero with probability `p`, the others divided by `1 - p` (`nn.functional.dropout`); `x` itself
/// unless in `training`.
///
/// # Errors
/// `Value` unless `p` is in `[0, 1]`; `DType` for other than floating point types.
pub fn dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    apply("dropout", x, p, training, x.dims().clone())
}

/// Whole channels of `x` set to zero with probability `p`, the others divided by `1 - p` (`nn.functional.dropout1d`, `2d`,
/// `3d`, depending on how many dimensions follow the channels). `batched` tells whether a batch stands before them.
///
/// # Errors
/// As [`dropout`]; `Shape` if there are no channels.
pub fn feature_dropout(x: &Tensor, p: f64, training: bool, batched: bool) -> Result<Tensor> {
    let lead = 1 + usize::from(batched);
    ensure!(
        x.rank() >= lead,
        Shape,
        "feature_dropout: expected at least {lead} dimensions, got {:?}",
        x.shape()
    );
    let noise = x
        .shape()
        .iter()
        .enumerate()
        .map(|(d, &size)| if d < lead { size } else { 1 });
    apply("feature_dropout", x, p, training, noise.collect())
}

fn apply(op: &str, x: &Tensor, p: f64, training: bool, noise: Shape) -> Result<Tensor> {
    ensure!(
        (0.0..=1.0).contains(&p),
        Value,
        "{op}: expected a probability in [0, 1], got {p}"
    );
    ensure!(
        x.dtype().is_float(),
        DType,
        "{op}: expected a floating point tensor, got {}",
        x.dtype()
    );
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    if p == 1.0 {
        return x.mul(&Tensor::zeros(noise, x.dtype())?);
    }
    let mask = no_grad(|| {
        let mask = Tensor::zeros(noise, x.dtype())?;
        mask.bernoulli_(1.0 - p)?;
        mask.div(1.0 - p)
    })?;
    x.mul(&mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn elements_are_zero_or_scaled() {
        let x = Tensor::ones((64, 4, 3), DType::F32).unwrap();
        let y = dropout(&x, 0.25, true).unwrap().to_vec::<f32>().unwrap();
        assert!(y.iter().all(|&y| y == 0.0 || (y - 4.0 / 3.0).abs() < 1e-6));
        assert!(y.contains(&0.0) && y.iter().any(|&y| y > 0.0));
        let y = feature_dropout(&x, 0.5, true, true)
            .unwrap()
            .to_vec::<f32>()
            .unwrap();
        assert!(
            y.chunks(3)
                .all(|channel| channel.iter().all(|y| y == &channel[0]))
        );
        assert!(dropout(&x, 0.25, false).unwrap().same(&x));
        assert!(dropout(&x, 1.5, true).is_err());
    }
}
