//! Convolutions that go on with their outputs while these are at hand, for inference.

use flambeau_kernels::conv::{Finish, Tail, conv_forward};
use flambeau_kernels::norm::batch_norm_scale_shift;

use super::{ConvOp, ConvOptions, ConvPart, checked};
use crate::amp::is_autocast_enabled;
use crate::graph::{Op, record};
use crate::ops::blocked::finish;
use crate::ops::norm::BatchNormOptions;
use crate::ops::unary::Unary;
use crate::value::Value;
use crate::{DType, Result, Tensor, trace};

/// What follows a convolution, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConvTail<'a> {
    /// A batch norm by its running statistics.
    pub norm: Option<BatchNormOptions<'a>>,
    /// A summand of the output's shape.
    pub residual: Option<&'a Tensor>,
    /// An element-wise function.
    pub activation: Option<Unary>,
}

impl ConvTail<'_> {
    /// The tensors of one value per channel.
    fn per_channel(&self) -> impl Iterator<Item = &Tensor> {
        self.norm.iter().flat_map(|norm| {
            let running = norm
                .running
                .iter()
                .flat_map(|running| [running.mean, running.var]);
            running.chain(norm.weight).chain(norm.bias)
        })
    }
}

/// [`conv`](super::conv), [`batch_norm`](crate::ops::norm::batch_norm), an addition and an activation in one pass, to the same
/// bits as one after the other. `None` where there is no such pass, and the operations are to be called by themselves: if any of
/// them would be recorded or traced, under autocast, for other types than `float32`, for inputs without a batch dimension or
/// without elements, for functions that [`finish`] does not know, and if the tail does not fit the convolution.
///
/// # Errors
/// Those of the convolution.
pub fn conv_with_tail<const D: usize>(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &ConvOptions<D>,
    tail: &ConvTail<'_>,
) -> Result<Option<Tensor>> {
    let tensors = || {
        let own = [x, weight].into_iter().chain(bias);
        own.chain(tail.per_channel()).chain(tail.residual)
    };
    let plain = |t: &Tensor| t.dtype() == DType::F32 && t.numel() > 0 && !t.read().is_tracked();
    let last = tail.activation.map_or(Some(Finish::NONE), finish);
    let (Some(finish), false) = (last, is_autocast_enabled() || trace::is_enabled()) else {
        return Ok(None);
    };
    if x.rank() != D + 2 || !tensors().all(plain) || tail.norm.is_some_and(|norm| norm.running.is_none()) {
        return Ok(None);
    }
    let (_, geometry) = checked(x, weight, bias, options)?;
    let (sizes, shape) = (geometry.sizes(), geometry.shape_of(ConvPart::Output));
    let fits = tail.per_channel().all(|t| t.shape() == [sizes.out_channels]);
    if !fits
        || tail
            .residual
            .is_some_and(|residual| residual.shape() != &shape[..])
    {
        return Ok(None);
    }
    let contiguous = |t: &Tensor| t.value().contiguous();
    let (x, weight) = (x.read(), contiguous(weight)?);
    let input = x.value.contiguous()?;
    let bias = bias.map(contiguous).transpose()?;
    let residual = tail.residual.map(contiguous).transpose()?;
    let affine = tail.norm.map(|norm| scale_shift(&norm)).transpose()?.flatten();
    let bias = bias.as_ref().map(Value::data::<f32>).transpose()?;
    let residual = residual.as_ref().map(Value::data::<f32>).transpose()?;
    let tail = Tail {
        bias,
        affine: affine.as_ref().map(|affine| affine.each_ref().map(Vec::as_slice)),
        residual,
        finish,
    };
    let (data, weight) = (input.data::<f32>()?, weight.data::<f32>()?);
    let value = Value::build::<f32>(DType::F32, shape, |out| {
        conv_forward(sizes, data, weight, &tail, out)
    })?;
    Ok(Some(record(value, &[&x], |_| {
        Op::Conv(ConvOp {
            part: ConvPart::Output,
            geometry,
            lhs: None,
            rhs: None,
        })
    })))
}

/// What a batch norm does to each channel: `x·scale + shift`.
fn scale_shift(norm: &BatchNormOptions<'_>) -> Result<Option<[Vec<f32>; 2]>> {
    let Some(running) = norm.running else {
        return Ok(None);
    };
    let contiguous = |t: &Tensor| t.value().contiguous();
    let (mean, var) = (contiguous(running.mean)?, contiguous(running.var)?);
    let (weight, bias) = (
        norm.weight.map(contiguous).transpose()?,
        norm.bias.map(contiguous).transpose()?,
    );
    Ok(Some(batch_norm_scale_shift(
        mean.data::<f32>()?,
        var.data::<f32>()?,
        weight.as_ref().map(Value::data::<f32>).transpose()?,
        bias.as_ref().map(Value::data::<f32>).transpose()?,
        norm.eps,
    )))
}
