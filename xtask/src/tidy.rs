//! The project's own rules, as checks: which crate may use which, what a source file looks like, that documentation
//! is reachable, its links resolve, and what it says about the source is true.
//!
//! Every rule is a function from plain text to a list of [`Problem`]s, tested on small inputs beside it.

mod citations;
mod docs;
mod files;
mod layers;
mod mask;
mod source;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

/// A broken rule: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    path: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    what: String,
}

impl Problem {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Problem {
            path: path.to_string(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}: {}", self.path, self.what);
        }
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Checks the workspace at `root` and prints what is wrong.
pub(crate) fn run(root: &Path) -> Result<()> {
    let packages = layers::packages(root)?;
    let files = files::Files::read(root)?;
    let mut problems = layers::check(&packages);
    problems.extend(source::check_all(&files, layers::doors(&packages)));
    let folders: Vec<&str> = packages.iter().map(layers::Package::folder).collect();
    problems.extend(docs::check(&files));
    problems.extend(citations::check(&files, &folders));
    if problems.is_empty() {
        eprintln!("{} packages and {} files are tidy", packages.len(), files.len());
        return Ok(());
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    bail!("{} rules broken", problems.len())
}
