//! Tests of the normalisations.

use super::*;

fn close(x: &Tensor, expected: &[f64]) {
    let x = x.to_vec_f64().unwrap();
    assert!(
        x.len() == expected.len() && x.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
        "{x:?}, expected {expected:?}"
    );
}

#[test]
fn batch_norm_updates_running_statistics() {
    let x = Tensor::new([[1.0f64], [3.0]]).unwrap();
    let (mean, var) = (
        Tensor::zeros(1, DType::F64).unwrap(),
        Tensor::ones(1, DType::F64).unwrap(),
    );
    let options = BatchNormOptions {
        running: Some(RunningStats {
            mean: &mean,
            var: &var,
        }),
        momentum: 0.5,
        eps: 0.0,
        ..BatchNormOptions::default()
    };
    close(&batch_norm(&x, true, &options).unwrap(), &[-1.0, 1.0]);
    close(&mean, &[1.0]);
    close(&var, &[1.5]);
    close(
        &batch_norm(&x, false, &options).unwrap(),
        &[0.0, 2.0 / 1.5f64.sqrt()],
    );
    assert!(batch_norm(&x.narrow(0, 0, 1).unwrap(), true, &options).is_err());
}

#[test]
fn instance_norm_averages_the_batch_for_running_statistics() {
    let x = Tensor::new([[[1.0f64, 3.0]], [[2.0, 6.0]]]).unwrap();
    let (mean, var) = (
        Tensor::zeros(1, DType::F64).unwrap(),
        Tensor::zeros(1, DType::F64).unwrap(),
    );
    let options = BatchNormOptions {
        running: Some(RunningStats {
            mean: &mean,
            var: &var,
        }),
        momentum: 1.0,
        eps: 0.0,
        ..BatchNormOptions::default()
    };
    close(
        &instance_norm(&x, true, &options).unwrap(),
        &[-1.0, 1.0, -1.0, 1.0],
    );
    close(&mean, &[3.0]);
    close(&var, &[5.0]);
}

#[test]
fn rows_are_normalised() {
    let x = Tensor::new([[3.0f64, 4.0], [1.0, 1.0]]).unwrap();
    close(
        &layer_norm(&x, &[2], None, None, 0.75).unwrap(),
        &[-0.5, 0.5, 0.0, 0.0],
    );
    let r = 12.5f64.sqrt();
    close(
        &rms_norm(&x, &[2], None, Some(0.0)).unwrap(),
        &[3.0 / r, 4.0 / r, 1.0, 1.0],
    );
    let error = layer_norm(&x, &[3], None, None, 1e-5).unwrap_err().to_string();
    assert_eq!(error, "layer_norm: expected an input […, [3]], got [2, 2]");
    assert!(group_norm(&x, 3, None, None, 1e-5).is_err());
}
