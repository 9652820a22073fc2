//! Wrong calls: each returns an error that names the function and what is wrong with its arguments; none panics and none
//! is accepted. The first table calls by torch's names, the second calls methods.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flambeau_parity::args::{Arg, Args};
use flambeau_parity::registry;
use flambeau_tensor::{DType, Result, Tensor};

/// What a table holds as an argument.
trait ToArg {
    fn to_arg(&self) -> Arg;
}

impl ToArg for Arg {
    fn to_arg(&self) -> Arg {
        self.clone()
    }
}

impl ToArg for i32 {
    fn to_arg(&self) -> Arg {
        Arg::Int((*self).into())
    }
}

impl ToArg for f64 {
    fn to_arg(&self) -> Arg {
        Arg::Float(*self)
    }
}

impl ToArg for bool {
    fn to_arg(&self) -> Arg {
        Arg::Bool(*self)
    }
}

impl ToArg for &str {
    fn to_arg(&self) -> Arg {
        Arg::Str(self.to_string())
    }
}

impl<T: ToArg, const N: usize> ToArg for [T; N] {
    fn to_arg(&self) -> Arg {
        Arg::List(self.iter().map(ToArg::to_arg).collect())
    }
}

/// 0, 1, 2, … in this shape.
fn counting(shape: &[usize], dtype: DType) -> Tensor {
    let data: Vec<f64> = (0..shape.iter().product()).map(|i: usize| i as f64).collect();
    Tensor::from_vec(data, shape).unwrap().to_dtype(dtype).unwrap()
}

/// A `float32` argument of this shape.
macro_rules! f {
    ($($size:literal),*) => { Arg::Tensor(counting(&[$($size),*], DType::F32)) };
}
/// An `int64` argument of this shape.
macro_rules! l {
    ($($size:literal),*) => { Arg::Tensor(counting(&[$($size),*], DType::I64)) };
}
/// A `bool` argument of this shape.
macro_rules! b {
    ($($size:literal),*) => { Arg::Tensor(counting(&[$($size),*], DType::Bool)) };
}
/// An `int64` argument with these elements.
macro_rules! ints {
    ($($x:literal),*) => { Arg::Tensor(Tensor::new([$($x as i64),*]).unwrap()) };
}

/// One call: name, positional and keyword arguments, and what its error must mention beside the name.
struct Call {
    name: &'static str,
    positional: Vec<Arg>,
    keywords: Vec<(&'static str, Arg)>,
    mentions: &'static [&'static str],
}

/// Lines `"name" [positional] keyword = value, … => mentions, …;`.
macro_rules! calls {
    ($($name:literal [$($arg:expr),*] $($key:ident = $value:expr),* => $($mention:literal),+;)*) => {
        vec![$(Call {
            name: $name,
            positional: vec![$($arg.to_arg()),*],
            keywords: vec![$((stringify!($key), $value.to_arg())),*],
            mentions: &[$($mention),+],
        }),*]
    };
}

#[rustfmt::skip]
fn elementwise() -> Vec<Call> {
    calls! {
        "add" [f![2, 3], f![4]] => "[2, 3]", "[4]";
        "add" [f![2, 3]] => "other";
        "add" [f![2, 3], "x"] => "other", "x";
        "add" [f![2], f![2]] beta = 2 => "beta";
        "sub" [f![2, 3], f![3, 2]] => "[2, 3]", "[3, 2]";
        "sub" [b![2], b![2]] => "bool";
        "mul" [f![5], f![2, 3]] => "[5]", "[2, 3]";
        "mul" [f![5]] => "other";
        "div" [f![5], f![2]] => "[5]", "[2]";
        "div" [f![5], f![5]] rounding_mode = "up" => "up";
        "pow" [f![2, 3], f![2]] => "[2, 3]", "[2]";
        "pow" [l![3], -1] => "-1";
        "atan2" [f![2], f![3]] => "[2]", "[3]";
        "hypot" [f![2], f![3]] => "[2]", "[3]";
        "hypot" [l![2], l![2]] => "int64";
        "fmod" [f![2], f![3]] => "[2]", "[3]";
        "remainder" [f![2], f![3]] => "[2]", "[3]";
        "maximum" [f![2], f![3]] => "[2]", "[3]";
        "minimum" [f![2, 1, 2], f![3]] => "[2, 1, 2]", "[3]";
        "eq" [f![2], f![3]] => "[2]", "[3]";
        "lt" [f![2], f![3]] => "[2]", "[3]";
        "where" [b![2], f![3], f![3]] => "[2]", "[3]";
        "where" [f![2], f![2], f![2]] => "float32";
        "lerp" [f![2], f![3], 0.5] => "[2]", "[3]";
        "addcmul" [f![2], f![3], f![3]] => "[2]", "[3]";
        "addcdiv" [f![2], f![3], f![3]] => "[2]", "[3]";
        "addcdiv" [l![2], l![2], l![2]] => "int64";
        "clamp" [f![2]] => "min", "max";
        "clamp" [f![2], f![3]] => "[2]", "[3]";
        "bitwise_and" [f![2], f![2]] => "float32";
        "bitwise_not" [f![2]] => "float32";
        "bitwise_left_shift" [f![2], 1] => "float32";
        "gcd" [f![2], f![2]] => "float32";
        "neg" [b![2]] => "bool";
        "exp" [] => "input";
        "exp" ["x"] => "input", "x";
        "sin" [f![2], 1] => "1";
        "sqrt" [f![2]] out = 1 => "out";
        "round" [l![2]] decimals = 1 => "int64";
        "logit" [f![2], "x"] => "eps", "x";
        "polygamma" [-1, f![2]] => "-1";
        "mvlgamma" [f![2], 0] => "0";
        "nn.functional.softplus" [f![2]] beta = "x" => "beta";
        "nn.functional.gelu" [f![2]] approximate = "erf" => "erf";
        "nn.functional.glu" [f![3]] => "3";
        "nn.functional.glu" [f![2, 4], 2] => "2";
        "nn.functional.prelu" [f![2, 3], f![2]] => "[2]";
        "nn.functional.hardtanh" [f![2], 1.0, -1.0] => "1", "-1";
        "nn.functional.threshold" [f![2]] => "threshold";
        "nn.functional.rrelu" [f![2], 2.0, 1.0] => "2", "1";
    }
}

#[rustfmt::skip]
fn shapes_and_indices() -> Vec<Call> {
    calls! {
        "reshape" [f![2, 3], [4, 2]] => "[2, 3]", "[4, 2]";
        "reshape" [f![2, 3], [-1, 4]] => "[-1, 4]", "6";
        "reshape" [f![2, 3], [-1, -1]] => "-1";
        "reshape" [f![2, 3], [-2, 3]] => "-2";
        "reshape" [f![0, 3], [-1, 0]] => "[0, 3]";
        "view" [f![2, 3], 7] => "[2, 3]", "7";
        "permute" [f![2, 3], [0, 2]] => "2";
        "permute" [f![2, 3], [0, 0]] => "[0, 0]";
        "permute" [f![2, 3], [0]] => "[0]";
        "transpose" [f![2, 3], 0, 2] => "2";
        "transpose" [f![2, 3], -3, 0] => "-3";
        "t" [f![2, 3, 4]] => "[2, 3, 4]";
        "movedim" [f![2, 3], [0, 1], [0]] => "2 dimensions";
        "movedim" [f![2, 3], 0, 5] => "5";
        "expand" [f![2, 3], [4, 3]] => "[2, 3]", "[4, 3]";
        "expand" [f![2, 3], [3]] => "[2, 3]", "[3]";
        "broadcast_to" [f![2, 3], [2, 4]] => "[2, 3]", "[2, 4]";
        "broadcast_shapes" [[2, 3], [4]] => "[2, 3]", "[4]";
        "broadcast_tensors" [f![2, 3], f![4]] => "[2, 3]", "[4]";
        "repeat" [f![2, 3], [2]] => "1 repeats", "[2, 3]";
        "repeat" [f![2], [-1]] => "-1";
        "repeat_interleave" [f![2], -1] => "-1";
        "repeat_interleave" [f![3], ints![1, 2]] => "3", "2";
        "tile" [f![2], [-1]] => "-1";
        "unsqueeze" [f![2, 3], 3] => "3";
        "unsqueeze" [f![2, 3]] => "dim";
        "squeeze" [f![2, 1], 2] => "2";
        "flatten" [f![2, 3], 1, 0] => "1", "0";
        "flatten" [f![2, 3], 0, 2] => "2";
        "unflatten" [f![2, 3], 1, [2, 2]] => "3", "[2, 2]";
        "cat" [[f![2, 3], f![2, 4]]] => "[2, 3]", "[2, 4]";
        "cat" [[f![2, 3], f![2]]] => "[2, 3]", "[2]";
        "cat" [[f![2, 3], f![2, 3]], 2] => "2";
        "cat" [f![2, 3]] => "tensors";
        "cat" [Arg::List(vec![])] => "at least one";
        "stack" [[f![2], f![3]]] => "[2]", "[3]";
        "stack" [[f![2], f![2]], 2] => "2";
        "hstack" [[f![2, 3], f![3, 3]]] => "[2, 3]", "[3, 3]";
        "vstack" [[f![2, 3], f![2, 2]]] => "[2, 3]", "[2, 2]";
        "split" [f![5], [2, 2]] => "5", "[2, 2]";
        "split" [f![5], 0] => "0";
        "split" [f![5], -1] => "-1";
        "chunk" [f![5], 0] => "at least one";
        "tensor_split" [f![5], 0] => "at least one";
        "unbind" [f![2], 1] => "1";
        "narrow" [f![5], 0, 3, 3] => "3", "5";
        "narrow" [f![5], 0, 0, -1] => "-1";
        "select" [f![2, 3], 1, 3] => "3";
        "select" [f![2, 3], 2, 0] => "2";
        "slice" [f![5], 0, 0, 4, 0] => "0";
        "diagonal" [f![3]] => "1-d";
        "diagonal" [f![3, 3], 0, 1, 1] => "1";
        "diag" [f![2, 2, 2]] => "[2, 2, 2]";
        "tril" [f![3]] => "[3]";
        "triu" [f![3]] => "[3]";
        "flip" [f![2], [1]] => "1";
        "flip" [f![2, 2], [0, 0]] => "[0, 0]";
        "roll" [f![2, 2], [1, 1], [0]] => "2 shifts";
        "rot90" [f![2, 2], 1, [0, 0]] => "0";
        "unfold" [f![5], 0, 6, 1] => "6", "5";
        "unfold" [f![5], 0, 2, 0] => "step";
        "as_strided" [f![4], [3, 3], [2, 1]] => "[3, 3]", "[2, 1]";
        "meshgrid" [f![2, 2], f![2]] => "[2, 2]";
        "gather" [f![2, 3], 1, l![3, 3]] => "[2, 3]", "[3, 3]";
        "gather" [f![2, 3], 1, ints![5, 5]] => "[2, 3]", "[2]";
        "gather" [f![3], 0, ints![3]] => "3";
        "gather" [f![3], 0, f![3]] => "float32";
        "take_along_dim" [f![2, 3], f![2, 3], 1] => "float32";
        "take" [f![2, 3], ints![6]] => "6";
        "index_select" [f![2, 3], 0, ints![2]] => "2";
        "index_select" [f![2, 3], 0, l![1, 1]] => "[1, 1]";
        "index_select" [f![2, 3], 0, f![1]] => "float32";
        "scatter" [f![3], 0, ints![3], 1.0] => "3";
        "scatter" [f![3, 1], 0, ints![0, 0], f![2]] => "[3, 1]", "[2]";
        "scatter" [f![3], 0, ints![0, 0], f![1]] => "[2]", "[1]";
        "scatter_add" [f![3], 0, ints![7], f![1]] => "7";
        "scatter_reduce" [f![3], 0, ints![0], f![1], "median"] => "median";
        "index_add" [f![3], 0, ints![0, 1], f![3]] => "2", "3";
        "index_add" [f![3], 0, ints![5], f![1]] => "5";
        "index_copy" [f![3], 0, ints![5], f![1]] => "5";
        "index_fill" [f![3], 0, ints![-4], 1.0] => "-4";
        "index_put" [f![3], [ints![9]], f![1]] => "9";
        "masked_fill" [f![3], b![2], 0.0] => "[3]", "[2]";
        "masked_fill" [f![3], f![3], 0.0] => "float32";
        "masked_select" [f![3], b![2]] => "[3]", "[2]";
        "masked_scatter" [f![3], b![3], f![1]] => "2", "1";
        "__getitem__" [f![3], 3] => "3";
        "__getitem__" [f![3], Arg::Tuple(vec![Arg::Int(0), Arg::Int(0)])] => "[3]";
        "__getitem__" [f![3], ints![0, 5]] => "5";
        "__getitem__" [f![3], b![4]] => "[3]", "[4]";
        "nn.functional.pad" [f![3], [-2, -2]] => "[3]";
        "nn.functional.pad" [f![1, 3], [3, 3]] mode = "reflect" => "3";
        "nn.functional.pad" [f![1, 3], [1, 1]] mode = "mirror" => "mirror";
        "nn.functional.one_hot" [ints![0, 5], 5] => "5";
        "nn.functional.one_hot" [ints![-1]] => "-1";
        "tril_indices" [-1, 3] => "-1";
        "block_diag" [f![2, 2, 2]] => "[2, 2, 2]";
    }
}

#[rustfmt::skip]
fn reductions_and_sorting() -> Vec<Call> {
    calls! {
        "sum" [f![2, 3], 2] => "2";
        "sum" [f![2, 3], [0, 0]] => "[0, 0]";
        "sum" [f![2, 3]] keepdims = true, axes = 0 => "axes";
        "mean" [f![2, 3], -3] => "-3";
        "mean" [l![2, 3]] => "int64";
        "prod" [f![2, 3], 2] => "2";
        "var" [f![2, 3], 5] => "5";
        "std" [l![2, 3]] => "int64";
        "amax" [f![0]] => "[0]";
        "amax" [f![2, 3], 2] => "2";
        "amin" [f![2, 0], 1] => "[2, 0]";
        "aminmax" [f![0]] => "[0]";
        "argmax" [f![0]] => "[0]";
        "argmin" [f![2, 3], 2] => "2";
        "max" [f![0]] => "[0]";
        "max" [f![2, 3], 4] => "4";
        "min" [f![2, 3], -4] => "-4";
        "median" [f![2, 3], 2] => "2";
        "mode" [f![2, 3], 2] => "2";
        "kthvalue" [f![3], 4] => "4";
        "kthvalue" [f![3], 0] => "0";
        "topk" [f![3], 4] => "4", "3";
        "topk" [f![3], -1] => "-1";
        "sort" [f![3], 1] => "1";
        "argsort" [f![3], 1] => "1";
        "unique" [f![3]] dim = 1 => "1";
        "quantile" [f![3], 1.5] => "between 0 and 1";
        "quantile" [l![3], 0.5] => "int64";
        "quantile" [f![3], 0.5] interpolation = "cubic" => "cubic";
        "cumsum" [f![3], 1] => "1";
        "cumsum" [f![3]] => "dim";
        "cumprod" [f![3], -2] => "-2";
        "cummax" [f![3], 1] => "1";
        "logcumsumexp" [f![3], 1] => "1";
        "logsumexp" [f![3], 1] => "1";
        "softmax" [f![3], 1] => "1";
        "log_softmax" [f![3], 1] => "1";
        "all" [f![3], 1] => "1";
        "any" [f![3], 1] => "1";
        "norm" [f![3], 2, 1] => "1";
        "diff" [f![3], -1] => "-1";
        "bincount" [ints![-1, 2]] => "-1";
        "bincount" [f![2]] => "float32";
        "histc" [f![3]] bins = 0 => "bins";
        "searchsorted" [f![2, 3], f![3, 3]] => "[2, 3]", "[3, 3]";
        "bucketize" [f![3], f![2, 2]] => "[2, 2]";
        "renorm" [f![3, 2], 2.0, 3, 1.0] => "3";
        "trapezoid" [f![3], f![4]] => "4 points", "3";
    }
}

#[rustfmt::skip]
fn products_and_linalg() -> Vec<Call> {
    calls! {
        "matmul" [f![2, 3], f![4, 5]] => "[2, 3]", "[4, 5]";
        "matmul" [f![2, 3], f![2]] => "[2, 3]", "[2]";
        "matmul" [f![2, 3, 4], f![3, 4, 5]] => "[2, 3, 4]", "[3, 4, 5]";
        "matmul" [f![], f![2]] => "[]";
        "matmul" [f![2, 3]] => "other";
        "matmul" [f![2, 2], l![2, 2]] => "float32", "int64";
        "mm" [f![2, 3], f![2, 3]] => "[2, 3]";
        "mm" [f![2, 3, 4], f![4, 2]] => "[2, 3, 4]";
        "bmm" [f![2, 3], f![3, 2]] => "[2, 3]";
        "bmm" [f![2, 3, 4], f![3, 4, 5]] => "[2, 3, 4]", "[3, 4, 5]";
        "mv" [f![2, 3], f![2]] => "[2, 3]", "[2]";
        "mv" [f![2, 3], f![3, 1]] => "[3, 1]";
        "dot" [f![2], f![3]] => "[2]", "[3]";
        "dot" [f![2, 2], f![2, 2]] => "[2, 2]";
        "vdot" [f![2], f![3]] => "[2]", "[3]";
        "outer" [f![2, 2], f![2]] => "[2, 2]";
        "inner" [f![2, 3], f![2, 4]] => "[2, 3]", "[2, 4]";
        "cross" [f![2], f![2]] => "[2]";
        "tensordot" [f![2, 3], f![4, 5], 1] => "[2, 3]", "[4, 5]";
        "addmm" [f![2, 2], f![2, 3], f![4, 2]] => "[2, 3]", "[4, 2]";
        "addmm" [f![3, 3], f![2, 3], f![3, 2]] => "[3, 3]";
        "addmv" [f![2], f![2, 3], f![4]] => "[2, 3]", "[4]";
        "baddbmm" [f![1], f![2, 3, 4], f![3, 4, 5]] => "[2, 3, 4]", "[3, 4, 5]";
        "einsum" ["ij,jk->ik", [f![2, 3], f![4, 5]]] => "sizes 3 and 4";
        "einsum" ["ij->ijk", [f![2, 3]]] => "no operand has it";
        "einsum" ["ij,jk", [f![2, 3]]] => "1";
        "einsum" ["i?->i", [f![2, 3]]] => "?";
        "chain_matmul" [f![2, 3], f![4, 5]] => "[2, 3]", "[4, 5]";
        "linalg.multi_dot" [[f![2, 3]]] => "1";
        "linalg.inv" [f![2, 3]] => "[2, 3]";
        "linalg.det" [f![3]] => "[3]";
        "linalg.cholesky" [f![2, 3]] => "[2, 3]";
        "linalg.solve" [f![2, 2], f![3]] => "[2, 2]", "[3, 1]";
        "linalg.eigh" [f![2, 3]] => "[2, 3]";
        "linalg.svd" [f![3]] => "[3]";
        "linalg.qr" [f![2, 2]] mode = "full" => "full";
        "linalg.matrix_power" [f![2, 3], 2] => "[2, 3]";
        "linalg.norm" [f![2, 2]] ord = "fro2" => "fro2";
        "linalg.vector_norm" [f![2], 2, 1] => "1";
        "linalg.matrix_norm" [f![2]] => "1-d";
        "trace" [f![2]] => "[2]";
        "matrix_exp" [f![2, 3]] => "[2, 3]";
        "fft.fft" [f![3]] n = 0 => "0";
        "fft.fft" [f![3]] dim = 1 => "1";
        "fft.fft" [f![3]] norm = "unit" => "unit";
        "stft" [f![3], 8] => "8";
        "cdist" [f![2, 3], f![2, 4]] => "3", "4";
        "cdist" [f![2, 3], f![2, 3]] p = -1.0 => "-1";
        "cov" [f![2, 2, 2]] => "[2, 2, 2]";
    }
}

#[rustfmt::skip]
fn neural() -> Vec<Call> {
    calls! {
        "nn.functional.linear" [f![2, 3], f![4, 5]] => "[2, 3]", "[4, 5]";
        "nn.functional.linear" [f![2, 3], f![4, 3], f![5]] => "[5]";
        "nn.functional.bilinear" [f![2, 3], f![3, 4], f![5, 3, 4]] => "[2, 3]", "[3, 4]";
        "nn.functional.conv1d" [f![1, 3, 8], f![4, 2, 3]] => "3", "2";
        "nn.functional.conv2d" [f![1, 3, 8, 8], f![4, 2, 3, 3]] => "3", "2";
        "nn.functional.conv2d" [f![8, 8], f![4, 2, 3, 3]] => "[8, 8]";
        "nn.functional.conv2d" [f![1, 2, 2, 2], f![1, 2, 3, 3]] => "3", "2";
        "nn.functional.conv2d" [f![1, 2, 8, 8], f![3, 2, 3, 3]] stride = 0 => "0";
        "nn.functional.conv2d" [f![1, 2, 8, 8], f![3, 2, 3, 3]] dilation = 0 => "0";
        "nn.functional.conv2d" [f![1, 2, 8, 8], f![3, 2, 3, 3]] padding = -1 => "-1";
        "nn.functional.conv2d" [f![1, 2, 8, 8], f![3, 2, 3, 3]] padding = "all" => "all";
        "nn.functional.conv2d" [f![1, 2, 8, 8], f![3, 2, 3, 3]] padding = "same", stride = 2 => "2";
        "nn.functional.conv2d" [f![1, 2, 8, 8], f![3, 1, 3, 3]] groups = 2 => "3", "2";
        "nn.functional.conv2d" [f![1, 2, 8, 8], f![3, 2, 3, 3], f![2]] => "[2]";
        "nn.functional.conv2d" [f![1, 2, 8, 8], f![3, 2, 3, 3]] stride = [1, 1, 1] => "[1, 1, 1]";
        "nn.functional.conv3d" [f![1, 2, 4, 4, 4], f![3, 1, 3, 3, 3]] => "2", "1";
        "nn.functional.conv_transpose2d" [f![1, 3, 4, 4], f![2, 4, 3, 3]] => "3", "2";
        "nn.functional.conv_transpose2d" [f![1, 2, 4, 4], f![2, 4, 3, 3]] output_padding = 1 => "1";
        "nn.functional.max_pool1d" [f![1, 2, 3], 4] => "4", "3";
        "nn.functional.max_pool2d" [f![1, 2, 4, 4], 0] => "0";
        "nn.functional.max_pool2d" [f![1, 2, 4, 4], 2] padding = 2 => "2";
        "nn.functional.max_pool2d" [f![4, 4], 2] => "[4, 4]";
        "nn.functional.avg_pool2d" [f![1, 2, 4, 4], 5] => "5";
        "nn.functional.avg_pool2d" [f![1, 2, 4, 4], 2] divisor_override = 0 => "divisor";
        "nn.functional.adaptive_avg_pool2d" [f![1, 2, 4, 4], [-1, 2]] => "-1";
        "nn.functional.adaptive_max_pool1d" [f![3], 2] => "[3]";
        "nn.functional.batch_norm" [f![2, 3], f![2], f![2]] => "3", "2";
        "nn.functional.batch_norm" [f![1, 3]] training = true => "[1, 3]";
        "nn.functional.layer_norm" [f![2, 3], [4]] => "[2, 3]", "[4]";
        "nn.functional.layer_norm" [f![2, 3], [3], f![2]] => "[3]", "[2]";
        "nn.functional.group_norm" [f![2, 4, 3], 3] => "4", "3";
        "nn.functional.instance_norm" [f![2, 3, 1]] => "[2, 3, 1]";
        "nn.functional.embedding" [ints![0, 5], f![5, 2]] => "5";
        "nn.functional.embedding" [f![2], f![5, 2]] => "float32";
        "nn.functional.embedding" [ints![0], f![5]] => "[5]";
        "nn.functional.embedding_bag" [ints![0, 9], f![5, 2], ints![0]] => "9";
        "nn.functional.cross_entropy" [f![2, 3], ints![0, 3]] => "3";
        "nn.functional.cross_entropy" [f![2, 3], ints![0]] => "[2, 3]", "[1]";
        "nn.functional.cross_entropy" [f![2, 3], ints![0, 1]] reduction = "all" => "all";
        "nn.functional.nll_loss" [f![2, 3], ints![0, -1]] => "-1";
        "nn.functional.nll_loss" [f![2, 3], ints![0, 1, 2]] => "2", "3";
        "nn.functional.mse_loss" [f![2, 3], f![4]] => "[2, 3]", "[4]";
        "nn.functional.mse_loss" [f![2], f![2]] reduction = "avg" => "avg";
        "nn.functional.l1_loss" [f![2, 3], f![4]] => "[2, 3]", "[4]";
        "nn.functional.huber_loss" [f![2], f![2]] delta = -1.0 => "-1";
        "nn.functional.smooth_l1_loss" [f![2], f![2]] beta = -1.0 => "-1";
        "nn.functional.binary_cross_entropy" [f![2], f![3]] => "[2]", "[3]";
        "nn.functional.binary_cross_entropy_with_logits" [f![2], f![3]] => "[2]", "[3]";
        "nn.functional.kl_div" [f![2], f![3]] => "[2]", "[3]";
        "nn.functional.cosine_embedding_loss" [f![2, 3], f![2, 3], f![2, 3]] => "[2, 3]";
        "nn.functional.margin_ranking_loss" [f![2], f![3], f![2]] => "[2]", "[3]";
        "nn.functional.triplet_margin_loss" [f![2, 3], f![2, 4], f![2, 3]] => "[2, 3]", "[2, 4]";
        "nn.functional.multi_margin_loss" [f![2, 3], ints![0, 1]] p = 3 => "3";
        "nn.functional.interpolate" [f![1, 2, 4]] => "size", "scale_factor";
        "nn.functional.interpolate" [f![1, 2, 4]] size = 2, mode = "cubic" => "cubic";
        "nn.functional.interpolate" [f![1, 2, 4]] size = 2, mode = "bilinear" => "[1, 2, 4]";
        "nn.functional.interpolate" [f![1, 2, 4]] size = 0 => "0";
        "nn.functional.grid_sample" [f![1, 2, 4, 4], f![2, 3, 3, 2]] => "[1, 2, 4, 4]", "[2, 3, 3, 2]";
        "nn.functional.grid_sample" [f![1, 2, 4, 4], f![1, 3, 3, 3]] => "[1, 3, 3, 3]";
        "nn.functional.pixel_shuffle" [f![1, 3, 2, 2], 2] => "3", "2";
        "nn.functional.pixel_unshuffle" [f![1, 1, 3, 3], 2] => "3", "2";
        "nn.functional.unfold" [f![1, 2, 2, 2], 3] => "3";
        "nn.functional.fold" [f![1, 4, 3], [2, 2], 2] => "3";
        "nn.functional.cosine_similarity" [f![2, 3], f![2, 4]] => "[2, 3]", "[2, 4]";
        "nn.functional.scaled_dot_product_attention" [f![1, 2, 3, 4], f![1, 2, 3, 5], f![1, 2, 3, 5]] => "4", "5";
        "nn.functional.softmax" [f![3], 1] => "1";
        "nn.functional.channel_shuffle" [f![1, 3, 2, 2], 2] => "3", "2";
        "nn.functional.ctc_loss" [f![4, 1, 3], ints![5], ints![4], ints![1]] => "5";
    }
}

/// What is wrong with the outcome of a call, if anything.
fn fault(call: impl FnOnce() -> Result<()>, name: &str, mentions: &[&str]) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(call));
    let message = match outcome {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            return Some(format!("panicked: {}", text.unwrap_or_default()));
        }
        Ok(Ok(())) => return Some("was accepted".to_string()),
        Ok(Err(error)) => error.to_string(),
    };
    let short = name.rsplit('.').next().unwrap_or(name);
    let missing: Vec<&str> = [short]
        .into_iter()
        .chain(mentions.iter().copied())
        .filter(|m| !message.contains(m))
        .collect();
    (!missing.is_empty()).then(|| format!("does not mention {missing:?}: {message}"))
}

/// Fails with all faults at once.
fn check(faults: Vec<(String, Option<String>)>, at_least: usize) {
    assert!(faults.len() >= at_least, "only {} calls", faults.len());
    let listed: Vec<String> = faults
        .into_iter()
        .filter_map(|(call, fault)| Some(format!("{call} {}", fault?)))
        .collect();
    assert!(
        listed.is_empty(),
        "{} wrong calls are not refused well:\n{}",
        listed.len(),
        listed.join("\n")
    );
}

#[test]
fn calls_by_torch_s_names() {
    let tables = [
        elementwise(),
        shapes_and_indices(),
        reductions_and_sorting(),
        products_and_linalg(),
        neural(),
    ];
    let fault_of = |call: Call| {
        let keywords: BTreeMap<String, Arg> = call
            .keywords
            .into_iter()
            .map(|(key, value)| (key.to_string(), value))
            .collect();
        let args = Args::new(call.name, call.positional, keywords);
        let shown = format!("{args:?}");
        (
            shown,
            fault(
                || registry::call(call.name, args).map(drop),
                call.name,
                call.mentions,
            ),
        )
    };
    check(tables.into_iter().flatten().map(fault_of).collect(), 150);
}

/// Lines `"name" expression => mentions, …;` with tensors `x` [2, 3], `v` [4], `i` of int64 and `z` with no elements.
macro_rules! methods {
    (|$x:ident, $v:ident, $i:ident, $z:ident| $($name:literal $call:expr => $($mention:literal),+;)*) => {{
        let $x = counting(&[2, 3], DType::F32);
        let $v = counting(&[4], DType::F32);
        let $i = counting(&[3], DType::I64);
        let $z = counting(&[0], DType::F32);
        vec![$({
            let mentions: &[&str] = &[$($mention),+];
            (stringify!($call).to_string(), fault(|| $call.map(drop), $name, mentions))
        }),*]
    }};
}

#[test]
#[rustfmt::skip]
fn methods() {
    let faults = methods! { |x, v, i, z|
        "from_slice" Tensor::from_slice(&[1.0f32], [2, 2]) => "1", "[2, 2]";
        "zeros" Tensor::zeros([usize::MAX, 2], DType::F32) => "2]";
        "full" Tensor::full([usize::MAX / 2, 4], 1.0, DType::F64) => "4]";
        "tensor" Tensor::new(vec![vec![1.0f32], vec![1.0, 2.0]]) => "2", "1";
        "add" x.add(&v) => "[2, 3]", "[4]";
        "sub" x.sub(&v) => "[2, 3]", "[4]";
        "mul" x.mul(&v) => "[2, 3]", "[4]";
        "div" x.div(&v) => "[2, 3]", "[4]";
        "add_" v.add_(&x) => "[2, 3]", "[4]";
        "add_" i.add_(0.5) => "float32", "int64";
        "div_" i.div_(2) => "float32", "int64";
        "matmul" x.matmul(&v) => "[2, 3]", "[4]";
        "matmul" x.matmul(&x) => "[2, 3]";
        "reshape" x.reshape((4, 2)) => "[2, 3]", "[4, 2]";
        "reshape" x.reshape([-1, -1]) => "-1";
        "reshape" x.reshape([-1, 4]) => "[-1, 4]", "6";
        "permute" x.permute([0, 2]) => "2";
        "permute" x.permute([0]) => "[0]";
        "transpose" x.transpose(0, 2) => "2";
        "expand" x.expand((4, 3)) => "[2, 3]", "[4, 3]";
        "unsqueeze" x.unsqueeze(4) => "4";
        "squeeze" x.squeeze_dim(2) => "2";
        "slice" x.slice(0, None, None, 0) => "0";
        "slice" x.slice(2, None, None, 1) => "2";
        "narrow" x.narrow(1, 2, 2) => "2", "3";
        "narrow" x.narrow(1, -5, 1) => "-5";
        "narrow" x.narrow(1, 0, usize::MAX) => "3";
        "select" x.select(0, 2) => "2";
        "select" x.select(0, -3) => "-3";
        "select" z.select(0, 0) => "0";
        "cat" Tensor::cat(&[&x, &v], 0) => "[2, 3]", "[4]";
        "cat" Tensor::cat(&[] as &[&Tensor], 0) => "at least one";
        "sum" x.sum_dim(2, false) => "2";
        "sum" x.sum_dim([0, 0], false) => "[0, 0]";
        "sum_to_size" x.sum_to_size((4, 3)) => "[2, 3]", "[4, 3]";
        "size" x.size(2) => "2";
        "item" x.item::<f32>() => "[2, 3]";
        "item" Tensor::scalar(1.0f32).item::<i64>() => "float32", "int64";
        "to_vec" x.to_vec::<f64>() => "float32", "float64";
        "requires_grad" i.requires_grad(true) => "int64";
        "retain_grad" x.retain_grad() => "tracked";
        "set_grad" x.set_grad(Some(v.clone())) => "[4]", "[2, 3]";
        "set_grad" v.set_grad(Some(v.to_dtype(DType::F64).unwrap())) => "float64", "float32";
    };
    check(faults, 40);
}
