//! M5 hears keywords in waveforms: "Very deep convolutional neural networks for raw waveforms" (Dai et al., 2016,
//! arXiv:1610.00087), with the sizes and keys of PyTorch's tutorial on speech commands.

use flambeau_nn::functional::{MaxPoolOptions, max_pool1d};
use flambeau_nn::{
    BatchNorm1d, BatchNormOptions, Conv1d, ConvOptions, Forward, Linear, LinearOptions, Module, observed,
};
use flambeau_tensor::{Result, Tensor, ensure};

use super::Entry;

/// The network.
///
/// # Shapes
/// `[batch, 1, time] → [batch, classes]`, logarithms of probabilities.
#[derive(Clone, Debug, Module)]
pub struct M5 {
    /// Looks at 10 ms of 8 kHz.
    pub conv1: Conv1d,
    /// After the first convolution.
    pub bn1: BatchNorm1d,
    /// The second convolution.
    pub conv2: Conv1d,
    /// After the second convolution.
    pub bn2: BatchNorm1d,
    /// The third convolution.
    pub conv3: Conv1d,
    /// After the third convolution.
    pub bn3: BatchNorm1d,
    /// The fourth convolution.
    pub conv4: Conv1d,
    /// After the fourth convolution.
    pub bn4: BatchNorm1d,
    /// Scores the classes.
    pub fc1: Linear,
}

impl M5 {
    /// A network with initial weights; the tutorial has 32 channels and a stride of 16.
    ///
    /// # Errors
    /// `Value` for sizes of 0.
    pub fn new(num_classes: usize, channels: usize, stride: usize) -> Result<M5> {
        let first = ConvOptions {
            stride: [stride],
            ..ConvOptions::default()
        };
        let conv = |inputs, outputs| Conv1d::new(inputs, outputs, [3], ConvOptions::default());
        let norm = |channels| BatchNorm1d::new(channels, BatchNormOptions::BATCH);
        Ok(M5 {
            conv1: Conv1d::new(1, channels, [80], first)?,
            bn1: norm(channels)?,
            conv2: conv(channels, channels)?,
            bn2: norm(channels)?,
            conv3: conv(channels, 2 * channels)?,
            bn3: norm(2 * channels)?,
            conv4: conv(2 * channels, 2 * channels)?,
            bn4: norm(2 * channels)?,
            fc1: Linear::new(2 * channels, num_classes, LinearOptions::default())?,
        })
    }
}

impl Forward for M5 {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        ensure!(
            waveform.rank() == 3 && waveform.shape()[1] == 1,
            Shape,
            "M5: expected waveforms [batch, 1, time], got {:?}",
            waveform.shape()
        );
        let layer = |x: &Tensor, conv: &Conv1d, norm: &BatchNorm1d| -> Result<Tensor> {
            let x = norm.forward(&conv.forward(x)?)?.relu()?;
            max_pool1d(&x, [4], &MaxPoolOptions::default())
        };
        let x = layer(waveform, &self.conv1, &self.bn1)?;
        let x = layer(&x, &self.conv2, &self.bn2)?;
        let x = layer(&x, &self.conv3, &self.bn3)?;
        let x = layer(&x, &self.conv4, &self.bn4)?;
        self.fc1.forward(&x.mean_dim(-1, false)?)?.log_softmax(-1)
    }
}

/// The family's part of the registry.
pub(super) const MODELS: &[Entry] = &[Entry {
    name: "m5",
    task: "keywords",
    parameters: 26_915,
    input: &[2, 1, 8000],
    build: || Ok(Box::new(M5::new(35, 32, 16)?)),
}];
