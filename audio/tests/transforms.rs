//! What random transforms do to a spectrogram is within what was asked for, and what changes time or pitch keeps the other.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::f64::consts::TAU;

use flambeau_audio::functional::{PitchShiftOptions, SpectrogramOptions, inverse_spectrogram, spectrogram};
use flambeau_audio::transforms::{
    FrequencyMasking, PitchShift, SpecAugment, SpecAugmentOptions, SpeedPerturbation, TimeMasking,
    TimeStretch,
};
use flambeau_nn::Forward;
use flambeau_tensor::ops::windows::hann;
use flambeau_tensor::{DType, Tensor, random};

const RATE: usize = 8000;

/// Spectrograms `[4, 20 frequencies, 50 frames]` of numbers that are nowhere 0.
fn specgrams() -> Tensor {
    random::fork(5, || {
        Tensor::rand((4, 20, 50), DType::F32).unwrap().add(1).unwrap()
    })
}

/// For each spectrogram, which columns (or rows) of `masked` are 0; everything else has to be as in `specgrams()`.
fn masked_lines(masked: &Tensor, columns: bool) -> Vec<BTreeSet<usize>> {
    let whole = specgrams();
    let (masked, whole) = match columns {
        true => (
            masked.transpose(1, 2).unwrap().contiguous().unwrap(),
            whole.transpose(1, 2).unwrap().contiguous().unwrap(),
        ),
        false => (masked.clone(), whole),
    };
    let &[batch, lines, length] = masked.shape() else {
        panic!("{:?}", masked.shape())
    };
    let (masked, whole) = (masked.to_vec::<f32>().unwrap(), whole.to_vec::<f32>().unwrap());
    let mut found = vec![BTreeSet::new(); batch];
    for line in 0..batch * lines {
        let (got, before) = (
            &masked[line * length..][..length],
            &whole[line * length..][..length],
        );
        if got.iter().all(|&x| x == 0.0) {
            found[line / lines].insert(line % lines);
        } else {
            assert_eq!(got, before, "line {line} is masked in part");
        }
    }
    found
}

/// The lines follow each other.
fn assert_band(lines: &BTreeSet<usize>, fewer_than: usize) {
    assert!(lines.len() < fewer_than, "{lines:?}");
    if let (Some(first), Some(last)) = (lines.first(), lines.last()) {
        assert_eq!(last - first + 1, lines.len(), "{lines:?}");
    }
}

#[test]
fn masks_are_bands_narrower_than_asked_for() {
    let mut sizes = BTreeSet::new();
    for seed in 0..30 {
        random::fork(seed, || {
            let one = FrequencyMasking {
                freq_mask_param: 7,
                iid_masks: false,
            };
            let rows = masked_lines(&one.forward(&specgrams()).unwrap(), false);
            assert!(rows.iter().all(|row| *row == rows[0]), "one band is for all");
            assert_band(&rows[0], 7);
            sizes.insert(rows[0].len());
            let each = TimeMasking {
                time_mask_param: 30,
                iid_masks: true,
                p: 0.2,
            };
            for columns in masked_lines(&each.forward(&specgrams()).unwrap(), true) {
                // At most a fifth of the 50 frames, although 29 were allowed.
                assert_band(&columns, 10);
            }
        });
    }
    assert!(sizes.len() > 3, "{sizes:?}");
}

#[test]
fn masks_follow_from_the_seed() {
    let augment = SpecAugment {
        options: SpecAugmentOptions {
            n_time_masks: 2,
            time_mask_param: 8,
            n_freq_masks: 1,
            freq_mask_param: 6,
            zero_masking: true,
            ..SpecAugmentOptions::default()
        },
    };
    let masked = |seed| {
        random::fork(seed, || {
            augment.forward(&specgrams()).unwrap().to_vec::<f32>().unwrap()
        })
    };
    assert_eq!(masked(3), masked(3));
    assert_ne!(masked(3), masked(4));
    let untouched = SpecAugment::default().forward(&specgrams()).unwrap();
    assert_eq!(
        untouched.to_vec::<f32>().unwrap(),
        specgrams().to_vec::<f32>().unwrap()
    );
    // Two bands of at most 7 of 50 frames, and one of at most 5 of 20 frequencies.
    let zeros = masked(3).iter().filter(|&&x| x == 0.0).count();
    assert!(zeros > 0 && zeros <= 4 * (14 * 20 + 5 * 50), "{zeros}");
}

#[test]
fn masks_are_the_mean_unless_zeros_are_asked_for() {
    let augment = SpecAugment {
        options: SpecAugmentOptions {
            n_freq_masks: 1,
            freq_mask_param: 15,
            iid_masks: false,
            ..SpecAugmentOptions::default()
        },
    };
    let mean = specgrams().mean().unwrap().item::<f32>().unwrap();
    let changed: usize = (0..10)
        .map(|seed| {
            let masked = random::fork(seed, || augment.forward(&specgrams()).unwrap());
            let (masked, whole) = (
                masked.to_vec::<f32>().unwrap(),
                specgrams().to_vec::<f32>().unwrap(),
            );
            let changed = masked.iter().zip(&whole).filter(|(a, b)| a != b);
            changed.inspect(|(x, _)| assert_eq!(**x, mean)).count()
        })
        .sum();
    assert!(changed > 0);
}

fn sine(hz: f64) -> Tensor {
    let time = Tensor::arange(0, 6000, 1, DType::F32).unwrap();
    let angle = time.mul(hz * TAU / RATE as f64).unwrap();
    angle.sin().unwrap().unsqueeze(0).unwrap()
}

fn options() -> SpectrogramOptions {
    SpectrogramOptions {
        n_fft: 512,
        hop_length: Some(128),
        power: None,
        ..SpectrogramOptions::default()
    }
}

fn window() -> Tensor {
    hann(512, false, DType::F32).unwrap()
}

/// The loudest frequency, to 16 Hz.
fn loudest(sound: &Tensor) -> f64 {
    let power = SpectrogramOptions {
        power: Some(2.0),
        ..options()
    };
    let bands = spectrogram(sound, &window(), &power)
        .unwrap()
        .mean_dim(-1, false)
        .unwrap();
    let best = bands.argmax(None, false).unwrap().item::<i64>().unwrap();
    best as f64 * RATE as f64 / 512.0
}

#[test]
fn stretched_time_keeps_the_pitch() {
    let stretch = TimeStretch::new(Some(128), 257).unwrap();
    let spectra = spectrogram(&sine(1000.0), &window(), &options()).unwrap();
    let frames = spectra.shape()[2];
    for rate in [0.8, 1.0, 1.3] {
        let other = stretch.forward(&spectra, rate).unwrap();
        let expected = (frames as f64 / rate).ceil() as usize;
        assert_eq!(other.shape(), [1, 257, expected, 2], "{rate}");
        let sound = inverse_spectrogram(&other, None, &window(), &options()).unwrap();
        assert_eq!(sound.shape(), [1, (expected - 1) * 128]);
        assert_eq!(loudest(&sound), 1000.0, "{rate}");
    }
}

#[test]
fn shifted_pitch_keeps_the_time() {
    for (n_steps, hz) in [(12, 1000.0), (-12, 250.0), (0, 500.0)] {
        let shift = PitchShift::new(RATE, n_steps, PitchShiftOptions::default()).unwrap();
        let shifted = shift.forward(&sine(500.0)).unwrap();
        assert_eq!(shifted.shape(), [1, 6000]);
        assert_eq!(loudest(&shifted), hz, "{n_steps} steps");
    }
}

#[test]
fn speeds_change_time_and_pitch_together() {
    let perturbation = SpeedPerturbation::new(RATE, &[0.8, 1.0, 1.25]).unwrap();
    let lengths = Tensor::new([6000i64]).unwrap();
    let mut heard = BTreeSet::new();
    for seed in 0..20 {
        random::fork(seed, || {
            let (sound, lengths) = perturbation.forward(&sine(1000.0), Some(&lengths)).unwrap();
            let length = lengths.unwrap().item::<i64>().unwrap() as usize;
            assert_eq!(sound.shape(), [1, length]);
            let hz = loudest(&sound);
            // The same number of waves, as far as the frequency is known.
            let waves = length as f64 * hz / 6000.0;
            assert!((waves - 1000.0).abs() < 16.0, "{length} samples, {hz} Hz");
            heard.insert(hz as usize);
        });
    }
    assert_eq!(heard, BTreeSet::from([796, 1000, 1250]));
}
