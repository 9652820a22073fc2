//! How fast features change: `Σₙ n·(c[t+n] - c[t-n]) / (2·Σₙ n²)`, a regression over a window.

use flambeau_tensor::ops::conv::{ConvOptions, conv1d};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor, ensure};

use super::{check_float, packed, time};

/// The deltas of features; `mode` says what stands beyond the first and last frame.
///
/// # Shapes
/// `[…, frequencies, frames] → […, frequencies, frames]`.
///
/// # Errors
/// `Value` for a window shorter than 3; `Shape` if the mode can't fill the window.
pub fn compute_deltas(specgram: &Tensor, win_length: usize, mode: PadMode) -> Result<Tensor> {
    time("compute_deltas", specgram)?;
    check_float("compute_deltas", specgram)?;
    ensure!(
        win_length >= 3,
        Value,
        "compute_deltas: expected a window of at least 3 frames, got {win_length}"
    );
    let n = ((win_length - 1) / 2) as isize;
    let square_sum = (n * (n + 1) * (2 * n + 1)) as f64 / 3.0;
    let padded = packed(specgram, 1)?.unsqueeze(1)?.pad(&[n, n], mode, 0)?;
    let kernel = Tensor::arange(-n as f64, n as f64 + 1.0, 1, specgram.dtype())?.reshape((1, 1, -1))?;
    conv1d(&padded, &kernel, None, &ConvOptions::default())?
        .div(square_sum)?
        .reshape(specgram.shape())
}
