//! Makes a program of the tables of `docs/for-pytorch-users.md`: the imports of the block marked `idioms`, then the right-hand
//! sides of all rows below it. So what the page shows is what the test `idioms` runs.

use std::path::PathBuf;
use std::{env, fs, io};

const PAGE: &str = "../docs/for-pytorch-users.md";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={PAGE}");
    println!("cargo::rerun-if-changed=build.rs");
    let page = fs::read_to_string(PAGE)?;
    let after = page.split_once("```rust,idioms\n").map_or("", |(_, after)| after);
    let (imports, tables) = after.split_once("```").unwrap_or_default();
    let rows: Vec<String> = tables.lines().filter_map(code).collect();
    let program = format!(
        "{imports}\n/// Rows of the tables.\nconst ROWS: usize = {};\n\nfn idioms() -> Result<()> {{\n{}\nOk(())\n}}\n",
        rows.len(),
        rows.join("\n"),
    );
    let directory = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs::write(directory.join("idioms.rs"), program)
}

/// The second cell of a row of the form ``| `PyTorch` | `Flambeau` |``.
fn code(row: &str) -> Option<String> {
    let (_, cell) = row.strip_prefix("| `")?.split_once(" | `")?;
    // Within a table, a bar is written with a backslash before it.
    Some(cell.strip_suffix("` |")?.replace("\\|", "|"))
}
