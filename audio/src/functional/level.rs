//! Decibels: `multiplier · log10(max(x, amin)) - multiplier · db_multiplier`, and back.

use flambeau_tensor::{Result, Tensor};

use super::check_float;

/// A spectrogram in decibels (`torchaudio.functional.amplitude_to_DB`). With `top_db`, what is further than that below the
/// maximum is raised: of the whole tensor, or, with four or more dimensions, of each `[channels, frequencies, frames]`.
///
/// ```
/// # use flambeau_audio::functional::amplitude_to_db;
/// # use flambeau_tensor::{Result, Tensor};
/// # fn main() -> Result<()> {
/// let power = Tensor::new([[1.0f32, 100.0], [1e-12, 1e4]])?;
/// let db = amplitude_to_db(&power, 10.0, 1e-10, 0.0, Some(80.0))?;
/// assert_eq!(db.to_vec::<f32>()?, [0.0, 20.0, -40.0, 40.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// `[…, frequencies, frames] → […, frequencies, frames]`.
///
/// # Errors
/// `DType` unless these are floating point numbers; `Shape` for fewer than two dimensions with `top_db`.
pub fn amplitude_to_db(
    x: &Tensor,
    multiplier: f64,
    amin: f64,
    db_multiplier: f64,
    top_db: Option<f64>,
) -> Result<Tensor> {
    check_float("amplitude_to_db", x)?;
    let db = x.clamp_min(amin)?.log10()?.mul(multiplier)?;
    let db = db.sub(multiplier * db_multiplier)?;
    let Some(top_db) = top_db else {
        return Ok(db);
    };
    let [frequencies, frames] = super::frames("amplitude_to_db", &db)?;
    if db.numel() == 0 {
        return Ok(db);
    }
    let channels = if db.rank() > 2 { db.size(-3)? } else { 1 };
    let sounds = db.numel() / (channels * frequencies * frames);
    let packed = db.reshape((sounds, channels, frequencies, frames))?;
    let least = packed.amax([-3, -2, -1], true)?.sub(top_db)?;
    packed.maximum(&least)?.reshape(db.shape())
}

/// `ref · (10^(x/10))^power`: decibels as power (`power` 1) or amplitude (½) (`torchaudio.functional.DB_to_amplitude`).
///
/// # Errors
/// `DType` unless these are floating point numbers.
pub fn db_to_amplitude(x: &Tensor, reference: f64, power: f64) -> Result<Tensor> {
    check_float("db_to_amplitude", x)?;
    let ten = Tensor::scalar_tensor(10.0, x.dtype());
    ten.pow(&x.mul(0.1)?)?.pow(power)?.mul(reference)
}
