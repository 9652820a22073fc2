//! A blob, whole and checked, or not at all.
//!
//! What arrives is written to `ETAG.incomplete` and renamed when it is complete. A download that broke off, in this
//! process or in one that was killed, goes on where it stopped: the bytes that are there are read for the checksum, the
//! rest is asked for by a range.
//!
//! Bytes are written at the place where they belong and the file is never shortened, only replaced, so that two processes
//! that write it at once (on a file system whose locks do nothing) write the same and do not harm each other.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use flambeau_tensor::{Error, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ureq::Body;
use ureq::http::header::CONTENT_RANGE;
use ureq::http::{Response, StatusCode, Uri};

use super::cache::{io_error, make_parent};
use super::checksum::{Checksum, Sum};
use super::http::{Asked, Client, Failure, Head, lost, shown};

const PIECE: usize = 1 << 16;
/// A download that has moved by this much since it last failed has all its tries again.
const PROGRESS: u64 = 1 << 20;

/// A file that is to become a blob.
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client,
    /// What errors call it, and the bar.
    pub(super) asked: Asked<'a>,
    /// Where the hub has it, by its commit.
    pub(super) url: &'a Uri,
    pub(super) head: &'a Head,
    /// What it has to be, where that is known.
    pub(super) checksum: Option<Checksum>,
    pub(super) show_progress: bool,
}

/// What has arrived.
struct Partial {
    path: PathBuf,
    file: File,
    len: u64,
    /// Of all that has arrived, where it is known what it has to be.
    sum: Option<Sum>,
}

impl Partial {
    /// The file as an earlier download left it, or a new one.
    fn open(path: PathBuf, sum: Option<Sum>, keep: bool) -> Result<Partial> {
        if !keep {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(io_error(&path)(e)),
                _ => {}
            }
        }
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error(&path))?;
        let mut partial = Partial {
            path,
            file,
            len: 0,
            sum,
        };
        let mut piece = vec![0; PIECE];
        loop {
            let read = read(&mut partial.file, &mut piece).map_err(io_error(&partial.path))?;
            if read == 0 {
                return Ok(partial);
            }
            partial.note(&piece[..read]);
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(io_error(&self.path))?;
        self.note(bytes);
        Ok(())
    }

    /// Throws away what has arrived.
    fn restart(&mut self, sum: Option<Sum>) -> Result<()> {
        *self = Partial::open(self.path.clone(), sum, false)?;
        Ok(())
    }
}

impl Transfer<'_> {
    /// Makes the blob be there.
    pub(super) fn run(&self, blob: &Path) -> Result<(), Failure> {
        make_parent(blob)?;
        let path = blob.with_file_name(format!("{}.incomplete", self.head.etag));
        // Without a size, what is there could be all there is.
        let mut partial = Partial::open(path, self.sum(), self.head.size.is_some())?;
        if self.head.size.is_some_and(|size| partial.len > size) {
            partial.restart(self.sum())?;
        }
        let bar = self.bar(partial.len);
        let resumed = partial.len > 0;
        self.complete(&mut partial, &bar)?;
        if let Err(error) = self.check(&partial) {
            partial.restart(self.sum())?;
            if !resumed {
                // Nothing may go on from it.
                remove(&partial.path)?;
                return Err(error.into());
            }
            // The fault may lie in what an earlier process has left.
            self.complete(&mut partial, &bar)?;
            if let Err(error) = self.check(&partial) {
                remove(&partial.path)?;
                return Err(error.into());
            }
        }
        bar.finish_and_clear();
        partial.file.sync_all().map_err(io_error(&partial.path))?;
        match fs::rename(&partial.path, blob) {
            // Another process was faster, in spite of the lock.
            Err(e) if e.kind() == ErrorKind::NotFound && blob.is_file() => Ok(()),
            renamed => Ok(renamed.map_err(io_error(blob))?),
        }
    }

    /// Receives until all is there.
    fn complete(&self, partial: &mut Partial, bar: &ProgressBar) -> Result<(), Failure> {
        let mut tries = self.client.tries();
        // What the hub keeps itself is asked for by its commit: the branch may move at any time.
        let at = &self.head.location;
        let settled = !self.client.is_hub(at) || at.path().contains(&self.head.commit);
        let mut url = if settled { at } else { self.url };
        let mut reached = partial.len;
        while self.head.size.is_none_or(|size| partial.len < size) {
            match self.receive(partial, url, bar) {
                Ok(()) => break,
                Err(failure) => {
                    if partial.len >= reached + PROGRESS {
                        tries.progressed();
                    }
                    reached = reached.max(partial.len);
                    tries.failed(failure)?;
                }
            }
            // The link to the storage may be too old by now; the hub gives a new one.
            url = self.url;
            if self.head.size.is_none() {
                partial.restart(self.sum())?;
            }
        }
        Ok(())
    }

    /// Asks once for what is missing and takes what comes.
    fn receive(&self, partial: &mut Partial, url: &Uri, bar: &ProgressBar) -> Result<(), Failure> {
        let response = self.client.get(url, partial.len, self.asked)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => self.check_range(&response, partial.len, url)?,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                partial.restart(self.sum())?;
                return Err(lost(
                    url,
                    format_args!("has nothing to go on with, for {}", self.asked),
                ));
            }
            // All of it, whatever was asked for.
            _ if partial.len > 0 => partial.restart(self.sum())?,
            _ => {}
        }
        bar.set_position(partial.len);
        let mut body = response.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        loop {
            let read = read(&mut body, &mut piece).map_err(|e| {
                let missing = format_args!(
                    "{e} after {} bytes{} of {}",
                    partial.len,
                    self.of_size(),
                    self.asked
                );
                lost(url, missing)
            })?;
            if read == 0 {
                break;
            }
            partial.append(&piece[..read])?;
            bar.set_position(partial.len);
            if let Some(size) = self.head.size.filter(|&size| partial.len > size) {
                partial.restart(self.sum())?;
                let (place, asked) = (shown(url), self.asked);
                let what = format!("{place}: sends more than {size} bytes for {asked}");
                return Err(Failure::Lasting(Error::Format(what)));
            }
        }
        match self.head.size {
            Some(size) if partial.len < size => Err(Failure::Passing(Error::Format(format!(
                "{}: the body ends after {} bytes{} of {}",
                shown(url),
                partial.len,
                self.of_size(),
                self.asked
            )))),
            _ => Ok(()),
        }
    }

    fn of_size(&self) -> String {
        self.head
            .size
            .map_or_else(String::new, |size| format!(" of {size}"))
    }

    /// `bytes 10-99/100` has to begin where the file ends.
    fn check_range(&self, response: &Response<Body>, from: u64, url: &Uri) -> Result<()> {
        let header = response.headers().get(CONTENT_RANGE);
        let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let begin = text
            .strip_prefix("bytes ")
            .and_then(|rest| rest.split('-').next());
        if begin.and_then(|begin| begin.parse().ok()) == Some(from) {
            return Ok(());
        }
        Err(Error::Format(format!(
            "{}: was asked for {} from byte {from} on and answers with the range {text:?}",
            shown(url),
            self.asked
        )))
    }

    /// A checksum of the kind that is known, of nothing yet.
    fn sum(&self) -> Option<Sum> {
        self.checksum.as_ref().map(Checksum::begin)
    }

    /// Compares the checksum, where there is one. The size is right already.
    fn check(&self, partial: &Partial) -> Result<()> {
        let (Some(sum), Some(expected)) = (&partial.sum, &self.checksum) else {
            return Ok(());
        };
        let arrived = sum.clone().finish();
        if arrived == *expected {
            return Ok(());
        }
        Err(Error::Format(format!(
            "{}: {}: the {} of what arrived is {arrived}, that of the file is {expected}; it was thrown away",
            shown(self.url),
            self.asked,
            expected.kind()
        )))
    }

    /// A bar on stderr, which hides where that is no terminal.
    fn bar(&self, position: u64) -> ProgressBar {
        let target = if self.show_progress {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(self.head.size, target).with_position(position);
        let template = match self.head.size {
            Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg} {bytes} {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(self.asked.file.unwrap_or_default().to_string());
        bar.reset_eta();
        bar
    }
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(io_error(path))
}

/// What one read gives; being interrupted is no end.
fn read(source: &mut impl Read, piece: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match source.read(piece) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
