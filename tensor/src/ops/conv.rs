//! Convolutions over one to three dimensions, and transposed ones (`conv1d` … `conv_transpose3d`).
//!
//! Input `[batch, in_channels, spatial…]` (or without the batch), weight `[out_channels, in_channels / groups, kernel…]`,
//! for transposed convolutions `[in_channels, out_channels / groups, kernel…]`.
//!
//! The sum `⟨g, x ∗ w⟩` is linear in each of `g`, `x` and `w`. Its derivative by one of them is a function of the other
//! two: by `g` the convolution, by `x` its gradient with respect to the input (the transposed convolution), by `w` the
//! gradient with respect to the weight. So the three are one primitive, and the derivative of each is made of the
//! other two: gradients of every order follow.

use flambeau_kernels::binary::{Binary, BinaryInt, binary_in_place};
pub use flambeau_kernels::conv::winograd::{set_winograd_enabled, winograd_enabled};
use flambeau_kernels::conv::{
    ConvShape, Tail, conv_backward_input, conv_backward_weight, conv_forward, conv_integer,
};
use flambeau_kernels::pooling::embed;
use flambeau_kernels::view::View;

use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::ops::create::checked_numel;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, with_float, with_integer};

mod tail;

pub use tail::{ConvTail, conv_with_tail};

/// Zeros around the input of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const D: usize> {
    /// So many on either side of each dimension.
    Explicit([usize; D]),
    /// As many as make the output as large as the input; an odd one goes behind. For stride 1.
    Same,
    /// None.
    Valid,
}

/// Options of a convolution over `D` dimensions; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct ConvOptions<const D: usize> {
    /// Steps between output positions.
    pub stride: [usize; D],
    /// Zeros around the input.
    pub padding: Padding<D>,
    /// Steps between the kernel's taps.
    pub dilation: [usize; D],
    /// Groups of channels that are convolved independently.
    pub groups: usize,
}

impl<const D: usize> Default for ConvOptions<D> {
    fn default() -> Self {
        ConvOptions {
            stride: [1; D],
            padding: Padding::Valid,
            dilation: [1; D],
            groups: 1,
        }
    }
}

/// Options of a transposed convolution over `D` dimensions; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposeOptions<const D: usize> {
    /// Steps between the places where input cells are put down.
    pub stride: [usize; D],
    /// Cells cut off at either side of the output.
    pub padding: [usize; D],
    /// Cells added behind the output, where several sizes are possible.
    pub output_padding: [usize; D],
    /// Groups of channels that are convolved independently.
    pub groups: usize,
    /// Steps between the kernel's taps.
    pub dilation: [usize; D],
}

impl<const D: usize> Default for ConvTransposeOptions<D> {
    fn default() -> Self {
        ConvTransposeOptions {
            stride: [1; D],
            padding: [0; D],
            output_padding: [0; D],
            groups: 1,
            dilation: [1; D],
        }
    }
}

/// Which of the three tensors of `⟨g, x ∗ w⟩` is computed from the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvPart {
    /// `x ∗ w` of (input, weight).
    Output,
    /// The gradient of the input, of (gradient of the output, weight).
    Input,
    /// The gradient of the weight, of (input, gradient of the output).
    Weight,
}

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvGeometry {
    shape: ConvShape,
    /// Spatial dimensions.
    rank: usize,
}

impl ConvGeometry {
    /// The same for another number of images.
    pub fn with_batch(&self, batch: usize) -> ConvGeometry {
        let shape = ConvShape { batch, ..self.shape };
        ConvGeometry { shape, ..*self }
    }

    /// A convolution 1 × 1 of every channel of images by itself.
    ///
    /// # Errors
    /// `Shape` unless these have four dimensions.
    pub(crate) fn channel_wise(image: &[usize]) -> Result<ConvGeometry> {
        let &[batch, channels, height, width] = image else {
            bail!(
                Shape,
                "convolution: expected images of four dimensions, got {image:?}"
            )
        };
        let shape = ConvShape {
            batch,
            in_channels: channels,
            out_channels: channels,
            groups: channels,
            input: [1, height, width],
            kernel: [1; 3],
            stride: [1; 3],
            padding: [0; 3],
            dilation: [1; 3],
            output: [1, height, width],
        };
        Ok(ConvGeometry { shape, rank: 2 })
    }

    /// Spatial dimensions.
    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// The sizes as kernels take them.
    pub(crate) fn sizes(&self) -> &ConvShape {
        &self.shape
    }

    fn shape_of(&self, part: ConvPart) -> Shape {
        let s = &self.shape;
        let (lead, spatial) = match part {
            ConvPart::Output => ([s.batch, s.out_channels], s.output),
            ConvPart::Input => ([s.batch, s.in_channels], s.input),
            ConvPart::Weight => ([s.out_channels, s.in_channels / s.groups], s.kernel),
        };
        lead.into_iter()
            .chain(spatial[3 - self.rank..].iter().copied())
            .collect()
    }
}

/// A recorded convolution, or a derivative of one.
#[derive(Clone, Debug)]
pub struct ConvOp {
    /// What was computed.
    pub part: ConvPart,
    /// The sizes.
    pub geometry: ConvGeometry,
    /// The first operand, if the second one's gradient is wanted.
    pub lhs: Option<Saved>,
    /// The second operand, if the first one's gradient is wanted.
    pub rhs: Option<Saved>,
}

/// The operation's name.
pub(crate) fn name(op: &ConvOp) -> &'static str {
    match op.part {
        ConvPart::Output => "conv",
        ConvPart::Input => "conv_transpose",
        ConvPart::Weight => "conv_backward_weight",
    }
}

impl ConvPart {
    /// The parts that stand for the two operands.
    pub fn operands(self) -> [ConvPart; 2] {
        match self {
            ConvPart::Output => [ConvPart::Input, ConvPart::Weight],
            ConvPart::Input => [ConvPart::Output, ConvPart::Weight],
            ConvPart::Weight => [ConvPart::Input, ConvPart::Output],
        }
    }
}

/// `part` of the convolution described by `geometry`, computed from the other two tensors in the order input, weight,
/// output. `bias` is added to each channel of an output or an input.
///
/// # Errors
/// `Shape` if an operand does not have the shape of its part; `DType` if types differ.
pub fn convolution(
    geometry: &ConvGeometry,
    part: ConvPart,
    lhs: &Tensor,
    rhs: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    for (operand, role) in [lhs, rhs].into_iter().zip(part.operands()) {
        let expected = geometry.shape_of(role);
        ensure!(
            operand.shape() == &expected[..],
            Shape,
            "convolution: expected {role:?} {expected:?}, got {:?}",
            operand.shape()
        );
        ensure!(
            operand.dtype() == lhs.dtype(),
            DType,
            "convolution: expected tensors of one type, got {} and {}",
            lhs.dtype(),
            rhs.dtype()
        );
    }
    let (a, b) = (lhs.read(), rhs.read());
    let c = bias.map(Tensor::read);
    let value = compute(geometry, part, &a.value, &b.value, c.as_ref().map(|c| &c.value))?;
    let mut inputs = vec![&a, &b];
    inputs.extend(&c);
    Ok(record(value, &inputs, |_| {
        Op::Conv(ConvOp {
            part,
            geometry: *geometry,
            lhs: b.edge().map(|_| a.clone()),
            rhs: a.edge().map(|_| b.clone()),
        })
    }))
}

fn compute(
    geometry: &ConvGeometry,
    part: ConvPart,
    a: &Value,
    b: &Value,
    bias: Option<&Value>,
) -> Result<Value> {
    let dtype = a.dtype;
    if dtype.is_half() {
        let wide = |v: &Value| v.cast(DType::F32);
        let bias = bias.map(wide).transpose()?;
        return compute(geometry, part, &wide(a)?, &wide(b)?, bias.as_ref())?.cast(dtype);
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let bias = bias.map(Value::contiguous).transpose()?;
    let (s, shape) = (&geometry.shape, geometry.shape_of(part));
    checked_numel("convolution", &shape)?;
    let (channels, plane) = (shape[1], shape[2..].iter().product());
    let view_shape = [shape[0], channels, plane];
    let nothing = a.numel() == 0 || b.numel() == 0;
    if !dtype.is_float() {
        return with_integer!("convolution", dtype, T => {
            let (a, b) = (a.data::<T>()?, b.data::<T>()?);
            let value = Value::build::<T>(dtype, shape, |out| {
                conv_integer(s, part == ConvPart::Input, a, b, out);
            })?;
            let Some(bias) = bias else { return Ok(value) };
            let bias = bias.reshaped(Shape::new(&[1, channels, 1]))?.expanded(&Shape::new(&view_shape));
            let sum = value.reshaped(Shape::new(&view_shape))?.zip_integers("convolution", BinaryInt::Add, &bias)?;
            sum.reshaped(value.shape)
        });
    }
    with_float!("convolution", dtype, T => {
        let (a, b) = (a.data::<T>()?, b.data::<T>()?);
        let bias = bias.as_ref().map(|v| v.data::<T>()).transpose()?;
        Value::build::<T>(dtype, shape, |out| {
            match part {
                _ if nothing => out.fill(0.0),
                ConvPart::Output => return conv_forward(s, a, b, &Tail::bias(bias), out),
                ConvPart::Input => conv_backward_input(s, a, b, out),
                ConvPart::Weight => conv_backward_weight(s, a, b, out),
            }
            if let Some(data) = bias {
                binary_in_place(Binary::Add, out, View { data, shape: &view_shape, strides: &[0, 1, 0] });
            }
        })
    })
}

/// The strides, 1 where there is a single position and none is taken: it may be too large to add.
fn taken<const D: usize>(stride: [usize; D], positions: [usize; D]) -> [usize; D] {
    std::array::from_fn(|d| if positions[d] == 1 { 1 } else { stride[d] })
}

/// What both directions check: ranks, types, channels, groups, bias, steps. Returns the input with a batch dimension.
fn checked_input<const D: usize>(
    op: &str,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    groups: usize,
    steps: [[usize; D]; 2],
    transposed: bool,
) -> Result<Tensor> {
    let (xs, ws) = (x.shape(), w.shape());
    ensure!(
        ws.len() == D + 2,
        Shape,
        "{op}: expected a weight of {} dimensions, got {ws:?}",
        D + 2
    );
    ensure!(
        xs.len() == D + 1 || xs.len() == D + 2,
        Shape,
        "{op}: expected an input of {} or {} dimensions, got {xs:?}",
        D + 1,
        D + 2
    );
    ensure!(
        groups > 0 && steps.iter().flatten().all(|&s| s > 0),
        Value,
        "{op}: stride, dilation and groups must be positive, got {:?}, {:?} and {groups}",
        steps[0],
        steps[1]
    );
    let channels = xs[xs.len() - D - 1];
    let expected = if transposed {
        ws[0]
    } else {
        ws[1].saturating_mul(groups)
    };
    ensure!(
        channels == expected && ws[0] % groups == 0,
        Shape,
        "{op}: input {xs:?} has {channels} channels, weight {ws:?} with {groups} groups takes {expected}"
    );
    ensure!(
        ws[2..].iter().all(|&k| k > 0) && channels > 0 && ws[0] > 0 && ws[1] > 0,
        Shape,
        "{op}: expected channels and a kernel of positive size, got input {xs:?} and weight {ws:?}"
    );
    let out_channels = if transposed {
        ws[1].saturating_mul(groups)
    } else {
        ws[0]
    };
    if let Some(bias) = bias {
        ensure!(
            bias.shape() == [out_channels],
            Shape,
            "{op}: expected a bias [{out_channels}], got {:?}",
            bias.shape()
        );
    }
    let dtypes = [Some(x), Some(w), bias].map(|t| t.map_or(x.dtype(), Tensor::dtype));
    ensure!(
        dtypes == [x.dtype(); 3] && x.dtype() != DType::Bool,
        DType,
        "{op}: expected input, weight and bias of one number type, got {dtypes:?}"
    );
    if xs.len() == D + 1 {
        x.unsqueeze(0)
    } else {
        Ok(x.clone())
    }
}

fn sizes<const D: usize>(shape: &[usize]) -> [usize; D] {
    std::array::from_fn(|d| shape[shape.len() - D + d])
}

/// The convolution (cross-correlation) over `D` dimensions: `out[n, o, p] = bias[o] + Σ x[n, c, p·stride + t·dilation -
/// padding] · w[o, c, t]`.
///
/// # Shapes
/// `[batch, in_channels, spatial…] → [batch, out_channels, spatial…]`; the batch may be left out.
///
/// # Errors
/// `Shape` if ranks, channels or sizes do not fit; `DType` if types differ; `Value` for a zero stride, dilation or number
/// of groups, or padding `Same` with a stride.
pub fn conv<const D: usize>(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &ConvOptions<D>,
) -> Result<Tensor> {
    under_autocast!("conv": x, weight, bias => conv(x, weight, bias, options));
    let (input, geometry) = checked(x, weight, bias, options)?;
    let out = convolution(&geometry, ConvPart::Output, &input, weight, bias)?;
    if x.rank() == D + 1 {
        out.squeeze_dim(0)
    } else {
        Ok(out)
    }
}

/// The input with a batch dimension and the sizes of a convolution, as [`conv`] describes it.
fn checked<const D: usize>(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &ConvOptions<D>,
) -> Result<(Tensor, ConvGeometry)> {
    let op = format!("conv{D}d");
    let ConvOptions {
        stride,
        padding,
        dilation,
        groups,
    } = *options;
    let input = checked_input(&op, x, weight, bias, groups, [stride, dilation], false)?;
    let (size, kernel) = (sizes::<D>(input.shape()), sizes::<D>(weight.shape()));
    let mut padding_of = [[0; 2]; D];
    for d in 0..D {
        padding_of[d] = match padding {
            Padding::Valid => [0, 0],
            Padding::Explicit(p) => [p[d], p[d]],
            Padding::Same => {
                ensure!(
                    stride[d] == 1,
                    Value,
                    "{op}: padding 'same' needs stride 1, got {stride:?}"
                );
                let all = dilation[d].saturating_mul(kernel[d] - 1);
                [all / 2, all - all / 2]
            }
        };
    }
    let mut output = [0; D];
    for d in 0..D {
        let size = ConvShape::output_size(size[d], kernel[d], stride[d], padding_of[d], dilation[d]);
        let Some(size) = size else {
            bail!(
                Shape,
                "{op}: the kernel {kernel:?} with dilation {dilation:?} does not fit the input {:?} with padding {padding:?}",
                x.shape()
            )
        };
        output[d] = size;
    }
    let geometry = ConvGeometry {
        shape: ConvShape {
            batch: input.shape()[0],
            in_channels: input.shape()[1],
            out_channels: weight.shape()[0],
            groups,
            input: embed(&size, 1),
            kernel: embed(&kernel, 1),
            stride: embed(&taken(stride, output), 1),
            padding: embed(&padding_of.map(|p| p[0]), 0),
            dilation: embed(&dilation, 1),
            output: embed(&output, 1),
        },
        rank: D,
    };
    Ok((input, geometry))
}

/// The transposed convolution over `D` dimensions: the gradient of a convolution with respect to its input. Along each
/// dimension the output has `(size - 1)·stride - 2·padding + dilation·(kernel - 1) + output_padding + 1` cells.
///
/// # Shapes
/// `[batch, in_channels, spatial…] → [batch, out_channels, spatial…]`; the batch may be left out.
///
/// # Errors
/// `Shape` if ranks, channels or sizes do not fit; `DType` if types differ; `Value` for a zero stride, dilation or number
/// of groups, or an output padding that is smaller than neither stride nor dilation.
pub fn conv_transpose<const D: usize>(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &ConvTransposeOptions<D>,
) -> Result<Tensor> {
    under_autocast!("conv_transpose": x, weight, bias => conv_transpose(x, weight, bias, options));
    let op = format!("conv_transpose{D}d");
    let ConvTransposeOptions {
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    } = *options;
    let input = checked_input(&op, x, weight, bias, groups, [stride, dilation], true)?;
    let (size, kernel) = (sizes::<D>(input.shape()), sizes::<D>(weight.shape()));
    let mut result = [0; D];
    for d in 0..D {
        ensure!(
            output_padding[d] < stride[d].max(dilation[d]),
            Value,
            "{op}: output_padding {output_padding:?} must be smaller than stride {stride:?} or dilation {dilation:?}"
        );
        let cells = || {
            let reach = size[d].checked_sub(1)?.checked_mul(stride[d])?;
            let span = dilation[d].checked_mul(kernel[d] - 1)?;
            let whole = reach.checked_add(span)?.checked_add(output_padding[d] + 1)?;
            whole
                .checked_sub(padding[d].checked_mul(2)?)
                .filter(|&cells| cells > 0)
        };
        let Some(cells) = cells() else {
            bail!(
                Shape,
                "{op}: input {:?} with kernel {kernel:?}, stride {stride:?} and padding {padding:?} gives no output",
                x.shape()
            )
        };
        result[d] = cells;
    }
    let geometry = ConvGeometry {
        shape: ConvShape {
            batch: input.shape()[0],
            in_channels: weight.shape()[1] * groups,
            out_channels: weight.shape()[0],
            groups,
            input: embed(&result, 1),
            kernel: embed(&kernel, 1),
            stride: embed(&taken(stride, size), 1),
            padding: embed(&padding, 0),
            dilation: embed(&dilation, 1),
            output: embed(&size, 1),
        },
        rank: D,
    };
    let out = convolution(&geometry, ConvPart::Input, &input, weight, bias)?;
    if x.rank() == D + 1 {
        out.squeeze_dim(0)
    } else {
        Ok(out)
    }
}

macro_rules! named {
    ($($(#[$doc:meta])* $name:ident = $function:ident<$d:literal>($options:ident);)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// As the function over any number of dimensions.
        pub fn $name(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &$options<$d>) -> Result<Tensor> {
            $function::<$d>(x, weight, bias, options)
        }
    )* };
}
named! {
    /// [`conv`] over sequences `[batch, channels, length]`.
    conv1d = conv<1>(ConvOptions);
    /// [`conv`] over images `[batch, channels, height, width]`.
    conv2d = conv<2>(ConvOptions);
    /// [`conv`] over volumes `[batch, channels, depth, height, width]`.
    conv3d = conv<3>(ConvOptions);
    /// [`conv_transpose`] over sequences `[batch, channels, length]`.
    conv_transpose1d = conv_transpose<1>(ConvTransposeOptions);
    /// [`conv_transpose`] over images `[batch, channels, height, width]`.
    conv_transpose2d = conv_transpose<2>(ConvTransposeOptions);
    /// [`conv_transpose`] over volumes `[batch, channels, depth, height, width]`.
    conv_transpose3d = conv_transpose<3>(ConvTransposeOptions);
}

#[cfg(test)]
mod tests;
