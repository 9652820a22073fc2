//! The engine on small programs with known gradients.

use flambeau_autograd::{Backward, GradOptions, grad};
use flambeau_tensor::ops::norm::{BatchNormOptions, batch_norm};
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

/// A network whose depth depends on its data: the gradient follows the path that was taken.
#[test]
fn control_flow_may_depend_on_the_data() -> Result<()> {
    let w = Tensor::new([[0.9f64, 0.2], [-0.3, 0.8]])?.requires_grad(true)?;
    for start in [0.1f64, 1.0, 5.0] {
        let forward = |w: &Tensor| -> Result<Tensor> {
            let mut h = Tensor::new([start, -start])?;
            let mut steps = 0;
            while h.mul(&h)?.sum()?.item::<f64>()? > 0.05 && steps < 20 {
                h = w.matmul(&h)?;
                if h.select(0, 0)?.item::<f64>()? < 0.0 {
                    h = h.tanh()?;
                }
                steps += 1;
            }
            // The term in w alone keeps the result dependent on w when the loop does not run.
            h.mul(&h)?.sum()?.add(&w.sum()?.mul(0.1)?)
        };
        flambeau_autograd::gradcheck(
            |x| Ok(vec![forward(&x[0])?]),
            std::slice::from_ref(&w),
            Default::default(),
        )?;
    }
    Ok(())
}

#[test]
fn retained_gradients_add_up() -> Result<()> {
    let x = Tensor::new([1.0f32, 2.0])?.requires_grad(true)?;
    let y = x.mul(2.0)?;
    y.retain_grad()?;
    y.retain_grad()?;
    let z = y.mul(3.0)?.sum()?;
    let options = GradOptions {
        retain_graph: true,
        ..Default::default()
    };
    z.backward_with(None, options)?;
    assert_eq!(y.grad().expect("a gradient").to_vec::<f32>()?, [3.0, 3.0]);
    z.backward()?;
    assert_eq!(y.grad().expect("a gradient").to_vec::<f32>()?, [6.0, 6.0]);
    y.zero_grad();
    assert!(y.grad().is_none());
    Ok(())
}

#[test]
fn hooks_see_and_replace_gradients() -> Result<()> {
    let x = Tensor::new([1.0f32, 2.0])?.requires_grad(true)?;
    let y = x.mul(3.0)?;
    y.retain_grad()?;
    let handle = y.register_hook(|grad| grad.mul(10.0).map(Some))?;
    y.sum()?.backward()?;
    assert_eq!(x.take_grad().expect("a gradient").to_vec::<f32>()?, [30.0, 30.0]);
    handle.remove();
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = calls.clone();
    x.register_post_accumulate_grad_hook(move |leaf| {
        assert!(leaf.grad().is_some());
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    })?;
    x.mul(3.0)?.sum()?.backward()?;
    assert_eq!(x.grad().expect("a gradient").to_vec::<f32>()?, [3.0, 3.0]);
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
    Ok(())
}

#[test]
fn an_in_place_change_never_corrupts_what_was_saved() -> Result<()> {
    let x = Tensor::new([2.0f64, 3.0])?.requires_grad(true)?;
    let a = x.mul(1.0)?;
    let y = a.mul(&a)?;
    a.add_(100.0)?; // PyTorch refuses the backward below; here the product kept its own values
    y.sum()?.backward()?;
    assert_eq!(x.grad().expect("a gradient").to_vec::<f64>()?, [4.0, 6.0]);
    assert_eq!(a.to_vec::<f64>()?, [102.0, 103.0]);
    Ok(())
}

/// Rules write a gradient in the place of the one before, but not where somebody else sees it.
#[test]
fn gradients_that_somebody_keeps_are_not_overwritten() -> Result<()> {
    let x = Tensor::new([-1.0f32, 0.5, 0.5, 2.0])?.requires_grad(true)?;
    let images = x.reshape([2, 1, 2])?;
    let normal = batch_norm(&images, true, &BatchNormOptions::default())?;
    let squashed = normal.sigmoid()?;
    let y = squashed.hardtanh(0.0, 0.6)?;
    squashed.retain_grad()?;
    normal.retain_grad()?;
    let given = Tensor::new([1.0f32, 2.0, 3.0, 4.0])?.reshape([2, 1, 2])?;
    let options = GradOptions {
        retain_graph: true,
        ..Default::default()
    };
    y.backward_with(Some(&given), options)?;
    assert_eq!(given.reshape(-1)?.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    let kept = |tensor: &Tensor| tensor.grad().expect("a gradient").reshape(-1)?.to_vec::<f32>();
    assert_eq!(kept(&squashed)?, [1.0, 2.0, 3.0, 0.0]);
    let once = [kept(&squashed)?, kept(&normal)?, kept(&x)?];
    assert!(once[1] != once[0] && once[2] != once[1]);
    // The graph still holds what it saved.
    y.backward_with(Some(&given), GradOptions::default())?;
    for (tensor, once) in [&squashed, &normal, &x].into_iter().zip(once) {
        let twice: Vec<f32> = once.iter().map(|x| x + x).collect();
        assert_eq!(kept(tensor)?, twice);
    }
    Ok(())
}

/// What the fused rule reads of the output says the same as what the recorded one reads, bounds that are no float included.
#[test]
fn clamped_numbers_have_no_gradient_first_or_second() -> Result<()> {
    let bound = 0.1f32;
    let x = Tensor::new([-2.0, -bound, -0.05, 0.05, bound, 2.0])?.requires_grad(true)?;
    let want = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    x.hardtanh(-0.1, 0.1)?.sum()?.backward()?;
    assert_eq!(x.take_grad().expect("a gradient").to_vec::<f32>()?, want);
    let options = GradOptions {
        create_graph: true,
        ..Default::default()
    };
    let sum = x.hardtanh(-0.1, 0.1)?.sum()?;
    let recorded = grad(&[&sum], &[&x], &[], options)?
        .pop()
        .flatten()
        .expect("a gradient");
    assert_eq!(recorded.to_vec::<f32>()?, want);
    Ok(())
}

#[test]
fn leaves_are_protected_and_no_grad_records_nothing() -> Result<()> {
    let x = Tensor::new([2.0f32])?.requires_grad(true)?;
    assert!(x.add_(1.0).unwrap_err().to_string().contains("no_grad"));
    let y = flambeau_autograd::no_grad(|| -> Result<Tensor> {
        x.add_(1.0)?;
        x.mul(2.0)
    })?;
    assert!(!y.is_tracked() && x.is_tracked() && x.is_leaf());
    assert_eq!(y.item::<f32>()?, 6.0);
    assert!(y.backward().unwrap_err().to_string().contains("not tracked"));
    Ok(())
}

#[test]
fn unused_inputs_are_errors_unless_allowed() -> Result<()> {
    let (x, z) = (
        Tensor::new(1.0f32)?.requires_grad(true)?,
        Tensor::new(1.0f32)?.requires_grad(true)?,
    );
    let y = x.mul(2.0)?;
    let options = GradOptions {
        retain_graph: true,
        ..GradOptions::default()
    };
    assert!(
        grad(&[&y], &[&x, &z], &[], options)
            .unwrap_err()
            .to_string()
            .contains("allow_unused")
    );
    let grads = grad(
        &[&y],
        &[&x, &z],
        &[],
        GradOptions {
            allow_unused: true,
            ..options
        },
    )?;
    assert!(grads[0].is_some() && grads[1].is_none());
    assert!(x.grad().is_none(), "grad() leaves the leaves alone");
    Ok(())
}
