//! Regions of interest sampled bilinearly (He et al., 2017; `roi_align`), and their position-sensitive version (Dai et
//! al., 2016; `ps_roi_align`). The features get a gradient, the regions do not, as in torchvision.

use flambeau_tensor::{DType, Result, Tensor, amp, ensure, promote};

use super::taps::{Channels, Real, Taps, check_bins, read, rois, with_real};

/// Options of [`roi_align`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct RoiAlignOptions {
    /// Cells of the features per unit of the regions' coordinates.
    pub spatial_scale: f64,
    /// Points sampled along each side of a bin; as many as it has cells unless given.
    pub sampling_ratio: Option<usize>,
    /// Whether coordinates are moved by half a cell, so that cells lie around their centres.
    pub aligned: bool,
}

impl Default for RoiAlignOptions {
    fn default() -> Self {
        RoiAlignOptions {
            spatial_scale: 1.0,
            sampling_ratio: None,
            aligned: false,
        }
    }
}

/// The means of points sampled in the bins of each region.
///
/// # Shapes
/// features `[images, channels, height, width]`, regions `[regions, 5]` (image, x, y, x, y) →
/// `[regions, channels, output_size[0], output_size[1]]`.
///
/// # Errors
/// `Shape` or `DType` if the tensors do not fit; `Index` for a region of an image that is not there.
pub fn roi_align(
    features: &Tensor,
    regions: &Tensor,
    output_size: [usize; 2],
    options: &RoiAlignOptions,
) -> Result<Tensor> {
    if amp::is_autocast_enabled() {
        // As torchvision's: in full width, with a result of the features' type.
        let wide = |x: &Tensor| x.to_dtype(promote(x.dtype(), DType::F32));
        let (full, regions) = (wide(features)?, wide(regions)?);
        let pooled = amp::autocast(None, || roi_align(&full, &regions, output_size, options))?;
        return pooled.to_dtype(features.dtype());
    }
    let op = "roi_align";
    check_bins(op, output_size)?;
    let taps = with_real!(features.dtype(), T => {
        sampled::<T>(op, features, regions, output_size, options, Channels::Same)?
    });
    read(op, features, taps, None)
}

/// The means of points sampled in the bins of each region, each bin in channels of its own.
///
/// # Shapes
/// features `[images, channels·bins, height, width]`, regions `[regions, 5]` (image, x, y, x, y) →
/// `[regions, channels, output_size[0], output_size[1]]`.
///
/// # Errors
/// `Shape` or `DType` if the tensors do not fit; `Index` for a region of an image that is not there.
pub fn ps_roi_align(
    features: &Tensor,
    regions: &Tensor,
    output_size: [usize; 2],
    spatial_scale: f64,
    sampling_ratio: Option<usize>,
) -> Result<Tensor> {
    let op = "ps_roi_align";
    check_position_sensitive(op, features, output_size)?;
    let options = RoiAlignOptions {
        spatial_scale,
        sampling_ratio,
        aligned: true,
    };
    let taps = with_real!(features.dtype(), T => {
        sampled::<T>(op, features, regions, output_size, &options, Channels::PositionSensitive)?
    });
    read(op, features, taps, None)
}

/// An error unless the channels can be shared out to the bins.
pub(super) fn check_position_sensitive(op: &str, features: &Tensor, bins: [usize; 2]) -> Result<()> {
    check_bins(op, bins)?;
    let channels = features.shape().get(1).copied().unwrap_or(0);
    ensure!(
        channels.is_multiple_of(bins[0] * bins[1]),
        Shape,
        "{op}: {channels} channels can't be shared out to {bins:?} bins"
    );
    Ok(())
}

/// The points sampled along one side of one region.
struct Side<T> {
    start: T,
    bin: T,
    /// Points per bin.
    points: usize,
}

impl<T: Real> Side<T> {
    fn new(low: T, high: T, bins: usize, options: &RoiAlignOptions) -> Side<T> {
        let scale = T::of(options.spatial_scale);
        let offset = T::of(if options.aligned { 0.5 } else { 0.0 });
        let (start, end) = (low * scale - offset, high * scale - offset);
        let mut length = end - start;
        if !options.aligned {
            length = length.or_more(T::of(1.0));
        }
        let bin = length / T::of(bins as f64);
        Side {
            start,
            bin,
            points: options
                .sampling_ratio
                .unwrap_or(bin.wide().ceil().max(0.0) as usize),
        }
    }

    fn point(&self, bin: usize, at: usize) -> T {
        let step = T::of(at as f64 + 0.5) * self.bin / T::of(self.points as f64);
        self.start + T::of(bin as f64) * self.bin + step
    }
}

/// The two cells around a point along one side with their weights; none if it lies more than a cell outside.
fn around<T: Real>(x: T, size: usize) -> Option<[(usize, T); 2]> {
    if x.wide() < -1.0 || x.wide() > size as f64 || size == 0 {
        return None;
    }
    let x = x.or_more(T::of(0.0));
    let low = x.wide() as usize;
    if low >= size - 1 {
        let last = size - 1;
        return Some([(last, T::of(1.0)), (last, T::of(0.0))]);
    }
    let behind = x - T::of(low as f64);
    Some([(low, T::of(1.0) - behind), (low + 1, behind)])
}

fn sampled<T: Real>(
    op: &str,
    features: &Tensor,
    regions: &Tensor,
    bins: [usize; 2],
    options: &RoiAlignOptions,
    channels: Channels,
) -> Result<Taps> {
    let (input, regions) = rois::<T>(op, features, regions)?;
    let [_, _, height, width] = input;
    let (mut cells, mut ends) = (
        Vec::new(),
        Vec::with_capacity(regions.images.len() * bins[0] * bins[1]),
    );
    for [left, top, right, bottom] in regions.edges {
        let rows = Side::new(top, bottom, bins[0], options);
        let columns = Side::new(left, right, bins[1], options);
        let count = T::of((rows.points * columns.points).max(1) as f64);
        // No bin has more points than some times the features have cells, but for nonsense.
        ensure!(
            rows.points <= 64 + 2 * height && columns.points <= 64 + 2 * width
                || options.sampling_ratio.is_some(),
            Value,
            "{op}: a region from ({left:?}, {top:?}) to ({right:?}, {bottom:?}) on features of {height} x {width}"
        );
        for row in 0..bins[0] {
            for column in 0..bins[1] {
                for iy in 0..rows.points {
                    let Some(ys) = around(rows.point(row, iy), height) else {
                        continue;
                    };
                    for ix in 0..columns.points {
                        let Some(xs) = around(columns.point(column, ix), width) else {
                            continue;
                        };
                        for (y, wy) in ys {
                            for (x, wx) in xs {
                                cells.push(((y * width + x) as u32, (wy * wx / count).wide()));
                            }
                        }
                    }
                }
                ends.push(cells.len());
            }
        }
    }
    Ok(Taps {
        input,
        bins,
        channels,
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
    fn a_plane_is_sampled_exactly() {
        // x + 10·y is reproduced by linear interpolation: a bin's mean is its value in the middle.
        let plane: Vec<f64> = (0..6 * 8).map(|i| (i % 8 + i / 8 * 10) as f64).collect();
        let features = Tensor::from_vec(plane, (1, 1, 6, 8)).unwrap();
        let regions = Tensor::new([[0.0f64, 2.0, 1.0, 6.0, 5.0]]).unwrap();
        let options = RoiAlignOptions {
            aligned: true,
            ..RoiAlignOptions::default()
        };
        let bins = roi_align(&features, &regions, [2, 2], &options)
            .unwrap()
            .to_vec::<f64>()
            .unwrap();
        let expected = [17.5, 19.5, 37.5, 39.5];
        assert!(
            bins.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
            "{bins:?}"
        );
    }

    #[test]
    fn wrong_regions_are_errors() {
        let features = Tensor::zeros((1, 4, 6, 8), DType::F32).unwrap();
        let wrong = |region: [f32; 5]| {
            let regions = Tensor::new([region]).unwrap();
            roi_align(&features, &regions, [2, 2], &RoiAlignOptions::default())
                .unwrap_err()
                .to_string()
        };
        assert!(wrong([1.0, 0.0, 0.0, 2.0, 2.0]).contains("image 1"));
        assert!(wrong([0.0, f32::NAN, 0.0, 2.0, 2.0]).contains("no number"));
        assert!(wrong([0.0, 0.0, 0.0, 1e12, 2.0]).contains("on features of 6 x 8"));
        let regions = Tensor::zeros((1, 5), DType::F32).unwrap();
        assert!(
            ps_roi_align(&features, &regions, [3, 1], 1.0, None)
                .unwrap_err()
                .to_string()
                .contains("4 channels")
        );
    }

    #[test]
    fn gradients_of_both_orders() {
        let features = Tensor::rand((2, 4, 5, 6), DType::F64).unwrap();
        let regions = Tensor::new([[0.0f64, 0.3, 0.4, 4.2, 3.9], [1.0, 1.0, -2.0, 9.0, 3.0]]).unwrap();
        let align = |x: &[Tensor]| {
            let plain = roi_align(&x[0], &regions, [2, 2], &RoiAlignOptions::default())?;
            let sensitive = ps_roi_align(&x[0], &regions, [2, 2], 0.8, Some(2))?;
            Ok(vec![plain.square()?, sensitive.square()?])
        };
        let inputs = [features.requires_grad(true).unwrap()];
        gradcheck(align, &inputs, CheckOptions::default()).unwrap();
        gradgradcheck(align, &inputs, CheckOptions::default()).unwrap();
    }
}
