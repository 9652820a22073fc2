//! How good answers are: accuracy and F1 of classes, perplexity of language models, BLEU of translations.

use std::collections::HashMap;

use flambeau_tensor::{DType, Result, Tensor, ensure};

/// The share of answers that are right.
///
/// # Errors
/// `Value` unless there is an answer for each label, and at least one.
pub fn accuracy(answers: &[i64], labels: &[i64]) -> Result<f64> {
    check("accuracy", answers, labels)?;
    let right = answers
        .iter()
        .zip(labels)
        .filter(|(answer, label)| answer == label);
    Ok(right.count() as f64 / labels.len() as f64)
}

fn check(op: &str, answers: &[i64], labels: &[i64]) -> Result<()> {
    ensure!(
        answers.len() == labels.len() && !labels.is_empty(),
        Value,
        "{op}: expected an answer for each label and at least one, got {} and {}",
        answers.len(),
        labels.len()
    );
    Ok(())
}

/// Precision and recall of a class and their harmonic mean, F1; 0 where nothing is divided by nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct F1 {
    /// Which share of the answers of this class are right.
    pub precision: f64,
    /// Which share of the labels of this class are found.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// [`F1`] of one class (`sklearn.metrics.f1_score` of a binary problem).
///
/// # Errors
/// As [`accuracy`].
pub fn f1(answers: &[i64], labels: &[i64], class: i64) -> Result<F1> {
    check("f1", answers, labels)?;
    let count = |of: &dyn Fn(i64, i64) -> bool| {
        let all = answers.iter().zip(labels);
        all.filter(|(answer, label)| of(**answer, **label)).count() as f64
    };
    let hits = count(&|answer, label| answer == class && label == class);
    let share = |all: f64| if all == 0.0 { 0.0 } else { hits / all };
    let (precision, recall) = (
        share(count(&|answer, _| answer == class)),
        share(count(&|_, label| label == class)),
    );
    let sum = precision + recall;
    Ok(F1 {
        precision,
        recall,
        f1: if sum == 0.0 {
            0.0
        } else {
            2.0 * precision * recall / sum
        },
    })
}

/// The mean of the classes' F1 (`average="macro"`).
///
/// # Errors
/// As [`accuracy`].
pub fn macro_f1(answers: &[i64], labels: &[i64]) -> Result<f64> {
    check("macro_f1", answers, labels)?;
    let mut classes: Vec<i64> = answers.iter().chain(labels).copied().collect();
    classes.sort_unstable();
    classes.dedup();
    let scores = classes
        .iter()
        .map(|&class| f1(answers, labels, class).map(|score| score.f1));
    Ok(scores.sum::<Result<f64>>()? / classes.len() as f64)
}

/// The perplexity of a language model: `exp` of the mean of `-ln p` of the tokens that came, given its scores before each.
///
/// # Shapes
/// `[…, vocabulary]` and `[…]`; tokens that are `ignored` do not count.
///
/// # Errors
/// `Shape` if they do not fit each other, `Value` if no token counts.
pub fn perplexity(scores: &Tensor, tokens: &Tensor, ignored: Option<i64>) -> Result<f64> {
    ensure!(
        scores.rank() > 0 && scores.shape()[..scores.rank() - 1] == *tokens.shape(),
        Shape,
        "perplexity: expected scores […, vocabulary] for tokens […], got {:?} and {:?}",
        scores.shape(),
        tokens.shape()
    );
    let tokens = tokens.to_dtype(DType::I64)?.reshape(-1)?;
    let counted: Vec<i64> = tokens
        .to_vec::<i64>()?
        .into_iter()
        .zip(0..)
        .filter(|(token, _)| Some(*token) != ignored)
        .map(|(_, row)| row)
        .collect();
    ensure!(!counted.is_empty(), Value, "perplexity: no token counts");
    let rows = Tensor::from_slice(&counted, counted.len())?;
    let vocabulary = scores.shape()[scores.rank() - 1] as isize;
    let logs = scores
        .to_dtype(DType::F64)?
        .reshape([-1, vocabulary])?
        .index_select(0, &rows)?
        .log_softmax(1)?;
    let came = tokens.index_select(0, &rows)?.unsqueeze(1)?;
    Ok(logs.gather(1, &came)?.mean()?.neg()?.item_f64()?.exp())
}

/// How often each sequence of `n` words occurs.
fn counts<'a>(words: &'a [&'a str], n: usize) -> HashMap<&'a [&'a str], usize> {
    let mut counts = HashMap::new();
    for window in words.windows(n) {
        *counts.entry(window).or_insert(0) += 1;
    }
    counts
}

/// BLEU of translations: the weighted geometric mean of the shares of sequences of 1, 2, … words that are in a reference,
/// lowered if the whole is shorter than the references ("BLEU", Papineni et al., 2002); `torchtext.data.metrics.bleu_score`,
/// where `weights` are four quarters. Each translation has one or several references.
///
/// # Errors
/// `Value` unless there are references for each translation, and a weight.
pub fn bleu<W: AsRef<str>>(
    translations: &[Vec<W>],
    references: &[Vec<Vec<W>>],
    weights: &[f64],
) -> Result<f64> {
    ensure!(
        translations.len() == references.len() && references.iter().all(|all| !all.is_empty()),
        Value,
        "bleu: expected references for each of {} translations, got {} lists",
        translations.len(),
        references.len()
    );
    ensure!(!weights.is_empty(), Value, "bleu: expected at least one weight");
    let (mut hits, mut all) = (vec![0usize; weights.len()], vec![0usize; weights.len()]);
    let (mut length, mut reference_length) = (0, 0);
    for (translation, references) in translations.iter().zip(references) {
        let words: Vec<&str> = translation.iter().map(AsRef::as_ref).collect();
        let references: Vec<Vec<&str>> = references
            .iter()
            .map(|words| words.iter().map(AsRef::as_ref).collect())
            .collect();
        length += words.len();
        // The closest length; of two that are as close, the first.
        let closest = references
            .iter()
            .map(Vec::len)
            .min_by_key(|len| len.abs_diff(words.len()));
        reference_length += closest.unwrap_or(0);
        for n in 1..=weights.len() {
            let known: Vec<_> = references.iter().map(|words| counts(words, n)).collect();
            for (sequence, count) in counts(&words, n) {
                let most = known.iter().filter_map(|counts| counts.get(sequence)).max();
                hits[n - 1] += count.min(most.copied().unwrap_or(0));
            }
            all[n - 1] += (words.len() + 1).saturating_sub(n);
        }
    }
    if hits.contains(&0) {
        return Ok(0.0);
    }
    let logs = hits.iter().zip(&all).zip(weights);
    let mean: f64 = logs
        .map(|((&hits, &all), weight)| weight * (hits as f64 / all as f64).ln())
        .sum();
    let penalty = (1.0 - reference_length as f64 / length as f64).min(0.0);
    Ok((mean + penalty).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let (answers, labels) = ([1, 1, 0, 0, 2], [1, 0, 0, 1, 2]);
        assert_eq!(accuracy(&answers, &labels).unwrap(), 0.6);
        let one = f1(&answers, &labels, 1).unwrap();
        assert_eq!([one.precision, one.recall, one.f1], [0.5; 3]);
        assert_eq!(f1(&answers, &labels, 7).unwrap().f1, 0.0);
        assert!((macro_f1(&answers, &labels).unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert!(accuracy(&[], &[]).is_err() && accuracy(&[1], &[1, 2]).is_err());
    }

    #[test]
    fn perplexity_of_even_scores_is_the_vocabulary() {
        let scores = Tensor::zeros((2, 3, 7), DType::F32).unwrap();
        let tokens = Tensor::new([[1i64, 2, 3], [4, -100, 6]]).unwrap();
        assert!((perplexity(&scores, &tokens, Some(-100)).unwrap() - 7.0).abs() < 1e-12);
        let none = Tensor::full((2, 3), -100i64, DType::I64).unwrap();
        assert!(perplexity(&scores, &none, Some(-100)).is_err());
        assert!(perplexity(&scores, &Tensor::new([1i64]).unwrap(), None).is_err());
    }

    fn words(text: &str) -> Vec<&str> {
        text.split(' ').collect()
    }

    #[test]
    fn bleu_is_that_of_torchtext_and_sacrebleu() {
        // The example of torchtext.data.metrics.bleu_score.
        let translations = [words("My full pytorch test"), words("Another Sentence")];
        let references = [
            vec![words("My full pytorch test"), words("Completely Different")],
            vec![words("No Match")],
        ];
        let score = bleu(&translations, &references, &[0.25; 4]).unwrap();
        assert!((score - 0.8408964276313782).abs() < 1e-6, "{score}");
        // sacrebleu 2.6.0: corpus_bleu(…, smooth_method="none", tokenize="none").
        let translations = [
            words("the cat sat on the mat today"),
            words("there is a dog in the old house"),
        ];
        let references = [
            vec![
                words("the cat sat on the mat"),
                words("the cat was sitting on the mat today"),
            ],
            vec![
                words("a dog is in the old house there"),
                words("there is a dog in a house"),
            ],
        ];
        let score = bleu(&translations, &references, &[0.25; 4]).unwrap();
        assert!((score - 0.916992347395834).abs() < 1e-9, "{score}");
        assert_eq!(
            bleu(&[words("a b")], &[vec![words("c d")]], &[0.5; 2]).unwrap(),
            0.0
        );
        assert!(bleu(&[words("a")], &[vec![]], &[1.0]).is_err());
    }
}
