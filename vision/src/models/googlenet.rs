//! GoogLeNet: "Going Deeper with Convolutions" (Szegedy et al., 2014, arXiv:1409.4842), with batch norm.
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included. As there, the convolutions that the paper
//! has as 5×5 are 3×3. Published weights need [`Options::transform_input`].

use flambeau_nn::functional::adaptive_avg_pool;
use flambeau_nn::init::trunc_normal_;
use flambeau_nn::{AdaptiveAvgPool2d, Dropout, Forward, Linear, MaxPool2d, Module, Sequential, observed};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{BasicConv2d, Biases, initialise, linear, max_pool, renormalised, stages};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Outputs, Tap, Weights};

fn conv_block(
    in_channels: usize,
    out_channels: usize,
    kernel_size: usize,
    padding: usize,
) -> Result<BasicConv2d> {
    BasicConv2d::new(in_channels, out_channels, [kernel_size; 2], 1, [padding; 2])
}

/// Four branches side by side.
#[derive(Module)]
struct Inception {
    branch1: BasicConv2d,
    branch2: Sequential,
    branch3: Sequential,
    branch4: Sequential,
}

impl Inception {
    /// Branches of `ch1x1`; `ch3x3` after `red3x3`; `ch5x5` after `red5x5`; and `pool_proj` channels.
    fn new(
        in_channels: usize,
        ch1x1: usize,
        [red3x3, ch3x3]: [usize; 2],
        [red5x5, ch5x5]: [usize; 2],
        pool_proj: usize,
    ) -> Result<Self> {
        let reduced = |reduced: usize, channels: usize| -> Result<Sequential> {
            Ok(Sequential::new()
                .push(conv_block(in_channels, reduced, 1, 0)?)
                .push(conv_block(reduced, channels, 3, 1)?))
        };
        Ok(Inception {
            branch1: conv_block(in_channels, ch1x1, 1, 0)?,
            branch2: reduced(red3x3, ch3x3)?,
            branch3: reduced(red5x5, ch5x5)?,
            branch4: Sequential::new().push(max_pool(3, 1, 1, true)).push(conv_block(
                in_channels,
                pool_proj,
                1,
                0,
            )?),
        })
    }
}

impl Forward for Inception {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let branches: [&dyn Forward; 4] = [&self.branch1, &self.branch2, &self.branch3, &self.branch4];
        let outputs: Vec<Tensor> = branches
            .iter()
            .map(|branch| branch.forward(x))
            .collect::<Result<_>>()?;
        Tensor::cat(&outputs, 1)
    }
}

/// A head in the midst of the network, for training.
#[derive(Clone, Debug, Module)]
struct InceptionAux {
    conv: BasicConv2d,
    fc1: Linear,
    fc2: Linear,
    dropout: Dropout,
}

impl InceptionAux {
    fn new(in_channels: usize, num_classes: usize) -> Result<Self> {
        Ok(InceptionAux {
            conv: conv_block(in_channels, 128, 1, 0)?,
            fc1: linear(2048, 1024)?,
            fc2: linear(1024, num_classes)?,
            dropout: Dropout::new(0.7)?,
        })
    }
}

impl Forward for InceptionAux {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self
            .conv
            .forward(&adaptive_avg_pool(x, [Some(4); 2])?)?
            .flatten(1, -1)?;
        let x = self.dropout.forward(&self.fc1.forward(&x)?.relu()?)?;
        self.fc2.forward(&x)
    }
}

/// GoogLeNet.
#[derive(Module)]
pub struct GoogLeNet {
    conv1: BasicConv2d,
    maxpool1: MaxPool2d,
    conv2: BasicConv2d,
    conv3: BasicConv2d,
    maxpool2: MaxPool2d,
    inception3a: Inception,
    inception3b: Inception,
    maxpool3: MaxPool2d,
    inception4a: Inception,
    inception4b: Inception,
    inception4c: Inception,
    inception4d: Inception,
    inception4e: Inception,
    maxpool4: MaxPool2d,
    inception5a: Inception,
    inception5b: Inception,
    aux1: Option<InceptionAux>,
    aux2: Option<InceptionAux>,
    avgpool: AdaptiveAvgPool2d,
    dropout: Dropout,
    fc: Linear,
    transform_input: bool,
}

impl GoogLeNet {
    /// A network for images of 15 pixels or more along each side; dropout is 0.2 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes, dropout, `aux_logits` and `transform_input`.
    pub fn new(options: Options) -> Result<Self> {
        options.only("GoogLeNet", &["dropout", "aux_logits", "transform_input"])?;
        let classes = options.num_classes;
        let aux = |in_channels: usize| -> Result<Option<InceptionAux>> {
            let wanted = options.aux_logits.unwrap_or(true);
            wanted
                .then(|| InceptionAux::new(in_channels, classes))
                .transpose()
        };
        let model = GoogLeNet {
            conv1: BasicConv2d::new(3, 64, [7; 2], 2, [3; 2])?,
            maxpool1: max_pool(3, 2, 0, true),
            conv2: conv_block(64, 64, 1, 0)?,
            conv3: conv_block(64, 192, 3, 1)?,
            maxpool2: max_pool(3, 2, 0, true),
            inception3a: Inception::new(192, 64, [96, 128], [16, 32], 32)?,
            inception3b: Inception::new(256, 128, [128, 192], [32, 96], 64)?,
            maxpool3: max_pool(3, 2, 0, true),
            inception4a: Inception::new(480, 192, [96, 208], [16, 48], 64)?,
            inception4b: Inception::new(512, 160, [112, 224], [24, 64], 64)?,
            inception4c: Inception::new(512, 128, [128, 256], [24, 64], 64)?,
            inception4d: Inception::new(512, 112, [144, 288], [32, 64], 64)?,
            inception4e: Inception::new(528, 256, [160, 320], [32, 128], 128)?,
            maxpool4: max_pool(2, 2, 0, true),
            inception5a: Inception::new(832, 256, [160, 320], [32, 128], 128)?,
            inception5b: Inception::new(832, 384, [192, 384], [48, 128], 128)?,
            aux1: aux(512)?,
            aux2: aux(528)?,
            avgpool: AdaptiveAvgPool2d::new([Some(1); 2]),
            dropout: Dropout::new(options.dropout.unwrap_or(0.2))?,
            fc: linear(1024, classes)?,
            transform_input: options.transform_input.unwrap_or(false),
        };
        initialise(
            &model,
            |_, _, weight| trunc_normal_(weight, 0.0, 0.01, -2.0, 2.0),
            Biases::Kept,
        )?;
        Ok(model)
    }
}

impl Forward for GoogLeNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for GoogLeNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let x = if self.transform_input {
            renormalised(x)?
        } else {
            x.clone()
        };
        let all: [(&dyn Forward, &str); 16] = [
            (&self.conv1, "conv1"),
            (&self.maxpool1, "maxpool1"),
            (&self.conv2, "conv2"),
            (&self.conv3, "conv3"),
            (&self.maxpool2, "maxpool2"),
            (&self.inception3a, "inception3a"),
            (&self.inception3b, "inception3b"),
            (&self.maxpool3, "maxpool3"),
            (&self.inception4a, "inception4a"),
            (&self.inception4b, "inception4b"),
            (&self.inception4c, "inception4c"),
            (&self.inception4d, "inception4d"),
            (&self.inception4e, "inception4e"),
            (&self.maxpool4, "maxpool4"),
            (&self.inception5a, "inception5a"),
            (&self.inception5b, "inception5b"),
        ];
        stages(&all, &x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        let x = self.avgpool.forward(features)?.flatten(1, -1)?;
        self.fc.forward(&self.dropout.forward(&x)?)
    }

    fn forward_outputs(&self, x: &Tensor) -> Result<Outputs> {
        let (Some(aux1), Some(aux2), true) = (&self.aux1, &self.aux2, self.is_training()) else {
            return Ok(Outputs {
                logits: self.forward(x)?,
                auxiliary: Vec::new(),
            });
        };
        let (mut first, mut second) = (None, None);
        let mut tap = Tap::new(|name, output| match name {
            "inception4a" => first = Some(aux1.forward(output)),
            "inception4d" => second = Some(aux2.forward(output)),
            _ => {}
        });
        let features = self.forward_tapped(x, &mut tap)?;
        drop(tap);
        let auxiliary = [second, first].into_iter().flatten().collect::<Result<_>>()?;
        Ok(Outputs {
            logits: self.forward_head(&features)?,
            auxiliary,
        })
    }

    fn num_features(&self) -> usize {
        1024
    }

    fn num_classes(&self) -> usize {
        self.fc.weight.shape()[0]
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        for aux in [&mut self.aux1, &mut self.aux2].into_iter().flatten() {
            aux.fc2 = linear(1024, num_classes)?;
        }
        self.fc = linear(1024, num_classes)?;
        Ok(())
    }
}

models! {
    /// GoogLeNet (Inception v1). Published weights come without auxiliary heads.
    googlenet(options) -> GoogLeNet { GoogLeNet::new(options) }
    parameters 13_004_888, gflops 1.498,
    weights GoogLeNetWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "googlenet-1378be20.pth", megabytes: 49.731, accuracy: acc(69.778, 89.53),
            min_size: [15, 15], parameters: 6_624_904, ..IMAGENET1K
        },
    }
}
