//! Losses as modules (`torch.nn.MSELoss`, `CrossEntropyLoss`, …): settings, and a `forward` that takes what is compared.
//! The formulas stand with [`flambeau_tensor::ops::loss`].

pub use flambeau_tensor::ops::loss::Reduction;
use flambeau_tensor::ops::loss::{
    self as functions, ClassOptions, CrossEntropyOptions, CtcOptions, TripletOptions,
};
use flambeau_tensor::{Result, Tensor};

use crate::{Buffer, Module};

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
    } (input, target) => |l| functions::kl_div(input, target, l.log_target, l.reduction);
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
