//! Discrete Fourier transforms (`torch.fft`). Complex tensors have a last dimension of 2; `dim` never counts it.
//!
//! Three linear primitives, each over one dimension, carry all functions: complex to complex, real to (half a) complex
//! and back. The gradient of each is one of the three again.

use flambeau_kernels::fft as kernels;
pub use flambeau_kernels::fft::Direction;

use crate::amp::under_autocast;
use crate::graph::{Op, record};
use crate::ops::create::check_room;
use crate::shape::{resolve_dim, resolve_dims};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, with_float};

/// A recorded transform of complex numbers.
#[derive(Clone, Debug)]
pub struct FftOp {
    /// The dimension.
    pub dim: usize,
    /// The sign of the exponent.
    pub direction: Direction,
    /// The factor of the result.
    pub scale: f64,
}

/// A recorded transform from or to real numbers.
#[derive(Clone, Debug)]
pub struct RealFftOp {
    /// The dimension.
    pub dim: usize,
    /// Its size on the real side; the complex side has `n / 2 + 1`.
    pub n: usize,
    /// The factor of the result.
    pub scale: f64,
}

impl RealFftOp {
    /// A factor for each frequency: 1 for the first and, if n is even, for the last, which stand for themselves, and
    /// `pair` for the others, which stand for their conjugates too. Broadcasts to complex tensors of this rank.
    ///
    /// # Errors
    /// None for the dimension of the recorded transform.
    pub fn weights(&self, pair: f64, rank: usize, dtype: DType) -> Result<Tensor> {
        let half = self.n / 2 + 1;
        let alone = |k: usize| k == 0 || 2 * k == self.n;
        let weights: Vec<f64> = (0..half).map(|k| if alone(k) { 1.0 } else { pair }).collect();
        let mut shape = vec![1; rank];
        shape[self.dim] = half;
        Tensor::from_vec(weights, shape)?.to_dtype(dtype)
    }
}

/// How transforms are scaled: by 1/n backward only, forward only, or by 1/√n both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Norm {
    /// No factor forward, 1/n backward.
    #[default]
    Backward,
    /// 1/n forward, no factor backward.
    Forward,
    /// 1/√n both ways.
    Ortho,
}

impl Norm {
    /// PyTorch's name: `"backward"`, `"forward"` or `"ortho"`.
    ///
    /// # Errors
    /// `Value` for other names.
    pub fn from_name(name: &str) -> Result<Norm> {
        match name {
            "backward" => Ok(Norm::Backward),
            "forward" => Ok(Norm::Forward),
            "ortho" => Ok(Norm::Ortho),
            _ => bail!(
                Value,
                "fft: norm must be \"backward\", \"forward\" or \"ortho\", got {name:?}"
            ),
        }
    }

    fn scale(self, direction: Direction, n: usize) -> f64 {
        match (self, direction) {
            (Norm::Ortho, _) => 1.0 / (n as f64).sqrt(),
            (Norm::Backward, Direction::Inverse) | (Norm::Forward, Direction::Forward) => 1.0 / n as f64,
            _ => 1.0,
        }
    }
}

impl Value {
    /// The value with dimension `dim` as its last one but `keep`, contiguous; and the permutation back.
    fn signal_rows(&self, dim: usize, keep: usize) -> Result<Value> {
        let mut dims: Vec<usize> = (0..self.shape.len()).collect();
        let moved = dims.remove(dim);
        dims.insert(self.shape.len() - 1 - keep, moved);
        self.permuted(&dims).contiguous()
    }

    /// Undoes the permutation of [`Value::signal_rows`].
    fn with_signal_rows_back(&self, dim: usize, keep: usize) -> Value {
        let mut dims: Vec<usize> = (0..self.shape.len()).collect();
        let moved = dims.remove(self.shape.len() - 1 - keep);
        dims.insert(dim, moved);
        self.permuted(&dims)
    }
}

fn size_of(op: &str, x: &Tensor, dim: usize) -> Result<usize> {
    match x.shape().get(dim) {
        Some(&n) if n > 0 => Ok(n),
        _ => bail!(
            Shape,
            "{op}: dimension {dim} of {:?} has no data points",
            x.shape()
        ),
    }
}

/// The transform of complex numbers over one dimension, which [`FftOp`] describes.
///
/// # Errors
/// `Shape` if the dimension is empty; `DType` unless the type is `float32` or `float64`.
pub fn complex_to_complex(z: &Tensor, op: &FftOp) -> Result<Tensor> {
    under_autocast!("fft": z => complex_to_complex(z, op));
    let n = size_of("fft", z, op.dim)?;
    let x = z.read();
    let rows = x.value.signal_rows(op.dim, 1)?;
    let value = with_float!("fft", rows.dtype, T => {
        let data = rows.data::<T>()?;
        Value::build::<T>(rows.dtype, rows.shape.clone(), |out| {
            kernels::fft(data, out, n, op.direction, op.scale as T)
        })?
    });
    Ok(record(value.with_signal_rows_back(op.dim, 1), &[&x], |_| {
        Op::Fft(op.clone())
    }))
}

/// The first half of the forward transform of real numbers: `[…, n, …] → […, n / 2 + 1, …, 2]`.
///
/// # Errors
/// As [`complex_to_complex`].
pub fn real_to_complex(input: &Tensor, op: &RealFftOp) -> Result<Tensor> {
    under_autocast!("fft": input => real_to_complex(input, op));
    let n = size_of("rfft", input, op.dim)?;
    ensure!(
        n == op.n,
        Shape,
        "rfft: expected size {} in dimension {}, got {n}",
        op.n,
        op.dim
    );
    let x = input.read();
    let rows = x.value.signal_rows(op.dim, 0)?;
    let mut shape: Shape = rows.shape.clone();
    shape.remove(shape.len() - 1);
    shape.push(n / 2 + 1);
    shape.push(2);
    let value = with_float!("rfft", rows.dtype, T => {
        let data = rows.data::<T>()?;
        Value::build::<T>(rows.dtype, shape, |out| kernels::rfft(data, out, n, op.scale as T))?
    });
    Ok(record(value.with_signal_rows_back(op.dim, 1), &[&x], |_| {
        Op::Rfft(op.clone())
    }))
}

/// The inverse transform to real numbers of the first half of a hermitian row: `[…, n / 2 + 1, …, 2] → […, n, …]`.
///
/// # Errors
/// As [`complex_to_complex`].
pub fn complex_to_real(z: &Tensor, op: &RealFftOp) -> Result<Tensor> {
    under_autocast!("fft": z => complex_to_real(z, op));
    let (half, n) = (size_of("irfft", z, op.dim)?, op.n);
    ensure!(
        n > 0 && half == n / 2 + 1,
        Shape,
        "irfft: expected size {} in dimension {}, got {half}",
        n / 2 + 1,
        op.dim
    );
    let x = z.read();
    let rows = x.value.signal_rows(op.dim, 1)?;
    let mut shape: Shape = rows.shape.clone();
    shape.remove(shape.len() - 1);
    shape.remove(shape.len() - 1);
    shape.push(n);
    let value = with_float!("irfft", rows.dtype, T => {
        let data = rows.data::<T>()?;
        Value::build::<T>(rows.dtype, shape, |out| kernels::irfft(data, out, n, op.scale as T))?
    });
    Ok(record(value.with_signal_rows_back(op.dim, 0), &[&x], |_| {
        Op::Irfft(op.clone())
    }))
}

/// The tensor with size `n` in a dimension: cut off, or filled with zeros at its end.
fn resized(x: &Tensor, dim: usize, n: usize) -> Result<Tensor> {
    let size = x.shape()[dim];
    if n <= size {
        return if n == size {
            Ok(x.clone())
        } else {
            x.narrow(dim as isize, 0, n)
        };
    }
    let mut shape = x.shape().to_vec();
    shape[dim] = n - size;
    Tensor::cat(&[x, &Tensor::zeros(shape, x.dtype())?], dim as isize)
}

/// What a transform works on: dimensions and, for each, the size of the signal.
struct Plan {
    dims: Vec<usize>,
    sizes: Vec<usize>,
}

impl Plan {
    /// `rank` and `shape` without the complex dimension. `s` without `dim` means the last dimensions; a size of -1 that
    /// of the tensor. `halved` says that the last dimension holds half a spectrum, so that its default is 2(m − 1).
    fn new(
        op: &str,
        shape: &[usize],
        s: Option<&[isize]>,
        dim: Option<&[isize]>,
        halved: bool,
    ) -> Result<Plan> {
        let rank = shape.len();
        let dims: Vec<usize> = match (dim, s) {
            (Some(dim), _) => resolve_dims(op, dim, rank)?.to_vec(),
            (None, Some(s)) => {
                ensure!(
                    s.len() <= rank,
                    Shape,
                    "{op}: {} sizes for a {rank}-d tensor",
                    s.len()
                );
                (rank - s.len()..rank).collect()
            }
            (None, None) => (0..rank).collect(),
        };
        ensure!(
            s.is_none_or(|s| s.len() == dims.len()) && dims.iter().all(|&d| d < rank),
            Shape,
            "{op}: sizes {s:?} for dimensions {dim:?} of {shape:?}"
        );
        let mut sizes = Vec::new();
        for (i, &d) in dims.iter().enumerate() {
            let last = halved && i + 1 == dims.len();
            let size = match s.map_or(-1, |s| s[i]) {
                -1 if last => 2 * shape[d].saturating_sub(1),
                -1 => shape[d],
                n if n > 0 => n as usize,
                n => bail!(Value, "{op}: invalid number of data points ({n})"),
            };
            ensure!(
                size > 0,
                Value,
                "{op}: invalid number of data points (0) in dimension {d}"
            );
            check_room::<[f64; 8]>(op, size)?; // a signal, its spectrum and the factors of the transform
            sizes.push(size);
        }
        Ok(Plan { dims, sizes })
    }

    fn items(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + '_ {
        self.dims.iter().copied().zip(self.sizes.iter().copied())
    }

    /// The last dimension with its size, and the plan of the others.
    fn split_last(mut self, op: &str) -> Result<(usize, usize, Plan)> {
        match (self.dims.pop(), self.sizes.pop()) {
            (Some(dim), Some(n)) => Ok((dim, n, self)),
            _ => bail!(Dim, "{op}: at least one dimension must be transformed"),
        }
    }

    fn transform(&self, z: &Tensor, direction: Direction, norm: Norm) -> Result<Tensor> {
        self.items().try_fold(z.clone(), |z, (dim, n)| {
            let scale = norm.scale(direction, n);
            complex_to_complex(
                &resized(&z, dim, n)?,
                &FftOp {
                    dim,
                    direction,
                    scale,
                },
            )
        })
    }
}

/// The logical shape of a complex tensor.
fn complex_shape<'a>(op: &str, z: &'a Tensor) -> Result<&'a [usize]> {
    match z.shape() {
        [shape @ .., 2] => Ok(shape),
        other => bail!(
            Shape,
            "{op}: expected a complex tensor (last dimension 2), got {other:?}"
        ),
    }
}

/// Real input in a floating point type.
fn real_input(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(x.dtype().to_float())
}

/// The transform of complex numbers over the dimensions `dim` (all by default), cut or filled with zeros to sizes `s`.
/// `fft`, `fft2` and `fftn` in one.
///
/// # Errors
/// `Dim` for unknown or repeated dimensions; `Value` or `Shape` for sizes that are not positive or too many.
pub fn fftn(z: &Tensor, s: Option<&[isize]>, dim: Option<&[isize]>, norm: Norm) -> Result<Tensor> {
    Plan::new("fftn", complex_shape("fftn", z)?, s, dim, false)?.transform(z, Direction::Forward, norm)
}

/// The inverse of [`fftn`].
///
/// # Errors
/// As [`fftn`].
pub fn ifftn(z: &Tensor, s: Option<&[isize]>, dim: Option<&[isize]>, norm: Norm) -> Result<Tensor> {
    Plan::new("ifftn", complex_shape("ifftn", z)?, s, dim, false)?.transform(z, Direction::Inverse, norm)
}

/// The transform of real numbers; of the last dimension in `dim` only the first half is kept, the rest being its
/// conjugate.
///
/// # Errors
/// As [`fftn`].
pub fn rfftn(x: &Tensor, s: Option<&[isize]>, dim: Option<&[isize]>, norm: Norm) -> Result<Tensor> {
    let (last, n, others) = Plan::new("rfftn", x.shape(), s, dim, false)?.split_last("rfftn")?;
    let op = RealFftOp {
        dim: last,
        n,
        scale: norm.scale(Direction::Forward, n),
    };
    let half = real_to_complex(&resized(&real_input(x)?, last, n)?, &op)?;
    others.transform(&half, Direction::Forward, norm)
}

/// The inverse of [`rfftn`]: real numbers from half a spectrum.
///
/// # Errors
/// As [`fftn`].
pub fn irfftn(z: &Tensor, s: Option<&[isize]>, dim: Option<&[isize]>, norm: Norm) -> Result<Tensor> {
    let plan = Plan::new("irfftn", complex_shape("irfftn", z)?, s, dim, true)?;
    let (last, n, others) = plan.split_last("irfftn")?;
    let z = resized(z, last, n / 2 + 1)?;
    let scale = norm.scale(Direction::Inverse, n);
    complex_to_real(
        &others.transform(&z, Direction::Inverse, norm)?,
        &RealFftOp { dim: last, n, scale },
    )
}

/// The transform of a signal that is hermitian in time, given by its first half: real numbers.
///
/// # Errors
/// As [`fftn`].
pub fn hfftn(z: &Tensor, s: Option<&[isize]>, dim: Option<&[isize]>, norm: Norm) -> Result<Tensor> {
    let plan = Plan::new("hfftn", complex_shape("hfftn", z)?, s, dim, true)?;
    let (last, n, others) = plan.split_last("hfftn")?;
    let z = others.transform(&resized(z, last, n / 2 + 1)?, Direction::Forward, norm)?;
    let scale = norm.scale(Direction::Forward, n);
    complex_to_real(&z.conj()?, &RealFftOp { dim: last, n, scale })
}

/// The inverse of [`hfftn`]: half a hermitian signal from real numbers.
///
/// # Errors
/// As [`fftn`].
pub fn ihfftn(x: &Tensor, s: Option<&[isize]>, dim: Option<&[isize]>, norm: Norm) -> Result<Tensor> {
    let (last, n, others) = Plan::new("ihfftn", x.shape(), s, dim, false)?.split_last("ihfftn")?;
    let op = RealFftOp {
        dim: last,
        n,
        scale: norm.scale(Direction::Inverse, n),
    };
    let half = real_to_complex(&resized(&real_input(x)?, last, n)?, &op)?;
    others.transform(&half.conj()?, Direction::Inverse, norm)
}

macro_rules! over_one_dimension {
    ($($(#[$doc:meta])* $name:ident = $many:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// `Dim` if there is no such dimension; `Value` if `n` is not positive.
        pub fn $name(x: &Tensor, n: Option<usize>, dim: isize, norm: Norm) -> Result<Tensor> {
            let s = n.map(|n| [n as isize]);
            $many(x, s.as_ref().map(|s| &s[..]), Some(&[dim]), norm)
                .map_err(|error| error.context(stringify!($name)))
        }
    )* };
}
over_one_dimension! {
    /// The transform of complex numbers over one dimension, cut or filled with zeros to `n`.
    fft = fftn;
    /// The inverse of [`fft()`].
    ifft = ifftn;
    /// The first half of the transform of real numbers over one dimension.
    rfft = rfftn;
    /// The inverse of [`rfft`]; `n` is the size of the result.
    irfft = irfftn;
    /// The transform of half a hermitian signal; `n` is the size of the result.
    hfft = hfftn;
    /// The inverse of [`hfft`].
    ihfft = ihfftn;
}

/// The frequencies of a transform of `n` samples that are `d` apart: 0, 1, …, −2, −1 over `n·d`.
///
/// # Errors
/// `Value` if `n` is 0.
pub fn fftfreq(n: usize, d: f64, dtype: DType) -> Result<Tensor> {
    ensure!(n > 0, Value, "fftfreq: n must be positive, got {n}");
    check_room::<f64>("fftfreq", n)?;
    let step = 1.0 / (n as f64 * d);
    let signed = |k: usize| {
        if k < n.div_ceil(2) {
            k as f64
        } else {
            k as f64 - n as f64
        }
    };
    Tensor::from_vec((0..n).map(|k| signed(k) * step).collect::<Vec<_>>(), n)?.to_dtype(dtype)
}

/// The frequencies of [`rfft`]: 0, 1, …, n/2 over `n·d`.
///
/// # Errors
/// `Value` if `n` is 0.
pub fn rfftfreq(n: usize, d: f64, dtype: DType) -> Result<Tensor> {
    ensure!(n > 0, Value, "rfftfreq: n must be positive, got {n}");
    check_room::<f64>("rfftfreq", n / 2 + 1)?;
    let step = 1.0 / (n as f64 * d);
    let half = n / 2 + 1;
    Tensor::from_vec((0..half).map(|k| k as f64 * step).collect::<Vec<_>>(), half)?.to_dtype(dtype)
}

/// The zero frequency moved to the middle of the given dimensions (all by default). A complex tensor's dimensions must
/// be named.
///
/// # Errors
/// `Dim` if there is no such dimension.
pub fn fftshift(x: &Tensor, dim: Option<&[isize]>) -> Result<Tensor> {
    rolled("fftshift", x, dim, |n| n / 2)
}

/// The inverse of [`fftshift`].
///
/// # Errors
/// As [`fftshift`].
pub fn ifftshift(x: &Tensor, dim: Option<&[isize]>) -> Result<Tensor> {
    rolled("ifftshift", x, dim, |n| n.div_ceil(2))
}

fn rolled(op: &str, x: &Tensor, dim: Option<&[isize]>, shift: impl Fn(usize) -> usize) -> Result<Tensor> {
    let all: Vec<isize> = (0..x.rank() as isize).collect();
    dim.unwrap_or(&all).iter().try_fold(x.clone(), |x, &dim| {
        let d = resolve_dim(op, dim, x.rank())?;
        let Some(&n) = x.shape().get(d) else {
            return Ok(x);
        };
        let (shift, dim) = (shift(n), d as isize);
        let tail = x.narrow(dim, (n - shift) as isize, shift)?;
        Tensor::cat(&[&tail, &x.narrow(dim, 0, n - shift)?], dim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::complex;

    fn close(a: &Tensor, b: &Tensor) {
        assert_eq!(a.shape(), b.shape());
        for (x, y) in a.to_vec_f64().unwrap().iter().zip(b.to_vec_f64().unwrap()) {
            assert!((x - y).abs() < 1e-12, "{x} instead of {y}");
        }
    }

    fn signal() -> Tensor {
        let data: Vec<f64> = (0..42).map(|i| (i as f64 * 1.7).sin()).collect();
        Tensor::from_vec(data, (2, 3, 7)).unwrap()
    }

    #[test]
    fn every_transform_is_undone_by_its_inverse() {
        let x = signal();
        let z = complex::from_real(&x).unwrap();
        for norm in [Norm::Backward, Norm::Forward, Norm::Ortho] {
            for dim in [&[-1][..], &[0, 2], &[2, 1, 0]] {
                let s: Vec<isize> = dim.iter().map(|&d| x.size(d).unwrap() as isize).collect();
                let (s, dim) = (Some(&s[..]), Some(dim));
                close(
                    &ifftn(&fftn(&z, None, dim, norm).unwrap(), None, dim, norm).unwrap(),
                    &z,
                );
                close(
                    &irfftn(&rfftn(&x, None, dim, norm).unwrap(), s, dim, norm).unwrap(),
                    &x,
                );
                close(
                    &hfftn(&ihfftn(&x, None, dim, norm).unwrap(), s, dim, norm).unwrap(),
                    &x,
                );
            }
        }
    }

    #[test]
    fn real_and_complex_transforms_agree() {
        let x = signal();
        let whole = fft(&complex::from_real(&x).unwrap(), Some(5), 1, Norm::Backward).unwrap();
        let half = rfft(&x, Some(5), 1, Norm::Backward).unwrap();
        close(&whole.narrow(1, 0, 3).unwrap(), &half);
    }

    #[test]
    fn shifts_and_frequencies() {
        let f = fftfreq(5, 0.5, DType::F64).unwrap();
        assert_eq!(f.to_vec::<f64>().unwrap(), [0.0, 0.4, 0.8, -0.8, -0.4]);
        let shifted = fftshift(&f, None).unwrap();
        assert_eq!(shifted.to_vec::<f64>().unwrap(), [-0.8, -0.4, 0.0, 0.4, 0.8]);
        assert_eq!(
            ifftshift(&shifted, None).unwrap().to_vec::<f64>().unwrap(),
            f.to_vec::<f64>().unwrap()
        );
        assert_eq!(
            rfftfreq(4, 1.0, DType::F32).unwrap().to_vec::<f32>().unwrap(),
            [0.0, 0.25, 0.5]
        );
    }

    #[test]
    fn bad_sizes_are_errors() {
        let x = signal();
        assert!(rfft(&x, Some(0), 0, Norm::Backward).is_err());
        assert!(fft(&x, None, 0, Norm::Backward).is_err());
        assert!(rfftn(&x, Some(&[1, 2, 3, 4]), None, Norm::Backward).is_err());
        assert!(Norm::from_name("none").is_err());
    }
}
