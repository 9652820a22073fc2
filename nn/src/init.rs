//! Initialisers (`torch.nn.init`): they fill a tensor in place, with PyTorch's numbers for the same seed.
//!
//! Random numbers come from the default generator: `flambeau_tensor::random::manual_seed(n)` makes them repeat.

use std::cell::Cell;

use flambeau_tensor::ops::linalg::qr::QrMode;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

thread_local! {
    static SKIPPED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, in which the initialisers of this module leave tensors as they are: how to make a model whose weights will
/// be loaded without drawing random numbers for it first (`torch.nn.utils.skip_init`). Layers hold zeros then, and norms
/// the identity.
///
/// ```
/// # use flambeau_nn::{Linear, LinearOptions, init};
/// # fn main() -> flambeau_nn::Result<()> {
/// let layer = init::skip(|| Linear::new(4, 2, LinearOptions::default()))?;
/// assert_eq!(layer.weight.to_vec::<f32>()?, [0.0; 8]);
/// # Ok(())
/// # }
/// ```
pub fn skip<R>(f: impl FnOnce() -> R) -> R {
    /// Puts back what was set before, also when `f` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SKIPPED.set(self.0)
        }
    }
    let _restore = Restore(SKIPPED.replace(true));
    f()
}

/// Changes a tensor by `f`, unrecorded and unless initialisers are skipped.
fn fill(f: impl FnOnce() -> Result<()>) -> Result<()> {
    if SKIPPED.get() { Ok(()) } else { no_grad(f) }
}

/// Which of a weight's fans the variance of a layer's output or of its gradient depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FanMode {
    /// Inputs of an output: keeps the variance in the forward pass.
    #[default]
    FanIn,
    /// Outputs of an input: keeps the variance in the backward pass.
    FanOut,
}

/// The function after a layer, which its gain depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nonlinearity {
    /// None, for linear layers and convolutions.
    Linear,
    /// `1/(1 + e⁻ˣ)`.
    Sigmoid,
    /// `tanh`.
    Tanh,
    /// `max(0, x)`.
    Relu,
    /// ReLU with this slope below 0.
    LeakyRelu(f64),
    /// The scaled exponential linear unit.
    Selu,
}

/// The recommended gain of a function: how much larger the standard deviation before it should be.
pub fn calculate_gain(nonlinearity: Nonlinearity) -> f64 {
    match nonlinearity {
        Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::Relu => 2f64.sqrt(),
        Nonlinearity::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
        Nonlinearity::Selu => 0.75,
    }
}

/// `[fan_in, fan_out]` of a weight `[out, in, …]`: the inputs of an output and the outputs of an input.
fn fans(op: &str, weight: &Tensor) -> Result<[usize; 2]> {
    let shape = weight.shape();
    ensure!(
        shape.len() >= 2,
        Shape,
        "{op}: fans are those of a weight of two or more dimensions, got {shape:?}"
    );
    let field: usize = shape[2..].iter().product();
    Ok([shape[1] * field, shape[0] * field])
}

fn matrix(op: &str, tensor: &Tensor) -> Result<[usize; 2]> {
    match *tensor.shape() {
        [rows, columns] => Ok([rows, columns]),
        ref shape => bail!(Shape, "{op}: expected a matrix, got {shape:?}"),
    }
}

/// Uniform numbers from `a` to `b`.
///
/// # Errors
/// `Value` unless `a ≤ b`; `DType` unless the tensor holds floating point numbers.
pub fn uniform_(tensor: &Tensor, a: f64, b: f64) -> Result<()> {
    fill(|| tensor.uniform_(a, b).map(|_| ()))
}

/// Normal numbers.
///
/// # Errors
/// `Value` for a negative `std`; `DType` unless the tensor holds floating point numbers.
pub fn normal_(tensor: &Tensor, mean: f64, std: f64) -> Result<()> {
    fill(|| tensor.normal_(mean, std).map(|_| ()))
}

/// One number throughout.
///
/// # Errors
/// `DType` if the tensor can't hold it.
pub fn constant_(tensor: &Tensor, value: f64) -> Result<()> {
    fill(|| tensor.fill_(value).map(|_| ()))
}

/// Ones.
///
/// # Errors
/// None that a valid tensor meets.
pub fn ones_(tensor: &Tensor) -> Result<()> {
    constant_(tensor, 1.0)
}

/// Zeros.
///
/// # Errors
/// None that a valid tensor meets.
pub fn zeros_(tensor: &Tensor) -> Result<()> {
    constant_(tensor, 0.0)
}

/// The identity matrix: as a linear layer's weight, it passes on as many inputs as it can.
///
/// # Errors
/// `Shape` unless it is a matrix.
pub fn eye_(tensor: &Tensor) -> Result<()> {
    let [rows, columns] = matrix("eye_", tensor)?;
    fill(|| {
        tensor
            .copy_(&Tensor::eye(rows, columns, tensor.dtype())?)
            .map(|_| ())
    })
}

/// Dirac's delta: as a convolution's weight, it passes on as many channels as it can, in each of the groups.
///
/// # Errors
/// `Shape` unless the weight has 3 to 5 dimensions; `Value` if the groups don't divide its first.
pub fn dirac_(tensor: &Tensor, groups: usize) -> Result<()> {
    let shape = tensor.shape();
    ensure!(
        (3..=5).contains(&shape.len()),
        Shape,
        "dirac_: expected 3 to 5 dimensions, got {shape:?}"
    );
    let divides = groups > 0 && shape[0].is_multiple_of(groups);
    ensure!(
        divides,
        Value,
        "dirac_: {groups} groups don't divide {} output channels",
        shape[0]
    );
    let per_group = shape[0] / groups;
    let mut values = vec![0.0f64; tensor.numel()];
    let strides: Vec<usize> = (0..shape.len())
        .map(|d| shape[d + 1..].iter().product())
        .collect();
    let centre: usize = (2..shape.len()).map(|d| shape[d] / 2 * strides[d]).sum();
    for group in 0..groups {
        for channel in 0..per_group.min(shape[1]) {
            values[(group * per_group + channel) * strides[0] + channel * strides[1] + centre] = 1.0;
        }
    }
    let values = Tensor::from_vec(values, shape)?;
    fill(|| tensor.copy_(&values).map(|_| ()))
}

/// Glorot & Bengio (2010): uniform numbers that keep the variance in both passes, `±gain·√(6/(fan_in + fan_out))`.
///
/// # Errors
/// `Shape` unless there are two or more dimensions.
pub fn xavier_uniform_(tensor: &Tensor, gain: f64) -> Result<()> {
    let [fan_in, fan_out] = fans("xavier_uniform_", tensor)?;
    let bound = 3f64.sqrt() * (gain * (2.0 / (fan_in + fan_out) as f64).sqrt());
    uniform_(tensor, -bound, bound)
}

/// As [`xavier_uniform_`], normal numbers.
///
/// # Errors
/// As [`xavier_uniform_`].
pub fn xavier_normal_(tensor: &Tensor, gain: f64) -> Result<()> {
    let [fan_in, fan_out] = fans("xavier_normal_", tensor)?;
    normal_(tensor, 0.0, gain * (2.0 / (fan_in + fan_out) as f64).sqrt())
}

/// The standard deviation `gain/√fan`.
fn kaiming_std(op: &str, tensor: &Tensor, mode: FanMode, nonlinearity: Nonlinearity) -> Result<f64> {
    let fans = fans(op, tensor)?;
    let fan = match mode {
        FanMode::FanIn => fans[0],
        FanMode::FanOut => fans[1],
    };
    Ok(calculate_gain(nonlinearity) / (fan as f64).sqrt())
}

/// He et al. (2015): uniform numbers that keep the variance through rectifiers, `±gain·√(3/fan)`.
///
/// # Errors
/// `Shape` unless there are two or more dimensions.
pub fn kaiming_uniform_(tensor: &Tensor, mode: FanMode, nonlinearity: Nonlinearity) -> Result<()> {
    if tensor.numel() == 0 {
        return Ok(());
    }
    let bound = 3f64.sqrt() * kaiming_std("kaiming_uniform_", tensor, mode, nonlinearity)?;
    uniform_(tensor, -bound, bound)
}

/// As [`kaiming_uniform_`], normal numbers.
///
/// # Errors
/// As [`kaiming_uniform_`].
pub fn kaiming_normal_(tensor: &Tensor, mode: FanMode, nonlinearity: Nonlinearity) -> Result<()> {
    if tensor.numel() == 0 {
        return Ok(());
    }
    normal_(
        tensor,
        0.0,
        kaiming_std("kaiming_normal_", tensor, mode, nonlinearity)?,
    )
}

/// Saxe et al. (2013): a (semi-)orthogonal matrix times `gain`; dimensions after the first count as one.
///
/// # Errors
/// `Shape` unless there are two or more dimensions.
pub fn orthogonal_(tensor: &Tensor, gain: f64) -> Result<()> {
    let shape = tensor.shape();
    ensure!(
        shape.len() >= 2,
        Shape,
        "orthogonal_: expected two or more dimensions, got {shape:?}"
    );
    if tensor.numel() == 0 {
        return Ok(());
    }
    let (rows, columns) = (shape[0], tensor.numel() / shape[0]);
    fill(|| {
        let normal = Tensor::zeros((rows, columns), tensor.dtype())?;
        normal.normal_(0.0, 1.0)?;
        let tall = if rows < columns { normal.t()? } else { normal };
        // In `float64`: in `float32`, small elements of Q would have few right digits.
        let (q, r) = tall.to_dtype(DType::F64)?.qr(QrMode::Reduced)?;
        // The signs make the distribution uniform.
        let q = q.mul(&r.diagonal(0, -2, -1)?.sign()?)?;
        let q = if rows < columns { q.t()? } else { q };
        tensor.copy_(&q.mul(gain)?.reshape(shape)?).map(|_| ())
    })
}

/// Normal numbers, drawn again until they lie between `a` and `b`.
///
/// # Errors
/// `Value` unless `std` is positive and `a < b`; `DType` unless the tensor holds floating point numbers.
pub fn trunc_normal_(tensor: &Tensor, mean: f64, std: f64, a: f64, b: f64) -> Result<()> {
    ensure!(
        std > 0.0 && a < b,
        Value,
        "trunc_normal_: expected std > 0 and a < b, got std {std}, a {a}, b {b}"
    );
    let cdf = |x: f64| (1.0 + erf((x - mean) / std / 2f64.sqrt())) / 2.0;
    if cdf(b) - cdf(a) > 0.3 {
        fill(|| reject_normal(tensor, mean, std, a, b))
    } else {
        fill(|| reject_uniform(tensor, mean, std, a, b))
    }
}

fn erf(x: f64) -> f64 {
    Tensor::new(x)
        .and_then(|x| x.erf()?.item::<f64>())
        .unwrap_or(f64::NAN)
}

/// Draws normal numbers, and again where they lie outside.
fn reject_normal(tensor: &Tensor, mean: f64, std: f64, a: f64, b: f64) -> Result<()> {
    let rounded = |x: f64| Tensor::new(x)?.to_dtype(tensor.dtype())?.item_f64();
    let (low, high) = (rounded(a)?, rounded(b)?);
    let mut result = tensor.detach();
    result.normal_(mean, std)?;
    loop {
        let outside = result.lt(low)?.logical_or(&result.gt(high)?)?;
        if !outside.any()?.item::<bool>()? {
            return tensor.copy_(&result).map(|_| ());
        }
        let again = result.zeros_like()?;
        again.normal_(mean, std)?;
        result = outside.where_cond(&again, &result)?;
    }
}

/// Draws uniform numbers between the bounds and keeps each with the probability that its density is of the highest:
/// few normal numbers would lie there.
fn reject_uniform(tensor: &Tensor, mean: f64, std: f64, a: f64, b: f64) -> Result<()> {
    let peak = -0.5 * ((a.max(mean.min(b)) - mean) / std).powi(2);
    let draw = || -> Result<(Tensor, Tensor)> {
        let candidates = tensor.detach().zeros_like()?;
        candidates.uniform_(a, b)?;
        let density = candidates.sub(mean)?.div(std)?.square()?.mul(-0.5)?.sub(peak)?;
        let accept = candidates.zeros_like()?;
        accept.uniform_(0.0, 1.0)?;
        Ok((candidates, accept.log()?.gt(&density)?))
    };
    let (mut result, mut pending) = draw()?;
    while pending.any()?.item::<bool>()? {
        let (candidates, refused) = draw()?;
        let taken = pending.logical_and(&refused.logical_not()?)?;
        result = taken.where_cond(&candidates, &result)?;
        pending = pending.logical_and(&refused)?;
    }
    tensor.copy_(&result).map(|_| ())
}

/// Normal numbers of deviation `std`, and in each column the part `sparsity` of them zero (Martens, 2010).
///
/// # Errors
/// `Shape` unless it is a matrix; `Value` unless `sparsity` is between 0 and 1.
pub fn sparse_(tensor: &Tensor, sparsity: f64, std: f64) -> Result<()> {
    let [rows, columns] = matrix("sparse_", tensor)?;
    ensure!(
        (0.0..=1.0).contains(&sparsity),
        Value,
        "sparse_: expected a sparsity from 0 to 1, got {sparsity}"
    );
    let zeros = (sparsity * rows as f64).ceil() as usize;
    normal_(tensor, 0.0, std)?;
    let mut kept = vec![1.0f64; rows * columns];
    for column in 0..columns {
        for row in &Tensor::randperm(rows)?.to_vec::<i64>()?[..zeros] {
            kept[*row as usize * columns + column] = 0.0;
        }
    }
    let kept = Tensor::from_vec(kept, (rows, columns))?.to_dtype(tensor.dtype())?;
    fill(|| tensor.mul_(&kept).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::random::fork;

    #[test]
    fn skipped_initialisers_change_nothing_and_draw_nothing() {
        let draw = || Tensor::rand(3, DType::F32).unwrap().to_vec::<f32>().unwrap();
        let expected = fork(0, draw);
        let w = Tensor::zeros((4, 4), DType::F32).unwrap();
        let drawn = fork(0, || {
            skip(|| {
                kaiming_uniform_(&w, FanMode::FanIn, Nonlinearity::Relu).unwrap();
                trunc_normal_(&w, 0.0, 1.0, -2.0, 2.0).unwrap();
                orthogonal_(&w, 1.0).unwrap();
            });
            draw()
        });
        assert_eq!(w.to_vec::<f32>().unwrap(), [0.0; 16]);
        assert_eq!(drawn, expected);
        ones_(&w).unwrap();
        assert_eq!(w.to_vec::<f32>().unwrap(), [1.0; 16]);
    }

    #[test]
    fn orthogonal_columns_are_orthonormal_times_the_gain() {
        for shape in [[24, 18], [18, 24]] {
            let w = Tensor::zeros(shape, DType::F32).unwrap();
            orthogonal_(&w, 2.0).unwrap();
            let wide = if shape[0] > shape[1] { w.t().unwrap() } else { w };
            let product = wide.matmul(&wide.t().unwrap()).unwrap();
            let error = product
                .sub(&Tensor::eye(18, 18, DType::F32).unwrap().mul(4.0).unwrap())
                .unwrap();
            let worst = error
                .to_vec::<f32>()
                .unwrap()
                .into_iter()
                .fold(0f32, |m, x| m.max(x.abs()));
            assert!(worst < 4e-6, "{worst}");
        }
    }
}
