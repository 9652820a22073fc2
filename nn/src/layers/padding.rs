//! Padding (`torch.nn.ConstantPad1d`, `ZeroPad2d`, `ReflectionPad2d`, `ReplicationPad3d`, `CircularPad1d`, …).

use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor};

use super::text;
use crate::{Forward, Module, observed};

macro_rules! pads {
    ($($d:literal: $constant:ident, $zero:ident, $reflection:ident, $replication:ident, $circular:ident;)*) => { $(
        /// Cells of one value added around the input: `[before, after]` of the last dimension, then of the one before.
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $constant {
            /// Cells before and behind each dimension, the last first; negative numbers cut off.
            #[module(skip)]
            pub padding: [isize; 2 * $d],
            /// Their value.
            pub value: f64,
        }

        impl $constant {
            fn describe(&self) -> String {
                format!("padding={}, value={}", padding(&self.padding), text::number(self.value))
            }
        }

        impl Forward for $constant {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                x.pad(&self.padding, PadMode::Constant, self.value)
            }
        }

        pads!(@other $d, $zero, PadMode::Constant, "Zeros added around the input.");
        pads!(@other $d, $reflection, PadMode::Reflect, "The input continued by its mirror image, without the edge.");
        pads!(@other $d, $replication, PadMode::Replicate, "The input continued by its edge.");
        pads!(@other $d, $circular, PadMode::Circular, "The input continued by itself.");
    )* };
    (@other $d:literal, $name:ident, $mode:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $name {
            /// Cells before and behind each dimension, the last first; negative numbers cut off.
            #[module(skip)]
            pub padding: [isize; 2 * $d],
        }

        impl $name {
            fn describe(&self) -> String {
                padding(&self.padding)
            }
        }

        impl Forward for $name {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                x.pad(&self.padding, $mode, 0)
            }
        }
    };
}

pads! {
    1: ConstantPad1d, ZeroPad1d, ReflectionPad1d, ReplicationPad1d, CircularPad1d;
    2: ConstantPad2d, ZeroPad2d, ReflectionPad2d, ReplicationPad2d, CircularPad2d;
    3: ConstantPad3d, ZeroPad3d, ReflectionPad3d, ReplicationPad3d, CircularPad3d;
}

fn padding(sizes: &[isize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(isize::to_string).collect();
    format!("({})", sizes.join(", "))
}
