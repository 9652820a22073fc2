//! Functions of which weights are often made (`torch.nn.utils.parametrizations`): weight norm, spectral norm, orthogonal
//! matrices.

use flambeau_tensor::ops::normalize::normalize;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

use super::parametrize::{Parametrization, Parametrized};
use crate::parameter::Buffer;
use crate::{Mode, Module};

/// Makes a parameter a length times a direction, `w = g·v/‖v‖`, which are learnt as `original0` and `original1` (Salimans &
/// Kingma, 2016). There is a length for each index of `dim` (PyTorch's default: 0), or one for all if it is `None`.
///
/// # Errors
/// `Key` if there is no such parameter; `Dim` if it has no such dimension.
pub fn weight_norm<M: Module>(module: &mut Parametrized<M>, name: &str, dim: Option<usize>) -> Result<()> {
    module.register(name, Box::new(WeightNorm { dim }))
}

/// What [`weight_norm`] registers.
#[derive(Debug, Module)]
#[module(name = "_WeightNorm")]
struct WeightNorm {
    #[module(skip)]
    dim: Option<usize>,
}

impl WeightNorm {
    /// The norms over all dimensions but `dim`.
    fn norm(&self, v: &Tensor) -> Result<Tensor> {
        let Some(dim) = self.dim else {
            return v.reshape(-1)?.vector_norm(2.0, 0, false);
        };
        ensure!(
            dim < v.rank(),
            Dim,
            "weight_norm: no dimension {dim} in {:?}",
            v.shape()
        );
        let others: Vec<isize> = (0..v.rank()).filter(|&d| d != dim).map(|d| d as isize).collect();
        if others.is_empty() {
            return v.abs();
        }
        v.vector_norm(2.0, &others[..], true)
    }
}

impl Parametrization for WeightNorm {
    fn forward(&self, originals: &[Tensor]) -> Result<Tensor> {
        let [g, v] = originals else {
            bail!(Value, "weight_norm: expected a length and a direction")
        };
        v.mul(&g.div(&self.norm(v)?)?)
    }

    fn right_inverse(&mut self, value: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![self.norm(value)?, value.clone()])
    }
}

/// Options of [`spectral_norm`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct SpectralNormOptions {
    /// Steps of the power method before each use in training.
    pub n_power_iterations: usize,
    /// The least norm that is divided by.
    pub eps: f64,
    /// The dimension of outputs; unless given, 1 for transposed convolutions, whose weights have it there, and else 0.
    pub dim: Option<isize>,
}

impl Default for SpectralNormOptions {
    fn default() -> Self {
        SpectralNormOptions {
            n_power_iterations: 1,
            eps: 1e-12,
            dim: None,
        }
    }
}

/// Divides a parameter by its largest singular value, which the power method estimates (Miyato et al., 2018).
///
/// # Errors
/// `Key` if there is no such parameter; `Value` for no iterations; `Dim` if the parameter has no such dimension.
pub fn spectral_norm<M: Module>(
    module: &mut Parametrized<M>,
    name: &str,
    options: SpectralNormOptions,
) -> Result<()> {
    let value = current(module, name)?;
    let owner = name.rsplit_once('.').map_or("", |(owner, _)| owner);
    let transposed = module
        .get_submodule(owner)
        .is_ok_and(|owner| owner.name().contains("ConvTranspose"));
    let dim = options.dim.unwrap_or(isize::from(transposed));
    module.register(name, Box::new(SpectralNorm::new(&value, options, dim)?))
}

/// The value of a parameter, computed or not.
fn current<M: Module>(module: &Parametrized<M>, name: &str) -> Result<Tensor> {
    match module.position(name) {
        Some(_) => Ok(module.value(name)?.detach()),
        None => Ok(module.parameter(name)?.detach()),
    }
}

/// What [`spectral_norm`] registers. Of a vector, the largest singular value is its norm.
#[derive(Debug, Module)]
#[module(name = "_SpectralNorm")]
struct SpectralNorm {
    /// Estimate of the left singular vector.
    #[module(rename = "_u")]
    u: Option<Buffer>,
    /// Estimate of the right singular vector.
    #[module(rename = "_v")]
    v: Option<Buffer>,
    mode: Mode,
    dim: usize,
    #[module(skip)]
    options: SpectralNormOptions,
}

impl SpectralNorm {
    fn new(weight: &Tensor, options: SpectralNormOptions, dim: isize) -> Result<SpectralNorm> {
        let rank = weight.rank() as isize;
        ensure!(
            (-rank..rank).contains(&dim),
            Dim,
            "spectral_norm: no dimension {dim} in {:?}",
            weight.shape()
        );
        ensure!(
            options.n_power_iterations > 0,
            Value,
            "spectral_norm: expected a positive number of iterations, got 0"
        );
        let mut norm = SpectralNorm {
            u: None,
            v: None,
            mode: Mode::default(),
            dim: dim.rem_euclid(rank) as usize,
            options,
        };
        if rank > 1 {
            no_grad(|| {
                let matrix = norm.matrix(weight)?;
                let random = |len: usize| -> Result<Buffer> {
                    let vector = Tensor::zeros(len, weight.dtype())?;
                    vector.normal_(0.0, 1.0)?;
                    Ok(Buffer::new(normalize(&vector, 2.0, 0, options.eps)?))
                };
                let shape = matrix.shape();
                norm.u = Some(random(shape[0])?);
                norm.v = Some(random(shape[1])?);
                norm.iterate(&matrix, 15)
            })?;
        }
        Ok(norm)
    }

    /// The weight as a matrix with a row for each output.
    fn matrix(&self, weight: &Tensor) -> Result<Tensor> {
        let mut dims: Vec<isize> = (0..weight.rank() as isize).collect();
        dims.remove(self.dim);
        dims.insert(0, self.dim as isize);
        weight.permute(&dims[..])?.flatten(1, -1)
    }

    /// Steps of the power method.
    fn iterate(&self, matrix: &Tensor, steps: usize) -> Result<()> {
        let (Some(u), Some(v)) = (&self.u, &self.v) else {
            return Ok(());
        };
        let (matrix, eps) = (matrix.detach(), self.options.eps);
        no_grad(|| {
            for _ in 0..steps {
                u.copy_(&normalize(&matrix.mv(v)?, 2.0, 0, eps)?)?;
                v.copy_(&normalize(&matrix.t()?.mv(u)?, 2.0, 0, eps)?)?;
            }
            Ok(())
        })
    }
}

impl Parametrization for SpectralNorm {
    fn forward(&self, originals: &[Tensor]) -> Result<Tensor> {
        let [weight] = originals else {
            bail!(Value, "spectral_norm: expected one tensor")
        };
        let (Some(u), Some(v)) = (&self.u, &self.v) else {
            return normalize(weight, 2.0, 0, self.options.eps);
        };
        let matrix = self.matrix(weight)?;
        if self.mode.is_training() {
            self.iterate(&matrix, self.options.n_power_iterations)?;
        }
        // Copies: the next step changes the vectors in place.
        let sigma = u.detach().dot(&matrix.mv(&v.detach())?)?;
        weight.div(&sigma)
    }
}

/// How [`orthogonal`] makes an orthogonal matrix of any one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrthogonalMap {
    /// `exp(A)` of the skew-symmetric `A` below whose diagonal the matrix lies.
    MatrixExp,
    /// `(I + A/2)·(I - A/2)⁻¹` of the same.
    Cayley,
    /// A product of reflections whose vectors lie below the diagonal.
    Householder,
}

/// Options of [`orthogonal`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct OrthogonalOptions {
    /// The map; unless given, the exponential of square matrices and reflections for others.
    pub orthogonal_map: Option<OrthogonalMap>,
    /// Whether the result is multiplied by a fixed orthogonal matrix, with which any value can be assigned (Lezcano-Casado,
    /// 2019).
    pub use_trivialization: bool,
}

impl Default for OrthogonalOptions {
    fn default() -> Self {
        OrthogonalOptions {
            orthogonal_map: None,
            use_trivialization: true,
        }
    }
}

/// Makes matrices (the last two dimensions) orthogonal: `QᵀQ = I` if they are tall, `QQᵀ = I` if wide.
///
/// # Errors
/// `Key` if there is no such parameter; `Shape` unless it has two or more dimensions; `Unsupported` without trivialization
/// for maps from which no value leads back.
pub fn orthogonal<M: Module>(
    module: &mut Parametrized<M>,
    name: &str,
    options: OrthogonalOptions,
) -> Result<()> {
    let value = current(module, name)?;
    let shape = value.shape();
    let [.., rows, columns] = *shape else {
        bail!(Shape, "orthogonal: expected a matrix or more, got {shape:?}")
    };
    let map = options.orthogonal_map.unwrap_or(if rows == columns {
        OrthogonalMap::MatrixExp
    } else {
        OrthogonalMap::Householder
    });
    let function = Orthogonal {
        base: None,
        map,
        trivialized: options.use_trivialization,
    };
    module.register(name, Box::new(function))
}

/// What [`orthogonal`] registers.
#[derive(Debug, Module)]
#[module(name = "_Orthogonal")]
struct Orthogonal {
    /// The fixed factor.
    base: Option<Buffer>,
    #[module(skip)]
    map: OrthogonalMap,
    trivialized: bool,
}

impl Parametrization for Orthogonal {
    fn forward(&self, originals: &[Tensor]) -> Result<Tensor> {
        let [x] = originals else {
            bail!(Value, "orthogonal: expected one tensor")
        };
        let wide = x.size(-2)? < x.size(-1)?;
        let x = if wide { x.transpose(-2, -1)? } else { x.clone() };
        let (n, k) = (x.size(-2)?, x.size(-1)?);
        let mut q = match self.map {
            OrthogonalMap::Householder => {
                let a = x.tril(-1)?;
                let tau = a.square()?.sum_dim(-2, false)?.add(1)?.reciprocal()?.mul(2)?;
                // The diagonal holds signs, which are not learnt.
                let signs = x.detach().diagonal(0, -2, -1)?.trunc()?.unsqueeze(-2)?;
                a.householder_product(&tau)?.mul(&signs)?
            }
            OrthogonalMap::MatrixExp | OrthogonalMap::Cayley => {
                let mut lower = x.tril(0)?;
                if n != k {
                    let mut shape = x.shape().to_vec();
                    shape[x.rank() - 1] = n - k;
                    lower = Tensor::cat(&[&lower, &Tensor::zeros(shape, x.dtype())?], -1)?;
                }
                let a = lower.sub(&lower.transpose(-2, -1)?)?;
                let q = if self.map == OrthogonalMap::MatrixExp {
                    a.matrix_exp()?
                } else {
                    let eye = Tensor::eye(n, n, a.dtype())?;
                    let half = a.mul(0.5)?;
                    eye.sub(&half)?.solve(&eye.add(&half)?)?
                };
                q.narrow(-1, 0, k)?
            }
        };
        if let Some(base) = &self.base {
            q = base.matmul(&q)?;
        }
        if wide { q.transpose(-2, -1) } else { Ok(q) }
    }

    fn right_inverse(&mut self, value: &Tensor) -> Result<Vec<Tensor>> {
        let wide = value.size(-2)? < value.size(-1)?;
        let turned = |q: &Tensor| if wide { q.transpose(-2, -1) } else { Ok(q.clone()) };
        let q = turned(value)?;
        let (n, k) = (q.size(-2)?, q.size(-1)?);
        if !self.trivialized {
            if self.map != OrthogonalMap::Householder {
                bail!(
                    Unsupported,
                    "orthogonal: without trivialization, {:?} can't be given a value",
                    self.map
                );
            }
            let (a, tau) = q.geqrf()?;
            // R's diagonal becomes the signs; that of a reflection that LAPACK leaves out is turned.
            let signs = a.diagonal(0, -2, -1)?.sign()?;
            let unused = tau.eq(0)?;
            let signs = unused.where_cond(&signs.neg()?, &signs)?;
            return Ok(vec![turned(&with_diagonal(&a, &signs)?)?]);
        }
        let base = if n != k {
            let mut shape = q.shape().to_vec();
            shape[q.rank() - 1] = n - k;
            let more = Tensor::zeros(shape, q.dtype())?;
            more.normal_(0.0, 1.0)?;
            made_orthogonal(&Tensor::cat(&[&q, &more], -1)?)?
        } else if is_orthogonal(&q)? {
            q.copy()?
        } else {
            made_orthogonal(&q)?
        };
        self.base = Some(Buffer::new(base));
        // Minus the identity is what reflections make the identity of.
        let eye = Tensor::eye(value.size(-2)?, value.size(-1)?, value.dtype())?;
        Ok(vec![eye.neg()?.expand(value.shape())?.contiguous()?])
    }
}

/// A matrix with another diagonal.
fn with_diagonal(a: &Tensor, diagonal: &Tensor) -> Result<Tensor> {
    a.diagonal_scatter(diagonal, 0, -2, -1)
}

/// The orthogonal factor of a matrix, unique by the signs of the other one's diagonal.
fn made_orthogonal(a: &Tensor) -> Result<Tensor> {
    let (packed, tau) = a.geqrf()?;
    let signs = packed.diagonal(0, -2, -1)?.sign()?.unsqueeze(-2)?;
    packed.householder_product(&tau)?.mul(&signs)
}

fn is_orthogonal(q: &Tensor) -> Result<bool> {
    let n = q.size(-1)?;
    let epsilon = match q.dtype() {
        DType::F64 => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    };
    let product = q.transpose(-2, -1)?.matmul(q)?;
    let eye = Tensor::eye(n, n, q.dtype())?.expand(product.shape())?;
    product.allclose(&eye, 1e-5, 10.0 * n as f64 * epsilon, false)
}
