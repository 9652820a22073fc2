//! Training leaves the process's memory flat.

use flambeau_autograd::{Backward, no_grad};
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Result, Tensor};

/// The resident set, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs is mounted");
    let pages: usize = statm
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("statm has numbers");
    pages * 4096
}

/// One step of gradient descent of a 4-16-2 perceptron.
fn step(params: &[Tensor], x: &Tensor, y: &Tensor) -> Result<()> {
    let hidden = x.matmul(&params[0])?.add(&params[1])?.tanh()?;
    let error = hidden.matmul(&params[2])?.add(&params[3])?.sub(y)?;
    error.mul(&error)?.sum()?.backward()?;
    no_grad(|| {
        params.iter().try_for_each(|p| match p.take_grad() {
            Some(grad) => p.sub_(&grad.mul(1e-3)?).map(|_| ()),
            None => Ok(()),
        })
    })
}

#[cfg(target_os = "linux")]
#[test]
fn twenty_thousand_training_steps_leave_the_resident_set_flat() -> Result<()> {
    let mut g = Generator::new(0);
    let shapes: [&[usize]; 4] = [&[4, 16], &[16], &[16, 2], &[2]];
    let params: Vec<Tensor> = shapes
        .iter()
        .map(|s| g.randn(*s, DType::F32)?.mul(0.3)?.requires_grad(true))
        .collect::<Result<_>>()?;
    let (x, y) = (g.randn((8, 4), DType::F32)?, g.randn((8, 2), DType::F32)?);
    for _ in 0..1000 {
        step(&params, &x, &y)?;
    }
    let before = resident();
    for _ in 0..19_000 {
        step(&params, &x, &y)?;
    }
    let grown = resident().abs_diff(before);
    assert!(grown <= 2 << 20, "the resident set changed by {grown} bytes");
    Ok(())
}
