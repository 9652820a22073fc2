//! Reference cases made by PyTorch: reading the files, running a case, comparing.
//!
//! A case file is a safetensors file whose metadata has a JSON list of cases; the tensors of case `i` are called
//! `c{i}.…`. A directory's name is its group (`ops`, `promo`, `random`).

mod case;
mod compare;
mod file;
mod promo;
mod random;
mod report;

pub use report::{Failure, GroupReport, Options, run};
