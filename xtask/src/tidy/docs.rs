//! Documentation: licences are there, links resolve, every page under `docs/` can be reached from its index, every crate
//! is in the code map of `ARCHITECTURE.md`, and every invariant there names the test that holds it.

use std::collections::BTreeSet;

use super::Problem;
use super::files::Files;

const INDEX: &str = "docs/README.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";
const LICENSES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// Checks all of it. `folders` are those of the workspace's packages.
pub(crate) fn check(files: &Files, folders: &[&str]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = LICENSES
        .iter()
        .filter(|path| !files.exists(path))
        .map(|path| Problem::new(path, 0, "is missing"))
        .collect();
    for (path, text) in files.texts().filter(|(path, _)| path.ends_with(".md")) {
        for link in links(text) {
            if !files.exists(&resolve(path, &link.target)) {
                problems.push(Problem::new(
                    path,
                    link.line,
                    format!("the link to `{}` leads nowhere", link.target),
                ));
            }
        }
    }
    problems.extend(unreachable(files));
    problems.extend(code_map(files, folders));
    problems.extend(invariants(files));
    problems
}

/// A relative link of a Markdown file, without its `#fragment`.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    target: String,
}

/// The relative links of a Markdown text, outside of code.
fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
            for piece in prose.split("](").skip(1) {
                let target = piece.split([')', ' ', '#']).next().unwrap_or_default();
                let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
                if !elsewhere {
                    links.push(Link {
                        line: number + 1,
                        target: target.to_string(),
                    });
                }
            }
        }
    }
    links
}

/// The path, from the root, that a link in `file` means.
fn resolve(file: &str, target: &str) -> String {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if !parts.is_empty() => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Pages under `docs/` that no chain of links from the index reaches.
fn unreachable(files: &Files) -> Vec<Problem> {
    let mut reached = BTreeSet::from([INDEX.to_string()]);
    let mut queue = vec![INDEX.to_string()];
    while let Some(page) = queue.pop() {
        for link in files.text(&page).map(links).unwrap_or_default() {
            let target = resolve(&page, &link.target);
            if target.ends_with(".md") && reached.insert(target.clone()) {
                queue.push(target);
            }
        }
    }
    files
        .texts()
        .filter(|(path, _)| path.starts_with("docs/") && path.ends_with(".md") && !reached.contains(*path))
        .map(|(path, _)| Problem::new(path, 0, format!("cannot be reached from {INDEX}")))
        .collect()
}

/// Every package has a section "### `folder`".
fn code_map(files: &Files, folders: &[&str]) -> Vec<Problem> {
    let text = files.text(ARCHITECTURE).unwrap_or_default();
    folders
        .iter()
        .filter(|folder| {
            let heading = format!("### `{folder}`");
            !text.lines().any(|line| line == heading)
        })
        .map(|folder| {
            Problem::new(
                ARCHITECTURE,
                0,
                format!("the code map has no section on `{folder}`"),
            )
        })
        .collect()
}

/// Invariants are numbered items below the heading `## Invariants`; each holds a code span `path/to/file.rs: test_name`.
fn invariants(files: &Files) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut items: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in files.text(ARCHITECTURE).unwrap_or_default().lines().enumerate() {
        if line.starts_with("## ") {
            inside = line == "## Invariants";
        } else if inside && line.starts_with(|c: char| c.is_ascii_digit()) {
            items.push((number + 1, line.to_string()));
        } else if inside && let Some((_, item)) = items.last_mut() {
            item.push('\n');
            item.push_str(line);
        }
    }
    for (line, item) in items {
        let tests: Vec<(&str, &str)> = item
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(|span| span.split_once(".rs: "))
            .collect();
        if tests.is_empty() {
            problems.push(Problem::new(
                ARCHITECTURE,
                line,
                "an invariant that names no test",
            ));
        }
        for (stem, test) in tests {
            let text = files.text(&format!("{stem}.rs")).unwrap_or_default();
            if !text.contains(&format!("fn {test}(")) {
                problems.push(Problem::new(
                    ARCHITECTURE,
                    line,
                    format!("there is no test `{test}` in {stem}.rs"),
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let ground = [
            ("LICENSE-MIT", ""),
            ("LICENSE-APACHE", ""),
            ("docs/README.md", "[a](a.md)\n"),
        ];
        check(&Files::of(&[&ground, files].concat()), &[])
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn links_resolve_from_where_they_stand() {
        let page = "[up](../README.md), [here](./a.md#part \"title\"), [out](https://example.org), [folder](..)\n\
                    `[code](nowhere.md)`\n```text\n[fenced](nowhere.md)\n```\n[lost](b.md)\n";
        assert_eq!(
            problems(&[("docs/a.md", page), ("README.md", "[docs](docs/)\n")]),
            ["docs/a.md:6: the link to `b.md` leads nowhere"]
        );
    }

    #[test]
    fn pages_are_reached_from_the_index() {
        let files = [
            ("docs/a.md", "[b](more/b.md)\n"),
            ("docs/more/b.md", "\n"),
            ("docs/more/c.md", "\n"),
        ];
        assert_eq!(
            problems(&files),
            ["docs/more/c.md: cannot be reached from docs/README.md"]
        );
    }

    #[test]
    fn licences_are_there() {
        assert_eq!(
            check(&Files::of(&[("LICENSE-MIT", "")]), &[])
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["LICENSE-APACHE: is missing"]
        );
    }

    #[test]
    fn invariants_name_tests_that_exist() {
        let text = "# A\n\n## Invariants\n\n1. One. Held by\n   `x/src/a.rs: good`.\n2. Two.\n3. Three: `x/src/a.rs: bad`.\n\n## More\n\n1. No.\n";
        assert_eq!(
            problems(&[
                ("docs/a.md", "\n"),
                ("ARCHITECTURE.md", text),
                ("x/src/a.rs", "//! A.\n#[test]\nfn good() {}\n"),
            ]),
            [
                "ARCHITECTURE.md:7: an invariant that names no test",
                "ARCHITECTURE.md:8: there is no test `bad` in x/src/a.rs",
            ]
        );
    }

    #[test]
    fn every_crate_is_in_the_code_map() {
        let files = Files::of(&[(
            "ARCHITECTURE.md",
            "## Code map\n\n### `kernels`\n\n`xtask` is small.\n",
        )]);
        let problems = code_map(&files, &["kernels", "xtask"]);
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["ARCHITECTURE.md: the code map has no section on `xtask`"]
        );
    }
}
