//! The tokeniser `basic_english` of torchtext, and sequences of words.

/// The words of a text as torchtext's `get_tokenizer("basic_english")` has them: small letters, marks by themselves, without
/// quotation marks, colons and semicolons.
///
/// ```
/// use flambeau_text::tokenize::basic_english;
///
/// assert_eq!(basic_english("Don't stop; \"now\"!"), ["don", "'", "t", "stop", "now", "!"]);
/// ```
pub fn basic_english(text: impl AsRef<str>) -> Vec<String> {
    let text = text
        .as_ref()
        .to_lowercase()
        .replace('"', "")
        .replace("<br />", " ");
    let mut spaced = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '\'' | '.' | ',' | '(' | ')' | '!' | '?' => spaced.extend([' ', letter, ' ']),
            ';' | ':' => spaced.push(' '),
            _ => spaced.push(letter),
        }
    }
    spaced.split_whitespace().map(str::to_string).collect()
}

/// All sequences of one to `most` words, the shorter ones first, joined by blanks (`ngrams_iterator`).
pub fn ngrams<S: AsRef<str>>(words: &[S], most: usize) -> Vec<String> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    (1..=most.min(words.len()))
        .flat_map(|n| words.windows(n).map(|window| window.join(" ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_torchtext() {
        // torchtext.data.get_tokenizer("basic_english") of torchtext 0.18.
        assert_eq!(
            basic_english("Basic English Normalization for a <br />Line of Text's (example): a.b, c!?"),
            [
                "basic",
                "english",
                "normalization",
                "for",
                "a",
                "line",
                "of",
                "text",
                "'",
                "s",
                "(",
                "example",
                ")",
                "a",
                ".",
                "b",
                ",",
                "c",
                "!",
                "?"
            ]
        );
        assert!(basic_english(" \t\n;\"").is_empty());
        assert_eq!(basic_english("ÄRGER 北京"), ["ärger", "北京"]);
    }

    #[test]
    fn sequences_of_words() {
        assert_eq!(
            ngrams(&["here", "we", "are"], 2),
            ["here", "we", "are", "here we", "we are"]
        );
        assert!(ngrams::<&str>(&[], 3).is_empty());
    }
}
