//! Wrong calls: loss functions.

use super::table::{Call, ToArg, counting};
use flambeau_parity::args::Arg;
use flambeau_tensor::{DType, Tensor};

#[rustfmt::skip]
pub(crate) fn calls() -> Vec<Call> {
    calls! {
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
        "nn.functional.ctc_loss" [f![4, 1, 3], ints![5], ints![4], ints![1]] => "5";
        "nn.functional.cross_entropy" [f![], ints![0]] => "[]";
        "nn.functional.cross_entropy" [f![2, 3], f![2, 4]] => "[2, 3]", "[2, 4]";
        "nn.functional.cross_entropy" [f![2, 3], ints![0, 1], f![2]] => "[2]", "3";
        "nn.functional.cross_entropy" [f![2, 3], ints![0, 1]] label_smoothing = 1.5 => "1.5";
        "nn.functional.nll_loss" [f![], ints![0]] => "[]";
        "nn.functional.nll_loss" [f![2, 3], ints![0, 1], f![2]] => "[2]", "3";
        "nn.functional.nll_loss" [f![2, 3], f![2]] => "float32";
        "nn.functional.smooth_l1_loss" [f![2, 3], f![4]] => "[2, 3]", "[4]";
        "nn.functional.huber_loss" [f![2, 3], f![4]] => "[2, 3]", "[4]";
        "nn.functional.binary_cross_entropy" [f![3], f![3]] => "2";
        "nn.functional.binary_cross_entropy" [Arg::Tensor(Tensor::full(2, f64::NAN, DType::F32).unwrap()), f![2]] => "NaN";
        "nn.functional.binary_cross_entropy" [b![2], b![2]] => "bool";
        "nn.functional.binary_cross_entropy_with_logits" [f![2], f![2]] pos_weight = f![3] => "[2]", "[3]";
        "nn.functional.kl_div" [f![2], f![2]] reduction = "average" => "average";
        "nn.functional.gaussian_nll_loss" [f![2], f![2], f![3]] => "[2]", "[3]";
        "nn.functional.gaussian_nll_loss" [f![2], f![2], Arg::Tensor(Tensor::full(2, -1.0, DType::F32).unwrap())] => "-1";
        "nn.functional.poisson_nll_loss" [f![2], f![3]] => "[2]", "[3]";
        "nn.functional.hinge_embedding_loss" [f![2], f![3]] => "[2]", "[3]";
        "nn.functional.soft_margin_loss" [f![2], f![3]] => "[2]", "[3]";
        "nn.functional.triplet_margin_loss" [f![2, 3], f![2, 3], f![2, 3]] margin = -1.0 => "-1";
        "nn.functional.multi_margin_loss" [f![2, 3], ints![0, 3]] => "3";
        "nn.functional.multi_margin_loss" [f![2, 3], ints![0]] => "[2, 3]", "[1]";
        "nn.functional.multilabel_margin_loss" [f![2, 3], l![2, 4]] => "[2, 3]", "[2, 4]";
        "nn.functional.multilabel_margin_loss" [f![3], ints![0, 5, -1]] => "5";
        "nn.functional.multilabel_soft_margin_loss" [f![2, 3], f![2, 4]] => "[2, 3]", "[2, 4]";
        "nn.functional.cosine_embedding_loss" [f![2, 3], f![2, 4], f![2]] => "[2, 3]", "[2, 4]";
        "nn.functional.ctc_loss" [f![4, 2, 3], l![2, 2], ints![4], ints![1, 1]] => "1", "2";
        "nn.functional.ctc_loss" [f![4, 1, 3], ints![1], ints![5], ints![1]] => "5", "4";
        "nn.functional.ctc_loss" [f![4, 1, 3], ints![1], ints![4], ints![1]] blank = 3 => "3";
        "nn.functional.ctc_loss" [f![3], ints![1], ints![4], ints![1]] => "[3]";
        "nn.functional.linear_cross_entropy" [f![2, 3], f![5, 4], ints![0, 1]] => "[2, 3]", "[5, 4]";
    }
}
