"""Values and gradients of torchaudio 2.11 with PyTorch 2.15, in float64:

    python3 make_torchaudio.py

Writes torchaudio.safetensors: for each case inputs in.0, in.1, …, the result out, and the gradients gin.0, … of
sum(out * weights), where weights = cos(0, 1, 2, …) in the shape of the result (complex results as pairs).
"""

import torch

# torchaudio's wheel was built for another version of CUDA, which nothing here uses.
torch.version.cuda = "13.0"
import torchaudio.functional as F
import torchaudio.transforms as T
from torchaudio.compliance import kaldi
from safetensors.torch import save_file

torch.manual_seed(0)
D = torch.float64
x = torch.randn(2, 600, dtype=D) * 0.3
short = torch.randn(2, 60, dtype=D) * 0.3
kernel = torch.randn(2, 9, dtype=D)
window = torch.hann_window(64, dtype=D)
mel = torch.rand(2, 12, 30, dtype=D) + 0.1
a, b = torch.tensor([1.2, -0.5, 0.3, 0.1], dtype=D), torch.tensor([0.4, 0.2, -0.1, 0.3], dtype=D)
a2, b2 = torch.stack([a, a * 0.9 + 0.05]), torch.stack([b, -b])
spectrum = torch.stft(x, 64, 16, window=window, return_complex=True).detach()
number = lambda v: torch.tensor(v, dtype=D)
mfcc = T.MFCC(8000, 8, melkwargs=dict(n_fft=64, hop_length=32, n_mels=10)).double()
lfcc = T.LFCC(8000, 10, n_lfcc=6, log_lf=True, speckwargs=dict(n_fft=64, hop_length=32)).double()

own = torch.Generator().manual_seed(2)
log_probs = torch.randn(1, 14, 6, dtype=D, generator=own).log_softmax(-1)
logits = torch.randn(2, 6, 4, 5, dtype=D, generator=own)


def seeded(f, *args):
    torch.manual_seed(1)
    return f(*args)


def rnnt(z, reduction, **options):
    """In float32: torchaudio has no other precision."""
    int32 = lambda *values: torch.tensor(values, dtype=torch.int32)
    targets = int32([1, 3, 2], [2, 2, 1])
    return F.rnnt_loss(z.float(), targets, int32(6, 4), int32(3, 2), reduction=reduction, **options).double()


CASES = {
    "spectrogram": (lambda x: F.spectrogram(x, 5, window, 64, 20, 64, 2.0, True), [x]),
    "spectrogram_complex": (lambda x: torch.view_as_real(F.spectrogram(x, 0, window, 64, 20, 64, None, "frame_length", False)), [x]),
    "inverse_spectrogram": (lambda z: F.inverse_spectrogram(torch.view_as_complex(z), 590, 0, window, 64, 16, 64, "window"),
                            [torch.view_as_real(spectrum)]),
    "griffinlim": (lambda s: F.griffinlim(s, window, 64, 16, 64, 2.0, 3, 0.5, 600, False), [spectrum.abs() ** 2]),
    "phase_vocoder": (lambda z: torch.view_as_real(F.phase_vocoder(torch.view_as_complex(z), 1.37,
                      torch.linspace(0, torch.pi * 16, 33, dtype=D)[:, None])), [torch.view_as_real(spectrum)]),
    "amplitude_to_db": (lambda m: F.amplitude_to_DB(m, 20.0, 1e-10, 0.3, 6.0), [mel]),
    "db_to_amplitude": (lambda m: F.DB_to_amplitude(m, 0.7, 0.5), [mel]),
    "mu_law_decoding": (lambda c: F.mu_law_decoding(c, 256), [torch.rand(2, 40, dtype=D) * 255]),
    "compute_deltas": (lambda m: F.compute_deltas(m, 7), [mel]),
    "sliding_window_cmn": (lambda m: F.sliding_window_cmn(m, 5, 3, False, True), [mel.transpose(1, 2).contiguous()]),
    "spectral_centroid": (lambda x: F.spectral_centroid(x, 8000, 0, window, 64, 20, 64), [x]),
    "resample_down": (lambda x: F.resample(x, 12000, 8000), [short]),
    "resample_kaiser": (lambda x: F.resample(x, 8000, 11025, 12, 0.9, "sinc_interp_kaiser", 9.0), [short]),
    "convolve": (lambda x, k: F.convolve(x, k, "valid"), [short, kernel]),
    "fftconvolve": (lambda x, k: F.fftconvolve(x, k, "same"), [short, kernel]),
    "add_noise": (lambda x, n, s: F.add_noise(x, n, s, torch.tensor([60, 40])), [short, torch.randn(2, 60, dtype=D), torch.tensor([3.0, 10.0], dtype=D)]),
    "speed": (lambda x: F.speed(x, 8000, 1.25)[0], [short]),
    "preemphasis": (lambda x: F.preemphasis(x, 0.9), [short]),
    "deemphasis": (lambda x: F.deemphasis(x, 0.9), [short]),
    "lfilter": (lambda x, a, b: F.lfilter(x, a, b, False), [short, a, b]),
    "lfilter_each": (lambda x, a, b: F.lfilter(x, a, b, False), [short, a2, b2]),
    "lfilter_several": (lambda x, a, b: F.lfilter(x, a, b, True, False), [short, a2, b2]),
    "filtfilt": (lambda x, a, b: F.filtfilt(x, a, b, False), [short, a, b]),
    "lowpass_biquad": (lambda x, f, q: F.lowpass_biquad(x, 8000, f, q), [short, number(900.0), number(0.8)]),
    "highpass_biquad": (lambda x, f, q: F.highpass_biquad(x, 8000, f, q), [short, number(900.0), number(0.8)]),
    "allpass_biquad": (lambda x, f, q: F.allpass_biquad(x, 8000, f, q), [short, number(900.0), number(0.8)]),
    "bandreject_biquad": (lambda x, f, q: F.bandreject_biquad(x, 8000, f, q), [short, number(900.0), number(0.8)]),
    "bandpass_biquad": (lambda x, f, q: F.bandpass_biquad(x, 8000, f, q, True), [short, number(900.0), number(0.8)]),
    "band_biquad": (lambda x, f, q: F.band_biquad(x, 8000, f, q, True), [short, number(900.0), number(0.8)]),
    "equalizer_biquad": (lambda x, f, g, q: F.equalizer_biquad(x, 8000, f, g, q), [short, number(900.0), number(5.0), number(0.8)]),
    "bass_biquad": (lambda x, g, f, q: F.bass_biquad(x, 8000, g, f, q), [short, number(4.0), number(200.0), number(0.8)]),
    "treble_biquad": (lambda x, g, f, q: F.treble_biquad(x, 8000, g, f, q), [short, number(4.0), number(2000.0), number(0.8)]),
    "deemph_biquad": (lambda x: F.deemph_biquad(x, 44100), [short]),
    "riaa_biquad": (lambda x: F.riaa_biquad(x, 48000), [short]),
    "gain": (lambda x: F.gain(x, 3.0), [short]),
    "contrast": (lambda x: F.contrast(x, 60.0), [short]),
    "dcshift": (lambda x: F.dcshift(x, 0.4), [short]),
    "dcshift_limited": (lambda x: F.dcshift(x.clone(), 0.5, 0.05), [short * 3]),
    "dcshift_limited_down": (lambda x: F.dcshift(x.clone(), -0.5, 0.05), [short * 3]),
    "overdrive": (lambda x: F.overdrive(x, 10.0, 30.0), [short]),
    "phaser": (lambda x: F.phaser(x, 8000), [x]),
    "phaser_triangular": (lambda x: F.phaser(x, 8000, 0.8, 0.9, 1.7, 0.7, 1.9, False), [x]),
    "flanger": (lambda x: F.flanger(x, 8000), [x]),
    "flanger_fed_back": (lambda x: F.flanger(x, 8000, 1.3, 4.0, -40.0, 90.0, 6.0, 30.0, "triangular", "quadratic"), [x]),
    "dither": (lambda x: F.dither(x), [short]),
    "dither_shaped": (lambda x: F.dither(x, noise_shaping=True), [short]),
    "dither_rpdf": (lambda x: seeded(F.dither, x, "RPDF"), [short]),
    "dither_gpdf": (lambda x: seeded(F.dither, x.clone(), "GPDF"), [short]),
    "forced_align": (lambda p: F.forced_align(p, torch.tensor([[2, 2, 4, 1]]))[1], [log_probs]),
    "rnnt_loss": (lambda z: rnnt(z, "mean"), [logits]),
    "rnnt_loss_clamped": (lambda z: rnnt(z, "none", blank=0, clamp=0.2), [logits]),
    "rnnt_loss_sum": (lambda z: rnnt(z, "sum", fused_log_softmax=False), [logits.log_softmax(-1)]),
    "loudness": (lambda x: F.loudness(x, 1000), [torch.randn(2, 1500, dtype=D) * 0.1]),
    "pitch_shift": (lambda x: F.pitch_shift(x, 8000, 3, n_fft=64, window=window), [x]),
    "detect_pitch_frequency": (lambda x: F.detect_pitch_frequency(x, 8000), [torch.sin(torch.arange(8000, dtype=D) * 0.2)]),
    "mfcc": (mfcc, [x]),
    "lfcc": (lfcc, [x]),
    "kaldi_fbank": (lambda x: kaldi.fbank(x, num_mel_bins=10, sample_frequency=8000.0, use_energy=True, snip_edges=False, raw_energy=False,
                    vtln_warp=1.1, window_type="hamming", subtract_mean=True), [x]),
    "kaldi_mfcc": (lambda x: kaldi.mfcc(x, num_mel_bins=10, num_ceps=7, sample_frequency=8000.0, htk_compat=True), [x]),
    "kaldi_spectrogram": (lambda x: kaldi.spectrogram(x, sample_frequency=8000.0, window_type="blackman"), [x]),
}
# Where torchaudio itself writes into its results, or draws no gradient through them.
PLAIN = {"flanger", "flanger_fed_back", "forced_align", "griffinlim", "sliding_window_cmn", "dcshift_limited", "dcshift_limited_down", "overdrive", "detect_pitch_frequency",
         "kaldi_spectrogram", "kaldi_mfcc"}

file = {}
for name, (f, inputs) in CASES.items():
    try:
        inputs = [t.clone().requires_grad_(name not in PLAIN) for t in inputs]
        out = f(*inputs)
    except Exception as error:
        print(name, type(error).__name__, str(error)[:200])
        continue
    file[f"{name}.out"] = out.detach().contiguous()
    for i, t in enumerate(inputs):
        file[f"{name}.in.{i}"] = t.detach().contiguous()
    if name not in PLAIN:
        weights = torch.cos(torch.arange(out.numel(), dtype=D)).reshape(out.shape)
        for i, g in enumerate(torch.autograd.grad((out * weights).sum(), inputs, allow_unused=True)):
            if g is not None:
                file[f"{name}.gin.{i}"] = g.contiguous()
save_file(file, "torchaudio.safetensors")
