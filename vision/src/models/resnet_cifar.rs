//! ResNets for images of 32×32 pixels: section 4.2 of "Deep Residual Learning for Image Recognition" (He et al., 2015,
//! arXiv:1512.03385), for CIFAR-10 and its like.
//!
//! torchvision has none. Blocks and names of keys are those of the [ResNets](super::resnet) for ImageNet; shortcuts have
//! no parameters (the paper's option A), which is why there are no keys `downsample`.

use flambeau_nn::{Conv2d, Forward, Linear, Module, ReLU, Sequential, observed};
use flambeau_tensor::ops::getitem::step;
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor};

use super::blocks::{Biases, conv, initialise, linear, pooled, stages};
use super::resnet::{BasicBlock, kaiming};
use super::{Classifier, Options, Tap};
use crate::ops::{Norm2d, NormLayer};

/// Every second pixel, with channels of zeros on either side.
#[derive(Clone, Copy, Debug, Module)]
struct Subsample {
    channels: usize,
}

impl Forward for Subsample {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let pad = (self.channels / 2) as isize;
        let x = x.i((.., step(.., 2), step(.., 2)))?;
        x.pad(&[0, 0, 0, 0, pad, pad], PadMode::Constant, 0)
    }
}

/// A residual network for small images.
#[derive(Module)]
pub struct CifarResNet {
    conv1: Conv2d,
    bn1: Norm2d,
    relu: ReLU,
    layer1: Sequential,
    layer2: Sequential,
    layer3: Sequential,
    fc: Linear,
}

impl CifarResNet {
    /// A network with three stages of `blocks` blocks each, `6·blocks + 2` layers in all.
    ///
    /// # Errors
    /// `Value` for other options than the classes.
    pub fn new(blocks: usize, options: Options) -> Result<Self> {
        options.only("CifarResNet", &[])?;
        let stage = |inplanes: usize, planes: usize| -> Result<Sequential> {
            let mut stage = Sequential::new();
            for i in 0..blocks {
                let halves = i == 0 && inplanes != planes;
                let planes = if halves { [inplanes, planes] } else { [planes; 2] };
                let shortcut: Option<Box<dyn Forward>> = if halves {
                    Some(Box::new(Subsample {
                        channels: planes[1] - planes[0],
                    }))
                } else {
                    None
                };
                let stride = if halves { 2 } else { 1 };
                stage = stage.push(BasicBlock::new(planes, stride, NormLayer::BATCH, shortcut)?);
            }
            Ok(stage)
        };
        let model = CifarResNet {
            conv1: conv(3, 16, 3, 1, 1, false)?,
            bn1: NormLayer::BATCH.build(16)?,
            relu: ReLU,
            layer1: stage(16, 16)?,
            layer2: stage(16, 32)?,
            layer3: stage(32, 64)?,
            fc: linear(64, options.num_classes)?,
        };
        initialise(&model, kaiming, Biases::Kept)?;
        Ok(model)
    }
}

impl Forward for CifarResNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for CifarResNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let all: [(&dyn Forward, &str); 6] = [
            (&self.conv1, "conv1"),
            (&self.bn1, "bn1"),
            (&self.relu, "relu"),
            (&self.layer1, "layer1"),
            (&self.layer2, "layer2"),
            (&self.layer3, "layer3"),
        ];
        stages(&all, x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.fc.forward(&pooled(features)?)
    }

    fn num_features(&self) -> usize {
        64
    }

    fn num_classes(&self) -> usize {
        self.fc.weight.shape()[0]
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.fc = linear(64, num_classes)?;
        Ok(())
    }
}

models! {
    /// ResNet-20 for small images; 8.75% error on CIFAR-10 in the paper.
    resnet20(options) -> CifarResNet { CifarResNet::new(3, options) }
    parameters 269_722, gflops 0.041

    /// ResNet-32 for small images; 7.51% error on CIFAR-10 in the paper.
    resnet32(options) -> CifarResNet { CifarResNet::new(5, options) }
    parameters 464_154, gflops 0.069

    /// ResNet-56 for small images; 6.97% error on CIFAR-10 in the paper.
    resnet56(options) -> CifarResNet { CifarResNet::new(9, options) }
    parameters 853_018, gflops 0.125
}
