//! Products written with `matmul` and elementwise multiplication: `dot`, `outer`, `addmm`, `tensordot`, `kron`, `cross`
//! and their kin.

use smallvec::SmallVec;

use crate::amp::under_autocast;
use crate::shape::{resolve_dim, resolve_dims};
use crate::{DType, Result, Scalar, Tensor, bail, broadcast_shapes, ensure};

/// Factors of `addmm` and its kin: `beta·input + alpha·product`.
#[derive(Clone, Copy, Debug)]
pub struct AddProduct {
    /// Factor of what is added; with 0 it is not read, so that its NaNs don't matter.
    pub beta: Scalar,
    /// Factor of the product.
    pub alpha: Scalar,
}

impl Default for AddProduct {
    fn default() -> Self {
        AddProduct {
            beta: Scalar::Int(1),
            alpha: Scalar::Int(1),
        }
    }
}

fn expect_rank(op: &str, name: &str, tensor: &Tensor, rank: usize) -> Result<()> {
    ensure!(
        tensor.rank() == rank,
        Shape,
        "{op}: expected {name} with {rank} dimensions, got {:?}",
        tensor.shape()
    );
    Ok(())
}

fn expect_same_dtype(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    ensure!(
        a.dtype() == b.dtype(),
        DType,
        "{op}: expected tensors of one type, got {} and {}",
        a.dtype(),
        b.dtype()
    );
    Ok(())
}

/// `tensor·factor` in the tensor's own type.
fn scaled(op: &str, tensor: &Tensor, factor: Scalar) -> Result<Tensor> {
    let dtype = tensor.dtype();
    if factor.to_f64() == 1.0 {
        return Ok(tensor.clone());
    }
    if dtype == DType::Bool {
        return tensor.mul(Scalar::Bool(factor.to_bool()));
    }
    if let (false, Scalar::Float(number)) = (dtype.is_float(), factor) {
        ensure!(
            op != "addr",
            DType,
            "{op}: for {dtype} tensors alpha and beta must be integers, got {number}"
        );
        // As PyTorch does, except with `addr`: the number is cut off.
        return tensor.mul(Scalar::Int(factor.to_i64()));
    }
    tensor.mul(factor)
}

impl Tensor {
    /// The product of two matrices (`torch.mm`), without broadcasting: `[n, k] · [k, m] → [n, m]`.
    ///
    /// # Errors
    /// `Shape` unless both are matrices that fit; `DType` if the types differ.
    pub fn mm(&self, mat2: &Tensor) -> Result<Tensor> {
        expect_rank("mm", "a matrix", self, 2)?;
        expect_rank("mm", "a matrix", mat2, 2)?;
        self.matmul(mat2).map_err(|error| error.context("mm"))
    }

    /// The products of two batches of matrices (`torch.bmm`): `[b, n, k] · [b, k, m] → [b, n, m]`.
    ///
    /// # Errors
    /// `Shape` unless both are batches of one size that fit; `DType` if the types differ.
    pub fn bmm(&self, mat2: &Tensor) -> Result<Tensor> {
        expect_rank("bmm", "a batch of matrices", self, 3)?;
        expect_rank("bmm", "a batch of matrices", mat2, 3)?;
        let (a, b) = (self.shape(), mat2.shape());
        ensure!(a[0] == b[0], Shape, "bmm: batches {a:?} and {b:?} differ in size");
        self.matmul(mat2).map_err(|error| error.context("bmm"))
    }

    /// The product of a matrix and a vector: `[n, k] · [k] → [n]`.
    ///
    /// # Errors
    /// `Shape` unless they fit; `DType` if the types differ.
    pub fn mv(&self, vector: &Tensor) -> Result<Tensor> {
        under_autocast!("mv": a = self, vector => a.mv(vector));
        expect_rank("mv", "a matrix", self, 2)?;
        expect_rank("mv", "a vector", vector, 1)?;
        self.matmul(vector).map_err(|error| error.context("mv"))
    }

    /// The inner product of two vectors: `[k] · [k] → []`.
    ///
    /// # Errors
    /// `Shape` unless both are vectors of one length; `DType` if the types differ.
    pub fn dot(&self, other: &Tensor) -> Result<Tensor> {
        self.product_of_vectors("dot", other)
    }

    fn product_of_vectors(&self, op: &str, other: &Tensor) -> Result<Tensor> {
        under_autocast!("dot": a = self, other => a.product_of_vectors(op, other));
        expect_rank(op, "a vector", self, 1)?;
        expect_rank(op, "a vector", other, 1)?;
        self.matmul(other).map_err(|error| error.context(op))
    }

    /// [`Tensor::dot`]; the two differ only for complex vectors.
    ///
    /// # Errors
    /// As [`Tensor::dot`].
    pub fn vdot(&self, other: &Tensor) -> Result<Tensor> {
        self.product_of_vectors("vdot", other)
    }

    /// Sums of products over the last dimensions: `[…a, k] · […b, k] → […a, …b]`. With a 0-d tensor it is the product.
    ///
    /// # Errors
    /// `Shape` if the last dimensions differ; `DType` if the types differ.
    pub fn inner(&self, other: &Tensor) -> Result<Tensor> {
        expect_same_dtype("inner", self, other)?;
        if self.rank() == 0 || other.rank() == 0 {
            return self.mul(other);
        }
        let (a, b) = (self.shape(), other.shape());
        ensure!(
            a.last() == b.last(),
            Shape,
            "inner: the last dimensions of {a:?} and {b:?} differ"
        );
        tensordot_dims("inner", self, other, &[a.len() - 1], &[b.len() - 1])
    }

    /// All products of two vectors' elements: `[n] × [m] → [n, m]` (`outer`, `ger`).
    ///
    /// # Errors
    /// `Shape` unless both are vectors.
    pub fn outer(&self, other: &Tensor) -> Result<Tensor> {
        expect_rank("outer", "a vector", self, 1)?;
        expect_rank("outer", "a vector", other, 1)?;
        self.unsqueeze(1)?.mul(&other.unsqueeze(0)?)
    }

    /// The sum of products along `dim` of two broadcast tensors (`torch.linalg.vecdot`).
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast; `Dim` if there is no such dimension.
    pub fn vecdot(&self, other: &Tensor, dim: isize) -> Result<Tensor> {
        under_autocast!("vecdot": a = self, other => a.vecdot(other, dim));
        expect_same_dtype("vecdot", self, other)?;
        let sum = self.mul(other)?.sum_dim(dim, false)?;
        sum.to_dtype(self.dtype())
    }

    /// `beta·self + alpha·(mat1·mat2)`.
    ///
    /// # Errors
    /// As [`Tensor::mm`]; `Broadcast` if this tensor does not broadcast to the product.
    pub fn addmm(&self, mat1: &Tensor, mat2: &Tensor, factors: AddProduct) -> Result<Tensor> {
        under_autocast!("addmm": input = self, mat1, mat2 => input.addmm(mat1, mat2, factors));
        self.in_full_width([mat1, mat2], |input, [mat1, mat2]| {
            let product = mat1.mm(mat2).map_err(|error| error.context("addmm"))?;
            input.add_product("addmm", &product, factors)
        })
    }

    /// `beta·self + alpha·(batch1·batch2)`, one product per batch element.
    ///
    /// # Errors
    /// As [`Tensor::bmm`]; `Broadcast` if this tensor does not broadcast to the product.
    pub fn baddbmm(&self, batch1: &Tensor, batch2: &Tensor, factors: AddProduct) -> Result<Tensor> {
        under_autocast!("baddbmm": input = self, batch1, batch2 => input.baddbmm(batch1, batch2, factors));
        self.in_full_width([batch1, batch2], |input, [batch1, batch2]| {
            let product = batch1.bmm(batch2).map_err(|error| error.context("baddbmm"))?;
            input.add_product("baddbmm", &product, factors)
        })
    }

    /// `beta·self + alpha·Σ(batch1·batch2)`, summed over the batch.
    ///
    /// # Errors
    /// As [`Tensor::bmm`]; `Broadcast` if this tensor does not broadcast to the product.
    pub fn addbmm(&self, batch1: &Tensor, batch2: &Tensor, factors: AddProduct) -> Result<Tensor> {
        under_autocast!("addbmm": input = self, batch1, batch2 => input.addbmm(batch1, batch2, factors));
        expect_rank("addbmm", "a batch of matrices", batch1, 3)?;
        expect_rank("addbmm", "a batch of matrices", batch2, 3)?;
        self.in_full_width([batch1, batch2], |input, [batch1, batch2]| {
            let product = tensordot_dims("addbmm", batch1, batch2, &[0, 2], &[0, 1])?;
            input.add_product("addbmm", &product, factors)
        })
    }

    /// `beta·self + alpha·(matrix·vector)`.
    ///
    /// # Errors
    /// As [`Tensor::mv`]; `Broadcast` if this tensor does not broadcast to the product.
    pub fn addmv(&self, matrix: &Tensor, vector: &Tensor, factors: AddProduct) -> Result<Tensor> {
        under_autocast!("addmv": input = self, matrix, vector => input.addmv(matrix, vector, factors));
        self.in_full_width([matrix, vector], |input, [matrix, vector]| {
            let product = matrix.mv(vector).map_err(|error| error.context("addmv"))?;
            input.add_product("addmv", &product, factors)
        })
    }

    /// `beta·self + alpha·(vec1 ⊗ vec2)`.
    ///
    /// # Errors
    /// As [`Tensor::outer`]; `Broadcast` if this tensor does not broadcast to the product.
    pub fn addr(&self, vec1: &Tensor, vec2: &Tensor, factors: AddProduct) -> Result<Tensor> {
        let product = vec1.outer(vec2).map_err(|error| error.context("addr"))?;
        self.add_product("addr", &product, factors)
    }

    /// `f` of this tensor and two factors; half-width floats as `float32`, so that only the sum is rounded to them.
    fn in_full_width(
        &self,
        [a, b]: [&Tensor; 2],
        f: impl Fn(&Tensor, [&Tensor; 2]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let dtype = self.dtype();
        if !dtype.is_half() || [a.dtype(), b.dtype()] != [dtype; 2] {
            return f(self, [a, b]);
        }
        let wide = |x: &Tensor| x.to_dtype(DType::F32);
        f(&wide(self)?, [&wide(a)?, &wide(b)?])?.to_dtype(dtype)
    }

    fn add_product(&self, op: &str, product: &Tensor, factors: AddProduct) -> Result<Tensor> {
        let shape = broadcast_shapes(op, &[self.shape(), product.shape()])?;
        ensure!(
            shape == *product.shape(),
            Broadcast,
            "{op}: input {:?} does not broadcast to the product {:?}",
            self.shape(),
            product.shape()
        );
        let product = scaled(op, product, factors.alpha)?;
        if factors.beta.to_f64() == 0.0 {
            return Ok(product);
        }
        product.add(&scaled(op, self, factors.beta)?)
    }

    /// The sum of products over pairs of dimensions: `dims.0[i]` of this tensor with `dims.1[i]` of the other. The
    /// result has this tensor's other dimensions, then the other tensor's.
    ///
    /// # Errors
    /// `Shape` if the dimensions of a pair differ in size (one of them may be 1) or the lists in length; `Dim` for
    /// unknown or repeated dimensions.
    pub fn tensordot(&self, other: &Tensor, dims: (&[isize], &[isize])) -> Result<Tensor> {
        ensure!(
            dims.0.len() == dims.1.len(),
            Shape,
            "tensordot: {:?} and {:?} pair up {} and {} dimensions",
            dims.0,
            dims.1,
            dims.0.len(),
            dims.1.len()
        );
        let (mut a, mut b) = (self.clone(), other.clone());
        let left = resolve_dims("tensordot", dims.0, a.rank())?;
        let right = resolve_dims("tensordot", dims.1, b.rank())?;
        for (&i, &j) in left.iter().zip(&right) {
            let (n, m) = (a.shape()[i], b.shape()[j]);
            if n == m {
                continue;
            }
            // A dimension of size 1 is broadcast against its partner: the partner can be summed right away.
            match (n, m) {
                (1, _) => b = b.sum_dim(j as isize, true)?.to_dtype(b.dtype())?,
                (_, 1) => a = a.sum_dim(i as isize, true)?.to_dtype(a.dtype())?,
                _ => bail!(
                    Shape,
                    "tensordot: dimension {i} of {:?} and dimension {j} of {:?} differ",
                    self.shape(),
                    other.shape()
                ),
            }
        }
        tensordot_dims("tensordot", &a, &b, &left, &right)
    }

    /// The Kronecker product: every element of this tensor times the whole of the other. Missing leading dimensions
    /// count as size 1.
    ///
    /// # Errors
    /// `Shape` if the result would be too large.
    pub fn kron(&self, other: &Tensor) -> Result<Tensor> {
        let rank = self.rank().max(other.rank());
        let padded = |t: &Tensor, before: bool| -> Result<(Tensor, Vec<usize>)> {
            let sizes = [vec![1; rank - t.rank()], t.shape().to_vec()].concat();
            let paired = sizes.iter().flat_map(|&s| if before { [s, 1] } else { [1, s] });
            Ok((t.reshape(paired.collect::<Vec<_>>())?, sizes))
        };
        let (a, a_sizes) = padded(self, true)?;
        let (b, b_sizes) = padded(other, false)?;
        let shape: Vec<usize> = a_sizes.iter().zip(&b_sizes).map(|(n, m)| n * m).collect();
        a.mul(&b)?.reshape(shape)
    }

    /// The cross product along `dim`, which has size 3 (`torch.linalg.cross`); the tensors are broadcast.
    ///
    /// # Errors
    /// `Shape` unless both have size 3 there; `Broadcast` if the shapes don't broadcast; `Dim` for an unknown dimension.
    pub fn cross(&self, other: &Tensor, dim: isize) -> Result<Tensor> {
        let shape = broadcast_shapes("cross", &[self.shape(), other.shape()])?;
        let d = resolve_dim("cross", dim, shape.len())?;
        let fits = |t: &Tensor| t.rank() == shape.len() && t.shape().get(d) == Some(&3);
        ensure!(
            fits(self) && fits(other),
            Shape,
            "cross: dimension {dim} of {:?} and {:?} must have size 3",
            self.shape(),
            other.shape()
        );
        let d = d as isize;
        let rolled = |t: &Tensor, by: isize| -> Result<Tensor> {
            let tail = t.narrow(d, by, 3 - by as usize)?;
            Tensor::cat(&[&tail, &t.narrow(d, 0, by as usize)?], d)
        };
        let forward = rolled(self, 1)?.mul(&rolled(other, 2)?)?;
        forward.sub(&rolled(self, 2)?.mul(&rolled(other, 1)?)?)
    }

    /// The product of several matrices, multiplied in the order that costs least (`torch.linalg.multi_dot`,
    /// `torch.chain_matmul`). The first and the last may be vectors.
    ///
    /// # Errors
    /// `Value` for fewer than two tensors; `Shape` if they don't fit.
    pub fn multi_dot(tensors: &[&Tensor]) -> Result<Tensor> {
        let [first, .., last] = tensors else {
            bail!(
                Value,
                "multi_dot: expected at least two tensors, got {}",
                tensors.len()
            )
        };
        let (row, column) = (first.rank() == 1, last.rank() == 1);
        let mut chain: Vec<Tensor> = tensors.iter().map(|&t| t.clone()).collect();
        if row {
            chain[0] = first.unsqueeze(0)?;
        }
        if let (true, Some(end)) = (column, chain.last_mut()) {
            *end = last.unsqueeze(1)?;
        }
        for pair in chain.windows(2) {
            let (a, b) = (pair[0].shape(), pair[1].shape());
            let fits = a.len() == 2 && b.len() == 2 && a[1] == b[0];
            ensure!(fits, Shape, "multi_dot: {a:?} and {b:?} have no product");
        }
        let sizes: Vec<usize> = std::iter::once(chain[0].shape()[0])
            .chain(chain.iter().map(|t| t.shape()[1]))
            .collect();
        let product = chain_product(&chain, &cheapest_splits(&sizes), 0, chain.len() - 1)?;
        match (row, column) {
            (true, true) => product.reshape(()),
            (true, false) => product.squeeze_dim(0),
            (false, true) => product.squeeze_dim(1),
            (false, false) => Ok(product),
        }
    }
}

/// Where to split each chain `i..=j` of matrices of sizes `sizes[k] × sizes[k + 1]` so that the fewest multiplications
/// are made: dynamic programming over the lengths of chains.
fn cheapest_splits(sizes: &[usize]) -> Vec<Vec<usize>> {
    let n = sizes.len() - 1;
    let (mut cost, mut split) = (vec![vec![0u128; n]; n], vec![vec![0; n]; n]);
    for len in 1..n {
        for i in 0..n - len {
            let j = i + len;
            cost[i][j] = u128::MAX;
            for k in i..j {
                let last = sizes[i] as u128 * sizes[k + 1] as u128 * sizes[j + 1] as u128;
                let total = cost[i][k] + cost[k + 1][j] + last;
                if total < cost[i][j] {
                    (cost[i][j], split[i][j]) = (total, k);
                }
            }
        }
    }
    split
}

fn chain_product(chain: &[Tensor], split: &[Vec<usize>], i: usize, j: usize) -> Result<Tensor> {
    if i == j {
        return Ok(chain[i].clone());
    }
    let k = split[i][j];
    chain_product(chain, split, i, k)?.matmul(&chain_product(chain, split, k + 1, j)?)
}

/// One matrix product of the tensors with their summed dimensions moved to the middle.
fn tensordot_dims(op: &str, a: &Tensor, b: &Tensor, left: &[usize], right: &[usize]) -> Result<Tensor> {
    expect_same_dtype(op, a, b)?;
    let free = |t: &Tensor, summed: &[usize]| -> SmallVec<[usize; 6]> {
        (0..t.rank()).filter(|d| !summed.contains(d)).collect()
    };
    let (a_free, b_free) = (free(a, left), free(b, right));
    let signed = |dims: &[&[usize]]| -> Vec<isize> { dims.concat().iter().map(|&d| d as isize).collect() };
    let sizes = |t: &Tensor, dims: &[usize]| -> Vec<usize> { dims.iter().map(|&d| t.shape()[d]).collect() };
    let (a_sizes, b_sizes, summed) = (sizes(a, &a_free), sizes(b, &b_free), sizes(a, left));
    ensure!(
        summed == sizes(b, right),
        Shape,
        "{op}: {:?} and {:?} differ in the dimensions {left:?} and {right:?}",
        a.shape(),
        b.shape()
    );
    let (n, k, m): (usize, usize, usize) = (
        a_sizes.iter().product(),
        summed.iter().product(),
        b_sizes.iter().product(),
    );
    let lhs = a.permute(signed(&[&a_free, left]))?.reshape((n, k))?;
    let rhs = b.permute(signed(&[right, &b_free]))?.reshape((k, m))?;
    let product = if n == 1 && m == 1 {
        lhs.reshape(k)?.dot(&rhs.reshape(k)?)?
    } else {
        lhs.matmul(&rhs)?
    };
    product.reshape([a_sizes, b_sizes].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iota(shape: &[usize]) -> Tensor {
        let numel: usize = shape.iter().product();
        Tensor::from_vec((0..numel).map(|i| i as f64).collect::<Vec<_>>(), shape).unwrap()
    }

    #[test]
    fn addmm_with_beta_zero_ignores_nan() {
        let nan = Tensor::full((2, 2), f64::NAN, DType::F64).unwrap();
        let factors = AddProduct {
            beta: Scalar::Int(0),
            alpha: Scalar::Float(2.0),
        };
        let y = nan.addmm(&iota(&[2, 2]), &iota(&[2, 2]), factors).unwrap();
        assert_eq!(y.to_vec::<f64>().unwrap(), [4.0, 6.0, 12.0, 22.0]);
        let ints = Tensor::new([[1i64, 2], [3, 4]]).unwrap();
        let half = AddProduct {
            beta: Scalar::Float(0.5),
            alpha: Scalar::Float(2.5),
        };
        let y = ints.addmm(&ints, &ints, half).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap(), [14, 20, 30, 44]);
        let row = Tensor::new([1i64, 2]).unwrap();
        assert!(ints.addr(&row, &row, half).is_err());
    }

    #[test]
    fn half_width_sums_are_rounded_once() {
        let one = |shape: &[usize], v: f64| Tensor::full(shape, v, DType::BF16).unwrap();
        // 3·85.5 = 256.5 is 256 in bfloat16.
        let y = one(&[1], -256.0)
            .baddbmm(
                &one(&[1, 1, 3], 1.0),
                &one(&[1, 3, 1], 85.5),
                AddProduct::default(),
            )
            .unwrap();
        assert_eq!((y.dtype(), y.to_vec_f64().unwrap()), (DType::BF16, vec![0.5]));
    }

    #[test]
    fn cross_of_the_axes() {
        let x = Tensor::new([1.0f32, 0.0, 0.0]).unwrap();
        let y = Tensor::new([0.0f32, 1.0, 0.0]).unwrap();
        assert_eq!(x.cross(&y, -1).unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0]);
        assert!(x.cross(&y, 1).is_err());
    }

    #[test]
    fn tensordot_and_kron_have_the_shapes_of_numpy() {
        let t = iota(&[2, 3, 4])
            .tensordot(&iota(&[4, 3, 5]), (&[1, 2], &[1, 0]))
            .unwrap();
        assert_eq!(t.shape(), [2, 5]);
        let k = iota(&[2, 2]).kron(&iota(&[3])).unwrap();
        assert_eq!(
            k.to_vec::<f64>().unwrap(),
            [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 2.0, 4.0, 0.0, 3.0, 6.0]
        );
    }

    #[test]
    fn multi_dot_takes_the_cheapest_order() {
        assert_eq!(cheapest_splits(&[10, 100, 5, 50])[0][2], 1);
        let (v, a) = (iota(&[3]), iota(&[3, 3]));
        let x = Tensor::multi_dot(&[&v, &a, &v]).unwrap();
        assert_eq!(x.item::<f64>().unwrap(), 60.0);
    }
}
