//! Comparison of a result with the expected one: shape, type and integers exactly, floats within a tolerance. Bytes are
//! the levels of pictures, for which cases may allow a difference of one.

use flambeau_tensor::{DType, Tensor};

/// What differs, if anything: `|got - expected| <= atol + rtol·|expected|`, NaN equals NaN, infinities match.
pub(super) fn differs(what: &str, got: &Tensor, expected: &Tensor, rtol: f64, atol: f64) -> Option<String> {
    if got.shape() != expected.shape() {
        return Some(format!(
            "{what}: shape {:?}, expected {:?}",
            got.shape(),
            expected.shape()
        ));
    }
    if got.dtype() != expected.dtype() {
        return Some(format!(
            "{what}: dtype {}, expected {}",
            got.dtype(),
            expected.dtype()
        ));
    }
    if !got.dtype().is_float() && got.dtype() != DType::U8 {
        return differs_exactly(what, got, expected);
    }
    let (got, expected) = match (got.to_vec_f64(), expected.to_vec_f64()) {
        (Ok(got), Ok(expected)) => (got, expected),
        (Err(error), _) | (_, Err(error)) => return Some(format!("{what}: {error}")),
    };
    let close = |g: f64, e: f64| {
        (g.is_nan() && e.is_nan()) || g == e || (e.is_finite() && (g - e).abs() <= atol + rtol * e.abs())
    };
    let worst = got
        .iter()
        .zip(&expected)
        .enumerate()
        .find(|(_, (g, e))| !close(**g, **e));
    worst.map(|(i, (g, e))| format!("{what}: element {i} is {g:e}, expected {e:e}"))
}

fn differs_exactly(what: &str, got: &Tensor, expected: &Tensor) -> Option<String> {
    let read = |t: &Tensor| t.to_dtype(DType::I64).and_then(|t| t.to_vec::<i64>());
    match (read(got), read(expected)) {
        (Ok(got), Ok(expected)) => {
            let (i, (g, e)) = got.iter().zip(&expected).enumerate().find(|(_, (g, e))| g != e)?;
            Some(format!("{what}: element {i} is {g}, expected {e}"))
        }
        (Err(error), _) | (_, Err(error)) => Some(format!("{what}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let t = |x: [f64; 2]| Tensor::new(x).unwrap();
        assert_eq!(
            differs("out", &t([1.0, f64::NAN]), &t([1.0, f64::NAN]), 0.0, 0.0),
            None
        );
        assert_eq!(differs("out", &t([1.0, 2.0]), &t([1.0, 2.1]), 0.1, 0.0), None);
        assert!(
            differs("out", &t([1.0, 2.0]), &t([1.0, 2.1]), 0.01, 0.0)
                .unwrap()
                .contains("element 1")
        );
        assert!(differs("out", &t([1.0, f64::INFINITY]), &t([1.0, 5.0]), 0.1, 0.1).is_some());
        assert!(differs("out", &t([1.0, 5.0]), &t([1.0, f64::INFINITY]), 0.1, 0.1).is_some());
        assert!(
            differs(
                "out",
                &t([1.0, 2.0]),
                &Tensor::new([1.0f32, 2.0]).unwrap(),
                0.0,
                0.0
            )
            .unwrap()
            .contains("dtype")
        );
    }
}
