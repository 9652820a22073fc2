//! Cepstral mean (and variance) normalisation over a sliding window of frames, as Kaldi has it.

use flambeau_tensor::{Result, Tensor, ensure};

use super::{check_float, frames};

/// Options of [`sliding_window_cmn`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindowOptions {
    /// Frames of a window.
    pub cmn_window: usize,
    /// Frames of the first windows, unless windows are centred.
    pub min_cmn_window: usize,
    /// Whether the frame stands in the middle of its window; otherwise at its end.
    pub center: bool,
    /// Whether variances become 1, too.
    pub norm_vars: bool,
}

impl Default for SlidingWindowOptions {
    fn default() -> Self {
        SlidingWindowOptions {
            cmn_window: 600,
            min_cmn_window: 100,
            center: false,
            norm_vars: false,
        }
    }
}

impl SlidingWindowOptions {
    /// Begin and end of the window of frame `t`.
    fn window(&self, t: usize, frames: usize) -> [usize; 2] {
        let (t, frames, window) = (t as isize, frames as isize, self.cmn_window as isize);
        let mut start = if self.center { t - window / 2 } else { t - window };
        let mut end = if self.center { start + window } else { t + 1 };
        if start < 0 {
            end -= start;
            start = 0;
        }
        if !self.center && end > t {
            end = (t + 1).max(self.min_cmn_window as isize);
        }
        if end > frames {
            start = (start - (end - frames)).max(0);
            end = frames;
        }
        [start as usize, end as usize]
    }
}

/// Features minus their mean over a window, and divided by their deviation if `norm_vars`.
///
/// As in torchaudio, sums run along with the window in the features' own type, and so do their rounding errors.
///
/// # Shapes
/// `[…, frames, features] → […, frames, features]`.
///
/// # Errors
/// `Shape` for fewer than two dimensions; `Value` for a window without frames.
pub fn sliding_window_cmn(specgram: &Tensor, options: &SlidingWindowOptions) -> Result<Tensor> {
    let op = "sliding_window_cmn";
    check_float(op, specgram)?;
    let [count, _] = frames(op, specgram)?;
    ensure!(
        options.cmn_window > 0,
        Value,
        "{op}: expected a window of at least one frame"
    );
    if count == 0 {
        return Ok(specgram.clone());
    }
    let mut last = options.window(0, count);
    let first = specgram.narrow(-2, last[0] as isize, last[1] - last[0])?;
    let mut sum = first.sum_dim(-2, false)?;
    let squares = first.square()?.cumsum(-2)?;
    let mut square_sum = squares.select(-2, squares.size(-2)? as isize - 1)?;
    let mut normalized = Vec::with_capacity(count);
    for t in 0..count {
        let window = options.window(t, count);
        if window[0] > last[0] {
            let left = specgram.select(-2, last[0] as isize)?;
            sum = sum.sub(&left)?;
            square_sum = square_sum.sub(&left.square()?)?;
        }
        if window[1] > last[1] {
            let entered = specgram.select(-2, last[1] as isize)?;
            sum = sum.add(&entered)?;
            square_sum = square_sum.add(&entered.square()?)?;
        }
        last = window;
        let size = (window[1] - window[0]) as f64;
        let frame = specgram.select(-2, t as isize)?;
        let centred = frame.sub(&sum.div(size)?)?;
        normalized.push(match (options.norm_vars, size) {
            (false, _) => centred,
            (true, 1.0) => centred.zeros_like()?,
            (true, _) => {
                let variance = square_sum.div(size)?.sub(&sum.square()?.div(size * size)?)?;
                centred.mul(&variance.pow(-0.5)?)?
            }
        });
    }
    Tensor::stack(&normalized, -2)
}
