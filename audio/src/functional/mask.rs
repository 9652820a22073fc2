//! Bands of a spectrogram that are masked at random: "SpecAugment" (Park et al., 2019, arXiv:1904.08779).

use flambeau_tensor::{DType, Operand, Result, Tensor, ensure};

/// What [`mask_along_axis`] masks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskOptions {
    /// Bands are narrower than this.
    pub mask_param: usize,
    /// The dimension: the last (frames) or the last but one (frequencies).
    pub axis: usize,
    /// The part of the dimension that a band may take at most.
    pub p: f64,
}

impl MaskOptions {
    /// Checks the options; the widest band for this spectrogram.
    fn widest(&self, op: &str, specgram: &Tensor, least: usize) -> Result<usize> {
        let rank = specgram.rank();
        ensure!(
            rank >= least,
            Shape,
            "{op}: expected a spectrogram of at least {least} dimensions, got {:?}",
            specgram.shape()
        );
        ensure!(
            self.axis + 2 == rank || self.axis + 1 == rank,
            Dim,
            "{op}: only frequencies (axis {}) and frames (axis {}) can be masked, got axis {}",
            rank - 2,
            rank - 1,
            self.axis
        );
        ensure!(
            (0.0..=1.0).contains(&self.p),
            Value,
            "{op}: p must be between 0 and 1, got {}",
            self.p
        );
        Ok(match self.p {
            1.0 => self.mask_param,
            p => self
                .mask_param
                .min((specgram.shape()[self.axis] as f64 * p) as usize),
        })
    }
}

/// Which positions of a dimension lie in bands of random place and width, `[bands…, 1, size]`.
fn bands(shape: &[usize], widest: usize, size: usize, dtype: DType) -> Result<Tensor> {
    let width = Tensor::rand(shape, dtype)?.mul(widest as f64)?;
    let start = Tensor::rand(shape, dtype)?.mul(&width.rsub(size as f64)?)?;
    let start = start.to_dtype(DType::I64)?;
    let end = start.add(&width.to_dtype(DType::I64)?)?;
    let positions = Tensor::arange(0, size as i64, 1, DType::I64)?;
    let within = positions.ge(&start.unsqueeze(-1)?)?;
    within
        .logical_and(&positions.lt(&end.unsqueeze(-1)?)?)?
        .unsqueeze(-2)
}

/// Masks one band, the same in all spectrograms.
///
/// # Shapes
/// `[…, frequencies, frames] → […, frequencies, frames]`.
///
/// # Errors
/// `Shape` or `Dim` unless the axis is one of the last two; `Value` unless `p` is between 0 and 1.
pub fn mask_along_axis<'a>(
    specgram: &Tensor,
    options: &MaskOptions,
    mask_value: impl Into<Operand<'a>>,
) -> Result<Tensor> {
    let widest = options.widest("mask_along_axis", specgram, 2)?;
    masked(specgram, options, mask_value.into(), widest, &[])
}

/// Masks one band in each spectrogram of a batch, independently.
///
/// # Shapes
/// `[…, channels, frequencies, frames] → […, channels, frequencies, frames]`.
///
/// # Errors
/// As [`mask_along_axis`].
pub fn mask_along_axis_iid<'a>(
    specgrams: &Tensor,
    options: &MaskOptions,
    mask_value: impl Into<Operand<'a>>,
) -> Result<Tensor> {
    let widest = options.widest("mask_along_axis_iid", specgrams, 3)?;
    let lead = &specgrams.shape()[..specgrams.rank() - 2];
    masked(specgrams, options, mask_value.into(), widest, lead)
}

fn masked(
    specgram: &Tensor,
    options: &MaskOptions,
    value: Operand<'_>,
    widest: usize,
    lead: &[usize],
) -> Result<Tensor> {
    if widest == 0 {
        return Ok(specgram.clone());
    }
    // One band for all is drawn in float32 whatever the spectrogram's type.
    let dtype = if lead.is_empty() {
        DType::F32
    } else {
        specgram.dtype()
    };
    let mask = bands(lead, widest, specgram.shape()[options.axis], dtype)?;
    let mask = if options.axis + 1 == specgram.rank() {
        mask
    } else {
        mask.transpose(-1, -2)?
    };
    specgram.masked_fill(&mask, value)
}
