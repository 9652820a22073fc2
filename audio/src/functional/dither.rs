//! Dither: noise before samples are rounded to 16 bits, so that what rounding does to them is noise too.

use flambeau_tensor::ops::windows::bartlett;
use flambeau_tensor::{Result, Tensor};

use super::{check_float, packed, time};

/// What is added before the rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DensityFunction {
    /// A triangle over the time of the sound, as in torchaudio, which draws nothing here.
    #[default]
    Tpdf,
    /// A sample of the sound less one half.
    Rpdf,
    /// The sum of seven samples of the sound.
    Gpdf,
}

/// The waveform with 16 bits for each sample, dithered as torchaudio does it; with `noise_shaping`, the error of each sample
/// is added to the next one.
///
/// # Shapes
/// `[…, time] → […, time]`.
///
/// # Errors
/// `Shape` for a 0-d tensor; `DType` unless the waveform is of floating point numbers.
pub fn dither(waveform: &Tensor, density: DensityFunction, noise_shaping: bool) -> Result<Tensor> {
    let op = "dither";
    let length = time(op, waveform)?;
    check_float(op, waveform)?;
    if waveform.numel() == 0 {
        return Ok(waveform.clone());
    }
    let x = packed(waveform, 1)?;
    let channels = x.shape()[0];
    // Never the last channel or sample, unless it is the only one: torchaudio's range ends one too early.
    let below = |size: usize| match size {
        0 | 1 => Ok(0),
        _ => Tensor::randint(0, size as i64 - 1, 1)?.item::<i64>(),
    };
    let drawn = || -> Result<Tensor> {
        let channel = below(channels)?;
        x.select(0, channel as isize)?.select(0, below(length)? as isize)
    };
    let added = match density {
        DensityFunction::Tpdf => {
            // torchaudio draws both all the same, and so the generator goes on from where it does there.
            drawn()?;
            bartlett(length, false, x.dtype())?
        }
        DensityFunction::Rpdf => drawn()?.sub(0.5)?,
        DensityFunction::Gpdf => {
            let mut sum = drawn()?;
            for _ in 0..6 {
                sum = sum.add(&drawn()?)?;
            }
            sum
        }
    };
    let levels = 32768.0;
    let dithered = x.mul(levels - 2.0)?.add(&added)?.round()?.div(levels)?;
    let shaped = if noise_shaping {
        let error = dithered.sub(&x)?.narrow(-1, 0, length - 1)?;
        let first = dithered.narrow(-1, 0, 1)?;
        let others = dithered.narrow(-1, 1, length - 1)?.add(&error)?;
        Tensor::cat(&[&first, &others], -1)?
    } else {
        dithered
    };
    shaped.reshape(waveform.shape())
}
