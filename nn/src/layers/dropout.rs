//! Dropout: elements or whole channels set to zero at random in training (`torch.nn.Dropout`, `Dropout2d`, `AlphaDropout`,
//! …).

use flambeau_tensor::ops::dropout::{alpha_dropout, dropout, feature_alpha_dropout, feature_dropout};
use flambeau_tensor::{Result, Tensor, ensure};

use super::text;
use crate::{Forward, Mode, Module, observed};

macro_rules! dropouts {
    ($($(#[$doc:meta])* $name:ident => |$layer:ident, $x:ident, $training:ident| $body:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        #[module(describe)]
        pub struct $name {
            p: f64,
            mode: Mode,
        }

        impl $name {
            /// Sets to zero with probability `p` (PyTorch's default: 0.5).
            ///
            /// # Errors
            /// `Value` unless `p` is between 0 and 1.
            pub fn new(p: f64) -> Result<Self> {
                ensure!(
                    (0.0..=1.0).contains(&p),
                    Value,
                    "{}: expected a probability between 0 and 1, got {p}",
                    stringify!($name)
                );
                Ok($name { p, mode: Mode::default() })
            }

            fn describe(&self) -> String {
                format!("p={}, inplace=False", text::float(self.p))
            }
        }

        impl Forward for $name {
            #[observed]
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let ($layer, $training) = (self, self.mode.is_training());
                $body
            }
        }
    )* };
}

dropouts! {
    /// Elements set to zero with probability `p` in training, the others divided by `1 - p` (Srivastava et al., 2014).
    Dropout => |layer, x, training| dropout(x, layer.p, training);
    /// Whole channels of `[batch?, channels, length]` set to zero (Tompson et al., 2015).
    Dropout1d => |layer, x, training| feature_dropout(x, layer.p, training, x.rank() > 2);
    /// Whole channels of `[batch?, channels, height, width]` set to zero.
    Dropout2d => |layer, x, training| feature_dropout(x, layer.p, training, x.rank() > 3);
    /// Whole channels of `[batch?, channels, depth, height, width]` set to zero.
    Dropout3d => |layer, x, training| feature_dropout(x, layer.p, training, x.rank() > 4);
    /// Elements set to the limit of SELU for `x → -∞` with probability `p` in training, and all scaled and moved so that
    /// mean and variance stay (Klambauer et al., 2017).
    AlphaDropout => |layer, x, training| alpha_dropout(x, layer.p, training);
    /// Whole channels of `[batch, channels, …]` set to the limit of SELU, as [`AlphaDropout`] does elements.
    FeatureAlphaDropout => |layer, x, training| feature_alpha_dropout(x, layer.p, training);
}
