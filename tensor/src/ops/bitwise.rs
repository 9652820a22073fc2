//! Functions of integers: bits, shifts, common divisors. Bits are defined for bools, too.

use flambeau_kernels::binary::BinaryInt;
use flambeau_kernels::unary::UnaryInt;

use crate::ops::binary::{common_dtype, integer_binary};
use crate::{DType, Operand, Result, Tensor, ensure};

/// Declares functions of two operands as `name(lhs, rhs)`, as a method and as a method in place.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident, $in_place:ident => $function:ident, bools: $bools:expr;)*) => { $(
        $(#[$doc])*
        /// Either side may be a number.
        ///
        /// # Errors
        /// `DType` for element types that the function is not defined for; `Broadcast` if the shapes don't broadcast.
        pub fn $name<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
            combine(stringify!($name), BinaryInt::$function, $bools, &lhs.into(), &rhs.into())
        }

        impl Tensor {
            $(#[$doc])*
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($name), "`].")]
            pub fn $name<'a>(&self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
                $name(self, rhs)
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] in place.")]
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($name), "`];")]
            /// `Shape` or `DType` if the result would not fit.
            pub fn $in_place<'a>(&self, rhs: impl Into<Operand<'a>>) -> Result<&Tensor> {
                self.replace(stringify!($in_place), $name(self, rhs)?)
            }
        }
    )* };
}

functions! {
    /// The bits that are set in both.
    bitwise_and, bitwise_and_ => And, bools: true;
    /// The bits that are set in at least one.
    bitwise_or, bitwise_or_ => Or, bools: true;
    /// The bits that are set in exactly one.
    bitwise_xor, bitwise_xor_ => Xor, bools: true;
    /// The bits of `lhs` moved up by `rhs` places; 0 if that is negative or not below the number of bits.
    bitwise_left_shift, bitwise_left_shift_ => Shl, bools: false;
    /// The bits of `lhs` moved down by `rhs` places, the sign kept.
    bitwise_right_shift, bitwise_right_shift_ => Shr, bools: false;
    /// The greatest common divisor, not negative.
    gcd, gcd_ => Gcd, bools: false;
    /// The least common multiple, not negative.
    lcm, lcm_ => Lcm, bools: false;
}

fn combine(
    op: &'static str,
    function: BinaryInt,
    bools: bool,
    lhs: &Operand<'_>,
    rhs: &Operand<'_>,
) -> Result<Tensor> {
    let dtype = common_dtype(lhs, rhs);
    let defined = dtype.is_integer() || (bools && dtype == DType::Bool);
    ensure!(defined, DType, "{op}: expected integer operands, got {dtype}");
    integer_binary(op, function, lhs, rhs, dtype)
}

impl Tensor {
    /// All bits inverted; of bools the logical not.
    ///
    /// # Errors
    /// `DType` for floating point tensors.
    pub fn bitwise_not(&self) -> Result<Tensor> {
        let dtype = self.dtype();
        if dtype == DType::Bool {
            return self.logical_not();
        }
        ensure!(
            dtype.is_integer(),
            DType,
            "bitwise_not: expected an integer tensor, got {dtype}"
        );
        Ok(Tensor::from_value(
            self.value().map_integers("bitwise_not", UnaryInt::Not)?,
        ))
    }

    /// [`Tensor::bitwise_not`] in place.
    ///
    /// # Errors
    /// `DType` for floating point tensors.
    pub fn bitwise_not_(&self) -> Result<&Tensor> {
        self.replace("bitwise_not_", self.bitwise_not()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_integers_and_bools() {
        let (a, b) = (
            Tensor::new([12i32, -1]).unwrap(),
            Tensor::new([10i32, 2]).unwrap(),
        );
        assert_eq!(a.bitwise_and(&b).unwrap().to_vec::<i32>().unwrap(), [8, 2]);
        assert_eq!(a.bitwise_xor(1).unwrap().to_vec::<i32>().unwrap(), [13, -2]);
        assert_eq!(
            bitwise_left_shift(1, &b).unwrap().to_vec::<i32>().unwrap(),
            [1024, 4]
        );
        assert_eq!(a.bitwise_not().unwrap().to_vec::<i32>().unwrap(), [-13, 0]);
        let flags = Tensor::new([true, false]).unwrap();
        assert_eq!(
            flags.bitwise_not().unwrap().to_vec::<bool>().unwrap(),
            [false, true]
        );
        assert_eq!(
            flags.bitwise_or(true).unwrap().to_vec::<bool>().unwrap(),
            [true, true]
        );
        assert!(flags.bitwise_left_shift(&flags).is_err());
        assert!(Tensor::new([1.0f32]).unwrap().bitwise_not().is_err());
        assert!(a.gcd(2.5).is_err());
        assert_eq!(a.gcd(&b).unwrap().to_vec::<i32>().unwrap(), [2, 1]);
        assert_eq!(a.lcm(&b).unwrap().to_vec::<i32>().unwrap(), [60, 2]);
    }
}
