//! Reference cases made by PyTorch: reading the files, running a case, comparing.
//!
//! A case file is a safetensors file whose metadata has a JSON list of cases; the tensors of case `i` are called
//! `c{i}.…`. A directory's name is its group (`ops`, `models`, `random`).

mod case;
mod compare;
mod expression;
mod file;
mod models;
mod modules;
mod optim;
mod promo;
mod random;
mod report;
mod sched;
mod text;

use std::path::Path;

use flambeau_tensor::Result;

pub use case::Call;
pub use models::{crc32, state_dict_list};
pub use report::{Failure, GroupReport, Options, run};
pub use text::text_state_dict_list;

/// The calls of the cases in a file of the group `ops`, those left out whose arguments have no form here.
///
/// # Errors
/// `Io` or `Format` if the file can't be read.
pub fn calls(path: &Path) -> Result<Vec<Call>> {
    let file = file::CaseFile::open(path)?;
    let tensors = file.tensors()?;
    let call = |json| case::Case::new(json, &tensors).call().ok();
    Ok(file.cases.iter().filter_map(call).collect())
}
