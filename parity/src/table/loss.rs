//! The losses of `nn.functional`.

use flambeau_tensor::ops::loss::{
    self, ClassOptions, CrossEntropyOptions, CtcOptions, Reduction, TripletOptions,
};
use flambeau_tensor::{Result, Tensor, bail};

use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, out};

/// The reduction at `position`, or the one that the deprecated `size_average` and `reduce` at the positions before it
/// mean.
fn reduction(a: &mut Args, position: usize, deprecated: Option<usize>) -> Result<Reduction> {
    let name = a.opt_str(position, "reduction")?;
    let mut legacy = None;
    if let Some(at) = deprecated {
        let average = a.take(at, "size_average");
        let reduce = a.take(at + 1, "reduce");
        let set = |arg: &Option<Arg>| matches!(arg, Some(Arg::Bool(_)));
        if set(&average) || set(&reduce) {
            let off = |arg: &Option<Arg>| matches!(arg, Some(Arg::Bool(false)));
            legacy = Some(match (off(&reduce), off(&average)) {
                (true, _) => Reduction::None,
                (false, true) => Reduction::Sum,
                (false, false) => Reduction::Mean,
            });
        }
    }
    match (legacy, name) {
        (Some(legacy), _) => Ok(legacy),
        (None, None) => Ok(Reduction::default()),
        (None, Some(name)) => match Reduction::from_name(&name) {
            Some(reduction) => Ok(reduction),
            None => bail!(Value, "{}: reduction {name:?}", a.op()),
        },
    }
}

/// `loss(input, target, size_average, reduce, reduction)` with an optional `weight` at the end.
fn simple(a: &mut Args, f: fn(&Tensor, &Tensor, Reduction) -> Result<Tensor>) -> Result<Output> {
    let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
    let weight = a.opt_tensor(5, "weight")?;
    let reduction = reduction(a, 4, Some(2))?;
    let Some(weight) = weight else {
        return out(f(&x, &y, reduction)?);
    };
    let losses = f(&x, &y, Reduction::None)?.mul(&weight)?;
    match reduction {
        Reduction::Mean => out(losses.sum()?.div(&weight.expand(losses.shape())?.sum()?)?),
        reduction => out(reduction.apply(&losses)?),
    }
}

fn class_options(a: &mut Args) -> Result<ClassOptions> {
    Ok(ClassOptions {
        weight: a.opt_tensor(2, "weight")?,
        ignore_index: a.int(4, "ignore_index", -100)?,
        reduction: reduction(a, 6, None)?,
    })
}

/// Takes the deprecated arguments out, which say nothing here unless they are set.
fn legacy_reduction(a: &mut Args, size_average: usize, reduce: usize, given: Reduction) -> Reduction {
    let average = a.take(size_average, "size_average");
    let reduce = a.take(reduce, "reduce");
    match (average, reduce) {
        (_, Some(Arg::Bool(false))) => Reduction::None,
        (Some(Arg::Bool(false)), _) => Reduction::Sum,
        (Some(Arg::Bool(true)), _) | (_, Some(Arg::Bool(true))) => Reduction::Mean,
        _ => given,
    }
}

fn cross_entropy(a: &mut Args) -> Result<Output> {
    let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
    let mut class = class_options(a)?;
    class.reduction = legacy_reduction(a, 3, 5, class.reduction);
    let label_smoothing = a.float(7, "label_smoothing", 0.0)?;
    let options = CrossEntropyOptions {
        class,
        label_smoothing,
    };
    out(loss::cross_entropy(&x, &y, &options)?)
}

fn linear_cross_entropy(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let weight = a.tensor(1, "linear_weight")?;
    let target = a.tensor(2, "target")?;
    let bias = a.opt_tensor(usize::MAX, "linear_bias")?;
    a.take(usize::MAX, "options");
    let class = ClassOptions {
        weight: a.opt_tensor(usize::MAX, "weight")?,
        ignore_index: a.int(usize::MAX, "ignore_index", -100)?,
        reduction: reduction(a, usize::MAX, None)?,
    };
    let label_smoothing = a.float(usize::MAX, "label_smoothing", 0.0)?;
    let options = CrossEntropyOptions {
        class,
        label_smoothing,
    };
    out(loss::linear_cross_entropy(
        &x,
        &weight,
        &target,
        bias.as_ref(),
        &options,
    )?)
}

/// Lengths given as a tensor, a list or a number.
fn lengths(a: &mut Args, position: usize, name: &str) -> Result<Vec<i64>> {
    match a.peek(position, name) {
        Some(Arg::Tensor(_)) => a
            .tensor(position, name)?
            .to_dtype(flambeau_tensor::DType::I64)?
            .to_vec(),
        _ => a.ints(position, name),
    }
}

fn ctc_loss(a: &mut Args) -> Result<Output> {
    let (log_probs, targets) = (a.tensor(0, "log_probs")?, a.tensor(1, "targets")?);
    let (inputs, target_lengths) = (lengths(a, 2, "input_lengths")?, lengths(a, 3, "target_lengths")?);
    let options = CtcOptions {
        blank: a.count(4, "blank", 0)?,
        reduction: reduction(a, 5, None)?,
        zero_infinity: a.bool(6, "zero_infinity", false)?,
    };
    out(loss::ctc_loss(
        &log_probs,
        &targets,
        &inputs,
        &target_lengths,
        options,
    )?)
}

fn kl_div(a: &mut Args) -> Result<Output> {
    let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
    let log_target = a.bool(5, "log_target", false)?;
    if let Some(Arg::Str(name)) = a.peek(4, "reduction")
        && name == "batchmean"
    {
        a.take(4, "reduction");
        let batch = x.shape().first().copied().unwrap_or(1);
        return out(loss::kl_div(&x, &y, log_target, Reduction::Sum)?.div(batch as f64)?);
    }
    let reduction = reduction(a, 4, Some(2))?;
    out(loss::kl_div(&x, &y, log_target, reduction)?)
}

fn gaussian_nll_loss(a: &mut Args) -> Result<Output> {
    let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
    let var = match a.peek(2, "var") {
        Some(Arg::Tensor(_)) => a.tensor(2, "var")?,
        _ => x.full_like(a.float(2, "var", 1.0)?)?,
    };
    let full = a.bool(3, "full", false)?;
    let eps = a.float(4, "eps", 1e-6)?;
    let reduction = reduction(a, 5, None)?;
    out(loss::gaussian_nll_loss(&x, &y, &var, full, eps, reduction)?)
}

fn triplet_margin_loss(a: &mut Args) -> Result<Output> {
    let (anchor, positive, negative) = (
        a.tensor(0, "anchor")?,
        a.tensor(1, "positive")?,
        a.tensor(2, "negative")?,
    );
    let options = TripletOptions {
        margin: a.float(3, "margin", 1.0)?,
        p: a.float(4, "p", 2.0)?,
        eps: a.float(5, "eps", 1e-6)?,
        swap: a.bool(6, "swap", false)?,
        reduction: reduction(a, 9, Some(7))?,
    };
    out(loss::triplet_margin_loss(&anchor, &positive, &negative, options)?)
}

pub(super) const TABLE: &[Entry] = &[
    ("nn.functional.l1_loss", |a| simple(a, loss::l1_loss)),
    ("nn.functional.mse_loss", |a| simple(a, loss::mse_loss)),
    ("nn.functional.soft_margin_loss", |a| {
        simple(a, loss::soft_margin_loss)
    }),
    ("nn.functional.multilabel_margin_loss", |a| {
        simple(a, loss::multilabel_margin_loss)
    }),
    ("nn.functional.smooth_l1_loss", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let beta = a.float(5, "beta", 1.0)?;
        let reduction = reduction(a, 4, Some(2))?;
        out(loss::smooth_l1_loss(&x, &y, beta, reduction)?)
    }),
    ("nn.functional.huber_loss", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let reduction = reduction(a, 2, None)?;
        let delta = a.float(3, "delta", 1.0)?;
        let weight = a.opt_tensor(4, "weight")?;
        match weight {
            None => out(loss::huber_loss(&x, &y, delta, reduction)?),
            // A plain mean, unlike that of the other losses.
            Some(weight) => {
                let losses = loss::huber_loss(&x, &y, delta, Reduction::None)?;
                out(reduction.apply(&losses.mul(&weight)?)?)
            }
        }
    }),
    ("nn.functional.binary_cross_entropy", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let weight = a.opt_tensor(2, "weight")?;
        let reduction = reduction(a, 5, Some(3))?;
        out(loss::binary_cross_entropy(&x, &y, weight.as_ref(), reduction)?)
    }),
    ("nn.functional.binary_cross_entropy_with_logits", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let weight = a.opt_tensor(2, "weight")?;
        let reduction = reduction(a, 5, Some(3))?;
        let positive = a.opt_tensor(6, "pos_weight")?;
        out(loss::binary_cross_entropy_with_logits(
            &x,
            &y,
            weight.as_ref(),
            positive.as_ref(),
            reduction,
        )?)
    }),
    ("nn.functional.nll_loss", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let mut options = class_options(a)?;
        options.reduction = legacy_reduction(a, 3, 5, options.reduction);
        out(loss::nll_loss(&x, &y, &options)?)
    }),
    ("nn.functional.cross_entropy", cross_entropy),
    ("nn.functional.linear_cross_entropy", linear_cross_entropy),
    ("nn.functional.ctc_loss", ctc_loss),
    ("nn.functional.kl_div", kl_div),
    ("nn.functional.gaussian_nll_loss", gaussian_nll_loss),
    ("nn.functional.poisson_nll_loss", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let (log_input, full) = (a.bool(2, "log_input", true)?, a.bool(3, "full", false)?);
        let eps = a.float(5, "eps", 1e-8)?;
        let given = reduction(a, 7, None)?;
        let reduction = legacy_reduction(a, 4, 6, given);
        out(loss::poisson_nll_loss(&x, &y, log_input, full, eps, reduction)?)
    }),
    ("nn.functional.cosine_embedding_loss", |a| {
        let (x, y) = (a.tensor(0, "input1")?, a.tensor(1, "input2")?);
        let target = a.tensor(2, "target")?;
        let margin = a.float(3, "margin", 0.0)?;
        let reduction = reduction(a, 6, Some(4))?;
        out(loss::cosine_embedding_loss(&x, &y, &target, margin, reduction)?)
    }),
    ("nn.functional.margin_ranking_loss", |a| {
        let (x, y) = (a.tensor(0, "input1")?, a.tensor(1, "input2")?);
        let target = a.tensor(2, "target")?;
        let margin = a.float(3, "margin", 0.0)?;
        let reduction = reduction(a, 6, Some(4))?;
        out(loss::margin_ranking_loss(&x, &y, &target, margin, reduction)?)
    }),
    ("nn.functional.hinge_embedding_loss", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let margin = a.float(2, "margin", 1.0)?;
        let reduction = reduction(a, 5, Some(3))?;
        out(loss::hinge_embedding_loss(&x, &y, margin, reduction)?)
    }),
    ("nn.functional.triplet_margin_loss", triplet_margin_loss),
    ("nn.functional.multi_margin_loss", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let p = a.int(2, "p", 1)?;
        let margin = a.float(3, "margin", 1.0)?;
        let weight = a.opt_tensor(4, "weight")?;
        let reduction = reduction(a, 7, Some(5))?;
        out(loss::multi_margin_loss(
            &x,
            &y,
            p,
            margin,
            weight.as_ref(),
            reduction,
        )?)
    }),
    ("nn.functional.multilabel_soft_margin_loss", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "target")?);
        let weight = a.opt_tensor(2, "weight")?;
        let reduction = reduction(a, 5, Some(3))?;
        out(loss::multilabel_soft_margin_loss(
            &x,
            &y,
            weight.as_ref(),
            reduction,
        )?)
    }),
];
