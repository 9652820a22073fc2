//! Losses as modules (`torch.nn.MSELoss`, `CrossEntropyLoss`, …): settings, and a `forward` that takes what is compared.
//! The formulas stand with [`flambeau_tensor::ops::loss`].

pub use flambeau_tensor::ops::loss::Reduction;
use std::sync::Arc;

use flambeau_tensor::ops::loss::{
    self as functions, ClassOptions, CrossEntropyOptions, CtcOptions, TripletOptions,
};
use flambeau_tensor::{Result, Tensor, ensure};

use super::distance::PairwiseDistance;
use super::linear::{Linear, LinearOptions, rows};
use super::text;
use crate::{Buffer, Member, Module, Visitor, VisitorMut, observed};

/// Losses with a reduction and settings of their own, `field: type = default`.
macro_rules! losses {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty = $default:expr),* $(,)? } ($($input:ident),*)
            => |$loss:ident| $body:expr;
    )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
            /// What becomes of the losses of single elements.
            #[module(skip)]
            pub reduction: Reduction,
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* reduction: Reduction::Mean }
            }
        }

        impl $name {
            /// The loss.
            ///
            /// # Errors
            /// As the function of [`flambeau_tensor::ops::loss`].
            #[observed]
            pub fn forward(&self, $($input: &Tensor),*) -> Result<Tensor> {
                let $loss = self;
                $body
            }
        }
    )* };
}

losses! {
    /// `|x - y|`.
    L1Loss {} (input, target) => |l| functions::l1_loss(input, target, l.reduction);
    /// `(x - y)²`.
    MSELoss {} (input, target) => |l| functions::mse_loss(input, target, l.reduction);
    /// `(x - y)²/2` where `|x - y| < delta`, else `delta·(|x - y| - delta/2)` (Huber, 1964).
    HuberLoss {
        /// Where the loss becomes linear.
        delta: f64 = 1.0,
    } (input, target) => |l| functions::huber_loss(input, target, l.delta, l.reduction);
    /// Huber's loss divided by `beta` (Girshick, 2015).
    SmoothL1Loss {
        /// Where the loss becomes linear.
        beta: f64 = 1.0,
    } (input, target) => |l| functions::smooth_l1_loss(input, target, l.beta, l.reduction);
    /// `log(1 + exp(-y·x))` for targets of 1 and -1.
    SoftMarginLoss {} (input, target) => |l| functions::soft_margin_loss(input, target, l.reduction);
    /// `y·(log y - x)` for log-probabilities `x`, the divergence of Kullback & Leibler (1951).
    KLDivLoss {
        /// Whether targets are logarithms too.
        log_target: bool = false,
        /// Whether the sum divided by the size of the batch, which the divergence is, takes the place of `reduction`
        /// (`reduction="batchmean"`).
        batch_mean: bool = false,
    } (input, target) => |l| {
        if l.batch_mean {
            let sum = functions::kl_div(input, target, l.log_target, Reduction::Sum)?;
            return sum.div(input.size(0)? as f64);
        }
        functions::kl_div(input, target, l.log_target, l.reduction)
    };
    /// `exp(x) - y·x` for logarithms `x` of rates.
    PoissonNLLLoss {
        /// Whether inputs are logarithms of rates.
        log_input: bool = true,
        /// Whether Stirling's approximation of `log(y!)` is added.
        full: bool = false,
        /// Added to rates before their logarithm.
        eps: f64 = 1e-8,
    } (input, target) => |l| functions::poisson_nll_loss(input, target, l.log_input, l.full, l.eps, l.reduction);
    /// `(log v + (x - y)²/v)/2` for a normal distribution's mean `x` and variance `v`.
    GaussianNLLLoss {
        /// Whether the constant `log(2π)/2` is added.
        full: bool = false,
        /// The least variance.
        eps: f64 = 1e-6,
    } (input, target, var) => |l| functions::gaussian_nll_loss(input, target, var, l.full, l.eps, l.reduction);
    /// `x` for targets of 1, `max(0, margin - x)` for those of -1.
    HingeEmbeddingLoss {
        /// The distance from which different ones cost nothing.
        margin: f64 = 1.0,
    } (input, target) => |l| functions::hinge_embedding_loss(input, target, l.margin, l.reduction);
    /// `max(0, -y·(x₁ - x₂) + margin)`.
    MarginRankingLoss {
        /// By how much the better one must be ahead.
        margin: f64 = 0.0,
    } (input1, input2, target) => |l| functions::margin_ranking_loss(input1, input2, target, l.margin, l.reduction);
    /// `1 - cos(x₁, x₂)` for targets of 1, `max(0, cos(x₁, x₂) - margin)` for those of -1.
    CosineEmbeddingLoss {
        /// The cosine up to which different ones cost nothing.
        margin: f64 = 0.0,
    } (input1, input2, target) => |l| functions::cosine_embedding_loss(input1, input2, target, l.margin, l.reduction);
    /// Hinge loss of several labels a sample, listed first and ended by -1.
    MultiLabelMarginLoss {} (input, target) => |l| functions::multilabel_margin_loss(input, target, l.reduction);
    /// Binary cross-entropy of several labels a sample, averaged over the classes.
    MultiLabelSoftMarginLoss {
        /// Factors of the classes.
        weight: Option<Buffer> = None,
    } (input, target) => |l| {
        functions::multilabel_soft_margin_loss(input, target, l.weight.as_deref(), l.reduction)
    };
    /// `Σ max(0, margin - x_y + xᵢ)ᵖ / classes` over the classes but the right one.
    MultiMarginLoss {
        /// Exponent, 1 or 2.
        p: i64 = 1,
        /// By how much the right class must be ahead.
        margin: f64 = 1.0,
        /// Factors of the classes.
        weight: Option<Buffer> = None,
    } (input, target) => |l| {
        functions::multi_margin_loss(input, target, l.p, l.margin, l.weight.as_deref(), l.reduction)
    };
    /// `-(y·log x + (1 - y)·log(1 - x))` for probabilities.
    BCELoss {
        /// Factors of the elements.
        weight: Option<Buffer> = None,
    } (input, target) => |l| functions::binary_cross_entropy(input, target, l.weight.as_deref(), l.reduction);
    /// [`BCELoss`] of `sigmoid(x)`, computed without overflow.
    BCEWithLogitsLoss {
        /// Factors of the elements.
        weight: Option<Buffer> = None,
        /// Factors of the positive targets.
        pos_weight: Option<Buffer> = None,
    } (input, target) => |l| {
        let (weight, pos_weight) = (l.weight.as_deref(), l.pos_weight.as_deref());
        functions::binary_cross_entropy_with_logits(input, target, weight, pos_weight, l.reduction)
    };
    /// Minus the log-probability of the right class.
    NLLLoss {
        /// Factors of the classes.
        weight: Option<Buffer> = None,
        /// Targets that do not count.
        ignore_index: i64 = -100,
    } (input, target) => |l| {
        functions::nll_loss(input, target, &class_options(&l.weight, l.ignore_index, l.reduction))
    };
    /// Minus the log-probability that scores give the right class, or the cross-entropy with target probabilities.
    CrossEntropyLoss {
        /// Factors of the classes.
        weight: Option<Buffer> = None,
        /// Targets that do not count.
        ignore_index: i64 = -100,
        /// How much of the target's probability is spread over all classes (Szegedy et al., 2015).
        label_smoothing: f64 = 0.0,
    } (input, target) => |l| {
        let class = class_options(&l.weight, l.ignore_index, l.reduction);
        functions::cross_entropy(input, target, &CrossEntropyOptions { class, label_smoothing: l.label_smoothing })
    };
    /// `max(0, d(a, p) - d(a, n) + margin)` for an anchor, a positive and a negative (Balntas et al., 2016).
    TripletMarginLoss {
        /// By how much the negative must be further away.
        margin: f64 = 1.0,
        /// Which norm the distance is.
        p: f64 = 2.0,
        /// Added to differences.
        eps: f64 = 1e-6,
        /// Whether the distance of positive and negative counts if it is the smaller one.
        swap: bool = false,
    } (anchor, positive, negative) => |l| {
        let options = TripletOptions { margin: l.margin, p: l.p, eps: l.eps, swap: l.swap, reduction: l.reduction };
        functions::triplet_margin_loss(anchor, positive, negative, options)
    };
}

fn class_options(weight: &Option<Buffer>, ignore_index: i64, reduction: Reduction) -> ClassOptions {
    ClassOptions {
        weight: weight.as_deref().cloned(),
        ignore_index,
        reduction,
    }
}

/// Connectionist temporal classification (Graves et al., 2006): minus the log-probability of a sequence of labels, over
/// all its alignments with the input.
#[derive(Clone, Copy, Debug, Module)]
pub struct CTCLoss {
    /// The label that stands for none.
    pub blank: usize,
    /// What becomes of the losses of sequences.
    #[module(skip)]
    pub reduction: Reduction,
    /// Whether impossible alignments cost 0 instead of infinity.
    pub zero_infinity: bool,
}

impl Default for CTCLoss {
    fn default() -> Self {
        CTCLoss {
            blank: 0,
            reduction: Reduction::Mean,
            zero_infinity: false,
        }
    }
}

impl CTCLoss {
    /// The loss of log-probabilities `[time, batch?, classes]`; lengths are those of each sequence.
    ///
    /// # Errors
    /// As [`flambeau_tensor::ops::loss::ctc_loss`].
    #[observed]
    pub fn forward(
        &self,
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
    ) -> Result<Tensor> {
        let CTCLoss {
            blank,
            reduction,
            zero_infinity,
        } = *self;
        let options = CtcOptions {
            blank,
            reduction,
            zero_infinity,
        };
        functions::ctc_loss(log_probs, targets, input_lengths, target_lengths, options)
    }
}

/// A distance between batches of vectors.
pub type Distance = Arc<dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync>;

/// The distance of a [`TripletMarginWithDistanceLoss`].
#[derive(Clone)]
pub enum DistanceFunction {
    /// A norm of differences.
    Pairwise(PairwiseDistance),
    /// Another one.
    Function(Distance),
}

/// A norm is a module within the loss.
impl Member for DistanceFunction {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        if let DistanceFunction::Pairwise(distance) = self {
            distance.visit(name, visitor)
        }
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        match self {
            DistanceFunction::Pairwise(distance) => distance.visit_mut(name, visitor),
            DistanceFunction::Function(_) => Ok(()),
        }
    }
}

/// [`TripletMarginLoss`] with a distance of one's own.
#[derive(Clone, Module)]
pub struct TripletMarginWithDistanceLoss {
    /// The distance.
    pub distance_function: DistanceFunction,
    /// By how much the negative must be further away.
    pub margin: f64,
    /// Whether the distance of positive and negative counts if it is the smaller one.
    pub swap: bool,
    /// What becomes of the losses of single elements.
    #[module(skip)]
    pub reduction: Reduction,
}

impl Default for TripletMarginWithDistanceLoss {
    fn default() -> Self {
        TripletMarginWithDistanceLoss {
            distance_function: DistanceFunction::Pairwise(PairwiseDistance::default()),
            margin: 1.0,
            swap: false,
            reduction: Reduction::Mean,
        }
    }
}

impl std::fmt::Debug for TripletMarginWithDistanceLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repr())
    }
}

impl TripletMarginWithDistanceLoss {
    /// The loss.
    ///
    /// # Errors
    /// As [`flambeau_tensor::ops::loss::triplet_margin_with_distance_loss`].
    #[observed]
    pub fn forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        let distance = |x: &Tensor, y: &Tensor| match &self.distance_function {
            DistanceFunction::Pairwise(distance) => distance.forward(x, y),
            DistanceFunction::Function(distance) => distance(x, y),
        };
        functions::triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            &distance,
            self.margin,
            self.swap,
            self.reduction,
        )
    }
}

/// A linear layer and the cross-entropy of the scores that it gives.
#[derive(Clone, Debug, Module)]
#[module(describe, cost)]
pub struct LinearCrossEntropyLoss {
    /// Factors of the classes.
    pub weight: Option<Buffer>,
    /// `[in_features] → [num_classes·out_features…]`.
    pub linear: Linear,
    num_classes: usize,
    #[module(skip)]
    options: LinearCrossEntropyOptions,
}

/// Options of [`LinearCrossEntropyLoss`]; the defaults are PyTorch's.
#[derive(Clone, Debug, Default)]
pub struct LinearCrossEntropyOptions {
    /// Sizes of further dimensions of the scores: `[batch, num_classes, out_features…]`.
    pub out_features: Vec<usize>,
    /// Whether the linear layer has a bias.
    pub bias: bool,
    /// What becomes of the losses of single elements.
    pub reduction: Reduction,
    /// Factors of the classes.
    pub weight: Option<Tensor>,
    /// Targets that do not count; -100 unless given.
    pub ignore_index: Option<i64>,
    /// How much of the target's probability is spread over all classes.
    pub label_smoothing: f64,
}

impl LinearCrossEntropyLoss {
    /// A loss whose linear layer is initialised as [`Linear::new`] does.
    ///
    /// # Errors
    /// `Shape` unless there is a factor for each class; `Value` for a smoothing outside of 0 to 1.
    pub fn new(in_features: usize, num_classes: usize, options: LinearCrossEntropyOptions) -> Result<Self> {
        if let Some(weight) = &options.weight {
            ensure!(
                weight.shape() == [num_classes],
                Shape,
                "LinearCrossEntropyLoss: expected factors of {num_classes} classes, got {:?}",
                weight.shape()
            );
        }
        ensure!(
            (0.0..=1.0).contains(&options.label_smoothing),
            Value,
            "LinearCrossEntropyLoss: expected a label_smoothing from 0 to 1, got {}",
            options.label_smoothing
        );
        let outputs = options.out_features.iter().product::<usize>() * num_classes;
        let bias = options.bias;
        Ok(LinearCrossEntropyLoss {
            weight: options.weight.clone().map(Buffer::new),
            linear: Linear::new(in_features, outputs, LinearOptions { bias })?,
            num_classes,
            options,
        })
    }

    /// The loss of inputs `[batch?, in_features]` and targets: classes `[batch?, out_features…]` or probabilities
    /// `[batch?, num_classes, out_features…]`.
    ///
    /// # Errors
    /// As [`flambeau_tensor::ops::loss::linear_cross_entropy`].
    #[observed]
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let outputs = [&[self.num_classes], &self.options.out_features[..]].concat();
        let weight = &self.linear.weight;
        let weight = weight.reshape([&outputs[..], &weight.shape()[1..]].concat())?;
        let bias = self.linear.bias.as_deref();
        let bias = bias.map(|bias| bias.reshape(&outputs[..])).transpose()?;
        let ignore_index = self.options.ignore_index.unwrap_or(-100);
        let options = CrossEntropyOptions {
            class: class_options(&self.weight, ignore_index, self.options.reduction),
            label_smoothing: self.options.label_smoothing,
        };
        functions::linear_cross_entropy(input, &weight, target, bias.as_ref(), &options)
    }

    fn cost(&self, inputs: &[Tensor], _: &[Tensor]) -> u64 {
        rows(inputs) * self.linear.weight.numel() as u64
    }

    fn describe(&self) -> String {
        let LinearCrossEntropyOptions {
            out_features,
            bias,
            reduction,
            ignore_index,
            label_smoothing,
            ..
        } = &self.options;
        format!(
            "in_features={}, num_classes={}, out_features={}, bias={}, reduction={}, ignore_index={}, label_smoothing={}, \
             options=None",
            self.linear.weight.shape()[1],
            self.num_classes,
            text::list(out_features),
            text::bool(*bias),
            format!("{reduction:?}").to_lowercase(),
            ignore_index.map_or("None".to_string(), |index| index.to_string()),
            text::float(*label_smoothing)
        )
    }
}
