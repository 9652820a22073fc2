//! Tests of recurrent sequences against plain loops and finite differences.

use super::*;
use crate::testing::{Lcg, assert_close, for_every_isa, same_bits_for_any_threads};

struct Case<T> {
    weights: [Vec<T>; 4],
    x: Vec<T>,
    h0: Vec<T>,
    c0: Vec<T>,
    /// Incoming gradients of out, h_n and c_n.
    grads: [Vec<T>; 3],
}

impl<T: Real> Case<T> {
    fn new(shape: &RnnShape<'_>, random: &mut Lcg) -> Self {
        let gates = shape.kind.gates() * shape.hidden;
        let (h, c) = (shape.state_len(false), shape.state_len(true));
        Case {
            weights: [gates * shape.input, gates * shape.hidden, gates, gates].map(|n| random.vec(n)),
            x: random.vec(shape.rows() * shape.input),
            h0: random.vec(h),
            c0: random.vec(c),
            grads: [shape.rows() * shape.hidden, h, c].map(|n| random.vec(n)),
        }
    }

    fn weights(&self, bias: bool) -> RnnWeights<'_, T> {
        let [w_ih, w_hh, b_ih, b_hh] = &self.weights;
        RnnWeights {
            w_ih,
            w_hh,
            b_ih: bias.then_some(b_ih),
            b_hh: bias.then_some(b_hh),
        }
    }

    /// out, h_n, c_n and reserve.
    fn forward(&self, shape: &RnnShape<'_>, bias: bool) -> [Vec<T>; 4] {
        let nan = T::from_f64(f64::NAN);
        let [mut out, mut h, mut c, mut reserve] = [
            self.grads[0].len(),
            self.h0.len(),
            self.c0.len(),
            shape.reserve_len(),
        ]
        .map(|n| vec![nan; n]);
        let weights = self.weights(bias);
        rnn_forward(
            shape,
            &weights,
            &self.x,
            &self.h0,
            &self.c0,
            &mut out,
            &mut h,
            &mut c,
            &mut reserve,
        );
        [out, h, c, reserve]
    }

    /// x, h0, c0, w_ih, w_hh, b_ih, b_hh.
    fn backward(&self, shape: &RnnShape<'_>, bias: bool) -> [Vec<T>; 7] {
        let [out, _, _, reserve] = self.forward(shape, bias);
        let nan = T::from_f64(f64::NAN);
        let [w_ih, w_hh, b_ih, b_hh] = &self.weights;
        let mut grads = [&self.x, &self.h0, &self.c0, w_ih, w_hh, b_ih, b_hh].map(|v| vec![nan; v.len()]);
        let [x, h0, c0, w_ih, w_hh, b_ih, b_hh] = &mut grads;
        let gradients = RnnGradients {
            x,
            h0,
            c0,
            w_ih,
            w_hh,
            b_ih: Some(b_ih),
            b_hh: Some(b_hh),
        };
        let [grad_out, grad_h, grad_c] = &self.grads;
        rnn_backward(
            shape,
            &self.weights(bias),
            &self.x,
            &self.h0,
            &self.c0,
            &out,
            &reserve,
            grad_out,
            grad_h,
            grad_c,
            gradients,
        );
        grads
    }

    /// out, h_n and c_n in f64, element by element.
    fn reference(&self, shape: &RnnShape<'_>, bias: bool) -> [Vec<f64>; 3] {
        let double = |v: &[T]| v.iter().map(|x| x.to_f64()).collect::<Vec<_>>();
        let [w_ih, w_hh, b_ih, b_hh] = [0, 1, 2, 3].map(|i| double(&self.weights[i]));
        let (x, mut h, mut c) = (double(&self.x), double(&self.h0), double(&self.c0));
        let (inputs, hidden) = (shape.input, shape.hidden);
        let mut out = vec![0.0; self.grads[0].len()];
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (start, count) in shape.order() {
            for row in 0..count {
                let part = |w: &[f64], v: &[f64], b: &[f64], gate: usize| {
                    let dot: f64 = v.iter().zip(&w[gate * v.len()..]).map(|(v, w)| v * w).sum();
                    dot + if bias { b[gate] } else { 0.0 }
                };
                let old = h[row * hidden..(row + 1) * hidden].to_vec();
                let input = &x[(start + row) * inputs..][..inputs];
                for j in 0..hidden {
                    let own = |gate: usize| part(&w_hh, &old, &b_hh, gate * hidden + j);
                    let from = |gate: usize| part(&w_ih, input, &b_ih, gate * hidden + j);
                    let gate = |gate: usize| from(gate) + own(gate);
                    let at = row * hidden + j;
                    h[at] = match shape.kind {
                        RnnKind::Lstm => {
                            c[at] = sigmoid(gate(1)) * c[at] + sigmoid(gate(0)) * gate(2).tanh();
                            sigmoid(gate(3)) * c[at].tanh()
                        }
                        RnnKind::Gru => {
                            let n = (from(2) + sigmoid(gate(0)) * own(2)).tanh();
                            let z = sigmoid(gate(1));
                            (1.0 - z) * n + z * old[j]
                        }
                        RnnKind::Tanh => gate(0).tanh(),
                        RnnKind::Relu => gate(0).max(0.0),
                    };
                    out[start * hidden + at] = h[at];
                }
            }
        }
        [out, h, c]
    }

    /// The sum of all results, weighted by the incoming gradients.
    fn loss(&self, shape: &RnnShape<'_>, bias: bool) -> f64 {
        let results = self.reference(shape, bias);
        let weighted =
            |(r, g): (&Vec<f64>, &Vec<T>)| -> f64 { r.iter().zip(g).map(|(r, g)| r * g.to_f64()).sum() };
        results.iter().zip(&self.grads).map(weighted).sum()
    }
}

const KINDS: [RnnKind; 4] = [RnnKind::Lstm, RnnKind::Gru, RnnKind::Tanh, RnnKind::Relu];
const STEPS: [&[usize]; 5] = [&[3, 3, 3], &[4, 3, 3, 1], &[1], &[], &[0, 0]];

#[test]
fn forward_matches_the_formulas() {
    for_every_isa(|| {
        let mut random = Lcg::new(21);
        for kind in KINDS {
            for steps in STEPS {
                for (input, hidden, reverse) in [(5, 7, false), (3, 20, true), (0, 4, false), (4, 0, true)] {
                    let shape = RnnShape {
                        kind,
                        input,
                        hidden,
                        steps,
                        reverse,
                    };
                    let (case, double) = (
                        Case::<f32>::new(&shape, &mut random),
                        Case::<f64>::new(&shape, &mut random),
                    );
                    for bias in [true, false] {
                        for (got, want) in case
                            .forward(&shape, bias)
                            .iter()
                            .zip(case.reference(&shape, bias))
                        {
                            assert_close(got, &want, 3e-5);
                        }
                        for (got, want) in double
                            .forward(&shape, bias)
                            .iter()
                            .zip(double.reference(&shape, bias))
                        {
                            assert_close(got, &want, 1e-13);
                        }
                    }
                }
            }
        }
    });
}

/// Checks `samples` elements of every gradient.
fn check_backward(shape: &RnnShape<'_>, random: &mut Lcg, samples: usize) {
    let mut case = Case::<f64>::new(shape, random);
    let grads = case.backward(shape, true);
    for (which, grads) in grads.iter().enumerate() {
        for i in (0..grads.len()).step_by(grads.len().div_ceil(samples).max(1)) {
            let mut at = |delta: f64| {
                let Case {
                    weights, x, h0, c0, ..
                } = &mut case;
                let [w_ih, w_hh, b_ih, b_hh] = weights;
                let values = [x, h0, c0, w_ih, w_hh, b_ih, b_hh];
                values.into_iter().nth(which).unwrap()[i] += delta;
                case.loss(shape, true)
            };
            // From +ε to −ε and back.
            let (up, down) = (at(1e-5), at(-2e-5));
            at(1e-5);
            assert_close(&grads[i..=i], &[(up - down) / 2e-5], 1e-7);
        }
    }
    assert_eq!(case.backward(shape, false)[0].len(), case.x.len());
}

#[test]
fn backward_matches_differences() {
    // The last of these is more rows than are worked on together.
    const MANY: [&[usize]; 1] = [&[260, 260, 259, 240, 240, 120]];
    let mut random = Lcg::new(22);
    for kind in KINDS {
        for steps in STEPS.into_iter().chain(MANY) {
            for (reverse, hidden) in [(false, 5), (true, 5), (false, 0)] {
                let shape = RnnShape {
                    kind,
                    input: 3,
                    hidden,
                    steps,
                    reverse,
                };
                check_backward(
                    &shape,
                    &mut random,
                    if shape.rows() < 100 { usize::MAX } else { 12 },
                );
            }
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let mut random = Lcg::new(23);
    // Sequences of nearly one length, and many that begin, or end, where few were.
    let steps: [&[usize]; 2] = [&[300, 300, 260, 250], &[90, 90, 3]];
    let cases = steps
        .into_iter()
        .flat_map(|steps| [(steps, false), (steps, true)]);
    for (kind, (steps, reverse)) in KINDS
        .into_iter()
        .flat_map(|kind| cases.clone().map(move |c| (kind, c)))
    {
        let shape = RnnShape {
            kind,
            input: 40,
            hidden: 70,
            steps,
            reverse,
        };
        let case = Case::<f32>::new(&shape, &mut random);
        same_bits_for_any_threads(|| {
            [
                case.forward(&shape, true).concat(),
                case.backward(&shape, true).concat(),
            ]
            .concat()
        });
    }
}
