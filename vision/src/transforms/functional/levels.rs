//! Changes of the colours of bytes, in one pass over them. Sums of products are rounded once, as by the fused
//! instructions that PyTorch uses: levels are cut off afterwards, so that the last digit decides.

use flambeau_tensor::{Result, Tensor};

use super::dimensions;

/// `a·b + c`, rounded once to single precision (but for some of the cases where double precision is half-way).
fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

/// `0.2989·red + 0.587·green + 0.114·blue`.
fn grey(r: u8, g: u8, b: u8) -> f32 {
    let sum = f32::from(r) * 0.2989;
    fused(f32::from(b), 0.114, fused(f32::from(g), 0.587, sum))
}

/// `ratio·x + (1 - ratio)·other`, cut off at the limits of bytes.
fn mix(x: u8, other: f32, ratio: f32, rest: f32) -> u8 {
    fused(other, rest, f32::from(x) * ratio).clamp(0.0, 255.0) as u8
}

/// Calls `change` with the planes of each picture, one or three.
fn each_picture(op: &str, image: &Tensor, mut change: impl FnMut(&mut [u8], usize)) -> Result<Tensor> {
    let [channels, height, width] = dimensions(op, image)?;
    let mut bytes = image.to_vec::<u8>()?;
    let size = channels * height * width;
    if size > 0 {
        bytes
            .chunks_exact_mut(size)
            .for_each(|picture| change(picture, height * width));
    }
    Tensor::from_vec(bytes, image.shape())
}

/// The grey levels of the planes of an RGB picture, cut off.
fn greys(picture: &[u8], plane: usize) -> Vec<f32> {
    let (red, rest) = picture.split_at(plane);
    let (green, blue) = rest.split_at(plane);
    let colors = red.iter().zip(green).zip(blue);
    colors.map(|((&r, &g), &b)| grey(r, g, b).floor()).collect()
}

/// Each level times `factor`.
pub(super) fn brightness(image: &Tensor, factor: f64) -> Result<Tensor> {
    let factor = factor as f32;
    let levels: [u8; 256] = std::array::from_fn(|x| (x as f32 * factor).clamp(0.0, 255.0) as u8);
    each_picture("adjust_brightness", image, |picture, _| {
        picture.iter_mut().for_each(|x| *x = levels[usize::from(*x)]);
    })
}

/// RGB pictures mixed with their grey versions.
pub(super) fn saturation(image: &Tensor, factor: f64) -> Result<Tensor> {
    let (ratio, rest) = (factor as f32, (1.0 - factor) as f32);
    each_picture("adjust_saturation", image, |picture, plane| {
        let greys = greys(picture, plane);
        for channel in picture.chunks_exact_mut(plane) {
            channel
                .iter_mut()
                .zip(&greys)
                .for_each(|(x, &grey)| *x = mix(*x, grey, ratio, rest));
        }
    })
}

/// Pictures mixed with the mean of their grey levels.
pub(super) fn contrast(image: &Tensor, factor: f64) -> Result<Tensor> {
    let (ratio, rest) = (factor as f32, (1.0 - factor) as f32);
    each_picture("adjust_contrast", image, |picture, plane| {
        let sum: f64 = match picture.len() == plane {
            true => picture.iter().map(|&x| f64::from(x)).sum(),
            false => greys(picture, plane).into_iter().map(f64::from).sum(),
        };
        let mean = (sum / plane as f64) as f32;
        let levels: [u8; 256] = std::array::from_fn(|x| mix(x as u8, mean, ratio, rest));
        picture.iter_mut().for_each(|x| *x = levels[usize::from(*x)]);
    })
}

/// The grey levels of RGB pictures, with one channel.
pub(super) fn grayscale(op: &str, image: &Tensor) -> Result<Tensor> {
    let [channels, height, width] = dimensions(op, image)?;
    let (bytes, plane) = (image.to_vec::<u8>()?, height * width);
    let pictures = bytes.chunks_exact((channels * plane).max(1));
    let levels: Vec<u8> = pictures
        .flat_map(|picture| greys(picture, plane))
        .map(|level| level as u8)
        .collect();
    let mut shape = image.shape().to_vec();
    let at = shape.len() - 3;
    shape[at] = 1;
    Tensor::from_vec(levels, shape)
}
