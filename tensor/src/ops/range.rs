//! Series of numbers: `arange`, `linspace`, `logspace`; and `eye`, `one_hot`.

use flambeau_kernels::element::Number;
use flambeau_kernels::index as kernels;

use crate::ops::create::{check_room, checked_numel};
use crate::ops::index::outside;
use crate::value::Value;
use crate::{DType, Result, Scalar, Shape, Tensor, bail, ensure, with_float, with_integer};

/// Most elements that a series may have.
const MOST: f64 = (isize::MAX / 16) as f64;

impl Tensor {
    /// `start, start + step, …` up to but without `end` (`torch.arange`). The type is `dtype` or, by default, `int64` if
    /// all three numbers are integers and the default floating point type if not.
    ///
    /// # Errors
    /// `Value` if `step` is 0, points away from `end`, or a number is not finite; `DType` for bools.
    pub fn arange(
        start: impl Into<Scalar>,
        end: impl Into<Scalar>,
        step: impl Into<Scalar>,
        dtype: impl Into<Option<DType>>,
    ) -> Result<Tensor> {
        let (start, end, step) = (start.into(), end.into(), step.into());
        let (a, b, s) = (start.to_f64(), end.to_f64(), step.to_f64());
        let integral = [start, end, step].iter().all(|x| !matches!(x, Scalar::Float(_)));
        let dtype = dtype
            .into()
            .unwrap_or(if integral { DType::I64 } else { DType::DEFAULT });
        ensure!(
            a.is_finite() && b.is_finite() && s.is_finite() && s != 0.0 && (b - a) / s >= 0.0,
            Value,
            "arange: no series leads from {a} to {b} in steps of {s}"
        );
        let len = if integral {
            let (a, b, s) = (
                start.to_i64() as i128,
                end.to_i64() as i128,
                step.to_i64() as i128,
            );
            let (distance, s) = if s > 0 { (b - a, s) } else { (a - b, -s) };
            ((distance + s - 1) / s) as f64
        } else {
            ((b - a) / s).ceil()
        };
        ensure!(
            len < MOST,
            Value,
            "arange: {len} elements are more than memory can address"
        );
        check_room::<u8>("arange", len as usize)?;
        let shape = Shape::new(&[len as usize]);
        if dtype.is_half() {
            return Tensor::arange(start, end, step, DType::F32)?.to_dtype(dtype);
        }
        let value = if dtype.is_float() {
            with_float!("arange", dtype, T => Value::build::<T>(dtype, shape, |out| {
                fill(out, |i| <T as Number>::from_f64(a + s * i as f64));
            })?)
        } else {
            let (a, s) = (start.to_i64(), step.to_i64());
            with_integer!("arange", dtype, T => Value::build::<T>(dtype, shape, |out| {
                fill(out, |i| a.wrapping_add(s.wrapping_mul(i as i64)) as T);
            })?)
        };
        Ok(Tensor::from_value(value))
    }

    /// `steps` numbers from `start` to `end`, both included, equally far apart (`torch.linspace`).
    ///
    /// # Errors
    /// `DType` for bools.
    pub fn linspace(
        start: impl Into<Scalar>,
        end: impl Into<Scalar>,
        steps: usize,
        dtype: impl Into<Option<DType>>,
    ) -> Result<Tensor> {
        let dtype = dtype.into().unwrap_or(DType::DEFAULT);
        series("linspace", start.into(), end.into(), steps, dtype, |x| x)
    }

    /// `steps` powers of `base` with exponents from `start` to `end`, both included, equally far apart
    /// (`torch.logspace`).
    ///
    /// # Errors
    /// `DType` for bools.
    pub fn logspace(
        start: impl Into<Scalar>,
        end: impl Into<Scalar>,
        steps: usize,
        base: f64,
        dtype: impl Into<Option<DType>>,
    ) -> Result<Tensor> {
        let dtype = dtype.into().unwrap_or(DType::DEFAULT);
        series("logspace", start.into(), end.into(), steps, dtype, |x| {
            base.powf(x)
        })
    }

    /// Ones on the main diagonal of an `n × m` matrix, zeros elsewhere (`torch.eye`).
    ///
    /// # Errors
    /// `Shape` if the matrix has more elements than memory can address.
    pub fn eye(n: usize, m: usize, dtype: DType) -> Result<Tensor> {
        checked_numel("eye", &[n, m])?;
        Tensor::ones(n.min(m), dtype)?.diag(0)?.constant_pad_nd(
            &[
                0,
                m as isize - n.min(m) as isize,
                0,
                n as isize - n.min(m) as isize,
            ],
            0,
        )
    }

    /// A new last dimension with a one at the place that each element names and zeros elsewhere
    /// (`nn.functional.one_hot`). Without `classes`, as many as the largest element needs.
    ///
    /// # Shapes
    /// `[…]` of integers → `[…, classes]`, `int64`.
    ///
    /// # Errors
    /// `DType` unless the elements are integers; `Index` if one is negative or not below `classes`; `Value` if `classes`
    /// is to be inferred from nothing.
    pub fn one_hot(&self, classes: Option<usize>) -> Result<Tensor> {
        let (op, dtype) = ("one_hot", self.dtype());
        ensure!(dtype.is_integer(), DType, "{op}: expected integers, got {dtype}");
        let value = self.value().cast(DType::I64)?;
        let labels = value.data::<i64>()?;
        let classes = match (classes, labels.iter().max()) {
            (Some(classes), _) => classes,
            (None, Some(&most)) => usize::try_from(most).unwrap_or(0) + 1,
            (None, None) => bail!(
                Value,
                "{op}: the number of classes can't be inferred from no elements"
            ),
        };
        kernels::validate(labels, classes).map_err(|error| outside(op, error))?;
        let mut shape = Shape::new(self.shape());
        shape.push(classes);
        checked_numel(op, &shape)?;
        Ok(Tensor::from_value(Value::build::<i64>(
            DType::I64,
            shape,
            |out| {
                kernels::one_hot(labels, classes, out);
            },
        )?))
    }
}

fn fill<T>(out: &mut [T], f: impl Fn(usize) -> T) {
    out.iter_mut().enumerate().for_each(|(i, x)| *x = f(i));
}

/// `f` at `steps` points from `start` to `end`. The second half is counted from the end, so that the series is symmetric
/// and ends exactly.
fn series(
    op: &str,
    start: Scalar,
    end: Scalar,
    steps: usize,
    dtype: DType,
    f: impl Fn(f64) -> f64,
) -> Result<Tensor> {
    if dtype.is_half() {
        return series(op, start, end, steps, DType::F32, f)?.to_dtype(dtype);
    }
    checked_numel(op, &[steps])?;
    let shape = Shape::new(&[steps]);
    let (a, b) = if dtype.is_float() {
        (start.to_f64(), end.to_f64())
    } else {
        (start.to_i64() as f64, end.to_i64() as f64)
    };
    // As PyTorch does: ends and step have the precision of the result, and each number is rounded once.
    let rounded = |x: f64| match dtype {
        DType::F32 => f64::from(x as f32),
        _ => x,
    };
    let (a, b) = (rounded(a), rounded(b));
    let step = rounded(rounded(b - a) / steps.saturating_sub(1) as f64);
    let point = |i: usize| match i {
        0 => a,
        i if i < steps / 2 => a + step * i as f64,
        i => b - step * (steps - 1 - i) as f64,
    };
    let value = if dtype.is_float() {
        with_float!(op, dtype, T => Value::build::<T>(dtype, shape, |out| {
            fill(out, |i| <T as Number>::from_f64(f(point(i))));
        })?)
    } else {
        with_integer!(op, dtype, T => Value::build::<T>(dtype, shape, |out| {
            fill(out, |i| f(point(i)) as T);
        })?)
    };
    Ok(Tensor::from_value(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_follow_pytorch() {
        let ints = |t: Result<Tensor>| t.unwrap().to_vec::<i64>().unwrap();
        assert_eq!(ints(Tensor::arange(5, 0, -2, None)), [5, 3, 1]);
        assert_eq!(ints(Tensor::arange(0, 7, 3, None)), [0, 3, 6]);
        let x = Tensor::arange(1, 2.5, 0.5, None).unwrap();
        assert_eq!(x.to_vec::<f32>().unwrap(), [1.0, 1.5, 2.0]);
        assert!(Tensor::arange(0, 1, -1, None).is_err());
        assert!(Tensor::arange(0, f64::INFINITY, 1, None).is_err());
        assert_eq!(
            ints(Tensor::linspace(-3, 10, 6, DType::I64)),
            [-3, 0, 2, 4, 7, 10]
        );
        assert_eq!(ints(Tensor::logspace(1, 3, 4, 2.0, DType::I64)), [2, 3, 5, 8]);
        assert_eq!(
            Tensor::linspace(2, 3, 1, None).unwrap().to_vec::<f32>().unwrap(),
            [2.0]
        );
        assert_eq!(Tensor::linspace(0, 1, 0, None).unwrap().shape(), [0]);
        // The numbers of torch.linspace(0, 0.9, 10)[7:].
        let x = Tensor::linspace(0.0, 0.9, 10, None)
            .unwrap()
            .to_vec::<f32>()
            .unwrap();
        assert_eq!(x[7..], [0.7, 0.79999995, 0.9]);
    }

    #[test]
    fn identity_and_one_hot() {
        let eye = Tensor::eye(2, 3, DType::I64).unwrap();
        assert_eq!(eye.to_vec::<i64>().unwrap(), [1, 0, 0, 0, 1, 0]);
        assert_eq!(Tensor::eye(0, 0, DType::F32).unwrap().shape(), [0, 0]);
        let hot = Tensor::new([1i64, 0]).unwrap().one_hot(None).unwrap();
        assert_eq!(hot.to_vec::<i64>().unwrap(), [0, 1, 1, 0]);
        assert!(Tensor::new([3i64]).unwrap().one_hot(Some(3)).is_err());
    }
}
