//! Wrong calls: random tensors, dropout.

use super::table::counting;
use flambeau_tensor::ops::dropout::{dropout, feature_dropout};
use flambeau_tensor::{DType, Tensor};

#[rustfmt::skip]
pub(crate) fn faults() -> Vec<(String, Option<String>)> {
    let weights = |w: [f64; 3]| Tensor::new(w).unwrap();
    let (x, i) = (counting(&[3], DType::F32), counting(&[3], DType::I64));
    refused! {
        "rand" Tensor::rand(3, DType::I64) => "int64";
        "randn" Tensor::randn(3, DType::Bool) => "bool";
        "rand" Tensor::rand([1 << 40, 1 << 40], DType::F32) => "[1099511627776, 1099511627776]";
        "randint" Tensor::randint(5, 5, 3) => "5";
        "randint" Tensor::randint(0, 5, 1 << 40) => "[1099511627776]";
        "randperm" Tensor::randperm(usize::MAX) => "18446744073709551615";
        "bernoulli" weights([0.5, 1.5, 0.0]).bernoulli() => "1.5";
        "bernoulli" weights([0.5, f64::NAN, 0.0]).bernoulli() => "NaN";
        "bernoulli" i.bernoulli() => "int64";
        "bernoulli_" x.bernoulli_(2.0) => "2";
        "bernoulli_" x.bernoulli_(f64::NAN) => "NaN";
        "multinomial" weights([1.0, 0.0, 0.0]).multinomial(4, false) => "4", "3";
        "multinomial" weights([1.0, -1.0, 0.0]).multinomial(1, true) => "-1";
        "multinomial" weights([0.0, 0.0, 0.0]).multinomial(1, true) => "sum";
        "multinomial" weights([f64::NAN, 0.0, 0.0]).multinomial(1, true) => "NaN";
        "multinomial" counting(&[2, 2, 2], DType::F32).multinomial(1, true) => "[2, 2, 2]";
        "multinomial" weights([1.0, 1.0, 1.0]).multinomial(usize::MAX, true) => "18446744073709551615";
        "poisson" weights([1.0, -2.0, 0.0]).poisson() => "-2";
        "poisson" i.poisson() => "int64";
        "normal" Tensor::normal(&x, &counting(&[4], DType::F32)) => "[3]", "[4]";
        "normal_" x.normal_(0.0, -1.0) => "-1";
        "normal_" i.normal_(0.0, 1.0) => "int64";
        "uniform_" x.uniform_(2.0, 1.0) => "2", "1";
        "exponential_" x.exponential_(0.0) => "0";
        "cauchy_" x.cauchy_(0.0, 0.0) => "0";
        "geometric_" x.geometric_(1.0) => "1";
        "log_normal_" x.log_normal_(0.0, -2.0) => "-2";
        "dropout" dropout(&x, 1.5, true) => "1.5";
        "dropout" dropout(&i, 0.5, true) => "int64";
        "feature_dropout" feature_dropout(&x, 0.5, true, true) => "[3]";
    }
}
