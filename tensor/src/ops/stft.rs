//! Short-time Fourier transforms: `torch.stft` and `torch.istft`.

pub use flambeau_kernels::frames::{FrameLayout, PadMode};
use flambeau_kernels::frames::{frames, frames_backward};

use super::fft::{self, Norm};
use crate::amp::under_autocast;
use crate::graph::{Op, record};
use crate::ops::complex;
use crate::ops::create::check_room;
use crate::value::Value;
use crate::{Result, Shape, Tensor, bail, ensure, with_float};

/// Recorded frames of a signal, or the sum of frames into a signal.
#[derive(Clone, Debug)]
pub struct FramesOp {
    /// How the frames lie on the signal.
    pub layout: FrameLayout,
}

/// What `stft` and `istft` have in common.
#[derive(Clone, Copy, Debug)]
pub struct StftOptions<'a> {
    /// Samples of a transform.
    pub n_fft: usize,
    /// Samples between the beginnings of frames; a quarter of `n_fft` by default.
    pub hop_length: Option<usize>,
    /// The length of the window, which is centred in `n_fft` samples; `n_fft` by default.
    pub win_length: Option<usize>,
    /// Factors of a frame's samples; ones by default.
    pub window: Option<&'a Tensor>,
    /// Whether frame t is centred at sample `t·hop` (the signal is padded by half a frame at both ends).
    pub center: bool,
    /// What the padding of a centred `stft` holds.
    pub pad_mode: PadMode,
    /// Whether transforms are scaled by 1/√n_fft.
    pub normalized: bool,
    /// Whether only the first half of each spectrum is kept: by default, for real signals.
    pub onesided: Option<bool>,
}

impl StftOptions<'_> {
    /// PyTorch's defaults for transforms of this length.
    pub fn new(n_fft: usize) -> StftOptions<'static> {
        StftOptions {
            n_fft,
            hop_length: None,
            win_length: None,
            window: None,
            center: true,
            pad_mode: PadMode::Reflect,
            normalized: false,
            onesided: None,
        }
    }

    fn hop(&self, op: &str) -> Result<usize> {
        let hop = self.hop_length.unwrap_or(self.n_fft / 4);
        ensure!(hop > 0, Value, "{op}: hop_length must be positive, got {hop}");
        Ok(hop)
    }

    fn norm(&self) -> Norm {
        if self.normalized {
            Norm::Ortho
        } else {
            Norm::Backward
        }
    }

    /// The window in the middle of `n_fft` samples; `None` if it is all ones.
    fn full_window(&self, op: &str, like: &Tensor) -> Result<Option<Tensor>> {
        let length = self.win_length.unwrap_or(self.n_fft);
        ensure!(
            length > 0 && length <= self.n_fft,
            Value,
            "{op}: win_length must be between 1 and n_fft = {}, got {length}",
            self.n_fft
        );
        let window = match self.window {
            None if length == self.n_fft => return Ok(None),
            None => Tensor::ones(length, like.dtype())?,
            Some(window) => window.clone(),
        };
        ensure!(
            window.shape() == [length],
            Shape,
            "{op}: expected a window of length {length}, got {:?}",
            window.shape()
        );
        let left = (self.n_fft - length) / 2;
        let zeros = |n: usize| Tensor::zeros(n, window.dtype());
        let full = Tensor::cat(&[&zeros(left)?, &window, &zeros(self.n_fft - length - left)?], 0)?;
        Ok(Some(full))
    }
}

/// Overlapping frames of signals: `[…, signal] → […, count, length]`.
///
/// # Errors
/// `Shape` if the signal has another length than the layout, or is too short for its padding.
pub fn frame(signal: &Tensor, op: &FramesOp) -> Result<Tensor> {
    let layout = op.layout;
    ensure!(
        signal.shape().last() == Some(&layout.signal) && layout.pad_fits(),
        Shape,
        "frame: signals {:?} for {layout:?}",
        signal.shape()
    );
    let x = signal.read();
    let source = x.value.contiguous()?;
    let mut shape: Shape = source.shape.clone();
    shape.remove(shape.len() - 1);
    shape.push(layout.count());
    shape.push(layout.length);
    let value = with_float!("frame", source.dtype, T => {
        let data = source.data::<T>()?;
        Value::build::<T>(source.dtype, shape, |out| frames(data, out, &layout, None))?
    });
    Ok(record(value, &[&x], |_| Op::Frame(op.clone())))
}

/// Frames added up where they overlap, the adjoint of [`frame`]: `[…, count, length] → […, signal]`.
///
/// # Errors
/// `Shape` if the frames don't have the layout's count and length.
pub fn overlap_add(framed: &Tensor, op: &FramesOp) -> Result<Tensor> {
    let layout = op.layout;
    ensure!(
        framed.shape().ends_with(&[layout.count(), layout.length]) && layout.pad_fits(),
        Shape,
        "overlap_add: frames {:?} for {layout:?}",
        framed.shape()
    );
    let x = framed.read();
    let source = x.value.contiguous()?;
    let mut shape: Shape = source.shape.clone();
    shape.remove(shape.len() - 1);
    shape.remove(shape.len() - 1);
    shape.push(layout.signal);
    let value = with_float!("overlap_add", source.dtype, T => {
        let data = source.data::<T>()?;
        Value::build::<T>(source.dtype, shape, |out| frames_backward(data, out, &layout, None))?
    });
    Ok(record(value, &[&x], |_| Op::OverlapAdd(op.clone())))
}

/// The Fourier transforms of overlapping frames of real signals: `[batch?, time] → [batch?, frequencies, frames, 2]`.
///
/// # Errors
/// `Shape` unless there are one or two dimensions and the signal is long enough; `Value` for invalid lengths.
pub fn stft(signal: &Tensor, options: &StftOptions<'_>) -> Result<Tensor> {
    under_autocast!("stft": signal, window = options.window => stft(signal, &StftOptions { window, ..*options }));
    let framed = framed(signal, options)?;
    let spectra = if options.onesided.unwrap_or(true) {
        fft::rfft(&framed, None, -1, options.norm())?
    } else {
        fft::fft(&complex::from_real(&framed)?, None, -1, options.norm())?
    };
    spectra.transpose(-3, -2)
}

/// [`stft`] of complex signals, `[batch?, time, 2] → [batch?, n_fft, frames, 2]`.
///
/// # Errors
/// As [`stft`]; `Value` if half a spectrum is asked for.
pub fn stft_complex(signal: &Tensor, options: &StftOptions<'_>) -> Result<Tensor> {
    under_autocast!("stft": signal, window = options.window => stft_complex(signal, &StftOptions { window, ..*options }));
    ensure!(
        options.onesided != Some(true),
        Value,
        "stft: half a spectrum does not hold that of a complex signal"
    );
    let (real, imag) = (signal.real()?, signal.imag()?);
    let framed = complex::complex(&framed(&real, options)?, &framed(&imag, options)?)?;
    fft::fft(&framed, None, -1, options.norm())?.transpose(-3, -2)
}

/// The windowed frames of real signals.
fn framed(signal: &Tensor, options: &StftOptions<'_>) -> Result<Tensor> {
    let &[.., time] = signal.shape() else {
        bail!(
            Shape,
            "stft: expected a signal or a batch of signals, got a 0-d tensor"
        )
    };
    ensure!(
        signal.rank() <= 2 && options.n_fft > 0,
        Shape,
        "stft: expected a signal or a batch of signals and n_fft > 0, got {:?} and {}",
        signal.shape(),
        options.n_fft
    );
    let layout = FrameLayout {
        signal: time,
        pad: if options.center { options.n_fft / 2 } else { 0 },
        mode: options.pad_mode,
        length: options.n_fft,
        hop: options.hop("stft")?,
    };
    ensure!(
        layout.pad_fits() && layout.count() > 0,
        Shape,
        "stft: {time} samples are too few for frames of {} with padding {:?}",
        options.n_fft,
        layout.mode
    );
    let signal = signal.to_dtype(signal.dtype().to_float())?;
    let framed = frame(&signal, &FramesOp { layout })?;
    match options.full_window("stft", &signal)? {
        Some(window) => framed.mul(&window),
        None => Ok(framed),
    }
}

/// The signal of which [`stft`] gave these spectra: `[batch?, frequencies, frames, 2] → [batch?, length]`. Without
/// `length`, as many samples as the frames cover.
///
/// # Errors
/// `Shape` unless the spectra fit `n_fft`; `Value` where windows leave a sample without weight.
pub fn istft(spectra: &Tensor, options: &StftOptions<'_>, length: Option<usize>) -> Result<Tensor> {
    let (op, n_fft) = ("istft", options.n_fft);
    let &[.., frequencies, count, 2] = spectra.shape() else {
        bail!(
            Shape,
            "istft: expected complex spectra [batch?, frequencies, frames], got {:?}",
            spectra.shape()
        )
    };
    let onesided = options.onesided.unwrap_or(frequencies != n_fft);
    let expected = if onesided { n_fft / 2 + 1 } else { n_fft };
    ensure!(
        matches!(spectra.rank(), 3 | 4) && frequencies == expected && count > 0,
        Shape,
        "istft: expected [batch?, {expected}, frames > 0] for n_fft = {n_fft}, got {:?}",
        &spectra.shape()[..spectra.rank() - 1]
    );
    let hop = options.hop(op)?;
    let half = spectra.transpose(-3, -2)?.narrow(-2, 0, n_fft / 2 + 1)?;
    let mut framed = fft::irfft(&half, Some(n_fft), -1, options.norm())?;
    let total = hop.saturating_mul(count - 1).saturating_add(n_fft);
    check_room::<f32>(op, total)?;
    let layout = FrameLayout {
        signal: total,
        pad: 0,
        mode: PadMode::Constant,
        length: n_fft,
        hop,
    };
    let window = match options.full_window(op, &framed)? {
        Some(window) => window,
        None => Tensor::ones(n_fft, framed.dtype())?,
    };
    framed = framed.mul(&window)?;
    let weights = overlap_add(
        &window.mul(&window)?.expand((count, n_fft))?,
        &FramesOp { layout },
    )?;
    let signal = overlap_add(&framed, &FramesOp { layout })?;

    let start = if options.center { n_fft / 2 } else { 0 };
    let end = match length {
        Some(length) => start.saturating_add(length),
        None => total - start,
    };
    let covered = end.min(total).saturating_sub(start);
    let weights = weights.narrow(0, start as isize, covered)?;
    let least = weights
        .to_vec_f64()?
        .into_iter()
        .fold(f64::INFINITY, |least, w| least.min(w.abs()));
    ensure!(
        least > 1e-11,
        Value,
        "istft: the windows overlap to {least}; where that is zero the signal is lost"
    );
    let signal = signal.narrow(-1, start as isize, covered)?.div(&weights)?;
    if start + covered >= end {
        return Ok(signal);
    }
    let mut shape = signal.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = end - start - covered;
    }
    Tensor::cat(&[&signal, &Tensor::zeros(shape, signal.dtype())?], -1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istft_undoes_stft() {
        let signal: Vec<f64> = (0..128).map(|i| (i as f64 * 0.3).sin()).collect();
        let x = Tensor::from_vec(signal.clone(), (2, 64)).unwrap();
        let window = Tensor::from_vec((1..=12).map(f64::from).collect::<Vec<_>>(), 12).unwrap();
        for onesided in [true, false] {
            let options = StftOptions {
                win_length: Some(12),
                window: Some(&window),
                normalized: true,
                onesided: Some(onesided),
                ..StftOptions::new(16)
            };
            let z = stft(&x, &options).unwrap();
            assert_eq!(z.shape(), [2, if onesided { 9 } else { 16 }, 17, 2]);
            let back = istft(&z, &options, Some(64)).unwrap().to_vec::<f64>().unwrap();
            assert!(back.iter().zip(&signal).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    #[test]
    fn short_signals_are_errors() {
        let x = Tensor::zeros(4, crate::DType::F32).unwrap();
        assert!(stft(&x, &StftOptions::new(16)).is_err());
    }
}
