//! `AdaptiveLogSoftmaxWithLoss` (Grave et al., 2017): the log-probabilities of very many classes, of which the frequent
//! ones cost little. Classes are sorted by frequency and cut into a shortlist and clusters; the head gives the shortlist
//! and one number for each cluster, a cluster's tail its classes, through ever fewer features:
//! `log p(y) = head(x)[cluster] + tail(x)[y]`.

use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use super::linear::{Linear, LinearOptions};
use crate::{Forward, Module, Sequential, observed};

/// Log-probabilities of classes in clusters, and the loss of the right ones.
#[derive(Debug, Module)]
pub struct AdaptiveLogSoftmaxWithLoss {
    /// `[in_features] → [shortlist + clusters]`.
    pub head: Linear,
    /// Of each cluster: to fewer features, and from there to its classes.
    pub tail: Vec<Sequential>,
    /// The first class of each cluster, and the number of classes.
    #[module(skip)]
    cutoffs: Vec<usize>,
}

/// What [`AdaptiveLogSoftmaxWithLoss`] gives.
#[derive(Clone, Debug)]
pub struct AdaptiveLogSoftmaxOutput {
    /// The log-probability of each sample's class, `[batch]`.
    pub output: Tensor,
    /// Minus their mean.
    pub loss: Tensor,
}

impl AdaptiveLogSoftmaxWithLoss {
    /// Clusters that begin at `cutoffs`; the i-th (from 1) has `in_features / div_valueⁱ` features (PyTorch's default:
    /// 4). The head has a bias if `head_bias` (PyTorch's default: false).
    ///
    /// # Errors
    /// `Value` unless the cutoffs rise from at least 1 to at most `n_classes - 1`, and `div_value` is positive.
    pub fn new(
        in_features: usize,
        n_classes: usize,
        cutoffs: &[usize],
        div_value: f64,
        head_bias: bool,
    ) -> Result<Self> {
        let rising = cutoffs.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(&shortlist), Some(&last)) = (cutoffs.first(), cutoffs.last()) else {
            bail!(Value, "AdaptiveLogSoftmaxWithLoss: expected cutoffs, got none")
        };
        ensure!(
            rising && shortlist > 0 && last < n_classes,
            Value,
            "AdaptiveLogSoftmaxWithLoss: expected cutoffs that rise from 1 to at most n_classes - 1, got {cutoffs:?} and \
             {n_classes} classes"
        );
        ensure!(
            div_value > 0.0,
            Value,
            "AdaptiveLogSoftmaxWithLoss: expected a positive div_value, got {div_value}"
        );
        let linear = |inputs, outputs, bias| Linear::new(inputs, outputs, LinearOptions { bias });
        let head = linear(in_features, shortlist + cutoffs.len(), head_bias)?;
        let cutoffs: Vec<usize> = cutoffs.iter().copied().chain([n_classes]).collect();
        let mut tail = Vec::with_capacity(cutoffs.len() - 1);
        for (i, pair) in cutoffs.windows(2).enumerate() {
            let features = (in_features as f64 / div_value.powi(i as i32 + 1)).floor() as usize;
            tail.push(
                Sequential::new()
                    .push(linear(in_features, features, false)?)
                    .push(linear(features, pair[1] - pair[0], false)?),
            );
        }
        Ok(AdaptiveLogSoftmaxWithLoss { head, tail, cutoffs })
    }

    fn shortlist(&self) -> usize {
        self.cutoffs[0]
    }

    fn n_classes(&self) -> usize {
        self.cutoffs[self.cutoffs.len() - 1]
    }

    /// The log-probabilities of the classes that are right, and the loss.
    ///
    /// # Shapes
    /// input `[batch, in_features]`, target `[batch]` → output `[batch]`; the batch may be left out of both.
    ///
    /// # Errors
    /// `Shape` unless sizes fit; `DType` unless targets are integers; `Index` if one is no class.
    #[observed]
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<AdaptiveLogSoftmaxOutput> {
        let op = "AdaptiveLogSoftmaxWithLoss";
        ensure!(
            target.rank() <= 1 && input.rank() == target.rank() + 1,
            Shape,
            "{op}: expected an input [batch, features] and a target [batch], or both without a batch, got {:?} and {:?}",
            input.shape(),
            target.shape()
        );
        ensure!(
            target.dtype().is_integer(),
            DType,
            "{op}: expected targets of integers, got {}",
            target.dtype()
        );
        let (batched, single) = (target.rank() == 1, input.unsqueeze(0)?);
        let output = self.log_prob_of(if batched { input } else { &single }, target)?;
        let loss = output.mean()?.neg()?;
        let output = if batched { output } else { output.squeeze_dim(0)? };
        Ok(AdaptiveLogSoftmaxOutput { output, loss })
    }

    /// The log-probabilities `[batch]` of targets.
    fn log_prob_of(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let op = "AdaptiveLogSoftmaxWithLoss";
        let targets = target.to_dtype(DType::I64)?.to_vec::<i64>()?;
        ensure!(
            input.shape()[0] == targets.len(),
            Shape,
            "{op}: {} targets for an input {:?}",
            targets.len(),
            input.shape()
        );
        // Of each sample its column in the head; of each cluster its samples and their classes within it.
        let mut columns = Vec::with_capacity(targets.len());
        let mut members = vec![(Vec::new(), Vec::new()); self.tail.len()];
        for (row, &class) in targets.iter().enumerate() {
            let n_classes = self.n_classes();
            let Some(class) = usize::try_from(class).ok().filter(|&class| class < n_classes) else {
                bail!(Index, "{op}: target {class} is outside of {n_classes} classes")
            };
            match self.cutoffs.iter().rposition(|&first| first <= class) {
                None => columns.push(class as i64),
                Some(cluster) => {
                    columns.push((self.shortlist() + cluster) as i64);
                    members[cluster].0.push(row as i64);
                    members[cluster].1.push((class - self.cutoffs[cluster]) as i64);
                }
            }
        }
        let chosen = |logits: &Tensor, columns: Vec<i64>| {
            let rows = columns.len();
            logits
                .log_softmax(1)?
                .gather(1, &Tensor::from_vec(columns, (rows, 1))?)?
                .squeeze_dim(1)
        };
        let mut output = chosen(&self.head.forward(input)?, columns)?;
        for (tail, (rows, classes)) in self.tail.iter().zip(members) {
            if rows.is_empty() {
                continue;
            }
            let count = rows.len();
            let rows = Tensor::from_vec(rows, count)?;
            let local = chosen(&tail.forward(&input.index_select(0, &rows)?)?, classes)?;
            output = output.index_add(0, &rows, &local)?;
        }
        Ok(output)
    }

    /// The log-probabilities of all classes.
    ///
    /// # Shapes
    /// `[batch, in_features] → [batch, n_classes]`.
    ///
    /// # Errors
    /// `Shape` if sizes do not fit.
    pub fn log_prob(&self, input: &Tensor) -> Result<Tensor> {
        let head = self.head.forward(input)?.log_softmax(-1)?;
        let shortlist = self.shortlist();
        let mut parts = vec![head.narrow(-1, 0, shortlist)?];
        for (cluster, tail) in self.tail.iter().enumerate() {
            let own = head.narrow(-1, (shortlist + cluster) as isize, 1)?;
            parts.push(tail.forward(input)?.log_softmax(-1)?.add(&own)?);
        }
        Tensor::cat(&parts, -1)
    }

    /// The likeliest classes.
    ///
    /// # Shapes
    /// `[batch, in_features] → [batch]`.
    ///
    /// # Errors
    /// `Shape` if sizes do not fit.
    pub fn predict(&self, input: &Tensor) -> Result<Tensor> {
        self.log_prob(input)?.argmax(Some(-1), false)
    }
}
