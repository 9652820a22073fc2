//! RegNet: "Designing Network Design Spaces" (Radosavovic et al., 2020, arXiv:2003.13678): X, and Y with squeeze and
//! excitation.
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included.

use flambeau_nn::init::normal_;
use flambeau_nn::{AdaptiveAvgPool2d, Forward, Linear, Module, Sequential, observed};
use flambeau_tensor::{Result, Tensor, ensure};

use super::blocks::{Biases, Kind, initialise, linear, make_divisible, normal, stage};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{Activation, Conv2dNormActivation, ConvNormOptions, SqueezeExcitation};

/// The paper's parameters of a network, from which the widths of its stages follow.
#[derive(Clone, Copy, Debug)]
pub struct RegNetConfig {
    /// How many blocks there are.
    pub depth: usize,
    /// Width of the first block.
    pub w_0: usize,
    /// How much wider each block is than the one before.
    pub w_a: f32,
    /// By which factor widths differ, when they are made equal within stages.
    pub w_m: f32,
    /// Channels of a group.
    pub group_width: usize,
    /// Channels of the squeeze, as a part of those before the block; none without squeeze and excitation.
    pub se_ratio: Option<f64>,
}

/// A stage: blocks of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stage {
    depth: usize,
    width: usize,
    group_width: usize,
}

impl RegNetConfig {
    const fn x(depth: usize, w_0: usize, w_a: f32, w_m: f32, group_width: usize) -> Self {
        RegNetConfig {
            depth,
            w_0,
            w_a,
            w_m,
            group_width,
            se_ratio: None,
        }
    }

    const fn y(depth: usize, w_0: usize, w_a: f32, w_m: f32, group_width: usize) -> Self {
        RegNetConfig {
            se_ratio: Some(0.25),
            ..Self::x(depth, w_0, w_a, w_m, group_width)
        }
    }

    /// Widths grow linearly, `w_0 + w_a·i`; each is brought to the nearest `w_0·w_mᵏ` and to a multiple of 8, and then of
    /// the groups' width.
    fn stages(&self) -> Result<Vec<Stage>> {
        let valid = self.w_a >= 0.0 && self.w_m > 1.0 && self.w_0 > 0 && self.w_0.is_multiple_of(8);
        ensure!(
            valid && self.group_width > 0,
            Value,
            "RegNet: expected w_a >= 0, w_m > 1, groups and w_0 a multiple of 8, got {self:?}"
        );
        // In `float32`, as in the reference: it is about rounding.
        let w_0 = self.w_0 as f32;
        let log_m = f64::from(self.w_m).ln() as f32;
        let mut stages: Vec<Stage> = Vec::new();
        for block in 0..self.depth {
            let width = block as f32 * self.w_a + w_0;
            let power = ((width / w_0).ln() / log_m).round_ties_even();
            let width = (w_0 * self.w_m.powf(power) / 8.0).round_ties_even() as usize * 8;
            match stages.last_mut() {
                Some(stage) if stage.width == width => stage.depth += 1,
                _ => stages.push(Stage {
                    depth: 1,
                    width,
                    group_width: self.group_width,
                }),
            }
        }
        for stage in &mut stages {
            stage.group_width = stage.group_width.min(stage.width);
            stage.width = make_divisible(stage.width as f64, stage.group_width);
        }
        Ok(stages)
    }
}

/// A convolution as all are, without activation.
fn plain(kernel_size: usize, stride: usize) -> ConvNormOptions {
    ConvNormOptions::kernel(kernel_size)
        .stride(stride)
        .activation(None)
}

/// `relu(x' + f(x))`, where `f` is a bottleneck and `x'` is `x` or its projection.
#[derive(Module)]
struct ResBottleneckBlock {
    proj: Option<Conv2dNormActivation>,
    f: Sequential,
    activation: Activation,
}

impl ResBottleneckBlock {
    fn new(width_in: usize, stage: &Stage, stride: usize, se_ratio: Option<f64>) -> Result<Self> {
        let (width, groups) = (stage.width, stage.width / stage.group_width);
        let projects = width_in != width || stride != 1;
        let proj = projects.then(|| Conv2dNormActivation::new(width_in, width, plain(1, stride)));
        let proj = proj.transpose()?;
        let middle = ConvNormOptions::kernel(3).stride(stride).groups(groups);
        let mut f = Sequential::new()
            .push_named(
                "a",
                Conv2dNormActivation::new(width_in, width, ConvNormOptions::kernel(1))?,
            )
            .push_named("b", Conv2dNormActivation::new(width, width, middle)?);
        if let Some(ratio) = se_ratio {
            let squeeze = (ratio * width_in as f64).round_ties_even() as usize;
            let (inner, outer) = (Activation::ReLU, Activation::Sigmoid);
            f = f.push_named("se", SqueezeExcitation::new(width, squeeze, inner, outer)?);
        }
        let f = f.push_named("c", Conv2dNormActivation::new(width, width, plain(1, 1))?);
        Ok(ResBottleneckBlock {
            proj,
            f,
            activation: Activation::ReLU,
        })
    }
}

impl Forward for ResBottleneckBlock {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let sum = match &self.proj {
            Some(proj) => proj.forward(x)?.add(&self.f.forward(x)?)?,
            None => x.add(&self.f.forward(x)?)?,
        };
        self.activation.forward(&sum)
    }
}

/// A network of the family.
#[derive(Module)]
pub struct RegNet {
    stem: Conv2dNormActivation,
    trunk_output: Sequential,
    avgpool: AdaptiveAvgPool2d,
    fc: Linear,
}

impl RegNet {
    /// A network with a head for so many classes.
    ///
    /// # Errors
    /// `Value` for other options than the classes, and for parameters that give no network.
    pub fn new(config: RegNetConfig, options: Options) -> Result<Self> {
        options.only("RegNet", &[])?;
        let mut width = 32;
        let stem = Conv2dNormActivation::new(3, width, ConvNormOptions::kernel(3).stride(2))?;
        let mut trunk = Sequential::new();
        for (i, stage) in config.stages()?.iter().enumerate() {
            let mut blocks = Sequential::new();
            for j in 0..stage.depth {
                let stride = if j == 0 { 2 } else { 1 };
                let block = ResBottleneckBlock::new(width, stage, stride, config.se_ratio)?;
                blocks = blocks.push_named(format!("block{}-{j}", i + 1), block);
                width = stage.width;
            }
            trunk = trunk.push_named(format!("block{}", i + 1), blocks);
        }
        let model = RegNet {
            stem,
            trunk_output: trunk,
            avgpool: AdaptiveAvgPool2d::new([Some(1); 2]),
            fc: linear(width, options.num_classes)?,
        };
        let weights = |kind: Kind, _: &str, weight: &Tensor| match (kind, weight.shape()) {
            // Groups don't count: this is not the fan of a grouped convolution.
            (Kind::Conv, &[out, _, height, width]) => {
                normal_(weight, 0.0, (2.0 / (height * width * out) as f64).sqrt())
            }
            _ => normal(weight),
        };
        // Biases of convolutions, which squeeze and excitation has, stay as PyTorch makes them.
        initialise(&model, weights, Biases::ZeroIfLinear)?;
        Ok(model)
    }
}

impl Forward for RegNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for RegNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let x = stage(&self.stem, "stem", x, tap)?;
        super::blocks::run(&self.trunk_output, "trunk_output", &x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.fc.forward(&self.avgpool.forward(features)?.flatten(1, -1)?)
    }

    fn num_features(&self) -> usize {
        self.fc.weight.shape()[1]
    }

    fn num_classes(&self) -> usize {
        self.fc.weight.shape()[0]
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.fc = linear(self.num_features(), num_classes)?;
        Ok(())
    }
}

models! {
    /// RegNet-Y of 400 million multiplications with an addition.
    regnet_y_400mf(options) -> RegNet { RegNet::new(RegNetConfig::y(16, 48, 27.89, 2.09, 8), options) }
    parameters 4_344_144, gflops 0.402,
    weights RegNetY400MFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_y_400mf-c65dace8.pth", megabytes: 16.806, accuracy: acc(74.046, 91.716),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_y_400mf-e6988f5f.pth", megabytes: 16.806, accuracy: acc(75.804, 92.742),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-Y of 800 million.
    regnet_y_800mf(options) -> RegNet { RegNet::new(RegNetConfig::y(14, 56, 38.84, 2.4, 16), options) }
    parameters 6_432_512, gflops 0.834,
    weights RegNetY800MFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_y_800mf-1b27b58c.pth", megabytes: 24.774, accuracy: acc(76.42, 93.136),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_y_800mf-58fc7688.pth", megabytes: 24.774, accuracy: acc(78.828, 94.502),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-Y of 1.6 billion.
    regnet_y_1_6gf(options) -> RegNet { RegNet::new(RegNetConfig::y(27, 48, 20.71, 2.65, 24), options) }
    parameters 11_202_430, gflops 1.612,
    weights RegNetY1_6GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_y_1_6gf-b11a554e.pth", megabytes: 43.152, accuracy: acc(77.95, 93.966),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_y_1_6gf-0d7bc02a.pth", megabytes: 43.152, accuracy: acc(80.876, 95.444),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-Y of 3.2 billion.
    regnet_y_3_2gf(options) -> RegNet { RegNet::new(RegNetConfig::y(21, 80, 42.63, 2.66, 24), options) }
    parameters 19_436_338, gflops 3.176,
    weights RegNetY3_2GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_y_3_2gf-b5a9779c.pth", megabytes: 74.567, accuracy: acc(78.948, 94.576),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_y_3_2gf-9180c971.pth", megabytes: 74.567, accuracy: acc(81.982, 95.972),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-Y of 8 billion.
    regnet_y_8gf(options) -> RegNet { RegNet::new(RegNetConfig::y(17, 192, 76.82, 2.19, 56), options) }
    parameters 39_381_472, gflops 8.473,
    weights RegNetY8GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_y_8gf-d0d0e4a8.pth", megabytes: 150.701, accuracy: acc(80.032, 95.048),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_y_8gf-dc2b1b54.pth", megabytes: 150.701, accuracy: acc(82.828, 96.33),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-Y of 16 billion.
    regnet_y_16gf(options) -> RegNet { RegNet::new(RegNetConfig::y(18, 200, 106.23, 2.48, 112), options) }
    parameters 83_590_140, gflops 15.912,
    weights RegNetY16GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_y_16gf-9e6ed7dd.pth", megabytes: 319.49, accuracy: acc(80.424, 95.24),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_y_16gf-3e4a00f9.pth", megabytes: 319.49, accuracy: acc(82.886, 96.328),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
        IMAGENET1K_SWAG_E2E_V1 = Weights {
            file: "regnet_y_16gf_swag-43afe44d.pth", megabytes: 319.49, gflops: 46.735,
            accuracy: acc(86.012, 98.054), preset: Preset::imagenet_bicubic(384, 384),
            license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
        IMAGENET1K_SWAG_LINEAR_V1 = Weights {
            file: "regnet_y_16gf_lc_swag-f3ec0043.pth", megabytes: 319.49, accuracy: acc(83.976, 97.244),
            preset: Preset::imagenet_bicubic(224, 224), license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
    }
    /// RegNet-Y of 32 billion.
    regnet_y_32gf(options) -> RegNet { RegNet::new(RegNetConfig::y(20, 232, 115.89, 2.53, 232), options) }
    parameters 145_046_770, gflops 32.28,
    weights RegNetY32GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_y_32gf-4dee3f7a.pth", megabytes: 554.076, accuracy: acc(80.878, 95.34),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_y_32gf-8db6d4b5.pth", megabytes: 554.076, accuracy: acc(83.368, 96.498),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
        IMAGENET1K_SWAG_E2E_V1 = Weights {
            file: "regnet_y_32gf_swag-04fdfa75.pth", megabytes: 554.076, gflops: 94.826,
            accuracy: acc(86.838, 98.362), preset: Preset::imagenet_bicubic(384, 384),
            license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
        IMAGENET1K_SWAG_LINEAR_V1 = Weights {
            file: "regnet_y_32gf_lc_swag-e1583746.pth", megabytes: 554.076, accuracy: acc(84.622, 97.48),
            preset: Preset::imagenet_bicubic(224, 224), license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
    }
    /// RegNet-Y of 128 billion.
    regnet_y_128gf(options) -> RegNet { RegNet::new(RegNetConfig::y(27, 456, 160.83, 2.52, 264), options) }
    parameters 644_812_894, gflops 127.518,
    weights RegNetY128GFWeights, default IMAGENET1K_SWAG_E2E_V1 {
        IMAGENET1K_SWAG_E2E_V1 = Weights {
            file: "regnet_y_128gf_swag-c8ce3e52.pth", megabytes: 2461.564, gflops: 374.57,
            accuracy: acc(88.228, 98.682), preset: Preset::imagenet_bicubic(384, 384), license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
        IMAGENET1K_SWAG_LINEAR_V1 = Weights {
            file: "regnet_y_128gf_lc_swag-cbe8ce12.pth", megabytes: 2461.564,
            accuracy: acc(86.068, 97.844), preset: Preset::imagenet_bicubic(224, 224),
            license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
    }
    /// RegNet-X of 400 million multiplications with an addition.
    regnet_x_400mf(options) -> RegNet { RegNet::new(RegNetConfig::x(22, 24, 24.48, 2.54, 16), options) }
    parameters 5_495_976, gflops 0.414,
    weights RegNetX400MFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_x_400mf-adf1edd5.pth", megabytes: 21.258, accuracy: acc(72.834, 90.95),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_x_400mf-62229a5f.pth", megabytes: 21.257, accuracy: acc(74.864, 92.322),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-X of 800 million.
    regnet_x_800mf(options) -> RegNet { RegNet::new(RegNetConfig::x(16, 56, 35.73, 2.28, 16), options) }
    parameters 7_259_656, gflops 0.8,
    weights RegNetX800MFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_x_800mf-ad17e45c.pth", megabytes: 27.945, accuracy: acc(75.212, 92.348),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_x_800mf-94a99ebd.pth", megabytes: 27.945, accuracy: acc(77.522, 93.826),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-X of 1.6 billion.
    regnet_x_1_6gf(options) -> RegNet { RegNet::new(RegNetConfig::x(18, 80, 34.01, 2.25, 24), options) }
    parameters 9_190_136, gflops 1.603,
    weights RegNetX1_6GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_x_1_6gf-e3633e7f.pth", megabytes: 35.339, accuracy: acc(77.04, 93.44),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_x_1_6gf-a12f2b72.pth", megabytes: 35.339, accuracy: acc(79.668, 94.922),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-X of 3.2 billion.
    regnet_x_3_2gf(options) -> RegNet { RegNet::new(RegNetConfig::x(25, 88, 26.31, 2.25, 48), options) }
    parameters 15_296_552, gflops 3.177,
    weights RegNetX3_2GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_x_3_2gf-f342aeae.pth", megabytes: 58.756, accuracy: acc(78.364, 93.992),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_x_3_2gf-7071aa85.pth", megabytes: 58.756, accuracy: acc(81.196, 95.43),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-X of 8 billion.
    regnet_x_8gf(options) -> RegNet { RegNet::new(RegNetConfig::x(23, 80, 49.56, 2.88, 120), options) }
    parameters 39_572_648, gflops 7.995,
    weights RegNetX8GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_x_8gf-03ceed89.pth", megabytes: 151.456, accuracy: acc(79.344, 94.686),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_x_8gf-2b70d774.pth", megabytes: 151.456, accuracy: acc(81.682, 95.678),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-X of 16 billion.
    regnet_x_16gf(options) -> RegNet { RegNet::new(RegNetConfig::x(22, 216, 55.59, 2.1, 128), options) }
    parameters 54_278_536, gflops 15.941,
    weights RegNetX16GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_x_16gf-2007eb11.pth", megabytes: 207.627, accuracy: acc(80.058, 94.944),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_x_16gf-ba3796d7.pth", megabytes: 207.627, accuracy: acc(82.716, 96.196),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// RegNet-X of 32 billion.
    regnet_x_32gf(options) -> RegNet { RegNet::new(RegNetConfig::x(23, 320, 69.86, 2.0, 168), options) }
    parameters 107_811_560, gflops 31.736,
    weights RegNetX32GFWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "regnet_x_32gf-9d47f8d0.pth", megabytes: 412.039, accuracy: acc(80.622, 95.248),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "regnet_x_32gf-6eb8fdc6.pth", megabytes: 412.039, accuracy: acc(83.014, 96.288),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
}
