//! What documentation says about the source: every file, module and test that a page names exists.
//!
//! In Markdown, a code span `path/to/file.rs: name` cites a test, and a span that begins with a folder of the
//! workspace cites a file or folder. In the code map of `ARCHITECTURE.md`, a section on a crate names its files
//! (`engine.rs`, `rules/`) as seen from its folder `src`, and an item of a list begins with the name of a module.

use super::Problem;
use super::files::Files;

/// The page with the code map and the invariants.
pub(super) const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Checks all of it. `folders` are those of the workspace's packages.
pub(super) fn check(files: &Files, folders: &[&str]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in files.texts().filter(|(path, _)| path.ends_with(".md")) {
        for Span { line, code } in spans(text) {
            if let Some(what) = broken(files, code) {
                problems.push(Problem::new(path, line, what));
            }
        }
    }
    problems.extend(code_map(files, folders));
    problems.extend(invariants(files));
    problems
}

/// A code span of a Markdown text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span<'a> {
    line: usize,
    code: &'a str,
}

/// The lines of a Markdown text outside of fenced code, with their numbers.
pub(super) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced).then_some((index + 1, line))
    })
}

/// The code spans of a Markdown text, each within one line.
fn spans(text: &str) -> impl Iterator<Item = Span<'_>> {
    prose(text).flat_map(|(line, text)| {
        let codes = text.split('`').skip(1).step_by(2);
        codes.map(move |code| Span { line, code })
    })
}

/// The file and the name of a test that a code span cites.
fn cited_test(code: &str) -> Option<(&str, &str)> {
    let (stem, _) = code.split_once(".rs: ")?;
    Some((&code[..stem.len() + 3], &code[stem.len() + 5..]))
}

/// What is wrong with what a code span cites.
fn broken(files: &Files, code: &str) -> Option<String> {
    if let Some((path, test)) = cited_test(code) {
        let text = files.text(path).unwrap_or_default();
        return (!has_test(text, test)).then(|| format!("there is no test `{test}` in {path}"));
    }
    let (folder, _) = code.split_once('/')?;
    let cites = !folder.is_empty() && !code.contains(char::is_whitespace) && files.exists(folder);
    (cites && !files.exists(code)).then(|| format!("there is no `{code}`"))
}

/// Whether a source file has a function of this name that is marked as a test.
fn has_test(source: &str, name: &str) -> bool {
    let signature = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    lines.iter().enumerate().any(|(index, line)| {
        let above = lines[..index].iter().rev();
        let mut attributes = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        line.starts_with(&signature) && attributes.any(|&line| line == "#[test]")
    })
}

/// Every package has a section "### `folder`", and the files and modules that a section names exist.
fn code_map(files: &Files, folders: &[&str]) -> Vec<Problem> {
    let text = files.text(ARCHITECTURE).unwrap_or_default();
    let mut problems: Vec<Problem> = folders
        .iter()
        .filter(|folder| {
            let heading = format!("### `{folder}`");
            !text.lines().any(|line| line == heading)
        })
        .map(|folder| {
            let what = format!("the code map has no section on `{folder}`");
            Problem::new(ARCHITECTURE, 0, what)
        })
        .collect();
    let mut section = None;
    for (line, text) in prose(text) {
        if text.starts_with('#') {
            section = folders.iter().find(|folder| text == format!("### `{folder}`"));
        }
        let Some(folder) = section else { continue };
        let item = text.strip_prefix("- `").and_then(|rest| rest.split('`').next());
        if let Some(module) = item {
            let places = [".rs", "/mod.rs"].map(|end| format!("{folder}/src/{module}{end}"));
            if !places.iter().any(|place| files.exists(place)) {
                let what = format!("there is no module `{module}` in {folder}");
                problems.push(Problem::new(ARCHITECTURE, line, what));
            }
        }
        for code in text.split('`').skip(1).step_by(2) {
            let file = code.ends_with(".rs") || code.ends_with('/');
            let from_root = code.split_once('/').is_some_and(|(first, _)| files.exists(first));
            if file && !from_root && !files.exists(&format!("{folder}/src/{code}")) {
                let what = format!("there is no `{code}` in {folder}/src");
                problems.push(Problem::new(ARCHITECTURE, line, what));
            }
        }
    }
    problems
}

/// Invariants are numbered items below the heading `## Invariants`; each cites a test.
fn invariants(files: &Files) -> Vec<Problem> {
    let mut items: Vec<(usize, bool)> = Vec::new();
    let mut inside = false;
    for (number, line) in prose(files.text(ARCHITECTURE).unwrap_or_default()) {
        let cites = line
            .split('`')
            .skip(1)
            .step_by(2)
            .any(|code| cited_test(code).is_some());
        if line.starts_with("## ") {
            inside = line == "## Invariants";
        } else if inside && line.starts_with(|c: char| c.is_ascii_digit()) {
            items.push((number, cites));
        } else if inside && let Some((_, cited)) = items.last_mut() {
            *cited |= cites;
        }
    }
    let silent = items.into_iter().filter(|(_, cited)| !cited);
    silent
        .map(|(line, _)| Problem::new(ARCHITECTURE, line, "an invariant that names no test"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(files: &[(&str, &str)], folders: &[&str]) -> Vec<String> {
        check(&Files::of(files), folders)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    const SOURCE: &str = "//! A.\n#[test]\n/// Good.\nfn good() {}\n\nfn helper() {}\n";

    #[test]
    fn invariants_name_tests_that_exist() {
        let text = "# A\n\n## Invariants\n\n1. One. Held by\n   `x/src/a.rs: good`.\n2. Two.\n\
                    3. Three: `x/src/a.rs: bad`.\n\n## More\n\n1. No.\n";
        assert_eq!(
            problems(&[("ARCHITECTURE.md", text), ("x/src/a.rs", SOURCE)], &[]),
            [
                "ARCHITECTURE.md:8: there is no test `bad` in x/src/a.rs",
                "ARCHITECTURE.md:7: an invariant that names no test",
            ]
        );
    }

    #[test]
    fn pages_cite_tests_and_files_that_exist() {
        let page = "`x/src/a.rs: good` `x/src/a.rs: helper` `x/src/b.rs: good`\n`x/src` `x/src/b.rs` `y/z.rs`\n\
                    `a / b` `x / y`\n```text\n`x/src/c.rs`\n```\n`x/src/d.rs`\n";
        assert_eq!(
            problems(&[("docs/a.md", page), ("x/src/a.rs", SOURCE)], &[]),
            [
                "docs/a.md:1: there is no test `helper` in x/src/a.rs",
                "docs/a.md:1: there is no test `good` in x/src/b.rs",
                "docs/a.md:2: there is no `x/src/b.rs`",
                "docs/a.md:7: there is no `x/src/d.rs`",
            ]
        );
    }

    #[test]
    fn the_code_map_is_true() {
        let text = "## Code map\n\n### `x`\n\n`a.rs`, `ops/` and `.npy`.\n\n- `a` is there.\n- `deep` too.\n- `b` is not.\n\
                    `gone.rs`, `x/src/ops/` and `lost/`.\n\n### More\n\n`gone.rs`\n";
        let files = [
            ("ARCHITECTURE.md", text),
            ("x/src/a.rs", SOURCE),
            ("x/src/deep/mod.rs", SOURCE),
            ("x/src/ops/c.rs", SOURCE),
        ];
        assert_eq!(
            problems(&files, &["x", "y"]),
            [
                "ARCHITECTURE.md: the code map has no section on `y`",
                "ARCHITECTURE.md:9: there is no module `b` in x",
                "ARCHITECTURE.md:10: there is no `gone.rs` in x/src",
                "ARCHITECTURE.md:10: there is no `lost/` in x/src",
            ]
        );
    }
}
