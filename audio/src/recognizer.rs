//! A recogniser of speech with everything around it: features, network, letters.

use std::collections::BTreeMap;
use std::path::Path;

use flambeau_nn::{Forward, Module, init};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

use crate::decoder::{Alphabet, BeamOptions, ctc_beam_search, ctc_greedy};
use crate::functional::{ResampleOptions, resample};
use crate::models::{LstmCtc, LstmCtcOptions};
use crate::transforms::{MelSpectrogram, MelSpectrogramOptions};

/// `assets/README.md` says where they come from.
const BUNDLED: &[u8] = include_bytes!("../assets/asr.safetensors");

/// Samples a second of what the recogniser hears.
pub const SAMPLE_RATE: usize = 16000;

/// A recogniser of English in small letters.
#[derive(Debug)]
pub struct Recognizer {
    /// The network.
    pub model: LstmCtc,
    /// Its letters.
    pub alphabet: Alphabet,
    mel: MelSpectrogram,
}

impl Recognizer {
    /// A recogniser with initial weights.
    ///
    /// # Errors
    /// `Value` for sizes of 0.
    pub fn new() -> Result<Recognizer> {
        let alphabet = Alphabet::english();
        let options = LstmCtcOptions {
            num_classes: alphabet.num_classes(),
            ..LstmCtcOptions::default()
        };
        let mel = MelSpectrogramOptions {
            sample_rate: SAMPLE_RATE,
            hop_length: Some(SAMPLE_RATE / 100),
            n_mels: options.n_mels,
            f_min: 60.0,
            f_max: Some(7600.0),
            ..MelSpectrogramOptions::default()
        };
        Ok(Recognizer {
            model: LstmCtc::new(options)?,
            alphabet,
            mel: MelSpectrogram::new(mel)?,
        })
    }

    /// The recogniser with the bundled weights, which know spoken digits, cards and commands.
    ///
    /// # Errors
    /// None: they are part of the program.
    pub fn pretrained() -> Result<Recognizer> {
        Recognizer::with_weights(&safetensors::from_bytes(BUNDLED)?)
    }

    fn with_weights(state: &BTreeMap<String, Tensor>) -> Result<Recognizer> {
        let recognizer = init::skip(Recognizer::new)?;
        recognizer.model.load_state_dict(state, true)?;
        recognizer.model.eval();
        Ok(recognizer)
    }

    /// The recogniser with weights from a file.
    ///
    /// # Errors
    /// `Io` or `Format` if the file can't be read; `Key` unless it holds this network.
    pub fn load(path: impl AsRef<Path>) -> Result<Recognizer> {
        let path = path.as_ref();
        let state = flambeau_hub::load(path)?.state_dict()?;
        Recognizer::with_weights(&state).map_err(|error| error.context(path.display()))
    }

    /// Writes the weights to a file in half precision, of which [`Recognizer::load`] makes `float32` again.
    ///
    /// # Errors
    /// `Io` if the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let half = |(key, value): (String, Tensor)| {
            let value = match value.dtype() {
                DType::F32 => value.to_dtype(DType::F16)?,
                _ => value,
            };
            Ok((key, value))
        };
        let state = self.model.state_dict().into_iter().map(half);
        safetensors::save(path, state.collect::<Result<BTreeMap<_, _>>>()?.iter())
    }

    /// The features of a sound: logarithms of mel energies every 10 ms, each band with mean 0 and variance 1.
    ///
    /// # Shapes
    /// `[time] → [frames, n_mels]`.
    ///
    /// # Errors
    /// `Shape` for a sound of less than 25 ms.
    pub fn features(&self, waveform: &Tensor) -> Result<Tensor> {
        let mel = self.mel.forward(waveform)?.add(1e-6)?.log()?.t()?;
        let mean = mel.mean_dim(0, true)?;
        let centred = mel.sub(&mean)?;
        let deviation = centred.square()?.mean_dim(0, true)?.sqrt()?;
        centred.div(&deviation.add(1e-3)?)
    }

    /// The logarithms of the probabilities of letters for a sound at any sample rate; of several channels, the mean.
    ///
    /// # Shapes
    /// `[time]` or `[channels, time]` → `[frames, classes]`.
    ///
    /// # Errors
    /// `Shape` for another rank, or a sound of less than 25 ms.
    pub fn log_probs(&self, waveform: &Tensor, sample_rate: usize) -> Result<Tensor> {
        let mono = match waveform.rank() {
            1 => waveform.clone(),
            2 => waveform.mean_dim(0, false)?,
            _ => bail!(
                Shape,
                "Recognizer: expected a sound [time] or [channels, time], got {:?}",
                waveform.shape()
            ),
        };
        let mono = resample(&mono, sample_rate, SAMPLE_RATE, &ResampleOptions::default())?;
        ensure!(
            mono.numel() >= 400,
            Shape,
            "Recognizer: expected at least 25 ms of sound, got {} samples",
            mono.numel()
        );
        no_grad(|| {
            let features = self.features(&mono.to_dtype(DType::F32)?)?;
            self.model.forward(&features.unsqueeze(0)?)?.squeeze_dim(0)
        })
    }

    /// What is said, by the best path, or by a search with a beam.
    ///
    /// # Shapes
    /// `[time]` or `[channels, time]`.
    ///
    /// # Errors
    /// As [`Recognizer::log_probs`].
    pub fn transcribe(
        &self,
        waveform: &Tensor,
        sample_rate: usize,
        beam: Option<&BeamOptions>,
    ) -> Result<String> {
        let log_probs = self.log_probs(waveform, sample_rate)?;
        let labels = match beam {
            None => ctc_greedy(&log_probs, 0)?,
            Some(options) => {
                let best = ctc_beam_search(&log_probs, options)?.into_iter().next();
                best.map(|hypothesis| hypothesis.labels).unwrap_or_default()
            }
        };
        Ok(self.alphabet.decode(&labels).trim().to_string())
    }
}
