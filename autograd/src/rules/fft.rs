//! Rules of Fourier transforms: each transform is linear, and its adjoint is a transform again.

use flambeau_tensor::Result;
use flambeau_tensor::ops::fft::{
    Direction, FftOp, RealFftOp, complex_to_complex, complex_to_real, real_to_complex,
};

use super::{Context, Grads, one};

pub(super) fn fft(op: &FftOp, cx: &Context<'_>) -> Result<Grads> {
    let direction = match op.direction {
        Direction::Forward => Direction::Inverse,
        Direction::Inverse => Direction::Forward,
    };
    one(complex_to_complex(
        cx.grad()?,
        &FftOp {
            direction,
            ..op.clone()
        },
    )?)
}

/// The inverse transform counts each frequency and its conjugate, the gradient only the one that was kept.
pub(super) fn rfft(op: &RealFftOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let halved = grad.mul(&op.weights(0.5, grad.rank(), grad.dtype())?)?;
    one(complex_to_real(&halved, op)?)
}

pub(super) fn irfft(op: &RealFftOp, cx: &Context<'_>) -> Result<Grads> {
    let spectrum = real_to_complex(cx.grad()?, op)?;
    one(spectrum.mul(&op.weights(2.0, spectrum.rank(), spectrum.dtype())?)?)
}
