//! Vectors of words from text files, such as GloVe's (Pennington et al., 2014) and fastText's.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flambeau_tensor::{Error, Result, Tensor, bail, ensure};

use super::Vocab;

/// The longest line that is read: 1 MiB.
const LONGEST: u64 = 1 << 20;

/// Words with a vector each (`torchtext.vocab.Vectors`).
#[derive(Clone, Debug)]
pub struct Vectors {
    words: HashMap<String, usize>,
    values: Vec<f32>,
    dim: usize,
}

impl Vectors {
    /// Reads lines of a word and its numbers, with blanks between them. A first line of two numbers, as fastText writes
    /// how many there are, is passed over; of a word that comes twice, the first counts.
    ///
    /// # Errors
    /// `Io` if the file can't be read; `Format` with file and line for what is no number and for vectors of different
    /// lengths.
    pub fn read(path: impl AsRef<Path>) -> Result<Vectors> {
        let path = path.as_ref();
        let io = |error: std::io::Error| Error::Io(format!("{}: {error}", path.display()));
        let mut reader = BufReader::new(File::open(path).map_err(io)?);
        let mut vectors = Vectors {
            words: HashMap::new(),
            values: Vec::new(),
            dim: 0,
        };
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            number += 1;
            let read = reader
                .by_ref()
                .take(LONGEST)
                .read_until(b'\n', &mut line)
                .map_err(io)?;
            if read == 0 {
                return Ok(vectors);
            }
            let place = || format!("{}: line {number}", path.display());
            ensure!(
                (read as u64) < LONGEST,
                Format,
                "{}: longer than {LONGEST} bytes",
                place()
            );
            let Ok(text) = std::str::from_utf8(&line) else {
                bail!(Format, "{}: not UTF-8", place())
            };
            vectors
                .line(text.trim_end(), number)
                .map_err(|error| error.context(place()))?;
        }
    }

    fn line(&mut self, line: &str, number: usize) -> Result<()> {
        let mut parts = line.split(' ');
        let word = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        if line.is_empty() || (number == 1 && rest.len() == 1) {
            return Ok(());
        }
        if self.dim == 0 {
            ensure!(!rest.is_empty(), Format, "a word without a vector");
            self.dim = rest.len();
        }
        ensure!(
            rest.len() == self.dim,
            Format,
            "expected a word and {} numbers as above, got {}",
            self.dim,
            rest.len()
        );
        if self.words.contains_key(word) {
            return Ok(());
        }
        let row = self.words.len();
        for part in rest {
            match part.parse::<f32>() {
                Ok(value) => self.values.push(value),
                Err(_) => bail!(Format, "{part:?} is no number"),
            }
        }
        self.words.insert(word.to_string(), row);
        Ok(())
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The vector of a word.
    pub fn get(&self, word: &str) -> Option<&[f32]> {
        let row = *self.words.get(word)?;
        Some(&self.values[row * self.dim..(row + 1) * self.dim])
    }

    /// A table for an embedding, `[vocabulary, dim]`: zeros for words that have no vector. Returns how many have one, too.
    ///
    /// # Errors
    /// `Shape` if the table is larger than memory can address.
    pub fn table(&self, vocab: &Vocab) -> Result<(Tensor, usize)> {
        let mut values = Vec::with_capacity(vocab.len() * self.dim);
        let mut known = 0;
        for token in vocab.tokens() {
            match self.get(token) {
                Some(vector) => {
                    known += 1;
                    values.extend_from_slice(vector);
                }
                None => values.resize(values.len() + self.dim, 0.0),
            }
        }
        Ok((Tensor::from_vec(values, (vocab.len(), self.dim))?, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vectors> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.txt");
        std::fs::write(&path, text).unwrap();
        Vectors::read(&path)
    }

    #[test]
    fn words_have_their_vectors() {
        for text in [
            "the 0.5 -1\ncat 2 1e-1\n",
            "2 2\nthe 0.5 -1 \ncat 2 0.1\ncat 7 7\n",
        ] {
            let vectors = read(text).unwrap();
            assert_eq!((vectors.len(), vectors.dim()), (2, 2));
            assert_eq!(vectors.get("cat"), Some(&[2.0, 0.1][..]));
            let vocab = Vocab::new(vec!["<unk>".to_string(), "the".to_string()], None).unwrap();
            let (table, known) = vectors.table(&vocab).unwrap();
            assert_eq!(
                (table.to_vec::<f32>().unwrap(), known),
                (vec![0.0, 0.0, 0.5, -1.0], 1)
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let message = |text| read(text).unwrap_err().to_string();
        assert!(
            message("the 1 2\ncat 3\n").ends_with("line 2: expected a word and 2 numbers as above, got 1")
        );
        assert!(message("the 1 x\n").ends_with("line 1: \"x\" is no number"));
        assert!(read("").unwrap().is_empty());
    }
}
