//! Convolutions by hand.

use super::*;

#[test]
fn a_difference_filter() {
    let x = Tensor::new([[1.0f32, 4.0, 9.0, 16.0]]).unwrap();
    let w = Tensor::new([[[-1.0f32, 1.0]]]).unwrap();
    let y = conv1d(&x, &w, None, &ConvOptions::default()).unwrap();
    assert_eq!(
        (y.shape(), y.to_vec::<f32>().unwrap()),
        (&[1, 3][..], vec![3.0, 5.0, 7.0])
    );
    let same = ConvOptions {
        padding: Padding::Same,
        ..ConvOptions::default()
    };
    let y = conv1d(&x, &w, None, &same).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [3.0, 5.0, 7.0, -16.0]);
    let options = ConvTransposeOptions {
        stride: [2],
        output_padding: [1],
        ..ConvTransposeOptions::default()
    };
    let bias = Tensor::new([10.0f32]).unwrap();
    let y = conv_transpose1d(&x.narrow(1, 0, 2).unwrap(), &w, Some(&bias), &options).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [9.0, 11.0, 6.0, 14.0, 10.0]);
}

#[test]
fn wrong_calls_are_errors() {
    let x = Tensor::zeros((1, 3, 4, 4), DType::F32).unwrap();
    let w = Tensor::zeros((2, 2, 3, 3), DType::F32).unwrap();
    let error = conv2d(&x, &w, None, &ConvOptions::default())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "conv2d: input [1, 3, 4, 4] has 3 channels, weight [2, 2, 3, 3] with 1 groups takes 2"
    );
    let w = Tensor::zeros((2, 3, 5, 5), DType::F32).unwrap();
    assert!(conv2d(&x, &w, None, &ConvOptions::default()).is_err());
    assert!(conv1d(&x, &w, None, &ConvOptions::default()).is_err());
}
