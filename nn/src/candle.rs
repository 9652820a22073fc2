//! Modules written for candle as layers of a model.

use flambeau_tensor::candle::core;
use flambeau_tensor::{Result, Tensor};

use crate::{Forward, Module, observed};

/// A module written for candle (of candle-nn, candle-transformers, or of one's own) as a frozen layer. It runs on copies of
/// its inputs, and each call is counted in [`flambeau_tensor::debug::fallbacks`] under the layer's name.
///
/// candle's operations are not recorded, so no gradient gets through: a tracked input is an error, unless the layer was
/// made [`detached`](CandleModule::detached) or recording is off. The module's parameters are candle's: they are neither in
/// the state dict nor counted.
///
/// Whatever maps one candle tensor to one can be the module, a closure too; so can, by a closure, what takes more:
/// `CandleModule::new("bert", move |x: &_| bert.forward(x, &types, None))`.
///
/// ```
/// use flambeau_nn::{CandleModule, Forward, Linear, LinearOptions, Sequential};
/// use flambeau_tensor::candle::core;
/// use flambeau_tensor::{DType, Result, Tensor, debug};
///
/// /// Written for candle.
/// struct Square;
///
/// impl core::Module for Square {
///     fn forward(&self, x: &core::Tensor) -> core::Result<core::Tensor> {
///         x.sqr()
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let model = Sequential::new()
///     .push(CandleModule::new("square", Square))
///     .push(Linear::new(3, 2, LinearOptions::default())?);
/// let y = model.forward(&Tensor::ones((4, 3), DType::F32)?)?;
/// assert!(y.is_tracked(), "the linear layer learns");
/// assert_eq!(debug::fallbacks()["square"], 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct CandleModule<M> {
    #[module(skip)]
    module: M,
    name: &'static str,
    detached: bool,
}

impl<M: core::Module> CandleModule<M> {
    /// A layer called `name` that refuses tracked inputs.
    pub fn new(name: &'static str, module: M) -> Self {
        CandleModule {
            module,
            name,
            detached: false,
        }
    }

    /// The same layer for tracked inputs as well: what comes before it gets no gradient from it.
    pub fn detached(self) -> Self {
        CandleModule {
            detached: true,
            ..self
        }
    }
}

impl<M> CandleModule<M> {
    fn describe(&self) -> String {
        let detached = if self.detached { ", detached" } else { "" };
        format!("{}{detached}", self.name)
    }
}

impl<M: core::Module + Send + Sync> Forward for CandleModule<M> {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let cut = self.detached.then(|| x.detach());
        let x = cut.as_ref().unwrap_or(x);
        Tensor::apply_candle(self.name, &[x], |inputs| self.module.forward(&inputs[0]))
    }
}
