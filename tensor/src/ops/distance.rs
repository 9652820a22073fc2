//! Distances between all pairs of rows: `cdist` and `pdist`.

use crate::amp::under_autocast;
use crate::{Result, Tensor, broadcast_shapes, ensure, is_grad_enabled};

/// From this many rows on, Euclidean distances are computed by a matrix product where no gradient is wanted.
const ROWS_FOR_PRODUCT: usize = 26;

impl Tensor {
    /// The `p`-norms of the differences of each row of this tensor and each of another (`torch.cdist`).
    ///
    /// # Shapes
    /// `[…, n, features]`, `[…, m, features]` → `[…, n, m]`.
    ///
    /// # Errors
    /// `Shape` if the numbers of features differ; `Broadcast` if the leading dimensions don't broadcast; `Value` for a
    /// negative `p`.
    pub fn cdist(&self, other: &Tensor, p: f64) -> Result<Tensor> {
        under_autocast!("cdist": a = self, other => a.cdist(other, p));
        let (a, b) = (self.shape(), other.shape());
        ensure!(
            a.len() >= 2 && b.len() >= 2 && a[a.len() - 1] == b[b.len() - 1],
            Shape,
            "cdist: expected [..., n, features] and [..., m, features], got {a:?} and {b:?}"
        );
        ensure!(p >= 0.0, Value, "cdist: p must not be negative, got {p}");
        let (rows, columns, features) = (a[a.len() - 2], b[b.len() - 2], a[a.len() - 1]);
        if features == 0 {
            let mut shape = broadcast_shapes("cdist", &[&a[..a.len() - 2], &b[..b.len() - 2]])?.to_vec();
            shape.extend([rows, columns]);
            return Tensor::zeros(shape, self.dtype());
        }
        let tracked = is_grad_enabled() && (self.is_tracked() || other.is_tracked());
        if p == 2.0 && !tracked && rows.max(columns) >= ROWS_FOR_PRODUCT {
            let squares = |x: &Tensor| x.square()?.sum_dim(-1, true);
            let sum = squares(self)?.add(&squares(other)?.transpose(-2, -1)?)?;
            let product = self.matmul(&other.transpose(-2, -1)?)?;
            return sum.sub(&product.mul(2.0)?)?.clamp_min(0.0)?.sqrt();
        }
        norm_of_differences(&self.unsqueeze(-2)?.sub(&other.unsqueeze(-3)?)?, p)
    }

    /// The `p`-norms of the differences of each row and each later one (`nn.functional.pdist`).
    ///
    /// # Shapes
    /// `[n, features]` → `[n·(n - 1)/2]`.
    ///
    /// # Errors
    /// `Shape` unless there are two dimensions; `Value` for a negative `p`.
    pub fn pdist(&self, p: f64) -> Result<Tensor> {
        ensure!(
            self.rank() == 2,
            Shape,
            "pdist: expected [n, features], got {:?}",
            self.shape()
        );
        ensure!(p >= 0.0, Value, "pdist: p must not be negative, got {p}");
        let n = self.shape()[0] as i64;
        let (first, second): (Vec<i64>, Vec<i64>) =
            (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).unzip();
        let pairs = first.len();
        if pairs == 0 || self.shape()[1] == 0 {
            return self.sum()?.mul(0.0)?.expand(pairs);
        }
        let row = |index| self.index_select(0, &Tensor::from_vec(index, pairs)?);
        norm_of_differences(&row(first)?.sub(&row(second)?)?, p)
    }
}

/// The norms of the last dimension. Rows of zeros are left out where gradients are wanted, so that not even the second
/// derivative is NaN there.
fn norm_of_differences(differences: &Tensor, p: f64) -> Result<Tensor> {
    if !differences.is_tracked() {
        return differences.vector_norm(p, -1, false);
    }
    let equal = differences.any_dim(-1, false)?.logical_not()?;
    differences
        .masked_fill(&equal.unsqueeze(-1)?, 1.0)?
        .vector_norm(p, -1, false)?
        .masked_fill(&equal, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_rows() {
        let x = Tensor::new([[0.0f64, 0.0], [3.0, 4.0], [0.0, 1.0]]).unwrap();
        assert_eq!(x.pdist(2.0).unwrap().to_vec::<f64>().unwrap()[..2], [5.0, 1.0]);
        assert_eq!(
            x.cdist(&x, 1.0).unwrap().to_vec::<f64>().unwrap()[..3],
            [0.0, 7.0, 1.0]
        );
        let many = Tensor::from_vec((0..60).map(|i| (i % 7) as f64).collect(), (30, 2)).unwrap();
        let direct = many
            .unsqueeze(1)
            .unwrap()
            .sub(&many)
            .unwrap()
            .vector_norm(2.0, -1, false)
            .unwrap();
        let close = many
            .cdist(&many, 2.0)
            .unwrap()
            .sub(&direct)
            .unwrap()
            .abs()
            .unwrap()
            .max()
            .unwrap();
        assert!(close.item::<f64>().unwrap() < 1e-6);
    }
}
