//! How good a classifier is: top-k accuracy, and the confusion matrix with what follows from it.
//!
//! Values are what `torchmetrics` gives (`MulticlassAccuracy` with `average="micro"`, `MulticlassConfusionMatrix`,
//! `MulticlassPrecision`, `MulticlassRecall` and `MulticlassF1Score` with `average=None`): what has nothing to be divided by
//! is 0.
//!
//! # Example: over the batches of a test set
//!
//! ```
//! # use flambeau_tensor::{Result, Tensor};
//! use flambeau_vision::metrics::{Accuracy, ConfusionMatrix};
//!
//! # fn main() -> Result<()> {
//! let (mut top1, mut matrix) = (Accuracy::new(1), ConfusionMatrix::new(2));
//! let scores = Tensor::new([[2.0f32, 1.0], [0.5, 0.6], [3.0, -1.0]])?;
//! let labels = Tensor::new([0i64, 1, 1])?;
//! top1.update(&scores, &labels)?;
//! matrix.update(&scores, &labels)?;
//! assert_eq!((top1.correct(), top1.total()), (2, 3));
//! assert_eq!(matrix.counts(), [[1, 0], [1, 1]]);
//! println!("{}", matrix.table(&["cat", "dog"])?);
//! # Ok(())
//! # }
//! ```

use flambeau_tensor::{Result, Tensor, bail, ensure};

/// How many of `labels` are among the `k` classes with the highest scores. Of equal scores, those of the first classes are
/// higher; what is no number is higher than all numbers, as in sorting.
///
/// # Shapes
/// `scores [n, classes]`, `labels [n]` of `int64`.
///
/// # Errors
/// `Shape` if they don't fit together, `DType` for other labels, `Value` for a label without a class or a `k` of 0.
pub fn top_k_correct(scores: &Tensor, labels: &Tensor, k: usize) -> Result<usize> {
    let op = "top_k_correct";
    ensure!(k > 0, Value, "{op}: expected a positive k, got 0");
    let (scores, labels, classes) = numbers_of(op, scores, labels)?;
    let is_among = |(row, &label): (&[f64], &usize)| {
        let own = row[label];
        let higher = |(class, &score): (usize, &f64)| {
            let equal = score == own || (score.is_nan() && own.is_nan());
            score > own || (score.is_nan() && !own.is_nan()) || (equal && class < label)
        };
        row.iter().enumerate().filter(|&score| higher(score)).count() < k
    };
    let rows = scores.chunks_exact(classes.max(1)).zip(&labels);
    Ok(rows.filter(|&row| is_among(row)).count())
}

/// Scores row by row, labels, and the number of classes.
fn numbers_of(op: &str, scores: &Tensor, labels: &Tensor) -> Result<(Vec<f64>, Vec<usize>, usize)> {
    let &[n, classes] = scores.shape() else {
        bail!(
            Shape,
            "{op}: expected scores [n, classes], got {:?}",
            scores.shape()
        )
    };
    ensure!(
        labels.shape() == [n],
        Shape,
        "{op}: expected a label for each of the {n} rows of scores, got {:?}",
        labels.shape()
    );
    Ok((scores.to_vec_f64()?, classes_of(op, labels, classes)?, classes))
}

/// The classes that a tensor `[n]` names.
fn classes_of(op: &str, labels: &Tensor, classes: usize) -> Result<Vec<usize>> {
    let class = |label: i64| match usize::try_from(label) {
        Ok(class) if class < classes => Ok(class),
        _ => bail!(Value, "{op}: class {label}, expected one of {classes} classes"),
    };
    labels.to_vec::<i64>()?.into_iter().map(class).collect()
}

/// `part/whole`, or 0 of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Top-k accuracy over many batches.
#[derive(Clone, Copy, Debug)]
pub struct Accuracy {
    k: usize,
    correct: u64,
    total: u64,
}

impl Accuracy {
    /// The right class is to be among the `k` highest scores.
    pub const fn new(k: usize) -> Self {
        Accuracy {
            k,
            correct: 0,
            total: 0,
        }
    }

    /// Takes in a batch.
    ///
    /// # Shapes
    /// `scores [n, classes]`, `labels [n]` of `int64`.
    ///
    /// # Errors
    /// As [`top_k_correct`].
    pub fn update(&mut self, scores: &Tensor, labels: &Tensor) -> Result<()> {
        self.correct += top_k_correct(scores, labels, self.k)? as u64;
        self.total += labels.numel() as u64;
        Ok(())
    }

    /// How many were right.
    pub fn correct(&self) -> u64 {
        self.correct
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The part that was right, from 0 to 1; 0 of nothing.
    pub fn value(&self) -> f64 {
        ratio(self.correct, self.total)
    }
}

/// How often each class was taken for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// By the right class, then by the one predicted.
    counts: Vec<Vec<u64>>,
}

/// What the confusion matrix says about one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// The part of what was taken for this class that is of it.
    pub precision: f64,
    /// The part of this class that was found.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// How many samples are of this class.
    pub support: u64,
}

impl ConfusionMatrix {
    /// Of that many classes, and no samples.
    pub fn new(classes: usize) -> Self {
        ConfusionMatrix {
            counts: vec![vec![0; classes]; classes],
        }
    }

    /// Takes in a batch: scores, of which the highest counts, or predicted classes.
    ///
    /// # Shapes
    /// `predictions [n, classes]`, or `[n]` of `int64`; `labels [n]` of `int64`.
    ///
    /// # Errors
    /// `Shape` if they don't fit together, `DType` for others than these, `Value` for a class that there isn't.
    pub fn update(&mut self, predictions: &Tensor, labels: &Tensor) -> Result<()> {
        let (op, classes) = ("ConfusionMatrix", self.counts.len());
        let predicted = match *predictions.shape() {
            [_] => predictions.clone(),
            [_, width] if width == classes => predictions.argmax(Some(1), false)?,
            _ => bail!(
                Shape,
                "{op}: expected scores [n, {classes}] or classes [n], got {:?}",
                predictions.shape()
            ),
        };
        ensure!(
            labels.shape() == predicted.shape(),
            Shape,
            "{op}: expected a label for each prediction, got {:?} and {:?}",
            labels.shape(),
            predictions.shape()
        );
        let (predicted, labels) = (
            classes_of(op, &predicted, classes)?,
            classes_of(op, labels, classes)?,
        );
        for (label, predicted) in labels.into_iter().zip(predicted) {
            self.counts[label][predicted] += 1;
        }
        Ok(())
    }

    /// The counts by the right class, then by the one predicted.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// How many samples there were.
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The part that was right, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        let right = (0..self.counts.len()).map(|class| self.counts[class][class]);
        ratio(right.sum(), self.total())
    }

    /// How many samples of all classes were taken for `class`.
    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    /// Precision, recall and F1 of each class.
    pub fn class_scores(&self) -> Vec<ClassScores> {
        let scores = |class: usize| {
            let (right, support) = (self.counts[class][class], self.counts[class].iter().sum());
            let predicted = self.predicted(class);
            ClassScores {
                precision: ratio(right, predicted),
                recall: ratio(right, support),
                f1: ratio(2 * right, support + predicted),
                support,
            }
        };
        (0..self.counts.len()).map(scores).collect()
    }

    /// The means of precision, recall and F1 over the classes that occur, among the labels or the predictions
    /// (`average="macro"`); the support is that of all.
    pub fn macro_scores(&self) -> ClassScores {
        let scores = self.class_scores();
        let occurs = |&(class, scores): &(usize, &ClassScores)| scores.support + self.predicted(class) > 0;
        let occurring: Vec<&ClassScores> = scores
            .iter()
            .enumerate()
            .filter(occurs)
            .map(|(_, scores)| scores)
            .collect();
        let mean = |of: fn(&ClassScores) -> f64| {
            occurring.iter().map(|scores| of(scores)).sum::<f64>() / occurring.len().max(1) as f64
        };
        ClassScores {
            precision: mean(|scores| scores.precision),
            recall: mean(|scores| scores.recall),
            f1: mean(|scores| scores.f1),
            support: self.total(),
        }
    }

    /// A table for people: precision, recall and F1 of each class, the class that it is mistaken for most, the means, and
    /// the accuracy.
    ///
    /// # Errors
    /// `Value` unless there is a name for each class.
    pub fn table(&self, names: &[impl AsRef<str>]) -> Result<String> {
        let classes = self.counts.len();
        ensure!(
            names.len() == classes,
            Value,
            "ConfusionMatrix: {} names for {classes} classes",
            names.len()
        );
        let width = names.iter().map(|name| name.as_ref().chars().count()).max();
        let width = width.unwrap_or(0).max("class".len());
        let mut table = format!(
            "{:width$}  precision  recall      f1  support  taken for\n",
            "class"
        );
        let line = |name: &str, scores: &ClassScores| {
            let ClassScores {
                precision,
                recall,
                f1,
                support,
            } = scores;
            format!("{name:width$}  {precision:9.4}  {recall:6.4}  {f1:6.4}  {support:7}")
        };
        for (class, scores) in self.class_scores().iter().enumerate() {
            table.push_str(&line(names[class].as_ref(), scores));
            let mistakes = self.counts[class]
                .iter()
                .enumerate()
                .filter(|&(other, _)| other != class);
            // Of equal counts, the first class.
            if let Some((other, &count)) = mistakes.rev().max_by_key(|&(_, count)| count)
                && count > 0
            {
                table.push_str(&format!("  {} ({count})", names[other].as_ref()));
            }
            table.push('\n');
        }
        table.push_str(&line("mean", &self.macro_scores()));
        table.push_str(&format!("\naccuracy {:.4}", self.accuracy()));
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(classes: &[i64]) -> Tensor {
        Tensor::from_slice(classes, classes.len()).unwrap()
    }

    #[test]
    fn right_answers_are_among_the_highest() {
        let scores = Tensor::new([[0.1f32, 0.5, 0.4], [0.3, 0.3, 0.2], [0.9, 0.1, 0.0]]).unwrap();
        let correct = |classes: &[i64], k| top_k_correct(&scores, &labels(classes), k).unwrap();
        assert_eq!([1, 2, 3].map(|k| correct(&[2, 2, 2], k)), [0, 1, 3]);
        // The first of equal scores is the highest.
        assert_eq!(correct(&[1, 0, 0], 1), 3);
        assert_eq!(correct(&[1, 1, 0], 1), 2);
        let nan = Tensor::new([[f32::NAN, 1.0]]).unwrap();
        assert_eq!(top_k_correct(&nan, &labels(&[0]), 1).unwrap(), 1);
        assert_eq!(top_k_correct(&nan, &labels(&[1]), 1).unwrap(), 0);
        let mut top2 = Accuracy::new(2);
        assert_eq!(top2.value(), 0.0);
        top2.update(&scores, &labels(&[2, 0, 2])).unwrap();
        top2.update(&scores, &labels(&[0, 0, 0])).unwrap();
        assert_eq!((top2.correct(), top2.total()), (4, 6));
        assert_eq!(top2.value(), 4.0 / 6.0);
    }

    /// torchmetrics' own example of a confusion matrix, with what it gives for these (`average=None` and `"macro"`).
    #[test]
    fn values_are_those_of_torchmetrics() {
        let mut matrix = ConfusionMatrix::new(4);
        matrix
            .update(&labels(&[2, 1, 0, 1]), &labels(&[2, 1, 0, 0]))
            .unwrap();
        assert_eq!(
            matrix.counts(),
            [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0; 4]]
        );
        assert_eq!((matrix.total(), matrix.accuracy()), (4, 0.75));
        let scores = matrix.class_scores();
        assert_eq!(
            scores.iter().map(|s| s.precision).collect::<Vec<_>>(),
            [1.0, 0.5, 1.0, 0.0]
        );
        assert_eq!(
            scores.iter().map(|s| s.recall).collect::<Vec<_>>(),
            [0.5, 1.0, 1.0, 0.0]
        );
        let thirds = [2.0 / 3.0, 2.0 / 3.0, 1.0, 0.0];
        assert_eq!(scores.iter().map(|s| s.f1).collect::<Vec<_>>(), thirds);
        assert_eq!(scores.iter().map(|s| s.support).collect::<Vec<_>>(), [2, 1, 1, 0]);
        // The class that does not occur is left out of the means.
        let mean = matrix.macro_scores();
        assert!((mean.precision - 2.5 / 3.0).abs() < 1e-15 && (mean.recall - 2.5 / 3.0).abs() < 1e-15);
        assert!((mean.f1 - 7.0 / 9.0).abs() < 1e-15);
        assert_eq!(mean.support, 4);
    }

    #[test]
    fn the_table_names_the_worst_mistakes() {
        let mut matrix = ConfusionMatrix::new(3);
        let scores = Tensor::new([
            [0.9f32, 0.1, 0.0],
            [0.1, 0.9, 0.0],
            [0.1, 0.9, 0.0],
            [0.0, 0.2, 0.8],
        ])
        .unwrap();
        matrix.update(&scores, &labels(&[0, 1, 2, 2])).unwrap();
        let expected = "\
class  precision  recall      f1  support  taken for
cat       1.0000  1.0000  1.0000        1
dog       0.5000  1.0000  0.6667        1
mouse     1.0000  0.5000  0.6667        2  dog (1)
mean      0.8333  0.8333  0.7778        4
accuracy 0.7500";
        assert_eq!(matrix.table(&["cat", "dog", "mouse"]).unwrap(), expected);
        assert!(matrix.table(&["cat"]).is_err());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let scores = Tensor::new([[0.1f32, 0.9], [0.2, 0.8]]).unwrap();
        let message = |result: Result<usize>| result.unwrap_err().to_string();
        assert_eq!(
            message(top_k_correct(&scores, &labels(&[0, 2]), 1)),
            "top_k_correct: class 2, expected one of 2 classes"
        );
        assert_eq!(
            message(top_k_correct(&scores, &labels(&[0]), 1)),
            "top_k_correct: expected a label for each of the 2 rows of scores, got [1]"
        );
        assert!(top_k_correct(&scores, &labels(&[0, 1]), 0).is_err());
        let mut matrix = ConfusionMatrix::new(3);
        let error = matrix.update(&scores, &labels(&[0, 1])).unwrap_err().to_string();
        assert_eq!(
            error,
            "ConfusionMatrix: expected scores [n, 3] or classes [n], got [2, 2]"
        );
        assert!(matrix.update(&labels(&[0, -1]), &labels(&[0, 1])).is_err());
        assert!(matrix.update(&labels(&[0]), &labels(&[0, 1])).is_err());
        assert_eq!(matrix.total(), 0);
    }
}
