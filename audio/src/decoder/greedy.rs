//! The best path: the most probable class of each frame, repetitions once, without blanks.

use flambeau_tensor::{Result, Tensor};

use super::rows;

/// The labels of the best path.
///
/// ```
/// use flambeau_audio::decoder::ctc_greedy;
/// use flambeau_tensor::Tensor;
///
/// // Classes: blank, a, b. The best path is "aa-ab".
/// let probs = Tensor::new([[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])?;
/// assert_eq!(ctc_greedy(&probs.log()?, 0)?, [1, 1, 2]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Shapes
/// `[time, classes]`.
///
/// # Errors
/// `Shape` for another rank; `Index` unless the blank is a class.
pub fn ctc_greedy(log_probs: &Tensor, blank: usize) -> Result<Vec<usize>> {
    let mut labels = Vec::new();
    let mut last = blank;
    for row in rows("ctc_greedy", log_probs, blank)? {
        let best = (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
        if best != blank && best != last {
            labels.push(best);
        }
        last = best;
    }
    Ok(labels)
}
