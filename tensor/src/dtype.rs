//! Element types and PyTorch's rules of type promotion (`torch.result_type`).

use flambeau_kernels::element::Pod;
use half::{bf16, f16};

use crate::{Scalar, Tensor};

/// The type of a tensor's elements. Names as in PyTorch: `Display` gives `float32`, `int64`, `bool`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// `torch.bool`, stored as one byte, 0 or 1.
    Bool,
    /// `torch.uint8`.
    U8,
    /// `torch.int8`.
    I8,
    /// `torch.int16`.
    I16,
    /// `torch.int32`.
    I32,
    /// `torch.int64`, the type of indices.
    I64,
    /// `torch.float16`.
    F16,
    /// `torch.bfloat16`.
    BF16,
    /// `torch.float32`, the default of computations.
    F32,
    /// `torch.float64`.
    F64,
}

/// bool < integers < floats: the category decides between a tensor and a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    Bool,
    Integer,
    Float,
}

impl DType {
    /// All types, in ascending order of promotion but for the pairs that have no order.
    pub const ALL: [DType; 10] = {
        use DType::*;
        [Bool, U8, I8, I16, I32, I64, F16, BF16, F32, F64]
    };

    /// The default type of floating point results: `float32`.
    pub const DEFAULT: DType = DType::F32;

    /// Whether this is one of the floating point types.
    #[inline]
    pub fn is_float(self) -> bool {
        self >= DType::F16
    }

    /// Whether this is an integer type (`bool` is not).
    #[inline]
    pub fn is_integer(self) -> bool {
        matches!(self, DType::U8 | DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }

    /// `float16` and `bfloat16`, which are computed with in `float32`.
    #[inline]
    pub fn is_half(self) -> bool {
        matches!(self, DType::F16 | DType::BF16)
    }

    /// Bytes per element.
    pub fn size_in_bytes(self) -> usize {
        match self {
            DType::Bool | DType::U8 | DType::I8 => 1,
            DType::I16 | DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 | DType::F64 => 8,
        }
    }

    /// PyTorch's name, without the `torch.` prefix.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "uint8",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }

    /// The type of this PyTorch name (`"float32"`, `"long"` and other aliases included).
    pub fn from_name(name: &str) -> Option<DType> {
        Some(match name.strip_prefix("torch.").unwrap_or(name) {
            "bool" => DType::Bool,
            "uint8" | "byte" => DType::U8,
            "int8" | "char" => DType::I8,
            "int16" | "short" => DType::I16,
            "int32" | "int" => DType::I32,
            "int64" | "long" => DType::I64,
            "float16" | "half" => DType::F16,
            "bfloat16" => DType::BF16,
            "float32" | "float" => DType::F32,
            "float64" | "double" => DType::F64,
            _ => return None,
        })
    }

    pub(crate) fn category(self) -> Category {
        match self {
            DType::Bool => Category::Bool,
            dtype if dtype.is_float() => Category::Float,
            _ => Category::Integer,
        }
    }

    /// This type if it is a floating point type, else the default one: what `exp` or true division return.
    pub fn to_float(self) -> DType {
        if self.is_float() { self } else { DType::DEFAULT }
    }

    /// Whether values of this type may be cast to `to` by an in-place operation (`torch.can_cast`): never from a
    /// higher category to a lower one.
    pub fn can_cast(self, to: DType) -> bool {
        self.category() <= to.category()
    }
}

/// PyTorch's name too: lists of types stand in messages.
impl std::fmt::Debug for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The smallest type that holds values of both (`torch.promote_types`).
pub fn promote(a: DType, b: DType) -> DType {
    use DType::*;
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    match (low, high) {
        (U8, I8) => I16,
        (F16, BF16) => F32,
        _ => high,
    }
}

/// The type of a result computed from these operands (`torch.result_type`): tensors with dimensions outrank 0-d tensors,
/// which outrank numbers, unless the lower rank is of a higher category.
pub fn result_type<'a>(tensors: impl IntoIterator<Item = &'a Tensor>, scalars: &[Scalar]) -> DType {
    let (mut with_dims, mut zero_dim, mut number) = (None, None, None);
    let join = |slot: &mut Option<DType>, dtype| *slot = Some(slot.map_or(dtype, |d| promote(d, dtype)));
    for tensor in tensors {
        join(
            if tensor.rank() > 0 {
                &mut with_dims
            } else {
                &mut zero_dim
            },
            tensor.dtype(),
        );
    }
    for scalar in scalars {
        join(&mut number, scalar.default_dtype());
    }
    let outrank = |high: Option<DType>, low: Option<DType>| match (high, low) {
        (Some(h), Some(l)) if l.category() > h.category() => Some(l),
        (high, low) => high.or(low),
    };
    outrank(outrank(with_dims, zero_dim), number).unwrap_or(DType::DEFAULT)
}

/// A Rust type whose values a tensor can hold.
pub trait Element: Copy + Send + Sync + std::fmt::Debug + PartialEq + 'static {
    /// The tensor type.
    const DTYPE: DType;
    /// How a value lies in memory.
    type Stored: Pod + crate::buffer::Stored;
    /// To its stored form.
    fn store(self) -> Self::Stored;
    /// From its stored form.
    fn load(stored: Self::Stored) -> Self;
}

macro_rules! element {
    ($($t:ty = $dtype:ident),*) => { $(
        impl Element for $t {
            const DTYPE: DType = DType::$dtype;
            type Stored = $t;
            #[inline(always)]
            fn store(self) -> $t {
                self
            }
            #[inline(always)]
            fn load(stored: $t) -> $t {
                stored
            }
        }
    )* };
}
element!(
    u8 = U8,
    i8 = I8,
    i16 = I16,
    i32 = I32,
    i64 = I64,
    f16 = F16,
    bf16 = BF16,
    f32 = F32,
    f64 = F64
);

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    type Stored = u8;
    #[inline(always)]
    fn store(self) -> u8 {
        self as u8
    }
    #[inline(always)]
    fn load(stored: u8) -> bool {
        stored != 0
    }
}
