//! Conversions between tensors and Rust's vectors, slices and arrays.

use crate::{Element, Error, Result, Tensor, ensure};

/// A 1-d tensor of the elements.
impl<T: Element> From<&[T]> for Tensor {
    fn from(data: &[T]) -> Tensor {
        Tensor::vector(data)
    }
}

/// A 1-d tensor of the elements.
impl<T: Element> From<Vec<T>> for Tensor {
    fn from(data: Vec<T>) -> Tensor {
        Tensor::vector(&data)
    }
}

/// A 1-d tensor of the elements.
impl<T: Element, const N: usize> From<[T; N]> for Tensor {
    fn from(data: [T; N]) -> Tensor {
        Tensor::vector(&data)
    }
}

/// A 2-d tensor of the rows.
impl<T: Element, const N: usize, const M: usize> From<[[T; M]; N]> for Tensor {
    fn from(rows: [[T; M]; N]) -> Tensor {
        Tensor::rows(rows.as_flattened(), N, M)
    }
}

/// The elements of a 1-d tensor.
impl<T: Element> TryFrom<&Tensor> for Vec<T> {
    type Error = Error;

    fn try_from(tensor: &Tensor) -> Result<Vec<T>> {
        ensure!(
            tensor.rank() == 1,
            Shape,
            "to a Vec: expected a 1-d tensor, got {:?}; use to_vec for all elements",
            tensor.shape()
        );
        tensor.to_vec()
    }
}

impl Tensor {
    /// The rows of a 2-d tensor.
    ///
    /// # Errors
    /// `Shape` unless the tensor has two dimensions; `DType` if its type is not `T`'s.
    pub fn to_vec2<T: Element>(&self) -> Result<Vec<Vec<T>>> {
        ensure!(
            self.rank() == 2,
            Shape,
            "to_vec2: expected a 2-d tensor, got {:?}",
            self.shape()
        );
        Ok(nested(&self.to_vec()?, self.shape()[0], self.shape()[1]))
    }

    /// The matrices, as rows, of a 3-d tensor.
    ///
    /// # Errors
    /// `Shape` unless the tensor has three dimensions; `DType` if its type is not `T`'s.
    pub fn to_vec3<T: Element>(&self) -> Result<Vec<Vec<Vec<T>>>> {
        let &[n, rows, columns] = self.shape() else {
            crate::bail!(Shape, "to_vec3: expected a 3-d tensor, got {:?}", self.shape())
        };
        let data = self.to_vec()?;
        let matrix = |i| nested(&data[i * rows * columns..][..rows * columns], rows, columns);
        Ok((0..n).map(matrix).collect())
    }
}

fn nested<T: Element>(data: &[T], rows: usize, columns: usize) -> Vec<Vec<T>> {
    (0..rows)
        .map(|r| data[r * columns..][..columns].to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_go_both_ways() {
        let x = Tensor::from([[1i64, 2], [3, 4]]);
        assert_eq!(x.to_vec2::<i64>().unwrap(), [[1, 2], [3, 4]]);
        assert_eq!(
            x.unsqueeze(0).unwrap().to_vec3::<i64>().unwrap(),
            [[[1, 2], [3, 4]]]
        );
        let v: Vec<i64> = (&Tensor::from(vec![5i64, 6])).try_into().unwrap();
        assert_eq!(v, [5, 6]);
        assert!(Vec::<i64>::try_from(&x).is_err());
        assert!(x.to_vec3::<i64>().is_err());
    }
}
