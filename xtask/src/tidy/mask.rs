//! Rust source with its comments and literals blanked out, so that a rule about code sees code alone.

/// `source` with every byte of its comments, strings and character literals replaced by a blank. Line breaks stay, so
/// that line numbers hold.
pub(crate) fn mask(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    while let Some(&byte) = bytes.get(out.len()) {
        match literal_len(bytes, out.len()) {
            Some(len) => {
                let end = (out.len() + len).min(bytes.len());
                out.extend(
                    bytes[out.len()..end]
                        .iter()
                        .map(|&b| if b == b'\n' { b } else { b' ' }),
                );
            }
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The length of the comment or literal that begins at `at`, if one does.
fn literal_len(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let after_word = at > 0 && is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => Some(rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(block_comment_len(rest)),
        [b'"', ..] => Some(string_len(rest)),
        [b'\'', ..] => char_len(rest),
        [b'r', ..] if !after_word => raw_string_len(&rest[1..]).map(|len| len + 1),
        [b'b' | b'c', b'r', ..] if !after_word => raw_string_len(&rest[2..]).map(|len| len + 2),
        _ => None,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Block comments nest.
fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0usize, 0);
    while i + 1 < rest.len() {
        match &rest[i..i + 2] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    rest.len()
}

fn string_len(rest: &[u8]) -> usize {
    let mut i = 1;
    while i < rest.len() {
        match rest[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    rest.len()
}

/// What follows the `r`: hashes, a quote, text, a quote and as many hashes. `None` for a raw identifier.
fn raw_string_len(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&b| b == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = &rest[hashes + 1..];
    let end = body.windows(close.len()).position(|w| w == close);
    Some(end.map_or(rest.len(), |end| hashes + 1 + end + close.len()))
}

/// `None` for a lifetime.
fn char_len(rest: &[u8]) -> Option<usize> {
    let first = *rest.get(1)?;
    if first == b'\\' {
        let end = rest.iter().skip(3).position(|&b| b == b'\'')?;
        return Some(end + 4);
    }
    let width = match first {
        0x00..=0x7F => 1,
        0x80..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn comments_and_literals_vanish_and_code_stays() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y") + g"#, "f(      ) + g"),
            (r##"f(r#"a"b"#) + g"##, "f(        ) + g"),
            ("br\"a\" r#type", "      r#type"),
            ("fn f<'a>(x: &'a str) { 'x' }", "fn f<'a>(x: &'a str) {     }"),
            ("'\\'' + '\\n' + '\"' + b'a'", "     +      +     + b   "),
            ("'é'b", "    b"),
            ("for_r\"x\"", "for_r   "),
        ];
        for (source, want) in cases {
            assert_eq!(mask(source), want, "{source}");
        }
    }

    #[test]
    fn what_is_never_closed_is_masked_to_the_end() {
        for (source, want) in [("a \"b", "a   "), ("a /* b", "a     "), ("r#\"x\"", "     ")] {
            assert_eq!(mask(source), want, "{source}");
        }
    }
}
