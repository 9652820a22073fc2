//! Datasets with an index: [`Dataset`] (`torch.utils.data.Dataset`) and what is made of them.

mod combine;
mod iterable;
mod split;

use std::sync::Arc;

use flambeau_tensor::{Result, Tensor, ensure};

pub use combine::{ConcatDataset, StackDataset, Stacked};
pub use iterable::{ChainDataset, FnDataset, IterableDataset, MappedStream, ShuffledStream, Stream, from_fn};
pub(crate) use split::permutation;
pub use split::{random_split, random_split_by_fractions};

/// Samples that are found by an index from 0 (map-style `torch.utils.data.Dataset`).
///
/// Random augmentation in [`get`](Dataset::get) draws from the default generator, by `Tensor::rand` or
/// [`flambeau_tensor::random::with_default`]: a loader seeds it for every sample.
///
/// ```
/// use flambeau_data::Dataset;
/// use flambeau_tensor::Result;
///
/// struct Squares;
///
/// impl Dataset for Squares {
///     type Item = i64;
///
///     fn len(&self) -> usize {
///         10
///     }
///
///     fn get(&self, index: usize) -> Result<i64> {
///         Ok((index * index) as i64)
///     }
/// }
///
/// let halves = Squares.map(|x| Ok(x as f64 / 2.0));
/// assert_eq!(halves.get(3)?, 4.5);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// A sample.
    type Item: Send;

    /// The number of samples.
    fn len(&self) -> usize;

    /// The sample at `index`.
    ///
    /// # Errors
    /// `Index` if there is no such sample; whatever keeps it from being loaded.
    fn get(&self, index: usize) -> Result<Self::Item>;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dataset of `f(sample)`.
    fn map<T: Send, F: Fn(Self::Item) -> Result<T> + Send + Sync>(self, f: F) -> Mapped<Self, F>
    where
        Self: Sized,
    {
        Mapped { dataset: self, f }
    }

    /// The samples at `indices`, in that order.
    ///
    /// # Errors
    /// `Index` if one is out of range.
    fn subset(self, indices: Vec<usize>) -> Result<Subset<Self>>
    where
        Self: Sized,
    {
        Subset::new(self, indices)
    }
}

/// Datasets behind pointers.
macro_rules! dataset_behind {
    ($($pointer:ty),*) => { $(
        impl<D: Dataset + ?Sized> Dataset for $pointer {
            type Item = D::Item;

            fn len(&self) -> usize {
                (**self).len()
            }

            fn get(&self, index: usize) -> Result<D::Item> {
                (**self).get(index)
            }
        }
    )* };
}
dataset_behind!(&D, Box<D>, Arc<D>);

/// A vector is a dataset of clones of its elements.
impl<T: Clone + Send + Sync> Dataset for Vec<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn get(&self, index: usize) -> Result<T> {
        check_index("Vec", index, self.as_slice().len())?;
        Ok(self[index].clone())
    }
}

/// An `Index` error unless `index < len`.
pub(crate) fn check_index(of: &str, index: usize, len: usize) -> Result<()> {
    ensure!(
        index < len,
        Index,
        "{of}: index {index} is out of range for {len} samples"
    );
    Ok(())
}

/// The rows of `N` tensors, side by side (`TensorDataset`): sample `i` is `[t[i] for t in tensors]`.
#[derive(Clone, Debug)]
pub struct TensorDataset<const N: usize> {
    tensors: [Tensor; N],
}

impl<const N: usize> TensorDataset<N> {
    /// # Shapes
    /// `[samples, …]` each.
    ///
    /// # Errors
    /// `Shape` if a tensor has no dimension, or the numbers of rows differ; `Value` for no tensor at all.
    pub fn new(tensors: [Tensor; N]) -> Result<Self> {
        ensure!(N > 0, Value, "TensorDataset: expected at least one tensor");
        let rows: Vec<Option<usize>> = tensors.iter().map(|t| t.shape().first().copied()).collect();
        ensure!(
            rows[0].is_some() && rows.iter().all(|r| *r == rows[0]),
            Shape,
            "TensorDataset: expected tensors with as many rows each, got shapes {:?}",
            tensors.each_ref().map(Tensor::shape)
        );
        Ok(TensorDataset { tensors })
    }

    /// The tensors.
    pub fn tensors(&self) -> &[Tensor; N] {
        &self.tensors
    }
}

impl<const N: usize> Dataset for TensorDataset<N> {
    type Item = [Tensor; N];

    fn len(&self) -> usize {
        self.tensors[0].shape()[0]
    }

    fn get(&self, index: usize) -> Result<[Tensor; N]> {
        check_index("TensorDataset", index, self.len())?;
        let mut rows = self.tensors.clone();
        for row in &mut rows {
            *row = row.select(0, index as isize)?;
        }
        Ok(rows)
    }
}

/// Some of the samples of a dataset (`Subset`).
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// The samples at `indices` of `dataset`, in that order.
    ///
    /// # Errors
    /// `Index` if one is out of range.
    pub fn new(dataset: D, indices: Vec<usize>) -> Result<Self> {
        let len = dataset.len();
        for &index in &indices {
            check_index("Subset", index, len)?;
        }
        Ok(Subset { dataset, indices })
    }

    /// The dataset that this is a part of.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Where the samples stand in that dataset.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<D::Item> {
        check_index("Subset", index, self.indices.len())?;
        self.dataset.get(self.indices[index])
    }
}

/// A dataset whose samples go through a function: [`Dataset::map`].
#[derive(Clone, Debug)]
pub struct Mapped<D, F> {
    dataset: D,
    f: F,
}

impl<D: Dataset, T: Send, F: Fn(D::Item) -> Result<T> + Send + Sync> Dataset for Mapped<D, F> {
    type Item = T;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn get(&self, index: usize) -> Result<T> {
        (self.f)(self.dataset.get(index)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    #[test]
    fn rows_of_tensors() {
        let x = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]]).unwrap();
        let y = Tensor::new([5i64, 6]).unwrap();
        let dataset = TensorDataset::new([x, y]).unwrap();
        let [row, label] = dataset.get(1).unwrap();
        assert_eq!(row.to_vec::<f32>().unwrap(), [3.0, 4.0]);
        assert_eq!(label.item::<i64>().unwrap(), 6);
        assert_eq!(
            dataset.get(2).unwrap_err().to_string(),
            "TensorDataset: index 2 is out of range for 2 samples"
        );
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32).unwrap();
        let error = TensorDataset::new([zeros(&[2, 3]), zeros(&[3])])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "TensorDataset: expected tensors with as many rows each, got shapes [[2, 3], [3]]"
        );
        assert!(TensorDataset::new([zeros(&[])]).is_err());
        assert!(TensorDataset::new([]).is_err());
    }

    #[test]
    fn subsets_and_maps_of_anything() {
        let dataset: Arc<dyn Dataset<Item = i64>> = Arc::new(vec![10i64, 20, 30]);
        let subset = dataset.clone().subset(vec![2, 0]).unwrap();
        assert_eq!((subset.len(), subset.get(0).unwrap()), (2, 30));
        assert_eq!(subset.indices(), [2, 0]);
        assert!(subset.get(2).is_err());
        let error = dataset.clone().subset(vec![3]).err().unwrap().to_string();
        assert_eq!(error, "Subset: index 3 is out of range for 3 samples");
        let text = (&subset).map(|x| Ok(x.to_string()));
        assert_eq!(text.get(1).unwrap(), "10");
        assert!(!text.is_empty());
    }
}
