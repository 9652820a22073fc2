//! Types, normalisation and noise (`to_dtype`, `normalize`, `gaussian_noise`).

use flambeau_tensor::pool::parallel_chunks_mut;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{dimensions, max_value};

/// The picture in another type. With `scale`, the limits of one type become those of the other: bytes from 0 to 255
/// become floats from 0 to 1. Without, values stay.
///
/// # Errors
/// `DType` for floats that are scaled to an integer type with more digits than they have.
pub fn to_dtype(image: &Tensor, dtype: DType, scale: bool) -> Result<Tensor> {
    let from = image.dtype();
    if from == dtype || !scale || (from.is_float() && dtype.is_float()) {
        return image.to_dtype(dtype);
    }
    match (from.is_float(), dtype.is_float()) {
        (true, _) => {
            let exact = !matches!(
                (from, dtype),
                (DType::F32, DType::I32 | DType::I64) | (DType::F64, DType::I64)
            );
            ensure!(
                exact,
                DType,
                "to_dtype: {from} has not enough digits for the levels of {dtype}"
            );
            // A little less than one level more, so that all levels get a range of the same length.
            image.mul(max_value(dtype) + 1.0 - 1e-3)?.to_dtype(dtype)
        }
        (false, true) => image.to_dtype(dtype)?.mul(1.0 / max_value(from)),
        (false, false) => {
            let bits = |dtype: DType| (max_value(dtype) + 1.0).log2() as i64;
            match bits(dtype) - bits(from) {
                more if more >= 0 => image.to_dtype(dtype)?.bitwise_left_shift(more),
                fewer => image.bitwise_right_shift(-fewer)?.to_dtype(dtype),
            }
        }
    }
}

fn check_statistics(op: &str, image: &Tensor, mean: &[f64], std: &[f64]) -> Result<[usize; 3]> {
    let [channels, height, width] = dimensions(op, image)?;
    let fits = |values: &[f64]| values.len() == 1 || values.len() == channels || channels == 1;
    ensure!(
        fits(mean) && fits(std) && !mean.is_empty() && !std.is_empty(),
        Shape,
        "{op}: {} means and {} standard deviations for {channels} channels",
        mean.len(),
        std.len()
    );
    ensure!(
        std.iter().all(|&std| std != 0.0),
        Value,
        "{op}: a standard deviation is 0: {std:?}"
    );
    Ok([channels, height, width])
}

/// `(image - mean)/std`, with a mean and a standard deviation for each channel, or one for all.
///
/// # Errors
/// `DType` unless the picture is of a floating point type; `Shape` if the numbers do not fit the channels; `Value` if a
/// standard deviation is 0.
pub fn normalize(image: &Tensor, mean: &[f64], std: &[f64]) -> Result<Tensor> {
    let dtype = image.dtype();
    ensure!(
        dtype.is_float(),
        DType,
        "normalize: expected a picture of floats, got {dtype}; use to_dtype"
    );
    check_statistics("normalize", image, mean, std)?;
    let column = |values: &[f64]| Tensor::from_slice(values, (values.len(), 1, 1))?.to_dtype(dtype);
    image.sub(&column(mean)?)?.div(&column(std)?)
}

/// Bytes as normalised `float32`: what [`to_dtype`] with `scale` and [`normalize`] give, bit for bit, by looking up each
/// of the 256 levels.
///
/// # Errors
/// `DType` unless the picture is of bytes; `Shape` unless there is a mean and a standard deviation for each channel, or
/// one for all; `Value` if a standard deviation is 0.
pub fn normalize_bytes(image: &Tensor, mean: &[f64], std: &[f64]) -> Result<Tensor> {
    let op = "normalize_bytes";
    ensure!(
        image.dtype() == DType::U8,
        DType,
        "{op}: expected a picture of bytes, got {}",
        image.dtype()
    );
    let [channels, height, width] = check_statistics(op, image, mean, std)?;
    ensure!(
        mean.len() <= channels && std.len() <= channels,
        Shape,
        "{op}: {} means and {} standard deviations for {channels} channels",
        mean.len(),
        std.len()
    );
    let levels: Vec<u8> = (0..=255).collect();
    let levels = Tensor::from_vec(levels, (1, 1, 256))?.expand([channels, 1, 256])?;
    let table = normalize(&to_dtype(&levels, DType::F32, true)?, mean, std)?.to_vec::<f32>()?;
    let (tables, _) = table.as_chunks::<256>();
    let bytes = image.to_vec::<u8>()?;
    let plane = (height * width).max(1);
    Tensor::filled_by(image.shape(), |values: &mut [f32]| {
        parallel_chunks_mut(values, plane, |start, out| {
            let table = &tables[start / plane % channels];
            for (out, &byte) in out.iter_mut().zip(&bytes[start..]) {
                *out = table[usize::from(byte)];
            }
        });
    })
}

/// The picture with normal noise added, and cut off at the limits of its type if `clip`. `mean` and `sigma` are in parts
/// of the full range.
///
/// # Errors
/// `Value` for a negative `sigma`; `DType` unless the picture is of bytes or floats.
pub fn gaussian_noise(image: &Tensor, mean: f64, sigma: f64, clip: bool) -> Result<Tensor> {
    let op = "gaussian_noise";
    ensure!(
        sigma >= 0.0,
        Value,
        "{op}: expected a sigma of at least 0, got {sigma}"
    );
    let dtype = image.dtype();
    let bound = |x: Tensor, max: f64| {
        if clip {
            x.clamp(Some(0.0.into()), Some(max.into()))
        } else {
            Ok(x)
        }
    };
    if dtype.is_float() {
        let noise = image.randn_like()?.mul(sigma)?.add(mean)?;
        return bound(image.add(&noise)?, 1.0);
    }
    ensure!(
        dtype == DType::U8,
        DType,
        "{op}: expected a picture of bytes or floats, got {dtype}"
    );
    let noise = Tensor::randn(image.shape(), DType::F32)?
        .mul(sigma * 255.0)?
        .add(mean * 255.0)?;
    bound(image.add(&noise.to_dtype(DType::I16)?)?, 255.0)?.to_dtype(DType::U8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_their_place() {
        let bytes = Tensor::new([[[0u8, 1, 128, 255]]]).unwrap();
        let floats = to_dtype(&bytes, DType::F32, true).unwrap();
        assert_eq!(floats.to_vec::<f32>().unwrap()[3], 1.0);
        assert!(to_dtype(&floats, DType::U8, true).unwrap().equal(&bytes).unwrap());
        let wide = to_dtype(&bytes, DType::I16, true).unwrap();
        assert_eq!(wide.to_vec::<i16>().unwrap(), [0, 128, 16384, 32640]);
        assert!(to_dtype(&wide, DType::U8, true).unwrap().equal(&bytes).unwrap());
        assert!(to_dtype(&floats, DType::I64, true).is_err());
    }

    #[test]
    fn bytes_are_normalised_as_floats_are() {
        let bytes: Vec<u8> = (0..2 * 3 * 4 * 5).map(|i| (i * 7 % 256) as u8).collect();
        let bytes = Tensor::from_vec(bytes, (2, 3, 4, 5)).unwrap();
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let expected = normalize(&to_dtype(&bytes, DType::F32, true).unwrap(), &mean, &std).unwrap();
        assert!(
            normalize_bytes(&bytes, &mean, &std)
                .unwrap()
                .equal(&expected)
                .unwrap()
        );
        assert!(normalize(&bytes, &mean, &std).is_err());
        assert!(
            normalize_bytes(&bytes, &mean, &[0.0])
                .unwrap_err()
                .to_string()
                .contains("is 0")
        );
    }
}
