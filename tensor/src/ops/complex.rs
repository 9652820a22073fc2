//! Complex numbers as a trailing dimension of 2 (real, imaginary): making them and taking them apart.

use crate::amp::under_autocast;
use crate::{Result, Tensor, ensure};

/// The complex tensor with these real and imaginary parts (`torch.complex`).
///
/// # Shapes
/// The parts broadcast to `[…]`; the result is `[…, 2]`.
///
/// # Errors
/// `DType` unless both are of one floating point type; `Broadcast` if the shapes don't broadcast.
pub fn complex(real: &Tensor, imag: &Tensor) -> Result<Tensor> {
    join("complex", real, imag)
}

/// The complex tensor with these absolute values and angles (`torch.polar`).
///
/// # Shapes
/// As [`complex`].
///
/// # Errors
/// As [`complex`].
pub fn polar(abs: &Tensor, angle: &Tensor) -> Result<Tensor> {
    under_autocast!("polar": abs, angle => polar(abs, angle));
    check_parts("polar", abs, angle)?;
    join("polar", &abs.mul(&angle.cos()?)?, &abs.mul(&angle.sin()?)?)
}

fn check_parts(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    let (x, y) = (a.dtype(), b.dtype());
    ensure!(
        x == y && x.is_float(),
        DType,
        "{op}: expected two tensors of one floating point type, got {x} and {y}"
    );
    Ok(())
}

fn join(op: &str, real: &Tensor, imag: &Tensor) -> Result<Tensor> {
    check_parts(op, real, imag)?;
    let shape = crate::broadcast_shapes(op, &[real.shape(), imag.shape()])?;
    let part = |x: &Tensor| x.expand(&shape)?.unsqueeze(-1);
    Tensor::cat(&[&part(real)?, &part(imag)?], -1)
}

/// The real tensor `x` as a complex one, with imaginary parts of zero.
///
/// # Shapes
/// `[…]` to `[…, 2]`.
///
/// # Errors
/// `DType` unless `x` is of a floating point type.
pub fn from_real(x: &Tensor) -> Result<Tensor> {
    complex(x, &x.zeros_like()?)
}

/// Methods of complex tensors: their last dimension is (real, imaginary).
impl Tensor {
    fn check_complex(&self, op: &str) -> Result<()> {
        ensure!(
            self.shape().last() == Some(&2),
            Shape,
            "{op}: a complex tensor ends in a dimension of 2 (real, imaginary), got {:?}",
            self.shape()
        );
        Ok(())
    }

    /// The real parts of a complex tensor.
    ///
    /// # Shapes
    /// `[…, 2]` to `[…]`.
    ///
    /// # Errors
    /// `Shape` if the last dimension is not 2.
    pub fn real(&self) -> Result<Tensor> {
        self.check_complex("real")?;
        self.select(-1, 0)
    }

    /// The imaginary parts of a complex tensor.
    ///
    /// # Shapes
    /// `[…, 2]` to `[…]`.
    ///
    /// # Errors
    /// `Shape` if the last dimension is not 2.
    pub fn imag(&self) -> Result<Tensor> {
        self.check_complex("imag")?;
        self.select(-1, 1)
    }

    /// The complex conjugate of a complex tensor.
    ///
    /// # Errors
    /// `Shape` if the last dimension is not 2.
    pub fn conj(&self) -> Result<Tensor> {
        self.check_complex("conj")?;
        complex(&self.real()?, &self.imag()?.neg()?)
    }

    /// The absolute values of a complex tensor.
    ///
    /// # Shapes
    /// `[…, 2]` to `[…]`.
    ///
    /// # Errors
    /// `Shape` if the last dimension is not 2.
    pub fn complex_abs(&self) -> Result<Tensor> {
        self.check_complex("abs")?;
        // In the order in which the elements lie: a spectrogram is a transposed view of its frames.
        let pairs = self.rank() - 1;
        let strides = self.strides();
        let mut order: Vec<isize> = (0..pairs as isize).collect();
        order.sort_by_key(|&dim| std::cmp::Reverse(strides[dim as usize]));
        let mut back = vec![0; pairs];
        for (place, &dim) in order.iter().enumerate() {
            back[dim as usize] = place as isize;
        }
        order.push(pairs as isize);
        let ordered = self.permute(order)?;
        ordered.real()?.hypot(&ordered.imag()?)?.permute(back)
    }

    /// The angles of a complex tensor.
    ///
    /// # Shapes
    /// `[…, 2]` to `[…]`.
    ///
    /// # Errors
    /// `Shape` if the last dimension is not 2.
    pub fn complex_angle(&self) -> Result<Tensor> {
        self.check_complex("angle")?;
        self.imag()?.atan2(&self.real()?)
    }

    /// The product of two complex tensors, with broadcasting of the dimensions before the last.
    ///
    /// # Errors
    /// `Shape` if a last dimension is not 2; `Broadcast` if the shapes don't broadcast.
    pub fn complex_mul(&self, rhs: &Tensor) -> Result<Tensor> {
        let (a, b, c, d) = (self.real()?, self.imag()?, rhs.real()?, rhs.imag()?);
        complex(&a.mul(&c)?.sub(&b.mul(&d)?)?, &a.mul(&d)?.add(&b.mul(&c)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_products() {
        let (re, im) = (
            Tensor::new([3.0f64, 0.0]).unwrap(),
            Tensor::new([4.0f64, -1.0]).unwrap(),
        );
        let z = complex(&re, &im).unwrap();
        assert_eq!(z.to_vec::<f64>().unwrap(), [3.0, 4.0, 0.0, -1.0]);
        assert_eq!(z.complex_abs().unwrap().to_vec::<f64>().unwrap(), [5.0, 1.0]);
        let squares = z.complex_mul(&z.conj().unwrap()).unwrap();
        assert_eq!(squares.to_vec::<f64>().unwrap(), [25.0, 0.0, 1.0, 0.0]);
        let turned = polar(&re, &Tensor::new([0.0f64, 1.0]).unwrap()).unwrap();
        assert_eq!(turned.to_vec::<f64>().unwrap(), [3.0, 0.0, 0.0, 0.0]);
        assert!(re.reshape([2, 1]).unwrap().conj().is_err());
        assert!(complex(&re, &Tensor::new([1i64, 2]).unwrap()).is_err());
    }
}
