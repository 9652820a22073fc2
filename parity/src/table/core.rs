//! Products.

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
];
