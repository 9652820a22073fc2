//! Silero's voice activity detector: a Fourier transform as a convolution, four convolutions and an LSTM that goes on from
//! window to window.
//!
//! Keys and layout of the weights are those of the package silero-vad 6.2.3 (MIT), for 16 kHz.

use flambeau_nn::{Conv1d, ConvOptions, Forward, LSTMCell, Module, Padding, init, observed};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

use super::Entry;

/// The weights; `assets/README.md` says where they come from.
const BUNDLED: &[u8] = include_bytes!("../../assets/silero_vad_16k.safetensors");

/// Samples a second of what the network hears.
pub const VAD_SAMPLE_RATE: usize = 16000;

/// Samples of a window, and how many of those before it are heard again.
pub const VAD_WINDOW: usize = 512;
const CONTEXT: usize = 64;

/// Samples of a transform, from one to the next, and mirrored at the end.
const N_FFT: usize = 256;
const HOP: usize = 128;
const MIRRORED: isize = 64;

/// Features of the LSTM.
const HIDDEN: usize = 128;

/// What the detector remembers from window to window of a stream.
#[derive(Clone, Debug)]
pub struct VadState {
    h: Tensor,
    c: Tensor,
    context: Tensor,
}

/// Options of [`SileroVad::speech`]; the defaults are those of silero-vad's `get_speech_timestamps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeechOptions {
    /// From which probability on a window is speech.
    pub threshold: f64,
    /// Below which probability speech ends; 0.15 less than `threshold` by default.
    pub neg_threshold: Option<f64>,
    /// Shorter speech is left out, in seconds.
    pub min_speech: f64,
    /// Shorter pauses do not end speech, in seconds.
    pub min_silence: f64,
    /// Added before and behind, in seconds.
    pub pad: f64,
}

impl Default for SpeechOptions {
    fn default() -> Self {
        SpeechOptions {
            threshold: 0.5,
            neg_threshold: None,
            min_speech: 0.25,
            min_silence: 0.1,
            pad: 0.03,
        }
    }
}

/// The detector.
///
/// # Shapes
/// `[batch, time] → [batch, ⌈time/512⌉]`: how probably each window is speech.
#[derive(Clone, Debug, Module)]
pub struct SileroVad {
    /// The transform: real parts, then imaginary ones.
    pub stft_conv: Conv1d,
    /// The first convolution.
    pub conv1: Conv1d,
    /// The second convolution, which shortens time.
    pub conv2: Conv1d,
    /// The third convolution, which shortens time.
    pub conv3: Conv1d,
    /// The fourth convolution.
    pub conv4: Conv1d,
    /// Remembers.
    pub lstm_cell: LSTMCell,
    /// Decides.
    pub final_conv: Conv1d,
}

impl SileroVad {
    /// A detector with initial weights.
    ///
    /// # Errors
    /// None on a machine with memory for it.
    pub fn new() -> Result<SileroVad> {
        let conv = |inputs, outputs, stride| {
            let options = ConvOptions {
                stride: [stride],
                padding: Padding::Explicit([1]),
                ..ConvOptions::default()
            };
            Conv1d::new(inputs, outputs, [3], options)
        };
        let transform = ConvOptions {
            stride: [HOP],
            bias: false,
            ..ConvOptions::default()
        };
        let bins = N_FFT / 2 + 1;
        Ok(SileroVad {
            stft_conv: Conv1d::new(1, 2 * bins, [N_FFT], transform)?,
            conv1: conv(bins, 128, 1)?,
            conv2: conv(128, 64, 2)?,
            conv3: conv(64, 64, 2)?,
            conv4: conv(64, HIDDEN, 1)?,
            lstm_cell: LSTMCell::new(HIDDEN, HIDDEN, true)?,
            final_conv: Conv1d::new(HIDDEN, 1, [1], ConvOptions::default())?,
        })
    }

    /// The detector with the bundled weights, which are those of silero-vad.
    ///
    /// # Errors
    /// None: they are part of the program.
    pub fn pretrained() -> Result<SileroVad> {
        let detector = init::skip(SileroVad::new)?;
        detector.load_state_dict(&safetensors::from_bytes(BUNDLED)?, true)?;
        detector.eval();
        Ok(detector)
    }

    /// What a stream of `batch` sounds begins with.
    ///
    /// # Errors
    /// None on a machine with memory for it.
    pub fn begin(&self, batch: usize) -> Result<VadState> {
        Ok(VadState {
            h: Tensor::zeros((batch, HIDDEN), DType::F32)?,
            c: Tensor::zeros((batch, HIDDEN), DType::F32)?,
            context: Tensor::zeros((batch, CONTEXT), DType::F32)?,
        })
    }

    /// The next windows of a stream: how probably each is speech.
    ///
    /// # Shapes
    /// `[batch, windows·512] → [batch, windows]`.
    ///
    /// # Errors
    /// `Shape` unless these are whole windows of as many sounds as the stream has.
    pub fn step(&self, samples: &Tensor, state: &mut VadState) -> Result<Tensor> {
        let (batch, time) = match samples.shape() {
            &[batch, time] => (batch, time),
            shape => bail!(Shape, "SileroVad: expected sounds [batch, time], got {shape:?}"),
        };
        ensure!(
            time > 0 && time.is_multiple_of(VAD_WINDOW) && batch == state.h.shape()[0],
            Shape,
            "SileroVad: expected windows of {VAD_WINDOW} samples of {} sounds, got {:?}",
            state.h.shape()[0],
            samples.shape()
        );
        let windows = time / VAD_WINDOW;
        let heard = Tensor::cat(&[&state.context, samples], 1)?;
        state.context = heard.narrow(1, time as isize, CONTEXT)?;
        // What does not depend on the windows before is computed of all at once.
        let frames = heard.unfold(1, CONTEXT + VAD_WINDOW, VAD_WINDOW)?;
        let features = self
            .features(&frames.flatten(0, 1)?)?
            .reshape((batch, windows, HIDDEN))?;
        let mut hidden = Vec::with_capacity(windows);
        for t in 0..windows {
            let x = features.select(1, t as isize)?;
            let (h, c) = self.lstm_cell.forward(&x, Some((&state.h, &state.c)))?;
            hidden.push(h.clone());
            (state.h, state.c) = (h, c);
        }
        let hidden = Tensor::stack(&hidden, -1)?.relu()?;
        self.final_conv.forward(&hidden)?.sigmoid()?.squeeze_dim(1)
    }

    /// `[windows, 576] → [windows, 128]`.
    fn features(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.pad(&[0, MIRRORED], PadMode::Reflect, 0)?.unsqueeze(1)?;
        let parts = self.stft_conv.forward(&x)?;
        let bins = N_FFT / 2 + 1;
        let squares = parts.square()?;
        let x = squares
            .narrow(1, 0, bins)?
            .add(&squares.narrow(1, bins as isize, bins)?)?
            .sqrt()?;
        let x = self.conv1.forward(&x)?.relu()?;
        let x = self.conv2.forward(&x)?.relu()?;
        let x = self.conv3.forward(&x)?.relu()?;
        self.conv4.forward(&x)?.relu()?.squeeze_dim(-1)
    }

    /// Where speech is, in seconds from begin to end.
    ///
    /// # Shapes
    /// `[time]`, 16,000 samples a second.
    ///
    /// # Errors
    /// `Shape` unless there is one dimension.
    pub fn speech(&self, waveform: &Tensor, options: &SpeechOptions) -> Result<Vec<[f64; 2]>> {
        let &[samples] = waveform.shape() else {
            bail!(
                Shape,
                "SileroVad: expected a sound [time], got {:?}",
                waveform.shape()
            )
        };
        let probabilities = no_grad(|| self.forward(&waveform.unsqueeze(0)?))?.to_vec_f64()?;
        Ok(segments(&probabilities, samples, options))
    }
}

/// Speech with its pauses and pads.
fn segments(probabilities: &[f64], samples: usize, o: &SpeechOptions) -> Vec<[f64; 2]> {
    let seconds = |window: usize| (window * VAD_WINDOW) as f64 / VAD_SAMPLE_RATE as f64;
    let total = samples as f64 / VAD_SAMPLE_RATE as f64;
    let quiet = o.neg_threshold.unwrap_or((o.threshold - 0.15).max(0.01));
    let (mut found, mut begin, mut pause) = (Vec::new(), None, None);
    for (window, &probability) in probabilities.iter().enumerate() {
        let now = seconds(window);
        if probability >= o.threshold {
            pause = None;
            begin.get_or_insert(now);
        } else if let (Some(from), true) = (begin, probability < quiet) {
            let to: f64 = *pause.get_or_insert(now);
            if now - to >= o.min_silence {
                found.push([from, to]);
                (begin, pause) = (None, None);
            }
        }
    }
    found.extend(begin.map(|from| [from, total]));
    found.retain(|[from, to]| to - from > o.min_speech);
    // Where pads would overlap, they share the pause.
    for i in 0..found.len() {
        let before = if i == 0 { 0.0 } else { found[i - 1][1] };
        found[i][0] = (found[i][0] - o.pad).max(before);
        let after = found.get(i + 1).map_or(total, |next| next[0]);
        found[i][1] += o
            .pad
            .min((after - found[i][1]) / if i + 1 < found.len() { 2.0 } else { 1.0 });
    }
    found
}

impl Forward for SileroVad {
    #[observed]
    fn forward(&self, sounds: &Tensor) -> Result<Tensor> {
        let &[batch, time] = sounds.shape() else {
            bail!(
                Shape,
                "SileroVad: expected sounds [batch, time], got {:?}",
                sounds.shape()
            )
        };
        let rest = time.next_multiple_of(VAD_WINDOW) - time;
        let whole = sounds.pad(&[0, rest as isize], PadMode::Constant, 0)?;
        self.step(&whole, &mut self.begin(batch)?)
    }
}

/// The family's part of the registry.
pub(super) const MODELS: &[Entry] = &[Entry {
    name: "silero_vad",
    task: "voice activity",
    parameters: 309_633,
    input: &[1, 1024],
    build: || Ok(Box::new(SileroVad::new()?)),
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_end_speech_and_short_ones_do_not() {
        let mut probabilities = vec![0.1; 10];
        probabilities.extend([0.9; 20]);
        probabilities.extend([0.1; 2]);
        probabilities.extend([0.9; 20]);
        probabilities.extend([0.1; 10]);
        // Too short to be speech.
        probabilities.extend([0.9; 3]);
        probabilities.extend([0.1; 10]);
        let found = segments(
            &probabilities,
            probabilities.len() * VAD_WINDOW,
            &SpeechOptions::default(),
        );
        assert_eq!(found.len(), 1);
        let [from, to] = found[0];
        assert!((from - (0.32 - 0.03)).abs() < 1e-9 && (to - (52.0 * 0.032 + 0.03)).abs() < 1e-9);
    }
}
