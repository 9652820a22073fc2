//! Linear layers: `x·Wᵀ + b` (`linear`), and the bilinear form `x₁ᵀ·W·x₂ + b` (`bilinear`).
//!
//! `linear` is a primitive because one matrix product does it all: the transposed weight is read as it lies and the bias
//! is added before the products are stored.

use flambeau_kernels::binary::BinaryInt;
use flambeau_kernels::gemm::{Activation, Epilogue, MatRef, gemm, gemm_integer};

use crate::amp::{is_autocast_enabled, under_autocast};
use crate::graph::{Op, Saved, record};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, ensure, with_float, with_integer};

/// A recorded `x·Wᵀ + b`.
#[derive(Clone, Debug)]
pub struct LinearOp {
    /// The input, if the weight's gradient is wanted.
    pub input: Option<Saved>,
    /// The weight, if the input's gradient is wanted.
    pub weight: Option<Saved>,
}

/// `x·Wᵀ + b` (`torch.nn.functional.linear`).
///
/// # Shapes
/// `[…, in] · [out, in] → […, out]`, the bias is `[out]`; a weight `[in]` gives `[…]`.
///
/// # Errors
/// `Shape` if sizes do not fit; `DType` if types differ.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    under_autocast!("linear": x, weight, bias => linear(x, weight, bias));
    product(x, weight, bias, false)
}

/// `max(0, x·Wᵀ + b)`: `linear`, then `relu`, in one pass where neither is recorded (`torch.ao.nn.intrinsic.LinearReLU`).
///
/// # Shapes
/// Those of [`linear`].
///
/// # Errors
/// Those of [`linear`].
pub fn linear_relu(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let is_tracked = |t: &Tensor| t.read().is_tracked();
    let recorded = [x, weight].into_iter().chain(bias).any(is_tracked);
    if recorded || is_autocast_enabled() || !x.dtype().is_float() || weight.rank() != 2 {
        return linear(x, weight, bias)?.relu();
    }
    product(x, weight, bias, true)
}

/// Both functions above; what is computed with `relu` is not recorded.
fn product(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let (xs, ws) = (x.shape(), weight.shape());
    ensure!(
        !xs.is_empty() && (ws.len() == 1 || ws.len() == 2) && xs[xs.len() - 1] == ws[ws.len() - 1],
        Shape,
        "linear: input {xs:?} and weight {ws:?}: expected […, in] and [out, in]"
    );
    let dtypes = [Some(x), Some(weight), bias].map(|t| t.map_or(x.dtype(), Tensor::dtype));
    ensure!(
        dtypes == [x.dtype(); 3] && x.dtype() != DType::Bool,
        DType,
        "linear: expected input, weight and bias of one number type, got {dtypes:?}"
    );
    if ws.len() == 1 {
        let y = linear(x, &weight.unsqueeze(0)?, None)?.squeeze_dim(-1)?;
        return bias.map_or(Ok(y.clone()), |bias| y.add(bias));
    }
    if let Some(bias) = bias
        && bias.shape() != [ws[0]]
    {
        // Anything else that broadcasts is added as it is.
        let y = linear(x, weight, None)?.add(bias);
        let y = y.map_err(|error| error.context("linear"))?;
        return if relu { y.relu() } else { Ok(y) };
    }
    let (a, w) = (x.read(), weight.read());
    let b = bias.map(Tensor::read);
    let value = compute(&a.value, &w.value, b.as_ref().map(|b| &b.value), relu)?;
    let mut inputs = vec![&a, &w];
    inputs.extend(&b);
    Ok(record(value, &inputs, |_| {
        Op::Linear(LinearOp {
            input: w.edge().map(|_| a.clone()),
            weight: a.edge().map(|_| w.clone()),
        })
    }))
}

fn compute(x: &Value, weight: &Value, bias: Option<&Value>, relu: bool) -> Result<Value> {
    let dtype = x.dtype;
    if dtype.is_half() {
        let wide = |v: &Value| v.cast(DType::F32);
        let bias = bias.map(wide).transpose()?;
        return compute(&wide(x)?, &wide(weight)?, bias.as_ref(), relu)?.cast(dtype);
    }
    let (n, k) = (weight.shape[0], weight.shape[1]);
    let rows: usize = x.shape[..x.shape.len() - 1].iter().product();
    let mut shape = x.shape.clone();
    let last = shape.len() - 1;
    shape[last] = n;
    let x = x.in_order()?;
    let bias = bias.map(Value::in_order).transpose()?;
    if !dtype.is_float() {
        return with_integer!("linear", dtype, T => {
            let a = MatRef::row_major(x.data::<T>()?, rows, k);
            let w = MatRef::new(weight.data::<T>()?, n, k, weight.strides[0], weight.strides[1]);
            let y = Value::build::<T>(dtype, shape, |out| gemm_integer(a, w.transposed(), out))?;
            match bias {
                Some(bias) => y.zip_integers("linear", BinaryInt::Add, &bias),
                None => Ok(y),
            }
        });
    }
    with_float!("linear", dtype, T => {
        let a = MatRef::row_major(x.data::<T>()?, rows, k);
        let w = MatRef::new(weight.data::<T>()?, n, k, weight.strides[0], weight.strides[1]);
        let column_bias = bias.as_ref().map(|b| b.data::<T>()).transpose()?;
        let activation = if relu { Activation::Relu } else { Activation::None };
        let epilogue = Epilogue { column_bias, activation, ..Epilogue::default() };
        Value::build::<T>(dtype, shape, |out| gemm(a, w.transposed(), out, n, &epilogue))
    })
}

/// `x₁ᵀ·Wₒ·x₂ + bₒ` for every output feature `o` (`torch.nn.functional.bilinear`).
///
/// # Shapes
/// `[…, in1], […, in2] → […, out]` with the weight `[out, in1, in2]` and the bias `[out]`.
///
/// # Errors
/// `Shape` if sizes do not fit; `DType` if types differ.
pub fn bilinear(x1: &Tensor, x2: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    under_autocast!("bilinear": x1, x2, weight, bias => bilinear(x1, x2, weight, bias));
    let (a, b, w) = (x1.shape(), x2.shape(), weight.shape());
    let fits = w.len() == 3
        && !a.is_empty()
        && a.len() == b.len()
        && a[..a.len() - 1] == b[..b.len() - 1]
        && a[a.len() - 1] == w[1]
        && b[b.len() - 1] == w[2];
    ensure!(
        fits,
        Shape,
        "bilinear: inputs {a:?} and {b:?} and weight {w:?}: expected […, in1], […, in2] and [out, in1, in2]"
    );
    let rows: usize = a[..a.len() - 1].iter().product();
    // One product of x₁ with all output features' matrices, then a row of each with x₂.
    let flat = weight.permute([0, 2, 1])?.reshape((w[0] * w[2], w[1]))?;
    let products = linear(&x1.reshape((rows, w[1]))?, &flat, None)?.reshape((rows, w[0], w[2]))?;
    let y = products.mul(&x2.reshape((rows, 1, w[2]))?)?.sum_dim(-1, false)?;
    let mut shape = Shape::new(a);
    shape[a.len() - 1] = w[0];
    let y = y.to_dtype(x1.dtype())?.reshape(shape)?;
    bias.map_or(Ok(y.clone()), |bias| y.add(bias))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Generator, Sample};

    #[test]
    fn linear_adds_its_bias() {
        let x = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]]).unwrap();
        let w = Tensor::new([[1.0f32, 0.0], [0.0, 1.0], [1.0, 1.0]]).unwrap();
        let b = Tensor::new([0.5f32, 0.0, -1.0]).unwrap();
        let y = linear(&x, &w, Some(&b)).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.5, 2.0, 2.0, 3.5, 4.0, 6.0]);
        let error = linear(&w, &b, None).unwrap_err().to_string();
        assert_eq!(
            error,
            "linear: input [3, 2] and weight [3]: expected […, in] and [out, in]"
        );
    }

    #[test]
    fn relu_on_the_way_gives_the_bits_of_two_operations() {
        let mut g = Generator::new(0);
        // Few rows, few columns, whole tiles, ragged tiles, an inner dimension of two blocks and none.
        for (m, k, n) in [
            (1, 7, 40),
            (40, 7, 3),
            (64, 128, 128),
            (30, 5, 33),
            (9, 800, 65),
            (3, 0, 4),
        ] {
            for dtype in [DType::F32, DType::F64, DType::BF16, DType::I64] {
                let mut draw = |shape: &[usize]| g.randn(shape, DType::F64)?.mul(9.0)?.to_dtype(dtype);
                let (x, w, b) = (
                    draw(&[m, k]).unwrap(),
                    draw(&[n, k]).unwrap(),
                    draw(&[n]).unwrap(),
                );
                if dtype == DType::F32 && k > 0 {
                    x.narrow(0, 0, 1).unwrap().fill_(f64::NAN).unwrap();
                }
                for bias in [None, Some(&b)] {
                    let expected = linear(&x, &w, bias).unwrap().relu().unwrap();
                    let y = linear_relu(&x, &w, bias).unwrap();
                    assert_eq!(y.dtype(), expected.dtype());
                    let bits = |t: &Tensor| t.to_dtype(DType::F64).unwrap().to_vec::<f64>().unwrap();
                    let equal = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
                    let (y, expected) = (bits(&y), bits(&expected));
                    assert!(
                        y.iter().zip(&expected).all(equal),
                        "[{m}, {k}] · [{n}, {k}], {dtype:?}"
                    );
                }
            }
        }
    }
}
