//! Inference in a blocked layout, with packed weights: what a prepared model runs on (`flambeau_nn::prepare`).
//!
//! Images `[batch, channels, height, width]` become `[batch, channels / 16, height, width, 16]`, the last block filled up with
//! zeros. Everything here is of `float32` and not recorded.

pub use flambeau_kernels::blocked::BLOCK;
use flambeau_kernels::blocked::{self, average, from_blocked, pool, to_blocked};
use flambeau_kernels::conv::ConvShape;
pub use flambeau_kernels::conv::Finish;
use flambeau_kernels::unary::unary_in_place;

use super::conv::ConvGeometry;
use super::linear_map::{LinearMapOp, Pooling};
use super::unary::Unary;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure};

/// The activation as the end of a convolution, if it may be that: it must map zeros, which fill up blocks, to finite numbers.
pub fn finish(function: Unary) -> Option<Finish> {
    /// Closures without captures, which are functions.
    macro_rules! functions {
        ($($name:ident)*) => {
            match function {
                Unary::Relu => Finish::RELU,
                Unary::Clamp(low, high) | Unary::Hardtanh(low, high) => Finish::Clamp {
                    low: low as f32,
                    high: high as f32,
                },
                $(Unary::$name => Finish::Function(|x| unary_in_place(Unary::$name, x)),)*
                _ => return None,
            }
        };
    }
    Some(functions!(Sigmoid Silu Hardsigmoid Hardswish Gelu GeluTanh Tanh Mish))
}

/// `finish` of all elements.
///
/// # Errors
/// `DType` unless the tensor is of `float32`.
pub fn finished(x: Tensor, finish: Finish) -> Result<Tensor> {
    if !finish.is_none() {
        x.write::<f32, _>("activation", |own| finish.apply(own))?;
    }
    Ok(x)
}

fn check(op: &str, x: &Tensor, rank: usize) -> Result<Value> {
    ensure!(
        x.rank() == rank && x.dtype() == DType::F32,
        Shape,
        "{op}: expected a float32 tensor with {rank} dimensions, got {:?} of {}",
        x.shape(),
        x.dtype()
    );
    x.value().contiguous()
}

/// `[batch, channels, height, width]` as `[batch, blocks, height, width, 16]`.
///
/// # Errors
/// `Shape` unless the tensor is of `float32` and has four dimensions.
pub fn block(x: &Tensor) -> Result<Tensor> {
    let value = check("block", x, 4)?;
    let &[batch, channels, height, width] = x.shape() else {
        bail!(Shape, "block: expected four dimensions")
    };
    let shape = Shape::new(&[batch, channels.div_ceil(BLOCK), height, width, BLOCK]);
    let data = value.data::<f32>()?;
    let value = Value::build::<f32>(DType::F32, shape, |out| {
        to_blocked(batch, channels, height * width, data, out)
    })?;
    Ok(Tensor::from_value(value))
}

/// The inverse of [`block`], for so many channels.
///
/// # Errors
/// `Shape` unless the tensor is of `float32` and has as many blocks as the channels need.
pub fn unblock(x: &Tensor, channels: usize) -> Result<Tensor> {
    let value = check("unblock", x, 5)?;
    let (&[batch, blocks, height, width, _], true) = (x.shape(), x.shape()[4] == BLOCK) else {
        bail!(
            Shape,
            "unblock: expected blocks of {BLOCK} channels, got {:?}",
            x.shape()
        )
    };
    ensure!(
        blocks == channels.div_ceil(BLOCK),
        Shape,
        "unblock: {blocks} blocks do not hold {channels} channels"
    );
    let data = value.data::<f32>()?;
    let shape = Shape::new(&[batch, channels, height, width]);
    let value = Value::build::<f32>(DType::F32, shape, |out| {
        from_blocked(batch, channels, height * width, data, out)
    })?;
    Ok(Tensor::from_value(value))
}

/// A convolution over images of one size with packed weights.
#[derive(Debug)]
pub struct Conv {
    conv: blocked::Conv,
    shape: ConvShape,
}

impl Conv {
    /// Packs weight and bias, for the instruction set in force; `None` if the convolution has no blocked form.
    ///
    /// # Errors
    /// `DType` unless the weight is of `float32`; `Shape` if it is not the geometry's.
    pub fn new(geometry: &ConvGeometry, weight: &Tensor, bias: Option<&Tensor>) -> Result<Option<Conv>> {
        let shape = *geometry.sizes();
        ensure!(
            weight.dtype() == DType::F32 && weight.numel() == shape.weight_len(),
            Shape,
            "blocked convolution: expected a float32 weight of {} elements, got {:?} of {}",
            shape.weight_len(),
            weight.shape(),
            weight.dtype()
        );
        if geometry.rank() != 2 {
            return Ok(None);
        }
        let (weight, bias) = (
            weight.value().contiguous()?,
            bias.map(|b| b.value().contiguous()).transpose()?,
        );
        let bias = bias.as_ref().map(|b| b.data::<f32>()).transpose()?;
        let conv = blocked::Conv::new(&shape, weight.data::<f32>()?, bias);
        Ok(conv.map(|conv| Conv { conv, shape }))
    }

    /// `x·scale + shift` with a factor and a summand for each channel of images `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn affine(image: &[usize], scale: &Tensor, shift: &Tensor) -> Result<Option<Conv>> {
        Conv::new(&ConvGeometry::channel_wise(image)?, scale, Some(shift))
    }

    /// Whether the input is not blocked after all, as it has too few channels.
    pub fn reads_plain(&self) -> bool {
        self.conv.reads_plain()
    }

    /// Whether it runs by Winograd's algorithm, which rounds more coarsely.
    pub fn is_winograd(&self) -> bool {
        self.conv.is_winograd()
    }

    /// `finish(x ∗ w + bias + residual)`, all blocked but for what [`Conv::reads_plain`] says.
    ///
    /// # Errors
    /// `Shape` if a tensor is not of the size for which the weights were packed; `Value` if the instruction set has changed
    /// since then.
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>, finish: Finish) -> Result<Tensor> {
        let s = &self.shape;
        let [_, height, width] = s.input;
        let batch = x.shape().first().copied().unwrap_or(0);
        let expected = match self.reads_plain() {
            true => vec![batch, s.in_channels, height, width],
            false => vec![batch, s.in_channels.div_ceil(BLOCK), height, width, BLOCK],
        };
        ensure!(
            x.shape() == expected && x.dtype() == DType::F32,
            Shape,
            "blocked convolution: expected a float32 input {expected:?}, got {:?} of {}",
            x.shape(),
            x.dtype()
        );
        let shape = Shape::new(&[
            batch,
            s.out_channels.div_ceil(BLOCK),
            s.output[1],
            s.output[2],
            BLOCK,
        ]);
        ensure!(
            residual.is_none_or(|r| r.shape() == &shape[..] && r.dtype() == DType::F32),
            Shape,
            "blocked convolution: expected a float32 residual {shape:?}, got {:?}",
            residual.map(Tensor::shape)
        );
        ensure!(
            self.conv.is_current(),
            Value,
            "blocked convolution: the weights were packed for another instruction set than that in force"
        );
        let (x, residual) = (
            x.value().contiguous()?,
            residual.map(|r| r.value().contiguous()).transpose()?,
        );
        let (data, residual) = (
            x.data::<f32>()?,
            residual.as_ref().map(|r| r.data::<f32>()).transpose()?,
        );
        let value = Value::build::<f32>(DType::F32, shape, |out| {
            self.conv.forward(batch, data, residual, finish, out)
        })?;
        Ok(Tensor::from_value(value))
    }
}

/// What `op` does to images, if it is pooling that can be done to blocked ones as well: [`Pool::apply`].
#[derive(Clone, Copy, Debug)]
pub struct Pool(Pooling);

impl Pool {
    /// The pooling that was recorded.
    pub fn of(op: &LinearMapOp) -> Option<Pool> {
        let flat = |sizes: [usize; 3]| sizes[0] == 1;
        let pooling = op.pooling()?;
        let fits = match pooling {
            Pooling::Max(w) | Pooling::Average(w, _) => flat(w.input) && flat(w.output) && flat(w.kernel),
            Pooling::Adaptive(input, output) => flat(input) && output == [1; 3],
        };
        fits.then_some(Pool(pooling))
    }

    /// The mean over all positions.
    pub fn mean(image: &[usize]) -> Pool {
        let [height, width] = [image[image.len() - 2], image[image.len() - 1]];
        Pool(Pooling::Adaptive([1, height, width], [1; 3]))
    }

    /// The pools of `[batch, blocks, height, width, 16]`.
    ///
    /// # Errors
    /// `Shape` unless the tensor is blocked and of the recorded size.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let value = check("blocked pooling", x, 5)?;
        let &[batch, blocks, height, width, _] = x.shape() else {
            bail!(Shape, "blocked pooling: expected five dimensions")
        };
        let (input, output) = match self.0 {
            Pooling::Max(w) | Pooling::Average(w, _) => (w.input, w.output),
            Pooling::Adaptive(input, output) => (input, output),
        };
        ensure!(
            input == [1, height, width],
            Shape,
            "blocked pooling: expected planes {input:?}, got {height} × {width}"
        );
        let shape = Shape::new(&[batch, blocks, output[1], output[2], BLOCK]);
        let data = value.data::<f32>()?;
        let planes = batch * blocks;
        let value = Value::build::<f32>(DType::F32, shape, |out| match self.0 {
            Pooling::Max(w) => pool(&w, None, planes, data, out),
            Pooling::Average(w, options) => pool(&w, Some(options), planes, data, out),
            Pooling::Adaptive(..) => average(batch, blocks * BLOCK, height * width, data, out),
        })?;
        Ok(Tensor::from_value(value))
    }
}
