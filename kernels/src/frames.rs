//! Overlapping frames of signals, for `torch.stft` and `torch.istft`.
//!
//! Frame f of a padded signal p covers p[f·hop], …, p[f·hop + length − 1], times the window. [`frames`] gathers them
//! without making the padded signal, [`frames_backward`] is its adjoint, and [`overlap_add`] puts frames back together.

use crate::element::Pod;
use crate::pool;
use std::ops::{Add, Mul};

/// What lies beyond the ends of a signal (`torch.nn.functional.pad`'s modes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMode {
    /// Zeros.
    Constant,
    /// The signal mirrored at its first and last element, which aren't repeated; wants a padding below the length.
    Reflect,
    /// The first and last element repeated.
    Replicate,
    /// The signal repeated; wants a padding of at most the length.
    Circular,
}

/// How frames lie on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    /// Elements of a signal.
    pub signal: usize,
    /// Elements added at either end.
    pub pad: usize,
    /// What they are.
    pub mode: PadMode,
    /// Elements of a frame.
    pub length: usize,
    /// Elements from one frame's beginning to the next one's.
    pub hop: usize,
}

impl FrameLayout {
    /// The number of frames; 0 when not even one fits, or when the hop is 0.
    pub fn count(&self) -> usize {
        let padded = self.signal + 2 * self.pad;
        if self.hop == 0 || padded < self.length {
            0
        } else {
            1 + (padded - self.length) / self.hop
        }
    }

    /// Whether the signal is long enough for its padding mode.
    pub fn pad_fits(&self) -> bool {
        self.pad == 0
            || match self.mode {
                PadMode::Constant => true,
                PadMode::Reflect => self.pad < self.signal,
                PadMode::Replicate => self.signal > 0,
                PadMode::Circular => self.pad <= self.signal,
            }
    }

    /// The element of the signal at a position of the padded signal; `None` for a zero.
    fn source(&self, position: usize) -> Option<usize> {
        let (n, pad) = (self.signal, self.pad);
        if (pad..pad + n).contains(&position) {
            return Some(position - pad);
        }
        let before = position < pad;
        match self.mode {
            PadMode::Constant => None,
            PadMode::Reflect if before => Some(pad - position),
            PadMode::Reflect => Some(2 * (n - 1) + pad - position),
            PadMode::Replicate => Some(if before { 0 } else { n - 1 }),
            PadMode::Circular if before => Some(position + n - pad),
            PadMode::Circular => Some(position - pad - n),
        }
    }

    fn check(&self, signals: usize, frames: usize, window: usize) -> usize {
        assert!(self.pad_fits(), "frames: the signal is too short for its padding");
        assert!(
            window == 0 || window == self.length,
            "frames: the window is as long as a frame"
        );
        let rows = signals.checked_div(self.signal).unwrap_or(0);
        assert!(
            signals == rows * self.signal && frames == rows * self.count() * self.length,
            "frames: signals and frames belong to the same rows"
        );
        rows
    }
}

/// Gathers the frames of signals: `[rows, signal]` → `[rows, count, length]`, times the window if there is one.
///
/// # Panics
/// When the signal is too short for its padding ([`FrameLayout::pad_fits`]) or a length doesn't match.
pub fn frames<T: Pod + Mul<Output = T>>(
    signals: &[T],
    out: &mut [T],
    layout: &FrameLayout,
    window: Option<&[T]>,
) {
    layout.check(signals.len(), out.len(), window.map_or(0, <[T]>::len));
    let (count, length) = (layout.count(), layout.length);
    let group = (8192 / length.max(1)).max(1);
    pool::parallel_chunks_mut(out, group * length, |start, piece| {
        for (i, frame) in piece.chunks_exact_mut(length).enumerate() {
            let index = start / length + i;
            let signal = &signals[index / count * layout.signal..][..layout.signal];
            let first = index % count * layout.hop;
            if first >= layout.pad && first + length <= layout.pad + layout.signal {
                frame.copy_from_slice(&signal[first - layout.pad..][..length]);
            } else {
                for (j, o) in frame.iter_mut().enumerate() {
                    *o = layout.source(first + j).map_or(T::default(), |s| signal[s]);
                }
            }
            if let Some(window) = window {
                for (o, &w) in frame.iter_mut().zip(window) {
                    *o = *o * w;
                }
            }
        }
    });
}

/// The gradient of [`frames`] with respect to the signals: `[rows, count, length]` → `[rows, signal]`.
///
/// # Panics
/// As [`frames`].
pub fn frames_backward<T: Pod + Mul<Output = T> + Add<Output = T>>(
    gradient: &[T],
    out: &mut [T],
    layout: &FrameLayout,
    window: Option<&[T]>,
) {
    layout.check(out.len(), gradient.len(), window.map_or(0, <[T]>::len));
    let (count, length) = (layout.count(), layout.length);
    pool::parallel_chunks_mut(out, layout.signal, |start, signal| {
        signal.fill(T::default());
        let row = start / layout.signal;
        let frames = &gradient[row * count * length..][..count * length];
        for f in 0..count {
            for j in 0..length {
                if let Some(source) = layout.source(f * layout.hop + j) {
                    let g = frames[f * length + j];
                    signal[source] = signal[source] + window.map_or(g, |w| g * w[j]);
                }
            }
        }
    });
}

/// Adds up frames where they overlap: `[rows, count, length]` → `[rows, (count − 1) · hop + length]`, each frame times
/// the window if there is one. (The adjoint of [`frames`] without padding.)
///
/// # Panics
/// When a length doesn't match.
pub fn overlap_add<T: Pod + Mul<Output = T> + Add<Output = T>>(
    frames: &[T],
    out: &mut [T],
    length: usize,
    count: usize,
    hop: usize,
    window: Option<&[T]>,
) {
    let layout = FrameLayout {
        signal: overlap_length(length, count, hop),
        pad: 0,
        mode: PadMode::Constant,
        length,
        hop: hop.max(1),
    };
    if count > 0 {
        frames_backward(frames, out, &layout, window);
    }
}

/// The length of `count` overlapping frames.
pub fn overlap_length(length: usize, count: usize, hop: usize) -> usize {
    if count == 0 { 0 } else { (count - 1) * hop + length }
}

/// Σ w² where `count` windows overlap: what [`overlap_add`] of windowed frames must be divided by (`torch.istft`).
pub fn window_envelope<T: Pod + Mul<Output = T> + Add<Output = T>>(
    window: &[T],
    count: usize,
    hop: usize,
) -> Vec<T> {
    let mut out = vec![T::default(); overlap_length(window.len(), count, hop)];
    let repeated = window.repeat(count);
    overlap_add(&repeated, &mut out, window.len(), count, hop, Some(window));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(mode: PadMode) -> FrameLayout {
        FrameLayout {
            signal: 5,
            pad: 2,
            mode,
            length: 4,
            hop: 2,
        }
    }

    #[test]
    fn every_padding_is_that_of_pytorch() {
        let signal = [1.0f32, 2.0, 3.0, 4.0, 5.0];
        let gathered = |mode| {
            let l = layout(mode);
            let mut out = vec![0.0; l.count() * l.length];
            frames(&signal, &mut out, &l, None);
            // Frames 0 and 2 hold the padded signal but for its last element.
            [&out[..4], &out[8..]].concat()
        };
        assert_eq!(
            gathered(PadMode::Constant),
            [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0]
        );
        assert_eq!(
            gathered(PadMode::Reflect),
            [3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 4.0]
        );
        assert_eq!(
            gathered(PadMode::Replicate),
            [1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0]
        );
        assert_eq!(
            gathered(PadMode::Circular),
            [4.0, 5.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.0]
        );
    }

    #[test]
    fn the_backward_is_the_adjoint() {
        for mode in [
            PadMode::Constant,
            PadMode::Reflect,
            PadMode::Replicate,
            PadMode::Circular,
        ] {
            let l = layout(mode);
            let window = [0.5f64, 1.0, 2.0, -1.0];
            let signals: Vec<f64> = (0..10).map(|i| (i as f64).sin()).collect();
            let mut gathered = vec![0.0; 2 * l.count() * l.length];
            frames(&signals, &mut gathered, &l, Some(&window));
            let gradient: Vec<f64> = (0..gathered.len()).map(|i| (i as f64).cos()).collect();
            let mut back = vec![0.0; 10];
            frames_backward(&gradient, &mut back, &l, Some(&window));
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            assert!(
                (dot(&gathered, &gradient) - dot(&signals, &back)).abs() < 1e-12,
                "{mode:?}"
            );
        }
    }

    #[test]
    fn overlapping_frames_rebuild_the_signal() {
        let window = [0.5f64, 1.0, 1.0, 0.5];
        let l = FrameLayout {
            signal: 8,
            pad: 0,
            mode: PadMode::Constant,
            length: 4,
            hop: 2,
        };
        let signal: Vec<f64> = (1..9).map(f64::from).collect();
        let mut gathered = vec![0.0; l.count() * 4];
        frames(&signal, &mut gathered, &l, Some(&window));
        let mut back = vec![0.0; 8];
        overlap_add(&gathered, &mut back, 4, l.count(), 2, Some(&window));
        let envelope = window_envelope(&window, l.count(), 2);
        for ((b, e), s) in back.iter().zip(&envelope).zip(&signal) {
            assert!((b / e - s).abs() < 1e-12);
        }
    }

    #[test]
    fn short_signals_have_no_frames() {
        let mut l = layout(PadMode::Reflect);
        l.signal = 2;
        assert!(!l.pad_fits());
        l.pad = 0;
        assert_eq!((l.count(), l.pad_fits()), (0, true));
        frames::<f32>(&[1.0, 2.0], &mut [], &l, None);
        assert_eq!(overlap_length(4, 0, 2), 0);
    }
}
