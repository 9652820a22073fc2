//! ResNet: "Deep Residual Learning for Image Recognition" (He et al., 2015, arXiv:1512.03385); ResNeXt (Xie et al., 2016,
//! arXiv:1611.05431) and Wide ResNet (Zagoruyko & Komodakis, 2016, arXiv:1605.07146), which differ in widths and groups.
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included. As there, a bottleneck's stride is that
//! of its 3×3 convolution ("v1.5"), not of its first one as in the paper.

use flambeau_nn::functional::Padding;
use flambeau_nn::init::constant_;
use flambeau_nn::{
    Conv2d, ConvOptions, Forward, Linear, MaxPool2d, Module, ReLU, Sequential, chain, chain_onto, observed,
};
use flambeau_tensor::{Result, Tensor, ensure};

use super::blocks::{Biases, Kind, conv, initialise, kaiming_fan_out, linear, max_pool, pooled, stages};
use super::weights::{IMAGENET1K, acc, hub};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{Norm2d, NormLayer};

/// Which blocks a network is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResNetBlock {
    /// Two 3×3 convolutions.
    Basic,
    /// A 3×3 convolution between 1×1 ones, the last of which has four times as many channels.
    Bottleneck,
}

impl ResNetBlock {
    const fn expansion(self) -> usize {
        match self {
            ResNetBlock::Basic => 1,
            ResNetBlock::Bottleneck => 4,
        }
    }
}

/// What a network of the family is.
#[derive(Clone, Copy, Debug)]
pub struct ResNetConfig {
    /// Its blocks.
    pub block: ResNetBlock,
    /// How many blocks each of the four stages has.
    pub layers: [usize; 4],
    /// Groups of the 3×3 convolutions.
    pub groups: usize,
    /// Channels of a group in the first stage; they double from stage to stage.
    pub width_per_group: usize,
    /// Whether each residual branch begins as zero (Goyal et al., 2017).
    pub zero_init_residual: bool,
    /// In which of the last three stages convolutions are dilated instead of strided, for segmentation.
    pub replace_stride_with_dilation: [bool; 3],
    /// The norm after each convolution.
    pub norm_layer: NormLayer,
}

impl ResNetConfig {
    /// A network of blocks with PyTorch's defaults for the rest.
    pub const fn new(block: ResNetBlock, layers: [usize; 4]) -> Self {
        ResNetConfig {
            block,
            layers,
            groups: 1,
            width_per_group: 64,
            zero_init_residual: false,
            replace_stride_with_dilation: [false; 3],
            norm_layer: NormLayer::BATCH,
        }
    }

    const fn basic(layers: [usize; 4]) -> Self {
        Self::new(ResNetBlock::Basic, layers)
    }

    const fn bottleneck(layers: [usize; 4], groups: usize, width_per_group: usize) -> Self {
        ResNetConfig {
            groups,
            width_per_group,
            ..Self::new(ResNetBlock::Bottleneck, layers)
        }
    }
}

/// `relu(x' + conv(relu(conv(x))))` with a norm after each convolution; `x'` is `x` or its projection.
#[derive(Module)]
pub(super) struct BasicBlock {
    conv1: Conv2d,
    bn1: Norm2d,
    relu: ReLU,
    conv2: Conv2d,
    bn2: Norm2d,
    downsample: Option<Box<dyn Forward>>,
}

impl BasicBlock {
    pub(super) fn new(
        [inplanes, planes]: [usize; 2],
        stride: usize,
        norm_layer: NormLayer,
        downsample: Option<Box<dyn Forward>>,
    ) -> Result<Self> {
        Ok(BasicBlock {
            conv1: conv(inplanes, planes, 3, stride, 1, false)?,
            bn1: norm_layer.build(planes)?,
            relu: ReLU,
            conv2: conv(planes, planes, 3, 1, 1, false)?,
            bn2: norm_layer.build(planes)?,
            downsample,
        })
    }
}

impl Forward for BasicBlock {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let out = chain(x, [&self.conv1 as &dyn Forward, &self.bn1, &self.relu])?;
        let last: [&dyn Forward; 3] = [&self.conv2, &self.bn2, &self.relu];
        chain_onto(&out, last, || identity(self.downsample.as_deref(), x))
    }
}

/// What goes past a block.
fn identity(downsample: Option<&dyn Forward>, x: &Tensor) -> Result<Tensor> {
    match downsample {
        Some(downsample) => downsample.forward(x),
        None => Ok(x.clone()),
    }
}

/// `relu(x' + conv1×1(relu(conv3×3(relu(conv1×1(x))))))` with a norm after each convolution.
#[derive(Module)]
struct Bottleneck {
    conv1: Conv2d,
    bn1: Norm2d,
    conv2: Conv2d,
    bn2: Norm2d,
    conv3: Conv2d,
    bn3: Norm2d,
    relu: ReLU,
    downsample: Option<Box<dyn Forward>>,
}

impl Bottleneck {
    fn new(
        [inplanes, planes]: [usize; 2],
        stride: usize,
        dilation: usize,
        config: &ResNetConfig,
        downsample: Option<Box<dyn Forward>>,
    ) -> Result<Self> {
        let width = planes * config.width_per_group / 64 * config.groups;
        let options = ConvOptions {
            stride: [stride; 2],
            padding: Padding::Explicit([dilation; 2]),
            dilation: [dilation; 2],
            groups: config.groups,
            bias: false,
            ..ConvOptions::default()
        };
        let out = planes * config.block.expansion();
        Ok(Bottleneck {
            conv1: conv(inplanes, width, 1, 1, 0, false)?,
            bn1: config.norm_layer.build(width)?,
            conv2: Conv2d::new(width, width, [3; 2], options)?,
            bn2: config.norm_layer.build(width)?,
            conv3: conv(width, out, 1, 1, 0, false)?,
            bn3: config.norm_layer.build(out)?,
            relu: ReLU,
            downsample,
        })
    }
}

impl Forward for Bottleneck {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let first: [&dyn Forward; 6] = [
            &self.conv1,
            &self.bn1,
            &self.relu,
            &self.conv2,
            &self.bn2,
            &self.relu,
        ];
        let out = chain(x, first)?;
        let last: [&dyn Forward; 3] = [&self.conv3, &self.bn3, &self.relu];
        chain_onto(&out, last, || identity(self.downsample.as_deref(), x))
    }
}

/// A residual network.
#[derive(Module)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: Norm2d,
    relu: ReLU,
    maxpool: MaxPool2d,
    layer1: Sequential,
    layer2: Sequential,
    layer3: Sequential,
    layer4: Sequential,
    fc: Option<Linear>,
    num_features: usize,
}

/// What the stages grow from: the channels and the dilation so far.
struct Growth {
    inplanes: usize,
    dilation: usize,
}

impl Growth {
    /// A stage of so many blocks, the first of which has the stride.
    fn stage(&mut self, config: &ResNetConfig, index: usize) -> Result<Sequential> {
        let (planes, norm_layer) = (64 << index, config.norm_layer);
        let (mut stride, before) = (if index == 0 { 1 } else { 2 }, self.dilation);
        if index > 0 && config.replace_stride_with_dilation[index - 1] {
            self.dilation *= stride;
            stride = 1;
        }
        let out = planes * config.block.expansion();
        let mut blocks = Sequential::new();
        for i in 0..config.layers[index] {
            let (stride, dilation) = if i == 0 {
                (stride, before)
            } else {
                (1, self.dilation)
            };
            let downsample: Option<Box<dyn Forward>> = if stride != 1 || self.inplanes != out {
                let projection = conv(self.inplanes, out, 1, stride, 0, false)?;
                Some(Box::new(
                    Sequential::new().push(projection).push(norm_layer.build(out)?),
                ))
            } else {
                None
            };
            let planes = [self.inplanes, planes];
            blocks = match config.block {
                ResNetBlock::Basic => blocks.push(BasicBlock::new(planes, stride, norm_layer, downsample)?),
                ResNetBlock::Bottleneck => {
                    blocks.push(Bottleneck::new(planes, stride, dilation, config, downsample)?)
                }
            };
            self.inplanes = out;
        }
        Ok(blocks)
    }
}

impl ResNet {
    /// A network with a head for so many classes.
    ///
    /// # Errors
    /// `Value` for basic blocks with groups, another width or dilation, and for other options than the classes.
    pub fn new(config: &ResNetConfig, options: Options) -> Result<Self> {
        options.only("ResNet", &[])?;
        Self::build(config, Some(options.num_classes))
    }

    /// A network without a head, which gives the means of the last stage's channels: the backbone of another model.
    ///
    /// # Errors
    /// As [`ResNet::new`].
    pub fn backbone(config: &ResNetConfig) -> Result<Self> {
        Self::build(config, None)
    }

    fn build(config: &ResNetConfig, num_classes: Option<usize>) -> Result<Self> {
        let plain = config.groups == 1
            && config.width_per_group == 64
            && config.replace_stride_with_dilation == [false; 3];
        ensure!(
            config.block == ResNetBlock::Bottleneck || plain,
            Value,
            "ResNet: basic blocks have 1 group of 64 channels and no dilation, got {config:?}"
        );
        let (conv1, bn1) = (conv(3, 64, 7, 2, 3, false)?, config.norm_layer.build(64)?);
        let mut growth = Growth {
            inplanes: 64,
            dilation: 1,
        };
        let num_features = 512 * config.block.expansion();
        let model = ResNet {
            conv1,
            bn1,
            relu: ReLU,
            maxpool: max_pool(3, 2, 1, false),
            layer1: growth.stage(config, 0)?,
            layer2: growth.stage(config, 1)?,
            layer3: growth.stage(config, 2)?,
            layer4: growth.stage(config, 3)?,
            fc: num_classes
                .map(|classes| linear(num_features, classes))
                .transpose()?,
            num_features,
        };
        initialise(&model, kaiming, Biases::Kept)?;
        if config.zero_init_residual {
            let last = match config.block {
                ResNetBlock::Basic => "bn2.weight",
                ResNetBlock::Bottleneck => "bn3.weight",
            };
            for (name, weight) in model.named_parameters() {
                if name.ends_with(last) {
                    constant_(weight, 0.0)?;
                }
            }
        }
        Ok(model)
    }
}

/// Convolutions keep the variance in the backward pass; linear layers stay as PyTorch makes them.
pub(super) fn kaiming(kind: Kind, _: &str, weight: &Tensor) -> Result<()> {
    match kind {
        Kind::Conv => kaiming_fan_out(weight),
        Kind::Linear => Ok(()),
    }
}

impl Forward for ResNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for ResNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let all: [(&dyn Forward, &str); 8] = [
            (&self.conv1, "conv1"),
            (&self.bn1, "bn1"),
            (&self.relu, "relu"),
            (&self.maxpool, "maxpool"),
            (&self.layer1, "layer1"),
            (&self.layer2, "layer2"),
            (&self.layer3, "layer3"),
            (&self.layer4, "layer4"),
        ];
        stages(&all, x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        let x = pooled(features)?;
        match &self.fc {
            Some(fc) => fc.forward(&x),
            None => Ok(x),
        }
    }

    fn num_features(&self) -> usize {
        self.num_features
    }

    fn num_classes(&self) -> usize {
        self.fc.as_ref().map_or(0, |fc| fc.weight.shape()[0])
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.fc = Some(linear(self.num_features, num_classes)?);
        Ok(())
    }
}

models! {
    /// ResNet-18.
    resnet18(options) -> ResNet { ResNet::new(&ResNetConfig::basic([2, 2, 2, 2]), options) }
    parameters 11_689_512, gflops 1.814,
    weights ResNet18Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "resnet18-f37072fd.pth", hub: hub("timm/resnet18.tv_in1k"), megabytes: 44.661,
            accuracy: acc(69.758, 89.078), ..IMAGENET1K
        },
    }
    /// ResNet-34.
    resnet34(options) -> ResNet { ResNet::new(&ResNetConfig::basic([3, 4, 6, 3]), options) }
    parameters 21_797_672, gflops 3.664,
    weights ResNet34Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "resnet34-b627a593.pth", hub: hub("timm/resnet34.tv_in1k"), megabytes: 83.275,
            accuracy: acc(73.314, 91.42), ..IMAGENET1K
        },
    }
    /// ResNet-50.
    resnet50(options) -> ResNet { ResNet::new(&ResNetConfig::bottleneck([3, 4, 6, 3], 1, 64), options) }
    parameters 25_557_032, gflops 4.089,
    weights ResNet50Weights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "resnet50-0676ba61.pth", hub: hub("timm/resnet50.tv_in1k"), megabytes: 97.781,
            accuracy: acc(76.13, 92.862), ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "resnet50-11ad3fa6.pth", hub: hub("timm/resnet50.tv2_in1k"), megabytes: 97.79,
            accuracy: acc(80.858, 95.434), preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// ResNet-101.
    resnet101(options) -> ResNet { ResNet::new(&ResNetConfig::bottleneck([3, 4, 23, 3], 1, 64), options) }
    parameters 44_549_160, gflops 7.801,
    weights ResNet101Weights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "resnet101-63fe2227.pth", hub: hub("timm/resnet101.tv_in1k"), megabytes: 170.511,
            accuracy: acc(77.374, 93.546), ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "resnet101-cd907fc2.pth", hub: hub("timm/resnet101.tv2_in1k"), megabytes: 170.53,
            accuracy: acc(81.886, 95.78), preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// ResNet-152.
    resnet152(options) -> ResNet { ResNet::new(&ResNetConfig::bottleneck([3, 8, 36, 3], 1, 64), options) }
    parameters 60_192_808, gflops 11.514,
    weights ResNet152Weights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "resnet152-394f9c45.pth", hub: hub("timm/resnet152.tv_in1k"), megabytes: 230.434,
            accuracy: acc(78.312, 94.046), ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "resnet152-f82ba261.pth", hub: hub("timm/resnet152.tv2_in1k"), megabytes: 230.474,
            accuracy: acc(82.284, 96.002), preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// ResNeXt-50 with 32 groups of 4 channels.
    resnext50_32x4d(options) -> ResNet { ResNet::new(&ResNetConfig::bottleneck([3, 4, 6, 3], 32, 4), options) }
    parameters 25_028_904, gflops 4.23,
    weights ResNeXt50_32X4DWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "resnext50_32x4d-7cdf4587.pth", hub: hub("timm/resnext50_32x4d.tv_in1k"),
            megabytes: 95.789, accuracy: acc(77.618, 93.698), ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "resnext50_32x4d-1a0047aa.pth", hub: hub("timm/resnext50_32x4d.tv2_in1k"),
            megabytes: 95.833, accuracy: acc(81.198, 95.34), preset: Preset::imagenet(232, 224),
            ..IMAGENET1K
        },
    }
    /// ResNeXt-101 with 32 groups of 8 channels.
    resnext101_32x8d(options) -> ResNet { ResNet::new(&ResNetConfig::bottleneck([3, 4, 23, 3], 32, 8), options) }
    parameters 88_791_336, gflops 16.414,
    weights ResNeXt101_32X8DWeights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "resnext101_32x8d-8ba56ff5.pth", hub: hub("timm/resnext101_32x8d.tv_in1k"),
            megabytes: 339.586, accuracy: acc(79.312, 94.526), ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "resnext101_32x8d-110c445d.pth", hub: hub("timm/resnext101_32x8d.tv2_in1k"),
            megabytes: 339.673, accuracy: acc(82.834, 96.228), preset: Preset::imagenet(232, 224),
            ..IMAGENET1K
        },
    }
    /// ResNeXt-101 with 64 groups of 4 channels.
    resnext101_64x4d(options) -> ResNet { ResNet::new(&ResNetConfig::bottleneck([3, 4, 23, 3], 64, 4), options) }
    parameters 83_455_272, gflops 15.46,
    weights ResNeXt101_64X4DWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "resnext101_64x4d-173b62eb.pth", hub: hub("timm/resnext101_64x4d.tv_in1k"),
            megabytes: 319.318, accuracy: acc(83.246, 96.454), preset: Preset::imagenet(232, 224),
            ..IMAGENET1K
        },
    }
    /// Wide ResNet-50 with twice the channels in the bottlenecks.
    wide_resnet50_2(options) -> ResNet { ResNet::new(&ResNetConfig::bottleneck([3, 4, 6, 3], 1, 128), options) }
    parameters 68_883_240, gflops 11.398,
    weights WideResNet50_2Weights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "wide_resnet50_2-95faca4d.pth", hub: hub("timm/wide_resnet50_2.tv_in1k"),
            megabytes: 131.82, accuracy: acc(78.468, 94.086), ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "wide_resnet50_2-9ba9bcbe.pth", hub: hub("timm/wide_resnet50_2.tv2_in1k"),
            megabytes: 263.124, accuracy: acc(81.602, 95.758), preset: Preset::imagenet(232, 224),
            ..IMAGENET1K
        },
    }
    /// Wide ResNet-101 with twice the channels in the bottlenecks.
    wide_resnet101_2(options) -> ResNet { ResNet::new(&ResNetConfig::bottleneck([3, 4, 23, 3], 1, 128), options) }
    parameters 126_886_696, gflops 22.753,
    weights WideResNet101_2Weights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "wide_resnet101_2-32ee1156.pth", hub: hub("timm/wide_resnet101_2.tv_in1k"),
            megabytes: 242.896, accuracy: acc(78.848, 94.284), ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "wide_resnet101_2-d733dc28.pth", hub: hub("timm/wide_resnet101_2.tv2_in1k"),
            megabytes: 484.747, accuracy: acc(82.51, 96.02), preset: Preset::imagenet(232, 224),
            ..IMAGENET1K
        },
    }
}
