//! Random numbers as torchvision draws them, one at a time.

use flambeau_tensor::random::{Generator, with_default};
use flambeau_tensor::{Result, Tensor};

/// `torch.rand(1)`.
pub(super) fn rand() -> f32 {
    uniform_f32(0.0, 1.0)
}

fn uniform_f32(low: f64, high: f64) -> f32 {
    with_default(|g| {
        let mut x = [0f32];
        g.uniform(&mut x, low, high);
        x[0]
    })
}

/// `torch.empty(1).uniform_(low, high).item()`.
pub(super) fn uniform(low: f64, high: f64) -> f64 {
    uniform_f32(low, high).into()
}

/// `torch.rand(1) < p`.
pub(super) fn chance(p: f64) -> bool {
    rand() < p as f32
}

/// `torch.randint(low, high, (1,))`, for `low < high`.
pub(super) fn randint(low: usize, high: usize) -> usize {
    with_default(|g| {
        let mut x = [0i64];
        g.random_range(&mut x, low as i64, high.max(low + 1) as i64);
        x[0] as usize
    })
}

/// `torch.randperm(n)`.
pub(super) fn randperm(n: usize) -> Vec<usize> {
    with_default(|g| {
        let mut order = vec![0i64; n];
        g.permutation(&mut order);
        order.into_iter().map(|i| i as usize).collect()
    })
}

/// The first of a pair that is distributed by a symmetric Beta distribution.
pub(super) fn beta(alpha: f64) -> f64 {
    dirichlet(alpha, 2)[0].into()
}

/// Shares of `count` parts whose sum is 1.
pub(super) fn dirichlet(alpha: f64, count: usize) -> Vec<f32> {
    let mut shares = vec![0f32; count];
    let alpha = vec![alpha as f32; count];
    with_default(|g: &mut Generator| g.dirichlet(&mut shares, &alpha, count));
    shares
}

/// `torch.multinomial(weights, 1)`.
pub(super) fn choice(weights: &[f64]) -> Result<usize> {
    let total: f64 = weights.iter().sum();
    let weights: Vec<f32> = weights.iter().map(|w| (w / total) as f32).collect();
    let count = weights.len();
    let drawn = Tensor::from_vec(weights, count)?.multinomial(1, false)?;
    Ok(drawn.item::<i64>()? as usize)
}
