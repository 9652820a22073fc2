//! Layers whose norms and activations are done in the pass of the layer before: the same bits as one by one.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use flambeau_autograd::Backward;
use flambeau_nn::functional::Padding;
use flambeau_nn::{
    BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormOptions, Conv1d, Conv2d, ConvOptions, ELU, Forward, GELU,
    Hardswish, Linear, LinearOptions, Module, ReLU, ReLU6, Result, Sequential, SiLU, chain, chain_onto,
    observed, summary,
};
use flambeau_tensor::ops::conv::ConvTail;
use flambeau_tensor::{DType, Tensor, no_grad, random as generator};

/// A layer that counts the calls in which it did more than its own work.
#[derive(Module)]
struct Counted<L: Forward> {
    layer: L,
    #[module(skip)]
    calls: Calls,
}

#[derive(Debug, Default)]
struct Calls(AtomicUsize);

impl<L: Forward> Counted<L> {
    fn new(layer: L) -> Self {
        Counted {
            layer,
            calls: Calls::default(),
        }
    }

    fn calls(&self) -> usize {
        self.calls.0.load(Ordering::Relaxed)
    }
}

impl<L: Forward> Forward for Counted<L> {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.layer.forward(x)
    }

    fn forward_with_tail(&self, x: &Tensor, tail: &ConvTail<'_>) -> Result<Option<Tensor>> {
        let done = self.layer.forward_with_tail(x, tail)?;
        if done.is_some() {
            self.calls.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(done)
    }

    fn joins_recorded(&self) -> bool {
        self.layer.joins_recorded()
    }
}

fn conv(channels: [usize; 2], kernel: usize, stride: usize, groups: usize, bias: bool) -> Conv2d {
    let options = ConvOptions {
        stride: [stride; 2],
        padding: Padding::Explicit([kernel / 2; 2]),
        groups,
        bias,
        ..ConvOptions::default()
    };
    Conv2d::new(channels[0], channels[1], [kernel; 2], options).unwrap()
}

/// A norm in evaluation mode whose numbers are not those it is made with.
fn norm(channels: usize) -> BatchNorm2d {
    let norm = BatchNorm2d::new(channels, BatchNormOptions::default()).unwrap();
    norm.forward(&random([4, channels, 3, 3])).unwrap();
    no_grad(|| {
        let (weight, bias) = (norm.weight.as_ref().unwrap(), norm.bias.as_ref().unwrap());
        weight.copy_(&random([channels])).unwrap();
        bias.copy_(&random([channels])).unwrap();
    });
    norm.eval();
    norm
}

fn random<const N: usize>(shape: [usize; N]) -> Tensor {
    Tensor::randn(shape.as_slice(), DType::F32).unwrap()
}

fn assert_same(got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape(), want.shape());
    assert_eq!(
        got.to_vec::<f32>().unwrap(),
        want.detach().to_vec::<f32>().unwrap()
    );
}

#[test]
fn a_pass_for_all_gives_the_bits_of_a_pass_for_each() {
    flambeau_tensor::random::manual_seed(1);
    let convolutions = [
        // Products, Winograd's algorithm, few channels, one channel each, groups.
        (conv([24, 40], 1, 1, 1, false), [2, 24, 9, 9]),
        (conv([24, 40], 3, 2, 1, true), [1, 24, 15, 15]),
        (conv([32, 48], 3, 1, 1, false), [2, 32, 30, 29]),
        (conv([3, 16], 7, 2, 1, true), [2, 3, 64, 64]),
        (conv([20, 20], 3, 1, 20, false), [2, 20, 40, 40]),
        (conv([20, 20], 5, 2, 20, true), [2, 20, 14, 14]),
        (conv([16, 24], 3, 1, 4, false), [1, 16, 12, 12]),
    ];
    for (conv, shape) in convolutions {
        let (conv, x) = (Counted::new(conv), random(shape));
        let norm = norm(conv.layer.weight.shape()[0]);
        let activations: [&dyn Forward; 5] = [&ReLU, &ReLU6, &SiLU, &Hardswish, &GELU::default()];
        for (i, activation) in activations.into_iter().enumerate() {
            let [convolved, normed, activated] = no_grad(|| {
                let convolved = conv.forward(&x).unwrap();
                let normed = norm.forward(&convolved).unwrap();
                [
                    activation.forward(&convolved).unwrap(),
                    normed.clone(),
                    activation.forward(&normed).unwrap(),
                ]
            });
            let of = |layers: &[&dyn Forward]| no_grad(|| chain(&x, layers.iter().copied())).unwrap();
            assert_same(&of(&[&conv, activation]), &convolved);
            assert_same(&of(&[&conv, &norm]), &normed);
            assert_same(&of(&[&conv, &norm, activation]), &activated);
            assert_same(
                &of(&[&conv, &norm, activation, &ReLU6]),
                &activated.relu6().unwrap(),
            );

            let residual = random([
                normed.shape()[0],
                normed.shape()[1],
                normed.shape()[2],
                normed.shape()[3],
            ]);
            let sum = activation.forward(&normed.add(&residual).unwrap()).unwrap();
            let onto = || chain_onto(&x, [&conv, &norm, activation], || Ok(residual.clone())).unwrap();
            assert_same(&no_grad(onto), &sum);
            assert_eq!(conv.calls(), 5 * (i + 1));
            // Recorded, each layer is a call of its own.
            assert_same(&onto(), &sum);
            assert_same(
                &chain(&x, [&conv as &dyn Forward, &norm, activation]).unwrap(),
                &activated,
            );
            assert_eq!(conv.calls(), 5 * (i + 1));
        }
    }
}

#[test]
fn what_a_layer_cannot_do_is_done_after_it() {
    flambeau_tensor::random::manual_seed(2);
    let (mut conv, mut norm, x) = (
        Counted::new(conv([5, 8], 3, 1, 1, true)),
        norm(8),
        random([2, 5, 6, 6]),
    );
    let of = |x: &Tensor, layers: &[&dyn Forward]| no_grad(|| chain(x, layers.iter().copied()));
    let elu = ELU::default();
    no_grad(|| {
        let want = elu.forward(&conv.forward(&x).unwrap()).unwrap();
        assert_same(&of(&x, &[&conv, &elu]).unwrap(), &want);
    });
    assert_eq!(conv.calls(), 0);
    // A norm that is trained takes the batch's statistics.
    norm.train();
    let got = of(&x, &[&conv, &norm]).unwrap();
    let want = norm.forward(&conv.forward(&x).unwrap()).unwrap();
    assert_same(&got, &want);
    assert_eq!(conv.calls(), 0);
    norm.eval();
    // Another type, and errors, which are those of the layers.
    conv.to_dtype(DType::F64).unwrap();
    norm.to_dtype(DType::F64).unwrap();
    let wide = x.to_dtype(DType::F64).unwrap();
    assert_eq!(of(&wide, &[&conv, &norm, &ReLU]).unwrap().dtype(), DType::F64);
    assert_eq!(conv.calls(), 0);
}

#[test]
fn errors_are_those_of_the_layers() {
    let x = random([2, 5, 6, 6]);
    let conv = conv([5, 8], 3, 1, 1, true);
    let of = |x: &Tensor, layers: &[&dyn Forward]| {
        let error = no_grad(|| chain(x, layers.iter().copied())).unwrap_err();
        error.to_string()
    };
    assert!(of(&x, &[&conv, &norm(9)]).contains("BatchNorm2d: expected 9 channels"));
    let volume = BatchNorm3d::new(8, BatchNormOptions::default()).unwrap();
    volume.eval();
    assert!(of(&x, &[&conv, &volume]).contains("BatchNorm3d: expected [5] dimensions"));
    assert!(of(&random([2, 4, 6, 6]), &[&conv, &norm(8), &ReLU]).contains("conv2d"));
    let image = random([5, 6, 6]);
    assert!(of(&image, &[&conv, &norm(8)]).contains("BatchNorm2d: expected [4] dimensions"));
    let shape = random([2, 8, 6, 5]);
    let error = no_grad(|| chain_onto(&x, [&conv, &norm(8), &ReLU], || Ok(shape.clone()))).unwrap_err();
    assert!(error.to_string().contains("broadcast"), "{error}");
}

#[test]
fn watched_layers_are_called_one_by_one() {
    let model = Sequential::new()
        .push(conv([3, 16], 3, 1, 1, false))
        .push(norm(16))
        .push(ReLU);
    let x = random([1, 3, 20, 20]);
    let plain = no_grad(|| model.forward(&x)).unwrap();
    // The model and each of its layers.
    let calls: Vec<_> = summary(&model, &x)
        .unwrap()
        .rows
        .iter()
        .map(|row| row.calls)
        .collect();
    assert_eq!(calls, [1; 4]);
    assert_same(&no_grad(|| model.forward(&x)).unwrap(), &plain);
}

#[test]
fn sequences_and_linear_layers() {
    flambeau_tensor::random::manual_seed(3);
    let options = ConvOptions {
        padding: Padding::Explicit([1]),
        ..ConvOptions::default()
    };
    let conv = Counted::new(Conv1d::new(4, 6, [3], options).unwrap());
    let norm = BatchNorm1d::new(6, BatchNormOptions::default()).unwrap();
    norm.forward(&random([8, 6, 5])).unwrap();
    norm.eval();
    let x = random([3, 4, 50]);
    let want = norm.forward(&conv.forward(&x).unwrap()).unwrap().relu().unwrap();
    let layers: [&dyn Forward; 3] = [&conv, &norm, &ReLU];
    assert_same(&no_grad(|| chain(&x, layers)).unwrap(), &want);
    assert_eq!(conv.calls(), 1);

    let linear = Counted::new(Linear::new(5, 6, LinearOptions::default()).unwrap());
    let x = random([7, 5]);
    let want = linear.forward(&x).unwrap().relu().unwrap();
    assert_same(
        &no_grad(|| chain(&x, [&linear as &dyn Forward, &ReLU])).unwrap(),
        &want,
    );
    assert_eq!(linear.calls(), 1);
    let want = norm.forward(&linear.forward(&x).unwrap()).unwrap();
    assert_same(
        &no_grad(|| chain(&x, [&linear as &dyn Forward, &norm])).unwrap(),
        &want,
    );
    assert_eq!(linear.calls(), 1);
}

/// In training a batch norm does the activation that follows: the bits of both, and of their gradients, and the same statistics.
#[test]
fn a_norm_in_training_does_the_activation() {
    let activations: [&dyn Forward; 3] = [&ReLU, &ReLU6, &SiLU];
    for shape in [[4, 6, 5, 5], [2, 6, 70, 64], [3, 6, 1, 1]] {
        for activation in activations {
            let run = |one_by_one: bool| {
                generator::fork(4, || {
                    let norm = Counted::new(norm(6));
                    norm.layer.train();
                    let x = random(shape).mul(3.0).unwrap().requires_grad(true).unwrap();
                    let y = match one_by_one {
                        true => activation.forward(&norm.forward(&x).unwrap()).unwrap(),
                        false => chain(&x, [&norm as &dyn Forward, activation]).unwrap(),
                    };
                    y.mul(&random(shape)).unwrap().sum().unwrap().backward().unwrap();
                    assert_eq!(norm.calls(), usize::from(!one_by_one));
                    let parameters = norm.layer.parameters();
                    let slopes = parameters.iter().map(|p| p.grad().unwrap()).chain(x.grad());
                    let mut results: Vec<Tensor> = slopes.collect();
                    let state = norm.layer.state_dict().into_values();
                    results.extend(state.map(|tensor| tensor.to_dtype(DType::F32).unwrap()));
                    results.push(y);
                    results
                })
            };
            let (got, want) = (run(false), run(true));
            assert_eq!([got.len(), want.len()], [3 + 5 + 1; 2]);
            for (got, want) in got.iter().zip(&want) {
                assert_same(&got.detach(), want);
            }
        }
    }
}
