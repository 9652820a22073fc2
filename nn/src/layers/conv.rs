//! Convolutions (`torch.nn.Conv1d`, `Conv2d`, `Conv3d`) and transposed ones (`ConvTranspose1d`, …).
//!
//! Weights are `[out_channels, in_channels/groups, kernel…]`, and `[in_channels, out_channels/groups, kernel…]` of
//! transposed ones; what is computed stands with [`flambeau_tensor::ops::conv`].

pub use flambeau_tensor::ops::conv::Padding;
use flambeau_tensor::ops::conv::{self, ConvTail};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{DType, Result, Shape, Tensor, bail, ensure};

use super::linear::{bias, elements, kaiming_uniform_of_layers};
use super::text;
use crate::{Forward, Lazy, Module, Parameter, observed};

/// What stands around the input of a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The input, mirrored without its edge.
    Reflect,
    /// The nearest cell of the input.
    Replicate,
    /// The input again.
    Circular,
}

impl PaddingMode {
    fn name(self) -> &'static str {
        match self {
            PaddingMode::Zeros => "zeros",
            PaddingMode::Reflect => "reflect",
            PaddingMode::Replicate => "replicate",
            PaddingMode::Circular => "circular",
        }
    }
}

/// Options of a convolution over `D` dimensions; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct ConvOptions<const D: usize> {
    /// Steps between output positions.
    pub stride: [usize; D],
    /// How far the input is padded.
    pub padding: Padding<D>,
    /// Steps between the kernel's taps.
    pub dilation: [usize; D],
    /// Groups of channels that are convolved independently.
    pub groups: usize,
    /// Whether a bias is learnt.
    pub bias: bool,
    /// With what the input is padded.
    pub padding_mode: PaddingMode,
}

impl<const D: usize> Default for ConvOptions<D> {
    fn default() -> Self {
        ConvOptions {
            stride: [1; D],
            padding: Padding::Explicit([0; D]),
            dilation: [1; D],
            groups: 1,
            bias: true,
            padding_mode: PaddingMode::Zeros,
        }
    }
}

/// Options of a transposed convolution over `D` dimensions; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposeOptions<const D: usize> {
    /// Steps between output positions of the convolution that this is the transpose of.
    pub stride: [usize; D],
    /// What that convolution pads, and this one cuts off.
    pub padding: [usize; D],
    /// Added to one side of the output's size.
    pub output_padding: [usize; D],
    /// Groups of channels that are convolved independently.
    pub groups: usize,
    /// Whether a bias is learnt.
    pub bias: bool,
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
            bias: true,
            dilation: [1; D],
        }
    }
}

/// Weight and bias. `first` and `second` are the weight's first two dimensions before the second is divided into groups.
fn parameters<const D: usize>(
    op: &str,
    [first, second, out_channels]: [usize; 3],
    kernel: [usize; D],
    groups: usize,
    with_bias: bool,
) -> Result<(Parameter, Option<Parameter>)> {
    ensure!(groups > 0, Value, "{op}: groups must be a positive number");
    ensure!(
        first.is_multiple_of(groups) && second.is_multiple_of(groups),
        Value,
        "{op}: {groups} groups must divide the channels, {first} and {second}"
    );
    ensure!(
        kernel.iter().all(|&k| k > 0),
        Value,
        "{op}: kernel_size must be positive, got {kernel:?}"
    );
    let shape: Shape = [first, second / groups].into_iter().chain(kernel).collect();
    let fan_in = shape[1..].iter().product();
    let weight = Tensor::zeros(shape, DType::F32)?;
    kaiming_uniform_of_layers(&weight)?;
    let bias = with_bias.then(|| bias(out_channels, fan_in)).transpose()?;
    Ok((Parameter::new(weight)?, bias))
}

/// The input of a convolution with such options, which is padded unless it is by zeros, and what remains to be done to it.
fn padded<const D: usize>(
    x: &Tensor,
    kernel: &[usize],
    options: &ConvOptions<D>,
) -> Result<(Tensor, conv::ConvOptions<D>)> {
    let rest = |padding| conv::ConvOptions {
        stride: options.stride,
        padding,
        dilation: options.dilation,
        groups: options.groups,
    };
    let mode = match options.padding_mode {
        PaddingMode::Zeros => return Ok((x.clone(), rest(options.padding))),
        PaddingMode::Reflect => PadMode::Reflect,
        PaddingMode::Replicate => PadMode::Replicate,
        PaddingMode::Circular => PadMode::Circular,
    };
    let mut padding = Vec::with_capacity(2 * D);
    for d in (0..D).rev() {
        let [before, after] = match options.padding {
            Padding::Explicit(padding) => [padding[d]; 2],
            Padding::Valid => [0; 2],
            Padding::Same => {
                let total = options.dilation[d] * (kernel[d] - 1);
                [total / 2, total - total / 2]
            }
        };
        padding.extend([before as isize, after as isize]);
    }
    Ok((x.pad(&padding, mode, 0)?, rest(Padding::Valid)))
}

/// The settings of a layer from `inputs` to `outputs` channels.
fn describe<const D: usize>(
    [inputs, outputs]: [usize; 2],
    kernel: [usize; D],
    options: &ConvOptions<D>,
) -> String {
    let (kernel, stride) = (text::tuple(kernel), text::tuple(options.stride));
    let mut out = format!("{inputs}, {outputs}, kernel_size={kernel}, stride={stride}");
    match options.padding {
        Padding::Explicit(padding) if padding != [0; D] => {
            out += &format!(", padding={}", text::tuple(padding))
        }
        Padding::Same => out += ", padding=same",
        Padding::Valid => out += ", padding=valid",
        Padding::Explicit(_) => {}
    }
    out += &common(options.dilation, [0; D], options.groups, options.bias);
    if options.padding_mode != PaddingMode::Zeros {
        out += &format!(", padding_mode={}", options.padding_mode.name());
    }
    out
}

/// As [`describe`].
fn describe_transposed<const D: usize>(
    [inputs, outputs]: [usize; 2],
    kernel: [usize; D],
    options: &ConvTransposeOptions<D>,
) -> String {
    let (kernel, stride) = (text::tuple(kernel), text::tuple(options.stride));
    let mut out = format!("{inputs}, {outputs}, kernel_size={kernel}, stride={stride}");
    if options.padding != [0; D] {
        out += &format!(", padding={}", text::tuple(options.padding));
    }
    out + &common(
        options.dilation,
        options.output_padding,
        options.groups,
        options.bias,
    )
}

/// How many numbers of a weight belong to one channel of its first dimension.
fn taps(weight: &Tensor) -> u64 {
    weight.shape()[1..].iter().product::<usize>() as u64
}

/// The sizes of a weight's kernel.
fn kernel_of<const D: usize>(weight: &Tensor) -> [usize; D] {
    std::array::from_fn(|d| weight.shape()[2 + d])
}

/// The settings that are printed where they differ from the defaults.
fn common<const D: usize>(
    dilation: [usize; D],
    output_padding: [usize; D],
    groups: usize,
    bias: bool,
) -> String {
    let mut out = String::new();
    if dilation != [1; D] {
        out += &format!(", dilation={}", text::tuple(dilation));
    }
    if output_padding != [0; D] {
        out += &format!(", output_padding={}", text::tuple(output_padding));
    }
    if groups != 1 {
        out += &format!(", groups={groups}");
    }
    if !bias {
        out += ", bias=False";
    }
    out
}

macro_rules! convolutions {
    ($($d:literal: $conv:ident, $lazy:literal, $transpose:ident, $lazy_transpose:literal over $over:literal;)*) => { $(
        #[doc = concat!("A convolution over ", $over, ".")]
        #[derive(Clone, Debug, Module)]
        #[module(describe, cost)]
        pub struct $conv {
            /// `[out_channels, in_channels/groups, kernel…]`.
            pub weight: Parameter,
            /// `[out_channels]`.
            pub bias: Option<Parameter>,
            #[module(skip)]
            options: ConvOptions<$d>,
        }

        impl $conv {
            /// A layer whose weight and bias are uniform in `±1/√fan_in`.
            ///
            /// # Errors
            /// `Value` unless the kernel's sizes and the groups are positive and the groups divide the channels.
            pub fn new(
                in_channels: usize,
                out_channels: usize,
                kernel_size: [usize; $d],
                options: ConvOptions<$d>,
            ) -> Result<Self> {
                let sizes = [out_channels, in_channels, out_channels];
                let (weight, bias) =
                    parameters(stringify!($conv), sizes, kernel_size, options.groups, options.bias)?;
                Ok($conv { weight, bias, options })
            }

            /// The settings.
            pub fn options(&self) -> &ConvOptions<$d> {
                &self.options
            }

            /// A layer of as many input channels as its first input has.
            pub fn lazy(out_channels: usize, kernel_size: [usize; $d], options: ConvOptions<$d>) -> Lazy<Self> {
                Lazy::new(move |x| $conv::new(x.size(-1 - $d)?, out_channels, kernel_size, options))
                    .described($lazy, describe([0, out_channels], kernel_size, &options))
            }

            /// The same layer with other parameters.
            pub(crate) fn with_parameters(&self, weight: Parameter, bias: Parameter) -> Self {
                let options = ConvOptions { bias: true, ..self.options };
                $conv { weight, bias: Some(bias), options }
            }

            fn cost(&self, _: &[Tensor], outputs: &[Tensor]) -> u64 {
                elements(outputs) * taps(&self.weight)
            }

            fn describe(&self) -> String {
                let channels = [self.weight.shape()[1] * self.options.groups, self.weight.shape()[0]];
                describe(channels, kernel_of(&self.weight), &self.options)
            }
        }

        impl Forward for $conv {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                let (x, options) = padded(x, &self.weight.shape()[2..], &self.options)?;
                conv::conv::<$d>(&x, &self.weight, self.bias.as_deref(), &options)
            }

            #[observed]
            fn forward_with_tail(&self, x: &Tensor, tail: &ConvTail<'_>) -> Result<Option<Tensor>> {
                let (x, options) = padded(x, &self.weight.shape()[2..], &self.options)?;
                conv::conv_with_tail::<$d>(&x, &self.weight, self.bias.as_deref(), &options, tail)
            }
        }

        #[doc = concat!("A transposed convolution over ", $over, ": the gradient of [`", stringify!($conv), "`].")]
        #[derive(Clone, Debug, Module)]
        #[module(describe, cost)]
        pub struct $transpose {
            /// `[in_channels, out_channels/groups, kernel…]`.
            pub weight: Parameter,
            /// `[out_channels]`.
            pub bias: Option<Parameter>,
            #[module(skip)]
            options: ConvTransposeOptions<$d>,
        }

        impl $transpose {
            /// A layer whose weight and bias are uniform in `±1/√fan_in`.
            ///
            /// # Errors
            /// `Value` unless the kernel's sizes and the groups are positive and the groups divide the channels.
            pub fn new(
                in_channels: usize,
                out_channels: usize,
                kernel_size: [usize; $d],
                options: ConvTransposeOptions<$d>,
            ) -> Result<Self> {
                let sizes = [in_channels, out_channels, out_channels];
                let (weight, bias) =
                    parameters(stringify!($transpose), sizes, kernel_size, options.groups, options.bias)?;
                Ok($transpose { weight, bias, options })
            }

            /// The output of a given size, of which `stride` different ones are possible for an input.
            ///
            /// # Errors
            /// `Value` for an impossible size; else as [`Forward::forward`].
            #[observed]
            pub fn forward_with_size(&self, x: &Tensor, output_size: [usize; $d]) -> Result<Tensor> {
                let mut options = self.options;
                options.output_padding = output_padding(
                    stringify!($transpose), x, &self.weight, &options, output_size)?;
                self.run(x, &options)
            }

            fn run(&self, x: &Tensor, options: &ConvTransposeOptions<$d>) -> Result<Tensor> {
                let ConvTransposeOptions { stride, padding, output_padding, groups, dilation, .. } = *options;
                let options = conv::ConvTransposeOptions { stride, padding, output_padding, groups, dilation };
                conv::conv_transpose::<$d>(x, &self.weight, self.bias.as_deref(), &options)
            }

            /// A layer of as many input channels as its first input has.
            pub fn lazy(
                out_channels: usize,
                kernel_size: [usize; $d],
                options: ConvTransposeOptions<$d>,
            ) -> Lazy<Self> {
                Lazy::new(move |x| $transpose::new(x.size(-1 - $d)?, out_channels, kernel_size, options))
                    .described($lazy_transpose, describe_transposed([0, out_channels], kernel_size, &options))
            }

            /// The settings.
            pub fn options(&self) -> &ConvTransposeOptions<$d> {
                &self.options
            }

            /// The same layer with other parameters.
            pub(crate) fn with_parameters(&self, weight: Parameter, bias: Parameter) -> Self {
                let options = ConvTransposeOptions { bias: true, ..self.options };
                $transpose { weight, bias: Some(bias), options }
            }

            fn cost(&self, inputs: &[Tensor], _: &[Tensor]) -> u64 {
                elements(inputs) * taps(&self.weight)
            }

            fn describe(&self) -> String {
                let channels = [self.weight.shape()[0], self.weight.shape()[1] * self.options.groups];
                describe_transposed(channels, kernel_of(&self.weight), &self.options)
            }
        }

        impl Forward for $transpose {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                self.run(x, &self.options)
            }
        }
    )* };
}

convolutions! {
    1: Conv1d, "LazyConv1d", ConvTranspose1d, "LazyConvTranspose1d" over "sequences, `[batch?, channels, length]`";
    2: Conv2d, "LazyConv2d", ConvTranspose2d, "LazyConvTranspose2d" over "images, `[batch?, channels, height, width]`";
    3: Conv3d, "LazyConv3d", ConvTranspose3d, "LazyConvTranspose3d" over "volumes, `[batch?, channels, depth, height, width]`";
}

/// The output padding by which a transposed convolution gives an output of this size.
fn output_padding<const D: usize>(
    op: &str,
    x: &Tensor,
    weight: &Tensor,
    options: &ConvTransposeOptions<D>,
    output_size: [usize; D],
) -> Result<[usize; D]> {
    let (shape, kernel) = (x.shape(), &weight.shape()[2..]);
    ensure!(
        shape.len() == D + 1 || shape.len() == D + 2,
        Shape,
        "{op}: expected an input of {} or {} dimensions, got {shape:?}",
        D + 1,
        D + 2
    );
    let mut padding = [0; D];
    for d in 0..D {
        let size = shape[shape.len() - D + d];
        let least = (size.saturating_sub(1) * options.stride[d] + options.dilation[d] * (kernel[d] - 1) + 1)
            .checked_sub(2 * options.padding[d]);
        padding[d] = match least.and_then(|least| output_size[d].checked_sub(least)) {
            Some(more) if more < options.stride[d].max(options.dilation[d]) => more,
            _ => bail!(
                Value,
                "{op}: no output of {output_size:?} for an input of {shape:?} with {options:?}"
            ),
        };
    }
    Ok(padding)
}
