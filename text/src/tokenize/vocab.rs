//! Numbers of tokens (`torchtext.vocab.Vocab`).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use flambeau_tensor::{Result, bail, ensure};

use crate::files;

/// How a [`Vocab`] is made from texts.
#[derive(Clone, Copy, Debug)]
pub struct VocabOptions<'a> {
    /// How often a token must occur.
    pub min_freq: usize,
    /// How many tokens there are at most, special ones included.
    pub max_tokens: Option<usize>,
    /// Tokens that come first, whether they occur or not.
    pub specials: &'a [&'a str],
    /// The token that stands for those that have no number.
    pub default: Option<&'a str>,
}

impl Default for VocabOptions<'_> {
    fn default() -> Self {
        VocabOptions {
            min_freq: 1,
            max_tokens: None,
            specials: &[],
            default: None,
        }
    }
}

/// Tokens and their numbers.
#[derive(Clone, Debug)]
pub struct Vocab {
    tokens: Vec<String>,
    numbers: HashMap<String, i64>,
    default: Option<i64>,
}

impl Vocab {
    /// Tokens in the order of their numbers; `default` is the number of all others.
    ///
    /// # Errors
    /// `Value` for a token that comes twice and for a default that is not there.
    pub fn new(tokens: Vec<String>, default: Option<&str>) -> Result<Vocab> {
        let mut numbers = HashMap::with_capacity(tokens.len());
        for (number, token) in tokens.iter().enumerate() {
            let before = numbers.insert(token.clone(), number as i64);
            ensure!(before.is_none(), Value, "Vocab: token {token:?} comes twice");
        }
        let default = match default {
            Some(token) => match numbers.get(token) {
                Some(&number) => Some(number),
                None => bail!(Value, "Vocab: the default {token:?} is no token of it"),
            },
            None => None,
        };
        Ok(Vocab {
            tokens,
            numbers,
            default,
        })
    }

    /// The tokens of texts by how often they occur, those that occur as often by the alphabet
    /// (`build_vocab_from_iterator`).
    ///
    /// # Errors
    /// `Value` for special tokens that come twice or are more than `max_tokens`, and for a default that is not there.
    pub fn build<T, S>(texts: T, options: &VocabOptions<'_>) -> Result<Vocab>
    where
        T: IntoIterator,
        T::Item: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut counts = BTreeMap::<String, usize>::new();
        for token in texts.into_iter().flatten() {
            match counts.get_mut(token.as_ref()) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(token.as_ref().to_string(), 1);
                }
            }
        }
        let mut tokens: Vec<String> = options.specials.iter().map(|token| token.to_string()).collect();
        tokens.iter().for_each(|special| {
            counts.remove(special);
        });
        let most = options.max_tokens.unwrap_or(usize::MAX);
        ensure!(
            tokens.len() <= most,
            Value,
            "Vocab: {} special tokens are more than {most} tokens",
            tokens.len()
        );
        // The alphabet's order is kept among equals.
        let mut others: Vec<(String, usize)> = counts.into_iter().collect();
        others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let often = others.into_iter().filter(|(_, count)| *count >= options.min_freq);
        tokens.extend(often.map(|(token, _)| token).take(most - tokens.len()));
        Vocab::new(tokens, options.default)
    }

    /// The tokens of a file with one in each line, such as `vocab.txt`.
    ///
    /// # Errors
    /// `Io` if the file can't be read; `Value` with its name for a token that comes twice and for a default that is not
    /// there.
    pub fn read(path: impl AsRef<Path>, default: Option<&str>) -> Result<Vocab> {
        let place = path.as_ref().display();
        let text = files::read_text(&path)?;
        let tokens = text.lines().map(str::to_string).collect();
        Vocab::new(tokens, default).map_err(|error| error.context(place))
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens in the order of their numbers.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The token's number, or the default one; none if there is neither.
    pub fn get(&self, token: &str) -> Option<i64> {
        self.numbers.get(token).copied().or(self.default)
    }

    /// Whether the token has a number of its own.
    pub fn contains(&self, token: &str) -> bool {
        self.numbers.contains_key(token)
    }

    /// The numbers of a text's tokens.
    ///
    /// # Errors
    /// `Key` for a token without a number if there is no default.
    pub fn ids<S: AsRef<str>>(&self, tokens: &[S]) -> Result<Vec<i64>> {
        let number = |token: &S| match self.get(token.as_ref()) {
            Some(number) => Ok(number),
            None => bail!(
                Key,
                "Vocab: token {:?} has no number, and there is no default",
                token.as_ref()
            ),
        };
        tokens.iter().map(number).collect()
    }

    /// The token of a number.
    ///
    /// # Errors
    /// `Index` if there is none.
    pub fn token(&self, id: i64) -> Result<&str> {
        let token = usize::try_from(id).ok().and_then(|id| self.tokens.get(id));
        match token {
            Some(token) => Ok(token),
            None => bail!(Index, "Vocab: number {id} of {} tokens", self.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_ordered_as_in_torchtext() {
        let texts = [["b", "a", "c"], ["c", "b", "<unk>"], ["d", "b", "a"]];
        let options = VocabOptions {
            min_freq: 2,
            specials: &["<pad>", "<unk>"],
            default: Some("<unk>"),
            ..VocabOptions::default()
        };
        let vocab = Vocab::build(texts, &options).unwrap();
        assert_eq!(vocab.tokens(), ["<pad>", "<unk>", "b", "a", "c"]);
        assert_eq!(vocab.ids(&["a", "z", "<pad>"]).unwrap(), [3, 1, 0]);
        assert_eq!(vocab.token(2).unwrap(), "b");
        assert!(vocab.token(5).is_err() && vocab.token(-1).is_err());
        let small = VocabOptions {
            max_tokens: Some(3),
            ..options
        };
        assert_eq!(
            Vocab::build(texts, &small).unwrap().tokens(),
            ["<pad>", "<unk>", "b"]
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |result: Result<Vocab>| result.err().map(|error| error.to_string()).unwrap_or_default();
        let twice = vec!["a".to_string(), "a".to_string()];
        assert_eq!(message(Vocab::new(twice, None)), "Vocab: token \"a\" comes twice");
        let one = Vocab::new(vec!["a".to_string()], Some("b"));
        assert_eq!(message(one), "Vocab: the default \"b\" is no token of it");
        let none = Vocab::new(vec!["a".to_string()], None).unwrap();
        assert_eq!(
            none.ids(&["b"]).unwrap_err().to_string(),
            "Vocab: token \"b\" has no number, and there is no default"
        );
    }
}
