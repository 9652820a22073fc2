//! Fractional max pooling (Graham, 2014; `torch.nn.FractionalMaxPool2d`, `FractionalMaxPool3d`): maxima of windows at
//! pseudo-random steps, so that the output may have any size below the input's.

use flambeau_tensor::ops::pool::{FractionalOutput, fractional_max_pool_with_indices};
use flambeau_tensor::{Result, Tensor};

use crate::{Buffer, Forward, Module, observed};

macro_rules! pools {
    ($($name:ident: $d:literal over $over:literal;)*) => { $(
        #[doc = concat!("The greatest element of each of the windows at pseudo-random steps, over ", $over, ".")]
        #[derive(Clone, Debug, Module)]
        pub struct $name {
            #[module(skip)]
            kernel_size: [usize; $d],
            #[module(skip)]
            output: FractionalOutput<$d>,
            /// Numbers in `[0, 1)` that fix the steps, `[batch, channels, dimensions]`; drawn at each call unless given.
            #[module(rename = "_random_samples")]
            pub random_samples: Option<Buffer>,
        }

        impl $name {
            /// Windows of this size, and the output's size or its part of the input's.
            pub fn new(kernel_size: [usize; $d], output: FractionalOutput<$d>) -> Self {
                $name { kernel_size, output, random_samples: None }
            }

            /// The maxima and where each lies in its channel (`return_indices`).
            ///
            /// # Errors
            /// As [`flambeau_tensor::ops::pool::fractional_max_pool_with_indices`].
            #[observed]
            pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
                let samples = self.random_samples.as_deref();
                fractional_max_pool_with_indices(x, self.kernel_size, self.output, samples)
            }
        }

        impl Forward for $name {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                Ok(self.forward_with_indices(x)?.0)
            }
        }
    )* };
}

pools! {
    FractionalMaxPool2d: 2 over "images `[batch?, channels, height, width]`";
    FractionalMaxPool3d: 3 over "volumes `[batch?, channels, depth, height, width]`";
}
