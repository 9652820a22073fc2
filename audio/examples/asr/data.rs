//! Files with what is said in them, and batches of their features.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flambeau_audio::functional::{ResampleOptions, add_noise};
use flambeau_audio::io::{LoadOptions, info, load};
use flambeau_audio::transforms::{FrequencyMasking, Resample, TimeMasking};
use flambeau_audio::{Recognizer, SAMPLE_RATE};
use flambeau_data::collate::pad_sequence;
use flambeau_data::sampler::BucketSampler;
use flambeau_data::{Collate, DataLoader, Dataset};
use flambeau_nn::Forward;
use flambeau_tensor::{DType, Tensor, ensure};

/// The files of a list, whose lines are a file, a tab and what is said in it; files are beside the list.
pub(crate) fn read_list(list: &Path) -> Result<Vec<(PathBuf, String)>> {
    let text = std::fs::read_to_string(list).with_context(|| list.display().to_string())?;
    let folder = list.parent().unwrap_or(Path::new("."));
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (file, said) = line.split_once('\t').with_context(|| {
            format!(
                "{}:{}: expected a file, a tab and a text",
                list.display(),
                number + 1
            )
        })?;
        entries.push((folder.join(file), said.to_string()));
    }
    anyhow::ensure!(!entries.is_empty(), "{}: no files", list.display());
    Ok(entries)
}

/// Sounds with what is said in them, as features and classes. In training, sounds are disturbed.
struct Utterances {
    entries: Vec<(PathBuf, String)>,
    recognizer: Recognizer,
    training: bool,
    rate: usize,
    /// As they were spoken; in training, also slower and deeper or faster and higher.
    speeds: Vec<Resample>,
}

impl Dataset for Utterances {
    type Item = (Tensor, Vec<i64>);

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn get(&self, index: usize) -> flambeau_tensor::Result<Self::Item> {
        let (file, text) = &self.entries[index];
        let (waveform, rate) = load(file, &LoadOptions::default())?;
        ensure!(
            rate == self.rate,
            Value,
            "{}: {rate} Hz, unlike the first file with {}",
            file.display(),
            self.rate
        );
        let speed = uniform(0.0, self.speeds.len() as f64)? as usize;
        let speed = &self.speeds[speed.min(self.speeds.len() - 1)];
        let mut x = speed.forward(&waveform.mean_dim(0, false)?)?;
        if self.training {
            x = disturbed(&x)?;
        }
        let mut features = self.recognizer.features(&x)?;
        if self.training {
            // Masks are those of SpecAugment; features have a mean of 0.
            let masks = FrequencyMasking {
                freq_mask_param: 12,
                iid_masks: false,
            };
            let pauses = TimeMasking {
                time_mask_param: 15,
                iid_masks: false,
                p: 0.1,
            };
            features = pauses
                .forward(&masks.forward(&features.t()?)?)?
                .t()?
                .contiguous()?;
        }
        Ok((features, self.recognizer.alphabet.encode(text)?))
    }
}

/// A random number from `low` to `high`.
fn uniform(low: f64, high: f64) -> flambeau_tensor::Result<f64> {
    Ok(low + (high - low) * Tensor::rand((), DType::F32)?.item_f64()?)
}

/// From files of one sample rate to the recogniser's. In training, files are taken for ones of a rate that is up to an eighth
/// lower or higher: the voice, and with it the length of the throat that it seems to come from, becomes another.
fn speeds(rate: usize, training: bool) -> Result<Vec<Resample>> {
    let resample = |rate| Ok(Resample::new(rate, SAMPLE_RATE, &ResampleOptions::default())?);
    if !training {
        return Ok(vec![resample(rate)?]);
    }
    // Multiples of 400 Hz have short filters.
    let (low, high) = (rate.div_ceil(400) * 7 / 8, rate / 400 * 9 / 8);
    (low.max(1)..=high).map(|step| resample(400 * step)).collect()
}

/// The sound with silence before and behind, and with white noise.
fn disturbed(x: &Tensor) -> flambeau_tensor::Result<Tensor> {
    let silence = |seconds: f64| Tensor::zeros((seconds * SAMPLE_RATE as f64) as usize, DType::F32);
    let x = Tensor::cat(
        &[&silence(uniform(0.0, 0.3)?)?, x, &silence(uniform(0.0, 0.3)?)?],
        0,
    )?;
    let noise = Tensor::randn(x.shape(), DType::F32)?;
    let snr = Tensor::scalar_tensor(uniform(5.0, 40.0)?, DType::F32);
    add_noise(&x, &noise, &snr, None)
}

/// Utterances of about the same length.
pub(crate) struct Batch {
    /// `[batch, longest, n_mels]`.
    pub(crate) features: Tensor,
    pub(crate) lengths: Vec<usize>,
    /// What is said, all joined.
    pub(crate) targets: Tensor,
    pub(crate) target_lengths: Vec<i64>,
}

struct Joined;

impl Collate<(Tensor, Vec<i64>)> for Joined {
    type Batch = Batch;

    fn collate(&self, samples: Vec<(Tensor, Vec<i64>)>) -> flambeau_tensor::Result<Batch> {
        let (features, targets): (Vec<Tensor>, Vec<Vec<i64>>) = samples.into_iter().unzip();
        let joined = targets.concat();
        let length = joined.len();
        Ok(Batch {
            lengths: features.iter().map(|x| x.shape()[0]).collect(),
            features: pad_sequence(&features, true, 0.0.into())?,
            targets: Tensor::from_vec(joined, length)?,
            target_lengths: targets.iter().map(|text| text.len() as i64).collect(),
        })
    }
}

/// Batches of the utterances of a list, in random order and disturbed in training.
pub(crate) fn batches(
    list: &Path,
    limit: usize,
    batch_size: usize,
    training: bool,
) -> Result<DataLoader<Batch>> {
    let mut entries = read_list(list)?;
    entries.truncate(limit);
    let lengths = entries.iter().map(|(file, _)| Ok(info(file)?.num_frames));
    let lengths = lengths.collect::<Result<Vec<usize>>>()?;
    let rate = info(&entries[0].0)?.sample_rate;
    let utterances = Utterances {
        entries,
        recognizer: Recognizer::new()?,
        training,
        rate,
        speeds: speeds(rate, training)?,
    };
    let sampler = BucketSampler::new(lengths, batch_size)?.shuffle(training);
    let loader = DataLoader::builder(utterances)
        .batch_sampler(sampler)
        .collate(Joined)
        .num_workers(1);
    Ok(loader.build()?)
}
