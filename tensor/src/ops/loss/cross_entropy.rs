//! Cross-entropy over classes: of class indices, by a fused kernel that keeps one number per element, and of
//! probabilities.

use flambeau_kernels::loss as kernels;
use flambeau_kernels::mem::Buf;

use super::classification::class_sizes;
use super::{ClassOptions, Reduction};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::value::Value;
use crate::{DType, Error, Result, Shape, Tensor, ensure, profiler, with_float};

/// A recorded cross-entropy of class indices.
#[derive(Clone, Debug)]
pub struct CrossEntropyOp {
    /// The scores.
    pub logits: Saved,
    /// The scores seen as `[batch, classes, places]`.
    pub sizes: [usize; 3],
    /// The share of the target distribution that is spread over all classes.
    pub label_smoothing: f64,
    /// Elements with this target count for nothing.
    pub ignore_index: i64,
    targets: Value,
    weight: Option<Value>,
    log_sum_exp: Value,
}

/// Options of [`cross_entropy()`]; the defaults are PyTorch's.
#[derive(Clone, Debug, Default)]
pub struct CrossEntropyOptions {
    /// Weights, ignored class and reduction. Probabilities have no ignored class.
    pub class: ClassOptions,
    /// The share of the target distribution that is spread over all classes.
    pub label_smoothing: f64,
}

/// The cross-entropy of scores `[C]`, `[batch, C]` or `[batch, C, d…]` with targets: class indices of the shape without
/// `C`, or probabilities of the very shape. The mean is one over the weights of the target classes, or over the batch
/// and places for probabilities.
///
/// # Errors
/// `Shape` if the targets or weights don't fit; `Index` if a target is not a class; `Value` for a smoothing outside 0..=1.
pub fn cross_entropy(input: &Tensor, target: &Tensor, options: &CrossEntropyOptions) -> Result<Tensor> {
    under_autocast!("cross_entropy": input, target, weight = options.class.weight.as_ref() => {
        let class = ClassOptions { weight: weight.cloned(), ..options.class.clone() };
        cross_entropy(input, target, &CrossEntropyOptions { class, ..options.clone() })
    });
    let (sizes, places) = class_sizes("cross_entropy", input)?;
    let smoothing = options.label_smoothing;
    ensure!(
        (0.0..=1.0).contains(&smoothing),
        Value,
        "cross_entropy: label_smoothing must be between 0 and 1, got {smoothing}"
    );
    if let Some(weight) = &options.class.weight {
        ensure!(
            weight.shape() == [sizes[1]],
            Shape,
            "cross_entropy: weights {:?} for {} classes",
            weight.shape(),
            sizes[1]
        );
    }
    if target.dtype().is_float() && target.shape() == input.shape() {
        return of_probabilities(input, target, options, sizes);
    }
    ensure!(
        target.shape() == &places[..] && target.dtype().is_integer(),
        Shape,
        "cross_entropy: expected class indices {places:?}, or probabilities like the scores {:?}, got targets {:?} of {}",
        input.shape(),
        target.shape(),
        target.dtype()
    );
    if input.dtype().is_half() {
        return of_classes(&input.to_dtype(DType::F32)?, target, options, sizes, places)?
            .to_dtype(input.dtype());
    }
    of_classes(input, target, options, sizes, places)
}

fn of_probabilities(
    input: &Tensor,
    target: &Tensor,
    options: &CrossEntropyOptions,
    [outer, classes, inner]: [usize; 3],
) -> Result<Tensor> {
    let class = isize::from(input.rank() > 1);
    let smoothing = options.label_smoothing;
    let target = if smoothing > 0.0 {
        target.mul(1.0 - smoothing)?.add(smoothing / classes as f64)?
    } else {
        target.clone()
    };
    let mut scores = input.log_softmax(class)?.mul(&target)?;
    if let Some(weight) = &options.class.weight {
        let mut shape = vec![1; input.rank()];
        shape[class as usize] = classes;
        scores = scores.mul(&weight.reshape(shape)?)?;
    }
    let losses = scores.sum_dim(class, false)?.neg()?;
    match options.class.reduction {
        Reduction::Mean => losses.sum()?.div((outer * inner) as f64),
        reduction => reduction.apply(&losses),
    }
}

fn of_classes(
    input: &Tensor,
    target: &Tensor,
    options: &CrossEntropyOptions,
    sizes: [usize; 3],
    places: Shape,
) -> Result<Tensor> {
    let dtype = input.dtype();
    let logits = input.read();
    let weight = options
        .class
        .weight
        .as_ref()
        .map(|w| w.value().cast(dtype))
        .transpose()?;
    let op = CrossEntropyOp {
        sizes,
        label_smoothing: options.label_smoothing,
        ignore_index: options.class.ignore_index,
        targets: target.value().cast(DType::I64)?,
        weight,
        log_sum_exp: logits.value.clone(),
        logits,
    };
    let (losses, log_sum_exp, total) = op.forward(places)?;
    let logits = op.logits.clone();
    let losses = record(losses, &[&logits], |_| {
        Op::CrossEntropy(CrossEntropyOp { log_sum_exp, ..op })
    });
    match options.class.reduction {
        // Of ignored targets alone the mean is NaN, its gradient 0.
        Reduction::Mean if total == 0.0 => losses.sum()?.mul(0.0)?.add(f64::NAN),
        Reduction::Mean => losses.sum()?.div(total),
        reduction => reduction.apply(&losses),
    }
}

/// The error of a target that is no class.
fn no_class(error: kernels::TargetOutOfRange) -> Error {
    Error::Index(format!("cross_entropy: {error}"))
}

impl CrossEntropyOp {
    /// The losses, the log-sum-exps, and the sum of the targets' weights.
    fn forward(&self, places: Shape) -> Result<(Value, Value, f64)> {
        let dtype = self.logits.value.dtype;
        let logits = self.logits.value.contiguous()?;
        let targets = self.targets.data::<i64>()?;
        with_float!("cross_entropy", dtype, T => {
            let options = self.kernel_options::<T>()?;
            profiler::takes_memory();
            let mut log_sum_exp = Buf::<T>::take(places.numel());
            let mut losses = Buf::<T>::take(places.numel());
            let data = logits.data::<T>()?;
            kernels::cross_entropy(data, self.sizes, targets, options, &mut losses, &mut log_sum_exp)
                .map_err(no_class)?;
            let total = kernels::cross_entropy_weight(targets, self.sizes[1], options).map_err(no_class)?;
            let losses = Value::new(losses, dtype, places.clone());
            Ok((losses, Value::new(log_sum_exp, dtype, places), total))
        })
    }

    fn kernel_options<T: crate::buffer::Stored>(&self) -> Result<kernels::CrossEntropy<'_, T>> {
        Ok(kernels::CrossEntropy {
            weight: self.weight.as_ref().map(Value::data::<T>).transpose()?,
            ignore_index: self.ignore_index,
            label_smoothing: self.label_smoothing,
        })
    }

    /// The gradient of the scores, given that of each element's loss: one fused kernel, not recorded.
    ///
    /// # Errors
    /// `Shape` if `grad` is not of the targets' shape.
    pub fn backward(&self, grad: &Tensor) -> Result<Tensor> {
        ensure!(
            grad.shape() == &self.targets.shape[..],
            Shape,
            "cross_entropy: gradient {:?} for losses {:?}",
            grad.shape(),
            self.targets.shape
        );
        let dtype = self.logits.value.dtype;
        let (logits, grad) = (self.logits.value.contiguous()?, grad.value().contiguous()?);
        with_float!("cross_entropy", dtype, T => {
            let mut out = Buf::<T>::take(logits.numel());
            kernels::cross_entropy_backward(
                logits.data::<T>()?,
                self.sizes,
                self.targets.data::<i64>()?,
                self.kernel_options::<T>()?,
                self.log_sum_exp.data::<T>()?,
                grad.data::<T>()?,
                &mut out,
            )
            .map_err(no_class)?;
            Ok(Tensor::from_value(Value::new(out, dtype, logits.shape.clone())))
        })
    }

    /// The target distribution `q` of each element, weighted (`[batch, classes, places]`), and its sum over the classes:
    /// the gradient of a loss is `softmax(x)·Σq - q`.
    ///
    /// # Errors
    /// None for an operation that was recorded.
    pub fn target_distribution(&self) -> Result<(Tensor, Tensor)> {
        let ([outer, classes, inner], dtype) = (self.sizes, self.logits.value.dtype);
        let targets = self.targets.data::<i64>()?;
        let weight = match &self.weight {
            Some(weight) => Tensor::from_value(weight.clone()).to_vec_f64()?,
            None => vec![1.0; classes],
        };
        let smoothing = self.label_smoothing;
        let mut q = vec![0.0; outer * classes * inner];
        for (i, &target) in targets
            .iter()
            .enumerate()
            .filter(|(_, t)| **t != self.ignore_index)
        {
            let at = |class: usize| (i / inner * classes + class) * inner + i % inner;
            for (class, w) in weight.iter().enumerate() {
                q[at(class)] = smoothing / classes as f64 * w;
            }
            q[at(target as usize)] += (1.0 - smoothing) * weight[target as usize];
        }
        let q = Tensor::from_vec(q, (outer, classes, inner))?;
        Ok((q.to_dtype(dtype)?, q.sum_dim(1, true)?.to_dtype(dtype)?))
    }
}

/// [`cross_entropy()`] of `input·linear_weightᵀ + linear_bias` (`nn.functional.linear_cross_entropy`).
///
/// # Shapes
/// `input` `[…, features]`, `linear_weight` `[C, d…, features]`, `linear_bias` `[C, d…]`; the scores are `[…, C, d…]`.
///
/// # Errors
/// As [`cross_entropy()`]; `Shape` if the weight or bias don't fit.
pub fn linear_cross_entropy(
    input: &Tensor,
    linear_weight: &Tensor,
    target: &Tensor,
    linear_bias: Option<&Tensor>,
    options: &CrossEntropyOptions,
) -> Result<Tensor> {
    let (weight, shape) = (linear_weight.shape(), input.shape());
    let (Some((&features, outputs)), Some((&given, lead))) = (weight.split_last(), shape.split_last()) else {
        crate::bail!(
            Shape,
            "linear_cross_entropy: input {shape:?} and weight {weight:?}"
        )
    };
    ensure!(
        features == given && !outputs.is_empty(),
        Shape,
        "linear_cross_entropy: input {shape:?} and weight {weight:?}: expected […, features] and [classes, …, features]"
    );
    let flat = linear_weight.reshape((outputs.iter().product::<usize>(), features))?;
    let mut scores = input.matmul(&flat.t()?)?;
    if let Some(bias) = linear_bias {
        ensure!(
            bias.shape() == outputs,
            Shape,
            "linear_cross_entropy: bias {:?} for weight {weight:?}",
            bias.shape()
        );
        scores = scores.add(&bias.reshape(bias.numel())?)?;
    }
    cross_entropy(&scores.reshape([lead, outputs].concat())?, target, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_probabilities_agree() {
        let x = Tensor::new([[0.5f64, -1.0, 2.0], [0.0, 1.0, -3.0]]).unwrap();
        let target = Tensor::new([2i64, 0]).unwrap();
        let one_hot = Tensor::new([[0.0f64, 0.0, 1.0], [1.0, 0.0, 0.0]]).unwrap();
        for label_smoothing in [0.0, 0.3] {
            let options = CrossEntropyOptions {
                label_smoothing,
                ..CrossEntropyOptions::default()
            };
            let a = cross_entropy(&x, &target, &options)
                .unwrap()
                .item::<f64>()
                .unwrap();
            let b = cross_entropy(&x, &one_hot, &options)
                .unwrap()
                .item::<f64>()
                .unwrap();
            assert!((a - b).abs() < 1e-12);
        }
        let error = cross_entropy(
            &x,
            &Tensor::new([3i64, 0]).unwrap(),
            &CrossEntropyOptions::default(),
        );
        assert!(error.unwrap_err().to_string().contains("target 3"));
    }
}
