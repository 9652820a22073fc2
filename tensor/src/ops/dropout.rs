//! Dropout: elements (or whole channels) set to zero at random in training, the others scaled up to keep the mean.
//!
//! The masks are PyTorch's: they come from the process' generator (`manual_seed`) in PyTorch's order.

use crate::random::Generator;
use crate::{Result, Shape, Tensor, ensure, no_grad};

/// Elements of `x` set to zero with probability `p`, the others divided by `1 - p` (`nn.functional.dropout`); `x` itself
/// unless in `training`.
///
/// # Errors
/// `Value` unless `p` is in `[0, 1]`; `DType` for other than floating point types.
pub fn dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    apply("dropout", x, p, training, x.dims().clone(), from_default)
}

/// [`dropout`] with random numbers from a generator of one's own.
///
/// # Errors
/// As [`dropout`].
pub fn dropout_from(x: &Tensor, p: f64, training: bool, generator: &mut Generator) -> Result<Tensor> {
    apply("dropout", x, p, training, x.dims().clone(), |mask, keep| {
        let mut drawn = vec![0f32; mask.numel()];
        Generator::bernoulli(generator, &mut drawn, keep);
        Tensor::from_vec(drawn, mask.shape())?.to_dtype(mask.dtype())
    })
}

/// Ones with probability `keep`, else zeros, of the shape and type of `mask`.
fn from_default(mask: Tensor, keep: f64) -> Result<Tensor> {
    mask.bernoulli_(keep)?;
    Ok(mask)
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
    apply("feature_dropout", x, p, training, noise.collect(), from_default)
}

fn apply(
    op: &str,
    x: &Tensor,
    p: f64,
    training: bool,
    noise: Shape,
    draw: impl FnOnce(Tensor, f64) -> Result<Tensor>,
) -> Result<Tensor> {
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
    let mask = no_grad(|| draw(Tensor::zeros(noise, x.dtype())?, 1.0 - p)?.div(1.0 - p))?;
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

    #[test]
    fn a_generator_of_ones_own_repeats_what_it_drops() {
        let x = Tensor::ones((6, 40), DType::F64).unwrap();
        let mut generator = Generator::new(3);
        let first = dropout_from(&x, 0.5, true, &mut generator).unwrap();
        let second = dropout_from(&x, 0.5, true, &mut generator).unwrap();
        let mut again = Generator::new(3);
        let repeated = dropout_from(&x, 0.5, true, &mut again).unwrap();
        let values = |t: &Tensor| t.to_vec::<f64>().unwrap();
        assert_eq!(values(&first), values(&repeated));
        assert_ne!(values(&first), values(&second));
        assert!(values(&first).iter().all(|&v| v == 0.0 || v == 2.0));
    }
}
