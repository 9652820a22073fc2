//! A recogniser of speech: a convolution that shortens time, an LSTM in both directions, and the logarithms of the
//! probabilities of letters, learnt by connectionist temporal classification ("Speech recognition with deep recurrent neural
//! networks", Graves et al., 2013, arXiv:1303.5778).

use flambeau_nn::utils::rnn::{pack_padded_sequence, pad_packed_sequence};
use flambeau_nn::{
    BatchNorm1d, BatchNormOptions, Conv1d, ConvOptions, Dropout, Forward, LSTM, Linear, LinearOptions,
    Module, Padding, ReLU, RnnOptions, chain, observed,
};
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::Entry;

/// Options of [`LstmCtc`]; the defaults are those of the bundled recogniser of commands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LstmCtcOptions {
    /// Features of a frame.
    pub n_mels: usize,
    /// Channels of the convolution.
    pub channels: usize,
    /// Hidden features of the LSTM, for each direction.
    pub hidden: usize,
    /// Layers of the LSTM.
    pub layers: usize,
    /// Letters, the blank among them.
    pub num_classes: usize,
    /// Frames that become one.
    pub stride: usize,
    /// How probably a feature is dropped in training.
    pub dropout: f64,
}

impl Default for LstmCtcOptions {
    fn default() -> Self {
        LstmCtcOptions {
            n_mels: 64,
            channels: 128,
            hidden: 96,
            layers: 2,
            num_classes: 28,
            stride: 3,
            dropout: 0.1,
        }
    }
}

/// The recogniser.
///
/// # Shapes
/// `[batch, frames, n_mels] → [batch, ⌈frames/stride⌉, num_classes]`.
#[derive(Debug, Module)]
pub struct LstmCtc {
    /// Looks at nine frames, and shortens time.
    pub conv: Conv1d,
    /// Normalises what it finds.
    pub bn: BatchNorm1d,
    /// Hears what came before and comes after.
    pub lstm: LSTM,
    dropout: Dropout,
    /// Says how probable letters are.
    pub output: Linear,
    #[module(skip)]
    options: LstmCtcOptions,
}

impl LstmCtc {
    /// A recogniser with initial weights.
    ///
    /// # Errors
    /// `Value` for sizes of 0.
    pub fn new(options: LstmCtcOptions) -> Result<LstmCtc> {
        let o = options;
        ensure!(
            o.stride > 0 && o.num_classes > 1 && o.n_mels > 0 && o.channels > 0,
            Value,
            "LstmCtc: expected positive sizes and at least two classes, got {o:?}"
        );
        let conv = ConvOptions {
            stride: [o.stride],
            padding: Padding::Explicit([4]),
            bias: false,
            ..ConvOptions::default()
        };
        let rnn = RnnOptions {
            num_layers: o.layers,
            batch_first: true,
            dropout: if o.layers > 1 { o.dropout } else { 0.0 },
            bidirectional: true,
            ..RnnOptions::default()
        };
        Ok(LstmCtc {
            conv: Conv1d::new(o.n_mels, o.channels, [9], conv)?,
            bn: BatchNorm1d::new(o.channels, BatchNormOptions::default())?,
            lstm: LSTM::new(o.channels, o.hidden, rnn)?,
            dropout: Dropout::new(o.dropout)?,
            output: Linear::new(2 * o.hidden, o.num_classes, LinearOptions::default())?,
            options,
        })
    }

    /// The options.
    pub fn options(&self) -> &LstmCtcOptions {
        &self.options
    }

    /// The logarithms of the probabilities of sequences of several lengths, and their lengths.
    ///
    /// # Shapes
    /// `[batch, frames, n_mels] → [batch, ⌈longest/stride⌉, num_classes]`.
    ///
    /// # Errors
    /// `Shape` for other features; `Value` unless there is one length for each sequence, from 1 to the number of frames.
    pub fn forward_lengths(&self, features: &Tensor, lengths: &[usize]) -> Result<(Tensor, Vec<usize>)> {
        let x = self.convolved(features)?;
        let lengths: Vec<usize> = lengths.iter().map(|n| n.div_ceil(self.options.stride)).collect();
        let packed = pack_padded_sequence(&x, &lengths, true, false)?;
        let (packed, _) = self.lstm.forward_packed(&packed, None)?;
        let (x, lengths) = pad_packed_sequence(&packed, true, 0.0, None)?;
        Ok((self.scored(&x)?, lengths))
    }

    fn convolved(&self, features: &Tensor) -> Result<Tensor> {
        let &[_, _, n_mels] = features.shape() else {
            bail!(
                Shape,
                "LstmCtc: expected features [batch, frames, {}], got {:?}",
                self.options.n_mels,
                features.shape()
            )
        };
        ensure!(
            n_mels == self.options.n_mels,
            Shape,
            "LstmCtc: expected features [batch, frames, {}], got {:?}",
            self.options.n_mels,
            features.shape()
        );
        let x = features.transpose(1, 2)?;
        let x = chain(&x, [&self.conv as &dyn Forward, &self.bn, &ReLU])?;
        self.dropout.forward(&x.transpose(1, 2)?)
    }

    fn scored(&self, x: &Tensor) -> Result<Tensor> {
        self.output.forward(&self.dropout.forward(x)?)?.log_softmax(-1)
    }
}

impl Forward for LstmCtc {
    #[observed]
    fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let (x, _) = self.lstm.forward(&self.convolved(features)?, None)?;
        self.scored(&x)
    }
}

/// The family's part of the registry.
pub(super) const MODELS: &[Entry] = &[Entry {
    name: "lstm_ctc",
    task: "speech recognition",
    parameters: 475_676,
    input: &[2, 30, 64],
    build: || Ok(Box::new(LstmCtc::new(LstmCtcOptions::default())?)),
}];
