//! Losses.

use flambeau_nn::*;

use crate::table::{Case, case, one, whole, x};

/// Losses of two tensors.
macro_rules! pairs {
    ($($name:ident($x:expr, $y:expr) wrong($wrong_x:expr, $wrong_y:expr) => $says:literal;)*) => {
        vec![$(
            case(
                stringify!($name),
                || Ok($name::default()),
                |loss| one(loss.forward(&$x, &$y)),
                |loss| one(loss.forward(&$wrong_x, &$wrong_y)),
                $says,
            )
        ),*]
    };
}

fn probabilities(shape: &[usize]) -> Tensor {
    x(shape).sigmoid().unwrap()
}

fn signs(shape: &[usize]) -> Tensor {
    x(shape).sign().unwrap()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut all = pairs! {
        L1Loss(x(&[2, 3]), x(&[2, 3]).neg()?) wrong(x(&[2, 3]), x(&[2, 4])) => "l1_loss: shapes [2, 3] and [2, 4] cannot be broadcast together";
        MSELoss(x(&[2, 3]), x(&[2, 3]).neg()?) wrong(x(&[2, 3]), x(&[2, 4])) => "mse_loss: shapes [2, 3] and [2, 4] cannot be broadcast together";
        HuberLoss(x(&[2, 3]), x(&[2, 3]).neg()?) wrong(x(&[2, 3]), x(&[2, 4])) => "huber_loss: shapes [2, 3] and [2, 4] cannot be broadcast together";
        SmoothL1Loss(x(&[2, 3]), x(&[2, 3]).neg()?) wrong(x(&[2, 3]), x(&[2, 4])) => "smooth_l1_loss: shapes [2, 3] and [2, 4] cannot be broadcast together";
        SoftMarginLoss(x(&[2, 3]), signs(&[2, 3])) wrong(x(&[2, 3]), x(&[2, 4])) => "soft_margin_loss: shapes [2, 3] and [2, 4] cannot be broadcast together";
        KLDivLoss(x(&[2, 3]), probabilities(&[2, 3])) wrong(x(&[2, 3]), x(&[2, 4])) => "kl_div: shapes [2, 3] and [2, 4] cannot be broadcast together";
        PoissonNLLLoss(x(&[2, 3]), probabilities(&[2, 3])) wrong(x(&[2, 3]), x(&[2, 4])) => "poisson_nll_loss: shapes [2, 3] and [2, 4] cannot be broadcast together";
        HingeEmbeddingLoss(x(&[2, 3]), signs(&[2, 3])) wrong(x(&[2, 3]), x(&[2, 4])) => "hinge_embedding_loss: shapes [2, 3] and [2, 4] cannot be broadcast";
        MultiLabelMarginLoss(x(&[3]), whole(&[1, -1, 0])) wrong(x(&[3]), whole(&[1, -1])) => "of one shape, got [3] and [2]";
        MultiLabelSoftMarginLoss(x(&[2, 3]), probabilities(&[2, 3])) wrong(x(&[2, 3]), x(&[2, 4])) => "multilabel_soft_margin_loss: shapes [2, 3] and [2, 4] cannot be broadcast";
        MultiMarginLoss(x(&[2, 3]), whole(&[1, 2])) wrong(x(&[2, 3]), whole(&[1, 3])) => "multi_margin_loss: gather: index 3 at position 1 is out of range for a";
        BCELoss(probabilities(&[2, 3]), probabilities(&[2, 3])) wrong(probabilities(&[2, 3]), x(&[2, 4])) => "of one shape, got [2, 3] and [2, 4]";
        BCEWithLogitsLoss(x(&[2, 3]), probabilities(&[2, 3])) wrong(x(&[2, 3]), x(&[2, 4])) => "of one shape, got [2, 3] and [2, 4]";
        NLLLoss(x(&[2, 3]), whole(&[1, 2])) wrong(x(&[2, 3]), whole(&[1, 3])) => "nll_loss: gather: index 3 at position 1 is out of range for a dimension of";
        CrossEntropyLoss(x(&[2, 3]), whole(&[1, 2])) wrong(x(&[2, 3]), whole(&[1, 2, 0])) => "expected class indices [2]";
    };
    all.extend([
        case(
            "GaussianNLLLoss",
            || Ok(GaussianNLLLoss::default()),
            |loss| one(loss.forward(&x(&[2, 3]), &x(&[2, 3]).neg()?, &probabilities(&[2, 3]))),
            |loss| one(loss.forward(&x(&[2, 3]), &x(&[2, 3]), &x(&[2, 3]).neg()?.abs()?.neg()?)),
            "the variance can't be negative",
        ),
        case(
            "MarginRankingLoss",
            || Ok(MarginRankingLoss::default()),
            |loss| one(loss.forward(&x(&[3]), &x(&[3]).neg()?, &signs(&[3]))),
            |loss| one(loss.forward(&x(&[3]), &x(&[2]), &signs(&[3]))),
            "margin_ranking_loss: shapes [3] and [2] and [3] cannot be broadcast",
        ),
        case(
            "CosineEmbeddingLoss",
            || Ok(CosineEmbeddingLoss::default()),
            |loss| one(loss.forward(&x(&[2, 3]), &x(&[2, 3]).neg()?, &signs(&[2]))),
            |loss| one(loss.forward(&x(&[2, 3]), &x(&[2, 3]), &signs(&[2, 3]))),
            "expected inputs [batch, features] for targets [batch]",
        ),
        case(
            "TripletMarginLoss",
            || Ok(TripletMarginLoss::default()),
            |loss| one(loss.forward(&x(&[2, 3]), &x(&[2, 3]).neg()?, &x(&[2, 3]).mul(2)?)),
            |loss| one(loss.forward(&x(&[2, 3]), &x(&[2, 3]), &x(&[2, 4]))),
            "shapes",
        ),
        case(
            "TripletMarginWithDistanceLoss",
            || Ok(TripletMarginWithDistanceLoss::default()),
            |loss| one(loss.forward(&x(&[2, 3]), &x(&[2, 3]).neg()?, &x(&[2, 3]).mul(2)?)),
            |loss| one(loss.forward(&x(&[2, 3]), &x(&[2, 3]), &x(&[2, 4]))),
            "sub: shapes [2, 3] and [2, 4] cannot be broadcast together",
        ),
        case(
            "CTCLoss",
            || Ok(CTCLoss::default()),
            |loss| one(loss.forward(&x(&[5, 3]).log_softmax(-1)?, &whole(&[1, 2]), &[5], &[2])),
            |loss| one(loss.forward(&x(&[5, 3]).log_softmax(-1)?, &whole(&[1, 2]), &[6], &[2])),
            "ctc_loss: sample 0: input length 6 of 5 steps, target length 2",
        ),
        case(
            "LinearCrossEntropyLoss",
            || {
                let options = LinearCrossEntropyOptions {
                    out_features: vec![2],
                    label_smoothing: 0.1,
                    ..LinearCrossEntropyOptions::default()
                };
                LinearCrossEntropyLoss::new(4, 3, options)
            },
            |loss| one(loss.forward(&x(&[2, 4]), &whole(&[1, 2, 0, 1]).reshape((2, 2))?)),
            |loss| one(loss.forward(&x(&[2, 5]), &whole(&[1, 2, 0, 1]).reshape((2, 2))?)),
            "expected […, features] and [classes, …, features]",
        ),
        case(
            "AdaptiveLogSoftmaxWithLoss",
            || AdaptiveLogSoftmaxWithLoss::new(8, 12, &[4, 8], 2.0, false),
            |loss| {
                let AdaptiveLogSoftmaxOutput { output, loss } =
                    loss.forward(&x(&[3, 8]), &whole(&[1, 6, 11]))?;
                Ok(vec![output, loss])
            },
            |loss| one(Ok(loss.forward(&x(&[2, 8]), &whole(&[1, 12]))?.loss)),
            "AdaptiveLogSoftmaxWithLoss: target 12 is outside of 12 classes",
        ),
    ]);
    all
}
