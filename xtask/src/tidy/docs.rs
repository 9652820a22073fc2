//! Documentation: licences are there, links resolve, every page under `docs/` can be reached from its index.

use std::collections::BTreeSet;

use super::Problem;
use super::citations::prose;
use super::files::Files;

const INDEX: &str = "docs/README.md";
const LICENSES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// Checks all of it.
pub(crate) fn check(files: &Files) -> Vec<Problem> {
    let mut problems: Vec<Problem> = LICENSES
        .iter()
        .filter(|path| !files.exists(path))
        .map(|path| Problem::new(path, 0, "is missing"))
        .collect();
    for (path, text) in files.texts().filter(|(path, _)| path.ends_with(".md")) {
        for link in links(text) {
            if !leads_somewhere(files, path, &link) {
                let what = format!("the link to `{}` leads nowhere", link.target);
                problems.push(Problem::new(path, link.line, what));
            }
        }
    }
    problems.extend(unreachable(files));
    problems
}

/// A relative link of a Markdown file.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    /// With the `#fragment`, if there is one.
    target: String,
}

impl Link {
    /// The path and the fragment.
    fn parts(&self) -> (&str, Option<&str>) {
        match self.target.split_once('#') {
            Some((path, fragment)) => (path, Some(fragment)),
            None => (&self.target, None),
        }
    }
}

/// Whether the file of a link in `page` exists, and has a heading for the fragment.
fn leads_somewhere(files: &Files, page: &str, link: &Link) -> bool {
    let (path, fragment) = link.parts();
    let file = if path.is_empty() {
        page.to_string()
    } else {
        resolve(page, path)
    };
    let has_heading = |fragment: &str| {
        let text = files.text(&file).unwrap_or_default();
        prose(text).any(|(_, line)| line.starts_with('#') && anchor(line) == fragment)
    };
    files.exists(&file) && fragment.is_none_or(has_heading)
}

/// The fragment by which a heading is linked: its letters and digits in lower case, blanks as hyphens.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The relative links of a Markdown text, outside of code.
fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, text) in prose(text) {
        let without_code: String = text.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for piece in without_code.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !elsewhere {
                let target = target.to_string();
                links.push(Link { line, target });
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
            let target = resolve(&page, link.parts().0);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let ground = [
            ("LICENSE-MIT", ""),
            ("LICENSE-APACHE", ""),
            ("docs/README.md", "[a](a.md)\n"),
        ];
        check(&Files::of(&[&ground, files].concat()))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn links_resolve_from_where_they_stand() {
        let page = "[up](../README.md), [here](./a.md#a-part-in-3d \"title\"), [out](https://example.org#x), [folder](..)\n\
                    `[code](nowhere.md)`\n```text\n[fenced](nowhere.md)\n```\n[lost](b.md), [here](#a-part-in-3d)\n\
                    [lost](../README.md#a-part-in-3d)\n\n## A `part`, in 3d\n";
        assert_eq!(
            problems(&[("docs/a.md", page), ("README.md", "[docs](docs/)\n")]),
            [
                "docs/a.md:6: the link to `b.md` leads nowhere",
                "docs/a.md:7: the link to `../README.md#a-part-in-3d` leads nowhere",
            ]
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
            check(&Files::of(&[("LICENSE-MIT", "")]))
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["LICENSE-APACHE: is missing"]
        );
    }
}
