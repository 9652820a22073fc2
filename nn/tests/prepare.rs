//! Modules made ready for inference: what is taken in, what is refused, and that results stay.

#![allow(clippy::unwrap_used)]

use flambeau_nn::functional::Padding;
use flambeau_nn::{
    AvgPool2d, AvgPoolOptions, BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Dropout, Forward,
    Hardswish, Linear, LinearOptions, MaxPool2d, MaxPoolOptions, Module, ReLU, Sequential, Sigmoid, observed,
};
use flambeau_tensor::ops::conv::set_winograd_enabled;
use flambeau_tensor::{DType, Result, Tensor, no_grad, random};

fn conv(channels: [usize; 2], kernel: usize, groups: usize) -> Conv2d {
    let options = ConvOptions {
        padding: Padding::Explicit([kernel / 2; 2]),
        groups,
        ..ConvOptions::default()
    };
    Conv2d::new(channels[0], channels[1], [kernel; 2], options).unwrap()
}

/// A norm that is not the identity.
fn norm(channels: usize) -> BatchNorm2d {
    let norm = BatchNorm2d::new(channels, BatchNormOptions::default()).unwrap();
    no_grad(|| {
        norm.running_mean.as_ref().unwrap().normal_(0.0, 0.5).unwrap();
        norm.running_var.as_ref().unwrap().uniform_(0.5, 2.0).unwrap();
        norm.weight.as_ref().unwrap().uniform_(0.5, 2.0).unwrap();
        norm.bias.as_ref().unwrap().normal_(0.0, 0.5).unwrap();
    });
    norm
}

fn randn(shape: &[usize]) -> Tensor {
    Tensor::randn(shape, DType::F32).unwrap()
}

/// A module, prepared for images of a shape, gives what it gives, for several batches.
#[track_caller]
fn check(module: &dyn Forward, [channels, height, width]: [usize; 3], steps: usize) {
    module.eval();
    let prepared = module.prepare(&randn(&[2, channels, height, width])).unwrap();
    assert!(
        prepared.extra_repr().ends_with(&format!(", {steps} steps")),
        "{}, not {steps}",
        prepared.extra_repr()
    );
    for batch in [1, 2, 5] {
        let x = randn(&[batch, channels, height, width]);
        let want = no_grad(|| module.forward(&x)).unwrap();
        let got = prepared.forward(&x).unwrap();
        assert_eq!(got.shape(), want.shape());
        assert!(!got.is_tracked());
        let largest = want.abs().unwrap().max().unwrap().item::<f32>().unwrap();
        let apart = got.sub(&want).unwrap().abs().unwrap().max().unwrap();
        assert!(apart.item::<f32>().unwrap() <= 1e-5 * largest);
    }
}

/// `relu(x + norm(conv(x)))`.
#[derive(Module)]
struct Block {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl Forward for Block {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(&self.conv.forward(x)?)?.add(x)?.relu()
    }
}

/// `x·sigmoid(conv(mean(x)))`.
#[derive(Module)]
struct Excitation(Conv2d);

impl Forward for Excitation {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.mul(&self.0.forward(&x.mean_dim([2, 3], true)?)?.sigmoid()?)
    }
}

/// Both branches next to each other.
#[derive(Module)]
struct Both(Conv2d, Conv2d);

impl Forward for Both {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Tensor::cat(&[self.0.forward(x)?.relu()?, self.1.forward(x)?], 1)
    }
}

#[test]
fn norms_residuals_and_activations_are_taken_in() {
    random::manual_seed(1);
    // One convolution, and out of the blocks.
    check(
        &Sequential::new()
            .push(conv([3, 20], 3, 1))
            .push(norm(20))
            .push(ReLU),
        [3, 9, 8],
        2,
    );
    // Three convolutions, into the blocks and out of them.
    let block = || Block {
        conv: conv([40, 40], 3, 1),
        norm: norm(40),
    };
    let residual = Sequential::new()
        .push(block())
        .push(Dropout::new(0.5).unwrap())
        .push(block())
        .push(block());
    check(&residual, [40, 12, 20], 5);
    let depthwise = Sequential::new()
        .push(conv([48, 48], 5, 48))
        .push(norm(48))
        .push(Hardswish);
    check(&depthwise, [48, 7, 7], 3);
    // A norm before the convolution is one of its own; it and its activation are one step.
    let before = Sequential::new()
        .push(conv([3, 32], 1, 1))
        .push(ReLU)
        .push(norm(32))
        .push(ReLU)
        .push(conv([32, 32], 3, 1));
    check(&before, [3, 6, 6], 4);
    // Groups without a blocked form.
    let groups = Sequential::new()
        .push(conv([24, 24], 3, 4))
        .push(norm(24))
        .push(Sigmoid);
    check(&groups, [24, 5, 6], 1);
}

#[test]
fn pools_joins_and_broadcasts_stay_in_blocks() {
    random::manual_seed(2);
    let pools = Sequential::new()
        .push(conv([3, 32], 3, 1))
        .push(MaxPool2d::new(
            [3, 3],
            MaxPoolOptions {
                stride: Some([2, 2]),
                padding: [1, 1],
                ..Default::default()
            },
        ))
        .push(conv([32, 16], 1, 1))
        .push(AvgPool2d::new([2, 2], AvgPoolOptions::default()));
    check(&pools, [3, 13, 12], 5);
    let excitation = Sequential::new()
        .push(conv([3, 24], 3, 1))
        .push(Excitation(conv([24, 24], 1, 1)));
    check(&excitation, [3, 8, 8], 5);
    let both = Sequential::new()
        .push(conv([3, 16], 3, 1))
        .push(Both(conv([16, 32], 1, 1), conv([16, 10], 3, 1)));
    check(&both, [3, 8, 8], 5);
    // Channels that end within a block are joined in the plain layout.
    let ragged = Sequential::new()
        .push(conv([3, 16], 3, 1))
        .push(Both(conv([16, 10], 1, 1), conv([16, 32], 3, 1)));
    check(&ragged, [3, 8, 8], 6);
}

/// Images so large that the first steps are done for one at a time, and the others, behind a pool, for all.
#[test]
fn some_images_at_a_time_give_the_same_bits() {
    random::manual_seed(6);
    let model = Sequential::new()
        .push(conv([3, 32], 3, 1))
        .push(ReLU)
        .push(conv([32, 32], 3, 1))
        .push(AvgPool2d::new([16, 16], AvgPoolOptions::default()))
        .push(conv([32, 16], 1, 1));
    check(&model, [3, 192, 192], 5);
    let x = randn(&[3, 3, 192, 192]);
    let prepared = model.prepare(&x).unwrap();
    let all = prepared.forward(&x).unwrap();
    for image in 0..3 {
        let alone = prepared.forward(&x.narrow(0, image, 1).unwrap()).unwrap();
        let among = all.narrow(0, image, 1).unwrap();
        assert_eq!(alone.to_vec::<f32>().unwrap(), among.to_vec::<f32>().unwrap());
    }
}

#[test]
fn a_snapshot_takes_the_parameters_as_they_were() {
    random::manual_seed(3);
    let model = Sequential::new().push(conv([16, 16], 3, 1)).push(norm(16));
    model.eval();
    let x = randn(&[1, 16, 8, 8]);
    let prepared = model.prepare(&x).unwrap();
    let before = prepared.forward(&x).unwrap();
    no_grad(|| model.parameters().iter().try_for_each(|p| p.mul_(2.0).map(drop))).unwrap();
    assert_eq!(
        prepared.forward(&x).unwrap().to_vec::<f32>().unwrap(),
        before.to_vec::<f32>().unwrap()
    );
    assert_eq!(prepared.parameters().len(), 0);
}

#[test]
fn the_way_of_large_convolutions_can_be_chosen() {
    random::manual_seed(4);
    let model = conv([32, 32], 3, 1);
    let x = randn(&[1, 32, 32, 32]);
    assert_eq!(model.prepare(&x).unwrap().convolutions(), [1, 1]);
    set_winograd_enabled(false);
    let exact = model.prepare(&x);
    set_winograd_enabled(true);
    assert_eq!(exact.unwrap().convolutions(), [0, 1]);
}

/// Reads a number of its input.
#[derive(Module)]
struct Conditional(Linear);

impl Forward for Conditional {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.0.forward(x)?;
        if x.select(0, 0)?.select(0, 1)?.item::<f32>()? > 0.0 {
            y.relu()
        } else {
            y.mul(100.0)
        }
    }
}

/// Sorts, which is not done again.
#[derive(Module)]
struct Sorting(Linear);

impl Forward for Sorting {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.0.forward(x)?.sort(-1, false)?.0)
    }
}

#[test]
fn what_cannot_be_prepared_is_refused_by_name() {
    random::manual_seed(5);
    let linear = || Linear::new(4, 4, LinearOptions::default()).unwrap();
    let x = Tensor::ones((2, 4), DType::F32).unwrap();
    let error = |module: &dyn Forward, x: &Tensor| module.prepare(x).unwrap_err().to_string();
    let training = Sequential::new().push(linear()).push(Dropout::new(0.5).unwrap());
    assert!(error(&training, &x).contains("Sequential is in training mode (1 is): call eval() first"));
    assert!(error(&Conditional(linear()), &x).contains("cannot be traced"));
    assert!(
        error(&Sorting(linear()), &x).contains("sort"),
        "{}",
        error(&Sorting(linear()), &x)
    );
    let double = Tensor::ones((2, 4), DType::F64).unwrap();
    assert!(error(&linear(), &double).contains("float32"));
    let image = randn(&[1, 3, 8, 8]);
    let prepared = conv([3, 16], 3, 1).prepare(&image).unwrap();
    let message = prepared.forward(&randn(&[1, 3, 9, 8])).unwrap_err().to_string();
    assert!(
        message.contains("[1, 3, 8, 8]") && message.contains("[1, 3, 9, 8]"),
        "{message}"
    );
}
