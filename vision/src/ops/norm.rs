//! Norms over the channels of images: batch norm, batch norm with fixed statistics (`torchvision.ops.FrozenBatchNorm2d`), and
//! layer norm over the channels of each pixel (`LayerNorm2d` of torchvision's ConvNeXt).

use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Buffer, Forward, LayerNorm, LayerNormOptions, Member, Module, Step,
    Visitor, VisitorMut, observed,
};
use flambeau_tensor::ops::conv::ConvTail;
use flambeau_tensor::{DType, Result, Tensor};

/// Implements `Module` and `Member` for a type that shows another module in its place.
macro_rules! stands_for {
    ($name:ident, |$this:ident| $shared:expr, $exclusive:expr) => {
        impl Module for $name {
            fn name(&self) -> &str {
                let $this = self;
                $shared.name()
            }

            fn extra_repr(&self) -> String {
                let $this = self;
                $shared.extra_repr()
            }

            fn members<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
                let $this = self;
                $shared.members(visitor)
            }

            fn members_mut(&mut self, visitor: &mut dyn VisitorMut) -> Result<()> {
                let $this = self;
                $exclusive.members_mut(visitor)
            }
        }

        impl Member for $name {
            fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
                visitor.module(name, self)
            }

            fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
                visitor.module(name, self)
            }
        }
    };
}

/// Which norm over channels a model uses (torchvision's `norm_layer`).
#[derive(Clone, Copy, Debug)]
pub enum NormLayer {
    /// [`BatchNorm2d`].
    Batch(BatchNormOptions),
    /// [`FrozenBatchNorm2d`].
    FrozenBatch {
        /// Added to variances.
        eps: f64,
    },
    /// [`LayerNorm2d`].
    Layer {
        /// Added to variances.
        eps: f64,
    },
}

impl NormLayer {
    /// A batch norm with PyTorch's defaults.
    pub const BATCH: NormLayer = NormLayer::Batch(BatchNormOptions::BATCH);

    /// A batch norm with an `eps` and a momentum of its own.
    pub const fn batch(eps: f64, momentum: f64) -> NormLayer {
        NormLayer::Batch(BatchNormOptions {
            eps,
            momentum: Some(momentum),
            ..BatchNormOptions::BATCH
        })
    }

    /// The norm for so many channels.
    ///
    /// # Errors
    /// `Shape` if they are more than memory can address.
    pub fn build(self, channels: usize) -> Result<Norm2d> {
        Ok(match self {
            NormLayer::Batch(options) => Norm2d::Batch(BatchNorm2d::new(channels, options)?),
            NormLayer::FrozenBatch { eps } => Norm2d::FrozenBatch(FrozenBatchNorm2d::new(channels, eps)?),
            NormLayer::Layer { eps } => Norm2d::Layer(LayerNorm2d::new(channels, eps)?),
        })
    }
}

/// A norm over the channels of images `[batch, channels, height, width]`.
#[derive(Clone, Debug)]
pub enum Norm2d {
    /// By statistics of batches.
    Batch(BatchNorm2d),
    /// By fixed statistics.
    FrozenBatch(FrozenBatchNorm2d),
    /// By statistics of each pixel.
    Layer(LayerNorm2d),
}

impl Norm2d {
    fn module(&self) -> &dyn Forward {
        match self {
            Norm2d::Batch(norm) => norm,
            Norm2d::FrozenBatch(norm) => norm,
            Norm2d::Layer(norm) => norm,
        }
    }

    fn module_mut(&mut self) -> &mut dyn Forward {
        match self {
            Norm2d::Batch(norm) => norm,
            Norm2d::FrozenBatch(norm) => norm,
            Norm2d::Layer(norm) => norm,
        }
    }

    /// The factors, `[channels]`: a parameter or, if they are frozen, a buffer.
    pub fn weight(&self) -> Option<&Tensor> {
        match self {
            Norm2d::Batch(norm) => norm.weight.as_deref(),
            Norm2d::FrozenBatch(norm) => Some(&norm.weight),
            Norm2d::Layer(norm) => norm.norm.weight.as_deref(),
        }
    }
}

stands_for!(Norm2d, |this| this.module(), this.module_mut());

impl Forward for Norm2d {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.module().forward(x)
    }

    fn forward_with_tail(&self, x: &Tensor, tail: &ConvTail<'_>) -> Result<Option<Tensor>> {
        self.module().forward_with_tail(x, tail)
    }

    fn joins_recorded(&self) -> bool {
        self.module().joins_recorded()
    }

    fn as_step(&self, rank: usize) -> Option<Step<'_>> {
        self.module().as_step(rank)
    }
}

/// A batch norm whose statistics, factors and summands are fixed: `x·s + (b - μ·s)` with `s = w/√(σ² + eps)`.
///
/// # Shapes
/// `[batch, channels, height, width]`, kept.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct FrozenBatchNorm2d {
    /// Factors `w`, `[channels]`.
    pub weight: Buffer,
    /// Summands `b`, `[channels]`.
    pub bias: Buffer,
    /// Means `μ`, `[channels]`.
    pub running_mean: Buffer,
    /// Variances `σ²`, `[channels]`.
    pub running_var: Buffer,
    eps: f64,
}

impl FrozenBatchNorm2d {
    /// The identity (but for `eps`) until a state is loaded; torchvision's default `eps` is 1e-5.
    ///
    /// # Errors
    /// `Shape` if the channels are more than memory can address.
    pub fn new(num_features: usize, eps: f64) -> Result<Self> {
        let filled = |value: f64| Tensor::full(num_features, value, DType::F32).map(Buffer::new);
        Ok(FrozenBatchNorm2d {
            weight: filled(1.0)?,
            bias: filled(0.0)?,
            running_mean: filled(0.0)?,
            running_var: filled(1.0)?,
            eps,
        })
    }

    fn describe(&self) -> String {
        format!("{}, eps={}", self.weight.numel(), self.eps)
    }
}

impl Forward for FrozenBatchNorm2d {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let scale = self.weight.mul(&self.running_var.add(self.eps)?.rsqrt()?)?;
        let bias = self.bias.sub(&self.running_mean.mul(&scale)?)?;
        let per_channel = |t: &Tensor| t.reshape((1, -1, 1, 1));
        x.mul(&per_channel(&scale)?)?.add(&per_channel(&bias)?)
    }
}

/// A layer norm over the channels of each pixel.
///
/// # Shapes
/// `[batch, channels, height, width]`, kept.
#[derive(Clone, Debug)]
pub struct LayerNorm2d {
    norm: LayerNorm,
}

impl LayerNorm2d {
    /// A norm of so many channels.
    ///
    /// # Errors
    /// `Shape` if they are more than memory can address.
    pub fn new(channels: usize, eps: f64) -> Result<Self> {
        let options = LayerNormOptions {
            eps,
            ..LayerNormOptions::default()
        };
        Ok(LayerNorm2d {
            norm: LayerNorm::new(&[channels], options)?,
        })
    }
}

stands_for!(LayerNorm2d, |this| this.norm, this.norm);

impl Forward for LayerNorm2d {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let last = x.permute([0, 2, 3, 1])?;
        self.norm.forward(&last)?.permute([0, 3, 1, 2])
    }
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::ops::unary::Unary;
    use flambeau_tensor::random;

    use super::*;

    /// Blocks of models have a pass less in training.
    #[test]
    fn a_norm_in_training_does_the_rectifier() {
        let norm = NormLayer::BATCH.build(3).unwrap();
        let x = random::fork(1, || Tensor::randn((2, 3, 4, 4), DType::F32)).unwrap();
        let tail = ConvTail {
            activation: Some(Unary::Relu),
            ..ConvTail::default()
        };
        let done = norm.forward_with_tail(&x, &tail).unwrap().unwrap();
        let want = norm.forward(&x).unwrap().relu().unwrap();
        assert_eq!(done.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
        norm.eval();
        assert!(norm.forward_with_tail(&x, &tail).unwrap().is_none());
    }

    #[test]
    fn a_frozen_norm_is_a_batch_norm_in_evaluation() {
        let (frozen, batch) = (NormLayer::FrozenBatch { eps: 1e-5 }, NormLayer::BATCH);
        let (frozen, batch) = (frozen.build(3).unwrap(), batch.build(3).unwrap());
        let values = |seed| Tensor::rand(3, DType::F32).unwrap().add(seed).unwrap();
        let mut state = batch.state_dict();
        for (key, value) in state.iter_mut().filter(|(key, _)| *key != "num_batches_tracked") {
            *value = values(key.len() as f64 / 10.0);
        }
        batch.load_state_dict(&state, true).unwrap();
        state.remove("num_batches_tracked");
        frozen.load_state_dict(&state, true).unwrap();
        batch.eval();
        let x = Tensor::rand((2, 3, 4, 4), DType::F32).unwrap();
        let difference = frozen
            .forward(&x)
            .unwrap()
            .sub(&batch.forward(&x).unwrap())
            .unwrap();
        assert!(
            difference
                .abs()
                .unwrap()
                .to_vec::<f32>()
                .unwrap()
                .iter()
                .all(|&d| d < 1e-6)
        );
        assert!(frozen.named_parameters().is_empty());
    }
}
