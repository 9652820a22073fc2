//! Automatic mixed precision (`torch.amp`): inside a region of [`autocast`], matrix products and convolutions work on
//! half-width floats, operations that need range or precision on `float32`, and all others on what they are given.
//!
//! Micikevicius et al., "Mixed Precision Training", 2018. The table in this file has the lists, which are those of
//! `torch.autocast("cpu")`. Casts are recorded operations: parameters of `float32` get gradients of `float32`.

use std::cell::Cell;
use std::sync::Arc;

use crate::ops::custom::{self, Function};
use crate::{DType, Result, Tensor};

/// The half-width type of the region that this thread is in.
type Region = Option<DType>;

thread_local!(static REGION: Cell<Region> = const { Cell::new(None) });

struct Restore(Region);

impl Drop for Restore {
    fn drop(&mut self) {
        REGION.set(self.0);
    }
}

/// Runs `f` in mixed precision (`torch.autocast`), also when `f` returns early or panics: `dtype` is
/// [`BF16`](DType::BF16) or [`F16`](DType::F16). `None`, as any wider type, switches mixed precision off, e.g. for a part
/// of an outer region. The mode is the calling thread's.
///
/// Gradients are computed in the types of the forward operations, whether `backward` is called inside or outside.
///
/// ```
/// use flambeau_tensor::amp::autocast;
/// use flambeau_tensor::{DType, Result, Tensor};
///
/// fn main() -> Result<()> {
///     let (x, w) = (Tensor::ones((2, 3), DType::F32)?, Tensor::ones((3, 4), DType::F32)?);
///     let y = autocast(DType::BF16, || x.matmul(&w))?;
///     assert_eq!(y.dtype(), DType::BF16);
///     let y = autocast(DType::BF16, || autocast(None, || x.matmul(&w)))?;
///     assert_eq!(y.dtype(), DType::F32);
///     Ok(())
/// }
/// ```
pub fn autocast<R>(dtype: impl Into<Option<DType>>, f: impl FnOnce() -> R) -> R {
    let region = dtype.into().filter(|dtype| dtype.is_half());
    let _restore = Restore(REGION.replace(region));
    f()
}

/// Whether this thread is in a region of [`autocast`] (`torch.is_autocast_enabled`).
#[inline]
pub fn is_autocast_enabled() -> bool {
    REGION.get().is_some()
}

/// The half-width type of the region of [`autocast`] that this thread is in, if it is in one (`torch.get_autocast_dtype`).
#[inline]
pub fn get_autocast_dtype() -> Option<DType> {
    REGION.get()
}

/// Applies a function with a gradient rule of its own as one whose `forward` and `backward` are marked by
/// `torch.amp.custom_fwd` and `torch.amp.custom_bwd`: `backward` runs in the region that `forward` was called in.
///
/// With `cast_inputs`, and inside a region, `forward` gets its floating point tensors (but for `float64`) cast to that type, and
/// neither part sees a region: `float32` makes a function that does not stand half-width numbers safe to use in any.
///
/// ```
/// use std::sync::Arc;
/// use flambeau_tensor::ops::custom::Function;
/// use flambeau_tensor::{DType, Result, Tensor, amp};
///
/// struct Product;
///
/// impl Function for Product {
///     fn name(&self) -> &'static str {
///         "product"
///     }
///     fn forward(&self, x: &[Tensor]) -> Result<Vec<Tensor>> {
///         Ok(vec![x[0].matmul(&x[1])?])
///     }
///     fn backward(&self, x: &[Tensor], _: &[Tensor], g: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
///         let Some(g) = &g[0] else { return Ok(vec![None, None]) };
///         Ok(vec![Some(g.matmul(&x[1].t()?)?), Some(x[0].t()?.matmul(g)?)])
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let (x, w) = (Tensor::ones((2, 3), DType::F32)?, Tensor::ones((3, 4), DType::F32)?);
/// let product = |cast_inputs: Option<DType>| amp::apply(Arc::new(Product), &[&x, &w], cast_inputs);
/// let dtypes = amp::autocast(DType::BF16, || -> Result<_> {
///     Ok([product(None)?[0].dtype(), product(Some(DType::F32))?[0].dtype()])
/// })?;
/// assert_eq!(dtypes, [DType::BF16, DType::F32]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of the function's `forward`.
#[doc(alias = "custom_fwd")]
#[doc(alias = "custom_bwd")]
pub fn apply(
    function: Arc<dyn Function>,
    inputs: &[&Tensor],
    cast_inputs: impl Into<Option<DType>>,
) -> Result<Vec<Tensor>> {
    let region = get_autocast_dtype();
    match (region, cast_inputs.into()) {
        (Some(_), Some(to)) => {
            let cast = inputs.iter().map(|x| Argument::cast(*x, Some(to)));
            let cast = cast.collect::<Result<Vec<Tensor>>>()?;
            let inputs: Vec<&Tensor> = cast.iter().collect();
            autocast(None, || custom::apply(function, &inputs))
        }
        _ => custom::apply(Arc::new(Within { function, region }), inputs),
    }
}

/// A function whose `backward` runs in a region.
struct Within {
    function: Arc<dyn Function>,
    region: Region,
}

impl Function for Within {
    fn name(&self) -> &'static str {
        self.function.name()
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.function.forward(inputs)
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        grads: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let grads = autocast(self.region, || self.function.backward(inputs, outputs, grads))?;
        // Those of a region are of its type, and each input's is of the input's.
        let pairs = grads.into_iter().zip(inputs);
        pairs
            .map(|(grad, input)| grad.map(|grad| grad.to_dtype(input.dtype())).transpose())
            .collect()
    }
}

/// What happens to the tensors of an operation inside a region. Tensors of `float64`, integers and bools stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// They are cast to the region's half-width type.
    Half,
    /// They are cast to `float32`.
    Full,
    /// They are cast to the widest of their types.
    Widest,
    /// They stay as they are. What the operation is composed of here, and is not in PyTorch, sees no region.
    Keep,
}

/// The policy of each operation that has one. Of others, what they are composed of may have. An operation that asks for
/// its policy and is missing here does not compile.
pub(crate) const fn policy(op: &str) -> Policy {
    match op.as_bytes() {
        // Products.
        b"addbmm"
        | b"addmm"
        | b"baddbmm"
        | b"conv"
        | b"conv_transpose"
        | b"linear"
        | b"matmul"
        | b"prelu"
        | b"rnn"
        | b"scaled_dot_product_attention"
        | b"vecdot" => Policy::Half,

        // Losses.
        b"binary_cross_entropy"
        | b"binary_cross_entropy_with_logits"
        | b"cosine_embedding_loss"
        | b"cross_entropy"
        | b"ctc_loss"
        | b"hinge_embedding_loss"
        | b"huber_loss"
        | b"kl_div"
        | b"l1_loss"
        | b"margin_ranking_loss"
        | b"mse_loss"
        | b"multi_margin_loss"
        | b"multilabel_margin_loss"
        | b"nll_loss"
        | b"poisson_nll_loss"
        | b"smooth_l1_loss"
        | b"soft_margin_loss"
        | b"triplet_margin_loss" => Policy::Full,
        // Pools, pads and the like.
        b"adaptive_avg_pool3d"
        | b"adaptive_max_pool3d"
        | b"avg_pool3d"
        | b"fractional_max_pool"
        | b"grid_sample"
        | b"max_pool3d"
        | b"max_unpool"
        | b"reflection_pad"
        | b"replication_pad" => Policy::Full,
        // Sums and transforms.
        b"cdist" | b"fft" | b"nanquantile" | b"polar" | b"prod" | b"quantile" | b"stft" | b"trace" => {
            Policy::Full
        }
        // Linear algebra.
        b"cholesky"
        | b"cholesky_inverse"
        | b"cholesky_solve"
        | b"cond"
        | b"eig"
        | b"eigh"
        | b"geqrf"
        | b"householder_product"
        | b"inv"
        | b"lstsq"
        | b"lu"
        | b"lu_solve"
        | b"matrix_rank"
        | b"matrix_sqrth"
        | b"ormqr"
        | b"pinv"
        | b"qr"
        | b"solve"
        | b"svd"
        | b"tensorinv"
        | b"tensorsolve"
        | b"triangular_solve" => Policy::Full,

        b"index_copy" => Policy::Widest,

        b"addmv" | b"bilinear" | b"complex_matmul" | b"dot" | b"matrix_exp" | b"mv" => Policy::Keep,

        _ => panic!("this operation is not in the table of policies"),
    }
}

impl Policy {
    /// What an operation's tensors of these types are cast to inside the region of this thread.
    pub(crate) fn target(self, dtypes: &[Option<DType>]) -> Option<DType> {
        match self {
            Policy::Half => REGION.get(),
            Policy::Full => Some(DType::F32),
            Policy::Widest => dtypes.iter().copied().flatten().reduce(crate::promote),
            Policy::Keep => None,
        }
    }
}

/// A tensor that an operation takes, or may be given.
pub(crate) trait Argument {
    /// The argument after its cast.
    type Cast: Lend;
    /// The tensor's type, if there is one.
    fn dtype(&self) -> Option<DType>;
    /// The argument cast to another type, unless it is of `float64` or no floating point type.
    fn cast(self, to: Option<DType>) -> Result<Self::Cast>;
}

/// Gives a cast argument the form in which it came.
pub(crate) trait Lend {
    /// That form.
    type Lent<'a>
    where
        Self: 'a;
    /// The argument in that form.
    fn lend(&self) -> Self::Lent<'_>;
}

impl Argument for &Tensor {
    type Cast = Tensor;

    fn dtype(&self) -> Option<DType> {
        Some(Tensor::dtype(self))
    }

    fn cast(self, to: Option<DType>) -> Result<Tensor> {
        let dtype = Tensor::dtype(self);
        match to {
            Some(to) if dtype.is_float() && dtype != DType::F64 => self.to_dtype(to),
            _ => Ok(self.clone()),
        }
    }
}

impl Lend for Tensor {
    type Lent<'a> = &'a Tensor;

    fn lend(&self) -> &Tensor {
        self
    }
}

impl Argument for Option<&Tensor> {
    type Cast = Option<Tensor>;

    fn dtype(&self) -> Option<DType> {
        self.map(Tensor::dtype)
    }

    fn cast(self, to: Option<DType>) -> Result<Option<Tensor>> {
        self.map(|tensor| tensor.cast(to)).transpose()
    }
}

impl Lend for Option<Tensor> {
    type Lent<'a> = Option<&'a Tensor>;

    fn lend(&self) -> Option<&Tensor> {
        self.as_ref()
    }
}

/// At the head of an operation: `under_autocast!("linear": x, weight, bias => linear(x, weight, bias))` returns, inside a region,
/// what the call gives for the tensors cast by the operation's [`policy`]. In the call the region is left, so that an
/// operation is one, whatever it is composed of. `a = self` names a tensor that has no name of its own.
macro_rules! under_autocast {
    (@value $name:ident) => { $name };
    (@value $name:ident $value:expr) => { $value };
    ($op:literal: $($name:ident $(= $value:expr)?),+ => $call:expr) => {
        if $crate::amp::is_autocast_enabled() {
            const POLICY: $crate::amp::Policy = $crate::amp::policy($op);
            #[allow(unused_imports)]
            use $crate::amp::{Argument as _, Lend as _};
            let to = POLICY.target(&[$($crate::amp::Argument::dtype(&$crate::amp::under_autocast!(@value $name $($value)?))),+]);
            $(
                let $name = $crate::amp::Argument::cast($crate::amp::under_autocast!(@value $name $($value)?), to)?;
                let $name = $name.lend();
            )+
            return $crate::amp::autocast(None, || $call);
        }
    };
}
pub(crate) use under_autocast;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bail;
    use crate::ops::linear::linear;
    use crate::ops::loss::Reduction;
    use crate::ops::loss::mse_loss;

    fn matrix(dtype: DType) -> Tensor {
        Tensor::new([[1.0f32, 2.0], [3.0, 4.0]])
            .unwrap()
            .to_dtype(dtype)
            .unwrap()
    }

    fn product() -> DType {
        let x = matrix(DType::F32);
        x.matmul(&x).unwrap().dtype()
    }

    #[test]
    fn regions_nest() {
        assert_eq!((product(), get_autocast_dtype()), (DType::F32, None));
        autocast(DType::BF16, || {
            assert_eq!(product(), DType::BF16);
            autocast(DType::F16, || assert_eq!(product(), DType::F16));
            assert_eq!(product(), DType::BF16);
            autocast(None, || {
                assert_eq!(product(), DType::F32);
                assert!(!is_autocast_enabled());
                autocast(DType::F16, || assert_eq!(product(), DType::F16));
            });
            // A type that is not half-width switches it off, as in PyTorch.
            autocast(DType::F32, || assert_eq!(product(), DType::F32));
            assert_eq!(get_autocast_dtype(), Some(DType::BF16));
        });
        assert_eq!(product(), DType::F32);
    }

    #[test]
    fn a_region_ends_with_an_error_and_a_panic() {
        let failed: Result<()> = autocast(DType::BF16, || bail!(Value, "on purpose"));
        assert!(failed.is_err() && !is_autocast_enabled());
        let fails = || autocast(DType::BF16, || -> () { panic!("on purpose") });
        assert!(std::panic::catch_unwind(fails).is_err() && !is_autocast_enabled());
        // An operation that fails leaves its region as it was.
        autocast(DType::BF16, || {
            let x = matrix(DType::F32);
            assert!(x.matmul(&Tensor::ones((3, 3), DType::F32).unwrap()).is_err());
            assert_eq!(get_autocast_dtype(), Some(DType::BF16));
        });
    }

    #[test]
    fn a_region_is_of_its_thread() {
        autocast(DType::BF16, || {
            let other = std::thread::spawn(product).join().unwrap();
            assert_eq!((other, product()), (DType::F32, DType::BF16));
        });
    }

    #[test]
    fn policies_choose_types() {
        use DType::{BF16, F16, F32, F64};
        let product = |a, b| autocast(BF16, || matrix(a).matmul(&matrix(b)).map(|y| y.dtype()));
        assert_eq!(product(F32, BF16).unwrap(), BF16);
        assert_eq!(product(F16, F32).unwrap(), BF16);
        assert_eq!(product(F64, F64).unwrap(), F64);
        assert!(product(F64, F32).is_err());
        let loss = |a, b| {
            let (a, b) = (matrix(a), matrix(b));
            autocast(BF16, || mse_loss(&a, &b, Reduction::Mean))
                .unwrap()
                .dtype()
        };
        assert_eq!(
            (loss(BF16, BF16), loss(F16, F32), loss(F64, BF16)),
            (F32, F32, F64)
        );
        let index = Tensor::new([0i64]).unwrap();
        let copy = |a, b| {
            let row = matrix(b).narrow(0, 0, 1).unwrap();
            autocast(BF16, || matrix(a).index_copy(0, &index, &row))
                .unwrap()
                .dtype()
        };
        assert_eq!(
            (copy(BF16, F32), copy(F32, BF16), copy(BF16, BF16)),
            (F32, F32, BF16)
        );
        // Integers are left alone.
        autocast(BF16, || {
            assert_eq!(
                linear(&matrix(DType::I64), &matrix(DType::I64), None)
                    .unwrap()
                    .dtype(),
                DType::I64
            )
        });
    }

    #[test]
    fn operations_in_place_and_of_one_piece_see_no_region() {
        let x = matrix(DType::F32);
        let row = x.select(0, 0).unwrap();
        autocast(DType::BF16, || {
            assert_eq!(x.mv(&row).unwrap().dtype(), DType::F32);
            assert_eq!(row.dot(&row).unwrap().dtype(), DType::F32);
            assert_eq!(x.add(&x).unwrap().dtype(), DType::F32);
            // Computed in full width although it is a matrix product here.
            let y = Tensor::new([[1.0f32, 0.1], [0.1, 1.0]]).unwrap();
            let distances = autocast(None, || y.cdist(&x, 2.0)).unwrap();
            assert_eq!(
                y.cdist(&x, 2.0).unwrap().to_vec::<f32>().unwrap(),
                distances.to_vec::<f32>().unwrap()
            );
        });
    }
}
