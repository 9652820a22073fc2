//! MTCNN's three networks: small convolutional networks with several heads.

use flambeau_nn::functional::MaxPoolOptions;
use flambeau_nn::{Conv2d, ConvOptions, Forward, Linear, LinearOptions, MaxPool2d, Module, PReLU};
use flambeau_tensor::{Result, Tensor};

fn conv(in_channels: usize, out_channels: usize, kernel: usize) -> Result<Conv2d> {
    Conv2d::new(in_channels, out_channels, [kernel; 2], ConvOptions::default())
}

fn dense(in_features: usize, out_features: usize) -> Result<Linear> {
    Linear::new(in_features, out_features, LinearOptions::default())
}

fn prelu(channels: usize) -> Result<PReLU> {
    PReLU::new(channels, 0.25)
}

/// A pool that keeps what is left over at the right and at the bottom.
fn pool(kernel: usize, stride: usize) -> MaxPool2d {
    let options = MaxPoolOptions {
        stride: Some([stride; 2]),
        ceil_mode: true,
        ..MaxPoolOptions::default()
    };
    MaxPool2d::new([kernel; 2], options)
}

/// Feature maps as rows of features, in the order of the original implementation: columns, rows, channels.
fn flat(x: &Tensor) -> Result<Tensor> {
    x.permute([0, 3, 2, 1])?.flatten(1, -1)
}

/// The proposal network: fully convolutional, each output is about a window of 12×12 pixels, two pixels from the next.
#[derive(Module)]
pub struct PNet {
    conv1: Conv2d,
    prelu1: PReLU,
    pool1: MaxPool2d,
    conv2: Conv2d,
    prelu2: PReLU,
    conv3: Conv2d,
    prelu3: PReLU,
    conv4_1: Conv2d,
    conv4_2: Conv2d,
}

impl PNet {
    /// The network with initial weights.
    ///
    /// # Errors
    /// None on a machine with memory for it.
    pub fn new() -> Result<PNet> {
        Ok(PNet {
            conv1: conv(3, 10, 3)?,
            prelu1: prelu(10)?,
            pool1: pool(2, 2),
            conv2: conv(10, 16, 3)?,
            prelu2: prelu(16)?,
            conv3: conv(16, 32, 3)?,
            prelu3: prelu(32)?,
            conv4_1: conv(32, 2, 1)?,
            conv4_2: conv(32, 4, 1)?,
        })
    }

    /// The probabilities of no face and of a face, and by what part of its size each edge of a window should be moved
    /// (left, top, right, bottom).
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` → `[batch, 2, rows, columns]`, `[batch, 4, rows, columns]`.
    ///
    /// # Errors
    /// `Shape` for images of less than 12×12 pixels.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = self.prelu1.forward(&self.conv1.forward(x)?)?;
        let x = self.pool1.forward(&x)?;
        let x = self.prelu2.forward(&self.conv2.forward(&x)?)?;
        let x = self.prelu3.forward(&self.conv3.forward(&x)?)?;
        Ok((self.conv4_1.forward(&x)?.softmax(1)?, self.conv4_2.forward(&x)?))
    }
}

/// The refinement network, for windows of 24×24 pixels.
#[derive(Module)]
pub struct RNet {
    conv1: Conv2d,
    prelu1: PReLU,
    pool1: MaxPool2d,
    conv2: Conv2d,
    prelu2: PReLU,
    pool2: MaxPool2d,
    conv3: Conv2d,
    prelu3: PReLU,
    dense4: Linear,
    prelu4: PReLU,
    dense5_1: Linear,
    dense5_2: Linear,
}

impl RNet {
    /// The network with initial weights.
    ///
    /// # Errors
    /// None on a machine with memory for it.
    pub fn new() -> Result<RNet> {
        Ok(RNet {
            conv1: conv(3, 28, 3)?,
            prelu1: prelu(28)?,
            pool1: pool(3, 2),
            conv2: conv(28, 48, 3)?,
            prelu2: prelu(48)?,
            pool2: pool(3, 2),
            conv3: conv(48, 64, 2)?,
            prelu3: prelu(64)?,
            dense4: dense(576, 128)?,
            prelu4: prelu(128)?,
            dense5_1: dense(128, 2)?,
            dense5_2: dense(128, 4)?,
        })
    }

    /// The probabilities of no face and of a face, and by what part of its size each edge of a window should be moved.
    ///
    /// # Shapes
    /// `[batch, 3, 24, 24]` → `[batch, 2]`, `[batch, 4]`.
    ///
    /// # Errors
    /// `Shape` for images of another size.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = self.prelu1.forward(&self.conv1.forward(x)?)?;
        let x = self.pool1.forward(&x)?;
        let x = self.prelu2.forward(&self.conv2.forward(&x)?)?;
        let x = self.pool2.forward(&x)?;
        let x = self.prelu3.forward(&self.conv3.forward(&x)?)?;
        let x = self.prelu4.forward(&self.dense4.forward(&flat(&x)?)?)?;
        Ok((self.dense5_1.forward(&x)?.softmax(1)?, self.dense5_2.forward(&x)?))
    }
}

/// The output network, for windows of 48×48 pixels.
#[derive(Module)]
pub struct ONet {
    conv1: Conv2d,
    prelu1: PReLU,
    pool1: MaxPool2d,
    conv2: Conv2d,
    prelu2: PReLU,
    pool2: MaxPool2d,
    conv3: Conv2d,
    prelu3: PReLU,
    pool3: MaxPool2d,
    conv4: Conv2d,
    prelu4: PReLU,
    dense5: Linear,
    prelu5: PReLU,
    dense6_1: Linear,
    dense6_2: Linear,
    dense6_3: Linear,
}

impl ONet {
    /// The network with initial weights.
    ///
    /// # Errors
    /// None on a machine with memory for it.
    pub fn new() -> Result<ONet> {
        Ok(ONet {
            conv1: conv(3, 32, 3)?,
            prelu1: prelu(32)?,
            pool1: pool(3, 2),
            conv2: conv(32, 64, 3)?,
            prelu2: prelu(64)?,
            pool2: pool(3, 2),
            conv3: conv(64, 64, 3)?,
            prelu3: prelu(64)?,
            pool3: pool(2, 2),
            conv4: conv(64, 128, 2)?,
            prelu4: prelu(128)?,
            dense5: dense(1152, 256)?,
            prelu5: prelu(256)?,
            dense6_1: dense(256, 2)?,
            dense6_2: dense(256, 4)?,
            dense6_3: dense(256, 10)?,
        })
    }

    /// The probabilities of no face and of a face, by what part of its size each edge of a window should be moved, and x of
    /// five points followed by y of these points, as parts of the window's size.
    ///
    /// # Shapes
    /// `[batch, 3, 48, 48]` → `[batch, 2]`, `[batch, 4]`, `[batch, 10]`.
    ///
    /// # Errors
    /// `Shape` for images of another size.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let x = self.prelu1.forward(&self.conv1.forward(x)?)?;
        let x = self.pool1.forward(&x)?;
        let x = self.prelu2.forward(&self.conv2.forward(&x)?)?;
        let x = self.pool2.forward(&x)?;
        let x = self.prelu3.forward(&self.conv3.forward(&x)?)?;
        let x = self.pool3.forward(&x)?;
        let x = self.prelu4.forward(&self.conv4.forward(&x)?)?;
        let x = self.prelu5.forward(&self.dense5.forward(&flat(&x)?)?)?;
        Ok((
            self.dense6_1.forward(&x)?.softmax(1)?,
            self.dense6_2.forward(&x)?,
            self.dense6_3.forward(&x)?,
        ))
    }
}
