//! AlexNet: "One weird trick for parallelizing convolutional neural networks" (Krizhevsky, 2014, arXiv:1404.5997).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included.

use flambeau_nn::{AdaptiveAvgPool2d, Dropout, Forward, Module, ReLU, Sequential, observed};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{conv, linear, max_pool, run};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Tap, Weights};

/// Five convolutions and three linear layers.
#[derive(Module)]
pub struct AlexNet {
    features: Sequential,
    avgpool: AdaptiveAvgPool2d,
    classifier: Sequential,
    num_classes: usize,
}

impl AlexNet {
    /// A network for images of 63 pixels or more along each side; dropout is 0.5 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes and dropout.
    pub fn new(options: Options) -> Result<Self> {
        options.only("AlexNet", &["dropout"])?;
        let (dropout, classes) = (options.dropout.unwrap_or(0.5), options.num_classes);
        let features = Sequential::new()
            .push(conv(3, 64, 11, 4, 2, true)?)
            .push(ReLU)
            .push(max_pool(3, 2, 0, false))
            .push(conv(64, 192, 5, 1, 2, true)?)
            .push(ReLU)
            .push(max_pool(3, 2, 0, false))
            .push(conv(192, 384, 3, 1, 1, true)?)
            .push(ReLU)
            .push(conv(384, 256, 3, 1, 1, true)?)
            .push(ReLU)
            .push(conv(256, 256, 3, 1, 1, true)?)
            .push(ReLU)
            .push(max_pool(3, 2, 0, false));
        let classifier = Sequential::new()
            .push(Dropout::new(dropout)?)
            .push(linear(256 * 6 * 6, 4096)?)
            .push(ReLU)
            .push(Dropout::new(dropout)?)
            .push(linear(4096, 4096)?)
            .push(ReLU)
            .push(linear(4096, classes)?);
        Ok(AlexNet {
            features,
            avgpool: AdaptiveAvgPool2d::new([Some(6); 2]),
            classifier,
            num_classes: classes,
        })
    }
}

impl Forward for AlexNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for AlexNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.features, "features", x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier
            .forward(&self.avgpool.forward(features)?.flatten(1, -1)?)
    }

    fn num_features(&self) -> usize {
        256
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.classifier.replace(6, linear(4096, num_classes)?)
    }
}

models! {
    /// AlexNet.
    alexnet(options) -> AlexNet { AlexNet::new(options) }
    parameters 61_100_840, gflops 0.714,
    weights AlexNetWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "alexnet-owt-7be5be79.pth", megabytes: 233.087, accuracy: acc(56.522, 79.066),
            min_size: [63, 63], ..IMAGENET1K
        },
    }
}
