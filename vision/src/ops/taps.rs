//! Regions of interest read as weighted sums of single cells, a linear map with its transpose: what [`roi_align`] and the
//! position-sensitive pools are once it is known which cells they read.
//!
//! [`roi_align`]: super::roi_align

use std::ops::{Add, Div, Mul, Range, Sub};
use std::sync::Arc;

use flambeau_tensor::ops::custom::{Function, apply};
use flambeau_tensor::pool::parallel_chunks_mut;
use flambeau_tensor::{DType, Element, Result, Tensor, bail, ensure};

/// `f32` or `f64`: coordinates are computed in the precision that they come in.
pub(super) trait Real:
    Element
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// The nearest number.
    fn of(x: f64) -> Self;
    /// The same number.
    fn wide(self) -> f64;
    /// The larger one.
    fn or_more(self, other: Self) -> Self;
    /// The smaller one.
    fn or_less(self, other: Self) -> Self;
}

macro_rules! real {
    ($($t:ty)*) => { $(
        impl Real for $t {
            fn of(x: f64) -> Self {
                x as $t
            }
            fn wide(self) -> f64 {
                self.into()
            }
            fn or_more(self, other: Self) -> Self {
                self.max(other)
            }
            fn or_less(self, other: Self) -> Self {
                self.min(other)
            }
        }
    )* };
}
real!(f32 f64);

/// Evaluates `$body` with `$T` as `f64` for tensors of `float64`, and as `f32` for all others.
macro_rules! with_real {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            flambeau_tensor::DType::F64 => {
                type $T = f64;
                $body
            }
            _ => {
                type $T = f32;
                $body
            }
        }
    };
}
pub(super) use with_real;

/// Which channel of the input a channel of the output reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Channels {
    /// The same one.
    Same,
    /// Channel `c·bins + bin` for bin `bin` of channel `c`.
    PositionSensitive,
}

/// The cells that every bin of every region reads.
#[derive(Debug)]
pub(super) struct Taps {
    /// `[images, channels, height, width]` of the input.
    pub(super) input: [usize; 4],
    /// Rows and columns of bins.
    pub(super) bins: [usize; 2],
    /// Which channels are read.
    pub(super) channels: Channels,
    /// The image of each region.
    pub(super) images: Vec<usize>,
    /// Cells with their weights, bin after bin and region after region.
    pub(super) cells: Vec<(u32, f64)>,
    /// Where the cells of each bin end.
    pub(super) ends: Vec<usize>,
}

impl Taps {
    fn output(&self) -> [usize; 4] {
        let [rows, columns] = self.bins;
        let channels = match self.channels {
            Channels::Same => self.input[1],
            Channels::PositionSensitive => self.input[1] / (rows * columns),
        };
        [self.images.len(), channels, rows, columns]
    }

    fn of_bin(&self, region: usize, bin: usize) -> &[(u32, f64)] {
        let at = region * self.bins[0] * self.bins[1] + bin;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.cells[start..self.ends[at]]
    }

    /// The bins of a region that read channel `channel` of the input, and the first of their channel in the output.
    fn readers(&self, channel: usize) -> (usize, Range<usize>) {
        let bins = self.bins[0] * self.bins[1];
        match self.channels {
            Channels::Same => (channel * bins, 0..bins),
            Channels::PositionSensitive => (channel / bins * bins, channel % bins..channel % bins + 1),
        }
    }

    fn forward<T: Real>(&self, x: &[T], out: &mut [T]) {
        let [_, channels, height, width] = self.input;
        let [_, out_channels, rows, columns] = self.output();
        let (plane, bins) = (height * width, rows * columns);
        parallel_chunks_mut(out, (out_channels * bins).max(1), |start, out| {
            let region = start / (out_channels * bins);
            let image = &x[self.images[region] * channels * plane..][..channels * plane];
            for (c, out) in out.chunks_exact_mut(bins).enumerate() {
                for (bin, out) in out.iter_mut().enumerate() {
                    let channel = match self.channels {
                        Channels::Same => c,
                        Channels::PositionSensitive => c * bins + bin,
                    };
                    let values = &image[channel * plane..][..plane];
                    let taps = self.of_bin(region, bin).iter();
                    *out = taps.fold(T::of(0.0), |sum, &(cell, weight)| {
                        sum + T::of(weight) * values[cell as usize]
                    });
                }
            }
        });
    }

    fn transposed<T: Real>(&self, grad: &[T], out: &mut [T]) {
        let [images, channels, height, width] = self.input;
        let per_region: usize = self.output()[1..].iter().product();
        let plane = height * width;
        let mut of_image = vec![Vec::new(); images];
        for (region, &image) in self.images.iter().enumerate() {
            of_image[image].push(region);
        }
        // A task owns one channel of one image, so that sums are in the same order whatever the number of threads.
        parallel_chunks_mut(out, plane.max(1), |start, out| {
            let (image, channel) = (start / plane / channels, start / plane % channels);
            let (first, bins) = self.readers(channel);
            for &region in &of_image[image] {
                for bin in bins.clone() {
                    let g = grad[region * per_region + first + bin];
                    for &(cell, weight) in self.of_bin(region, bin) {
                        let cell = &mut out[cell as usize];
                        *cell = *cell + T::of(weight) * g;
                    }
                }
            }
        });
    }
}

/// The map, or its transpose.
struct TapsFunction {
    name: &'static str,
    taps: Arc<Taps>,
    transposed: bool,
    /// The map whose transpose gives the gradient, if it is another one.
    gradient: Option<Arc<Taps>>,
}

impl TapsFunction {
    fn run(&self, x: &Tensor) -> Result<Tensor> {
        let (from, to) = match self.transposed {
            false => (self.taps.input, self.taps.output()),
            true => (self.taps.output(), self.taps.input),
        };
        ensure!(
            x.shape() == from,
            Shape,
            "{}: expected {from:?}, got {:?}",
            self.name,
            x.shape()
        );
        let dtype = x.dtype();
        let computed = with_real!(dtype, T => {
            let values = x.to_dtype(T::DTYPE)?.to_vec::<T>()?;
            let mut out = vec![T::of(0.0); to.iter().product()];
            if self.transposed {
                self.taps.transposed(&values, &mut out);
            } else {
                self.taps.forward(&values, &mut out);
            }
            Tensor::from_vec(out, to)?
        });
        computed.to_dtype(dtype)
    }
}

impl Function for TapsFunction {
    fn name(&self) -> &'static str {
        self.name
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        inputs.iter().map(|x| self.run(x)).collect()
    }

    fn backward(&self, _: &[Tensor], _: &[Tensor], grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let back = Arc::new(TapsFunction {
            name: self.name,
            taps: self.gradient.as_ref().unwrap_or(&self.taps).clone(),
            transposed: !self.transposed,
            gradient: None,
        });
        let mut result = Vec::with_capacity(grads.len());
        for grad in grads {
            result.push(match grad {
                Some(grad) => apply(back.clone(), &[grad])?.pop(),
                None => None,
            });
        }
        Ok(result)
    }
}

/// The map of `taps` applied to `x` and recorded under `name`. Its gradient is its transpose's, or that of `gradient`.
pub(super) fn read(name: &'static str, x: &Tensor, taps: Taps, gradient: Option<Taps>) -> Result<Tensor> {
    let function = TapsFunction {
        name,
        taps: Arc::new(taps),
        transposed: false,
        gradient: gradient.map(Arc::new),
    };
    match apply(Arc::new(function), &[x])?.pop() {
        Some(output) => Ok(output),
        None => bail!(Backend, "{name}: no output"),
    }
}

/// Regions as plain numbers: the image of each, and its edges.
pub(super) struct Rois<T> {
    pub(super) images: Vec<usize>,
    /// Left, upper, right, lower.
    pub(super) edges: Vec<[T; 4]>,
}

/// Checks features `[images, channels, height, width]` and regions `[regions, 5]` (image, x, y, x, y), and reads the
/// latter.
pub(super) fn rois<T: Real>(op: &str, x: &Tensor, rois: &Tensor) -> Result<([usize; 4], Rois<T>)> {
    let (&[images, channels, height, width], &[count, 5]) = (x.shape(), rois.shape()) else {
        bail!(
            Shape,
            "{op}: expected features [images, channels, height, width] and regions [regions, 5], got {:?} and {:?}",
            x.shape(),
            rois.shape()
        )
    };
    ensure!(
        x.dtype().is_float() && x.dtype() == rois.dtype(),
        DType,
        "{op}: expected features and regions of one floating point type, got {} and {}",
        x.dtype(),
        rois.dtype()
    );
    ensure!(
        height * width <= u32::MAX as usize,
        Shape,
        "{op}: features of {height} x {width} are too large"
    );
    let values = rois.detach().to_dtype(T::DTYPE)?.to_vec::<T>()?;
    let mut read = Rois {
        images: Vec::with_capacity(count),
        edges: Vec::with_capacity(count),
    };
    for roi in values.chunks_exact(5) {
        let image = roi[0].wide();
        ensure!(
            image >= 0.0 && image < images as f64,
            Index,
            "{op}: a region of image {image}, there are {images}"
        );
        ensure!(
            roi[1..].iter().all(|x| x.wide().is_finite()),
            Value,
            "{op}: a region with an edge that is no number"
        );
        read.images.push(image as usize);
        read.edges.push([roi[1], roi[2], roi[3], roi[4]]);
    }
    Ok(([images, channels, height, width], read))
}

/// Boxes of several images, `[boxes, 4]` each, as regions of a batch of these.
///
/// # Shapes
/// `→ [regions, 5]`: image, x, y, x, y.
///
/// # Errors
/// `Shape` if there are none, or a tensor is not `[boxes, 4]`.
pub fn rois_of(boxes: &[Tensor]) -> Result<Tensor> {
    ensure!(
        !boxes.is_empty(),
        Shape,
        "regions: expected the boxes of one image or more"
    );
    let mut regions = Vec::with_capacity(boxes.len());
    for (image, boxes) in boxes.iter().enumerate() {
        let &[count, 4] = boxes.shape() else {
            bail!(Shape, "regions: expected [boxes, 4], got {:?}", boxes.shape())
        };
        let image = Tensor::full((count, 1), image as i64, boxes.dtype())?;
        regions.push(Tensor::cat(&[&image, boxes], 1)?);
    }
    Tensor::cat(&regions, 0)
}

/// An error unless there is at least one bin.
pub(super) fn check_bins(op: &str, bins: [usize; 2]) -> Result<()> {
    ensure!(
        bins[0] > 0 && bins[1] > 0,
        Value,
        "{op}: expected an output of one bin or more, got {bins:?}"
    );
    Ok(())
}

/// The type in which tensors of `dtype` are computed with.
pub(super) fn computed_in(dtype: DType) -> DType {
    match dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}
