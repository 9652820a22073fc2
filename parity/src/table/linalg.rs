//! Linear algebra, and the post-processing of results that are unique only up to sign or order.

use flambeau_tensor::ops::linalg::ldl::{ldl_factor_ex, ldl_solve};
use flambeau_tensor::ops::linalg::lstsq::LstsqDriver;
use flambeau_tensor::ops::linalg::lu::{lu, lu_solve, lu_unpack};
use flambeau_tensor::ops::linalg::norms::MatrixNorm;
use flambeau_tensor::ops::linalg::pinv::RankTolerance;
use flambeau_tensor::ops::linalg::qr::QrMode;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, complex, out};

pub(super) const TABLE: &[Entry] = &[
    ("linalg.norm", norm),
    ("linalg.vector_norm", |a| {
        let x = magnitude(a, "x")?;
        let ord = a.float(1, "ord", 2.0)?;
        let (dim, keepdim) = (a.opt_dims(2, "dim")?, a.bool(3, "keepdim", false)?);
        let x = in_dtype(a, x, 4)?;
        out(vector_norm(&x, ord, dim, keepdim)?)
    }),
    ("linalg.matrix_norm", |a| {
        let x = a.tensor(0, "A")?;
        let ord = matrix_ord(a, 1, "ord")?.unwrap_or(MatrixNorm::Frobenius);
        let (dim, keepdim) = (a.opt_dims(2, "dim")?, a.bool(3, "keepdim", false)?);
        let x = in_dtype(a, x, 4)?;
        matrix_norm(&x, ord, dim.as_deref(), keepdim)
    }),
    ("linalg.cond", |a| {
        let x = a.tensor(0, "A")?;
        out(x.cond(matrix_ord(a, 1, "p")?)?)
    }),
    ("linalg.inv", |a| out(a.tensor(0, "A")?.inv()?)),
    ("inverse", |a| out(a.tensor(0, "input")?.inv()?)),
    ("linalg.inv_ex", |a| {
        let x = a.tensor(0, "A")?;
        let _ = a.bool(1, "check_errors", false)?;
        out(x.inv_ex()?)
    }),
    ("linalg.solve", |a| {
        let (x, b) = (a.tensor(0, "A")?, a.tensor(1, "B")?);
        if a.bool(2, "left", true)? {
            out(x.solve(&b)?)
        } else {
            out(x.solve_ex(&b, false)?.0)
        }
    }),
    ("linalg.solve_ex", |a| {
        let (x, b) = (a.tensor(0, "A")?, a.tensor(1, "B")?);
        let left = a.bool(2, "left", true)?;
        let _ = a.bool(3, "check_errors", false)?;
        out(x.solve_ex(&b, left)?)
    }),
    ("linalg.solve_triangular", |a| {
        let (x, b) = (a.tensor(0, "A")?, a.tensor(1, "B")?);
        let (upper, left) = (a.bool(2, "upper", false)?, a.bool(3, "left", true)?);
        let unit = a.bool(4, "unitriangular", false)?;
        if left {
            return out(x.solve_triangular(&b, upper, unit)?);
        }
        let solved = x
            .transpose(-2, -1)?
            .solve_triangular(&b.transpose(-2, -1)?, !upper, unit)?;
        out(solved.transpose(-2, -1)?)
    }),
    ("triangular_solve", |a| {
        let (b, x) = (a.tensor(0, "b")?, a.tensor(1, "A")?);
        let (upper, transpose) = (a.bool(2, "upper", true)?, a.bool(3, "transpose", false)?);
        let unit = a.bool(4, "unitriangular", false)?;
        let solution = if transpose {
            x.transpose(-2, -1)?.solve_triangular(&b, !upper, unit)?
        } else {
            x.solve_triangular(&b, upper, unit)?
        };
        let shape = [
            &solution.shape()[..solution.rank() - 2],
            &x.shape()[x.rank() - 2..],
        ]
        .concat();
        // PyTorch returns the matrix as it was used, a cast of it in mixed precision.
        let matrix = x.expand(shape)?.copy()?.to_dtype(solution.dtype())?;
        out((solution, matrix))
    }),
    ("linalg.tensorinv", |a| {
        let x = a.tensor(0, "A")?;
        out(x.tensorinv(a.count(1, "ind", 2)?)?)
    }),
    ("linalg.tensorsolve", |a| {
        let (x, b) = (a.tensor(0, "A")?, a.tensor(1, "B")?);
        out(x.tensorsolve(&b, a.opt_dims(2, "dims")?.as_deref())?)
    }),
    ("linalg.det", |a| out(a.tensor(0, "A")?.det()?)),
    ("det", |a| out(a.tensor(0, "input")?.det()?)),
    ("linalg.slogdet", |a| out(a.tensor(0, "A")?.slogdet()?)),
    ("slogdet", |a| out(a.tensor(0, "input")?.slogdet()?)),
    ("logdet", |a| out(a.tensor(0, "input")?.logdet()?)),
    ("linalg.lu_factor", |a| {
        let x = a.tensor(0, "A")?;
        out(x.lu_factor(a.bool(1, "pivot", true)?)?)
    }),
    ("linalg.lu_factor_ex", |a| {
        let x = a.tensor(0, "A")?;
        let pivot = a.bool(1, "pivot", true)?;
        let _ = a.bool(2, "check_errors", false)?;
        out(x.lu_factor_ex(pivot)?)
    }),
    ("lu", |a| {
        let x = a.tensor(0, "A")?;
        let (factors, pivots, info) = x.lu_factor_ex(a.bool(1, "pivot", true)?)?;
        if a.bool(2, "get_infos", false)? {
            out((factors, pivots, info))
        } else {
            out((factors, pivots))
        }
    }),
    ("linalg.lu", |a| {
        let x = a.tensor(0, "A")?;
        let pivot = a.bool(1, "pivot", true)?;
        let found = lu(&x, pivot)?;
        let p = if pivot {
            found.p
        } else {
            Tensor::zeros(0, x.dtype())?
        };
        out((p, found.l, found.u))
    }),
    ("lu_unpack", |a| {
        let (factors, pivots) = (a.tensor(0, "LU_data")?, a.tensor(1, "LU_pivots")?);
        let (data, pivot) = (a.bool(2, "unpack_data", true)?, a.bool(3, "unpack_pivots", true)?);
        let found = lu_unpack(&factors, &pivots)?;
        let none = Tensor::zeros(0, factors.dtype())?;
        let (l, u) = if data {
            (found.l, found.u)
        } else {
            (none.clone(), none.clone())
        };
        out((if pivot { found.p } else { none }, l, u))
    }),
    ("linalg.lu_solve", |a| {
        let (factors, pivots, b) = (a.tensor(0, "LU")?, a.tensor(1, "pivots")?, a.tensor(2, "B")?);
        let (left, adjoint) = (a.bool(3, "left", true)?, a.bool(4, "adjoint", false)?);
        out(lu_solve(&factors, &pivots, &b, left, adjoint)?)
    }),
    ("lu_solve", |a| {
        let (b, factors) = (a.tensor(0, "b")?, a.tensor(1, "LU_data")?);
        out(lu_solve(&factors, &a.tensor(2, "LU_pivots")?, &b, true, false)?)
    }),
    ("linalg.ldl_factor", |a| {
        let x = a.tensor(0, "A")?;
        let _ = a.bool(1, "hermitian", false)?; // the same for real matrices
        let (factors, pivots, _) = ldl_factor_ex(&x)?;
        out((factors, pivots))
    }),
    ("linalg.ldl_factor_ex", |a| {
        let x = a.tensor(0, "A")?;
        let _ = a.bool(1, "hermitian", false)?;
        let _ = a.bool(2, "check_errors", false)?;
        out(ldl_factor_ex(&x)?)
    }),
    ("linalg.ldl_solve", |a| {
        let (factors, pivots, b) = (a.tensor(0, "LD")?, a.tensor(1, "pivots")?, a.tensor(2, "B")?);
        let _ = a.bool(3, "hermitian", false)?;
        out(ldl_solve(&factors, &pivots, &b)?)
    }),
    ("linalg.cholesky", |a| {
        let x = a.tensor(0, "A")?;
        out(x.cholesky(a.bool(1, "upper", false)?)?)
    }),
    ("cholesky", |a| {
        let x = a.tensor(0, "input")?;
        out(x.cholesky(a.bool(1, "upper", false)?)?)
    }),
    ("linalg.cholesky_ex", |a| {
        let x = a.tensor(0, "A")?;
        let upper = a.bool(1, "upper", false)?;
        let _ = a.bool(2, "check_errors", false)?;
        out(x.cholesky_ex(upper)?)
    }),
    ("cholesky_inverse", |a| {
        let x = a.tensor(0, "L")?;
        out(x.cholesky_inverse(a.bool(1, "upper", false)?)?)
    }),
    ("cholesky_solve", |a| {
        let (b, l) = (a.tensor(0, "B")?, a.tensor(1, "L")?);
        out(b.cholesky_solve(&l, a.bool(2, "upper", false)?)?)
    }),
    ("linalg.qr", |a| {
        let x = a.tensor(0, "A")?;
        let mode = QrMode::from_name(a.opt_str(1, "mode")?.as_deref().unwrap_or("reduced"))?;
        out(x.qr(mode)?)
    }),
    ("qr", |a| {
        let x = a.tensor(0, "input")?;
        out(x.qr(if a.bool(1, "some", true)? {
            QrMode::Reduced
        } else {
            QrMode::Complete
        })?)
    }),
    ("geqrf", |a| out(a.tensor(0, "input")?.geqrf()?)),
    ("linalg.householder_product", |a| {
        out(a.tensor(0, "A")?.householder_product(&a.tensor(1, "tau")?)?)
    }),
    ("orgqr", |a| {
        out(a.tensor(0, "input")?.householder_product(&a.tensor(1, "tau")?)?)
    }),
    ("ormqr", |a| {
        let (x, tau, c) = (a.tensor(0, "input")?, a.tensor(1, "tau")?, a.tensor(2, "other")?);
        let (left, transpose) = (a.bool(3, "left", true)?, a.bool(4, "transpose", false)?);
        out(x.ormqr(&tau, &c, left, transpose)?)
    }),
    ("linalg.eigh", |a| {
        let x = a.tensor(0, "A")?;
        out(x.eigh(is_upper(a)?)?)
    }),
    ("linalg.eigvalsh", |a| {
        let x = a.tensor(0, "A")?;
        out(x.eigvalsh(is_upper(a)?)?)
    }),
    ("linalg.eig", |a| {
        let (values, vectors) = a.tensor(0, "A")?.eig()?;
        Ok(Output {
            values: vec![Arg::ComplexTensor(values), Arg::ComplexTensor(vectors)],
        })
    }),
    ("linalg.eigvals", |a| complex(a.tensor(0, "A")?.eigvals()?)),
    ("linalg.matrix_sqrth", |a| {
        out(a.tensor(0, "A")?.matrix_sqrth()?)
    }),
    ("linalg.svd", |a| {
        let x = a.tensor(0, "A")?;
        let full = a.bool(1, "full_matrices", true)?;
        let _ = a.opt_str(2, "driver")?; // of a GPU's library
        out(x.svd(full)?)
    }),
    ("svd", |a| {
        let x = a.tensor(0, "input")?;
        let (some, vectors) = (a.bool(1, "some", true)?, a.bool(2, "compute_uv", true)?);
        // Without vectors there are zeros in their place, as many as if `some` were false.
        let (u, s, vh) = x.svd(!(some && vectors))?;
        let v = vh.transpose(-2, -1)?;
        if vectors {
            out((u, s, v))
        } else {
            out((u.zeros_like()?, s, v.zeros_like()?))
        }
    }),
    ("linalg.svdvals", |a| {
        let x = a.tensor(0, "A")?;
        let _ = a.opt_str(1, "driver")?;
        out(x.svdvals()?)
    }),
    ("linalg.polar", |a| {
        out(a.tensor(0, "A")?.polar_decomposition()?)
    }),
    ("linalg.pinv", |a| {
        let x = a.tensor(0, "A")?;
        out(x.pinv(&tolerance(a, "rcond")?)?)
    }),
    ("pinverse", |a| {
        let x = a.tensor(0, "input")?;
        let rcond = a.float(1, "rcond", 1e-15)?;
        let rtol = Some(Tensor::full((), rcond, DType::F64)?);
        out(x.pinv(&RankTolerance {
            rtol,
            ..RankTolerance::default()
        })?)
    }),
    ("linalg.matrix_rank", |a| {
        let x = a.tensor(0, "A")?;
        // The second positional argument is absolute.
        let tolerance = if a.peek(1, "tol").is_some() {
            RankTolerance {
                atol: tensor_or_number(a, 1, "tol")?,
                rtol: Some(Tensor::full((), 0.0, DType::F64)?),
                hermitian: a.bool(2, "hermitian", false)?,
            }
        } else {
            tolerance(a, "tol")?
        };
        out(x.matrix_rank(&tolerance)?)
    }),
    ("linalg.lstsq", |a| {
        let (x, b) = (a.tensor(0, "A")?, a.tensor(1, "B")?);
        let rcond = a.opt_float(2, "rcond")?;
        let driver = LstsqDriver::from_name(a.opt_str(3, "driver")?.as_deref().unwrap_or("gelsy"))?;
        let found = x.lstsq(&b, rcond, driver)?;
        out([found.solution, found.residuals, found.rank, found.singular_values])
    }),
    ("linalg.matrix_power", |a| {
        let x = a.tensor(0, "A")?;
        out(x.matrix_power(a.required_int(1, "n")?)?)
    }),
    ("matrix_power", |a| {
        let x = a.tensor(0, "input")?;
        out(x.matrix_power(a.required_int(1, "n")?)?)
    }),
    ("linalg.matrix_exp", |a| out(a.tensor(0, "A")?.matrix_exp()?)),
    ("matrix_exp", |a| out(a.tensor(0, "A")?.matrix_exp()?)),
    ("post.abs", |a| {
        let (x, is_complex) = a.maybe_complex(0, "input")?;
        if is_complex {
            out(x.vector_norm(2.0, -1, false)?)
        } else {
            out(x.abs()?)
        }
    }),
    ("post.sort_complex", |a| {
        let (z, is_complex) = a.maybe_complex(0, "input")?;
        ensure!(is_complex, Value, "sort_complex: expected a complex tensor");
        complex(sort_complex(&z)?)
    }),
];

/// A tensor, or the magnitudes of a complex one.
fn magnitude(a: &mut Args, name: &str) -> Result<Tensor> {
    let (x, is_complex) = a.maybe_complex(0, name)?;
    let sums_or_extremes = match a.peek(1, "ord") {
        Some(Arg::Int(p)) => p.abs() == 1,
        Some(Arg::Float(p)) => p.abs() == 1.0 || p.is_infinite(),
        _ => false,
    };
    match (is_complex, sums_or_extremes) {
        (false, _) => Ok(x),
        (true, true) => absolute(&x),
        (true, false) => x.vector_norm(2.0, -1, false),
    }
}

/// The absolute values of a complex tensor. Zeros are left out, so that even the second derivative is 0 there.
fn absolute(z: &Tensor) -> Result<Tensor> {
    let zero = z.any_dim(-1, false)?.logical_not()?;
    let norm = z
        .masked_fill(&zero.unsqueeze(-1)?, 1.0)?
        .vector_norm(2.0, -1, false)?;
    norm.masked_fill(&zero, 0.0)
}

/// The tensor in the type given as `dtype`.
fn in_dtype(a: &mut Args, x: Tensor, position: usize) -> Result<Tensor> {
    match a.opt_dtype(position, "dtype")? {
        Some(dtype) => x.to_dtype(dtype),
        None => Ok(x),
    }
}

fn matrix_ord(a: &mut Args, position: usize, name: &str) -> Result<Option<MatrixNorm>> {
    match a.peek(position, name) {
        Some(Arg::Str(_)) => a
            .opt_str(position, name)?
            .as_deref()
            .map(MatrixNorm::from_name)
            .transpose(),
        _ => a
            .opt_float(position, name)?
            .map(MatrixNorm::from_number)
            .transpose(),
    }
}

fn matrix_norm(x: &Tensor, ord: MatrixNorm, dim: Option<&[isize]>, keepdim: bool) -> Result<Output> {
    match dim {
        None => out(x.matrix_norm_dims(ord, (-2, -1), keepdim)?),
        Some(&[rows, columns]) => out(x.matrix_norm_dims(ord, (rows, columns), keepdim)?),
        Some(other) => bail!(Dim, "matrix_norm: expected two dimensions, got {other:?}"),
    }
}

fn vector_norm(x: &Tensor, p: f64, dim: Option<Vec<isize>>, keepdim: bool) -> Result<Tensor> {
    let dim = dim.filter(|dim| !dim.is_empty());
    x.vector_norm(
        p,
        dim.unwrap_or_else(|| (0..x.rank() as isize).collect()),
        keepdim,
    )
}

/// `torch.linalg.norm`: of vectors, or, of two dimensions and with an order, of matrices.
fn norm(a: &mut Args) -> Result<Output> {
    let is_complex = matches!(a.peek(0, "A"), Some(Arg::ComplexTensor(_)));
    let x = magnitude(a, "A")?;
    let text = match a.peek(1, "ord") {
        Some(Arg::Str(_)) => a.opt_str(1, "ord")?,
        _ => None,
    };
    let number = if text.is_none() {
        a.opt_float(1, "ord")?
    } else {
        None
    };
    let (dim, keepdim) = (a.opt_dims(2, "dim")?, a.bool(3, "keepdim", false)?);
    let x = in_dtype(a, x, 4)?;
    let pair = dim.as_ref().map_or(x.rank() == 2, |dim| dim.len() == 2);
    let singular = text.as_deref() == Some("nuc") || (pair && number.is_some_and(|p| p.abs() == 2.0));
    if is_complex && singular {
        bail!(Unsupported, "norm: singular values of complex matrices")
    }
    match (text.as_deref(), number) {
        (Some(text), _) => matrix_norm(&x, MatrixNorm::from_name(text)?, dim.as_deref(), keepdim),
        (None, Some(p)) if pair => matrix_norm(&x, MatrixNorm::from_number(p)?, dim.as_deref(), keepdim),
        (None, p) => out(vector_norm(&x, p.unwrap_or(2.0), dim, keepdim)?),
    }
}

fn is_upper(a: &mut Args) -> Result<bool> {
    match a.opt_str(1, "UPLO")?.as_deref() {
        None | Some("L" | "l") => Ok(false),
        Some("U" | "u") => Ok(true),
        Some(other) => bail!(Value, "{}: UPLO must be \"L\" or \"U\", got {other:?}", a.op()),
    }
}

fn tensor_or_number(a: &mut Args, position: usize, name: &str) -> Result<Option<Tensor>> {
    match a.peek(position, name) {
        Some(Arg::Tensor(_)) => a.opt_tensor(position, name),
        _ => {
            let number = a.opt_float(position, name)?;
            number.map(|x| Tensor::full((), x, DType::F64)).transpose()
        }
    }
}

/// `atol`, `rtol` (or by position the older name) and `hermitian`.
fn tolerance(a: &mut Args, older: &str) -> Result<RankTolerance> {
    let atol = tensor_or_number(a, usize::MAX, "atol")?;
    let rtol = tensor_or_number(a, usize::MAX, "rtol")?;
    let rtol = match rtol {
        None => tensor_or_number(a, 1, older)?,
        given => given,
    };
    Ok(RankTolerance {
        atol,
        rtol,
        hermitian: a.bool(2, "hermitian", false)?,
    })
}

/// The numbers of the last dimension sorted by (real part to six digits, imaginary part).
fn sort_complex(z: &Tensor) -> Result<Tensor> {
    let &[ref batch @ .., n, 2] = z.shape() else {
        bail!(Shape, "sort_complex: {:?}", z.shape())
    };
    let data = z.to_vec_f64()?;
    let mut permutations = vec![0.0; batch.iter().product::<usize>() * n * n];
    for (i, row) in data.chunks_exact(2 * n.max(1)).enumerate() {
        let key = |k: usize| ((row[2 * k] * 1e6).round_ties_even(), row[2 * k + 1]);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal));
        for (to, from) in order.into_iter().enumerate() {
            permutations[(i * n + to) * n + from] = 1.0;
        }
    }
    let shape = [batch, &[n, n]].concat();
    Tensor::from_vec(permutations, shape)?
        .to_dtype(z.dtype())?
        .matmul(z)
}
