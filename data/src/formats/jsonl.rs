//! JSON lines: a JSON value in each line. Blank lines are skipped.

use std::io::{BufRead, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use flambeau_tensor::{Error, Result, ensure};
use serde::de::DeserializeOwned;

use super::{Input, io_error};
use crate::{Epoch, IterableDataset, Stream};

/// The longest line that is read: 256 MiB.
const LONGEST: u64 = 256 << 20;

/// Reads all lines of the file at `path`. What they hold is up to `T`: a struct of one's own, a map, or
/// `serde_json::Value` for anything. The vector is a [`Dataset`](crate::Dataset).
///
/// # Errors
/// `Io` if the file can't be read, `Format` with file and line for a value that is not JSON or not a `T`.
pub fn read<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<Vec<T>> {
    let path = path.as_ref();
    let lines = Lines::open(path)?;
    lines.map(|line| parse(path, line?)).collect()
}

/// The lines of the files at `paths`, one file after another, as a stream that is read as it is used.
///
/// ```
/// use flambeau_data::formats::jsonl;
/// use flambeau_data::{DataLoader, IterableDataset};
///
/// # let path = std::env::temp_dir().join(format!("flambeau-doc-{}.jsonl", std::process::id()));
/// std::fs::write(&path, "{\"text\": \"good\", \"label\": 1}\n{\"text\": \"bad\", \"label\": 0}\n").unwrap();
///
/// #[derive(serde::Deserialize)]
/// struct Review {
///     text: String,
///     label: i64,
/// }
///
/// let reviews = jsonl::stream::<Review>([&path]).map(|review| Ok((review.text, review.label)));
/// let loader = DataLoader::stream(reviews).batch_size(2).build()?;
/// for batch in &loader {
///     let (texts, labels) = batch?;
///     assert_eq!(texts, ["good", "bad"]);
///     assert_eq!(labels.to_vec::<i64>()?, [1, 0]);
/// }
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub fn stream<T: DeserializeOwned + Send>(
    paths: impl IntoIterator<Item = impl Into<PathBuf>>,
) -> JsonLines<T> {
    JsonLines {
        paths: paths.into_iter().map(Into::into).collect(),
        of: PhantomData,
    }
}

/// See [`stream`].
#[derive(Clone, Debug)]
pub struct JsonLines<T> {
    paths: Vec<PathBuf>,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send> IterableDataset for JsonLines<T> {
    type Raw = (PathBuf, Line);
    type Item = T;

    fn stream(&self, _: &Epoch) -> Result<Stream<Self::Raw>> {
        let files = self
            .paths
            .clone()
            .into_iter()
            .map(|path| match Lines::open(&path) {
                Ok(lines) => Box::new(lines.map(move |line| Ok((path.clone(), line?)))),
                Err(error) => Box::new(std::iter::once(Err(error))) as Stream<Self::Raw>,
            });
        Ok(Box::new(files.flatten()))
    }

    fn prepare(&self, (path, line): Self::Raw) -> Result<T> {
        parse(&path, line)
    }
}

/// A line of a file, yet to be parsed.
#[derive(Clone, Debug)]
pub struct Line {
    number: u64,
    bytes: Vec<u8>,
}

fn parse<T: DeserializeOwned>(path: &Path, line: Line) -> Result<T> {
    serde_json::from_slice(&line.bytes).map_err(|error| {
        // serde_json counts lines within the text that it is given: here, always 1.
        let text = error.to_string();
        let (what, column) = (text.split(" at line ").next().unwrap_or(&text), error.column());
        Error::Format(format!(
            "{}: line {}, column {column}: {what}",
            path.display(),
            line.number
        ))
    })
}

/// The lines of a file that are not blank.
struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    number: u64,
    failed: bool,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines> {
        Ok(Lines {
            path: path.to_path_buf(),
            reader: Input::open(path)?.reader,
            number: 0,
            failed: false,
        })
    }

    fn read(&mut self) -> Result<Option<Line>> {
        loop {
            let mut bytes = Vec::new();
            self.number += 1;
            let reader = &mut *self.reader;
            let count = reader
                .take(LONGEST + 1)
                .read_until(b'\n', &mut bytes)
                .map_err(io_error)?;
            ensure!(count as u64 <= LONGEST, Format, "longer than {LONGEST} bytes");
            if count == 0 {
                return Ok(None);
            }
            if self.number == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
            }
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some(Line {
                    number: self.number,
                    bytes,
                }));
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Result<Line>> {
        if self.failed {
            return None;
        }
        let result = self.read().map_err(|error| {
            self.failed = true;
            error.context(format_args!("{}: line {}", self.path.display(), self.number))
        });
        result.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_files::{Folder, gzip};
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn values_of_lines() {
        let folder = Folder::new();
        let text = "\u{feff}{\"a\": 1}\r\n\n  \n[2, \"ü\"]\nnull";
        let expected = [json!({"a": 1}), json!([2, "ü"]), Value::Null];
        for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
            let path = folder.file("x.jsonl", bytes);
            assert_eq!(read::<Value>(&path).unwrap(), expected);
            let twice = stream::<Value>([&path, &path]);
            let samples = twice.samples(&Epoch { number: 0, seed: 0 }).unwrap();
            let all: Vec<Value> = samples.map(Result::unwrap).collect();
            assert_eq!(all, [&expected[..], &expected].concat());
        }
        assert!(read::<Value>(folder.file("empty", "")).unwrap().is_empty());
    }

    #[test]
    fn errors_name_file_and_line() {
        let folder = Folder::new();
        let deep = "[".repeat(10_000);
        let cases = [
            ("1\n\n{\"a\" 2}\n", "line 3, column 6: expected `:`"),
            (
                "1\n\"x\"\n",
                "line 2, column 3: invalid type: string \"x\", expected i64",
            ),
            ("1\n2 3\n", "line 2, column 3: trailing characters"),
            ("1\n[", "line 2, column 1: "),
            (&deep, "line 1, column 128: recursion limit exceeded"),
        ];
        for (text, expected) in cases {
            let path = folder.file("x.jsonl", text);
            let error = if expected.contains("i64") {
                read::<i64>(&path).map(drop)
            } else {
                read::<Value>(&path).map(drop)
            };
            let error = folder.stripped(error.unwrap_err());
            assert!(
                error.starts_with(&format!("FOLDER/x.jsonl: {expected}")),
                "{error}"
            );
        }
        assert!(read::<String>(folder.file("bytes", b"\"\xff\"\n")).is_err());
        let absent = stream::<Value>([folder.path().join("absent")]);
        let mut samples = absent.samples(&Epoch { number: 0, seed: 0 }).unwrap();
        let error = folder.stripped(samples.next().unwrap().unwrap_err());
        assert!(error.starts_with("FOLDER/absent: "), "{error}");
        assert!(samples.next().is_none());
    }
}
