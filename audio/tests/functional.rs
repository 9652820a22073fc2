//! Functions give torchaudio's values and gradients, and refuse what makes no sense.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::PI;

use flambeau_audio::functional::*;
use flambeau_audio::kaldi::{self, FbankOptions, FrameOptions, MelBankOptions, WindowType};
use flambeau_audio::transforms::{self, LFCC, LfccOptions, MFCC, MelSpectrogramOptions, MfccOptions};
use flambeau_autograd::{CheckOptions, GradOptions, grad, gradcheck, gradgradcheck};
use flambeau_nn::{Forward, Module};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::ops::loss::Reduction;
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::ops::windows::hann;
use flambeau_tensor::{DType, Result, Tensor, random};

type Function = fn(&[Tensor]) -> Result<Tensor>;

fn window() -> Tensor {
    hann(64, false, DType::F64).unwrap()
}

fn options(hop: usize) -> SpectrogramOptions {
    SpectrogramOptions {
        n_fft: 64,
        hop_length: Some(hop),
        ..SpectrogramOptions::default()
    }
}

fn f64_features(mut module: impl Forward, x: &Tensor) -> Result<Tensor> {
    module.to_dtype(DType::F64)?;
    module.forward(x)
}

const FED_BACK: FlangerOptions = FlangerOptions {
    delay: 1.3,
    depth: 4.0,
    regen: -40.0,
    width: 90.0,
    speed: 6.0,
    phase: 30.0,
    modulation: Modulation::Triangular,
    interpolation: DelayInterpolation::Quadratic,
};

fn transducer(logits: &Tensor, options: RnntOptions) -> Result<Tensor> {
    let targets = Tensor::new([[1i64, 3, 2], [2, 2, 1]])?;
    rnnt_loss(logits, &targets, &[6, 4], &[3, 2], &options)
}

/// The cases of `golden/make_torchaudio.py`.
const CASES: &[(&str, Function)] = &[
    ("spectrogram", |t| {
        let options = SpectrogramOptions {
            pad: 5,
            normalized: Normalized::Window,
            ..options(20)
        };
        spectrogram(&t[0], &window(), &options)
    }),
    ("spectrogram_complex", |t| {
        let options = SpectrogramOptions {
            power: None,
            normalized: Normalized::FrameLength,
            center: false,
            ..options(20)
        };
        spectrogram(&t[0], &window(), &options)
    }),
    ("inverse_spectrogram", |t| {
        let options = SpectrogramOptions {
            normalized: Normalized::Window,
            ..options(16)
        };
        inverse_spectrogram(&t[0], Some(590), &window(), &options)
    }),
    ("griffinlim", |t| {
        let options = GriffinLimOptions {
            n_fft: 64,
            hop_length: Some(16),
            n_iter: 3,
            momentum: 0.5,
            length: Some(600),
            rand_init: false,
            ..GriffinLimOptions::default()
        };
        griffinlim(&t[0], &window(), &options)
    }),
    ("phase_vocoder", |t| {
        let advance = Tensor::linspace(0, PI * 16.0, 33, DType::F64)?.unsqueeze(-1)?;
        phase_vocoder(&t[0], 1.37, &advance)
    }),
    ("amplitude_to_db", |t| {
        amplitude_to_db(&t[0], 20.0, 1e-10, 0.3, Some(6.0))
    }),
    ("db_to_amplitude", |t| db_to_amplitude(&t[0], 0.7, 0.5)),
    ("mu_law_decoding", |t| mu_law_decoding(&t[0], 256)),
    ("compute_deltas", |t| compute_deltas(&t[0], 7, PadMode::Replicate)),
    ("sliding_window_cmn", |t| {
        let options = SlidingWindowOptions {
            cmn_window: 5,
            min_cmn_window: 3,
            norm_vars: true,
            ..SlidingWindowOptions::default()
        };
        sliding_window_cmn(&t[0], &options)
    }),
    ("spectral_centroid", |t| {
        spectral_centroid(&t[0], 8000, &window(), &options(20))
    }),
    ("resample_down", |t| {
        resample(&t[0], 12000, 8000, &ResampleOptions::default())
    }),
    ("resample_kaiser", |t| {
        let options = ResampleOptions {
            lowpass_filter_width: 12,
            rolloff: 0.9,
            resampling_method: ResamplingMethod::SincInterpKaiser,
            beta: Some(9.0),
        };
        resample(&t[0], 8000, 11025, &options)
    }),
    ("convolve", |t| convolve(&t[0], &t[1], ConvolveMode::Valid)),
    ("fftconvolve", |t| fftconvolve(&t[0], &t[1], ConvolveMode::Same)),
    ("add_noise", |t| {
        add_noise(&t[0], &t[1], &t[2], Some(&Tensor::new([60i64, 40])?))
    }),
    ("speed", |t| Ok(speed(&t[0], 8000, 1.25, None)?.0)),
    ("preemphasis", |t| preemphasis(&t[0], 0.9)),
    ("deemphasis", |t| deemphasis(&t[0], 0.9)),
    ("lfilter", |t| lfilter(&t[0], &t[1], &t[2], false, true)),
    ("lfilter_each", |t| lfilter(&t[0], &t[1], &t[2], false, true)),
    ("lfilter_several", |t| lfilter(&t[0], &t[1], &t[2], true, false)),
    ("filtfilt", |t| filtfilt(&t[0], &t[1], &t[2], false)),
    ("lowpass_biquad", |t| lowpass_biquad(&t[0], 8000, &t[1], &t[2])),
    ("highpass_biquad", |t| highpass_biquad(&t[0], 8000, &t[1], &t[2])),
    ("allpass_biquad", |t| allpass_biquad(&t[0], 8000, &t[1], &t[2])),
    ("bandreject_biquad", |t| {
        bandreject_biquad(&t[0], 8000, &t[1], &t[2])
    }),
    ("bandpass_biquad", |t| {
        bandpass_biquad(&t[0], 8000, &t[1], &t[2], true)
    }),
    ("band_biquad", |t| band_biquad(&t[0], 8000, &t[1], &t[2], true)),
    ("equalizer_biquad", |t| {
        equalizer_biquad(&t[0], 8000, &t[1], &t[2], &t[3])
    }),
    ("bass_biquad", |t| bass_biquad(&t[0], 8000, &t[1], &t[2], &t[3])),
    ("treble_biquad", |t| {
        treble_biquad(&t[0], 8000, &t[1], &t[2], &t[3])
    }),
    ("deemph_biquad", |t| deemph_biquad(&t[0], 44100)),
    ("riaa_biquad", |t| riaa_biquad(&t[0], 48000)),
    ("gain", |t| gain(&t[0], 3.0)),
    ("contrast", |t| contrast(&t[0], 60.0)),
    ("dcshift", |t| dcshift(&t[0], 0.4, None)),
    ("dcshift_limited", |t| dcshift(&t[0], 0.5, Some(0.05))),
    ("dcshift_limited_down", |t| dcshift(&t[0], -0.5, Some(0.05))),
    ("overdrive", |t| overdrive(&t[0], 10.0, 30.0)),
    ("phaser", |t| phaser(&t[0], 8000, &PhaserOptions::default())),
    ("phaser_triangular", |t| {
        let options = PhaserOptions {
            gain_in: 0.8,
            gain_out: 0.9,
            delay_ms: 1.7,
            decay: 0.7,
            mod_speed: 1.9,
            modulation: Modulation::Triangular,
        };
        phaser(&t[0], 8000, &options)
    }),
    ("flanger", |t| flanger(&t[0], 8000, &FlangerOptions::default())),
    ("flanger_fed_back", |t| flanger(&t[0], 8000, &FED_BACK)),
    ("dither", |t| dither(&t[0], DensityFunction::Tpdf, false)),
    ("dither_shaped", |t| dither(&t[0], DensityFunction::Tpdf, true)),
    ("dither_rpdf", |t| {
        random::fork(1, || dither(&t[0], DensityFunction::Rpdf, false))
    }),
    ("dither_gpdf", |t| {
        random::fork(1, || dither(&t[0], DensityFunction::Gpdf, false))
    }),
    ("forced_align", |t| {
        let targets = Tensor::new([[2i64, 2, 4, 1]])?;
        Ok(forced_align(&t[0], &targets, None, None, 0)?.1)
    }),
    ("rnnt_loss", |t| transducer(&t[0], RnntOptions::default())),
    ("rnnt_loss_clamped", |t| {
        let options = RnntOptions {
            blank: Some(0),
            clamp: Some(0.2),
            reduction: Reduction::None,
            ..RnntOptions::default()
        };
        transducer(&t[0], options)
    }),
    ("rnnt_loss_sum", |t| {
        let options = RnntOptions {
            reduction: Reduction::Sum,
            fused_log_softmax: false,
            ..RnntOptions::default()
        };
        transducer(&t[0], options)
    }),
    ("loudness", |t| loudness(&t[0], 1000)),
    ("pitch_shift", |t| {
        let options = PitchShiftOptions {
            n_fft: 64,
            ..PitchShiftOptions::default()
        };
        pitch_shift(&t[0], 8000, 3, Some(&window()), &options)
    }),
    ("detect_pitch_frequency", |t| {
        detect_pitch_frequency(&t[0], 8000, &PitchOptions::default())
    }),
    ("mfcc", |t| {
        let options = MfccOptions {
            n_mfcc: 8,
            mel: MelSpectrogramOptions {
                sample_rate: 8000,
                n_fft: 64,
                hop_length: Some(32),
                n_mels: 10,
                ..MelSpectrogramOptions::default()
            },
            ..MfccOptions::default()
        };
        f64_features(MFCC::new(options)?, &t[0])
    }),
    ("lfcc", |t| {
        let options = LfccOptions {
            sample_rate: 8000,
            n_filter: 10,
            n_lfcc: 6,
            log_lf: true,
            spectrogram: options(32),
            ..LfccOptions::default()
        };
        f64_features(LFCC::new(options)?, &t[0])
    }),
    ("kaldi_fbank", |t| {
        let options = FbankOptions {
            frames: FrameOptions {
                sample_frequency: 8000.0,
                snip_edges: false,
                raw_energy: false,
                window_type: WindowType::Hamming,
                subtract_mean: true,
                ..FrameOptions::default()
            },
            mel: MelBankOptions {
                num_mel_bins: 10,
                vtln_warp: 1.1,
                ..MelBankOptions::default()
            },
            use_energy: true,
            ..FbankOptions::default()
        };
        kaldi::fbank(&t[0], &options)
    }),
    ("kaldi_mfcc", |t| {
        let options = kaldi::MfccOptions {
            frames: FrameOptions {
                sample_frequency: 8000.0,
                ..FrameOptions::default()
            },
            mel: MelBankOptions {
                num_mel_bins: 10,
                ..MelBankOptions::default()
            },
            num_ceps: 7,
            htk_compat: true,
            ..kaldi::MfccOptions::default()
        };
        kaldi::mfcc(&t[0], &options)
    }),
    ("kaldi_spectrogram", |t| {
        let options = FrameOptions {
            sample_frequency: 8000.0,
            window_type: WindowType::Blackman,
            ..FrameOptions::default()
        };
        kaldi::spectrogram(&t[0], &options)
    }),
];

/// Filters, cosines and frequencies of torchaudio's are float32 before they become float64, and so is the Bessel function that
/// Kaiser's window is divided by; those of here are rounded once. Its loss of transducers is float32. Other functions agree to float64's precision.
fn tolerance(name: &str) -> f64 {
    match name {
        "mfcc" | "lfcc" | "kaldi_fbank" | "kaldi_mfcc" | "detect_pitch_frequency" => 2e-5,
        "resample_kaiser" => 1e-6,
        "rnnt_loss" | "rnnt_loss_clamped" | "rnnt_loss_sum" => 1e-7,
        "pitch_shift" => 1e-8,
        _ => 1e-9,
    }
}

fn assert_close(got: &Tensor, expected: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let (got, expected) = (got.to_vec_f64().unwrap(), expected.to_vec_f64().unwrap());
    let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    for (i, (got, expected)) in got.into_iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= tolerance * (1.0 + largest),
            "{what}: element {i} is {got}, expected {expected}"
        );
    }
}

#[test]
fn values_and_gradients_are_those_of_torchaudio() {
    let golden = safetensors::from_bytes(include_bytes!("golden/torchaudio.safetensors")).unwrap();
    let numbered = |name: &str, kind: &str| -> BTreeMap<usize, Tensor> {
        let of = |i: usize| Some((i, golden.get(&format!("{name}.{kind}.{i}"))?.clone()));
        (0..4).filter_map(of).collect()
    };
    for &(name, function) in CASES {
        let expected = numbered(name, "gin");
        let inputs: Vec<Tensor> = numbered(name, "in")
            .into_iter()
            .map(|(i, x)| x.requires_grad(expected.contains_key(&i)).unwrap())
            .collect();
        let out = function(&inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_close(
            &out.detach(),
            &golden[&format!("{name}.out")],
            tolerance(name),
            name,
        );
        if expected.is_empty() {
            continue;
        }
        let weights = Tensor::arange(0, out.numel() as f64, 1, DType::F64)
            .unwrap()
            .cos()
            .unwrap();
        let weighted = out
            .mul(&weights.reshape(out.shape()).unwrap())
            .unwrap()
            .sum()
            .unwrap();
        let asked: Vec<&Tensor> = expected.keys().map(|&i| &inputs[i]).collect();
        let grads = grad(&[&weighted], &asked, &[], GradOptions::default()).unwrap();
        for ((i, expected), got) in expected.iter().zip(grads) {
            let what = format!("{name}: gradient {i}");
            assert_close(&got.unwrap(), expected, 100.0 * tolerance(name), &what);
        }
    }
    let known: BTreeSet<&str> = CASES.iter().map(|case| case.0).collect();
    let stored: BTreeSet<&str> = golden
        .keys()
        .filter_map(|key| Some(key.split_once('.')?.0))
        .collect();
    assert_eq!(known, stored);
}

/// The recursion is a rule of its own, and so are its gradients.
#[test]
fn gradients_of_filters_agree_with_finite_differences() {
    random::fork(0, || {
        let tracked = |x: Tensor| x.requires_grad(true).unwrap();
        let inputs = [
            tracked(Tensor::randn((2, 2, 6), DType::F64).unwrap()),
            tracked(Tensor::new([[1.0, 0.3, -0.2], [0.8, -0.1, 0.2]]).unwrap()),
            tracked(Tensor::new([[0.5, 0.2, 0.1], [1.0, 0.0, -0.3]]).unwrap()),
        ];
        let filter = |t: &[Tensor]| Ok(vec![lfilter(&t[0], &t[1], &t[2], false, true)?]);
        gradcheck(filter, &inputs, CheckOptions::default()).unwrap();
        gradgradcheck(filter, &inputs, CheckOptions::default()).unwrap();
    });
}

/// The sums over earlier samples are a rule of their own, too.
#[test]
fn gradients_of_echoes_agree_with_finite_differences() {
    random::fork(0, || {
        let x = Tensor::randn((1, 2, 14), DType::F64).unwrap().mul(0.1).unwrap();
        let inputs = [x.requires_grad(true).unwrap()];
        let options = FlangerOptions {
            delay: 0.5,
            ..FED_BACK
        };
        let echo = |t: &[Tensor]| {
            let fast = PhaserOptions {
                mod_speed: 2.0,
                ..PhaserOptions::default()
            };
            Ok(vec![flanger(&t[0], 1000, &options)?, phaser(&t[0], 1000, &fast)?])
        };
        gradcheck(echo, &inputs, CheckOptions::default()).unwrap();
        gradgradcheck(echo, &inputs, CheckOptions::default()).unwrap();
        // What is not sound is not heard before it comes.
        let later = inputs[0].detach().narrow(-1, 7, 7).unwrap();
        let silence = Tensor::zeros((1, 2, 7), DType::F64).unwrap();
        let padded = Tensor::cat(&[&silence, &later], -1).unwrap();
        let heard = flanger(&padded, 1000, &options).unwrap();
        let before = heard.narrow(-1, 0, 7).unwrap().abs().unwrap().max().unwrap();
        assert_eq!(before.item::<f64>().unwrap(), 0.0);
    });
}

#[test]
fn masks_are_where_they_are_drawn_and_nowhere_else() {
    let x = Tensor::ones((2, 3, 20, 30), DType::F32).unwrap();
    random::fork(0, || {
        let options = MaskOptions {
            mask_param: 8,
            axis: 3,
            p: 1.0,
        };
        let masked = mask_along_axis_iid(&x, &options, 0.0).unwrap();
        let of_columns = masked.sum_dim(2, false).unwrap().to_vec::<f32>().unwrap();
        let mut widths = BTreeSet::new();
        for row in of_columns.chunks(30) {
            assert!(row.iter().all(|&sum| sum == 0.0 || sum == 20.0));
            let width = row.iter().filter(|&&sum| sum == 0.0).count();
            assert!(width < 8);
            widths.insert(width);
        }
        assert!(widths.len() > 1, "every spectrogram has the same mask");
    });
}

#[test]
fn wrong_calls_say_what_was_expected() {
    let x = Tensor::zeros((2, 40), DType::F32).unwrap();
    let whole = Tensor::zeros((2, 40), DType::I64).unwrap();
    let message = |result: Result<Tensor>| result.unwrap_err().to_string();
    let short = spectrogram(
        &x,
        &hann(400, false, DType::F32).unwrap(),
        &SpectrogramOptions::default(),
    );
    assert!(message(short).starts_with("spectrogram: stft: 40 samples are too few"));
    let coefficients = [
        Tensor::ones(3, DType::F32).unwrap(),
        Tensor::ones(2, DType::F32).unwrap(),
    ];
    assert_eq!(
        message(lfilter(&x, &coefficients[0], &coefficients[1], true, true)),
        "lfilter: expected coefficients [order + 1] or [filters, order + 1] of one shape, got [3] and [2]"
    );
    assert_eq!(
        message(lowpass_biquad(&whole, 8000, 100.0, 0.7)),
        "lowpass_biquad: expected floating point numbers, got int64"
    );
    assert_eq!(
        message(resample(&x, 0, 8000, &ResampleOptions::default())),
        "resample: expected positive sample rates, got 0 and 8000"
    );
    assert_eq!(
        message(riaa_biquad(&x, 8000)),
        "riaa_biquad: expected a sample rate of 44100, 48000, 88200 or 96000, got 8000"
    );
    assert_eq!(
        message(flanger(
            &Tensor::zeros((5, 40), DType::F32).unwrap(),
            8000,
            &FED_BACK
        )),
        "flanger: expected a waveform […, channels, time] of 1 to 4 channels, got [5, 40]"
    );
    let slow = PhaserOptions {
        mod_speed: 0.0,
        ..PhaserOptions::default()
    };
    assert_eq!(
        message(phaser(&x, 8000, &slow)),
        "phaser: expected mod_speed from 0.1 to 2, got 0"
    );
    let align = |targets: [i64; 3]| {
        let log_probs = Tensor::zeros((1, 3, 4), DType::F32).unwrap();
        let targets = Tensor::from_vec(targets.to_vec(), (1, 3)).unwrap();
        message(forced_align(&log_probs, &targets, None, None, 0).map(|pair| pair.0))
    };
    assert!(align([1, 2, 4]).ends_with("target 4 is not one of 4 classes"));
    assert!(align([1, 0, 2]).ends_with("target 0 is the blank"));
    assert!(align([1, 2, 2]).ends_with("3 targets, 1 of them repeated, need more than 3 steps"));
    let logits = Tensor::zeros((1, 3, 3, 4), DType::F32).unwrap();
    let three = Tensor::new([[1i64, 2, 3]]).unwrap();
    assert!(
        message(rnnt_loss(&logits, &three, &[3], &[3], &RnntOptions::default()))
            .starts_with("rnnt_loss: logits [1, 3, 3, 4], targets [1, 3]")
    );
    assert!(message(add_noise(&x, &x, &x, None)).contains("[2, 40], [2, 40], [2, 40]"));
    assert!(message(compute_deltas(&x, 2, PadMode::Replicate)).contains("at least 3 frames"));
    assert!(message(kaldi::fbank(&x, &FbankOptions::default())).contains("frames of 2 to 40 samples"));
    let axis = MaskOptions {
        mask_param: 3,
        axis: 0,
        p: 1.0,
    };
    assert!(
        message(mask_along_axis(
            &Tensor::zeros((2, 3, 4), DType::F32).unwrap(),
            &axis,
            0.0
        ))
        .contains("axis 0")
    );
    let scale = transforms::MelScale::new(33, &MelOptions::default()).unwrap();
    assert_eq!(
        message(scale.forward(&x.unsqueeze(0).unwrap())),
        "MelScale: expected a spectrogram […, 33, frames], got [1, 2, 40]"
    );
}

#[test]
fn keys_are_those_of_torchaudio() {
    let mfcc = MFCC::new(MfccOptions::default()).unwrap();
    let keys: Vec<String> = mfcc.state_dict().into_keys().collect();
    assert_eq!(
        keys,
        [
            "MelSpectrogram.mel_scale.fb",
            "MelSpectrogram.spectrogram.window",
            "dct_mat"
        ]
    );
}
