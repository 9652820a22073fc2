//! Convolutions of signals along their last dimension, as sums and by Fourier transforms.

use flambeau_tensor::ops::conv::{ConvOptions, Padding, conv1d};
use flambeau_tensor::ops::fft::{Norm, irfft, rfft};
use flambeau_tensor::{Result, Tensor, broadcast_shapes, ensure};

use super::check_float;

/// Which part of a convolution is returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvolveMode {
    /// All of it: `x + y - 1` samples.
    #[default]
    Full,
    /// Where the signals overlap completely.
    Valid,
    /// The middle, as long as the first signal.
    Same,
}

impl ConvolveMode {
    /// The mode of torchaudio's name.
    pub fn from_name(name: &str) -> Option<ConvolveMode> {
        match name {
            "full" => Some(ConvolveMode::Full),
            "valid" => Some(ConvolveMode::Valid),
            "same" => Some(ConvolveMode::Same),
            _ => None,
        }
    }

    fn part(self, full: &Tensor, x: usize, y: usize) -> Result<Tensor> {
        let length = match self {
            ConvolveMode::Full => return Ok(full.clone()),
            ConvolveMode::Valid => x.max(y) - x.min(y) + 1,
            ConvolveMode::Same => x,
        };
        let start = (full.size(-1)? - length) / 2;
        full.narrow(-1, start as isize, length)
    }
}

/// The lengths of both signals.
fn lengths(op: &str, x: &Tensor, y: &Tensor) -> Result<[usize; 2]> {
    check_float(op, x)?;
    check_float(op, y)?;
    ensure!(
        x.rank() == y.rank() && x.rank() > 0 && x.numel() > 0 && y.numel() > 0,
        Shape,
        "{op}: expected signals of one rank that are not empty, got {:?} and {:?}",
        x.shape(),
        y.shape()
    );
    let lead = x.rank() - 1;
    broadcast_shapes(op, &[&x.shape()[..lead], &y.shape()[..lead]])?;
    Ok([x.size(-1)?, y.size(-1)?])
}

/// The convolution of `x` and `y` by Fourier transforms, which pays for long signals.
///
/// # Shapes
/// `[…, x], […, y] → […, x + y - 1]` for [`ConvolveMode::Full`]; leading dimensions are broadcast.
///
/// # Errors
/// `Shape` for signals of other ranks; `Broadcast` if leading dimensions do not fit.
pub fn fftconvolve(x: &Tensor, y: &Tensor, mode: ConvolveMode) -> Result<Tensor> {
    let [x_length, y_length] = lengths("fftconvolve", x, y)?;
    let n = x_length + y_length - 1;
    let spectrum = |x| rfft(x, Some(n), -1, Norm::Backward);
    let product = spectrum(x)?.complex_mul(&spectrum(y)?)?;
    mode.part(&irfft(&product, Some(n), -1, Norm::Backward)?, x_length, y_length)
}

/// The convolution of `x` and `y`.
///
/// # Shapes
/// `[…, x], […, y] → […, x + y - 1]` for [`ConvolveMode::Full`]; leading dimensions are broadcast.
///
/// # Errors
/// `Shape` for signals of other ranks; `Broadcast` if leading dimensions do not fit.
pub fn convolve(x: &Tensor, y: &Tensor, mode: ConvolveMode) -> Result<Tensor> {
    let [x_length, y_length] = lengths("convolve", x, y)?;
    let (long, short) = if x_length < y_length { (y, x) } else { (x, y) };
    let lead = x.rank() - 1;
    let mut shape = broadcast_shapes("convolve", &[&x.shape()[..lead], &y.shape()[..lead]])?.to_vec();
    let signals: usize = shape.iter().product();
    let rows = |x: &Tensor| -> Result<Tensor> {
        let mut sizes = shape.clone();
        sizes.push(x.size(-1)?);
        x.expand(sizes)?.reshape((signals, x.size(-1)?))
    };
    let taps = x_length.min(y_length);
    let options = ConvOptions {
        padding: Padding::Explicit([taps - 1]),
        groups: signals,
        ..ConvOptions::default()
    };
    let kernels = rows(short)?.flip(-1)?.unsqueeze(1)?;
    let full = conv1d(&rows(long)?.unsqueeze(0)?, &kernels, None, &options)?;
    shape.push(x_length + y_length - 1);
    mode.part(&full.reshape(shape)?, x_length, y_length)
}
