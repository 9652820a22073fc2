//! The networks of PyTorch's side that no crate ships in quite this form.

use flambeau_nn::functional::MaxPoolOptions;
use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, ConvTranspose2d, ConvTransposeOptions, Embedding,
    Flatten, Forward, LSTM, Linear, LinearOptions, MaxPool2d, Module, Padding, ReLU, RnnOptions, Sequential,
    observed,
};
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Result, Tensor};

fn conv(channels: [usize; 2], kernel: usize, stride: usize, bias: bool) -> Result<Conv2d> {
    let options = ConvOptions {
        stride: [stride; 2],
        padding: Padding::Explicit([kernel / 2; 2]),
        bias,
        ..Default::default()
    };
    Conv2d::new(channels[0], channels[1], [kernel; 2], options)
}

fn norm(channels: usize) -> Result<BatchNorm2d> {
    BatchNorm2d::new(channels, BatchNormOptions::BATCH)
}

fn linear(from: usize, to: usize) -> Result<Linear> {
    Linear::new(from, to, LinearOptions::default())
}

/// ResNet-20 (He et al., 2015, section 4.2) with learnt shortcuts (option B), for images of one channel.
pub(crate) fn resnet20() -> Result<Sequential> {
    let mut model = Sequential::new()
        .push(conv([1, 16], 3, 1, false)?)
        .push(norm(16)?)
        .push(ReLU);
    for (from, to) in [(16, 16), (16, 32), (32, 64)] {
        for i in 0..3 {
            let from = if i == 0 { from } else { to };
            model = model.push(Residual::new(from, to)?);
        }
    }
    Ok(model.push(Mean).push(linear(64, 10)?))
}

#[derive(Module)]
struct Residual {
    path: Sequential,
    shortcut: Sequential,
}

impl Residual {
    fn new(from: usize, to: usize) -> Result<Residual> {
        let stride = if from == to { 1 } else { 2 };
        let path = Sequential::new()
            .push(conv([from, to], 3, stride, false)?)
            .push(norm(to)?)
            .push(ReLU)
            .push(conv([to, to], 3, 1, false)?)
            .push(norm(to)?);
        let shortcut = if from == to {
            Sequential::new()
        } else {
            Sequential::new()
                .push(conv([from, to], 1, stride, false)?)
                .push(norm(to)?)
        };
        Ok(Residual { path, shortcut })
    }
}

impl Forward for Residual {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.path.forward(x)?.add(&self.shortcut.forward(x)?)?.relu()
    }
}

/// The mean of every channel.
#[derive(Clone, Copy, Debug, Module)]
struct Mean;

impl Forward for Mean {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.mean_dim([2, 3], false)
    }
}

/// Two convolutions and two linear layers, for images `[1, 28, 28]`.
pub(crate) fn lenet() -> Result<Sequential> {
    let conv = |from, to| Conv2d::new(from, to, [3; 2], ConvOptions::default());
    let pool = || MaxPool2d::new([2; 2], MaxPoolOptions::default());
    Ok(Sequential::new()
        .push(conv(1, 32)?)
        .push(ReLU)
        .push(pool())
        .push(conv(32, 64)?)
        .push(ReLU)
        .push(pool())
        .push(Flatten::default())
        .push(linear(1600, 128)?)
        .push(ReLU)
        .push(linear(128, 10)?))
}

/// Two classes of sequences of words: an embedding, two bidirectional LSTM layers, the last states of both directions.
#[derive(Module)]
pub(crate) struct LstmClassifier {
    embedding: Embedding,
    lstm: LSTM,
    fc: Linear,
}

impl LstmClassifier {
    pub(crate) fn new() -> Result<LstmClassifier> {
        let options = RnnOptions {
            num_layers: 2,
            bidirectional: true,
            batch_first: true,
            ..Default::default()
        };
        Ok(LstmClassifier {
            embedding: Embedding::new(10_000, 100, Default::default())?,
            lstm: LSTM::new(100, 128, options)?,
            fc: linear(256, 2)?,
        })
    }
}

impl Forward for LstmClassifier {
    #[observed]
    fn forward(&self, words: &Tensor) -> Result<Tensor> {
        let (_, (hidden, _)) = self.lstm.forward(&self.embedding.forward(words)?, None)?;
        let last = [hidden.select(0, -2)?, hidden.select(0, -1)?];
        self.fc.forward(&Tensor::cat(&last, 1)?)
    }
}

const NODES: usize = 2708;
const EDGES: usize = 13_264;

/// Two layers of a graph convolution at Cora's size, over random edges with random weights.
#[derive(Module)]
pub(crate) struct Gcn {
    layers: [Linear; 2],
    #[module(skip)]
    sources: Tensor,
    #[module(skip)]
    targets: Tensor,
    #[module(skip)]
    weights: Tensor,
}

impl Gcn {
    pub(crate) fn new() -> Result<Gcn> {
        let linear = |from, to| Linear::new(from, to, LinearOptions { bias: false });
        let mut g = Generator::new(1);
        let mut nodes = || g.randint(0, NODES as i64, EDGES, DType::I64);
        let (sources, targets) = (nodes()?, nodes()?);
        Ok(Gcn {
            layers: [linear(1433, 16)?, linear(16, 7)?],
            sources,
            targets,
            weights: g.rand((EDGES, 1), DType::F32)?,
        })
    }

    fn propagate(&self, x: &Tensor) -> Result<Tensor> {
        let messages = x.index_select(0, &self.sources)?.mul(&self.weights)?;
        Tensor::zeros((NODES, x.shape()[1]), DType::F32)?.index_add(0, &self.targets, &messages)
    }
}

impl Forward for Gcn {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.propagate(&self.layers[0].forward(x)?)?.relu()?;
        self.propagate(&self.layers[1].forward(&hidden)?)
    }
}

/// A U-Net (Ronneberger et al., 2015) with batch norms and padded convolutions, four levels deep.
#[derive(Module)]
pub(crate) struct UNet {
    down: Vec<Sequential>,
    up: Vec<ConvTranspose2d>,
    joined: Vec<Sequential>,
    out: Conv2d,
    pool: MaxPool2d,
}

impl UNet {
    pub(crate) fn new(c: usize) -> Result<UNet> {
        let double = |from, to| -> Result<Sequential> {
            Ok(Sequential::new()
                .push(conv([from, to], 3, 1, true)?)
                .push(norm(to)?)
                .push(ReLU)
                .push(conv([to, to], 3, 1, true)?)
                .push(norm(to)?)
                .push(ReLU))
        };
        let up = |channels: usize| {
            let options = ConvTransposeOptions {
                stride: [2; 2],
                ..Default::default()
            };
            ConvTranspose2d::new(channels, channels / 2, [2; 2], options)
        };
        Ok(UNet {
            down: vec![
                double(3, c)?,
                double(c, 2 * c)?,
                double(2 * c, 4 * c)?,
                double(4 * c, 8 * c)?,
            ],
            up: vec![up(8 * c)?, up(4 * c)?, up(2 * c)?],
            joined: vec![double(8 * c, 4 * c)?, double(4 * c, 2 * c)?, double(2 * c, c)?],
            out: conv([c, 1], 1, 1, true)?,
            pool: MaxPool2d::new([2; 2], MaxPoolOptions::default()),
        })
    }
}

impl Forward for UNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut levels: Vec<Tensor> = Vec::new();
        for level in &self.down {
            let x = match levels.last() {
                Some(above) => self.pool.forward(above)?,
                None => x.clone(),
            };
            levels.push(level.forward(&x)?);
        }
        let mut x = levels.pop().unwrap_or_else(|| x.clone());
        for ((up, joined), level) in self.up.iter().zip(&self.joined).zip(levels.iter().rev()) {
            x = joined.forward(&Tensor::cat(&[level, &up.forward(&x)?], 1)?)?;
        }
        self.out.forward(&x)
    }
}
