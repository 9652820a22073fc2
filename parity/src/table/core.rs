//! Views and products.

use flambeau_tensor::Tensor;

use crate::registry::{Entry, out};

pub(super) const TABLE: &[Entry] = &[
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
