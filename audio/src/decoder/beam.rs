//! Prefix beam search: the most probable texts, each with the sum over all of its paths ("First-pass large vocabulary
//! continuous speech recognition using bi-directional recurrent DNNs", Hannun et al., 2014, arXiv:1408.2873).

use std::collections::BTreeMap;

use flambeau_tensor::{Result, Tensor, ensure};

use super::rows;

/// Options of [`ctc_beam_search`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BeamOptions {
    /// How many prefixes are kept from frame to frame.
    pub beam_size: usize,
    /// How many texts are returned at most.
    pub nbest: usize,
    /// Classes that are less probable than this in a frame are not tried there.
    pub least: f64,
    /// Added to the logarithm of the probability for every label, against short texts.
    pub label_bonus: f64,
    /// The class of the blank.
    pub blank: usize,
}

impl Default for BeamOptions {
    fn default() -> Self {
        BeamOptions {
            beam_size: 16,
            nbest: 1,
            least: 1e-4,
            label_bonus: 0.0,
            blank: 0,
        }
    }
}

/// A text that may have been said.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// Its labels, without blanks.
    pub labels: Vec<usize>,
    /// The logarithm of its probability, with the bonus.
    pub score: f64,
    /// The frame in which each label was first said.
    pub timesteps: Vec<usize>,
}

/// Logarithms of the probabilities of the paths of a prefix.
#[derive(Clone, Debug)]
struct Paths {
    /// Those that end in a blank.
    blank: f64,
    /// Those that end in the last label.
    label: f64,
    timesteps: Vec<usize>,
}

impl Paths {
    fn none() -> Paths {
        Paths {
            blank: f64::NEG_INFINITY,
            label: f64::NEG_INFINITY,
            timesteps: Vec::new(),
        }
    }

    fn all(&self) -> f64 {
        log_add(self.blank, self.label)
    }
}

/// `log(exp(a) + exp(b))`.
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + (low - high).exp().ln_1p()
}

/// The most probable texts, best first.
///
/// ```
/// use flambeau_audio::decoder::{BeamOptions, ctc_beam_search, ctc_greedy};
/// use flambeau_tensor::Tensor;
///
/// // The best path is "--", but "a" has more paths: "aa", "a-" and "-a".
/// let log_probs = Tensor::new([[0.6, 0.4], [0.6, 0.4]])?.log()?;
/// assert!(ctc_greedy(&log_probs, 0)?.is_empty());
/// let best = &ctc_beam_search(&log_probs, &BeamOptions::default())?[0];
/// assert_eq!(best.labels, [1]);
/// assert!((best.score.exp() - 0.64).abs() < 1e-12);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Shapes
/// `[time, classes]`.
///
/// # Errors
/// `Shape` for another rank; `Index` unless the blank is a class; `Value` for a beam of nothing.
pub fn ctc_beam_search(log_probs: &Tensor, options: &BeamOptions) -> Result<Vec<Hypothesis>> {
    ensure!(
        options.beam_size > 0 && options.nbest > 0,
        Value,
        "ctc_beam_search: expected a beam_size and nbest of at least 1, got {} and {}",
        options.beam_size,
        options.nbest
    );
    let least = options.least.ln();
    let mut beam = vec![(
        Vec::new(),
        Paths {
            blank: 0.0,
            ..Paths::none()
        },
    )];
    for (t, row) in rows("ctc_beam_search", log_probs, options.blank)?
        .iter()
        .enumerate()
    {
        let mut next: BTreeMap<Vec<usize>, Paths> = BTreeMap::new();
        for (prefix, paths) in &beam {
            let kept = next.entry(prefix.clone()).or_insert_with(Paths::none);
            if kept.timesteps.len() < prefix.len() {
                kept.timesteps = paths.timesteps.clone();
            }
            kept.blank = log_add(kept.blank, paths.all() + row[options.blank]);
            if let Some(&last) = prefix.last() {
                kept.label = log_add(kept.label, paths.label + row[last]);
            }
            for (class, &log_prob) in row.iter().enumerate() {
                if class == options.blank || log_prob < least {
                    continue;
                }
                // A label that is repeated has to be parted by a blank.
                let before = if prefix.last() == Some(&class) {
                    paths.blank
                } else {
                    paths.all()
                };
                let mut longer = prefix.clone();
                longer.push(class);
                let longer = next.entry(longer).or_insert_with(Paths::none);
                if longer.timesteps.is_empty() {
                    longer.timesteps = paths.timesteps.clone();
                    longer.timesteps.push(t);
                }
                longer.label = log_add(longer.label, before + log_prob + options.label_bonus);
            }
        }
        // Repetitions without room for a blank have no path.
        let possible = |(_, paths): &(_, Paths)| paths.all() > f64::NEG_INFINITY;
        beam = next.into_iter().filter(possible).collect();
        beam.sort_by(|a, b| b.1.all().total_cmp(&a.1.all()));
        beam.truncate(options.beam_size);
    }
    beam.truncate(options.nbest);
    let hypotheses = beam.into_iter().map(|(labels, paths)| Hypothesis {
        labels,
        score: paths.all(),
        timesteps: paths.timesteps,
    });
    Ok(hypotheses.collect())
}
