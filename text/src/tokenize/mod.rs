//! Texts as numbers: a plain tokeniser and a [`Vocab`] (`torchtext`), or a [`Tokenizer`] of Hugging Face's files; both as
//! batches of one length.
//!
//! ```
//! use flambeau_text::tokenize::{Vocab, VocabOptions, basic_english, pad};
//!
//! # fn main() -> flambeau_tensor::Result<()> {
//! let texts = ["You can now install TorchText using pip!", "You can."].map(basic_english);
//! assert_eq!(texts[1], ["you", "can", "."]);
//! let options = VocabOptions { specials: &["<pad>", "<unk>"], default: Some("<unk>"), ..VocabOptions::default() };
//! let vocab = Vocab::build(&texts, &options)?;
//! let ids = texts.iter().map(|text| vocab.ids(text)).collect::<Result<Vec<_>, _>>()?;
//! let (ids, lengths) = pad(&ids, 0, Some(5))?;
//! assert_eq!(ids.shape(), [2, 5]);
//! assert_eq!(lengths, [5, 3]);
//! # Ok(())
//! # }
//! ```

mod basic;
mod tokenizer;
mod vectors;
mod vocab;

use flambeau_tensor::{Result, Tensor, ensure};

pub use basic::{basic_english, ngrams};
pub use tokenizer::{Batch, EncodeOptions, Tokenizer};
pub use vectors::Vectors;
pub use vocab::{Vocab, VocabOptions};

/// Texts in one tensor `[batch, longest]`, shorter ones filled up with `pad` at their end and longer ones than `most` cut
/// there; and how long each is. An empty text is one token of padding.
///
/// # Errors
/// `Value` for no text, and for texts of no tokens at most.
pub fn pad<T: AsRef<[i64]>>(texts: &[T], pad: i64, most: Option<usize>) -> Result<(Tensor, Vec<usize>)> {
    let most = most.unwrap_or(usize::MAX);
    ensure!(!texts.is_empty(), Value, "pad: expected at least one text");
    ensure!(most > 0, Value, "pad: texts of at most no tokens");
    let lengths: Vec<usize> = texts
        .iter()
        .map(|text| text.as_ref().len().clamp(1, most))
        .collect();
    let longest = lengths.iter().copied().max().unwrap_or(1);
    let mut ids = vec![pad; texts.len() * longest];
    for (row, (text, &length)) in ids.chunks_mut(longest).zip(texts.iter().zip(&lengths)) {
        let text = text.as_ref();
        let length = length.min(text.len());
        row[..length].copy_from_slice(&text[..length]);
    }
    Ok((Tensor::from_vec(ids, (texts.len(), longest))?, lengths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_up_and_cut() {
        let (ids, lengths) = pad(&[vec![1, 2, 3, 4], vec![5], vec![]], 0, Some(3)).unwrap();
        assert_eq!(ids.to_vec2::<i64>().unwrap(), [[1, 2, 3], [5, 0, 0], [0, 0, 0]]);
        assert_eq!(lengths, [3, 1, 1]);
        assert!(pad::<Vec<i64>>(&[], 0, None).is_err());
        assert!(pad(&[[1i64]], 0, Some(0)).is_err());
    }
}
