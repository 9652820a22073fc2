//! The largest values of regions of interest (Girshick, 2015; `roi_pool`), and their position-sensitive means (Dai et
//! al., 2016; `ps_roi_pool`). Regions are rounded to whole cells.

use flambeau_tensor::{Result, Tensor};

use super::roi_align::check_position_sensitive;
use super::taps::{Channels, Real, Taps, check_bins, computed_in, read, rois, with_real};

/// The cells `start..end` of a bin along one side.
fn bin_cells<T: Real>(bin: usize, size: T, start: f64, limit: usize) -> std::ops::Range<usize> {
    let edge = |x: f64| (x + start).clamp(0.0, limit as f64) as usize;
    let (low, high) = (T::of(bin as f64) * size, T::of(bin as f64 + 1.0) * size);
    edge(low.wide().floor())..edge(high.wide().ceil())
}

/// The largest value in each bin of each region, 0 in an empty one.
///
/// # Shapes
/// features `[images, channels, height, width]`, regions `[regions, 5]` (image, x, y, x, y) →
/// `[regions, channels, output_size[0], output_size[1]]`.
///
/// # Errors
/// `Shape` or `DType` if the tensors do not fit; `Index` for a region of an image that is not there.
pub fn roi_pool(
    features: &Tensor,
    regions: &Tensor,
    output_size: [usize; 2],
    spatial_scale: f64,
) -> Result<Tensor> {
    let op = "roi_pool";
    check_bins(op, output_size)?;
    let (places, empty, channels) = with_real!(features.dtype(), T => {
        largest::<T>(op, features, regions, output_size, spatial_scale)?
    });
    let shape = [regions.shape()[0], channels, output_size[0], output_size[1]];
    if places.is_empty() {
        return features.new_zeros(shape);
    }
    let values = features.reshape([-1])?.take(&Tensor::from_vec(places, shape)?)?;
    match empty.contains(&true) {
        true => values.masked_fill(&Tensor::from_vec(empty, shape)?, 0.0),
        false => Ok(values),
    }
}

/// The place of the largest value of each bin in the features, which bins are empty, and the number of channels.
fn largest<T: Real>(
    op: &str,
    features: &Tensor,
    regions: &Tensor,
    [rows, columns]: [usize; 2],
    scale: f64,
) -> Result<(Vec<i64>, Vec<bool>, usize)> {
    let ([_, channels, height, width], regions) = rois::<T>(op, features, regions)?;
    let dtype = computed_in(features.dtype());
    let values = features.detach().to_dtype(dtype)?.to_vec::<T>()?;
    let count = regions.images.len() * channels * rows * columns;
    let (mut places, mut empty) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (image, edges) in regions.images.iter().zip(&regions.edges) {
        let [left, top, right, bottom] = edges.map(|x| (x * T::of(scale)).wide().round());
        let size = |low: f64, high: f64, bins: usize| T::of((high - low + 1.0).max(1.0)) / T::of(bins as f64);
        let (bin_height, bin_width) = (size(top, bottom, rows), size(left, right, columns));
        for channel in 0..channels {
            let first = (image * channels + channel) * height * width;
            for row in 0..rows {
                let ys = bin_cells(row, bin_height, top, height);
                for column in 0..columns {
                    let xs = bin_cells(column, bin_width, left, width);
                    let cells = ys
                        .clone()
                        .flat_map(|y| xs.clone().map(move |x| first + y * width + x));
                    let best = cells.fold(None, |best: Option<usize>, cell| match best {
                        Some(best) if values[cell] > values[best] => Some(cell),
                        None => Some(cell),
                        best => best,
                    });
                    places.push(best.unwrap_or(0) as i64);
                    empty.push(best.is_none());
                }
            }
        }
    }
    Ok((places, empty, channels))
}

/// The mean of each bin of each region, each bin in channels of its own; 0 in an empty one.
///
/// As in torchvision, the last row and column of the features belong to no bin, but its gradient counts them in: it is
/// that of the values only for regions that do not reach so far.
///
/// # Shapes
/// features `[images, channels·bins, height, width]`, regions `[regions, 5]` (image, x, y, x, y) →
/// `[regions, channels, output_size[0], output_size[1]]`.
///
/// # Errors
/// `Shape` or `DType` if the tensors do not fit; `Index` for a region of an image that is not there.
pub fn ps_roi_pool(
    features: &Tensor,
    regions: &Tensor,
    output_size: [usize; 2],
    spatial_scale: f64,
) -> Result<Tensor> {
    let op = "ps_roi_pool";
    check_position_sensitive(op, features, output_size)?;
    let (taps, gradient) = with_real!(features.dtype(), T => {
        let means = |lost| means::<T>(op, features, regions, output_size, spatial_scale, lost);
        (means(1)?, means(0)?)
    });
    read(op, features, taps, Some(gradient))
}

/// The cells of each bin but for the `lost` last rows and columns.
fn means<T: Real>(
    op: &str,
    features: &Tensor,
    regions: &Tensor,
    bins: [usize; 2],
    scale: f64,
    lost: usize,
) -> Result<Taps> {
    let (input, regions) = rois::<T>(op, features, regions)?;
    let [_, _, height, width] = input;
    let (mut cells, mut ends) = (Vec::new(), Vec::new());
    for edges in &regions.edges {
        let [left, top, right, bottom] = edges.map(|x| (x * T::of(scale)).wide().round());
        let size = |low: f64, high: f64, bins: usize| T::of((high - low).max(1.0)) / T::of(bins as f64);
        let (bin_height, bin_width) = (size(top, bottom, bins[0]), size(left, right, bins[1]));
        for row in 0..bins[0] {
            let ys = bin_cells(row, bin_height, top, height.saturating_sub(lost));
            for column in 0..bins[1] {
                let xs = bin_cells(column, bin_width, left, width.saturating_sub(lost));
                let weight = 1.0 / (ys.len() * xs.len()).max(1) as f64;
                for y in ys.clone() {
                    cells.extend(xs.clone().map(|x| ((y * width + x) as u32, weight)));
                }
                ends.push(cells.len());
            }
        }
    }
    Ok(Taps {
        input,
        bins,
        channels: Channels::PositionSensitive,
        images: regions.images,
        cells,
        ends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_autograd::{CheckOptions, gradcheck, gradgradcheck};
    use flambeau_tensor::DType;

    #[test]
    fn the_largest_of_each_bin() {
        let features = Tensor::from_vec((0..24).map(f64::from).collect::<Vec<f64>>(), (1, 1, 4, 6)).unwrap();
        let regions = Tensor::new([[0.0f64, 1.0, 0.0, 4.0, 3.0], [0.0, 9.0, 9.0, 12.0, 12.0]]).unwrap();
        let pooled = roi_pool(&features, &regions, [2, 2], 1.0).unwrap();
        assert_eq!(
            pooled.to_vec::<f64>().unwrap(),
            [8.0, 10.0, 20.0, 22.0, 0.0, 0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn gradients_of_both_orders() {
        let features = Tensor::rand((1, 4, 5, 6), DType::F64).unwrap();
        let regions = Tensor::new([[0.0f64, 0.3, 0.4, 4.2, 3.9], [0.0, 1.0, -2.0, 9.0, 3.0]]).unwrap();
        let inner = Tensor::new([[0.0f64, 0.3, 0.4, 4.2, 3.9]]).unwrap();
        let pools = |x: &[Tensor]| {
            let largest = roi_pool(&x[0], &regions, [2, 2], 1.0)?;
            let means = ps_roi_pool(&x[0], &inner, [2, 2], 1.0)?;
            Ok(vec![largest.square()?, means.square()?])
        };
        let inputs = [features.requires_grad(true).unwrap()];
        gradcheck(pools, &inputs, CheckOptions::default()).unwrap();
        gradgradcheck(pools, &inputs, CheckOptions::default()).unwrap();
    }
}
