//! Random tensors from seeded generators whose streams are PyTorch's.
//!
//! Functions that take no generator draw from the process's default one, which [`manual_seed`] seeds. For a stream of
//! one's own there is [`Generator`] with the methods of [`Sample`]. The numbers never depend on the number of threads.
//!
//! # Example: the numbers of `torch.manual_seed(0); torch.rand(3)`
//!
//! ```
//! use flambeau_tensor::{DType, Tensor, random};
//!
//! random::manual_seed(0);
//! let x = Tensor::rand(3, DType::F32)?;
//! assert_eq!(x.to_vec::<f32>()?, [0.49625659, 0.76822180, 0.08847743]);
//! # Ok::<(), flambeau_tensor::Error>(())
//! ```

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flambeau_kernels::random::DEFAULT_SEED;
pub use flambeau_kernels::random::{Generator, GeneratorState};

use crate::ops::create::checked_numel;
use crate::value::Value;
use crate::{DType, Error, IntoShape, Result, Shape, Tensor, bail, ensure, with_stored};

static DEFAULT: Mutex<Option<Generator>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Generator>> {
    DEFAULT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A default generator of a thread's own, which is made when it is first drawn from.
struct Forked {
    seed: u64,
    generator: Option<Box<Generator>>,
}

thread_local! {
    static FORKED: RefCell<Option<Forked>> = const { RefCell::new(None) };
}

/// Runs `f` with a default generator of this thread's own, seeded with `seed`; afterwards the thread has the one that
/// it had before (`torch.random.fork_rng`, then `torch.manual_seed`).
///
/// What `f` draws neither depends on other draws nor disturbs them. Seeding costs nothing unless `f` draws.
///
/// ```
/// use flambeau_tensor::{DType, Tensor, random};
///
/// let draw = || random::fork(7, || Tensor::rand(2, DType::F32)?.to_vec::<f32>());
/// assert_eq!(draw()?, draw()?);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub fn fork<R>(seed: u64, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Forked>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORKED.set(self.0.take());
        }
    }
    let forked = Forked {
        seed,
        generator: None,
    };
    let _restore = Restore(FORKED.replace(Some(forked)));
    f()
}

/// Seeds the default generator (`torch.manual_seed`).
pub fn manual_seed(seed: u64) {
    with_default(|generator| generator.manual_seed(seed));
}

/// Runs `f` with the default generator.
pub fn with_default<R>(f: impl FnOnce(&mut Generator) -> R) -> R {
    let mut f = Some(f);
    let forked = FORKED.with_borrow_mut(|forked| {
        let Forked { seed, generator } = forked.as_mut()?;
        let generator = generator.get_or_insert_with(|| Box::new(Generator::new(*seed)));
        f.take().map(|f| f(generator))
    });
    match (forked, f) {
        (Some(result), _) => result,
        (None, Some(f)) => f(lock().get_or_insert_with(|| Generator::new(DEFAULT_SEED))),
        (None, None) => unreachable!("`f` is taken only where its result is returned"),
    }
}

/// The state of the default generator (`torch.get_rng_state`).
pub fn state() -> GeneratorState {
    with_default(|generator| generator.state())
}

/// Sets the state of the default generator (`torch.set_rng_state`).
///
/// # Errors
/// `Value` if the state is not one that a generator can be in.
pub fn set_state(state: GeneratorState) -> Result<()> {
    with_default(|generator| generator.set_state(state))
        .map_err(|e| Error::Value(format!("set_state: {e:?}")))
}

/// Evaluates `$body` with `$T` standing for a floating point type; other types are an error of the operation `$op`.
macro_rules! with_any_float {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        $crate::with_type_of!(
            $dtype, $T => $body, F16: half::f16, BF16: half::bf16, F32: f32, F64: f64;
            other => bail!(DType, "{}: expected a floating point type, got {other}", $op)
        )
    };
}

/// Random tensors drawn from a [`Generator`].
pub trait Sample {
    /// Uniform numbers in `[0, 1)`.
    ///
    /// # Errors
    /// `DType` unless `dtype` is a floating point type.
    fn rand(&mut self, shape: impl IntoShape, dtype: DType) -> Result<Tensor>;

    /// Standard normal numbers.
    ///
    /// # Errors
    /// `DType` unless `dtype` is a floating point type.
    fn randn(&mut self, shape: impl IntoShape, dtype: DType) -> Result<Tensor>;

    /// Uniform integers in `[low, high)`.
    ///
    /// # Errors
    /// `Value` unless `low < high`.
    fn randint(&mut self, low: i64, high: i64, shape: impl IntoShape, dtype: DType) -> Result<Tensor>;

    /// The numbers `0, …, n - 1` in random order, as `int64`.
    ///
    /// # Errors
    /// `Shape` if `n` is more than memory can address.
    fn randperm(&mut self, n: usize) -> Result<Tensor>;

    /// 1 with the probability given for each element, else 0.
    ///
    /// # Errors
    /// `DType` unless the probabilities are floating point numbers; `Value` if one is outside `[0, 1]`.
    fn bernoulli(&mut self, probabilities: &Tensor) -> Result<Tensor>;

    /// `samples` indices drawn by each row's weights, as `int64`.
    ///
    /// # Shapes
    /// `[categories] → [samples]`, `[rows, categories] → [rows, samples]`.
    ///
    /// # Errors
    /// `Dim` for other shapes; `Value` for weights that are negative, not finite or sum to zero, or for more samples
    /// than categories without replacement.
    fn multinomial(&mut self, weights: &Tensor, samples: usize, replacement: bool) -> Result<Tensor>;

    /// Poisson-distributed counts with the given rates, of their type.
    ///
    /// # Errors
    /// `DType` unless the rates are floating point numbers; `Value` if one is negative.
    fn poisson(&mut self, rates: &Tensor) -> Result<Tensor>;
}

impl Sample for Generator {
    fn rand(&mut self, shape: impl IntoShape, dtype: DType) -> Result<Tensor> {
        let shape = shape.into_shape();
        checked_numel("rand", &shape)?;
        let value = with_any_float!("rand", dtype, T => {
            Value::build::<T>(dtype, shape, |out| self.uniform(out, 0.0, 1.0))?
        });
        Ok(Tensor::from_value(value))
    }

    fn randn(&mut self, shape: impl IntoShape, dtype: DType) -> Result<Tensor> {
        let shape = shape.into_shape();
        checked_numel("randn", &shape)?;
        let value = with_any_float!("randn", dtype, T => {
            Value::build::<T>(dtype, shape, |out| self.normal(out, 0.0, 1.0))?
        });
        Ok(Tensor::from_value(value))
    }

    fn randint(&mut self, low: i64, high: i64, shape: impl IntoShape, dtype: DType) -> Result<Tensor> {
        let shape = shape.into_shape();
        checked_numel("randint", &shape)?;
        ensure!(
            low < high,
            Value,
            "randint: expected low < high, got {low} and {high}"
        );
        ensure!(
            dtype != DType::Bool,
            DType,
            "randint: bool is not a type of integers; use bernoulli"
        );
        let value = with_stored!(dtype, T => {
            Value::build::<T>(dtype, shape, |out| self.random_range(out, low, high))?
        });
        Ok(Tensor::from_value(value))
    }

    fn randperm(&mut self, n: usize) -> Result<Tensor> {
        checked_numel("randperm", &[n])?;
        let value = Value::build::<i64>(DType::I64, Shape::new(&[n]), |out| self.permutation(out))?;
        Ok(Tensor::from_value(value))
    }

    #[allow(clippy::useless_conversion)] // of f64, one of the types that the macro covers
    fn bernoulli(&mut self, probabilities: &Tensor) -> Result<Tensor> {
        let p = probabilities.value().contiguous()?;
        let value = with_any_float!("bernoulli", p.dtype(), T => {
            let p_data = p.data::<T>()?;
            let outside = p_data.iter().find(|&&x| !(0.0..=1.0).contains(&f64::from(x)));
            if let Some(x) = outside {
                bail!(Value, "bernoulli: expected probabilities in [0, 1], got {x}");
            }
            Value::build::<T>(p.dtype(), p.shape.clone(), |out| self.bernoulli_each(out, p_data))?
        });
        Ok(Tensor::from_value(value))
    }

    #[allow(clippy::useless_conversion)] // as in `bernoulli`
    fn multinomial(&mut self, weights: &Tensor, samples: usize, replacement: bool) -> Result<Tensor> {
        let rank = weights.rank();
        ensure!(
            matches!(rank, 1 | 2),
            Dim,
            "multinomial: expected 1 or 2 dimensions, got {:?}",
            weights.shape()
        );
        let w = weights.value().contiguous()?;
        let categories = w.shape[rank - 1];
        let mut shape = w.shape.clone();
        shape[rank - 1] = samples;
        checked_numel("multinomial", &shape)?;
        ensure!(
            replacement || samples <= categories,
            Value,
            "multinomial: {samples} samples of {categories} categories can't be drawn without replacement"
        );
        let mut status = Ok(());
        let value = with_any_float!("multinomial", w.dtype(), T => {
            let data = w.data::<T>()?;
            if let Some(weight) = data.iter().find(|&&x| !(f64::from(x) >= 0.0 && f64::from(x).is_finite())) {
                bail!(Value, "multinomial: expected finite weights >= 0, got {weight}");
            }
            Value::build::<i64>(DType::I64, shape, |out| {
                status = Generator::multinomial(self, data, categories, samples, replacement, out)
            })?
        });
        status.map_err(|e| Error::Value(e.to_string()))?;
        Ok(Tensor::from_value(value))
    }

    #[allow(clippy::useless_conversion)] // as in `bernoulli`
    fn poisson(&mut self, rates: &Tensor) -> Result<Tensor> {
        let rates = rates.value().contiguous()?;
        let value = with_any_float!("poisson", rates.dtype(), T => {
            let data = rates.data::<T>()?;
            if let Some(rate) = data.iter().find(|&&x| f64::from(x) < 0.0) {
                bail!(Value, "poisson: expected rates that are not negative, got {rate}");
            }
            Value::build::<T>(rates.dtype(), rates.shape.clone(), |out| Generator::poisson(self, out, data))?
        });
        Ok(Tensor::from_value(value))
    }
}

/// Random tensors from the default generator.
impl Tensor {
    /// Uniform numbers in `[0, 1)` (`torch.rand`).
    ///
    /// # Errors
    /// `DType` unless `dtype` is a floating point type.
    pub fn rand(shape: impl IntoShape, dtype: DType) -> Result<Tensor> {
        with_default(|g| g.rand(shape, dtype))
    }

    /// Standard normal numbers (`torch.randn`).
    ///
    /// # Errors
    /// `DType` unless `dtype` is a floating point type.
    pub fn randn(shape: impl IntoShape, dtype: DType) -> Result<Tensor> {
        with_default(|g| g.randn(shape, dtype))
    }

    /// Uniform integers in `[low, high)` as `int64` (`torch.randint`).
    ///
    /// # Errors
    /// `Value` unless `low < high`.
    pub fn randint(low: i64, high: i64, shape: impl IntoShape) -> Result<Tensor> {
        with_default(|g| g.randint(low, high, shape, DType::I64))
    }

    /// The numbers `0, …, n - 1` in random order (`torch.randperm`).
    ///
    /// # Errors
    /// `Shape` if `n` is more than memory can address.
    pub fn randperm(n: usize) -> Result<Tensor> {
        with_default(|g| g.randperm(n))
    }

    /// [`Tensor::rand`] in the shape and type of this tensor.
    ///
    /// # Errors
    /// `DType` unless it is of a floating point type.
    pub fn rand_like(&self) -> Result<Tensor> {
        Tensor::rand(self.shape(), self.dtype())
    }

    /// [`Tensor::randn`] in the shape and type of this tensor.
    ///
    /// # Errors
    /// `DType` unless it is of a floating point type.
    pub fn randn_like(&self) -> Result<Tensor> {
        Tensor::randn(self.shape(), self.dtype())
    }

    /// 1 with the probability that each element gives, else 0 (`torch.bernoulli`).
    ///
    /// # Errors
    /// `DType` unless the elements are floating point numbers; `Value` if one is outside `[0, 1]`.
    pub fn bernoulli(&self) -> Result<Tensor> {
        with_default(|g| Sample::bernoulli(g, self))
    }

    /// Indices drawn by each row's weights (`torch.multinomial`).
    ///
    /// # Errors
    /// As [`Sample::multinomial`].
    pub fn multinomial(&self, samples: usize, replacement: bool) -> Result<Tensor> {
        with_default(|g| Sample::multinomial(g, self, samples, replacement))
    }

    /// Poisson-distributed counts with these rates (`torch.poisson`).
    ///
    /// # Errors
    /// As [`Sample::poisson`].
    pub fn poisson(&self) -> Result<Tensor> {
        with_default(|g| Sample::poisson(g, self))
    }

    /// Normal numbers with the given means and standard deviations, which broadcast (`torch.normal`).
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast; `DType` unless both are of floating point types.
    pub fn normal(mean: &Tensor, std: &Tensor) -> Result<Tensor> {
        let shape = crate::broadcast_shapes("normal", &[mean.shape(), std.shape()])?;
        let dtype = crate::promote(mean.dtype(), std.dtype());
        Tensor::randn(shape, dtype)?.mul(std)?.add(mean)
    }
}

/// Methods that fill a tensor in place with random numbers from the default generator.
macro_rules! fill_in_place {
    ($(
        $(#[$doc:meta])*
        $name:ident($($p:ident: $pt:ty),*), $check:expr, $message:literal, |$generator:ident, $out:ident| $fill:expr;
    )*) => {
        impl Tensor { $(
            $(#[$doc])*
            ///
            /// # Errors
            /// `DType` unless the tensor is of a floating point type; `Value` for parameters outside their range;
            /// `Autograd` for a leaf that requires a gradient while operations are recorded.
            pub fn $name(&self $(, $p: $pt)*) -> Result<&Tensor> {
                ensure!($check, Value, concat!(stringify!($name), ": ", $message) $(, $p = $p)*);
                with_any_float!(stringify!($name), self.dtype(), T => {
                    self.write::<T, _>(stringify!($name), |$out| with_default(|$generator| $fill))?
                });
                Ok(self)
            }
        )* }
    };
}

fill_in_place! {
    /// Uniform numbers in `[from, to)`.
    uniform_(from: f64, to: f64), from <= to, "expected from <= to, got {from} and {to}", |g, out| g.uniform(out, from, to);
    /// Normal numbers.
    normal_(mean: f64, std: f64), std >= 0.0, "expected std >= 0, got mean {mean} and std {std}",
        |g, out| g.normal(out, mean, std);
    /// 1 with probability `p`, else 0.
    bernoulli_(p: f64), (0.0..=1.0).contains(&p), "expected a probability in [0, 1], got {p}",
        |g, out| Generator::bernoulli(g, out, p);
    /// Exponentially distributed numbers with rate `lambda`.
    exponential_(lambda: f64), lambda > 0.0, "expected a rate above 0, got {lambda}", |g, out| g.exponential(out, lambda);
    /// Cauchy-distributed numbers.
    cauchy_(median: f64, sigma: f64), sigma > 0.0, "expected sigma > 0, got median {median} and sigma {sigma}",
        |g, out| g.cauchy(out, median, sigma);
    /// Numbers of trials up to the first success.
    geometric_(p: f64), p > 0.0 && p < 1.0, "expected a probability in (0, 1), got {p}", |g, out| g.geometric(out, p);
    /// Numbers whose logarithm is normal.
    log_normal_(mean: f64, std: f64), std > 0.0, "expected std > 0, got mean {mean} and std {std}",
        |g, out| g.log_normal(out, mean, std);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_of_ones_own_repeats_its_stream() {
        let draw = || {
            let mut g = Generator::new(7);
            let x = g.randn((3, 5), DType::F64).unwrap().to_vec::<f64>().unwrap();
            (
                x,
                g.randint(-2, 9, 4, DType::I32).unwrap().to_vec::<i32>().unwrap(),
            )
        };
        assert_eq!(draw(), draw());
        assert!(draw().1.iter().all(|x| (-2..9).contains(x)));
    }

    #[test]
    fn a_fork_draws_from_a_generator_of_its_own() {
        let draw = || with_default(|g| g.next_u32());
        let seeded = Generator::new(5).next_u32();
        fork(6, || {
            manual_seed(5);
            assert_eq!(fork(5, draw), seeded);
            assert!(std::panic::catch_unwind(|| fork(9, || panic!("in a fork"))).is_err());
            assert_eq!(draw(), seeded);
            let before = state();
            draw();
            set_state(before).unwrap();
        });
        assert_eq!(fork(5, draw), seeded);
    }

    #[test]
    fn invalid_parameters_are_errors() {
        let mut g = Generator::new(0);
        assert!(
            g.randint(3, 3, 1, DType::I64)
                .unwrap_err()
                .to_string()
                .contains("low < high")
        );
        assert!(g.rand(1, DType::I64).unwrap_err().to_string().contains("int64"));
        let p = Tensor::new([0.5f32, 1.5]).unwrap();
        assert!(
            Sample::bernoulli(&mut g, &p)
                .unwrap_err()
                .to_string()
                .contains("1.5")
        );
        let error = Tensor::zeros(2, DType::F32)
            .unwrap()
            .normal_(0.0, -1.0)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "normal_: expected std >= 0, got mean 0 and std -1");
        assert!(Sample::multinomial(&mut g, &p, 3, false).is_err());
    }
}
