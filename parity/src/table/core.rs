//! Arithmetic, views and products.

use flambeau_tensor::Tensor;

use crate::registry::{Entry, out};

pub(super) const TABLE: &[Entry] = &[
    ("exp", |a| out(a.tensor(0, "input")?.exp()?)),
    ("log", |a| out(a.tensor(0, "input")?.log()?)),
    ("sqrt", |a| out(a.tensor(0, "input")?.sqrt()?)),
    ("sin", |a| out(a.tensor(0, "input")?.sin()?)),
    ("cos", |a| out(a.tensor(0, "input")?.cos()?)),
    ("tanh", |a| out(a.tensor(0, "input")?.tanh()?)),
    ("sigmoid", |a| out(a.tensor(0, "input")?.sigmoid()?)),
    ("matmul", |a| {
        out(a.tensor(0, "input")?.matmul(&a.tensor(1, "other")?)?)
    }),
    ("mm", |a| {
        out(a.tensor(0, "input")?.matmul(&a.tensor(1, "mat2")?)?)
    }),
    ("bmm", |a| {
        out(a.tensor(0, "input")?.matmul(&a.tensor(1, "mat2")?)?)
    }),
    ("mv", |a| {
        out(a.tensor(0, "input")?.matmul(&a.tensor(1, "vec")?)?)
    }),
    ("mul", |a| {
        let (x, y) = (a.operand(0, "input")?, a.operand(1, "other")?);
        match x {
            crate::args::Either::Tensor(x) => out(x.mul(y.operand())?),
            crate::args::Either::Scalar(_) => match y {
                crate::args::Either::Tensor(y) => out(y.mul(x.operand())?),
                crate::args::Either::Scalar(_) => flambeau_tensor::bail!(Value, "mul: expected a tensor"),
            },
        }
    }),
    ("permute", |a| {
        let x = a.tensor(0, "input")?;
        let dims: Vec<isize> = a
            .varargs_ints(1, "dims")?
            .into_iter()
            .map(|d| d as isize)
            .collect();
        out(x.permute(dims)?)
    }),
    ("cat", |a| {
        let tensors = a.tensors(0, "tensors")?;
        let dim = a.int(1, "dim", 0)?;
        out(Tensor::cat(&tensors.iter().collect::<Vec<_>>(), dim as isize)?)
    }),
];
