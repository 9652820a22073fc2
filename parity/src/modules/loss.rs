//! Losses.

use std::sync::{Arc, Mutex, PoisonError};

use flambeau_nn::*;
use flambeau_tensor::{Result, Tensor, bail};

use super::{Entry, Instance, build, of};
use crate::args::{Arg, Args};
use crate::registry::out;

/// Losses of an input and a target.
macro_rules! pairs {
    ($($name:ident $(, $field:ident: $position:literal $kind:ident $default:expr)*; reduction $reduction:literal)*) => { &[$(
        (stringify!($name), |a| {
            let loss = $name {
                $($field: a.$kind($position, stringify!($field), $default)?,)*
                reduction: reduction(a, $reduction)?,
                ..Default::default()
            };
            pair(loss, $name::forward)
        }),
    )*] };
}

#[allow(clippy::needless_update)]
pub(super) const PAIRS: &[Entry] = pairs! {
    L1Loss; reduction 2
    MSELoss; reduction 2
    HuberLoss, delta: 1 float 1.0; reduction 0
    SmoothL1Loss, beta: 3 float 1.0; reduction 2
    SoftMarginLoss; reduction 2
    HingeEmbeddingLoss, margin: 0 float 1.0; reduction 3
    MultiLabelMarginLoss; reduction 2
};

fn pair<M: Module + 'static>(
    loss: M,
    forward: fn(&M, &Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Box<dyn Instance>> {
    of(loss, move |loss, a| {
        out(forward(loss, &a.tensor(0, "input")?, &a.tensor(1, "target")?)?)
    })
}

/// `reduction` at a position; before it stand `size_average` and `reduce`, by which old programs say the same.
fn reduction(a: &mut Args, position: usize) -> Result<Reduction> {
    let before = |n: usize| match position {
        usize::MAX => usize::MAX,
        _ => position.checked_sub(n).unwrap_or(usize::MAX),
    };
    reduction_at(a, [before(2), before(1), position])
}

/// `size_average`, `reduce` and `reduction` at three positions.
fn reduction_at(a: &mut Args, [size_average, reduce, reduction]: [usize; 3]) -> Result<Reduction> {
    let given = match a.opt_str(reduction, "reduction")? {
        None => Reduction::Mean,
        Some(name) => match Reduction::from_name(&name) {
            Some(reduction) => reduction,
            None => bail!(Value, "{}: reduction {name}", a.op()),
        },
    };
    let mut old = |position, name| match a.take(position, name) {
        None | Some(Arg::None) => Ok(None),
        Some(Arg::Bool(value)) => Ok(Some(value)),
        other => bail!(Value, "{}: {name} {other:?}", a.op()),
    };
    Ok(
        match (old(size_average, "size_average")?, old(reduce, "reduce")?) {
            (None, None) => given,
            (_, Some(false)) => Reduction::None,
            (Some(false), _) => Reduction::Sum,
            _ => Reduction::Mean,
        },
    )
}

fn weight(a: &mut Args, position: usize, name: &str) -> Result<Option<Buffer>> {
    Ok(a.opt_tensor(position, name)?.map(Buffer::new))
}

pub(super) const TABLE: &[Entry] = &[
    ("BCELoss", |a| {
        pair(
            BCELoss {
                weight: weight(a, 0, "weight")?,
                reduction: reduction(a, 3)?,
            },
            BCELoss::forward,
        )
    }),
    ("BCEWithLogitsLoss", |a| {
        let (weight, pos_weight) = (weight(a, 0, "weight")?, weight(a, 4, "pos_weight")?);
        let loss = BCEWithLogitsLoss {
            weight,
            pos_weight,
            reduction: reduction(a, 3)?,
        };
        pair(loss, BCEWithLogitsLoss::forward)
    }),
    ("AdaptiveLogSoftmaxWithLoss", |a| {
        let (features, classes) = (
            a.required_count(0, "in_features")?,
            a.required_count(1, "n_classes")?,
        );
        let cutoffs: Vec<usize> = a.ints(2, "cutoffs")?.into_iter().map(|c| c as usize).collect();
        let (div_value, head_bias) = (a.float(3, "div_value", 4.0)?, a.bool(4, "head_bias", false)?);
        let loss = AdaptiveLogSoftmaxWithLoss::new(features, classes, &cutoffs, div_value, head_bias)?;
        of(loss, |loss, a| {
            let AdaptiveLogSoftmaxOutput { output, loss } =
                loss.forward(&a.tensor(0, "input")?, &a.tensor(1, "target")?)?;
            out([output, loss])
        })
    }),
    ("CTCLoss", |a| {
        let loss = CTCLoss {
            blank: a.count(0, "blank", 0)?,
            reduction: reduction(a, 1)?,
            zero_infinity: a.bool(2, "zero_infinity", false)?,
        };
        of(loss, |loss, a| {
            let (inputs, targets) = (lengths(a, 2, "input_lengths")?, lengths(a, 3, "target_lengths")?);
            out(loss.forward(
                &a.tensor(0, "log_probs")?,
                &a.tensor(1, "targets")?,
                &inputs,
                &targets,
            )?)
        })
    }),
    ("CosineEmbeddingLoss", |a| {
        let loss = CosineEmbeddingLoss {
            margin: a.float(0, "margin", 0.0)?,
            reduction: reduction(a, 3)?,
        };
        triple(loss, ["input1", "input2", "target"], CosineEmbeddingLoss::forward)
    }),
    ("CrossEntropyLoss", |a| {
        let loss = CrossEntropyLoss {
            weight: weight(a, 0, "weight")?,
            ignore_index: a.int(2, "ignore_index", -100)?,
            reduction: reduction_at(a, [1, 3, 4])?,
            label_smoothing: a.float(5, "label_smoothing", 0.0)?,
        };
        pair(loss, CrossEntropyLoss::forward)
    }),
    ("GaussianNLLLoss", |a| {
        let loss = GaussianNLLLoss {
            full: a.bool(usize::MAX, "full", false)?,
            eps: a.float(usize::MAX, "eps", 1e-6)?,
            reduction: reduction(a, usize::MAX)?,
        };
        triple(loss, ["input", "target", "var"], GaussianNLLLoss::forward)
    }),
    ("LinearCrossEntropyLoss", |a| {
        let (features, classes) = (
            a.required_count(0, "in_features")?,
            a.required_count(1, "num_classes")?,
        );
        let out_features = a.opt_ints(usize::MAX, "out_features")?.unwrap_or_default();
        // How the work is cut into chunks does not change the result.
        a.take(usize::MAX, "options");
        let options = LinearCrossEntropyOptions {
            out_features: out_features.into_iter().map(|size| size as usize).collect(),
            bias: a.bool(usize::MAX, "bias", false)?,
            reduction: reduction(a, usize::MAX)?,
            weight: a.opt_tensor(usize::MAX, "weight")?,
            ignore_index: a.opt_int(usize::MAX, "ignore_index")?,
            label_smoothing: a.float(usize::MAX, "label_smoothing", 0.0)?,
        };
        pair(
            LinearCrossEntropyLoss::new(features, classes, options)?,
            LinearCrossEntropyLoss::forward,
        )
    }),
    ("KLDivLoss", |a| {
        let batch_mean = matches!(a.peek(2, "reduction"), Some(Arg::Str(name)) if name == "batchmean");
        if batch_mean {
            a.take(2, "reduction");
        }
        let loss = KLDivLoss {
            log_target: a.bool(3, "log_target", false)?,
            batch_mean,
            reduction: reduction(a, 2)?,
        };
        pair(loss, KLDivLoss::forward)
    }),
    ("MarginRankingLoss", |a| {
        let loss = MarginRankingLoss {
            margin: a.float(0, "margin", 0.0)?,
            reduction: reduction(a, 3)?,
        };
        triple(loss, ["input1", "input2", "target"], MarginRankingLoss::forward)
    }),
    ("MultiLabelSoftMarginLoss", |a| {
        let loss = MultiLabelSoftMarginLoss {
            weight: weight(a, 0, "weight")?,
            reduction: reduction(a, 3)?,
        };
        pair(loss, MultiLabelSoftMarginLoss::forward)
    }),
    ("MultiMarginLoss", |a| {
        let loss = MultiMarginLoss {
            p: a.int(0, "p", 1)?,
            margin: a.float(1, "margin", 1.0)?,
            weight: weight(a, 2, "weight")?,
            reduction: reduction(a, 5)?,
        };
        pair(loss, MultiMarginLoss::forward)
    }),
    ("NLLLoss", |a| {
        let loss = NLLLoss {
            weight: weight(a, 0, "weight")?,
            ignore_index: a.int(2, "ignore_index", -100)?,
            reduction: reduction_at(a, [1, 3, 4])?,
        };
        pair(loss, NLLLoss::forward)
    }),
    ("PoissonNLLLoss", |a| {
        let loss = PoissonNLLLoss {
            log_input: a.bool(0, "log_input", true)?,
            full: a.bool(1, "full", false)?,
            eps: a.float(3, "eps", 1e-8)?,
            reduction: reduction_at(a, [2, 4, 5])?,
        };
        pair(loss, PoissonNLLLoss::forward)
    }),
    ("TripletMarginLoss", |a| {
        let loss = TripletMarginLoss {
            margin: a.float(0, "margin", 1.0)?,
            p: a.float(1, "p", 2.0)?,
            eps: a.float(2, "eps", 1e-6)?,
            swap: a.bool(3, "swap", false)?,
            reduction: reduction(a, 6)?,
        };
        triple(
            loss,
            ["anchor", "positive", "negative"],
            TripletMarginLoss::forward,
        )
    }),
    ("TripletMarginWithDistanceLoss", triplet_with_distance),
];

fn triple<M: Module + 'static>(
    loss: M,
    names: [&'static str; 3],
    forward: fn(&M, &Tensor, &Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Box<dyn Instance>> {
    of(loss, move |loss, a| {
        let [x, y, z] = [
            a.tensor(0, names[0])?,
            a.tensor(1, names[1])?,
            a.tensor(2, names[2])?,
        ];
        out(forward(loss, &x, &y, &z)?)
    })
}

/// Lengths as a list, a tensor, or one number.
fn lengths(a: &mut Args, position: usize, name: &str) -> Result<Vec<i64>> {
    match a.peek(position, name) {
        Some(Arg::Tensor(_)) => a
            .tensor(position, name)?
            .to_dtype(flambeau_tensor::DType::I64)?
            .to_vec::<i64>(),
        _ => a.ints(position, name),
    }
}

/// A module of two inputs as a distance.
fn distance(args: Args) -> Distance {
    let args = Mutex::new(args);
    Arc::new(move |x, y| {
        let args = args.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pair = vec![Arg::Tensor(x.clone()), Arg::Tensor(y.clone())];
        let output = build(args)?.call(&mut Args::new("distance_function", pair, Default::default()))?;
        match output.values.into_iter().next() {
            Some(Arg::Tensor(distance)) => Ok(distance),
            other => bail!(Value, "the distance is {other:?}"),
        }
    })
}

fn triplet_with_distance(a: &mut Args) -> Result<Box<dyn Instance>> {
    // A module that is a distance has no state, so that one can be made for each call, on whatever thread.
    let distance = match a.take(usize::MAX, "distance_function") {
        None | Some(Arg::None) => DistanceFunction::Pairwise(PairwiseDistance::default()),
        Some(Arg::Module(args)) => DistanceFunction::Function(distance(*args)),
        Some(other) => bail!(Unsupported, "{}: distance_function {other:?}", a.op()),
    };
    let loss = TripletMarginWithDistanceLoss {
        distance_function: distance,
        margin: a.float(usize::MAX, "margin", 1.0)?,
        swap: a.bool(usize::MAX, "swap", false)?,
        reduction: reduction(a, usize::MAX)?,
    };
    triple(
        loss,
        ["anchor", "positive", "negative"],
        TripletMarginWithDistanceLoss::forward,
    )
}
