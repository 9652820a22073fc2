//! Random splits of a dataset (`torch.utils.data.random_split`).

use std::sync::Arc;

use flambeau_tensor::random::Generator;
use flambeau_tensor::{Result, ensure};

use super::{Dataset, Subset};

/// Splits the samples at random into subsets of the given lengths, as PyTorch does with a generator of the same state.
///
/// # Errors
/// `Value` unless the lengths sum to that of the dataset.
pub fn random_split<D: Dataset>(
    dataset: D,
    lengths: &[usize],
    generator: &mut Generator,
) -> Result<Vec<Subset<Arc<D>>>> {
    let len = dataset.len();
    ensure!(
        lengths.iter().try_fold(0usize, |sum, n| sum.checked_add(*n)) == Some(len),
        Value,
        "random_split: expected lengths that sum to that of the dataset, {len}, got {lengths:?}"
    );
    let order = permutation(len, generator);
    let dataset = Arc::new(dataset);
    let mut rest = order.as_slice();
    lengths
        .iter()
        .map(|&length| {
            let (these, others) = rest.split_at(length);
            rest = others;
            Subset::new(dataset.clone(), these.to_vec())
        })
        .collect()
}

/// Splits the samples at random into subsets with the given fractions of them, as PyTorch does with a generator of the
/// same state: every length is rounded down, and what is left is given out one by one from the first subset on.
///
/// ```
/// use flambeau_data::{Dataset, random_split_by_fractions};
/// use flambeau_tensor::random::Generator;
///
/// let digits: Vec<i64> = (0..10).collect();
/// let parts = random_split_by_fractions(digits, &[0.65, 0.35], &mut Generator::new(42))?;
/// assert_eq!((parts[0].len(), parts[1].len()), (7, 3));
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Errors
/// `Value` unless the fractions are in `[0, 1]` and sum to 1.
pub fn random_split_by_fractions<D: Dataset>(
    dataset: D,
    fractions: &[f64],
    generator: &mut Generator,
) -> Result<Vec<Subset<Arc<D>>>> {
    let sum: f64 = fractions.iter().sum();
    // Python's `math.isclose(sum, 1) and sum <= 1`.
    ensure!(
        fractions.iter().all(|f| (0.0..=1.0).contains(f)) && (1.0 - 1e-9..=1.0).contains(&sum),
        Value,
        "random_split: expected fractions between 0 and 1 that sum to 1, got {fractions:?}"
    );
    let len = dataset.len();
    let mut lengths: Vec<usize> = fractions
        .iter()
        .map(|f| (len as f64 * f).floor() as usize)
        .collect();
    let remainder = len.saturating_sub(lengths.iter().sum());
    let parts = lengths.len();
    for i in 0..remainder {
        lengths[i % parts] += 1;
    }
    random_split(dataset, &lengths, generator)
}

/// The numbers below `len` in random order, as `torch.randperm` has them.
pub(crate) fn permutation(len: usize, generator: &mut Generator) -> Vec<usize> {
    let mut order = vec![0i64; len];
    generator.permutation(&mut order);
    order.into_iter().map(|i| i as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lengths_and_fractions_are_errors() {
        let dataset: Vec<i64> = (0..10).collect();
        let mut g = Generator::new(0);
        let error = random_split(&dataset, &[3, 6], &mut g).unwrap_err().to_string();
        assert_eq!(
            error,
            "random_split: expected lengths that sum to that of the dataset, 10, got [3, 6]"
        );
        for fractions in [&[0.5, 0.6][..], &[0.5, 0.4], &[1.5, -0.5], &[f64::NAN, 1.0], &[]] {
            let error = random_split_by_fractions(&dataset, fractions, &mut g)
                .unwrap_err()
                .to_string();
            assert!(error.contains("sum to 1"), "{fractions:?}: {error}");
        }
        assert!(random_split(&dataset, &[usize::MAX, 11], &mut g).is_err());
        let empty: Vec<i64> = vec![];
        assert_eq!(
            random_split_by_fractions(&empty, &[0.5, 0.5], &mut g)
                .unwrap()
                .len(),
            2
        );
    }
}
