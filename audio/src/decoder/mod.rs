//! From the probabilities of letters to text: connectionist temporal classification, the best path or a search of prefixes.

mod beam;
mod greedy;

pub use beam::{BeamOptions, Hypothesis, ctc_beam_search};
pub use greedy::ctc_greedy;

use flambeau_tensor::{Result, Tensor, bail, ensure};

/// The logarithms of probabilities `[time, classes]` as rows.
fn rows(op: &str, log_probs: &Tensor, blank: usize) -> Result<Vec<Vec<f64>>> {
    let &[_, classes] = log_probs.shape() else {
        bail!(
            Shape,
            "{op}: expected logarithms of probabilities [time, classes], got {:?}",
            log_probs.shape()
        )
    };
    ensure!(
        blank < classes,
        Index,
        "{op}: the blank is class {blank} of {classes}"
    );
    let numbers = log_probs.detach().to_vec_f64()?;
    Ok(numbers.chunks_exact(classes).map(<[f64]>::to_vec).collect())
}

/// The letters that labels stand for: an alphabet whose class 0 is the blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alphabet {
    letters: Vec<char>,
}

impl Alphabet {
    /// These letters as classes 1, 2, ….
    ///
    /// # Errors
    /// `Value` if a letter stands twice.
    pub fn new(letters: &str) -> Result<Alphabet> {
        let letters: Vec<char> = letters.chars().collect();
        let mut sorted = letters.clone();
        sorted.sort_unstable();
        sorted.dedup();
        ensure!(
            sorted.len() == letters.len(),
            Value,
            "Alphabet: a letter stands twice"
        );
        Ok(Alphabet { letters })
    }

    /// The space and the letters from a to z.
    pub fn english() -> Alphabet {
        Alphabet {
            letters: std::iter::once(' ').chain('a'..='z').collect(),
        }
    }

    /// How many classes there are, with the blank.
    pub fn num_classes(&self) -> usize {
        self.letters.len() + 1
    }

    /// The classes of a text.
    ///
    /// # Errors
    /// `Value` that names a letter which the alphabet lacks.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>> {
        let class = |letter| match self.letters.iter().position(|&known| known == letter) {
            Some(at) => Ok(at as i64 + 1),
            None => bail!(
                Value,
                "Alphabet: no class is {letter:?}, which stands in {text:?}"
            ),
        };
        text.chars().map(class).collect()
    }

    /// The text of some classes; those that are none are left out.
    pub fn decode(&self, labels: &[usize]) -> String {
        let letter = |&label: &usize| self.letters.get(label.checked_sub(1)?);
        labels.iter().filter_map(letter).collect()
    }
}
