//! Tables as text: CSV and its kin.

use std::fs::File;
use std::io::BufReader;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use flambeau_tensor::{DType, Error, Result, Tensor};
use serde::de::DeserializeOwned;

use super::{io_error, open};
use crate::{Epoch, IterableDataset, Stream};

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct CsvOptions {
    /// What stands between fields. Default: a comma.
    pub delimiter: u8,
    /// Whether the first line has the names of the columns. Default: true.
    pub has_header: bool,
    /// Whether blanks around fields are taken off. Default: false.
    pub trim: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: b',',
            has_header: true,
            trim: false,
        }
    }
}

impl CsvOptions {
    fn open(&self, path: &Path) -> Result<Reader<BufReader<File>>> {
        let (file, _) = open(path)?;
        let reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(self.has_header)
            .trim(if self.trim { Trim::All } else { Trim::None })
            .from_reader(BufReader::with_capacity(1 << 16, file));
        Ok(reader)
    }
}

/// An error with the file, and the line if it is known.
fn csv_error(path: &Path, error: ::csv::Error) -> Error {
    let line = error.position().map(|position| position.line());
    let place = match line {
        Some(line) => format!("{}: line {line}", path.display()),
        None => path.display().to_string(),
    };
    match error.into_kind() {
        ErrorKind::Io(error) => io_error(error),
        ErrorKind::Utf8 { err, .. } => Error::Format(format!("field {}: not UTF-8", err.field() + 1)),
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Error::Format(format!("expected {expected_len} fields as above, got {len}")),
        ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(field) => Error::Format(format!("field {}: {}", field + 1, err.kind())),
            None => Error::Format(err.kind().to_string()),
        },
        other => Error::Format(format!("{other:?}")),
    }
    .context(place)
}

/// Reads all rows of the file at `path` as `T`: a struct with a field for each column that matters, or a tuple or `Vec`
/// of all fields. The vector is a [`Dataset`](crate::Dataset).
///
/// ```
/// use flambeau_data::formats::csv::{self, CsvOptions};
///
/// # let path = std::env::temp_dir().join(format!("flambeau-doc-{}.csv", std::process::id()));
/// std::fs::write(&path, "species,length\nadelie,39.1\ngentoo,47.5\n").unwrap();
///
/// #[derive(serde::Deserialize)]
/// struct Penguin {
///     length: f32,
///     species: String,
/// }
///
/// let penguins: Vec<Penguin> = csv::read(&path, &CsvOptions::default())?;
/// assert_eq!((penguins[1].species.as_str(), penguins[1].length), ("gentoo", 47.5));
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Errors
/// `Io` if the file can't be read, `Format` with file and line for rows that differ in length or are not a `T`.
pub fn read<T: DeserializeOwned>(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Vec<T>> {
    let path = path.as_ref();
    let mut reader = options.open(path)?;
    if options.has_header {
        // A header that can't be read would be passed over, and columns would be taken by their place.
        reader.headers().map_err(|error| csv_error(path, error))?;
    }
    let rows = reader
        .deserialize()
        .map(|row| row.map_err(|error| csv_error(path, error)));
    rows.collect()
}

/// A table of numbers.
#[derive(Clone, Debug)]
pub struct Table {
    /// The names of the columns; none without a header.
    pub columns: Vec<String>,
    /// `[rows, columns]`.
    pub values: Tensor,
}

/// Reads a table of numbers as one tensor of type `dtype`. An empty field is `missing`, or an error without that.
///
/// # Errors
/// `Io` if the file can't be read, `Format` with file and line for rows that differ in length and for fields that are
/// not numbers.
pub fn read_table(
    path: impl AsRef<Path>,
    options: &CsvOptions,
    dtype: DType,
    missing: Option<f64>,
) -> Result<Table> {
    let path = path.as_ref();
    let mut reader = options.open(path)?;
    let columns: Vec<String> = if options.has_header {
        let header = reader.headers().map_err(|error| csv_error(path, error))?;
        header.iter().map(str::to_string).collect()
    } else {
        Vec::new()
    };
    let (mut data, mut rows, mut width) = (Vec::new(), 0, columns.len());
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|error| csv_error(path, error))?
    {
        (rows, width) = (rows + 1, record.len());
        for (i, field) in record.iter().enumerate() {
            let number = match (field.trim(), missing) {
                ("", Some(missing)) => missing,
                (text, _) => text.parse::<f64>().map_err(|_| {
                    let line = record.position().map_or(0, |position| position.line());
                    let place = format!("{}: line {line}, field {}", path.display(), i + 1);
                    Error::Format(format!("{place}: expected a number, got {text:?}"))
                })?,
            };
            data.push(number);
        }
    }
    let values = Tensor::from_vec(data, (rows, width))?.to_dtype(dtype)?;
    Ok(Table { columns, values })
}

/// The rows of the files at `paths`, one file after another, as a stream that is read as it is used; see [`read`].
pub fn stream<T: DeserializeOwned + Send>(
    paths: impl IntoIterator<Item = impl Into<PathBuf>>,
    options: &CsvOptions,
) -> CsvStream<T> {
    CsvStream {
        paths: paths.into_iter().map(Into::into).collect(),
        options: *options,
        of: PhantomData,
    }
}

/// See [`stream`].
#[derive(Clone, Debug)]
pub struct CsvStream<T> {
    paths: Vec<PathBuf>,
    options: CsvOptions,
    of: PhantomData<fn() -> T>,
}

/// A row of a file, yet to be converted.
#[derive(Clone, Debug)]
pub struct Row {
    path: PathBuf,
    header: Option<StringRecord>,
    record: StringRecord,
}

impl<T: DeserializeOwned + Send> IterableDataset for CsvStream<T> {
    type Raw = Row;
    type Item = T;

    fn stream(&self, _: &Epoch) -> Result<Stream<Row>> {
        let options = self.options;
        let files = self
            .paths
            .clone()
            .into_iter()
            .map(move |path| match rows_of(path, &options) {
                Ok(rows) => rows,
                Err(error) => Box::new(std::iter::once(Err(error))),
            });
        Ok(Box::new(files.flatten()))
    }

    fn prepare(&self, row: Row) -> Result<T> {
        let values = row.record.deserialize(row.header.as_ref());
        values.map_err(|error| csv_error(&row.path, error))
    }
}

fn rows_of(path: PathBuf, options: &CsvOptions) -> Result<Stream<Row>> {
    let mut reader = options.open(&path)?;
    let header = if options.has_header {
        Some(reader.headers().map_err(|error| csv_error(&path, error))?.clone())
    } else {
        None
    };
    let row = move |record: ::csv::Result<StringRecord>| match record {
        Ok(record) => Ok(Row {
            path: path.clone(),
            header: header.clone(),
            record,
        }),
        Err(error) => Err(csv_error(&path, error)),
    };
    Ok(Box::new(reader.into_records().map(row)))
}

#[cfg(test)]
mod tests {
    use super::super::test_files::Folder;
    use super::*;

    type Pair = (String, f64);

    fn streamed(path: &Path, options: &CsvOptions) -> Result<Vec<Pair>> {
        let dataset = stream::<Pair>([path], options);
        dataset.samples(&Epoch { number: 0, seed: 0 })?.collect()
    }

    #[test]
    fn rows_of_every_dialect() {
        let folder = Folder::new();
        let plain = CsvOptions::default();
        let bare = CsvOptions {
            has_header: false,
            ..plain
        };
        let tabs = CsvOptions {
            delimiter: b'\t',
            trim: true,
            ..plain
        };
        let cases = [
            ("name,x\na,1\nb,2.5\n", plain),
            ("name,x\r\na,1\r\n\r\nb,2.5", plain),
            ("\u{feff}name,x\n\"a\",\"1\"\n\"b\",2.5\n", plain),
            ("a,1\nb,2.5\n", bare),
            (" name \t x\n a \t 1\nb\t2.5 \n", tabs),
        ];
        for (text, options) in cases {
            let path = folder.file("x.csv", text);
            let expected = [("a".to_string(), 1.0), ("b".to_string(), 2.5)];
            assert_eq!(read::<Pair>(&path, &options).unwrap(), expected);
            assert_eq!(streamed(&path, &options).unwrap(), expected);
        }
        let quoted = folder.file("x.csv", "name,x\n\"a, \"\"b\"\"\nc\",1\n");
        assert_eq!(read::<Pair>(&quoted, &plain).unwrap()[0].0, "a, \"b\"\nc");
    }

    #[test]
    fn tables_of_numbers() {
        let folder = Folder::new();
        let path = folder.file("x.csv", "a,b\n1, 2\n-3e1,\n");
        let options = CsvOptions::default();
        let table = read_table(&path, &options, DType::F32, Some(f64::NAN)).unwrap();
        assert_eq!(table.columns, ["a", "b"]);
        assert_eq!(table.values.shape(), [2, 2]);
        let values = table.values.to_vec::<f32>().unwrap();
        assert_eq!(values[..3], [1.0, 2.0, -30.0]);
        assert!(values[3].is_nan());
        let error = folder.stripped(read_table(&path, &options, DType::F32, None).unwrap_err());
        assert_eq!(
            error,
            "FOLDER/x.csv: line 3, field 2: expected a number, got \"\""
        );
        let empty = read_table(folder.file("x.csv", "a,b\n"), &options, DType::I64, None).unwrap();
        assert_eq!(
            (empty.values.shape(), empty.values.dtype()),
            (&[0, 2][..], DType::I64)
        );
    }

    #[test]
    fn errors_name_file_and_line() {
        let folder = Folder::new();
        let options = CsvOptions::default();
        let cases: [(&[u8], &str); 4] = [
            (b"name,x\na,1\nb\n", "line 3: expected 2 fields as above, got 1"),
            (b"name,x\na,1\nb,c\n", "line 3: field 2: invalid float literal"),
            (b"name,x\n\xff,1\n", "line 2: field 1: not UTF-8"),
            (b"name\na\n", "line 2: "),
        ];
        for (text, expected) in cases {
            let path = folder.file("x.csv", text);
            for result in [read::<Pair>(&path, &options), streamed(&path, &options)] {
                let error = folder.stripped(result.unwrap_err());
                assert!(error.starts_with(&format!("FOLDER/x.csv: {expected}")), "{error}");
            }
        }
        // Found by fuzzing: without the names of the columns, fields would be taken by their place.
        let path = folder.file("x.csv", b"na\xffme,x\na,1\n");
        for result in [read::<Pair>(&path, &options), streamed(&path, &options)] {
            let error = folder.stripped(result.unwrap_err());
            assert!(
                error.starts_with("FOLDER/x.csv: ") && error.ends_with("field 1: not UTF-8"),
                "{error}"
            );
        }
        let absent = folder.path().join("absent");
        for result in [read::<Pair>(&absent, &options), streamed(&absent, &options)] {
            let error = folder.stripped(result.unwrap_err());
            assert!(error.starts_with("FOLDER/absent: "), "{error}");
        }
    }
}
