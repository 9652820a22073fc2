//! Our side of what `docs/deviations.md` lists, in its order.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::amp::autocast;
use flambeau_autograd::{Backward, GradOptions, grad, inference_mode};
use flambeau_tensor::ops::embedding::{EmbeddingOptions, embedding};
use flambeau_tensor::ops::fft::{Norm, fft};
use flambeau_tensor::ops::windows::kaiser;
use flambeau_tensor::{DType, Result, Tensor, random};

fn gradient(leaf: &Tensor) -> Vec<f64> {
    leaf.grad()
        .map(|grad| grad.to_vec_f64().unwrap())
        .unwrap_or_default()
}

#[test]
fn views_are_values_of_their_own_and_saved_values_stay() -> Result<()> {
    let base = Tensor::zeros((2, 2), DType::F32)?;
    let view = base.i(0)?;
    assert!(view.shares_memory(&base));
    view.fill_(5)?;
    assert_eq!(
        (view.to_vec::<f32>()?, base.to_vec::<f32>()?),
        (vec![5.0; 2], vec![0.0; 4])
    );
    base.set(0, 5)?;
    assert_eq!(base.to_vec::<f32>()?, [5.0, 5.0, 0.0, 0.0]);

    let x = Tensor::new(2.0f64)?.requires_grad(true)?;
    let y = x.exp()?;
    y.add_(1.0)?;
    y.backward()?;
    assert_eq!(gradient(&x), [2f64.exp()]);
    Ok(())
}

#[test]
fn complex_numbers_are_pairs() -> Result<()> {
    let z = Tensor::new([[1.0f32, 0.0], [0.0, 1.0]])?;
    assert_eq!(
        fft(&z, None, -1, Norm::Backward)?.to_vec::<f32>()?,
        [1.0, 1.0, 1.0, -1.0]
    );
    Ok(())
}

#[test]
fn errors_are_values_and_operators_panic_with_the_same_text() -> Result<()> {
    let (x, y) = (Tensor::zeros(2, DType::F32)?, Tensor::zeros(3, DType::F32)?);
    let error = x.add(&y).unwrap_err().to_string();
    let panic = std::panic::catch_unwind(|| &x + &y).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>(), Some(&error));
    Ok(())
}

#[test]
fn other_names_and_fewer_modes() -> Result<()> {
    let x = Tensor::ones((2, 1), DType::F32)?.requires_grad(true)?;
    let y = x.mul(2.0)?;
    assert!(y.is_tracked() && !y.is_leaf() && y.requires_grad(false).is_err());
    assert_eq!(y.rank(), 2);
    assert!(!inference_mode(|| x.mul(2.0))?.is_tracked());
    assert!(y.to_string().ends_with("grad_fn=<mul>)"));
    Ok(())
}

#[test]
fn subscripts_are_methods() -> Result<()> {
    let x = Tensor::arange(0, 24, 1, None)?.view((2, 3, 4))?;
    let mask = Tensor::new([true, false, true, false])?;
    assert_eq!(x.i((0, 1..3, None, &mask))?.shape(), [2, 1, 2]);
    assert_eq!(x.i((.., 0))?.shape(), [2, 3]);
    assert_eq!(x.i((.., 0, ..))?.shape(), [2, 4]);
    x.set((0, 1..), -1)?;
    assert_eq!(x.i((0, 2))?.to_vec::<i64>()?, [-1; 4]);
    Ok(())
}

#[test]
fn strides_run_over_the_elements() -> Result<()> {
    let x = Tensor::arange(0, 6, 1, None)?.view((2, 3))?;
    assert_eq!(x.as_strided(3, &[1], 0)?.to_vec::<i64>()?, [0, 1, 2]);
    assert_eq!(x.t()?.as_strided(3, &[1], 0)?.to_vec::<i64>()?, [0, 3, 1]);
    Ok(())
}

#[test]
fn types_are_stated() -> Result<()> {
    let x = Tensor::new([2.5f64])?;
    assert!(x.item::<f32>().is_err() && x.to_vec::<f32>().is_err());
    assert_eq!((x.item::<f64>()?, x.float()?.item_f64()?), (2.5, 2.5));
    assert_eq!(Tensor::arange(0.0, 1.0, 0.5, None)?.dtype(), DType::F32);
    Ok(())
}

#[test]
fn equal_elements_keep_their_order() -> Result<()> {
    let ones = Tensor::ones(40, DType::F32)?;
    assert_eq!(ones.topk(3, 0, true, true)?.1.to_vec::<i64>()?, [0, 1, 2]);
    assert_eq!(ones.kthvalue(6, 0, false)?.1.item::<i64>()?, 5);
    assert_eq!(
        ones.sort(0, true)?.1.to_vec::<i64>()?,
        (0..40).collect::<Vec<_>>()
    );
    random::manual_seed(0);
    let weights = Tensor::new([0.0f32, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0])?;
    let drawn = weights.multinomial(6, false)?.to_vec::<i64>()?;
    assert_eq!(drawn[3..], [0, 2, 4]);
    Ok(())
}

#[test]
fn products_of_factors_do_not_depend_on_their_signs() -> Result<()> {
    let a = Tensor::new([[2.0f64, 1.0], [1.0, 3.0]])?;
    let (u, s, vh) = a.svd(true)?;
    assert!(u.mul(&s)?.matmul(&vh)?.allclose(&a, 1e-14, 1e-14, false)?);
    let (values, vectors) = a.eigh(false)?;
    let product = vectors.mul(&values)?.matmul(&vectors.t()?)?;
    assert!(product.allclose(&a, 1e-14, 1e-14, false)?);
    Ok(())
}

#[test]
fn tails_and_large_arguments_are_right() -> Result<()> {
    // Φ(-12), to 16 digits.
    let tail = Tensor::new(-12.0f64)?.ndtr()?.item::<f64>()?;
    assert!((tail / 1.776_482_112_077_679e-33 - 1.0).abs() < 1e-13);
    let window = kaiser(5, 100.0, true, DType::F32)?.to_vec::<f32>()?;
    assert!(window[2] == 1.0 && window.iter().all(|x| (0.0..=1.0).contains(x)));
    assert_eq!(Tensor::empty(3, DType::Bool)?.to_vec::<bool>()?, [false; 3]);
    Ok(())
}

#[test]
fn what_was_written_over_has_no_gradient() -> Result<()> {
    let base = Tensor::zeros(4, DType::F64)?.requires_grad(true)?;
    let source = Tensor::ones(2, DType::F64)?.requires_grad(true)?;
    let y = base.as_strided_scatter(&source, 2, &[2], 0)?;
    y.mul(&Tensor::new([1.0f64, 2.0, 3.0, 4.0])?)?.sum()?.backward()?;
    assert_eq!(
        (gradient(&base), gradient(&source)),
        (vec![0.0, 2.0, 0.0, 4.0], vec![1.0, 3.0])
    );
    Ok(())
}

#[test]
fn frequencies_scale_second_derivatives_too() -> Result<()> {
    let weight = Tensor::ones((2, 1), DType::F64)?.requires_grad(true)?;
    let given = Tensor::ones((3, 1), DType::F64)?.requires_grad(true)?;
    let options = EmbeddingOptions {
        scale_grad_by_freq: true,
        ..EmbeddingOptions::default()
    };
    let y = embedding(&Tensor::new([0i64, 0, 1])?, &weight, &options)?;
    let create_graph = GradOptions {
        create_graph: true,
        ..GradOptions::default()
    };
    let first = grad(&[&y], &[&weight], &[Some(&given)], create_graph)?;
    let Some(Some(first)) = first.first() else {
        panic!("no gradient")
    };
    assert_eq!(first.to_vec::<f64>()?, [1.0, 1.0]);
    first.sum()?.backward()?;
    assert_eq!(gradient(&given), [0.5, 0.5, 1.0]);
    Ok(())
}

#[test]
fn mixed_precision_keeps_no_casts_and_decomposes_in_full_width() -> Result<()> {
    let w = Tensor::new([[1.0f32, 0.5], [0.25, 2.0]])?.requires_grad(true)?;
    let (unit, small) = (
        Tensor::eye(2, 2, DType::F32)?,
        Tensor::new([[1.0f32 / 512.0, 0.0], [0.0, 0.0]])?,
    );
    let loss = autocast(DType::BF16, || {
        w.matmul(&unit)?.sum()?.add(&w.matmul(&small)?.sum()?)
    })?;
    loss.backward()?;
    // 1 + 1/512 has no place in bfloat16; it would be 1 if both uses of the weight shared a cast.
    assert_eq!(gradient(&w)[0], 1.0 + 1.0 / 512.0);
    let half = w.detach().to_dtype(DType::BF16)?;
    assert!(half.lu_factor(true).is_err());
    autocast(DType::BF16, || {
        assert_eq!(half.lu_factor(true)?.0.dtype(), DType::F32);
        assert_eq!(half.pinv(&Default::default())?.dtype(), DType::F32);
        assert_eq!(autocast(DType::F32, || w.matmul(&w))?.dtype(), DType::F32);
        Ok(())
    })
}
