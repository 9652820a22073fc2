//! Datasets one after another and side by side.

use std::collections::BTreeMap;

use flambeau_tensor::{Result, bail, ensure};

use super::{Dataset, check_index};

/// Datasets one after another (`ConcatDataset`). Those of several types go in as
/// `Box<dyn Dataset<Item = …>>`.
#[derive(Clone, Debug)]
pub struct ConcatDataset<D> {
    datasets: Vec<D>,
    /// The number of samples up to and including each dataset.
    ends: Vec<usize>,
}

impl<D: Dataset> ConcatDataset<D> {
    /// # Errors
    /// `Value` for no dataset at all.
    pub fn new(datasets: Vec<D>) -> Result<Self> {
        ensure!(
            !datasets.is_empty(),
            Value,
            "ConcatDataset: expected at least one dataset"
        );
        let ends = datasets
            .iter()
            .scan(0, |end, dataset| {
                *end += dataset.len();
                Some(*end)
            })
            .collect();
        Ok(ConcatDataset { datasets, ends })
    }

    /// The datasets.
    pub fn datasets(&self) -> &[D] {
        &self.datasets
    }
}

impl<D: Dataset> Dataset for ConcatDataset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn get(&self, index: usize) -> Result<D::Item> {
        check_index("ConcatDataset", index, self.len())?;
        let which = self.ends.partition_point(|&end| end <= index);
        let before = if which == 0 { 0 } else { self.ends[which - 1] };
        self.datasets[which].get(index - before)
    }
}

/// Datasets side by side (`StackDataset`): a tuple of datasets gives tuples of samples, a map of datasets gives maps.
///
/// ```
/// use flambeau_data::{Dataset, StackDataset};
///
/// let pairs = StackDataset::new((vec!["one", "two"], vec![1i64, 2]))?;
/// assert_eq!(pairs.get(1)?, ("two", 2));
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StackDataset<T> {
    datasets: T,
    len: usize,
}

/// What a [`StackDataset`] is made of: a tuple of datasets, or a map of datasets of one type.
pub trait Stacked: Send + Sync {
    /// A sample of each.
    type Item: Send;

    /// The length of each.
    fn lens(&self) -> Vec<usize>;

    /// The sample at `index` of each.
    ///
    /// # Errors
    /// Those of the datasets.
    fn get_each(&self, index: usize) -> Result<Self::Item>;
}

macro_rules! stacked_tuple {
    ($($D:ident $i:tt),+) => {
        impl<$($D: Dataset),+> Stacked for ($($D,)+) {
            type Item = ($($D::Item,)+);

            fn lens(&self) -> Vec<usize> {
                vec![$(self.$i.len()),+]
            }

            fn get_each(&self, index: usize) -> Result<Self::Item> {
                Ok(($(self.$i.get(index)?,)+))
            }
        }
    };
}
stacked_tuple!(A 0, B 1);
stacked_tuple!(A 0, B 1, C 2);
stacked_tuple!(A 0, B 1, C 2, D 3);

impl<D: Dataset> Stacked for BTreeMap<String, D> {
    type Item = BTreeMap<String, D::Item>;

    fn lens(&self) -> Vec<usize> {
        self.values().map(Dataset::len).collect()
    }

    fn get_each(&self, index: usize) -> Result<Self::Item> {
        let sample = |(name, dataset): (&String, &D)| Ok((name.clone(), dataset.get(index)?));
        self.iter().map(sample).collect()
    }
}

impl<T: Stacked> StackDataset<T> {
    /// # Errors
    /// `Value` if the datasets differ in length, or there are none.
    pub fn new(datasets: T) -> Result<Self> {
        let lens = datasets.lens();
        let [len, ..] = lens[..] else {
            bail!(Value, "StackDataset: expected at least one dataset")
        };
        ensure!(
            lens.iter().all(|other| *other == len),
            Value,
            "StackDataset: expected datasets of one length, got {lens:?}"
        );
        Ok(StackDataset { datasets, len })
    }
}

impl<T: Stacked> Dataset for StackDataset<T> {
    type Item = T::Item;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<T::Item> {
        check_index("StackDataset", index, self.len)?;
        self.datasets.get_each(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_another() {
        let boxed = |x: Vec<i64>| -> Box<dyn Dataset<Item = i64>> { Box::new(x) };
        let all = ConcatDataset::new(vec![
            boxed(vec![]),
            boxed(vec![1, 2]),
            boxed(vec![]),
            boxed(vec![3]),
        ])
        .unwrap();
        let items: Vec<i64> = (0..all.len()).map(|i| all.get(i).unwrap()).collect();
        assert_eq!(items, [1, 2, 3]);
        let error = all.get(3).unwrap_err().to_string();
        assert_eq!(error, "ConcatDataset: index 3 is out of range for 3 samples");
        assert!(ConcatDataset::<Vec<i64>>::new(vec![]).is_err());
    }

    #[test]
    fn side_by_side() {
        let three = StackDataset::new((vec![1i64, 2], vec!['a', 'b'], vec![true, false])).unwrap();
        assert_eq!(three.get(1).unwrap(), (2, 'b', false));
        let error = StackDataset::new((vec![1i64], vec![1i64, 2]))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "StackDataset: expected datasets of one length, got [1, 2]");
        let named = BTreeMap::from([("x".to_string(), vec![1i64, 2]), ("y".to_string(), vec![3, 4])]);
        let named = StackDataset::new(named).unwrap();
        let sample = BTreeMap::from([("x".to_string(), 2), ("y".to_string(), 4)]);
        assert_eq!((named.len(), named.get(1).unwrap()), (2, sample));
    }
}
