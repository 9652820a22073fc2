//! Tests of functions of two tensors.

use super::*;

fn ints(x: Result<Tensor>) -> Vec<i64> {
    x.unwrap().to_dtype(DType::I64).unwrap().to_vec().unwrap()
}

#[test]
fn numbers_stand_on_either_side() {
    let x = Tensor::new([1.0f32, 4.0]).unwrap();
    assert_eq!(sub(1, &x).unwrap().to_vec::<f32>().unwrap(), [0.0, -3.0]);
    assert_eq!(div(2.0, &x).unwrap().to_vec::<f32>().unwrap(), [2.0, 0.5]);
    assert_eq!(pow(2, &x).unwrap().to_vec::<f32>().unwrap(), [2.0, 16.0]);
    assert_eq!(remainder(-3, &x).unwrap().to_vec::<f32>().unwrap(), [0.0, 1.0]);
    assert_eq!(x.rsub(1.0).unwrap().to_vec::<f32>().unwrap(), [0.0, -3.0]);
}

#[test]
fn integers_and_bools_follow_pytorch() {
    let (a, flags) = (
        Tensor::new([7i64, -7]).unwrap(),
        Tensor::new([true, false]).unwrap(),
    );
    assert_eq!(ints(a.floor_divide(2)), [3, -4]);
    assert_eq!(ints(a.trunc_divide(2)), [3, -3]);
    assert_eq!(a.div(2).unwrap().to_vec::<f32>().unwrap(), [3.5, -3.5]);
    assert_eq!(ints(a.pow(2)), [49, 49]);
    assert_eq!(a.pow(0.5).unwrap().dtype(), DType::F32);
    assert_eq!(ints(flags.maximum(&flags)), [1, 0]);
    assert_eq!(flags.add(&flags).unwrap().dtype(), DType::Bool);
    assert!(matches!(a.floor_divide(0), Err(Error::Value(_))));
    assert!(matches!(a.pow(-1), Err(Error::Value(_))));
    assert!(matches!(flags.sub(&a), Err(Error::DType(_))));
    assert!(matches!(flags.remainder(&flags), Err(Error::DType(_))));
    assert!(matches!(a.hypot(&a), Err(Error::DType(_))));
    let bytes = Tensor::new([200u8]).unwrap();
    assert_eq!(ints(bytes.add(100)), [44]);
    assert_eq!(ints(bytes.add(300)), [244]);
}

#[test]
fn alpha_scales_the_right_operand() {
    let (x, y) = (
        Tensor::new([1.0f32, 2.0]).unwrap(),
        Tensor::new([10.0f32, 20.0]).unwrap(),
    );
    assert_eq!(
        x.add_scaled(&y, 2.0).unwrap().to_vec::<f32>().unwrap(),
        [21.0, 42.0]
    );
    assert_eq!(
        x.sub_scaled(&y, 2.0).unwrap().to_vec::<f32>().unwrap(),
        [-19.0, -38.0]
    );
    x.add_scaled_(&y, -1).unwrap();
    assert_eq!(x.to_vec::<f32>().unwrap(), [-9.0, -18.0]);
    let whole = Tensor::new([1i64]).unwrap();
    assert!(matches!(whole.add_scaled(&whole, 1.5), Err(Error::Value(_))));
}

#[test]
fn half_precision_rounds_once() {
    let x = Tensor::new([1.0f32]).unwrap().to_dtype(DType::F16).unwrap();
    let y = x.div(3.0).unwrap();
    assert_eq!(y.dtype(), DType::F16);
    assert_eq!(y.to_vec::<half::f16>().unwrap(), [half::f16::from_f32(1.0 / 3.0)]);
    assert_eq!(x.float_power(2).unwrap().dtype(), DType::F64);
}
