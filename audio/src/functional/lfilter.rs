//! Recursive filters: `a₀·y[t] = Σₖ bₖ·x[t-k] - Σₖ₊₁ aₖ·y[t-k]` (`torchaudio.functional.lfilter`).
//!
//! The sum over `x` is a convolution. The recursion is a function of its own, because it is sequential: its gradient is the
//! same recursion run backwards in time, `x̄ = flip(iir(flip(ȳ)))`, and `āₖ = -Σₜ x̄[t]·y[t-k]`.

use std::sync::Arc;

use flambeau_tensor::ops::conv::{ConvOptions, conv1d};
use flambeau_tensor::ops::custom::{Function, apply};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor, ensure};

use super::{check_float, packed, time};

/// `y[t] = x[t] - Σₖ₊₁ aₖ·y[t-k]` of `x` `[batch, channels, time]` and `a` `[channels, order + 1]`, whose first column is 1.
struct Recursion;

impl Function for Recursion {
    fn name(&self) -> &'static str {
        "lfilter"
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let (x, a) = (&inputs[0], &inputs[1]);
        let (time, taps) = (x.size(-1)?, a.size(-1)?);
        // Errors of a recursion add up, so that it is run in float64 whatever the type.
        let (mut y, coefficients) = (x.to_vec_f64()?, a.to_vec_f64()?);
        if time > 0 {
            let channels = coefficients.chunks_exact(taps).cycle();
            for (signal, a) in y.chunks_exact_mut(time).zip(channels) {
                recur(signal, &a[1..]);
            }
        }
        Ok(vec![Tensor::from_vec(y, x.shape())?.to_dtype(x.dtype())?])
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        grads: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let Some(grad) = &grads[0] else {
            return Ok(vec![None, None]);
        };
        let (a, y) = (&inputs[1], &outputs[0]);
        let (time, taps) = (y.size(-1)?, a.size(-1)?);
        let dx = recursion(&grad.flip(-1)?, a)?.flip(-1)?;
        if !a.is_tracked() {
            return Ok(vec![Some(dx), None]);
        }
        let da = (0..taps).map(|k| {
            if k >= time {
                return dx.sum_dim([0, 2], false)?.mul(0);
            }
            let (now, before) = (dx.narrow(-1, k as isize, time - k)?, y.narrow(-1, 0, time - k)?);
            now.mul(&before)?.sum_dim([0, 2], false)?.neg()
        });
        let da = da.collect::<Result<Vec<Tensor>>>()?;
        Ok(vec![Some(dx), Some(Tensor::stack(&da, -1)?)])
    }
}

/// `signal[t] -= Σₖ a[k]·signal[t-1-k]`.
fn recur(signal: &mut [f64], a: &[f64]) {
    // Filters of second order are most of them, and their state fits into registers.
    if let [a1, a2] = *a {
        let (mut y1, mut y2) = (0.0, 0.0);
        for y in signal {
            *y -= a1 * y1 + a2 * y2;
            (y1, y2) = (*y, y1);
        }
        return;
    }
    for t in 0..signal.len() {
        let past = a.iter().zip(signal[..t].iter().rev());
        signal[t] -= past.map(|(a, y)| a * y).sum::<f64>();
    }
}

fn recursion(x: &Tensor, a: &Tensor) -> Result<Tensor> {
    let mut outputs = apply(Arc::new(Recursion), &[x, a])?;
    Ok(outputs.swap_remove(0))
}

/// A recursive filter of each channel. Coefficients of one dimension are for all channels; of two, the filters stand for the
/// last but one dimension of the waveform if `batching`, and otherwise give one output each.
///
/// # Shapes
/// `[…, time]` with coefficients `[order + 1]` → `[…, time]`; `[…, filters, time]` with `[filters, order + 1]` → the same;
/// `[…, time]` → `[…, filters, time]` unless `batching`.
///
/// # Errors
/// `Shape` if the coefficients differ in shape or do not fit the waveform; `DType` unless all are floating point numbers.
pub fn lfilter(
    waveform: &Tensor,
    a_coeffs: &Tensor,
    b_coeffs: &Tensor,
    clamp: bool,
    batching: bool,
) -> Result<Tensor> {
    let op = "lfilter";
    let length = time(op, waveform)?;
    check_float(op, waveform)?;
    ensure!(
        a_coeffs.shape() == b_coeffs.shape() && matches!(a_coeffs.rank(), 1 | 2) && a_coeffs.numel() > 0,
        Shape,
        "{op}: expected coefficients [order + 1] or [filters, order + 1] of one shape, got {:?} and {:?}",
        a_coeffs.shape(),
        b_coeffs.shape()
    );
    for coefficients in [a_coeffs, b_coeffs] {
        ensure!(
            coefficients.dtype() == waveform.dtype(),
            DType,
            "{op}: a waveform of {} and coefficients of {}",
            waveform.dtype(),
            coefficients.dtype()
        );
    }
    let (mut waveform, mut a, mut b) = (waveform.clone(), a_coeffs.clone(), b_coeffs.clone());
    match (a.rank(), batching) {
        (1, _) => (a, b) = (a.unsqueeze(0)?, b.unsqueeze(0)?),
        (_, true) => ensure!(
            waveform.rank() > 1 && waveform.size(-2)? == a.shape()[0],
            Shape,
            "{op}: {} filters for a waveform {:?}: expected […, {0}, time]",
            a.shape()[0],
            waveform.shape()
        ),
        (_, false) => {
            let mut sizes: Vec<isize> = vec![-1; waveform.rank() + 1];
            sizes[waveform.rank() - 1] = a.shape()[0] as isize;
            waveform = waveform.unsqueeze(-2)?.expand(sizes)?;
        }
    }
    let (filters, taps) = (a.shape()[0], a.shape()[1]);
    let shape = waveform.shape().to_vec();
    let lead = shape[..shape.len() - 1].iter().product::<usize>() / filters;
    let x = waveform.reshape((lead, filters, length))?;
    let first = a.narrow(-1, 0, 1)?;
    let (a, b) = (a.div(&first)?, b.div(&first)?);

    let options = ConvOptions {
        groups: filters,
        ..ConvOptions::<1>::default()
    };
    let filtered = conv1d(
        &x.pad(&[taps as isize - 1, 0], PadMode::Constant, 0)?,
        &b.flip(-1)?.unsqueeze(1)?,
        None,
        &options,
    )?;
    let mut output = if taps > 1 {
        recursion(&filtered, &a)?
    } else {
        filtered
    };
    if clamp {
        output = output.clamp(Some((-1).into()), Some(1.into()))?;
    }
    output.reshape(shape)
}

/// [`lfilter`] forwards and then backwards in time, which delays nothing.
///
/// # Shapes
/// As [`lfilter`] with `batching`.
///
/// # Errors
/// As [`lfilter`].
pub fn filtfilt(waveform: &Tensor, a_coeffs: &Tensor, b_coeffs: &Tensor, clamp: bool) -> Result<Tensor> {
    let forward = lfilter(waveform, a_coeffs, b_coeffs, false, true)
        .map_err(|error| error.context("filtfilt"))?
        .flip(-1)?;
    lfilter(&forward, a_coeffs, b_coeffs, clamp, true)?.flip(-1)
}

/// A filter of one channel after another, all of them with the coefficients of a 0-d tensor each.
pub(super) fn filtered(waveform: &Tensor, b: [Tensor; 3], a: [Tensor; 3]) -> Result<Tensor> {
    lfilter(
        waveform,
        &Tensor::stack(&a, 0)?,
        &Tensor::stack(&b, 0)?,
        true,
        true,
    )
}

/// The pieces of an overdriven signal: `y[t] = x[t] - x[t-1] + 0.995·y[t-1]`.
pub(super) fn leaky_difference(x: &Tensor) -> Result<Tensor> {
    let coefficients = |values: [f64; 2]| Tensor::new(values)?.to_dtype(x.dtype());
    let (a, b) = (coefficients([1.0, -0.995])?, coefficients([1.0, -1.0])?);
    lfilter(&packed(x, 1)?, &a, &b, false, true)
}
