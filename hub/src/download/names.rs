//! Names that come from users and servers: which may become a part of a URL or of a path, and how patterns choose files.

use flambeau_tensor::{Result, ensure};

/// Longer names than this can't be those of files, once a suffix is added.
const MAX_LEN: usize = 200;

/// A repository: `name` or `owner/name`, as the hub allows them.
pub(super) fn check_repo(name: &str) -> Result<()> {
    let part_is_fine = |part: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
    };
    ensure!(
        name.len() <= 96 && name.split('/').count() <= 2 && name.split('/').all(part_is_fine),
        Value,
        "hub: {name:?} is no name of a repository: `owner/name` of letters, digits, `-`, `_` and `.` is expected"
    );
    Ok(())
}

/// A branch, a tag or a commit. Slashes may separate parts, as in `refs/pr/1`.
pub(super) fn check_revision(revision: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+' | '@' | '=');
    ensure!(
        revision.chars().all(allowed) && is_relative_path(revision),
        Value,
        "hub: {revision:?} is no revision: the name of a branch or tag, or a commit's hash, is expected"
    );
    Ok(())
}

/// A file in a repository. The name becomes a path on this machine, whoever sent it, so it must stay in its folder.
pub(super) fn check_file(file: &str) -> Result<()> {
    ensure!(
        is_relative_path(file),
        Value,
        "hub: {file:?} is no file of a repository: a relative path with `/` between its parts is expected"
    );
    Ok(())
}

fn is_relative_path(path: &str) -> bool {
    path.len() <= 4096
        && path.split('/').all(|part| {
            let harmless = !part.contains(['\\', ':']) && !part.chars().any(char::is_control);
            harmless && !matches!(part, "" | "." | "..") && part.len() <= MAX_LEN
        })
}

/// Whether a server's word, such as an ETag, can be the name of a file.
pub(super) fn is_file_name(word: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !word.is_empty() && word.len() <= MAX_LEN && !word.starts_with('.') && word.chars().all(allowed)
}

/// Whether a revision is the full hash of a commit: what it names never changes.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && is_hex(revision)
}

/// Whether an ETag is the SHA-256 of the content, as it is for files in the hub's large storage.
pub(super) fn is_sha256(etag: &str) -> bool {
    etag.len() == 64 && is_hex(etag)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `text` as a part of a URL's path. Slashes stay if they separate parts.
pub(super) fn percent_encoded(text: &str, keep_slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b'/' if keep_slashes => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whether `name` matches a pattern of Python's `fnmatch`, as `allow_patterns` has them: `*` is any text, slashes
/// included, `?` any character, `[a-z]` and `[!a-z]` one of these or none of them. A pattern that ends with `/` is all
/// that the folder holds.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut pattern: Vec<char> = pattern.chars().collect();
    if pattern.last() == Some(&'/') {
        pattern.push('*');
    }
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to go on if the rest does not match: the last star takes one character more.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(len) = one_matches(&pattern[p..], name[n]) {
            (p, n) = (p + len, n + 1);
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            (p, n) = (after, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// The length of the pattern's first element if it matches `c`.
fn one_matches(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => {
            let negated = rest.first() == Some(&'!');
            let set = &rest[usize::from(negated)..];
            // A bracket in the first place belongs to the set; one that nothing closes is a plain character.
            let Some(end) = set.iter().skip(1).position(|&c| c == ']').map(|i| i + 1) else {
                return (c == '[').then_some(1);
            };
            let len = 1 + usize::from(negated) + end + 1;
            (set_has(&set[..end], c) != negated).then_some(len)
        }
        [first, ..] => (*first == c).then_some(1),
        [] => None,
    }
}

fn set_has(mut set: &[char], c: char) -> bool {
    while let [first, rest @ ..] = set {
        let found = match rest {
            ['-', last, rest @ ..] => {
                set = rest;
                (*first..=*last).contains(&c)
            }
            _ => {
                set = rest;
                *first == c
            }
        };
        if found {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for good in ["gpt2", "org/model", "Org_1/model.v2-x"] {
            assert!(check_repo(good).is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/b/c", "../a", "a/..", "a--b/c", "a b", "a/b?", "-a", "a.", "a/", "ü",
        ] {
            assert!(check_repo(bad).is_err(), "{bad}");
        }
        for good in ["main", "refs/pr/1", "v1.0+x", "feature/a_b"] {
            assert!(check_revision(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/../b", "/a", "a/", "a b", "a%2Fb", "a#b", "a\\b"] {
            assert!(check_revision(bad).is_err(), "{bad}");
        }
        for good in ["config.json", "a/b c/ü#1%.txt", "..a"] {
            assert!(check_file(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "a//b",
            "../a",
            "a/..",
            "./a",
            "c:a",
            "a\\b",
            "a\nb",
        ] {
            assert!(check_file(bad).is_err(), "{bad}");
        }
        for bad in ["", ".", "..", "a/b", "a b", ".a", "W/\"a\""] {
            assert!(!is_file_name(bad), "{bad}");
        }
        assert!(is_file_name("d41d8cd98f00b204e9800998ecf8427e-2"));
    }

    #[test]
    fn urls_are_escaped_byte_by_byte() {
        assert_eq!(percent_encoded("a b/ü#?%.txt", true), "a%20b/%C3%BC%23%3F%25.txt");
        assert_eq!(percent_encoded("refs/pr/1", false), "refs%2Fpr%2F1");
    }

    #[test]
    fn patterns_are_those_of_fnmatch() {
        let matching = [
            ("*", "a/b"),
            ("*.json", "a/b.json"),
            ("*.safetensors", "model-00001-of-00002.safetensors"),
            ("a?c", "abc"),
            ("a*b*c", "a-bb-c"),
            ("[ab]x", "bx"),
            ("[a-c]x", "cx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[!]]", "a"),
            ("[a", "[a"),
            ("x[-a]", "x-"),
            ("data/", "data/x/y"),
            ("", ""),
            ("**", ""),
        ];
        for (pattern, name) in matching {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        let differing = [
            ("*.json", "a.jsonl"),
            ("a?c", "ac"),
            ("a*b*c", "a-b-d"),
            ("[a-c]x", "dx"),
            ("[!a-c]x", "ax"),
            ("[]]", "["),
            ("A", "a"),
            ("data/", "data2/x"),
            ("", "a"),
        ];
        for (pattern, name) in differing {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
