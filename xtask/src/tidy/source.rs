//! What a source file looks like.

use super::Problem;
use super::files::Files;
use super::mask::mask;

/// A file longer than this wants splitting.
const MAX_LINES: usize = 600;

/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Things that no source file may hold, and what to say about them.
const FORBIDDEN: [(&str, &str); 3] = [
    ("todo!", "unfinished code: `todo!`"),
    ("unimplemented!", "unfinished code: `unimplemented!`"),
    ("#[ignore", "a test that does not run: `#[ignore]`"),
];

const CANDLE: [&str; 3] = ["candle_core", "candle_nn", "candle_transformers"];

const NETWORK: [&str; 8] = [
    "std::net",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "hf_hub",
    "reqwest::",
    "ureq::",
];

/// The folders that have a door to somewhere, if there are such: no other folder's sources may name what is behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors<'a> {
    pub(crate) candle: Option<&'a str>,
    pub(crate) network: Option<&'a str>,
}

/// Checks all text files.
pub(crate) fn check_all(files: &Files, doors: Doors<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in files.texts() {
        problems.extend(blanks(path, text));
        if path.ends_with(".rs") {
            problems.extend(rust(path, text, doors));
        }
    }
    for &(path, reason) in LONG_FILES {
        let lines = files.text(path).map_or(0, |text| text.lines().count());
        if lines <= MAX_LINES {
            problems.push(Problem::new(
                path,
                0,
                format!("needs no exception from the {MAX_LINES} lines any more ({reason})"),
            ));
        }
    }
    problems
}

/// Tabs and trailing blanks.
fn blanks(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.contains('\t') {
            problems.push(Problem::new(path, number + 1, "a tab; use blanks"));
        }
        if line.ends_with(char::is_whitespace) {
            problems.push(Problem::new(path, number + 1, "trailing blanks"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        problems.push(Problem::new(path, 0, "no line break at the end"));
    }
    problems
}

/// The header, the length, and what code may not hold.
fn rust(path: &str, text: &str, doors: Doors<'_>) -> Vec<Problem> {
    let folder = path.split_once('/').map(|(folder, _)| folder);
    let has = |door: Option<&str>| folder.is_some() && folder == door;
    let mut problems = Vec::new();
    if !text.starts_with("//! ") {
        problems.push(Problem::new(
            path,
            1,
            "no `//!` header that says what the file is",
        ));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES && !is_test(path) && !LONG_FILES.iter().any(|(long, _)| *long == path) {
        problems.push(Problem::new(
            path,
            0,
            format!("{lines} lines, more than {MAX_LINES}: split it"),
        ));
    }
    for (number, line) in mask(text).lines().enumerate() {
        for (what, message) in FORBIDDEN {
            if line.contains(what) {
                problems.push(Problem::new(path, number + 1, message));
            }
        }
        if !has(doors.candle) && names(line, &CANDLE) {
            problems.push(Problem::new(path, number + 1, "names candle; only `tensor` may"));
        }
        if !has(doors.network) && names(line, &NETWORK) {
            problems.push(Problem::new(
                path,
                number + 1,
                "names the network; only `hub` may",
            ));
        }
    }
    problems
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests") || path.ends_with("tests.rs")
}

fn names(code: &str, words: &[&str]) -> bool {
    words.iter().any(|word| code.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let doors = Doors {
            candle: Some("tensor"),
            network: Some("hub"),
        };
        check_all(&Files::of(&[(path, text)]), doors)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_good_file_passes() {
        let text =
            "//! What it is.\n\nfn main() {\n    println!(\"todo! candle_core #[ignore]\"); // todo!\n}\n";
        assert_eq!(problems("a/src/main.rs", text), Vec::<String>::new());
    }

    #[test]
    fn each_rule_names_the_line() {
        let cases = [
            (
                "fn f() {}\n",
                "a.rs:1: no `//!` header that says what the file is",
            ),
            ("//! A.\n\tlet x;\n", "a.rs:2: a tab; use blanks"),
            ("//! A.\nlet x; \n", "a.rs:2: trailing blanks"),
            ("//! A.\nlet x;", "a.rs: no line break at the end"),
            ("//! A.\nfn f() { todo!() }\n", "a.rs:2: unfinished code: `todo!`"),
            (
                "//! A.\n\n#[ignore = \"slow\"]\n",
                "a.rs:3: a test that does not run: `#[ignore]`",
            ),
            (
                "//! A.\nuse candle_core::Tensor;\n",
                "a.rs:2: names candle; only `tensor` may",
            ),
            (
                "//! A.\nlet s = std::net::TcpStream::connect(a);\n",
                "a.rs:2: names the network; only `hub` may",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(problems("a.rs", text), [want]);
        }
    }

    #[test]
    fn whoever_has_the_door_may_name_what_is_behind_it() {
        let (candle, network) = (
            "//! A.\nuse candle_core::Tensor;\n",
            "//! A.\nuse std::net::TcpStream;\n",
        );
        assert!(problems("tensor/src/lib.rs", candle).is_empty());
        assert!(problems("hub/tests/all/server.rs", network).is_empty());
        assert_eq!(problems("hub/src/lib.rs", candle).len(), 1);
        assert_eq!(problems("tensor/src/lib.rs", network).len(), 1);
    }

    #[test]
    fn long_files_want_splitting_unless_they_are_tests() {
        let text = format!("//! A.\n{}", "fn f() {}\n".repeat(MAX_LINES));
        assert_eq!(
            problems("a/src/lib.rs", &text),
            ["a/src/lib.rs: 601 lines, more than 600: split it"]
        );
        assert!(problems("a/tests/all.rs", &text).is_empty());
        assert!(problems("a/src/lib_tests.rs", &text).is_empty());
    }
}
