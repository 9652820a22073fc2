//! The cache: the folders of Python's `huggingface_hub`, so that both languages share what either has downloaded.
//!
//! ```text
//! CACHE/.locks/models--owner--name/ETAG.lock      held while a blob is written
//! CACHE/models--owner--name/blobs/ETAG            contents, each once; ETAG.incomplete while they arrive
//!                          /refs/main             the commit that a branch or tag was last seen at
//!                          /snapshots/COMMIT/FILE a link to the blob
//! ```
//!
//! Everything appears in one step (a rename), and the steps are in this order: blob, link, ref. So a process that is
//! killed leaves nothing that looks complete and isn't.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flambeau_tensor::io::write_atomically;
use flambeau_tensor::{Error, Result, ensure};
use hf_hub::{Cache, CacheRepo, Repo};

use super::names;

/// The commit that a file put in by hand is suggested to have.
const BY_HAND: &str = "local";

/// A repository's part of the cache.
pub(super) struct Folder {
    cache: PathBuf,
    repo: Repo,
    paths: CacheRepo,
}

/// A file in the cache.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) commit: String,
}

/// Held until it is dropped.
pub(super) struct Lock {
    _file: File,
}

impl Folder {
    pub(super) fn new(cache: &Path, repo: Repo) -> Folder {
        Folder {
            cache: cache.to_path_buf(),
            paths: Cache::new(cache.to_path_buf()).repo(repo.clone()),
            repo,
        }
    }

    fn path(&self) -> PathBuf {
        self.cache.join(self.repo.folder_name())
    }

    pub(super) fn ref_path(&self, revision: &str) -> PathBuf {
        self.path().join("refs").join(revision)
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.paths.pointer_path(commit)
    }

    /// Where a file of a commit is found.
    pub(super) fn link(&self, commit: &str, file: &str) -> PathBuf {
        self.snapshot(commit).join(file)
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.paths.blob_path(etag)
    }

    /// The commit that `revision` stands for, as far as the cache knows.
    pub(super) fn commit(&self, revision: &str) -> Result<Option<String>> {
        if names::is_commit(revision) {
            return Ok(Some(revision.to_string()));
        }
        let path = self.ref_path(revision);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // A folder: `refs/pr` of `refs/pr/1` is no revision.
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(e) => return Err(io_error(&path)(e)),
        };
        let commit = text.trim();
        ensure!(
            names::is_file_name(commit),
            Format,
            "{}: holds {commit:?} instead of a commit",
            path.display()
        );
        Ok(Some(commit.to_string()))
    }

    /// The file at `revision`, if it is here.
    pub(super) fn find(&self, revision: &str, file: &str) -> Result<Option<Found>> {
        let Some(commit) = self.commit(revision)? else {
            return Ok(None);
        };
        let path = self.link(&commit, file);
        Ok(path.is_file().then_some(Found { path, commit }))
    }

    /// All files of a snapshot, by their names in the repository, in order.
    pub(super) fn files(&self, commit: &str) -> Result<Vec<String>> {
        let root = self.snapshot(commit);
        let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(io_error(&folder))?,
            };
            for entry in entries {
                let path = entry.map_err(io_error(&folder))?.path();
                // A link to nowhere is neither.
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    let parts = path.strip_prefix(&root).unwrap_or(&path).iter();
                    let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
                    files.push(parts.join("/"));
                }
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Waits until no other process, or thread, writes the blob. File systems without locks give none: the lock saves
    /// work, what is written is right without it.
    pub(super) fn lock(&self, etag: &str) -> Result<Lock> {
        let folder = self.cache.join(".locks").join(self.repo.folder_name());
        make_folder(&folder)?;
        let path = folder.join(format!("{etag}.lock"));
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error(&path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => file.lock().map_err(io_error(&path))?,
            Err(TryLockError::Error(e)) if e.kind() != ErrorKind::Unsupported => {
                return Err(io_error(&path)(e));
            }
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        Ok(Lock { _file: file })
    }

    /// Makes `file` of `commit` be the blob.
    pub(super) fn set_link(&self, commit: &str, file: &str, etag: &str) -> Result<()> {
        let link = self.link(commit, file);
        make_parent(&link)?;
        // Relative, so that the cache can be moved: out of the file's folders, the commit's and `snapshots`.
        let depth = file.split('/').count() + 1;
        let target = Path::new(&"../".repeat(depth)).join("blobs").join(etag);
        // Made among the blobs and renamed: a link that leads nowhere is replaced, nobody ever sees none, and what a kill
        // leaves is no file of the snapshot.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.blob(&format!("{etag}.{}-{count}.link", std::process::id()));
        point(&target, &self.blob(etag), &temporary)
            .and_then(|()| fs::rename(&temporary, &link))
            .map_err(io_error(&link))
    }

    /// Remembers what a branch or tag stands for. Nothing is written where that is known, so that a cache that can't be
    /// written serves what it has.
    pub(super) fn set_ref(&self, revision: &str, commit: &str) -> Result<()> {
        if self.commit(revision)?.as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.ref_path(revision);
        make_parent(&path)?;
        write_atomically(&path, |file| {
            use std::io::Write;
            file.write_all(commit.as_bytes()).map_err(io_error(&path))
        })
    }

    /// How to put a file there by hand: a sentence for errors.
    pub(super) fn by_hand(&self, revision: &str, file: &str) -> String {
        let known = self.commit(revision).ok().flatten();
        let path = self.link(known.as_deref().unwrap_or(BY_HAND), file);
        let mut text = format!("to use a copy that you have, put it at {}", path.display());
        if known.is_none() {
            let path = self.ref_path(revision);
            text.push_str(&format!(" and write `{BY_HAND}` into {}", path.display()));
        }
        text
    }
}

#[cfg(unix)]
fn point(target: &Path, _blob: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Without the right to make links, the file itself: `huggingface_hub` copies, too.
#[cfg(not(unix))]
fn point(target: &Path, blob: &Path, link: &Path) -> std::io::Result<()> {
    #[cfg(windows)]
    if std::os::windows::fs::symlink_file(target, link).is_ok() {
        return Ok(());
    }
    let _ = target;
    fs::copy(blob, link).map(|_| ())
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(io_error(path))
}

pub(super) fn make_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), make_folder)
}

/// The operating system's refusal, with the path.
pub(super) fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::Io(format!("{}: {error}", path.display()))
}
