//! Gradients and mixed precision: types of gradients, regions around `backward`, checkpoints.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use flambeau_autograd::amp::{self, autocast, get_autocast_dtype};
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

/// What a part of a function saw: the region, and the type of what it was given.
type Seen = (Option<DType>, DType);

/// A product that keeps what its parts saw.
struct Product(Arc<Mutex<Vec<Seen>>>);

impl Function for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn forward(&self, x: &[Tensor]) -> Result<Vec<Tensor>> {
        self.0.lock().unwrap().push((get_autocast_dtype(), x[0].dtype()));
        Ok(vec![x[0].matmul(&x[1])?])
    }

    fn backward(&self, x: &[Tensor], _: &[Tensor], grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let grad = grads[0].as_ref().unwrap();
        self.0.lock().unwrap().push((get_autocast_dtype(), grad.dtype()));
        Ok(vec![
            Some(grad.matmul(&x[1].t()?)?),
            Some(x[0].t()?.matmul(grad)?),
        ])
    }
}

/// `torch.amp.custom_fwd` and `custom_bwd`: the numbers are PyTorch 2.15's for the same function.
#[test]
fn functions_of_ones_own_know_their_region() {
    use DType::{BF16, F32};
    let half = [
        [1.0546875, -0.5546875, 0.291015625, 0.455078125],
        [0.4765625, -1.6953125, 0.921875, 1.15625],
        [1.1015625, 2.4375, -0.62890625, 0.671875],
    ];
    let full = [
        [1.06, -0.555, 0.29, 0.455],
        [0.475, -1.7, 0.925, 1.16],
        [1.1, 2.44, -0.63, 0.67],
    ];
    // The region, `cast_inputs`, the result's type, and what `forward` and `backward` see.
    let cases = [
        (
            Some(BF16),
            None,
            BF16,
            [(Some(BF16), F32), (Some(BF16), BF16)],
            half,
        ),
        (None, None, F32, [(None, F32), (None, F32)], full),
        (Some(BF16), Some(F32), F32, [(None, F32), (None, F32)], full),
        (None, Some(F32), F32, [(None, F32), (None, F32)], full),
        (Some(BF16), Some(BF16), BF16, [(None, BF16), (None, BF16)], half),
        (None, Some(BF16), F32, [(None, F32), (None, F32)], full),
    ];
    for (region, cast_inputs, dtype, seen, [y, ga, gb]) in cases {
        let (a, b) = (leaf([[0.3, -0.7], [1.1, 0.2]]), leaf([[0.5, 0.25], [-1.3, 0.9]]));
        let log = Arc::new(Mutex::new(Vec::new()));
        let product = Arc::new(Product(log.clone()));
        let result = autocast(region, || amp::apply(product, &[&a, &b], cast_inputs)).unwrap();
        assert_eq!(result[0].dtype(), dtype);
        let weights = Tensor::new([[1.1f32, -0.3], [0.7, 2.3]]).unwrap();
        let loss = result[0].float().unwrap().mul(&weights).unwrap().sum().unwrap();
        loss.backward().unwrap();
        assert_eq!(*log.lock().unwrap(), seen);
        let (a, b) = (a.grad().unwrap(), b.grad().unwrap());
        for (got, expected) in [(&result[0], y), (&a, ga), (&b, gb)] {
            assert!(got.dtype() == F32 || std::ptr::eq(got, &result[0]));
            for (got, expected) in got.to_vec_f64().unwrap().into_iter().zip(expected) {
                assert!((got - expected).abs() < 3e-7, "{got}, not {expected}");
            }
        }
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
