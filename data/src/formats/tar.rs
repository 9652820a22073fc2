//! Tar files, read as a stream: [`TarReader`].
//!
//! The ustar format with what GNU tar (long names, large sizes) and pax (paths, sizes) add to it. A reader of our own,
//! because the iterators of the crate `tar` borrow the archive, and so can't be owned by a stream that moves between
//! threads.
//!
//! A file is a header of 512 bytes (name 0..100, size 124..136, checksum 148..156, type 156, `ustar` 257..263, prefix
//! 345..500; numbers are octal text) and its bytes, padded to a multiple of 512; an empty header ends the archive.

use std::io::{Read, copy, sink};
use std::path::Path;

use flambeau_tensor::{Error, Result, bail, ensure};

use super::{Input, io_error, read_bytes};

const BLOCK: usize = 512;

/// The longest name, or pax header, that is read.
const LONGEST_NAME: u64 = 1 << 20;

/// The largest file that is read: 4 GiB.
const LARGEST_FILE: u64 = 4 << 30;

/// A regular file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TarEntry {
    /// The path in the archive.
    pub name: String,
    /// Where the file's header begins in the archive (unpacked).
    pub offset: u64,
    /// What the file holds.
    pub bytes: Vec<u8>,
}

/// Reads the regular files of an archive one after another; folders, links and the like are passed over.
///
/// ```no_run
/// use flambeau_data::formats::tar::TarReader;
///
/// for entry in TarReader::open("shard-000000.tar")? {
///     let entry = entry?;
///     println!("{}: {} bytes", entry.name, entry.bytes.len());
/// }
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub struct TarReader {
    reader: Box<dyn Read + Send>,
    place: String,
    /// How much has been read.
    offset: u64,
    /// How long the archive can be at most.
    most: u64,
    ended: bool,
}

/// What headers say about the file that follows them.
#[derive(Default)]
struct Extension {
    name: Option<String>,
    size: Option<u64>,
}

impl TarReader {
    /// Opens the archive at `path`, which may be packed by gzip.
    ///
    /// # Errors
    /// `Io` if the file can't be read; `Format` if it is packed and its end says that it holds too much.
    pub fn open(path: impl AsRef<Path>) -> Result<TarReader> {
        let path = path.as_ref();
        let input = Input::open(path)?;
        Ok(TarReader {
            reader: Box::new(input.reader),
            place: path.display().to_string(),
            offset: 0,
            most: input.most,
            ended: false,
        })
    }

    /// The next regular file.
    fn entry(&mut self) -> Result<Option<TarEntry>> {
        let mut extension = Extension::default();
        loop {
            let offset = self.offset;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = number(&header[124..136])?;
            match header[156] {
                b'0' | b'\0' | b'7' => {
                    let size = extension.size.unwrap_or(size);
                    let name = match extension.name.take() {
                        Some(name) => name,
                        None => name_of(&header)?,
                    };
                    let bytes = self
                        .data(size, LARGEST_FILE)
                        .map_err(|error| error.context(&name))?;
                    return Ok(Some(TarEntry { name, offset, bytes }));
                }
                b'L' => {
                    let name = self.data(size, LONGEST_NAME)?;
                    extension.name = Some(text(before_nul(&name))?);
                }
                b'x' => {
                    let records = self.data(size, LONGEST_NAME)?;
                    read_pax(&records, &mut extension)?;
                }
                b'S' => bail!(Unsupported, "a sparse file, which is not read"),
                // A folder, link or device, or a header about what does not matter here (`K`, `g`).
                _ => {
                    let own = matches!(header[156], b'K' | b'g');
                    self.skip(if own { size } else { extension.size.unwrap_or(size) })?;
                    if !own {
                        extension = Extension::default();
                    }
                }
            }
        }
    }

    /// The next header; none at the end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut header = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.reader.read(&mut header[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => bail!(Format, "the data end early"),
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error(error)),
            }
        }
        self.offset += BLOCK as u64;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The sum of all bytes, those of the checksum itself taken for blanks.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let expected = sum(&header[..148]) + 8 * u64::from(b' ') + sum(&header[156..]);
        ensure!(
            number(&header[148..156]).ok() == Some(expected),
            Format,
            "not the header of a file in a tar archive (its checksum is wrong)"
        );
        Ok(Some(header))
    }

    /// The data of a header, without the padding.
    fn data(&mut self, size: u64, most: u64) -> Result<Vec<u8>> {
        self.check(size)?;
        ensure!(
            size <= most,
            Format,
            "{size} bytes, more than the {most} that are read"
        );
        let bytes = read_bytes(&mut self.reader, size)?;
        self.offset += size;
        self.skip_exactly(padding(size))?;
        Ok(bytes)
    }

    fn skip(&mut self, size: u64) -> Result<()> {
        self.check(size)?;
        self.skip_exactly(size)?;
        self.skip_exactly(padding(size))
    }

    /// An error if the archive can't hold that many more bytes.
    fn check(&self, size: u64) -> Result<()> {
        let left = self.most.saturating_sub(self.offset);
        ensure!(
            size <= left,
            Format,
            "a file of {size} bytes, but the archive has at most {left} more"
        );
        Ok(())
    }

    fn skip_exactly(&mut self, count: u64) -> Result<()> {
        let skipped = copy(&mut (&mut self.reader).take(count), &mut sink()).map_err(io_error)?;
        ensure!(skipped == count, Format, "the data end early");
        self.offset += count;
        Ok(())
    }
}

impl Iterator for TarReader {
    type Item = Result<TarEntry>;

    fn next(&mut self) -> Option<Result<TarEntry>> {
        if self.ended {
            return None;
        }
        let offset = self.offset;
        let entry = self.entry().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        Some(entry?.map_err(|error| error.context(format_args!("{}: offset {offset}", self.place))))
    }
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// Octal text, or, where the first bit is set, a binary number.
fn number(field: &[u8]) -> Result<u64> {
    let bad = || Error::Format(format!("not a number: {:?}", String::from_utf8_lossy(field)));
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len() - 8);
        if high
            .iter()
            .enumerate()
            .any(|(i, byte)| *byte != if i == 0 { 0x80 } else { 0 })
        {
            return Err(bad());
        }
        return Ok(low.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)));
    }
    let digits = before_nul(field).trim_ascii();
    if digits.is_empty() {
        return Ok(0);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
    u64::from_str_radix(digits, 8).map_err(|_| bad())
}

fn before_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn text(bytes: &[u8]) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_string()),
        Err(_) => bail!(
            Format,
            "a name that is not UTF-8: {:?}",
            String::from_utf8_lossy(bytes)
        ),
    }
}

fn name_of(header: &[u8; BLOCK]) -> Result<String> {
    let name = text(before_nul(&header[..100]))?;
    // GNU's header has other fields where POSIX has the prefix.
    let prefix = match &header[257..263] {
        b"ustar\0" => text(before_nul(&header[345..500]))?,
        _ => String::new(),
    };
    Ok(if prefix.is_empty() {
        name
    } else {
        format!("{prefix}/{name}")
    })
}

/// Reads records `length key=value\n`, of which `path` and `size` matter.
fn read_pax(mut records: &[u8], extension: &mut Extension) -> Result<()> {
    let bad = || Error::Format("a pax header that does not follow its format".to_string());
    while !records.is_empty() {
        let blank = records.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length: usize = text(&records[..blank])?.parse().map_err(|_| bad())?;
        let record = records.get(blank + 1..length).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => extension.name = Some(text(value)?),
            b"size" => extension.size = Some(text(value)?.parse().map_err(|_| bad())?),
            _ => {}
        }
        records = &records[length..];
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::test_files::{Folder, gzip};
    use super::*;

    fn header(name: &str, kind: u8, size: &str) -> [u8; BLOCK] {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..124 + size.len()].copy_from_slice(size.as_bytes());
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        sign(&mut header);
        header
    }

    fn sign(header: &mut [u8; BLOCK]) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }

    /// A file of an archive: header, data, padding.
    fn file(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = header(name, kind, &format!("{:011o}", data.len())).to_vec();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    /// An archive of regular files.
    pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes: Vec<u8> = files
            .iter()
            .flat_map(|(name, data)| file(name, b'0', data))
            .collect();
        bytes.extend([0; 2 * BLOCK]);
        bytes
    }

    fn read(bytes: Vec<u8>) -> Vec<Result<(String, Vec<u8>), String>> {
        let folder = Folder::new();
        let entries = TarReader::open(folder.file("x.tar", bytes)).unwrap();
        entries
            .map(|entry| match entry {
                Ok(entry) => Ok((entry.name, entry.bytes)),
                Err(error) => Err(folder.stripped(error)),
            })
            .collect()
    }

    fn entry(name: &str, data: &[u8]) -> Result<(String, Vec<u8>), String> {
        Ok((name.to_string(), data.to_vec()))
    }

    #[test]
    fn regular_files_of_every_dialect() {
        let long = "n".repeat(150);
        let mut prefixed = header("b.txt", b'0', "0");
        prefixed[345..348].copy_from_slice(b"dir");
        sign(&mut prefixed);
        let mut binary = header("size", b'\0', "");
        binary[124] = 0x80;
        binary[135] = 3;
        sign(&mut binary);
        let mut bytes = [
            file("a.txt", b'0', &[7; 600]),
            file("folder/", b'5', b""),
            prefixed.to_vec(),
            file("././@LongLink", b'L', format!("{long}\0").as_bytes()),
            file("cut", b'0', b"1"),
            file("pax", b'x', "18 path=d\u{fc}/e.txt\n9 size=2\n".as_bytes()),
            file("cut", b'0', b"12"),
            file("about all", b'g', b"11 path=no\n"),
            binary.to_vec(),
        ]
        .concat();
        bytes.extend(b"abc");
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        let expected = [
            entry("a.txt", &[7; 600]),
            entry("dir/b.txt", b""),
            entry(&long, b"1"),
            entry("d\u{fc}/e.txt", b"12"),
            entry("size", b"abc"),
        ];
        assert_eq!(read(bytes.clone()), expected, "without an end");
        bytes.extend([0; BLOCK]);
        assert_eq!(read(gzip(&bytes)), expected);
        assert_eq!(read(bytes), expected);
        assert!(read(vec![]).is_empty());
    }

    #[test]
    fn bad_archives_are_errors() {
        let mut unsigned = header("a", b'0', "0");
        unsigned[0] = b'b';
        let good = file("good", b'0', b"1");
        let after_good = |bytes: &[u8]| [&good, bytes].concat();
        let pax = |records: &str| after_good(&file("p", b'x', records.as_bytes()));
        let cases = [
            (
                after_good(&unsigned),
                "offset 1024: not the header of a file in a tar archive",
            ),
            (after_good(&[1; 100]), "offset 1024: the data end early"),
            (
                after_good(&header("a", b'0', "77777777777")),
                "offset 1024: a: a file of 8589934591 bytes, but the archive has at most 0 more",
            ),
            (
                after_good(&header("a", b'5', "77777777777")),
                "a file of 8589934591 bytes, but the archive has at most 0 more",
            ),
            (after_good(&header("a", b'0', "12x")), "not a number: \"12x"),
            (
                after_good(&file("a", b'S', b"")),
                "a sparse file, which is not read",
            ),
            (after_good(&file("a", b'L', b"\xff")), "a name that is not UTF-8"),
            (pax("99 path=a\n"), "a pax header"),
            (pax("1 path=a\n"), "a pax header"),
            (pax("x path=a\n"), "a pax header"),
            (pax("0"), "a pax header"),
            (pax("9 size=x\n"), "a pax header"),
            (
                after_good(&file("a", b'0', b"12")[..BLOCK + 1]),
                "but the archive has at most 1 more",
            ),
            (
                after_good(&file("a", b'0', b"12")[..BLOCK + 2]),
                "the data end early",
            ),
        ];
        for (bytes, expected) in cases {
            let entries = read(bytes.clone());
            assert_eq!(entries[0], entry("good", b"1"));
            let error = entries[1].clone().unwrap_err();
            assert!(
                error.starts_with("FOLDER/x.tar: offset 1024: ") && error.contains(expected),
                "{error}"
            );
            assert_eq!(entries.len(), 2);
        }
        let packed = gzip(&header("a", b'0', "77777777777"));
        let error = read(packed)[0].clone().unwrap_err();
        assert!(error.contains("a file of 8589934591 bytes"), "{error}");
    }

    /// Reads an archive in memory to its end.
    fn walk(bytes: Vec<u8>) {
        let reader = TarReader {
            most: bytes.len() as u64,
            reader: Box::new(std::io::Cursor::new(bytes)),
            place: String::new(),
            offset: 0,
            ended: false,
        };
        reader.for_each(drop);
    }

    #[test]
    fn archives_cut_or_altered_anywhere_never_panic() {
        let whole = [
            file("l", b'L', b"name\0"),
            file("p", b'x', b"7 a=bc\n"),
            file("a", b'0', b"123"),
        ]
        .concat();
        for length in 0..whole.len() {
            walk(whole[..length].to_vec());
        }
        for position in 0..whole.len() {
            for byte in [0, b'7', 0xff] {
                let mut altered = whole.clone();
                altered[position] = byte;
                // The checksum would catch most changes of a header.
                for block in altered.chunks_exact_mut(2 * BLOCK) {
                    let Some(header) = block.first_chunk_mut() else {
                        continue;
                    };
                    sign(header);
                }
                walk(altered);
            }
        }
    }
}
