//! Exchange with the crate `ndarray`, behind the feature of that name.

use ::ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};

use crate::{Element, Error, Result, Tensor};

impl Tensor {
    /// A tensor with a copy of the array's elements, whatever the array's layout.
    ///
    /// ```
    /// use flambeau_tensor::Tensor;
    /// use ndarray::array;
    ///
    /// let matrix = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    /// let t = Tensor::from_ndarray(&matrix.t())?;
    /// assert_eq!(t.shape(), [3, 2]);
    /// assert_eq!(t.matmul(&Tensor::from_ndarray(&matrix)?)?.to_ndarray::<f32>()?.shape(), [3, 3]);
    /// # Ok::<(), flambeau_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// None that a valid array meets.
    pub fn from_ndarray<S, D>(array: &ArrayBase<S, D>) -> Result<Tensor>
    where
        S: Data,
        S::Elem: Element,
        D: Dimension,
    {
        match array.as_slice() {
            Some(elements) => Tensor::from_slice(elements, array.shape()),
            None => Tensor::from_vec(array.iter().copied().collect(), array.shape()),
        }
    }

    /// A copy as an array in row-major order.
    ///
    /// # Errors
    /// `DType` if the tensor's type is not `T`'s; cast with [`Tensor::to_dtype`] first.
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        ArrayD::from_shape_vec(IxDyn(self.shape()), self.to_vec()?)
            .map_err(|error| Error::Backend(format!("to_ndarray: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use ::ndarray::{Array, Axis, arr0, array};

    use super::*;
    use crate::DType;

    #[test]
    fn arrays_survive_the_round_trip() {
        let x = Array::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 12 + j * 4 + k) as i64);
        let t = Tensor::from_ndarray(&x).unwrap();
        assert_eq!((t.shape(), t.dtype()), (&[2, 3, 4][..], DType::I64));
        assert_eq!(t.to_ndarray::<i64>().unwrap(), x.clone().into_dyn());
        let mut view = x.view();
        view.swap_axes(0, 2);
        view.invert_axis(Axis(1));
        let back = Tensor::from_ndarray(&view).unwrap().to_ndarray::<i64>().unwrap();
        assert_eq!(back, view.into_dyn());
    }

    #[test]
    fn odd_shapes_and_types() {
        let zero_dim = Tensor::from_ndarray(&arr0(true)).unwrap();
        assert_eq!(
            (zero_dim.shape(), zero_dim.item::<bool>().unwrap()),
            (&[][..], true)
        );
        let empty = Tensor::zeros((0, 3), DType::F64).unwrap();
        assert_eq!(empty.to_ndarray::<f64>().unwrap().shape(), [0, 3]);
        let transposed = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]]).unwrap().t().unwrap();
        assert_eq!(
            transposed.to_ndarray::<f32>().unwrap(),
            array![[1.0, 3.0], [2.0, 4.0]].into_dyn()
        );
        assert!(transposed.to_ndarray::<f64>().is_err());
    }
}
