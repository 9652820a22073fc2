//! Pooling (`torch.nn.MaxPool2d`, `AvgPool2d`, `AdaptiveAvgPool2d`, …): windows of each channel reduced to their maximum,
//! mean or norm. Options and formulas stand with [`flambeau_tensor::ops::pool`].

use flambeau_tensor::ops::pool;
pub use flambeau_tensor::ops::pool::{AvgPoolOptions, MaxPoolOptions};
use flambeau_tensor::{Result, Tensor};

use super::text;
use crate::{Forward, Module, observed};

fn describe_max<const D: usize>(kernel: [usize; D], options: &MaxPoolOptions<D>) -> String {
    let stride = options.stride.unwrap_or(kernel);
    let [kernel, stride, padding, dilation] =
        [kernel, stride, options.padding, options.dilation].map(text::size);
    let ceil_mode = text::bool(options.ceil_mode);
    format!(
        "kernel_size={kernel}, stride={stride}, padding={padding}, dilation={dilation}, ceil_mode={ceil_mode}"
    )
}

fn describe_average<const D: usize>(kernel: [usize; D], options: &AvgPoolOptions<D>) -> String {
    let stride = options.stride.unwrap_or(kernel);
    let text = if D == 1 { text::tuple } else { text::size };
    let [kernel, stride, padding] = [kernel, stride, options.padding].map(text);
    format!("kernel_size={kernel}, stride={stride}, padding={padding}")
}

fn describe_adaptive<const D: usize>(output_size: [Option<usize>; D]) -> String {
    let sizes = output_size.map(|size| size.map_or("None".to_string(), |size| size.to_string()));
    match &sizes[..] {
        [one] => format!("output_size={one}"),
        all => format!("output_size=({})", all.join(", ")),
    }
}

macro_rules! pools {
    ($($d:literal over $over:literal: $max:ident, $unpool:ident, $average:ident, $lp:ident, $adaptive_max:ident, $adaptive_average:ident;)*) => { $(
        #[doc = concat!("The greatest element of each window, over ", $over, ".")]
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $max {
            #[module(skip)]
            kernel_size: [usize; $d],
            #[module(skip)]
            options: MaxPoolOptions<$d>,
        }

        impl $max {
            /// Windows of this size; they follow each other without overlap unless a stride is given.
            pub fn new(kernel_size: [usize; $d], options: MaxPoolOptions<$d>) -> Self {
                $max { kernel_size, options }
            }

            /// The maxima and where each lies in its channel (`return_indices`).
            ///
            /// # Errors
            /// As [`flambeau_tensor::ops::pool::max_pool_with_indices`].
            #[observed]
            pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
                pool::max_pool_with_indices(x, self.kernel_size, &self.options)
            }

            fn describe(&self) -> String {
                describe_max(self.kernel_size, &self.options)
            }
        }

        impl Forward for $max {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                pool::max_pool(x, self.kernel_size, &self.options)
            }
        }

        #[doc = concat!("Maxima put back where they were, and zeros elsewhere: undoes [`", stringify!($max), "`].")]
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $unpool {
            #[module(skip)]
            kernel_size: [usize; $d],
            #[module(skip)]
            stride: [usize; $d],
            #[module(skip)]
            padding: [usize; $d],
        }

        impl $unpool {
            /// The inverse of a pool with these settings.
            pub fn new(kernel_size: [usize; $d], stride: Option<[usize; $d]>, padding: [usize; $d]) -> Self {
                $unpool { kernel_size, stride: stride.unwrap_or(kernel_size), padding }
            }

            /// The tensor with these maxima; its size, of which several are possible, unless it is the usual one.
            ///
            /// # Errors
            /// `Shape` or `Index` if the indices do not fit.
            #[observed]
            pub fn forward(&self, x: &Tensor, indices: &Tensor, size: Option<[usize; $d]>) -> Result<Tensor> {
                let size = match size {
                    Some(size) => size,
                    None => pool::max_unpool_sizes(x, self.kernel_size, self.stride, self.padding)?,
                };
                pool::max_unpool(x, indices, size)
            }

            fn describe(&self) -> String {
                let [kernel, stride, padding] = [self.kernel_size, self.stride, self.padding].map(text::tuple);
                format!("kernel_size={kernel}, stride={stride}, padding={padding}")
            }
        }

        #[doc = concat!("The mean of each window, over ", $over, ".")]
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $average {
            #[module(skip)]
            kernel_size: [usize; $d],
            #[module(skip)]
            options: AvgPoolOptions<$d>,
        }

        impl $average {
            /// Windows of this size; they follow each other without overlap unless a stride is given.
            pub fn new(kernel_size: [usize; $d], options: AvgPoolOptions<$d>) -> Self {
                $average { kernel_size, options }
            }

            fn describe(&self) -> String {
                describe_average(self.kernel_size, &self.options)
            }
        }

        impl Forward for $average {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                pool::avg_pool(x, self.kernel_size, &self.options)
            }
        }

        #[doc = concat!("The p-norm of each window, `(Σxᵖ)^(1/p)`, over ", $over, ".")]
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $lp {
            norm_type: f64,
            #[module(skip)]
            kernel_size: [usize; $d],
            #[module(skip)]
            stride: Option<[usize; $d]>,
            ceil_mode: bool,
        }

        impl $lp {
            /// Windows of this size and their norms; the windows follow each other without overlap unless a stride is
            /// given.
            pub fn new(norm_type: f64, kernel_size: [usize; $d], stride: Option<[usize; $d]>, ceil_mode: bool) -> Self {
                $lp { norm_type, kernel_size, stride, ceil_mode }
            }

            fn describe(&self) -> String {
                format!(
                    "norm_type={}, kernel_size={}, stride={}, ceil_mode={}",
                    text::number(self.norm_type),
                    text::size(self.kernel_size),
                    self.stride.map_or("None".to_string(), text::size),
                    text::bool(self.ceil_mode)
                )
            }
        }

        impl Forward for $lp {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                pool::lp_pool(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
            }
        }

        #[doc = concat!("The greatest element of each of so many windows as the output has cells, over ", $over, ".")]
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $adaptive_max {
            #[module(skip)]
            output_size: [Option<usize>; $d],
        }

        impl $adaptive_max {
            /// An output of this size; `None` keeps the input's.
            pub fn new(output_size: [Option<usize>; $d]) -> Self {
                $adaptive_max { output_size }
            }

            /// The maxima and where each lies in its channel (`return_indices`).
            ///
            /// # Errors
            /// `Shape` if the input has other than so many dimensions.
            #[observed]
            pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
                pool::adaptive_max_pool_with_indices(x, self.output_size)
            }

            fn describe(&self) -> String {
                describe_adaptive(self.output_size)
            }
        }

        impl Forward for $adaptive_max {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                Ok(self.forward_with_indices(x)?.0)
            }
        }

        #[doc = concat!("The mean of each of so many windows as the output has cells, over ", $over, ".")]
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $adaptive_average {
            #[module(skip)]
            output_size: [Option<usize>; $d],
        }

        impl $adaptive_average {
            /// An output of this size; `None` keeps the input's.
            pub fn new(output_size: [Option<usize>; $d]) -> Self {
                $adaptive_average { output_size }
            }

            fn describe(&self) -> String {
                describe_adaptive(self.output_size)
            }
        }

        impl Forward for $adaptive_average {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                pool::adaptive_avg_pool(x, self.output_size)
            }
        }
    )* };
}

pools! {
    1 over "sequences `[batch?, channels, length]`":
        MaxPool1d, MaxUnpool1d, AvgPool1d, LPPool1d, AdaptiveMaxPool1d, AdaptiveAvgPool1d;
    2 over "images `[batch?, channels, height, width]`":
        MaxPool2d, MaxUnpool2d, AvgPool2d, LPPool2d, AdaptiveMaxPool2d, AdaptiveAvgPool2d;
    3 over "volumes `[batch?, channels, depth, height, width]`":
        MaxPool3d, MaxUnpool3d, AvgPool3d, LPPool3d, AdaptiveMaxPool3d, AdaptiveAvgPool3d;
}
