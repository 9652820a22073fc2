//! Wrong calls: reading and writing by index.

use super::table::{Call, ToArg, counting};
use flambeau_parity::args::Arg;
use flambeau_tensor::{DType, Tensor};

#[rustfmt::skip]
pub(crate) fn calls() -> Vec<Call> {
    calls! {
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
        "scatter" [f![3], 0, l![4], f![4]] => "index 3", "size 3";
        "scatter" [f![2, 3], 0, Arg::Tensor(Tensor::zeros((2, 3), DType::I64).unwrap()), f![1, 3]] => "[2, 3]", "[1, 3]";
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
        "nn.functional.one_hot" [ints![0, 5], 5] => "5";
        "nn.functional.one_hot" [ints![-1]] => "-1";
        "select_scatter" [f![2, 3], f![2], 0, 0] => "[3]", "[2]";
        "slice_scatter" [f![4], f![3], 0, 0, 2] => "[2]", "[3]";
        "diagonal_scatter" [f![3, 3], f![2]] => "[3]", "[2]";
        "index_reduce" [f![3], 0, ints![0], f![1], "sum"] => "sum";
        "index_reduce" [f![3], 0, ints![3], f![1], "prod"] => "3";
        "put" [f![3], ints![4], f![1]] => "4";
        "masked_scatter" [f![3], f![3], f![3]] => "float32";
        "nonzero_static" [f![3]] size = -1 => "-1";
        "unravel_index" [ints![6], [2, 3]] => "6";
        "argwhere" [] => "input";
        "take_along_dim" [f![2, 3], ints![0], 2] => "[2, 3]", "[1]";
        "nn.functional.one_hot" [f![2], 3] => "float32";
        "nn.functional.one_hot" [ints![0], 4611686018427387904i64] => "4611686018427387904";
    }
}
