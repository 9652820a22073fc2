//! MobileNet v3: "Searching for MobileNetV3" (Howard et al., 2019, arXiv:1905.02244).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included.

use flambeau_nn::{Dropout, Forward, Module, Sequential, observed};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{Biases, initialise, linear, make_divisible, pooled, run};
use super::mobilenetv2::mobile;
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{Activation, Conv2dNormActivation, ConvNormOptions, NormLayer, SqueezeExcitation};

/// One block of the paper's tables.
#[derive(Clone, Copy, Debug)]
struct Row {
    input: usize,
    kernel: usize,
    expanded: usize,
    out: usize,
    squeeze: bool,
    activation: Activation,
    stride: usize,
    dilation: usize,
}

/// A block without dilation.
const fn row(
    input: usize,
    kernel: usize,
    [expanded, out]: [usize; 2],
    squeeze: bool,
    activation: Activation,
    stride: usize,
) -> Row {
    Row {
        input,
        kernel,
        expanded,
        out,
        squeeze,
        activation,
        stride,
        dilation: 1,
    }
}

const RE: Activation = Activation::ReLU;
const HS: Activation = Activation::Hardswish;

/// Table 1 of the paper, but for its last three blocks.
const LARGE: [Row; 12] = [
    row(16, 3, [16, 16], false, RE, 1),
    row(16, 3, [64, 24], false, RE, 2),
    row(24, 3, [72, 24], false, RE, 1),
    row(24, 5, [72, 40], true, RE, 2),
    row(40, 5, [120, 40], true, RE, 1),
    row(40, 5, [120, 40], true, RE, 1),
    row(40, 3, [240, 80], false, HS, 2),
    row(80, 3, [200, 80], false, HS, 1),
    row(80, 3, [184, 80], false, HS, 1),
    row(80, 3, [184, 80], false, HS, 1),
    row(80, 3, [480, 112], true, HS, 1),
    row(112, 3, [672, 112], true, HS, 1),
];

/// Table 2 of the paper, but for its last three blocks.
const SMALL: [Row; 8] = [
    row(16, 3, [16, 16], true, RE, 2),
    row(16, 3, [72, 24], false, RE, 2),
    row(24, 3, [88, 24], false, RE, 1),
    row(24, 5, [96, 40], true, HS, 2),
    row(40, 5, [240, 40], true, HS, 1),
    row(40, 5, [240, 40], true, HS, 1),
    row(40, 5, [120, 48], true, HS, 1),
    row(48, 5, [144, 48], true, HS, 1),
];

/// What a network of the family is.
#[derive(Clone, Copy, Debug)]
pub struct MobileNetV3Config {
    /// Whether it is the large one of the two.
    pub large: bool,
    /// Half the channels in the last three blocks and before the head, for segmentation and detection.
    pub reduced_tail: bool,
    /// Whether the last three blocks are dilated instead of strided, for segmentation.
    pub dilated: bool,
}

impl MobileNetV3Config {
    /// The paper's network for classification.
    pub const fn new(large: bool) -> Self {
        MobileNetV3Config {
            large,
            reduced_tail: false,
            dilated: false,
        }
    }

    /// All blocks, and the features before the head.
    fn rows(&self) -> (Vec<Row>, usize) {
        let divider = if self.reduced_tail { 2 } else { 1 };
        let dilation = if self.dilated { 2 } else { 1 };
        let (head, input, first, out, last) = if self.large {
            (&LARGE[..], 112, 672, 160 / divider, 1280)
        } else {
            (&SMALL[..], 48, 288, 96 / divider, 1024)
        };
        let expanded = if self.large { 960 } else { 576 } / divider;
        let tail = [
            Row {
                dilation,
                ..row(input, 5, [first, out], true, HS, 2)
            },
            Row {
                dilation,
                ..row(out, 5, [expanded, out], true, HS, 1)
            },
            Row {
                dilation,
                ..row(out, 5, [expanded, out], true, HS, 1)
            },
        ];
        ([head, &tail].concat(), last / divider)
    }
}

/// The norm of all convolutions, with TensorFlow's settings.
const NORM: NormLayer = NormLayer::batch(0.001, 0.01);

/// More channels, a depthwise convolution, squeeze and excitation, fewer channels; past it goes the input, if sizes are
/// the same.
#[derive(Module)]
struct InvertedResidual {
    block: Sequential,
    use_res_connect: bool,
}

impl InvertedResidual {
    fn new(row: &Row) -> Result<Self> {
        let options = |kernel: usize| {
            ConvNormOptions::kernel(kernel)
                .norm(NORM)
                .activation(row.activation)
        };
        let mut block = Sequential::new();
        if row.expanded != row.input {
            block = block.push(Conv2dNormActivation::new(row.input, row.expanded, options(1))?);
        }
        let stride = if row.dilation > 1 { 1 } else { row.stride };
        let depthwise = options(row.kernel)
            .stride(stride)
            .dilation(row.dilation)
            .groups(row.expanded);
        block = block.push(Conv2dNormActivation::new(row.expanded, row.expanded, depthwise)?);
        if row.squeeze {
            let squeezed = make_divisible((row.expanded / 4) as f64, 8);
            let (inner, outer) = (Activation::ReLU, Activation::Hardsigmoid);
            block = block.push(SqueezeExcitation::new(row.expanded, squeezed, inner, outer)?);
        }
        Ok(InvertedResidual {
            block: block.push(Conv2dNormActivation::new(
                row.expanded,
                row.out,
                options(1).activation(None),
            )?),
            use_res_connect: row.stride == 1 && row.input == row.out,
        })
    }
}

impl Forward for InvertedResidual {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let out = self.block.forward(x)?;
        if self.use_res_connect { out.add(x) } else { Ok(out) }
    }
}

/// MobileNet v3.
#[derive(Module)]
pub struct MobileNetV3 {
    features: Sequential,
    classifier: Sequential,
    num_features: usize,
    last_channel: usize,
    num_classes: usize,
}

impl MobileNetV3 {
    /// A network with a head; dropout is 0.2 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes and dropout.
    pub fn new(config: &MobileNetV3Config, options: Options) -> Result<Self> {
        options.only("MobileNetV3", &["dropout"])?;
        let (rows, last_channel) = config.rows();
        let hardswish = |kernel: usize| ConvNormOptions::kernel(kernel).norm(NORM).activation(HS);
        let mut features = Sequential::new().push(Conv2dNormActivation::new(
            3,
            rows[0].input,
            hardswish(3).stride(2),
        )?);
        for row in &rows {
            features = features.push(InvertedResidual::new(row)?);
        }
        let last = rows[rows.len() - 1].out;
        let num_features = 6 * last;
        let model = MobileNetV3 {
            features: features.push(Conv2dNormActivation::new(last, num_features, hardswish(1))?),
            classifier: Sequential::new()
                .push(linear(num_features, last_channel)?)
                .push(HS)
                .push(Dropout::new(options.dropout.unwrap_or(0.2))?)
                .push(linear(last_channel, options.num_classes)?),
            num_features,
            last_channel,
            num_classes: options.num_classes,
        };
        initialise(&model, mobile, Biases::Zero)?;
        Ok(model)
    }

    /// The stages before the head: the backbone of other models.
    pub fn into_features(self) -> Sequential {
        self.features
    }
}

impl Forward for MobileNetV3 {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for MobileNetV3 {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.features, "features", x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&pooled(features)?)
    }

    fn num_features(&self) -> usize {
        self.num_features
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.classifier
            .replace(3, linear(self.last_channel, num_classes)?)
    }
}

models! {
    /// MobileNet v3 small.
    mobilenet_v3_small(options) -> MobileNetV3 { MobileNetV3::new(&MobileNetV3Config::new(false), options) }
    parameters 2_542_856, gflops 0.057,
    weights MobileNetV3SmallWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "mobilenet_v3_small-047dcff4.pth", megabytes: 9.829, accuracy: acc(67.668, 87.402),
            ..IMAGENET1K
        },
    }
    /// MobileNet v3 large.
    mobilenet_v3_large(options) -> MobileNetV3 { MobileNetV3::new(&MobileNetV3Config::new(true), options) }
    parameters 5_483_032, gflops 0.217,
    weights MobileNetV3LargeWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "mobilenet_v3_large-8738ca79.pth", megabytes: 21.114, accuracy: acc(74.042, 91.34),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "mobilenet_v3_large-5c1a4163.pth", megabytes: 21.107, accuracy: acc(75.274, 92.566),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
}
