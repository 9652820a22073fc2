//! The tokenisers of pretrained models, from Hugging Face's files: `tokenizer.json`, `vocab.txt` (WordPiece), `vocab.json`
//! with `merges.txt` (byte-level BPE). The work is done by the crate `tokenizers`.

use std::io::Write;
use std::path::Path;

use flambeau_tensor::{Error, Result, Tensor, bail, ensure, io};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer, Vocab as Numbers};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Encoding, TruncationParams};

use crate::files;

/// Texts as numbers of tokens, and numbers of tokens as text.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pad_id: i64,
}

/// How texts become a batch.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions {
    /// How many tokens a text has at most, special ones included; longer ones are cut.
    pub max_length: Option<usize>,
    /// Whether the tokens that models expect around a text are added (`[CLS]`, `[SEP]`).
    pub add_special_tokens: bool,
    /// Whether shorter texts are filled up at their beginning, as for generation.
    pub pad_left: bool,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        EncodeOptions {
            max_length: None,
            add_special_tokens: true,
            pad_left: false,
        }
    }
}

/// Texts of one length; the names are those of models' inputs.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Numbers of tokens, `[batch, time]`.
    pub input_ids: Tensor,
    /// 1 for tokens and 0 for padding, `[batch, time]`.
    pub attention_mask: Tensor,
    /// The segment of each token, `[batch, time]`.
    pub token_type_ids: Tensor,
}

/// The token that stands between texts of GPT-2.
const END_OF_TEXT: &str = "<|endoftext|>";

fn failed(error: tokenizers::Error) -> Error {
    Error::Format(error.to_string())
}

/// A tokeniser that cuts texts as GPT-2's does, and lets the model join the bytes of each piece.
fn of_bytes(model: BPE) -> tokenizers::Tokenizer {
    let mut inner = tokenizers::Tokenizer::new(model);
    inner
        .with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(false)))
        .with_decoder(Some(ByteLevel::default()))
        .with_post_processor(Some(ByteLevel::default().trim_offsets(false)));
    inner
}

impl Tokenizer {
    /// The tokeniser of a folder with a model: `tokenizer.json`, or `vocab.txt`, or `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// `Io` if there is none of these; `Format` with the file's name for one that is wrong.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Tokenizer> {
        let folder = folder.as_ref();
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        if let Some(path) = there("tokenizer.json") {
            return Tokenizer::from_file(path);
        }
        if let Some(path) = there("vocab.txt") {
            return Tokenizer::wordpiece(path, true);
        }
        match (there("vocab.json"), there("merges.txt")) {
            (Some(vocab), Some(merges)) => Tokenizer::byte_level_bpe(vocab, merges),
            _ => bail!(
                Io,
                "{}: no tokenizer.json, no vocab.txt, and not both vocab.json and merges.txt",
                folder.display()
            ),
        }
    }

    /// The tokeniser of a file `tokenizer.json`.
    ///
    /// # Errors
    /// `Io` if the file can't be read; `Format` with its name if it is not one.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Tokenizer> {
        Tokenizer::from_bytes(&files::read(&path)?).map_err(|error| error.context(path.as_ref().display()))
    }

    /// The tokeniser of what a file `tokenizer.json` holds.
    ///
    /// # Errors
    /// `Format` if that is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Tokenizer> {
        Tokenizer::new(tokenizers::Tokenizer::from_bytes(bytes).map_err(failed)?)
    }

    /// BERT's tokeniser: the parts of words that the file `vocab.txt` lists, one in each line.
    ///
    /// # Errors
    /// `Io` if the file can't be read; `Format` with its name if `[UNK]`, `[CLS]` or `[SEP]` is not in it.
    pub fn wordpiece(path: impl AsRef<Path>, lowercase: bool) -> Result<Tokenizer> {
        let place = path.as_ref().display().to_string();
        let vocab = super::Vocab::read(&path, None)?;
        let number = |token: &str| match vocab.get(token).and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Ok((token.to_string(), number)),
            None => bail!(Format, "{place}: no token {token}"),
        };
        let (sep, cls) = (number("[SEP]")?, number("[CLS]")?);
        number("[UNK]")?;
        let numbers = vocab
            .tokens()
            .iter()
            .zip(0u32..)
            .map(|(token, number)| (token.clone(), number));
        let model = WordPiece::builder()
            .vocab(numbers.collect::<Numbers>())
            .unk_token("[UNK]".to_string())
            .build()
            .map_err(|error| failed(error).context(&place))?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner
            .with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)))
            .map_err(failed)?;
        inner
            .with_pre_tokenizer(Some(BertPreTokenizer))
            .with_post_processor(Some(BertProcessing::new(sep, cls)))
            .with_decoder(Some(WordPieceDecoder::default()));
        let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        let specials = specials.into_iter().filter(|token| vocab.contains(token));
        inner
            .add_special_tokens(specials.map(|token| AddedToken::from(token, true)))
            .map_err(failed)?;
        Tokenizer::new(inner)
    }

    /// GPT-2's tokeniser: bytes that are joined pair by pair, in the order of `merges.txt`, into the tokens of
    /// `vocab.json`.
    ///
    /// # Errors
    /// `Format` with the files' names if they can't be read or do not fit each other.
    pub fn byte_level_bpe(vocab: impl AsRef<Path>, merges: impl AsRef<Path>) -> Result<Tokenizer> {
        let (vocab, merges) = (vocab.as_ref(), merges.as_ref());
        let place = format!("{}, {}", vocab.display(), merges.display());
        let fail = |error: tokenizers::Error| failed(error).context(&place);
        let model = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy())
            .build()
            .map_err(fail)?;
        let mut inner = of_bytes(model);
        inner
            .add_special_tokens([AddedToken::from(END_OF_TEXT, true)])
            .map_err(fail)?;
        Tokenizer::new(inner)
    }

    /// A tokeniser as GPT-2's whose tokens are learnt from texts: `<|endoftext|>`, the 256 bytes, and what comes of joining
    /// the most frequent pair again and again until there are `vocab_size` tokens, or every word is one ("Neural Machine
    /// Translation of Rare Words with Subword Units", Sennrich et al., 2016, arXiv:1508.07909).
    ///
    /// # Errors
    /// `Value` for less than 257 tokens.
    pub fn train_byte_level_bpe<S: AsRef<str>>(texts: &[S], vocab_size: usize) -> Result<Tokenizer> {
        let alphabet = ByteLevel::alphabet();
        ensure!(
            vocab_size > alphabet.len(),
            Value,
            "Tokenizer: expected at least {} tokens, as there are so many bytes and <|endoftext|>, got {vocab_size}",
            alphabet.len() + 1
        );
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size)
            .initial_alphabet(alphabet.into_iter().collect())
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .show_progress(false)
            .build();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let mut inner = of_bytes(BPE::default());
        inner
            .train(&mut TrainerWrapper::BpeTrainer(trainer), texts.into_iter())
            .map_err(failed)?;
        Tokenizer::new(inner)
    }

    /// Writes a file `tokenizer.json`.
    ///
    /// # Errors
    /// `Io` with the file's name.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let text = self.inner.to_string(false).map_err(failed)?;
        io::write_atomically(path, |file| writeln!(file, "{text}").map_err(io::io_error))
    }

    fn new(mut inner: tokenizers::Tokenizer) -> Result<Tokenizer> {
        let from_file = inner.get_padding().map(|padding| i64::from(padding.pad_id));
        let known = ["[PAD]", "<pad>", END_OF_TEXT];
        let known = || {
            known
                .iter()
                .find_map(|token| inner.token_to_id(token).map(i64::from))
        };
        let pad_id = from_file.or_else(known).unwrap_or(0);
        // Batches are cut and filled up here, whatever the file says.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(failed)?;
        Ok(Tokenizer { inner, pad_id })
    }

    /// The number of the token that fills up shorter texts.
    pub fn pad_id(&self) -> i64 {
        self.pad_id
    }

    /// How many tokens there are, special ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// A token's number.
    pub fn token_to_id(&self, token: &str) -> Option<i64> {
        self.inner.token_to_id(token).map(i64::from)
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// `Format` for what the tokeniser can't take.
    pub fn tokenize(&self, text: &str) -> Result<Vec<String>> {
        let encoding = self.inner.encode(text, false).map_err(failed)?;
        Ok(encoding.get_tokens().to_vec())
    }

    /// The numbers of a text's tokens, cut nowhere.
    ///
    /// # Errors
    /// `Format` for what the tokeniser can't take.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<i64>> {
        let encoding = self.inner.encode(text, add_special_tokens).map_err(failed)?;
        Ok(encoding.get_ids().iter().map(|&id| i64::from(id)).collect())
    }

    /// Texts as one batch.
    ///
    /// # Errors
    /// `Value` for no text, and for fewer tokens than special ones; `Format` for what the tokeniser can't take.
    pub fn encode_batch<S: AsRef<str>>(&self, texts: &[S], options: &EncodeOptions) -> Result<Batch> {
        let texts = texts.iter().map(|text| text.as_ref().to_string()).collect();
        self.batch(texts, false, options)
    }

    /// Pairs of texts as one batch: what belongs to a question and to a passage, say, as two segments.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_batch`].
    pub fn encode_pairs<S: AsRef<str>>(&self, pairs: &[(S, S)], options: &EncodeOptions) -> Result<Batch> {
        let pair = |(a, b): &(S, S)| (a.as_ref().to_string(), b.as_ref().to_string());
        self.batch(pairs.iter().map(pair).collect(), true, options)
    }

    fn batch<'s, E>(&self, inputs: Vec<E>, pairs: bool, options: &EncodeOptions) -> Result<Batch>
    where
        E: Into<tokenizers::EncodeInput<'s>> + Clone + Send,
    {
        ensure!(!inputs.is_empty(), Value, "Tokenizer: expected at least one text");
        let specials = match options.add_special_tokens {
            true => self.inner.get_post_processor().map_or(0, |processor| {
                tokenizers::PostProcessor::added_tokens(processor, pairs)
            }),
            false => 0,
        };
        if let Some(most) = options.max_length {
            ensure!(
                most > specials,
                Value,
                "Tokenizer: texts of at most {most} tokens have no place for {specials} special ones"
            );
        }
        let mut encodings = self
            .inner
            .encode_batch(inputs.clone(), options.add_special_tokens)
            .map_err(failed)?;
        if let Some(max_length) = options.max_length
            && encodings.iter().any(|encoding| encoding.len() > max_length)
        {
            // Only now: copying the vocabulary takes longer than reading a sentence.
            let mut inner = self.inner.clone();
            let truncation = TruncationParams {
                max_length,
                ..TruncationParams::default()
            };
            inner.with_truncation(Some(truncation)).map_err(failed)?;
            encodings = inner
                .encode_batch(inputs, options.add_special_tokens)
                .map_err(failed)?;
        }
        let longest = encodings.iter().map(Encoding::len).max().unwrap_or(0).max(1);
        let fill = |of: &dyn Fn(&Encoding) -> Vec<i64>, pad: i64| {
            let mut rows = vec![pad; encodings.len() * longest];
            for (row, encoding) in rows.chunks_mut(longest).zip(&encodings) {
                let values = of(encoding);
                let begin = if options.pad_left {
                    longest - values.len()
                } else {
                    0
                };
                row[begin..begin + values.len()].copy_from_slice(&values);
            }
            Tensor::from_vec(rows, (encodings.len(), longest))
        };
        let wide = |values: &[u32]| values.iter().map(|&value| i64::from(value)).collect();
        Ok(Batch {
            input_ids: fill(&|encoding| wide(encoding.get_ids()), self.pad_id)?,
            attention_mask: fill(&|encoding| wide(encoding.get_attention_mask()), 0)?,
            token_type_ids: fill(&|encoding| wide(encoding.get_type_ids()), 0)?,
        })
    }

    /// The text of tokens, without special ones if they are to be skipped.
    ///
    /// # Errors
    /// `Index` for negative numbers; `Format` for what the tokeniser can't take.
    pub fn decode(&self, ids: &[i64], skip_special_tokens: bool) -> Result<String> {
        let number = |&id: &i64| match u32::try_from(id) {
            Ok(number) => Ok(number),
            Err(_) => bail!(Index, "Tokenizer: {id} is no token's number"),
        };
        let ids = ids.iter().map(number).collect::<Result<Vec<u32>>>()?;
        self.inner.decode(&ids, skip_special_tokens).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_before_their_last_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.txt");
        std::fs::write(&path, "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\ndog\nday\n").unwrap();
        let tokenizer = Tokenizer::wordpiece(&path, true).unwrap();
        let cut = |max_length| EncodeOptions {
            max_length,
            ..EncodeOptions::default()
        };
        let rows = |batch: Result<Batch>| batch.unwrap().input_ids.to_vec2::<i64>().unwrap();
        let texts = ["A dog a day", "dog"];
        let whole = [[2, 4, 5, 4, 6, 3], [2, 5, 3, 0, 0, 0]];
        for most in [None, Some(6), Some(9)] {
            assert_eq!(rows(tokenizer.encode_batch(&texts, &cut(most))), whole);
        }
        let short = [[2, 4, 5, 3], [2, 5, 3, 0]];
        assert_eq!(rows(tokenizer.encode_batch(&texts, &cut(Some(4)))), short);
        assert_eq!(tokenizer.encode("a dog a day", true).unwrap(), whole[0]);
        // Of a pair, the longer text is cut.
        let pairs = [("dog", "a dog a day")];
        assert_eq!(
            rows(tokenizer.encode_pairs(&pairs, &cut(Some(6)))),
            [[2, 5, 3, 4, 5, 3]]
        );
        assert!(tokenizer.encode_batch(&texts, &cut(Some(2))).is_err());
    }

    #[test]
    fn frequent_pairs_become_tokens() {
        let texts = ["a whale, a whale", "a white whale"];
        let tokenizer = Tokenizer::train_byte_level_bpe(&texts, 262).unwrap();
        assert_eq!(tokenizer.vocab_size(), 262);
        assert_eq!(tokenizer.token_to_id("<|endoftext|>"), Some(0));
        let ids = tokenizer.encode(texts[0], false).unwrap();
        assert!(ids.len() < texts[0].len(), "{ids:?}");
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), texts[0]);
        // What was not in the texts is bytes.
        let other = "Tür 鯨";
        let bytes = tokenizer.encode(other, false).unwrap();
        assert_eq!(bytes.len(), other.len());
        assert_eq!(tokenizer.decode(&bytes, true).unwrap(), other);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        tokenizer.save(&path).unwrap();
        assert_eq!(
            Tokenizer::from_file(&path)
                .unwrap()
                .encode(texts[0], false)
                .unwrap(),
            ids
        );
        let error = Tokenizer::train_byte_level_bpe(&texts, 256)
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected at least 257 tokens"), "{error}");
    }
}
