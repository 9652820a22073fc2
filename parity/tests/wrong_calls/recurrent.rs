//! Wrong calls: recurrent layers, optimiser updates.

use super::table::counting;
use flambeau_tensor::ops::rnn::{RnnKind, RnnOptions, RnnParameters, rnn, rnn_layer};
use flambeau_tensor::optimizer::{Sgd, Step, step_all};
use flambeau_tensor::{DType, Result, Tensor};

fn f(shape: &[usize]) -> Tensor {
    counting(shape, DType::F32)
}

/// One step of gradient descent.
fn descend(param: &Tensor, grad: &Tensor, momentum: Option<&Tensor>) -> Result<()> {
    step_all::<f32, _, 1>(vec![Step {
        param,
        grad,
        state: [momentum],
        update: Sgd::default().update(true),
    }])
}

#[rustfmt::skip]
pub(crate) fn faults() -> Vec<(String, Option<String>)> {
    let (w_ih, w_hh, b) = (f(&[8, 3]), f(&[8, 2]), f(&[8]));
    let parameters = RnnParameters { w_ih: &w_ih, w_hh: &w_hh, b_ih: Some(&b), b_hh: Some(&b) };
    let (x, h, c) = (f(&[4, 3]), f(&[2, 2]), f(&[2, 2]));
    let lstm = |x: &Tensor, steps: &[usize], h: &Tensor, c: Option<&Tensor>| rnn_layer(RnnKind::Lstm, x, steps, h, c, &parameters, false);
    let options = RnnOptions::default();
    let (p, g) = (f(&[3]), f(&[3]));
    let tracked = f(&[3]).requires_grad(true).unwrap();
    // Names as in the messages: an optimiser's is the crate's for optimisers to add.
    refused! {
        "lstm" lstm(&x, &[2, 2], &h, None) => "cell";
        "gru" rnn_layer(RnnKind::Gru, &x, &[2, 2], &h, Some(&c), &parameters, false) => "cell";
        "lstm" lstm(&f(&[4, 5]), &[2, 2], &h, Some(&c)) => "[4, 3]", "[4, 5]";
        "lstm" lstm(&x, &[2, 2], &f(&[2, 3]), Some(&c)) => "[2, 2]", "[2, 3]";
        "lstm" lstm(&x, &[2, 2], &h, Some(&f(&[3, 2]))) => "[2, 2]", "[3, 2]";
        "lstm" lstm(&x, &[1, 3], &h, Some(&c)) => "[1, 3]";
        "lstm" lstm(&x, &[], &h, Some(&c)) => "[]";
        "lstm" lstm(&x, &[usize::MAX, usize::MAX], &h, Some(&c)) => "[4, 3]";
        "lstm" lstm(&counting(&[4, 3], DType::F64), &[2, 2], &h, Some(&c)) => "float32", "float64";
        "gru" rnn_layer(RnnKind::Gru, &x, &[2, 2], &h, None, &parameters, false) => "[6, 3]", "[8, 3]";
        "rnn" rnn(RnnKind::Lstm, &x, &h, Some(&c), &[parameters], &options) => "[4, 3]", "[2, 2]";
        "rnn" rnn(RnnKind::Lstm, &f(&[2, 2, 3]), &f(&[2, 2, 2]), Some(&f(&[2, 2, 2])), &[parameters], &options) => "[2, 2, 2]";
        "rnn" rnn(RnnKind::Lstm, &f(&[2, 2, 3]), &f(&[0, 2, 2]), Some(&f(&[0, 2, 2])), &[], &options) => "[0, 2, 2]";
        "optimiser step" descend(&p, &f(&[4]), None) => "[3]", "[4]";
        "optimiser step" descend(&p, &counting(&[3], DType::F64), None) => "float32", "float64";
        "optimiser step" descend(&p, &g, Some(&f(&[2]))) => "[3]", "[2]";
        "optimiser step" descend(&p, &g, Some(&p)) => "more than one place";
        "optimiser step" descend(&tracked, &g, None) => "recorded";
    }
}
