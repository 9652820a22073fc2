//! Blurring and sharpening (`gaussian_blur`, `adjust_sharpness`).

use flambeau_tensor::ops::conv::{ConvOptions, conv2d};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::color::{check_factor, limited};
use super::{batched, dimensions, grey_or_rgb};

/// The picture convolved with a Gaussian of standard deviation `sigma` (x, y) cut off at `kernel_size` (x, y) pixels; its
/// borders are mirrored. Sigmas are `0.15·size + 0.35` unless given.
///
/// # Errors
/// `Value` unless sizes are odd and sigmas positive; `Shape` if the picture is smaller than half of the kernel.
pub fn gaussian_blur(image: &Tensor, kernel_size: [usize; 2], sigma: Option<[f64; 2]>) -> Result<Tensor> {
    let op = "gaussian_blur";
    dimensions(op, image)?;
    ensure!(
        kernel_size.iter().all(|size| size % 2 == 1),
        Value,
        "{op}: expected odd sizes of the kernel, got {kernel_size:?}"
    );
    let sigma = sigma.unwrap_or(kernel_size.map(|size| size as f64 * 0.15 + 0.35));
    ensure!(
        sigma.iter().all(|&sigma| sigma > 0.0),
        Value,
        "{op}: expected sigmas above 0, got {sigma:?}"
    );
    if image.numel() == 0 {
        return Ok(image.clone());
    }
    let dtype = image.dtype();
    let float = dtype.to_float();
    let [kx, ky] = kernel_size;
    let padding = [kx / 2, kx / 2, ky / 2, ky / 2].map(|n| n as isize);
    let horizontal = gaussian(kx, sigma[0], float)?.reshape([1, 1, 1, kx])?;
    let vertical = gaussian(ky, sigma[1], float)?.reshape([1, 1, ky, 1])?;
    let blurred = batched(&image.to_dtype(float)?, |x| {
        // The Gaussian is a product of two: one dimension after the other takes k + k steps rather than k·k.
        let x = x.pad(&padding, PadMode::Reflect, 0)?;
        each_channel(&each_channel(&x, &vertical)?, &horizontal)
    })?;
    if dtype.is_float() {
        Ok(blurred)
    } else {
        blurred.round()?.to_dtype(dtype)
    }
}

/// `exp(-x²/2σ²)` at the positions around the middle, with a sum of 1.
fn gaussian(size: usize, sigma: f64, dtype: DType) -> Result<Tensor> {
    let end = (size as f64 - 1.0) / (2.0 * 2f64.sqrt());
    let x = Tensor::linspace(-end, end, size, dtype)?;
    x.div(sigma)?.square()?.neg()?.softmax(0)
}

/// Each channel convolved with the same kernel `[1, 1, height, width]`.
fn each_channel(x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let &[batch, channels, height, width] = x.shape() else {
        return Ok(x.clone());
    };
    let planes = x.reshape([batch * channels, 1, height, width])?;
    let output = conv2d(&planes, kernel, None, &ConvOptions::default())?;
    let size = [output.shape()[2], output.shape()[3]];
    output.reshape([batch, channels, size[0], size[1]])
}

/// The picture mixed with a smoothed one: smooth for 0, unchanged for 1, sharper above. Border pixels stay as they are.
///
/// # Errors
/// `Value` for a negative factor; `Shape` unless the picture has one or three channels.
pub fn adjust_sharpness(image: &Tensor, factor: f64) -> Result<Tensor> {
    let op = "adjust_sharpness";
    check_factor(op, factor)?;
    grey_or_rgb(op, image)?;
    let [_, height, width] = dimensions(op, image)?;
    if image.numel() == 0 || height <= 2 || width <= 2 {
        return Ok(image.clone());
    }
    let dtype = image.dtype();
    let float = dtype.to_float();
    let (a, b) = (1.0 / 13.0, 5.0 / 13.0);
    let kernel = Tensor::new([[[[a, a, a], [a, b, a], [a, a, a]]]])?.to_dtype(float)?;
    let sharpened = batched(&image.to_dtype(float)?, |x| {
        let mut smooth = each_channel(x, &kernel)?;
        if !dtype.is_float() {
            smooth = smooth.round()?;
        }
        let inner = x.narrow(-2, 1, height - 2)?.narrow(-1, 1, width - 2)?;
        // Nothing is added to the border.
        let change = smooth.sub(&inner)?.mul(1.0 - factor)?;
        x.add(&change.pad(&[1; 4], PadMode::Constant, 0)?)
    })?;
    limited(&sharpened, dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_picture_stays() {
        let image = Tensor::full((3, 5, 6), 77, DType::U8).unwrap();
        for blurred in [gaussian_blur(&image, [5, 3], None), adjust_sharpness(&image, 0.3)] {
            assert!(blurred.unwrap().equal(&image).unwrap());
        }
        assert!(gaussian_blur(&image, [4, 3], None).is_err());
        assert!(gaussian_blur(&image, [3, 3], Some([0.0, 1.0])).is_err());
    }

    #[test]
    fn gradients_pass() {
        let image = Tensor::rand((1, 4, 4), DType::F64).unwrap();
        let image = image.requires_grad(true).unwrap();
        assert!(gaussian_blur(&image, [3, 3], None).unwrap().is_tracked());
        assert!(adjust_sharpness(&image, 2.0).unwrap().is_tracked());
    }
}
