//! Random programs of elementwise, shape, reduction and product operations, each step compared with a plain scalar
//! interpreter.
//!
//! Every step takes tensors that earlier steps made, views among them. The interpreter computes its result from copies
//! of their elements; at the end all earlier tensors must still hold those, bit for bit, although operations in place
//! have written to views of them. Gradients of smooth programs are compared with central differences.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_autograd::Backward;
use flambeau_parity::args::{Arg, Args};
use flambeau_parity::registry;
use flambeau_tensor::{Result, Tensor};
use proptest::prelude::*;

/// Results with more elements, or greater ones, are left out of a program.
const MAX_NUMEL: usize = 256;
const MAX_ABS: f64 = 1e3;

/// An array as the interpreter has it.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Plain {
    fn of(tensor: &Tensor) -> Result<Plain> {
        Ok(Plain {
            shape: tensor.shape().to_vec(),
            data: tensor.to_vec()?,
        })
    }

    /// The element at an index that may be too long in front or have any value where the size is 1: broadcasting.
    fn at(&self, index: &[usize]) -> f64 {
        let index = &index[index.len() - self.shape.len()..];
        let place = self
            .shape
            .iter()
            .zip(index)
            .fold(0, |at, (&size, &i)| at * size + if size == 1 { 0 } else { i });
        self.data[place]
    }

    /// The array of this shape with the element `f(index)` at each index.
    fn build(shape: Vec<usize>, mut f: impl FnMut(&[usize]) -> f64) -> Plain {
        let data = (0..shape.iter().product())
            .map(|mut place: usize| {
                let mut index = vec![0; shape.len()];
                for (i, &size) in index.iter_mut().zip(&shape).rev() {
                    *i = place % size;
                    place /= size;
                }
                f(&index)
            })
            .collect();
        Plain { shape, data }
    }

    /// The elements along `dim` at an index whose entry there is ignored.
    fn along(&self, dim: usize, index: &[usize]) -> Vec<f64> {
        let mut index = index.to_vec();
        let mut element = |i| {
            index[dim] = i;
            self.at(&index)
        };
        (0..self.shape[dim]).map(&mut element).collect()
    }
}

fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (size(a, i), size(b, i)) {
            (1, n) | (n, 1) => Some(n),
            (n, m) => (n == m).then_some(n),
        })
        .collect()
}

/// What a step computes: its arguments after the first and the expected result; `None` if it does not fit the arrays.
type Planned = Option<(Vec<Arg>, Plain)>;

/// How the interpreter computes an operation.
#[derive(Clone, Copy)]
enum Kind {
    /// Of each element.
    Unary(fn(f64) -> f64),
    /// Of two broadcast arrays' elements.
    Binary(fn(f64, f64) -> f64),
    /// Of the elements along a dimension, which vanishes.
    Fold(fn(&[f64]) -> f64),
    /// Of the elements along a dimension, which stays.
    Scan(fn(&[f64]) -> Vec<f64>),
    /// Anything else: of the array and a number.
    Other(fn(&Plain, usize) -> Planned),
    /// Of two arrays.
    Pair(fn(&Plain, &Plain) -> Planned),
}

fn int(i: usize) -> Arg {
    Arg::Int(i as i64)
}

fn list(sizes: &[usize]) -> Arg {
    Arg::List(sizes.iter().copied().map(int).collect())
}

/// Splits a number into one below `n` and the rest.
fn digit(n: &mut usize, base: usize) -> usize {
    let digit = *n % base;
    *n /= base;
    digit
}

/// A dimension of the array, if it has any.
fn dim_of(x: &Plain, n: &mut usize) -> Option<usize> {
    (!x.shape.is_empty()).then(|| digit(n, x.shape.len()))
}

fn transpose(x: &Plain, mut n: usize) -> Planned {
    let (a, b) = (dim_of(x, &mut n)?, dim_of(x, &mut n)?);
    let mut shape = x.shape.clone();
    shape.swap(a, b);
    let out = Plain::build(shape, |index| {
        let mut index = index.to_vec();
        index.swap(a, b);
        x.at(&index)
    });
    Some((vec![int(a), int(b)], out))
}

fn flip(x: &Plain, mut n: usize) -> Planned {
    let dim = dim_of(x, &mut n)?;
    let out = Plain::build(x.shape.clone(), |index| {
        let mut index = index.to_vec();
        index[dim] = x.shape[dim] - 1 - index[dim];
        x.at(&index)
    });
    Some((vec![list(&[dim])], out))
}

fn roll(x: &Plain, mut n: usize) -> Planned {
    let dim = dim_of(x, &mut n)?;
    let (size, shift) = (x.shape[dim], digit(&mut n, 5));
    let out = Plain::build(x.shape.clone(), |index| {
        let mut index = index.to_vec();
        index[dim] = (index[dim] + size * 5 - shift) % size;
        x.at(&index)
    });
    Some((vec![int(shift), int(dim)], out))
}

fn narrow(x: &Plain, mut n: usize) -> Planned {
    let dim = dim_of(x, &mut n)?;
    let start = digit(&mut n, x.shape[dim]);
    let mut shape = x.shape.clone();
    shape[dim] = 1 + digit(&mut n, x.shape[dim] - start);
    let length = shape[dim];
    let out = Plain::build(shape, |index| {
        let mut index = index.to_vec();
        index[dim] += start;
        x.at(&index)
    });
    Some((vec![int(dim), int(start), int(length)], out))
}

fn select(x: &Plain, mut n: usize) -> Planned {
    let dim = dim_of(x, &mut n)?;
    let chosen = digit(&mut n, x.shape[dim]);
    let mut shape = x.shape.clone();
    shape.remove(dim);
    let out = Plain::build(shape, |index| {
        let mut index = index.to_vec();
        index.insert(dim, chosen);
        x.at(&index)
    });
    Some((vec![int(dim), int(chosen)], out))
}

fn unsqueeze(x: &Plain, mut n: usize) -> Planned {
    let dim = digit(&mut n, x.shape.len() + 1);
    let mut shape = x.shape.clone();
    shape.insert(dim, 1);
    let data = x.data.clone();
    (shape.len() <= 5).then_some((vec![int(dim)], Plain { shape, data }))
}

fn squeeze(x: &Plain, _: usize) -> Planned {
    let shape = x.shape.iter().copied().filter(|&size| size != 1).collect();
    let data = x.data.clone();
    Some((vec![], Plain { shape, data }))
}

fn reshape(x: &Plain, mut n: usize) -> Planned {
    let numel = x.data.len();
    let rows = (1..=numel)
        .filter(|rows| numel.is_multiple_of(*rows))
        .nth(digit(&mut n, 3))?;
    let shape = vec![rows, numel / rows];
    let data = x.data.clone();
    Some((vec![list(&shape)], Plain { shape, data }))
}

fn expand(x: &Plain, mut n: usize) -> Planned {
    let mut shape: Vec<usize> = x
        .shape
        .iter()
        .map(|&size| if size == 1 { 1 + digit(&mut n, 3) } else { size })
        .collect();
    shape.insert(0, 2);
    let out = Plain::build(shape.clone(), |index| x.at(index));
    (shape.len() <= 5).then_some((vec![list(&shape)], out))
}

fn tril(x: &Plain, _: usize) -> Planned {
    let rank = x.shape.len();
    let kept = |index: &[usize]| index[rank - 2] >= index[rank - 1];
    (rank >= 2).then(|| {
        let out = Plain::build(
            x.shape.clone(),
            |index| if kept(index) { x.at(index) } else { 0.0 },
        );
        (vec![], out)
    })
}

fn matmul(x: &Plain, y: &Plain) -> Planned {
    let (&[.., m, k], &[.., l, n]) = (&x.shape[..], &y.shape[..]) else {
        return None;
    };
    let mut shape = broadcast(&x.shape[..x.shape.len() - 2], &y.shape[..y.shape.len() - 2])?;
    shape.extend([m, n]);
    (k == l).then(|| {
        let out = Plain::build(shape, |index| {
            let (batch, place) = index.split_at(index.len() - 2);
            let term = |j| x.at(&[batch, &[place[0], j]].concat()) * y.at(&[batch, &[j, place[1]]].concat());
            (0..k).map(term).sum()
        });
        (vec![], out)
    })
}

fn stack(x: &Plain, y: &Plain) -> Planned {
    (x.shape == y.shape && x.shape.len() < 5).then(|| {
        let mut shape = x.shape.clone();
        shape.insert(0, 2);
        (
            vec![],
            Plain {
                shape,
                data: [&x.data[..], &y.data[..]].concat(),
            },
        )
    })
}

fn cat(x: &Plain, y: &Plain) -> Planned {
    let (&first, rest) = x.shape.split_first()?;
    let (&second, others) = y.shape.split_first()?;
    (rest == others).then(|| {
        let shape = [&[first + second], rest].concat();
        (
            vec![],
            Plain {
                shape,
                data: [&x.data[..], &y.data[..]].concat(),
            },
        )
    })
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let greatest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|v| (v - greatest).exp()).sum();
    x.iter().map(|v| (v - greatest).exp() / sum).collect()
}

fn running(x: &[f64], f: fn(f64, f64) -> f64) -> Vec<f64> {
    x.iter()
        .scan(None, |last, &v| {
            *last = Some(last.map_or(v, |l| f(l, v)));
            *last
        })
        .collect()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64]) -> f64 {
    let mean = mean(x);
    x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (x.len() as f64 - 1.0)
}

/// Operations that are smooth everywhere come first: gradients are taken through these.
const SMOOTH: usize = 33;

#[rustfmt::skip]
const OPS: &[(&str, Kind)] = &[
    ("sin", Kind::Unary(f64::sin)),
    ("cos", Kind::Unary(f64::cos)),
    ("tanh", Kind::Unary(f64::tanh)),
    ("sigmoid", Kind::Unary(|x| 1.0 / (1.0 + (-x).exp()))),
    ("exp", Kind::Unary(f64::exp)),
    ("expm1", Kind::Unary(f64::exp_m1)),
    ("neg", Kind::Unary(|x| -x)),
    ("square", Kind::Unary(|x| x * x)),
    ("atan", Kind::Unary(f64::atan)),
    ("asinh", Kind::Unary(f64::asinh)),
    ("nn.functional.silu", Kind::Unary(|x| x / (1.0 + (-x).exp()))),
    ("add", Kind::Binary(|x, y| x + y)),
    ("sub", Kind::Binary(|x, y| x - y)),
    ("mul", Kind::Binary(|x, y| x * y)),
    ("logaddexp", Kind::Binary(|x, y| x.max(y) + (-(x - y).abs()).exp().ln_1p())),
    ("sum", Kind::Fold(|x| x.iter().sum())),
    ("mean", Kind::Fold(mean)),
    ("logsumexp", Kind::Fold(|x| x.iter().map(|v| v.exp()).sum::<f64>().ln())),
    ("cumsum", Kind::Scan(|x| running(x, |a, b| a + b))),
    ("softmax", Kind::Scan(softmax)),
    ("log_softmax", Kind::Scan(|x| softmax(x).iter().map(|v| v.ln()).collect())),
    ("transpose", Kind::Other(transpose)),
    ("flip", Kind::Other(flip)),
    ("roll", Kind::Other(roll)),
    ("narrow", Kind::Other(narrow)),
    ("select", Kind::Other(select)),
    ("unsqueeze", Kind::Other(unsqueeze)),
    ("squeeze", Kind::Other(squeeze)),
    ("reshape", Kind::Other(reshape)),
    ("expand", Kind::Other(expand)),
    ("tril", Kind::Other(tril)),
    ("matmul", Kind::Pair(matmul)),
    ("stack", Kind::Pair(stack)),
    ("cat", Kind::Pair(cat)),
    ("abs", Kind::Unary(f64::abs)),
    ("sqrt", Kind::Unary(f64::sqrt)),
    ("log", Kind::Unary(f64::ln)),
    ("floor", Kind::Unary(f64::floor)),
    ("round", Kind::Unary(f64::round_ties_even)),
    ("relu", Kind::Unary(|x| x.max(0.0))),
    ("reciprocal", Kind::Unary(f64::recip)),
    ("div", Kind::Binary(|x, y| x / y)),
    ("maximum", Kind::Binary(f64::max)),
    ("minimum", Kind::Binary(f64::min)),
    ("fmod", Kind::Binary(|x, y| x % y)),
    ("hypot", Kind::Binary(f64::hypot)),
    ("amax", Kind::Fold(|x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
    ("amin", Kind::Fold(|x| x.iter().copied().fold(f64::INFINITY, f64::min))),
    ("prod", Kind::Fold(|x| x.iter().product())),
    ("var", Kind::Fold(variance)),
    ("cumprod", Kind::Scan(|x| running(x, |a, b| a * b))),
];

/// One step: operation, the places of two operands counted from the newest tensor, and a number.
type Step = (usize, usize, usize, usize);

/// What the interpreter expects of a step, and the arguments after the tensor.
fn plan(kind: Kind, x: &Plain, y: &Plain, mut n: usize) -> Planned {
    match kind {
        Kind::Unary(f) => {
            let data = x.data.iter().map(|&v| f(v)).collect();
            Some((
                vec![],
                Plain {
                    shape: x.shape.clone(),
                    data,
                },
            ))
        }
        Kind::Binary(f) => {
            let shape = broadcast(&x.shape, &y.shape)?;
            Some((vec![], Plain::build(shape, |index| f(x.at(index), y.at(index)))))
        }
        Kind::Fold(f) => {
            let dim = dim_of(x, &mut n)?;
            let mut shape = x.shape.clone();
            shape.remove(dim);
            let out = Plain::build(shape, |index| {
                let mut index = index.to_vec();
                index.insert(dim, 0);
                f(&x.along(dim, &index))
            });
            Some((vec![int(dim)], out))
        }
        Kind::Scan(f) => {
            let dim = dim_of(x, &mut n)?;
            let out = Plain::build(x.shape.clone(), |index| f(&x.along(dim, index))[index[dim]]);
            Some((vec![int(dim)], out))
        }
        Kind::Other(f) => f(x, n),
        Kind::Pair(f) => f(x, y),
    }
}

/// The result of the operation by the registry.
fn call(name: &str, kind: Kind, x: &Tensor, y: &Tensor, rest: Vec<Arg>) -> Result<Tensor> {
    let (x, y) = (Arg::Tensor(x.clone()), Arg::Tensor(y.clone()));
    let mut args = match (name, kind) {
        ("cat" | "stack", _) => vec![Arg::List(vec![x, y])],
        (_, Kind::Binary(_) | Kind::Pair(_)) => vec![x, y],
        _ => vec![x],
    };
    args.extend(rest);
    let output = registry::call(name, Args::new(name, args, BTreeMap::new()))?;
    match output.values.into_iter().next() {
        Some(Arg::Tensor(tensor)) => Ok(tensor),
        other => panic!("{name} returned {other:?}"),
    }
}

/// The operation of a step and its operands among `count` tensors.
fn decode(step: Step, ops: usize, count: usize) -> (&'static str, Kind, usize, usize, usize) {
    let (op, a, b, n) = step;
    let (name, kind) = OPS[op % ops];
    // Operands are mostly new ones, so that programs are deep.
    let place = |k: usize| count - 1 - k.trailing_zeros().min(count as u32 - 1) as usize;
    (name, kind, place(a | 1 << 20), place(b | 1 << 20), n)
}

fn inputs() -> Result<Vec<Tensor>> {
    let data = |n: usize, scale: f64| {
        (0..n)
            .map(|i| ((i * 7 + 3) % 11) as f64 * scale - 1.0)
            .collect::<Vec<f64>>()
    };
    Ok(vec![
        Tensor::from_vec(data(6, 0.2), (2, 3))?,
        Tensor::from_vec(data(12, 0.15), (3, 4))?,
        Tensor::from_vec(data(3, 0.3), (3, 1))?,
        Tensor::from_vec(data(8, 0.25), (2, 1, 4))?,
    ])
}

fn fits(plain: &Plain) -> bool {
    plain.data.len() <= MAX_NUMEL && plain.data.iter().all(|v| v.abs() <= MAX_ABS)
}

fn run_and_compare(program: &[Step]) -> Result<()> {
    let mut tensors = inputs()?;
    let mut plains = tensors.iter().map(Plain::of).collect::<Result<Vec<_>>>()?;
    for &step in program {
        let (name, kind, a, b, n) = decode(step, OPS.len(), tensors.len());
        let Some((rest, expected)) = plan(kind, &plains[a], &plains[b], n).filter(|(_, out)| fits(out))
        else {
            continue;
        };
        let result = call(name, kind, &tensors[a], &tensors[b], rest)?;
        let got = Plain::of(&result)?;
        assert_eq!(
            got.shape, expected.shape,
            "{name} of {:?} and {:?}",
            plains[a], plains[b]
        );
        for (&g, &e) in got.data.iter().zip(&expected.data) {
            assert!(
                (g - e).abs() <= 1e-8 * e.abs().max(1.0),
                "{name} of {:?} and {:?}: {got:?}",
                plains[a],
                plains[b]
            );
        }
        tensors.push(result);
        plains.push(got);
        if n % 4 == 0 {
            // A write to a view must not show in the tensor that it views.
            let view = tensors[a].unsqueeze(0)?;
            view.mul_(0.5)?;
            plains.push(Plain::of(&view)?);
            tensors.push(view);
        }
    }
    for (tensor, plain) in tensors.iter().zip(&plains) {
        assert_eq!(&Plain::of(tensor)?, plain, "changed after it was made");
    }
    Ok(())
}

/// The sum of all tensors that a program makes of the inputs, each kept small by `sin`.
fn loss(program: &[Step], inputs: &[Tensor]) -> Result<Tensor> {
    let mut tensors = inputs.to_vec();
    let mut total = Tensor::scalar(0.0f64);
    for &step in program {
        let (name, kind, a, b, n) = decode(step, SMOOTH, tensors.len());
        let (x, y) = (Plain::of(&tensors[a])?, Plain::of(&tensors[b])?);
        let Some((rest, _)) = plan(kind, &x, &y, n).filter(|(_, out)| out.data.len() <= MAX_NUMEL) else {
            continue;
        };
        let result = call(name, kind, &tensors[a], &tensors[b], rest)?.sin()?;
        total = total.add(&result.sum()?)?;
        tensors.push(result);
    }
    Ok(total)
}

fn compare_gradients(program: &[Step]) -> Result<()> {
    const H: f64 = 1e-5;
    let leaves = inputs()?
        .iter()
        .map(|t| t.requires_grad(true))
        .collect::<Result<Vec<_>>>()?;
    let total = loss(program, &leaves)?;
    if !total.is_tracked() {
        return Ok(());
    }
    total.backward()?;
    let plain = inputs()?;
    for (k, leaf) in leaves.iter().enumerate() {
        let values = plain[k].to_vec::<f64>()?;
        let gradient = match leaf.grad() {
            Some(gradient) => gradient.to_vec::<f64>()?,
            None => vec![0.0; values.len()],
        };
        let shifted = |i: usize, by: f64| -> Result<f64> {
            let mut values = values.clone();
            values[i] += by;
            let mut inputs = plain.clone();
            inputs[k] = Tensor::from_vec(values, plain[k].shape())?;
            loss(program, &inputs)?.item()
        };
        // The first and the last element of each input stand for all.
        for i in [0, values.len() - 1] {
            let expected = (shifted(i, H)? - shifted(i, -H)?) / (2.0 * H);
            let got = gradient[i];
            assert!(
                (got - expected).abs() <= 1e-4 * expected.abs().max(1.0),
                "input {k}[{i}]: {got}, not {expected}"
            );
        }
    }
    Ok(())
}

fn steps(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(
        (0..1000usize, 0..1usize << 16, 0..1usize << 16, 0..10_000usize),
        length,
    )
}

#[test]
fn every_operation_is_known() {
    let unknown: Vec<&str> = OPS
        .iter()
        .map(|op| op.0)
        .filter(|name| !registry::knows(name))
        .collect();
    assert!(unknown.is_empty(), "not in the registry: {unknown:?}");
    assert_eq!(OPS[SMOOTH].0, "cat", "the smooth operations end before");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_agree_with_the_interpreter(program in steps(10..31)) {
        run_and_compare(&program).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gradients_agree_with_central_differences(program in steps(4..9)) {
        compare_gradients(&program).unwrap();
    }
}
