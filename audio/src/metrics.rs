//! How much of a text was recognised: word and character error rates.

use crate::functional::edit_distance;

/// Edits over the length of what was really said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorRate {
    /// Items that were inserted, deleted or replaced.
    pub edits: usize,
    /// Items of what was really said.
    pub items: usize,
}

impl ErrorRate {
    /// Adds a sequence of items and what was recognised of it.
    pub fn add<T: PartialEq>(&mut self, said: &[T], recognized: &[T]) {
        self.edits += edit_distance(said, recognized);
        self.items += said.len();
    }

    /// Adds the words of a text.
    pub fn add_words(&mut self, said: &str, recognized: &str) {
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        self.add(&words(said), &words(recognized));
    }

    /// Adds the characters of a text.
    pub fn add_chars(&mut self, said: &str, recognized: &str) {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        self.add(&letters(said), &letters(recognized));
    }

    /// The rate; more than 1 where more was recognised than said, and 0 if nothing was said.
    pub fn rate(&self) -> f64 {
        self.edits as f64 / self.items.max(1) as f64
    }
}

/// The word error rate of one text.
///
/// ```
/// # use flambeau_audio::metrics::{char_error_rate, word_error_rate};
/// assert_eq!(word_error_rate("turn the light on", "turn light off"), 0.5);
/// assert_eq!(char_error_rate("abcd", "abed"), 0.25);
/// ```
pub fn word_error_rate(said: &str, recognized: &str) -> f64 {
    let mut rate = ErrorRate::default();
    rate.add_words(said, recognized);
    rate.rate()
}

/// The character error rate of one text.
pub fn char_error_rate(said: &str, recognized: &str) -> f64 {
    let mut rate = ErrorRate::default();
    rate.add_chars(said, recognized);
    rate.rate()
}
