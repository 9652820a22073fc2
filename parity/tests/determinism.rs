//! The same seed gives the same bits, whatever the number of threads and whether or not memory is recycled.

use std::collections::BTreeMap;

use flambeau_autograd::Backward;
use flambeau_parity::args::{Arg, Args};
use flambeau_parity::registry;
use flambeau_tensor::{DType, Result, Tensor, mem, pool, random};

/// Calls a function by torch's name; the first result.
fn call(name: &str, positional: Vec<Arg>) -> Result<Tensor> {
    let output = registry::call(name, Args::new(name, positional, BTreeMap::new()))?;
    match output.values.into_iter().next() {
        Some(Arg::Tensor(tensor)) => Ok(tensor),
        other => panic!("{name} returned {other:?}"),
    }
}

fn arg(tensor: &Tensor) -> Arg {
    Arg::Tensor(tensor.clone())
}

/// The elements' bits.
fn bits(tensor: &Tensor) -> Result<Vec<u64>> {
    Ok(tensor.to_vec_f64()?.into_iter().map(f64::to_bits).collect())
}

/// Random numbers, products, convolutions, reductions, index operations and a backward pass; the bits of all results.
fn program() -> Result<Vec<(&'static str, Vec<u64>)>> {
    random::manual_seed(7);
    let randn = |shape: &[usize]| Tensor::randn(shape, DType::F32);
    let mut seen = Vec::new();

    let long = randn(&[1_000_000])?.requires_grad(true)?;
    let mut loss = Tensor::scalar(0.0f32);
    for (name, rest) in [
        ("sum", vec![]),
        ("mean", vec![]),
        ("var", vec![]),
        ("logsumexp", vec![Arg::Int(0)]),
        ("cumsum", vec![Arg::Int(0)]),
        ("softmax", vec![Arg::Int(0)]),
    ] {
        let result = call(name, [vec![arg(&long)], rest].concat())?;
        seen.push((name, bits(&result)?));
        loss = loss.add(&result.sum()?)?;
    }

    let x = randn(&[1000, 64])?.requires_grad(true)?;
    let weight = randn(&[64, 48])?.requires_grad(true)?;
    let hidden = call("softmax", vec![arg(&x.matmul(&weight)?), Arg::Int(-1)])?;
    let targets = Tensor::randint(0, 100, 1000)?;
    let table = Tensor::zeros((100, 48), DType::F32)?;
    let added = call(
        "index_add",
        vec![arg(&table), Arg::Int(0), arg(&targets), arg(&hidden)],
    )?;
    let index = targets.unsqueeze(1)?.expand((1000, 48))?;
    let scattered = call(
        "scatter_add",
        vec![arg(&table), Arg::Int(0), arg(&index), arg(&hidden)],
    )?;
    let sorted = call("sort", vec![arg(&hidden), Arg::Int(0)])?;
    let normed = call(
        "nn.functional.layer_norm",
        vec![arg(&hidden), Arg::List(vec![Arg::Int(48)])],
    )?;
    let dropped = hidden.mul(&Tensor::rand((1000, 48), DType::F32)?)?;

    let images = randn(&[4, 8, 20, 20])?.requires_grad(true)?;
    let kernels = randn(&[16, 8, 3, 3])?.requires_grad(true)?;
    let convolved = call("nn.functional.conv2d", vec![arg(&images), arg(&kernels)])?;
    let pooled = call("nn.functional.max_pool2d", vec![arg(&convolved), Arg::Int(2)])?;

    for (name, result) in [
        ("matmul and softmax", &hidden),
        ("index_add", &added),
        ("scatter_add", &scattered),
        ("sort", &sorted),
        ("layer_norm", &normed),
        ("random factors", &dropped),
        ("conv2d", &convolved),
        ("max_pool2d", &pooled),
    ] {
        seen.push((name, bits(result)?));
        loss = loss.add(&result.mul(result)?.sum()?)?;
    }
    loss.backward()?;
    for (name, leaf) in [
        ("gradient of long", &long),
        ("gradient of x", &x),
        ("gradient of weight", &weight),
        ("gradient of images", &images),
        ("gradient of kernels", &kernels),
    ] {
        seen.push((name, bits(&leaf.grad().expect("all leaves are used"))?));
    }
    Ok(seen)
}

#[test]
fn neither_threads_nor_recycled_memory_change_a_bit() -> Result<()> {
    let (threads, limit) = (pool::num_threads(), mem::limit());
    pool::set_num_threads(1);
    let expected = program()?;
    for (threads, limit) in [(2, limit), (5, limit), (1, 0), (5, 0)] {
        pool::set_num_threads(threads);
        mem::set_limit(limit);
        for ((name, expected), (_, got)) in expected.iter().zip(program()?) {
            let differing = expected.iter().zip(&got).filter(|(e, g)| e != g).count();
            assert_eq!(
                differing,
                0,
                "{name}: {differing} of {} differ with {threads} threads, pool of {limit}",
                got.len()
            );
        }
    }
    pool::set_num_threads(threads);
    mem::set_limit(limit);
    Ok(())
}
