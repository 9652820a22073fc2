//! The engine on small programs with known gradients.

use flambeau_autograd::{Backward, GradOptions, grad};
use flambeau_tensor::{Result, Tensor};

#[test]
fn polynomial_first_and_second_derivative() -> Result<()> {
    let x = Tensor::new(2.0f64)?.requires_grad(true)?;
    let y = &x * &x * &x + 3.0 * &x + 1.0;
    let options = GradOptions {
        create_graph: true,
        ..GradOptions::default()
    };
    let first = grad(&[&y], &[&x], &[], options)?.remove(0).expect("x is used");
    assert_eq!(first.item::<f64>()?, 15.0);
    let second = grad(&[&first], &[&x], &[], GradOptions::default())?
        .remove(0)
        .expect("x is used");
    assert_eq!(second.item::<f64>()?, 12.0);
    Ok(())
}

#[test]
fn broadcast_gradients_are_summed_and_accumulate() -> Result<()> {
    let w = Tensor::new([1.0f32, 2.0, 3.0])?.requires_grad(true)?;
    let x = Tensor::ones((4, 3), flambeau_tensor::DType::F32)?;
    for _ in 0..2 {
        x.mul(&w)?.sum()?.backward()?;
    }
    assert_eq!(w.grad().expect("a gradient").to_vec::<f32>()?, [8.0, 8.0, 8.0]);
    Ok(())
}

#[test]
fn a_freed_graph_is_an_error() -> Result<()> {
    let x = Tensor::new(2.0f32)?.requires_grad(true)?;
    let y = x.mul(&x)?;
    y.backward()?;
    assert!(y.backward().unwrap_err().to_string().contains("retain_graph"));
    Ok(())
}

#[test]
fn a_long_chain_neither_recurses_nor_leaks() -> Result<()> {
    let x = Tensor::new(1.0f32)?.requires_grad(true)?;
    let mut y = x.clone();
    for _ in 0..200_000 {
        y = y.add(0.5)?;
    }
    let dropped = y.clone();
    y.backward()?;
    drop((y, dropped));
    assert_eq!(x.grad().expect("a gradient").item::<f32>()?, 1.0);
    Ok(())
}
