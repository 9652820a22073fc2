//! How accurate results are: the bounds that the book states in `docs/numerics.md`, asserted.
//!
//! What is computed in `float32` is compared with the same in `float64`; special functions are compared with values to
//! 40 digits, which `scripts/special_cases.py` made. `--nocapture` shows the errors that are found.

#![allow(clippy::unwrap_used)]

use flambeau_tensor::graph::Op;
use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
use flambeau_tensor::ops::blocked;
use flambeau_tensor::ops::conv::{ConvOptions, Padding, conv, set_winograd_enabled};
use flambeau_tensor::ops::fft::{Norm, rfftn};
use flambeau_tensor::ops::norm::{BatchNormOptions, batch_norm, layer_norm};
use flambeau_tensor::ops::special::zeta;
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::trace::trace;
use flambeau_tensor::{DType, Result, Tensor};

const BOOK: &str = include_str!("../../docs/numerics.md");

/// The numbers in the row of the book's tables that begins with this name.
fn stated<const N: usize>(name: &str) -> [f64; N] {
    let begin = format!("| {name} |");
    let row = BOOK.lines().find_map(|line| line.strip_prefix(&begin));
    let row = row.unwrap_or_else(|| panic!("no row on {name}"));
    let numbers: Vec<f64> = row
        .split('|')
        .filter_map(|cell| cell.trim().parse().ok())
        .collect();
    numbers
        .try_into()
        .unwrap_or_else(|numbers| panic!("{name}: {numbers:?}"))
}

/// Compares errors with the bounds of the row `name`; gives what is wrong.
fn compare<const N: usize>(name: &str, errors: [f64; N]) -> Option<String> {
    let bounds = stated::<N>(name);
    println!("{name}: {errors:.2e}", errors = Numbers(&errors));
    // NaN must not pass.
    let within = errors.iter().zip(&bounds).all(|(error, bound)| error <= bound);
    (!within).then(|| format!("{name}: {errors:?}, stated are {bounds:?}"))
}

struct Numbers<'a>(&'a [f64]);

impl std::fmt::LowerExp for Numbers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|x| {
            std::fmt::LowerExp::fmt(x, f)?;
            f.write_str(" ")
        })
    }
}

fn finish(faults: impl IntoIterator<Item = Option<String>>) {
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The greatest error of one result, each divided by the magnitude of what is wanted there, or by `least` if that is
/// greater. NaN where one of the results is NaN and the other is not.
fn worst(got: &Tensor, want: &Tensor, least: f64) -> Result<f64> {
    let pairs = got.to_vec_f64()?.into_iter().zip(want.to_vec_f64()?);
    let errors = pairs.map(|(got, want)| {
        if got == want {
            0.0
        } else {
            (got - want).abs() / want.abs().max(least)
        }
    });
    Ok(errors.fold(0.0, |worst, error| if error <= worst { worst } else { error }))
}

/// The greatest error of all, divided by the greatest magnitude of all.
fn worst_of_scale(got: &Tensor, want: &Tensor) -> Result<f64> {
    worst(got, want, want.abs()?.max()?.item_f64()?)
}

type Function = fn(&Tensor) -> Result<Tensor>;

#[test]
fn special_functions_are_within_the_stated_bounds() -> Result<()> {
    // Where a function passes through zero, what is measured is the absolute error.
    const RELATIVE: f64 = f64::MIN_POSITIVE;
    const ABSOLUTE_BELOW_1: f64 = 1.0;
    let functions: [(&str, f64, Function); 23] = [
        ("lgamma", ABSOLUTE_BELOW_1, |x| x.lgamma()),
        ("digamma", ABSOLUTE_BELOW_1, |x| x.digamma()),
        ("polygamma(1)", RELATIVE, |x| x.polygamma(1)),
        ("polygamma(2)", RELATIVE, |x| x.polygamma(2)),
        ("erfinv", RELATIVE, |x| x.erfinv()),
        ("erfcx", RELATIVE, |x| x.erfcx()),
        ("ndtr", RELATIVE, |x| x.ndtr()),
        ("ndtri", RELATIVE, |x| x.ndtri()),
        ("log_ndtr", RELATIVE, |x| x.log_ndtr()),
        ("i0", RELATIVE, |x| x.i0()),
        ("i0e", RELATIVE, |x| x.i0e()),
        ("i1", RELATIVE, |x| x.i1()),
        ("i1e", RELATIVE, |x| x.i1e()),
        ("bessel_j0", ABSOLUTE_BELOW_1, |x| x.bessel_j0()),
        ("bessel_j1", ABSOLUTE_BELOW_1, |x| x.bessel_j1()),
        ("bessel_y0", ABSOLUTE_BELOW_1, |x| x.bessel_y0()),
        ("bessel_y1", ABSOLUTE_BELOW_1, |x| x.bessel_y1()),
        ("modified_bessel_k0", RELATIVE, |x| x.modified_bessel_k0()),
        ("modified_bessel_k1", RELATIVE, |x| x.modified_bessel_k1()),
        ("airy_ai", ABSOLUTE_BELOW_1, |x| x.airy_ai()),
        ("zeta(2.5)", RELATIVE, |x| zeta(2.5, x)),
        ("igamma(3.7)", RELATIVE, |x| {
            Tensor::scalar(3.7).to_dtype(x.dtype())?.igamma(x)
        }),
        ("igammac(3.7)", RELATIVE, |x| {
            Tensor::scalar(3.7).to_dtype(x.dtype())?.igammac(x)
        }),
    ];
    let sections = include_str!("golden/special.txt").split("== ").skip(1);
    let mut faults = Vec::new();
    for (section, (name, least, function)) in sections.zip(functions) {
        let (title, rows) = section.split_once('\n').unwrap();
        assert_eq!(title, name);
        let numbers: Vec<f64> = rows
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        let table = Tensor::from_vec(numbers.clone(), (numbers.len() / 2, 2))?;
        let (x, want) = (table.i((.., 0))?, table.i((.., 1))?);
        let single = worst(
            &function(&x.float()?)?,
            &want,
            least.max(f32::MIN_POSITIVE.into()),
        )?;
        let double = worst(&function(&x)?, &want, least)?;
        faults.push(compare(&format!("`{name}`"), [single, double]));
    }
    assert_eq!(faults.len(), functions.len());
    finish(faults);
    Ok(())
}

#[test]
fn activations_are_within_the_stated_bounds() -> Result<()> {
    let functions: [(&str, Function); 10] = [
        ("`gelu`", |x| x.gelu()),
        ("`gelu`, `tanh`", |x| x.gelu_tanh()),
        ("`silu`", |x| x.silu()),
        ("`mish`", |x| x.mish()),
        ("`softplus`", |x| x.softplus(1.0, 20.0)),
        ("`logsigmoid`", |x| x.logsigmoid()),
        ("`elu`", |x| x.elu(1.0)),
        ("`selu`", |x| x.selu()),
        ("`softsign`", |x| x.softsign()),
        ("`tanhshrink`", |x| x.tanhshrink()),
    ];
    let x = Tensor::linspace(-20.0, 20.0, 200_001, DType::F32)?;
    let faults = functions.map(|(name, function)| {
        let error = worst(
            &function(&x).unwrap(),
            &function(&x.double().unwrap()).unwrap(),
            1.0,
        )
        .unwrap();
        compare(name, [error])
    });
    finish(faults);
    Ok(())
}

/// The error of `function` in `float32`, of the scale of its results.
fn single_error(inputs: &[Tensor], function: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<f64> {
    let wide: Vec<Tensor> = inputs.iter().map(|x| x.double()).collect::<Result<_>>()?;
    worst_of_scale(&function(inputs)?, &function(&wide)?)
}

#[test]
fn sums_are_within_the_stated_bounds() -> Result<()> {
    let mut random = Generator::new(0);
    let x = random.rand(10_000_000, DType::F32)?;
    let values = x.to_vec::<f32>()?;
    let exact: f64 = values.iter().map(|&x| f64::from(x)).sum();
    let relative = |got: f32| (f64::from(got) - exact).abs() / exact;
    let one_by_one = values.iter().sum::<f32>();
    assert!(relative(one_by_one) > 100.0 * stated::<1>("sum of 10⁷ uniform numbers")[0]);
    let noise = random.randn(1_000_000, DType::F32)?;
    let total = noise.abs()?.double()?.sum()?.item::<f64>()?;
    let cancelling = (noise.sum()?.item_f64()? - noise.double()?.sum()?.item_f64()?).abs() / total;
    let far = random.randn((100, 1000), DType::F32)?.add(1000.0)?;
    let faults = [
        compare("sum of 10⁷ uniform numbers", [relative(x.sum()?.item()?)]),
        compare(
            "mean of 10⁷ uniform numbers",
            [(x.mean()?.item_f64()? * 1e7 - exact).abs() / exact],
        ),
        compare("sum of 10⁶ normal numbers", [cancelling]),
        compare(
            "running sum of 10⁶ uniform numbers",
            [single_error(&[x.i(..1_000_000)?], |x| x[0].cumsum(0))?],
        ),
        compare(
            "variance of 1000 ± 1, over 1000",
            [single_error(&[far], |x| x[0].var(1, 1.0, false))?],
        ),
    ];
    finish(faults);
    Ok(())
}

/// A way to compute a convolution.
type Way = fn(&Tensor, &Tensor, &ConvOptions<2>) -> Result<Tensor>;

/// A convolution of `float32` as prepared models have it.
fn prepared(x: &Tensor, weight: &Tensor, options: &ConvOptions<2>) -> Result<Tensor> {
    let (y, steps) = trace(|| conv(x, weight, None, options));
    let Some(Op::Conv(op)) = steps.last().map(|step| &step.op) else {
        return y;
    };
    if x.dtype() == DType::F64 {
        return y;
    }
    let packed = blocked::Conv::new(&op.geometry, weight, None)?.unwrap();
    let y = packed.forward(&blocked::block(x)?, None, blocked::Finish::NONE)?;
    blocked::unblock(&y, weight.shape()[0])
}

#[test]
fn products_are_within_the_stated_bounds() -> Result<()> {
    let mut random = Generator::new(1);
    let (a, b) = (
        random.randn((256, 1024), DType::F32)?,
        random.randn((1024, 256), DType::F32)?,
    );
    // Features as a rectifier leaves them, weights as He et al. draw them.
    let mut convolution = |way: Way, images: usize, channels: usize, size: usize| -> Result<f64> {
        let x = random.randn((images, channels, size, size), DType::F32)?.relu()?;
        let weight = random
            .randn((channels, channels, 3, 3), DType::F32)?
            .mul((2.0 / (9 * channels) as f64).sqrt())?;
        let options = ConvOptions {
            padding: Padding::Explicit([1, 1]),
            ..ConvOptions::default()
        };
        single_error(&[x, weight], |x| way(&x[0], &x[1], &options))
    };
    let plain: Way = |x, weight, options| conv(x, weight, None, options);
    let small = convolution(plain, 1, 64, 8)?;
    let narrow = convolution(plain, 1, 512, 7)?;
    let large = convolution(plain, 1, 64, 56)?;
    let deep = convolution(plain, 4, 256, 28)?;
    let prepared_large = convolution(prepared, 1, 64, 56)?;
    let prepared_deep = convolution(prepared, 4, 256, 28)?;
    set_winograd_enabled(false);
    let direct = convolution(plain, 1, 64, 56);
    let prepared_direct = convolution(prepared, 1, 64, 56);
    set_winograd_enabled(true);
    let signal = random.randn(1 << 16, DType::F32)?;
    let heads: Vec<Tensor> = (0..3)
        .map(|_| random.randn((1, 4, 128, 64), DType::F32))
        .collect::<Result<_>>()?;
    let faults = [
        compare(
            "`matmul`, 1024 products a sum",
            [single_error(&[a, b], |x| x[0].matmul(&x[1]))?],
        ),
        compare("3 × 3 convolution, 64 channels, 8 × 8", [small]),
        compare("3 × 3 convolution, 512 channels, 7 × 7", [narrow]),
        compare("3 × 3 convolution, 64 channels, 56 × 56", [large]),
        compare("3 × 3 convolution, 256 channels, 4 × 28 × 28", [deep]),
        compare(
            "3 × 3 convolution, 64 channels, 56 × 56, without Winograd",
            [direct?],
        ),
        compare("the same, prepared: 64 channels, 56 × 56", [prepared_large]),
        compare("the same, prepared: 256 channels, 4 × 28 × 28", [prepared_deep]),
        compare(
            "the same, prepared: 64 channels, 56 × 56, without Winograd",
            [prepared_direct?],
        ),
        compare(
            "Fourier transform of 2¹⁶",
            [single_error(&[signal], |x| {
                rfftn(&x[0], None, None, Norm::Backward)
            })?],
        ),
        compare(
            "attention over 128 keys of 64",
            [single_error(&heads, |x| {
                scaled_dot_product_attention(&x[0], &x[1], &x[2], &SdpaOptions::default())
            })?],
        ),
    ];
    finish(faults);
    Ok(())
}

#[test]
fn normalisations_are_within_the_stated_bounds() -> Result<()> {
    let mut random = Generator::new(2);
    let logits = [random.randn((64, 1000), DType::F32)?.mul(5.0)?];
    let rows = [random.randn((64, 768), DType::F32)?.add(3.0)?];
    let images = [random.randn((8, 16, 14, 14), DType::F32)?.add(3.0)?];
    // Of each probability, however small.
    let softmax = worst(
        &logits[0].softmax(1)?,
        &logits[0].double()?.softmax(1)?,
        f64::MIN_POSITIVE,
    )?;
    let faults = [
        compare("`softmax` over 1000, each probability", [softmax]),
        compare(
            "`log_softmax` over 1000",
            [single_error(&logits, |x| x[0].log_softmax(1))?],
        ),
        compare(
            "`logsumexp` over 1000",
            [single_error(&logits, |x| x[0].logsumexp(1, false))?],
        ),
        compare(
            "`layer_norm` over 768",
            [single_error(&rows, |x| {
                layer_norm(&x[0], &[768], None, None, 1e-5)
            })?],
        ),
        compare(
            "`batch_norm` over 8 × 14 × 14",
            [single_error(&images, |x| {
                batch_norm(&x[0], true, &BatchNormOptions::default())
            })?],
        ),
    ];
    finish(faults);
    Ok(())
}
