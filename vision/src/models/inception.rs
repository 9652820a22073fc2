//! Inception v3: "Rethinking the Inception Architecture for Computer Vision" (Szegedy et al., 2015, arXiv:1512.00567).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included. Images have 299 pixels along each side.
//! Published weights need [`Options::transform_input`].

// Modules are called as torchvision's are, capitals included, since their names are keys.
#![allow(non_snake_case)]

use flambeau_nn::functional::{AvgPoolOptions, MaxPoolOptions, avg_pool2d, max_pool2d};
use flambeau_nn::init::trunc_normal_;
use flambeau_nn::{AdaptiveAvgPool2d, Dropout, Forward, Linear, MaxPool2d, Module, observed};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{BasicConv2d, Biases, initialise, linear, max_pool, pooled, renormalised, stages};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Outputs, Preset, Tap, Weights};

/// A convolution that keeps the size.
fn same(in_channels: usize, out_channels: usize, kernel: [usize; 2]) -> Result<BasicConv2d> {
    BasicConv2d::new(in_channels, out_channels, kernel, 1, kernel.map(|k| k / 2))
}

/// A 3×3 convolution without padding.
fn valid(in_channels: usize, out_channels: usize, stride: usize) -> Result<BasicConv2d> {
    BasicConv2d::new(in_channels, out_channels, [3; 2], stride, [0; 2])
}

/// Convolutions one after the other.
fn chain(layers: &[&BasicConv2d], x: &Tensor) -> Result<Tensor> {
    layers.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))
}

/// Means of 3×3 pixels, at every pixel.
fn smoothed(x: &Tensor) -> Result<Tensor> {
    let options = AvgPoolOptions {
        stride: Some([1; 2]),
        padding: [1; 2],
        ..AvgPoolOptions::default()
    };
    avg_pool2d(x, [3; 2], &options)
}

/// Maxima of 3×3 pixels, at every second pixel.
fn halved(x: &Tensor) -> Result<Tensor> {
    max_pool2d(
        x,
        [3; 2],
        &MaxPoolOptions {
            stride: Some([2; 2]),
            ..MaxPoolOptions::default()
        },
    )
}

/// 1×1, 5×5, two 3×3 convolutions and a pool, side by side (figure 5 of the paper).
#[derive(Clone, Debug, Module)]
struct InceptionA {
    branch1x1: BasicConv2d,
    branch5x5_1: BasicConv2d,
    branch5x5_2: BasicConv2d,
    branch3x3dbl_1: BasicConv2d,
    branch3x3dbl_2: BasicConv2d,
    branch3x3dbl_3: BasicConv2d,
    branch_pool: BasicConv2d,
}

impl InceptionA {
    fn new(in_channels: usize, pool_features: usize) -> Result<Self> {
        Ok(InceptionA {
            branch1x1: same(in_channels, 64, [1; 2])?,
            branch5x5_1: same(in_channels, 48, [1; 2])?,
            branch5x5_2: same(48, 64, [5; 2])?,
            branch3x3dbl_1: same(in_channels, 64, [1; 2])?,
            branch3x3dbl_2: same(64, 96, [3; 2])?,
            branch3x3dbl_3: same(96, 96, [3; 2])?,
            branch_pool: same(in_channels, pool_features, [1; 2])?,
        })
    }
}

impl Forward for InceptionA {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let outputs = [
            self.branch1x1.forward(x)?,
            chain(&[&self.branch5x5_1, &self.branch5x5_2], x)?,
            chain(
                &[&self.branch3x3dbl_1, &self.branch3x3dbl_2, &self.branch3x3dbl_3],
                x,
            )?,
            self.branch_pool.forward(&smoothed(x)?)?,
        ];
        Tensor::cat(&outputs, 1)
    }
}

/// Half the height and width (figure 10).
#[derive(Clone, Debug, Module)]
struct InceptionB {
    branch3x3: BasicConv2d,
    branch3x3dbl_1: BasicConv2d,
    branch3x3dbl_2: BasicConv2d,
    branch3x3dbl_3: BasicConv2d,
}

impl InceptionB {
    fn new(in_channels: usize) -> Result<Self> {
        Ok(InceptionB {
            branch3x3: valid(in_channels, 384, 2)?,
            branch3x3dbl_1: same(in_channels, 64, [1; 2])?,
            branch3x3dbl_2: same(64, 96, [3; 2])?,
            branch3x3dbl_3: valid(96, 96, 2)?,
        })
    }
}

impl Forward for InceptionB {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let outputs = [
            self.branch3x3.forward(x)?,
            chain(
                &[&self.branch3x3dbl_1, &self.branch3x3dbl_2, &self.branch3x3dbl_3],
                x,
            )?,
            halved(x)?,
        ];
        Tensor::cat(&outputs, 1)
    }
}

/// 7×7 convolutions as 1×7 and 7×1 ones (figure 6).
#[derive(Clone, Debug, Module)]
struct InceptionC {
    branch1x1: BasicConv2d,
    branch7x7_1: BasicConv2d,
    branch7x7_2: BasicConv2d,
    branch7x7_3: BasicConv2d,
    branch7x7dbl_1: BasicConv2d,
    branch7x7dbl_2: BasicConv2d,
    branch7x7dbl_3: BasicConv2d,
    branch7x7dbl_4: BasicConv2d,
    branch7x7dbl_5: BasicConv2d,
    branch_pool: BasicConv2d,
}

impl InceptionC {
    fn new(in_channels: usize, width: usize) -> Result<Self> {
        Ok(InceptionC {
            branch1x1: same(in_channels, 192, [1; 2])?,
            branch7x7_1: same(in_channels, width, [1; 2])?,
            branch7x7_2: same(width, width, [1, 7])?,
            branch7x7_3: same(width, 192, [7, 1])?,
            branch7x7dbl_1: same(in_channels, width, [1; 2])?,
            branch7x7dbl_2: same(width, width, [7, 1])?,
            branch7x7dbl_3: same(width, width, [1, 7])?,
            branch7x7dbl_4: same(width, width, [7, 1])?,
            branch7x7dbl_5: same(width, 192, [1, 7])?,
            branch_pool: same(in_channels, 192, [1; 2])?,
        })
    }
}

impl Forward for InceptionC {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let double = [
            &self.branch7x7dbl_1,
            &self.branch7x7dbl_2,
            &self.branch7x7dbl_3,
            &self.branch7x7dbl_4,
            &self.branch7x7dbl_5,
        ];
        let outputs = [
            self.branch1x1.forward(x)?,
            chain(&[&self.branch7x7_1, &self.branch7x7_2, &self.branch7x7_3], x)?,
            chain(&double, x)?,
            self.branch_pool.forward(&smoothed(x)?)?,
        ];
        Tensor::cat(&outputs, 1)
    }
}

/// Half the height and width, by 7×7 and 3×3 convolutions.
#[derive(Clone, Debug, Module)]
struct InceptionD {
    branch3x3_1: BasicConv2d,
    branch3x3_2: BasicConv2d,
    branch7x7x3_1: BasicConv2d,
    branch7x7x3_2: BasicConv2d,
    branch7x7x3_3: BasicConv2d,
    branch7x7x3_4: BasicConv2d,
}

impl InceptionD {
    fn new(in_channels: usize) -> Result<Self> {
        Ok(InceptionD {
            branch3x3_1: same(in_channels, 192, [1; 2])?,
            branch3x3_2: valid(192, 320, 2)?,
            branch7x7x3_1: same(in_channels, 192, [1; 2])?,
            branch7x7x3_2: same(192, 192, [1, 7])?,
            branch7x7x3_3: same(192, 192, [7, 1])?,
            branch7x7x3_4: valid(192, 192, 2)?,
        })
    }
}

impl Forward for InceptionD {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let seven = [
            &self.branch7x7x3_1,
            &self.branch7x7x3_2,
            &self.branch7x7x3_3,
            &self.branch7x7x3_4,
        ];
        let outputs = [
            chain(&[&self.branch3x3_1, &self.branch3x3_2], x)?,
            chain(&seven, x)?,
            halved(x)?,
        ];
        Tensor::cat(&outputs, 1)
    }
}

/// 1×3 and 3×1 convolutions side by side (figure 7).
#[derive(Clone, Debug, Module)]
struct InceptionE {
    branch1x1: BasicConv2d,
    branch3x3_1: BasicConv2d,
    branch3x3_2a: BasicConv2d,
    branch3x3_2b: BasicConv2d,
    branch3x3dbl_1: BasicConv2d,
    branch3x3dbl_2: BasicConv2d,
    branch3x3dbl_3a: BasicConv2d,
    branch3x3dbl_3b: BasicConv2d,
    branch_pool: BasicConv2d,
}

impl InceptionE {
    fn new(in_channels: usize) -> Result<Self> {
        Ok(InceptionE {
            branch1x1: same(in_channels, 320, [1; 2])?,
            branch3x3_1: same(in_channels, 384, [1; 2])?,
            branch3x3_2a: same(384, 384, [1, 3])?,
            branch3x3_2b: same(384, 384, [3, 1])?,
            branch3x3dbl_1: same(in_channels, 448, [1; 2])?,
            branch3x3dbl_2: same(448, 384, [3; 2])?,
            branch3x3dbl_3a: same(384, 384, [1, 3])?,
            branch3x3dbl_3b: same(384, 384, [3, 1])?,
            branch_pool: same(in_channels, 192, [1; 2])?,
        })
    }
}

impl Forward for InceptionE {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let single = self.branch3x3_1.forward(x)?;
        let double = chain(&[&self.branch3x3dbl_1, &self.branch3x3dbl_2], x)?;
        let outputs = [
            self.branch1x1.forward(x)?,
            self.branch3x3_2a.forward(&single)?,
            self.branch3x3_2b.forward(&single)?,
            self.branch3x3dbl_3a.forward(&double)?,
            self.branch3x3dbl_3b.forward(&double)?,
            self.branch_pool.forward(&smoothed(x)?)?,
        ];
        Tensor::cat(&outputs, 1)
    }
}

/// A head in the midst of the network, for training.
#[derive(Clone, Debug, Module)]
struct InceptionAux {
    conv0: BasicConv2d,
    conv1: BasicConv2d,
    fc: Linear,
}

impl InceptionAux {
    fn new(in_channels: usize, num_classes: usize) -> Result<Self> {
        Ok(InceptionAux {
            conv0: same(in_channels, 128, [1; 2])?,
            conv1: BasicConv2d::new(128, 768, [5; 2], 1, [0; 2])?,
            fc: linear(768, num_classes)?,
        })
    }
}

impl Forward for InceptionAux {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let options = AvgPoolOptions {
            stride: Some([3; 2]),
            ..AvgPoolOptions::default()
        };
        let x = chain(&[&self.conv0, &self.conv1], &avg_pool2d(x, [5; 2], &options)?)?;
        self.fc.forward(&pooled(&x)?)
    }
}

/// Inception v3.
#[derive(Module)]
pub struct Inception3 {
    Conv2d_1a_3x3: BasicConv2d,
    Conv2d_2a_3x3: BasicConv2d,
    Conv2d_2b_3x3: BasicConv2d,
    maxpool1: MaxPool2d,
    Conv2d_3b_1x1: BasicConv2d,
    Conv2d_4a_3x3: BasicConv2d,
    maxpool2: MaxPool2d,
    Mixed_5b: InceptionA,
    Mixed_5c: InceptionA,
    Mixed_5d: InceptionA,
    Mixed_6a: InceptionB,
    Mixed_6b: InceptionC,
    Mixed_6c: InceptionC,
    Mixed_6d: InceptionC,
    Mixed_6e: InceptionC,
    AuxLogits: Option<InceptionAux>,
    Mixed_7a: InceptionD,
    Mixed_7b: InceptionE,
    Mixed_7c: InceptionE,
    avgpool: AdaptiveAvgPool2d,
    dropout: Dropout,
    fc: Linear,
    transform_input: bool,
}

impl Inception3 {
    /// A network for images of 75 pixels or more along each side; dropout is 0.5 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes, dropout, `aux_logits` and `transform_input`.
    pub fn new(options: Options) -> Result<Self> {
        options.only("Inception3", &["dropout", "aux_logits", "transform_input"])?;
        let (classes, with_aux) = (options.num_classes, options.aux_logits.unwrap_or(true));
        let model = Inception3 {
            Conv2d_1a_3x3: valid(3, 32, 2)?,
            Conv2d_2a_3x3: valid(32, 32, 1)?,
            Conv2d_2b_3x3: same(32, 64, [3; 2])?,
            maxpool1: max_pool(3, 2, 0, false),
            Conv2d_3b_1x1: same(64, 80, [1; 2])?,
            Conv2d_4a_3x3: valid(80, 192, 1)?,
            maxpool2: max_pool(3, 2, 0, false),
            Mixed_5b: InceptionA::new(192, 32)?,
            Mixed_5c: InceptionA::new(256, 64)?,
            Mixed_5d: InceptionA::new(288, 64)?,
            Mixed_6a: InceptionB::new(288)?,
            Mixed_6b: InceptionC::new(768, 128)?,
            Mixed_6c: InceptionC::new(768, 160)?,
            Mixed_6d: InceptionC::new(768, 160)?,
            Mixed_6e: InceptionC::new(768, 192)?,
            AuxLogits: with_aux.then(|| InceptionAux::new(768, classes)).transpose()?,
            Mixed_7a: InceptionD::new(768)?,
            Mixed_7b: InceptionE::new(1280)?,
            Mixed_7c: InceptionE::new(2048)?,
            avgpool: AdaptiveAvgPool2d::new([Some(1); 2]),
            dropout: Dropout::new(options.dropout.unwrap_or(0.5))?,
            fc: linear(2048, classes)?,
            transform_input: options.transform_input.unwrap_or(false),
        };
        // The reference means 0.01 for the auxiliary head's second convolution, too, but sets it where nobody looks.
        let std = |path: &str| if path == "AuxLogits.fc" { 0.001 } else { 0.1 };
        initialise(
            &model,
            |_, path, weight| trunc_normal_(weight, 0.0, std(path), -2.0, 2.0),
            Biases::Kept,
        )?;
        Ok(model)
    }
}

impl Forward for Inception3 {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for Inception3 {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let x = if self.transform_input {
            renormalised(x)?
        } else {
            x.clone()
        };
        let all: [(&dyn Forward, &str); 18] = [
            (&self.Conv2d_1a_3x3, "Conv2d_1a_3x3"),
            (&self.Conv2d_2a_3x3, "Conv2d_2a_3x3"),
            (&self.Conv2d_2b_3x3, "Conv2d_2b_3x3"),
            (&self.maxpool1, "maxpool1"),
            (&self.Conv2d_3b_1x1, "Conv2d_3b_1x1"),
            (&self.Conv2d_4a_3x3, "Conv2d_4a_3x3"),
            (&self.maxpool2, "maxpool2"),
            (&self.Mixed_5b, "Mixed_5b"),
            (&self.Mixed_5c, "Mixed_5c"),
            (&self.Mixed_5d, "Mixed_5d"),
            (&self.Mixed_6a, "Mixed_6a"),
            (&self.Mixed_6b, "Mixed_6b"),
            (&self.Mixed_6c, "Mixed_6c"),
            (&self.Mixed_6d, "Mixed_6d"),
            (&self.Mixed_6e, "Mixed_6e"),
            (&self.Mixed_7a, "Mixed_7a"),
            (&self.Mixed_7b, "Mixed_7b"),
            (&self.Mixed_7c, "Mixed_7c"),
        ];
        stages(&all, &x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        let x = self.dropout.forward(&self.avgpool.forward(features)?)?;
        self.fc.forward(&x.flatten(1, -1)?)
    }

    fn forward_outputs(&self, x: &Tensor) -> Result<Outputs> {
        let (Some(aux), true) = (&self.AuxLogits, self.is_training()) else {
            return Ok(Outputs {
                logits: self.forward(x)?,
                auxiliary: Vec::new(),
            });
        };
        let mut auxiliary = None;
        let mut tap = Tap::new(|name, output| {
            if name == "Mixed_6e" {
                auxiliary = Some(aux.forward(output));
            }
        });
        let features = self.forward_tapped(x, &mut tap)?;
        drop(tap);
        let auxiliary = auxiliary.into_iter().collect::<Result<_>>()?;
        Ok(Outputs {
            logits: self.forward_head(&features)?,
            auxiliary,
        })
    }

    fn num_features(&self) -> usize {
        2048
    }

    fn num_classes(&self) -> usize {
        self.fc.weight.shape()[0]
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        if let Some(aux) = &mut self.AuxLogits {
            aux.fc = linear(768, num_classes)?;
        }
        self.fc = linear(2048, num_classes)?;
        Ok(())
    }
}

models! {
    /// Inception v3.
    inception_v3(options) -> Inception3 { Inception3::new(options) }
    parameters 27_161_264, gflops 5.713,
    weights InceptionV3Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "inception_v3_google-0cc3c7bd.pth", megabytes: 103.903, accuracy: acc(77.294, 93.45),
            min_size: [75, 75], preset: Preset::imagenet(342, 299), ..IMAGENET1K
        },
    }
}
