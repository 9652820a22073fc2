//! Gradients and mixed precision: types of gradients, regions around `backward`, checkpoints.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use flambeau_autograd::amp::{autocast, get_autocast_dtype};
use flambeau_autograd::{Backward, Function, apply, checkpoint};
use flambeau_tensor::{DType, Result, Tensor};

fn leaf(values: [[f32; 2]; 2]) -> Tensor {
    Tensor::new(values).unwrap().requires_grad(true).unwrap()
}

/// Two products with a sum of both types between them.
fn forward(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let y = x.matmul(w)?;
    assert_eq!(y.dtype(), DType::BF16);
    y.add(x)?.tanh()?.matmul(&w.t()?)?.float()?.sum()
}

#[test]
fn gradients_have_the_types_of_their_tensors() {
    let (x, w) = (leaf([[0.3, -0.7], [1.1, 0.2]]), leaf([[0.5, 0.25], [-1.3, 0.9]]));
    autocast(DType::BF16, || forward(&x, &w))
        .unwrap()
        .backward()
        .unwrap();
    let full = {
        let (x, w) = (
            x.detach().requires_grad(true).unwrap(),
            w.detach().requires_grad(true).unwrap(),
        );
        let y = x.matmul(&w).unwrap().add(&x).unwrap().tanh().unwrap();
        y.matmul(&w.t().unwrap())
            .unwrap()
            .sum()
            .unwrap()
            .backward()
            .unwrap();
        [x, w]
    };
    for (mixed, full) in [x, w].iter().zip(&full) {
        let (mixed, full) = (mixed.grad().unwrap(), full.grad().unwrap());
        assert_eq!(mixed.dtype(), DType::F32);
        let pairs = mixed
            .to_vec::<f32>()
            .unwrap()
            .into_iter()
            .zip(full.to_vec::<f32>().unwrap());
        for (mixed, full) in pairs {
            // Three roundings to 8 bits, and not none.
            assert!((mixed - full).abs() < 0.02 * full.abs().max(0.5) && mixed != full);
        }
    }
}

/// Keeps what `backward` saw.
struct Witness(Arc<Mutex<Vec<Option<DType>>>>);

impl Function for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.0.lock().unwrap().push(get_autocast_dtype());
        Ok(vec![inputs[0].copy()?])
    }

    fn backward(&self, _: &[Tensor], _: &[Tensor], grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        self.0.lock().unwrap().push(get_autocast_dtype());
        Ok(grads.to_vec())
    }
}

#[test]
fn backward_sees_no_region() {
    let gradient = |inside: bool| {
        let w = leaf([[0.5, 0.25], [-1.3, 0.9]]);
        let seen = Arc::default();
        autocast(DType::BF16, || {
            let y = apply(Arc::new(Witness(Arc::clone(&seen))), &[&w])
                .unwrap()
                .remove(0);
            // One product is of float32, on either side of the one that is not.
            let y = autocast(None, || y.matmul(&w)).unwrap();
            let loss = forward(&y, &w).unwrap();
            autocast(inside.then_some(DType::BF16), || loss.backward()).unwrap();
            assert_eq!(get_autocast_dtype(), Some(DType::BF16));
        });
        assert_eq!(*seen.lock().unwrap(), [Some(DType::BF16), None]);
        w.grad().unwrap().to_vec::<f32>().unwrap()
    };
    assert_eq!(gradient(true), gradient(false));
}

#[test]
fn a_checkpoint_is_computed_again_in_its_region() {
    let gradients = |checkpointed: bool, after: Option<DType>| {
        let (x, w) = (leaf([[0.3, -0.7], [1.1, 0.2]]), leaf([[0.5, 0.25], [-1.3, 0.9]]));
        let loss = autocast(DType::BF16, || {
            let (x, w) = (x.clone(), w.clone());
            if checkpointed {
                let f = move || {
                    assert_eq!(get_autocast_dtype(), Some(DType::BF16));
                    Ok(vec![forward(&x, &w)?])
                };
                checkpoint(f).unwrap().remove(0)
            } else {
                forward(&x, &w).unwrap()
            }
        });
        autocast(after, || loss.backward()).unwrap();
        [x, w].map(|t| t.grad().unwrap().to_vec::<f32>().unwrap())
    };
    let plain = gradients(false, None);
    for after in [None, Some(DType::BF16), Some(DType::F16)] {
        assert_eq!(gradients(true, after), plain);
    }
    // Nor does a region that came later reach what ran outside of one.
    let x = leaf([[0.3, -0.7], [1.1, 0.2]]);
    let captured = x.clone();
    let y = checkpoint(move || {
        assert_eq!(get_autocast_dtype(), None);
        Ok(vec![captured.matmul(&captured)?])
    });
    let y = y.unwrap().remove(0).sum().unwrap();
    autocast(DType::BF16, || y.backward()).unwrap();
    assert!(x.grad().is_some());
}
