//! Dropout: elements (or whole channels) set to zero at random in training, the others scaled up to keep the mean.
//!
//! The masks are PyTorch's: they come from the process' generator (`manual_seed`) in PyTorch's order.

use crate::random::Generator;
use crate::{Result, Shape, Tensor, bail, ensure, no_grad};

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

/// The value that SELU goes to at -∞: what alpha dropout sets elements to.
const SELU_LIMIT: f64 = -1.758_099_340_847_376_6;

/// Elements of `x` set to SELU's limit at -∞ with probability `p`, then all scaled and moved so that zero mean and unit
/// variance stay (`nn.functional.alpha_dropout`; Klambauer et al., 2017); `x` itself unless in `training`.
///
/// # Errors
/// As [`dropout`].
pub fn alpha_dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    apply_alpha("alpha_dropout", x, p, training, x.dims().clone())
}

/// [`alpha_dropout`] of whole channels: those of `[batch, channels, …]` (`nn.functional.feature_alpha_dropout`).
///
/// # Errors
/// As [`dropout`]; `Shape` for fewer than two dimensions.
pub fn feature_alpha_dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    let &[batch, channels, ..] = x.shape() else {
        bail!(
            Shape,
            "feature_alpha_dropout: expected at least 2 dimensions, got {:?}",
            x.shape()
        )
    };
    let noise = [batch, channels].into_iter().chain((2..x.rank()).map(|_| 1));
    apply_alpha("feature_alpha_dropout", x, p, training, noise.collect())
}

fn apply_alpha(op: &str, x: &Tensor, p: f64, training: bool, noise: Shape) -> Result<Tensor> {
    check(op, x, p)?;
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    if p == 1.0 {
        return x.mul(&Tensor::zeros(noise, x.dtype())?);
    }
    let scale = ((1.0 - p) * (1.0 + p * SELU_LIMIT * SELU_LIMIT)).sqrt().recip();
    let kept = no_grad(|| from_default(Tensor::zeros(noise, x.dtype())?, 1.0 - p))?;
    let moved = kept.rsub(1.0)?.sub(p)?.mul(SELU_LIMIT * scale)?;
    x.mul(&kept.mul(scale)?)?.add(&moved)
}

fn apply(
    op: &str,
    x: &Tensor,
    p: f64,
    training: bool,
    noise: Shape,
    draw: impl FnOnce(Tensor, f64) -> Result<Tensor>,
) -> Result<Tensor> {
    check(op, x, p)?;
    if !training || p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    if p == 1.0 {
        return x.mul(&Tensor::zeros(noise, x.dtype())?);
    }
    let mask = no_grad(|| draw(Tensor::zeros(noise, x.dtype())?, 1.0 - p)?.div(1.0 - p))?;
    x.mul(&mask)
}

fn check(op: &str, x: &Tensor, p: f64) -> Result<()> {
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
    Ok(())
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
    fn alpha_dropout_goes_to_the_limit_of_selu() {
        let values = |y: &Tensor| -> Vec<f64> {
            let mut y = y.to_vec::<f64>().unwrap();
            y.sort_by(f64::total_cmp);
            y.dedup();
            y
        };
        let near =
            |a: &[f64], b: [f64; 2]| a.len() == 2 && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        let x = Tensor::ones((8, 16, 3), DType::F64).unwrap();
        // PyTorch's values.
        let y = alpha_dropout(&x, 0.5, true).unwrap();
        assert!(near(
            &values(&y),
            [-0.779_193_930_518_031_5, 1.665_598_825_183_963_5]
        ));
        let y = feature_alpha_dropout(&x, 0.25, true).unwrap();
        assert!(near(
            &values(&y),
            [-1.143_544_188_209_472_6, 1.248_439_319_927_757_5]
        ));
        let y = y.to_vec::<f64>().unwrap();
        assert!(
            y.chunks(3)
                .all(|channel| channel.iter().all(|v| *v == channel[0]))
        );
        assert!(alpha_dropout(&x, 0.5, false).unwrap().same(&x));
        assert!(feature_alpha_dropout(&x.reshape(384).unwrap(), 0.5, true).is_err());
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
