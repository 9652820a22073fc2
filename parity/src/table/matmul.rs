//! Matrix products and what is made of them.

use flambeau_tensor::ops::einsum::{Subscript, einsum, einsum_subscripts};
use flambeau_tensor::ops::products::AddProduct;
use flambeau_tensor::{Result, Scalar, Tensor, bail};

use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, out};

pub(super) const TABLE: &[Entry] = &[
    ("matmul", |a| {
        out(a.tensor(0, "input")?.matmul(&a.tensor(1, "other")?)?)
    }),
    ("linalg.matmul", |a| {
        out(a.tensor(0, "input")?.matmul(&a.tensor(1, "other")?)?)
    }),
    ("__matmul__", |a| {
        out(a.tensor(0, "self")?.matmul(&a.tensor(1, "other")?)?)
    }),
    ("__rmatmul__", |a| {
        let (x, other) = (a.tensor(0, "self")?, a.tensor(1, "other")?);
        out(other.matmul(&x)?)
    }),
    ("mm", |a| out(a.tensor(0, "input")?.mm(&a.tensor(1, "mat2")?)?)),
    ("bmm", |a| {
        out(a.tensor(0, "input")?.bmm(&a.tensor(1, "mat2")?)?)
    }),
    ("mv", |a| out(a.tensor(0, "input")?.mv(&a.tensor(1, "vec")?)?)),
    ("dot", |a| {
        out(a.tensor(0, "input")?.dot(&a.tensor(1, "tensor")?)?)
    }),
    ("vdot", |a| {
        out(a.tensor(0, "input")?.vdot(&a.tensor(1, "other")?)?)
    }),
    ("inner", |a| {
        out(a.tensor(0, "input")?.inner(&a.tensor(1, "other")?)?)
    }),
    ("outer", |a| {
        out(a.tensor(0, "input")?.outer(&a.tensor(1, "vec2")?)?)
    }),
    ("ger", |a| {
        out(a.tensor(0, "input")?.outer(&a.tensor(1, "vec2")?)?)
    }),
    ("linalg.vecdot", |a| {
        let (x, y) = (a.tensor(0, "x")?, a.tensor(1, "y")?);
        out(x.vecdot(&y, a.int(2, "dim", -1)? as isize)?)
    }),
    ("addmm", |a| add_product(a, ["mat1", "mat2"], Tensor::addmm)),
    ("addbmm", |a| add_product(a, ["batch1", "batch2"], Tensor::addbmm)),
    ("baddbmm", |a| {
        add_product(a, ["batch1", "batch2"], Tensor::baddbmm)
    }),
    ("addmv", |a| add_product(a, ["mat", "vec"], Tensor::addmv)),
    ("addr", |a| add_product(a, ["vec1", "vec2"], Tensor::addr)),
    ("chain_matmul", |a| {
        let tensors = match a.peek(0, "matrices") {
            Some(Arg::List(_) | Arg::Tuple(_)) => a.tensors(0, "matrices")?,
            _ => {
                let rest = a.rest(0);
                a.tensors_of(rest, "matrices")?
            }
        };
        match &tensors[..] {
            [only] => out(only.clone()),
            _ => multi_dot(&tensors),
        }
    }),
    ("linalg.multi_dot", |a| multi_dot(&a.tensors(0, "tensors")?)),
    ("kron", |a| {
        out(a.tensor(0, "input")?.kron(&a.tensor(1, "other")?)?)
    }),
    ("tensordot", |a| {
        let (x, y) = (a.tensor(0, "a")?, a.tensor(1, "b")?);
        let (left, right) = tensordot_dims(a, x.rank())?;
        out(x.tensordot(&y, (&left, &right))?)
    }),
    ("cross", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "other")?);
        // By default, the first dimension of size 3.
        let dim = match a.opt_int(2, "dim")? {
            Some(dim) => dim as isize,
            None => match x.shape().iter().position(|&n| n == 3) {
                Some(d) => d as isize,
                None => bail!(Shape, "cross: no dimension of {:?} has size 3", x.shape()),
            },
        };
        out(x.cross(&y, dim)?)
    }),
    ("linalg.cross", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "other")?);
        out(x.cross(&y, a.int(2, "dim", -1)? as isize)?)
    }),
    ("einsum", |a| match a.peek(0, "equation") {
        Some(Arg::Str(_)) => {
            let equation = a.opt_str(0, "equation")?.unwrap_or_default();
            let operands = match a.peek(1, "operands") {
                Some(Arg::List(_) | Arg::Tuple(_)) => a.tensors(1, "operands")?,
                _ => {
                    let rest = a.rest(1);
                    a.tensors_of(rest, "operands")?
                }
            };
            out(einsum(&equation, &operands.iter().collect::<Vec<_>>())?)
        }
        _ => sublists(a),
    }),
];

type AddProductMethod = fn(&Tensor, &Tensor, &Tensor, AddProduct) -> Result<Tensor>;

fn add_product(a: &mut Args, names: [&str; 2], method: AddProductMethod) -> Result<Output> {
    let (input, x, y) = (
        a.tensor(0, "input")?,
        a.tensor(1, names[0])?,
        a.tensor(2, names[1])?,
    );
    let one = Scalar::Int(1);
    let factors = AddProduct {
        beta: a.opt_scalar(3, "beta")?.unwrap_or(one),
        alpha: a.opt_scalar(4, "alpha")?.unwrap_or(one),
    };
    out(method(&input, &x, &y, factors)?)
}

fn multi_dot(tensors: &[Tensor]) -> Result<Output> {
    out(Tensor::multi_dot(&tensors.iter().collect::<Vec<_>>())?)
}

/// A number n (the last n dimensions with the first n) or two lists.
fn tensordot_dims(a: &mut Args, rank: usize) -> Result<(Vec<isize>, Vec<isize>)> {
    match a.take(2, "dims") {
        None => paired_dims(rank, 2),
        Some(Arg::Int(n)) => paired_dims(rank, n as isize),
        Some(Arg::List(items) | Arg::Tuple(items)) => {
            let mut lists = Vec::new();
            for item in items {
                lists.push(match item {
                    Arg::Int(d) => vec![d as isize],
                    Arg::List(dims) | Arg::Tuple(dims) => a
                        .ints_of(&dims, "dims")?
                        .into_iter()
                        .map(|d| d as isize)
                        .collect(),
                    other => bail!(Value, "tensordot: dims {other:?}"),
                });
            }
            match <[Vec<isize>; 2]>::try_from(lists) {
                Ok([left, right]) => Ok((left, right)),
                Err(lists) => bail!(
                    Value,
                    "tensordot: expected two lists of dims, got {}",
                    lists.len()
                ),
            }
        }
        Some(other) => bail!(Value, "tensordot: dims {other:?}"),
    }
}

/// The last `n` of `rank` dimensions, and the first `n` of another tensor.
fn paired_dims(rank: usize, n: isize) -> Result<(Vec<isize>, Vec<isize>)> {
    let rank = rank as isize;
    if !(0..=rank).contains(&n) {
        bail!(
            Value,
            "tensordot: a {rank}-d tensor does not have {n} dimensions to sum over"
        )
    }
    Ok(((rank - n..rank).collect(), (0..n).collect()))
}

/// `einsum(x, [0, 1], y, [1, 2], [0, 2])`.
fn sublists(a: &mut Args) -> Result<Output> {
    let (mut operands, mut lists) = (Vec::new(), Vec::new());
    for item in a.rest(0) {
        match item {
            Arg::Tensor(tensor) => operands.push(tensor),
            Arg::List(items) | Arg::Tuple(items) => lists.push(
                items
                    .iter()
                    .map(|item| match item {
                        Arg::Int(label) => Ok(Subscript::Label(*label as u32)),
                        Arg::Ellipsis => Ok(Subscript::Ellipsis),
                        other => bail!(Value, "einsum: subscript {other:?}"),
                    })
                    .collect::<Result<Vec<_>>>()?,
            ),
            other => bail!(Unsupported, "einsum: {other:?}"),
        }
    }
    let output = if lists.len() > operands.len() {
        lists.pop()
    } else {
        None
    };
    let operands: Vec<&Tensor> = operands.iter().collect();
    out(einsum_subscripts(&operands, &lists, output.as_deref())?)
}
