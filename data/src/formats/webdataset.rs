//! WebDataset: samples in tar files ("shards") that are read from front to back.
//!
//! Consecutive files whose paths agree up to the first dot of the name are one sample: `0001.jpg` and `0001.cls` are the
//! fields `jpg` and `cls` of the sample `0001`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::PathBuf;
use std::sync::Arc;

use flambeau_tensor::random::Generator;
use flambeau_tensor::{Error, Result, Tensor, bail, ensure, io::npy};
use serde::de::DeserializeOwned;

use super::tar::TarReader;
use crate::dataset::permutation;
use crate::{Epoch, IterableDataset, Stream};

/// A sample: files by their extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSample {
    /// The path in the archive, without the extension.
    pub key: String,
    /// The file that it is from.
    pub shard: Arc<str>,
    /// What the files hold, by extension in lower case (`jpg`, `seg.png`).
    pub fields: BTreeMap<String, Vec<u8>>,
}

impl WebSample {
    /// A field's bytes.
    ///
    /// # Errors
    /// `Key` if the sample does not have it.
    pub fn bytes(&self, extension: &str) -> Result<&[u8]> {
        match self.fields.get(extension) {
            Some(bytes) => Ok(bytes),
            None => bail!(
                Key,
                "{}: {}: expected a field `{extension}`, got {:?}",
                self.shard,
                self.key,
                self.fields.keys().collect::<Vec<_>>()
            ),
        }
    }

    /// A field of text.
    ///
    /// # Errors
    /// `Key` if the sample does not have it, `Format` if it is not UTF-8.
    pub fn text(&self, extension: &str) -> Result<&str> {
        std::str::from_utf8(self.bytes(extension)?).map_err(|_| self.bad(extension, "not UTF-8"))
    }

    /// A field of an integer in decimal digits, as `cls` is.
    ///
    /// # Errors
    /// `Key` if the sample does not have it, `Format` if it is not an integer.
    pub fn integer(&self, extension: &str) -> Result<i64> {
        let text = self.text(extension)?.trim();
        text.parse()
            .map_err(|_| self.bad(extension, format_args!("not an integer: {text:?}")))
    }

    /// A field of JSON.
    ///
    /// # Errors
    /// `Key` if the sample does not have it, `Format` if it is not JSON or not a `T`.
    pub fn json<T: DeserializeOwned>(&self, extension: &str) -> Result<T> {
        serde_json::from_slice(self.bytes(extension)?).map_err(|error| self.bad(extension, error))
    }

    /// A field in NumPy's format.
    ///
    /// # Errors
    /// `Key` if the sample does not have it; those of [`npy::from_bytes`].
    pub fn npy(&self, extension: &str) -> Result<Tensor> {
        let place = format_args!("{}: {}.{extension}", self.shard, self.key).to_string();
        npy::from_bytes(self.bytes(extension)?).map_err(|error| error.context(place))
    }

    fn bad(&self, extension: &str, what: impl std::fmt::Display) -> Error {
        Error::Format(format!("{}: {}.{extension}: {what}", self.shard, self.key))
    }
}

/// The samples of shards, one shard after another.
///
/// ```no_run
/// use flambeau_data::formats::webdataset::{WebDataset, expand};
/// use flambeau_data::{DataLoader, IterableDataset};
///
/// let shards = WebDataset::new(expand("train-{000000..000099}.tar")?).shuffle_shards(true);
/// let samples = shards.shuffle(1000).map(|sample| Ok((sample.npy("npy")?, sample.integer("cls")?)));
/// let loader = DataLoader::stream(samples).batch_size(64).num_workers(4).build()?;
/// for batch in &loader {
///     let (images, classes) = batch?;
///     println!("{:?} {:?}", images.shape(), classes.shape());
/// }
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WebDataset {
    shards: Vec<PathBuf>,
    shuffle_shards: bool,
    replicas: usize,
    rank: usize,
}

impl WebDataset {
    /// The samples of the tar files at these paths, which may be packed by gzip.
    pub fn new(shards: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        WebDataset {
            shards: shards.into_iter().map(Into::into).collect(),
            shuffle_shards: false,
            replicas: 1,
            rank: 0,
        }
    }

    /// Whether the shards come in another order in every epoch. Default: false.
    pub fn shuffle_shards(mut self, shuffle: bool) -> Self {
        self.shuffle_shards = shuffle;
        self
    }

    /// Every `replicas`-th shard of the epoch's order, beginning with the `rank`-th: the share of one of several
    /// programs, which have to be given loaders of the same seed.
    ///
    /// # Errors
    /// `Value` unless `rank < replicas`.
    pub fn replica(mut self, replicas: usize, rank: usize) -> Result<Self> {
        ensure!(
            rank < replicas,
            Value,
            "WebDataset: expected a rank below the number of replicas, got {rank} of {replicas}"
        );
        (self.replicas, self.rank) = (replicas, rank);
        Ok(self)
    }
}

impl IterableDataset for WebDataset {
    type Raw = WebSample;
    type Item = WebSample;

    fn stream(&self, epoch: &Epoch) -> Result<Stream<WebSample>> {
        let mut order: Vec<usize> = (0..self.shards.len()).collect();
        if self.shuffle_shards {
            order = permutation(order.len(), &mut Generator::new(epoch.seed));
        }
        let mine = order.into_iter().skip(self.rank).step_by(self.replicas);
        let shards: Vec<PathBuf> = mine.map(|i| self.shards[i].clone()).collect();
        let samples = shards.into_iter().map(|path| match TarReader::open(&path) {
            Ok(reader) => Box::new(Samples {
                shard: path.display().to_string().into(),
                entries: reader.peekable(),
                failed: false,
            }),
            Err(error) => Box::new(std::iter::once(Err(error))) as Stream<WebSample>,
        });
        Ok(Box::new(samples.flatten()))
    }

    fn prepare(&self, sample: WebSample) -> Result<WebSample> {
        Ok(sample)
    }
}

/// The samples of one shard.
struct Samples {
    shard: Arc<str>,
    entries: Peekable<TarReader>,
    failed: bool,
}

/// Key and extension of a path; none if its name has no extension, or no name before it, or is about the archive.
fn key_of(path: &str) -> Option<(&str, &str)> {
    let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
    let (name, extension) = path[name_at..].split_once('.')?;
    let about_the_archive = name.starts_with("__") && name.ends_with("__");
    if name.is_empty() || about_the_archive {
        return None;
    }
    Some((&path[..name_at + name.len()], extension))
}

impl Samples {
    fn read(&mut self) -> Result<Option<WebSample>> {
        let mut sample: Option<WebSample> = None;
        loop {
            // A file of another sample stays for the next call.
            let entry = self.entries.next_if(|entry| match (entry, &sample) {
                (Ok(entry), Some(sample)) => key_of(&entry.name).is_none_or(|(key, _)| key == sample.key),
                _ => true,
            });
            let Some(entry) = entry.transpose()? else {
                return Ok(sample);
            };
            let Some((key, extension)) = key_of(&entry.name) else {
                continue;
            };
            let sample = sample.get_or_insert_with(|| WebSample {
                key: key.to_string(),
                shard: self.shard.clone(),
                fields: BTreeMap::new(),
            });
            let extension = extension.to_lowercase();
            if sample.fields.contains_key(&extension) {
                let (shard, offset) = (&self.shard, entry.offset);
                bail!(
                    Format,
                    "{shard}: offset {offset}: {} is there twice in one sample",
                    entry.name
                );
            }
            sample.fields.insert(extension, entry.bytes);
        }
    }
}

impl Iterator for Samples {
    type Item = Result<WebSample>;

    fn next(&mut self) -> Option<Result<WebSample>> {
        if self.failed {
            return None;
        }
        let sample = self.read();
        self.failed = sample.is_err();
        sample.transpose()
    }
}

/// The most names that [`expand`] gives.
const MOST_NAMES: u64 = 1_000_000;

/// The names that a pattern with ranges stands for: `"train-{000..002}.tar"` is `train-000.tar`, `train-001.tar` and
/// `train-002.tar`.
///
/// # Errors
/// `Value` for a brace without a range of numbers, and for more than a million names.
pub fn expand(pattern: &str) -> Result<Vec<String>> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    let bad = || {
        Error::Value(format!(
            "expand: expected {{FIRST..LAST}} for braces, got {pattern:?}"
        ))
    };
    while let Some((before, after)) = rest.split_once('{') {
        let (range, after) = after.split_once('}').ok_or_else(bad)?;
        let (first, last) = range.split_once("..").ok_or_else(bad)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        ensure!(digits(first) && digits(last), Value, "{}", bad());
        let (from, to): (u64, u64) = (
            first.parse().map_err(|_| bad())?,
            last.parse().map_err(|_| bad())?,
        );
        let count = to.checked_sub(from).ok_or_else(bad)?.saturating_add(1);
        ensure!(
            count.saturating_mul(names.len() as u64) <= MOST_NAMES,
            Value,
            "expand: {pattern:?} stands for more than {MOST_NAMES} names"
        );
        let width = first.len();
        let ends: Vec<String> = (from..=to).map(|n| format!("{before}{n:0width$}")).collect();
        names = names
            .iter()
            .flat_map(|name| ends.iter().map(move |end| format!("{name}{end}")))
            .collect();
        rest = after;
    }
    Ok(names.into_iter().map(|name| name + rest).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tar::tests::archive;
    use super::super::test_files::{Folder, gzip};
    use super::*;
    use crate::DataLoader;

    fn keys(dataset: &WebDataset, seed: u64) -> Vec<String> {
        let samples = dataset.samples(&Epoch { number: 0, seed }).unwrap();
        samples.map(|sample| sample.unwrap().key).collect()
    }

    #[test]
    fn files_are_grouped_by_key() {
        let folder = Folder::new();
        let array = npy::to_bytes(&Tensor::new([1.5f32, 2.0]).unwrap()).unwrap();
        let shard = archive(&[
            ("__info__.json", b"{}"),
            ("a/1.JPG", b"\xff\xd8"),
            ("a/1.cls", b" 3\n"),
            ("a/1.seg.png", b"png"),
            ("README", b"no extension"),
            ("a/1.txt", "ü".as_bytes()),
            ("b/1.cls", b"x"),
            ("b/1.json", b"{\"n\": [1, 2]}"),
            ("b/1.npy", &array),
            ("b/.hidden", b""),
        ]);
        for bytes in [shard.clone(), gzip(&shard)] {
            let dataset = WebDataset::new([folder.file("x.tar", bytes)]);
            let samples = dataset.samples(&Epoch { number: 0, seed: 0 }).unwrap();
            let [a, b]: [WebSample; 2] = samples
                .map(Result::unwrap)
                .collect::<Vec<_>>()
                .try_into()
                .unwrap();
            assert_eq!((a.key.as_str(), b.key.as_str()), ("a/1", "b/1"));
            assert_eq!(
                a.fields.keys().collect::<Vec<_>>(),
                ["cls", "jpg", "seg.png", "txt"]
            );
            assert_eq!((a.integer("cls").unwrap(), a.text("txt").unwrap()), (3, "ü"));
            assert_eq!(b.json::<BTreeMap<String, [i64; 2]>>("json").unwrap()["n"], [1, 2]);
            assert_eq!(b.npy("npy").unwrap().to_vec::<f32>().unwrap(), [1.5, 2.0]);
            let errors = [
                (
                    a.bytes("png").map(drop),
                    r#"a/1: expected a field `png`, got ["cls", "#,
                ),
                (a.text("jpg").map(drop), "a/1.jpg: not UTF-8"),
                (b.integer("cls").map(drop), "b/1.cls: not an integer: \"x\""),
                (b.json::<i64>("cls").map(drop), "b/1.cls: expected value"),
                (b.npy("cls").map(drop), "b/1.cls: "),
            ];
            for (result, expected) in errors {
                let error = folder.stripped(result.unwrap_err());
                assert!(error.starts_with(&format!("FOLDER/x.tar: {expected}")), "{error}");
            }
        }
    }

    #[test]
    fn shards_are_shuffled_and_shared_out() {
        let folder = Folder::new();
        let shards: Vec<PathBuf> = (0..6)
            .map(|i| {
                let names = [format!("{i}a.txt"), format!("{i}b.txt")];
                let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
                folder.file(&format!("{i}.tar"), archive(&files))
            })
            .collect();
        let all = WebDataset::new(&shards);
        let in_order = keys(&all, 0);
        assert_eq!(in_order[..3], ["0a", "0b", "1a"]);
        let shuffled = all.clone().shuffle_shards(true);
        let order = keys(&shuffled, 1);
        assert_ne!(order, in_order);
        assert_ne!(order, keys(&shuffled, 2));
        let mut parts = Vec::new();
        for rank in 0..4 {
            parts.extend(keys(&shuffled.clone().replica(4, rank).unwrap(), 1));
        }
        for mut keys in [order, parts] {
            keys.sort();
            assert_eq!(keys, in_order);
        }
        assert!(all.clone().replica(2, 2).is_err());

        let batches = |workers| {
            let texts = shuffled.clone().shuffle(3).map(|sample| Ok(sample.key));
            let loader = DataLoader::stream(texts)
                .batch_size(5)
                .seed(3)
                .num_workers(workers)
                .build()
                .unwrap();
            loader.iter().map(Result::unwrap).collect::<Vec<Vec<String>>>()
        };
        assert_eq!(batches(0).concat().len(), 12);
        assert_eq!(batches(2), batches(0));
    }

    #[test]
    fn bad_shards_are_errors() {
        let folder = Folder::new();
        let twice = archive(&[("a.txt", b"1"), ("b.txt", b"1"), ("b.TXT", b"2")]);
        let mut cut = archive(&[("a.txt", b"1"), ("b.txt", b"1")]);
        cut.truncate(3 * 512 + 100);
        for (bytes, expected) in [
            (twice, "offset 2048: b.TXT is there twice in one sample"),
            (cut, "offset 1024: b.txt: the data end early"),
        ] {
            let dataset = WebDataset::new([folder.file("x.tar", bytes)]);
            let samples: Vec<_> = dataset.samples(&Epoch { number: 0, seed: 0 }).unwrap().collect();
            let error = folder.stripped(samples.last().unwrap().clone().unwrap_err());
            assert_eq!(error, format!("FOLDER/x.tar: {expected}"));
        }
        let absent = WebDataset::new([folder.path().join("absent.tar")]);
        let first = absent.samples(&Epoch { number: 0, seed: 0 }).unwrap().next();
        assert!(
            folder
                .stripped(first.unwrap().unwrap_err())
                .starts_with("FOLDER/absent.tar: ")
        );
    }

    #[test]
    fn patterns_of_names() {
        let cases: [(&str, &[&str]); 4] = [
            ("x.tar", &["x.tar"]),
            (
                "x-{08..11}.tar",
                &["x-08.tar", "x-09.tar", "x-10.tar", "x-11.tar"],
            ),
            ("{0..1}/{5..5}", &["0/5", "1/5"]),
            ("{3..3}", &["3"]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(expand(pattern).unwrap(), expected);
        }
        for pattern in [
            "{1..",
            "{1}",
            "{a..b}",
            "{2..1}",
            "{+1..2}",
            "{0..1000000}",
            "{0..18446744073709551615}",
        ] {
            assert!(expand(pattern).is_err(), "{pattern}");
        }
    }
}
