//! Wrong calls of methods of tensors.

use super::table::counting;
use flambeau_tensor::{DType, Tensor};

#[rustfmt::skip]
pub(crate) fn faults() -> Vec<(String, Option<String>)> {
    let (x, v, z) = (counting(&[2, 3], DType::F32), counting(&[4], DType::F32), counting(&[0], DType::F32));
    let i = counting(&[3], DType::I64);
    refused! {
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
        "reshape" x.reshape((usize::MAX, 2)) => "[9223372036854775807, 2]";
        "reshape" z.reshape((usize::MAX / 2, 0)) => "memory";
        "zeros" Tensor::zeros((0, usize::MAX, usize::MAX), DType::F32) => "memory";
        "zeros" Tensor::zeros(1usize << 40, DType::F32) => "[1099511627776]";
        "repeat" x.repeat(&[usize::MAX, 2]) => "memory";
        "repeat_interleave" x.repeat_interleave(usize::MAX, None) => "memory";
        "chunk" z.chunk(usize::MAX, 0) => "18446744073709551615";
        "tensor_split" v.tensor_split(usize::MAX, 0) => "18446744073709551615";
        "pad" v.pad(&[isize::MAX, isize::MAX], flambeau_tensor::ops::pad::PadMode::Constant, 0) => "[4]";
        "constant_pad_nd" v.constant_pad_nd(&[isize::MAX, isize::MAX], 0) => "[4]";
        "diagonal" x.diagonal(0, 0, isize::MIN) => "-9223372036854775808";
        "roll" x.roll(1, isize::MAX) => "9223372036854775807";
        "unfold" v.unfold(0, usize::MAX, 1) => "18446744073709551615";
        "as_strided" v.as_strided((2, 2), &[usize::MAX, usize::MAX], usize::MAX) => "[2, 2]", "[4]";
        "topk" v.topk(usize::MAX, 0, true, true) => "18446744073709551615", "4";
        "kthvalue" v.kthvalue(usize::MAX, 0, false) => "18446744073709551615";
        "bincount" i.bincount(None, usize::MAX) => "18446744073709551615";
        "histc" v.histc(usize::MAX, 0.0, 1.0) => "18446744073709551615";
        "one_hot" i.one_hot(Some(usize::MAX)) => "[3, 18446744073709551615]";
        "index" x.i((0, 3)) => "3";
        "index" x.i((.., .., 0)) => "[2, 3]";
        "set" x.set(2, 0.0) => "2";
        "set" x.set((.., 0), &v) => "[2]", "[4]";
        "copy_" x.copy_(&v) => "[2, 3]", "[4]";
        "where" Tensor::where_cond(&counting(&[2], DType::Bool), &x, &v) => "[2, 3]", "[4]";
    }
}
