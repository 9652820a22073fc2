//! Rules of framing and of adding frames up: each is the other's adjoint.

use flambeau_tensor::Result;
use flambeau_tensor::ops::stft::{self, FramesOp};

use super::{Context, Grads, one};

pub(super) fn frame(op: &FramesOp, cx: &Context<'_>) -> Result<Grads> {
    one(stft::overlap_add(cx.grad()?, op)?)
}

pub(super) fn overlap_add(op: &FramesOp, cx: &Context<'_>) -> Result<Grads> {
    one(stft::frame(cx.grad()?, op)?)
}
