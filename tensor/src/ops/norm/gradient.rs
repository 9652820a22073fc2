//! The fused gradients of normalisations, beside the gradient that comes in or in its place.

use flambeau_kernels::mem::Buf;
use flambeau_kernels::norm::{
    self, batch_norm_backward, batch_norm_backward_in_place, batch_norm_inference_backward,
    group_norm_backward, layer_norm_backward, rms_norm_backward,
};

use super::{Clamped, NormKind, NormOp, name};
use crate::optimizer::Real;
use crate::value::Value;
use crate::{Result, Shape, Tensor, ensure, with_float};

impl Clamped {
    fn for_kernel<T: Real>(&self) -> Result<norm::Clamped<'_, T>> {
        let [low, high] = self.limits.map(T::from_f64);
        Ok(norm::Clamped {
            limits: norm::Clamp { low, high },
            shift: self.shift.data::<T>()?,
        })
    }
}

/// Gradients of a normalisation: of the input, the weight and the bias.
pub type NormGrads = [Option<Tensor>; 3];

impl Tensor {
    /// The gradients of input, weight and bias of `op`, this tensor being that of its output, by one fused kernel, not
    /// recorded; each only if wanted.
    ///
    /// # Errors
    /// `Shape` if this tensor has not the output's shape.
    pub fn norm_backward(&self, op: &NormOp, wanted: [bool; 3]) -> Result<NormGrads> {
        let full = op.mean.dtype;
        let (grad, x) = (self.value().cast(full)?, op.input.value.cast(full)?);
        ensure!(
            grad.shape == x.shape,
            Shape,
            "{}: gradient {:?} for an output {:?}",
            name(op),
            grad.shape,
            x.shape
        );
        let weight = op.weight.as_ref().map(|w| w.value.cast(full)).transpose()?;
        let affine: usize = op.view().weight.iter().product();
        let mut results: [Option<Value>; 3] = [None, None, None];
        with_float!(name(op), full, T => {
            let (g, x_data) = (grad.data::<T>()?, x.data::<T>()?);
            let (m, r) = (op.mean.data::<T>()?, op.rstd.data::<T>()?);
            let w = weight.as_ref().map(|w| w.data::<T>()).transpose()?;
            // The kernels write every element; without rows there is nothing to add up, and the sums are 0.
            let sizes = [x.numel(), affine, affine];
            let buffer = if x_data.is_empty() { Buf::<T>::zeroed } else { Buf::<T>::take };
            let mut buffers = [0, 1, 2].map(|i| wanted[i].then(|| buffer(sizes[i])));
            let [dx, dw, db] = &mut buffers;
            let [dx, dw, db] = [dx, dw, db].map(|buffer| buffer.as_deref_mut());
            let clamped = op.clamped.as_ref().map(Clamped::for_kernel::<T>).transpose()?;
            if !x_data.is_empty() {
                match op.kind {
                    NormKind::Batch(shape) => batch_norm_backward(g, x_data, shape, m, r, w, clamped, dx, dw, db),
                    NormKind::BatchInference(shape) => {
                        batch_norm_inference_backward(g, x_data, shape, m, r, w, op.eps, dx, dw, db)
                    }
                    NormKind::Group(shape, groups) => group_norm_backward(g, x_data, m, r, w, shape, groups, dx, dw, db),
                    NormKind::Layer([_, n]) => layer_norm_backward(g, x_data, m, r, w, n, dx, dw, db),
                    NormKind::Rms([_, n]) => rms_norm_backward(g, x_data, r, w, n, dx, dw),
                }
            }
            let shapes = [x.shape.clone(), Shape::new(&[affine]), Shape::new(&[affine])];
            for ((result, buffer), shape) in results.iter_mut().zip(buffers).zip(shapes) {
                *result = buffer.map(|buffer| Value::new(buffer, full, shape));
            }
        });
        Ok(results.map(|value| value.map(Tensor::from_value)))
    }

    /// [`Tensor::norm_backward`] with the gradient of the input in this tensor's place, if the norm has such a kernel: batch norm
    /// in training.
    ///
    /// # Errors
    /// As [`Tensor::norm_backward`].
    pub fn norm_backward_(&self, op: &NormOp, wanted: [bool; 3]) -> Result<NormGrads> {
        let (full, x) = (op.mean.dtype, &op.input.value);
        let fits = wanted[0] && self.dtype() == full && *self.shape() == *x.shape && x.numel() > 0;
        let (NormKind::Batch(shape), true) = (op.kind, fits) else {
            return self.norm_backward(op, wanted);
        };
        let x = x.cast(full)?;
        let weight = op.weight.as_ref().map(|w| w.value.cast(full)).transpose()?;
        with_float!(name(op), full, T => {
            let (x, m, r) = (x.data::<T>()?, op.mean.data::<T>()?, op.rstd.data::<T>()?);
            let w = weight.as_ref().map(|w| w.data::<T>()).transpose()?;
            let mut buffers = [wanted[1], wanted[2]].map(|wanted| wanted.then(|| Buf::<T>::take(shape[1])));
            let [dw, db] = buffers.each_mut().map(|buffer| buffer.as_deref_mut());
            let clamped = op.clamped.as_ref().map(Clamped::for_kernel::<T>).transpose()?;
            self.write::<T, _>("norm_backward_", |grad| {
                batch_norm_backward_in_place(grad, x, shape, m, r, w, clamped, dw, db)
            })?;
            let [dw, db] = buffers.map(|buffer| {
                buffer.map(|buffer| Tensor::from_value(Value::new(buffer, full, Shape::new(&[shape[1]]))))
            });
            Ok([Some(self.clone()), dw, db])
        })
    }
}
