//! [`Repo`]: a repository of models or data, and the files that are got from it.

use std::fs;
use std::path::PathBuf;

use flambeau_tensor::{Error, Result, ensure};
use hf_hub::RepoType;
use hf_hub::api::RepoInfo;
use ureq::http::Uri;

use super::cache::{Folder, Found};
use super::checksum::Checksum;
use super::config::Hub;
use super::http::{Asked, Client, Failure, parse};
use super::names;
use super::transfer::Transfer;
use crate::sharded;

/// The names that `transformers` gives weights.
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A repository on a hub. Nothing is asked for before a method needs it.
///
/// ```no_run
/// use flambeau_hub::Repo;
///
/// # fn main() -> flambeau_tensor::Result<()> {
/// let config = Repo::model("google/vit-base-patch16-224").revision("main").get("config.json")?;
/// println!("{}", config.display());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Repo {
    /// That of the environment where there is none.
    hub: Option<Hub>,
    kind: RepoType,
    name: String,
    revision: String,
}

/// Files of one commit in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The folder; the files lie in it under their names in the repository.
    pub folder: PathBuf,
    /// The commit.
    pub commit: String,
    /// The names of the files that were asked for, in order.
    pub files: Vec<String>,
}

impl Repo {
    /// A repository of weights, `owner/name`, on the hub that the environment names, at the branch `main`.
    pub fn model(name: impl Into<String>) -> Repo {
        Repo::new(RepoType::Model, name.into())
    }

    /// A repository of data, `owner/name`, on the hub that the environment names, at the branch `main`.
    pub fn dataset(name: impl Into<String>) -> Repo {
        Repo::new(RepoType::Dataset, name.into())
    }

    fn new(kind: RepoType, name: String) -> Repo {
        Repo {
            hub: None,
            kind,
            name,
            revision: "main".to_string(),
        }
    }

    /// The same on another hub.
    pub fn on(mut self, hub: &Hub) -> Repo {
        self.hub = Some(hub.clone());
        self
    }

    /// The same at another branch, a tag, or a commit by its full hash.
    pub fn revision(mut self, revision: impl Into<String>) -> Repo {
        self.revision = revision.into();
        self
    }

    /// The path of a file in the cache, after a download if it isn't there.
    ///
    /// The hub is asked whether a branch or tag has moved; a commit can't, so its files are got once. If the hub can't be
    /// reached, what the cache has at the revision is the answer.
    ///
    /// # Errors
    /// `Value` for names that can't be; `Key` if there is no such file, revision or repository; `Io` if the hub refuses
    /// or can't be reached, or the cache can't be written; `Format` if what arrives is not what the hub announced. The
    /// message names the URL, the file, and what to do.
    pub fn get(&self, file: &str) -> Result<PathBuf> {
        let access = self.open()?;
        Ok(access.get(&self.revision, file)?.path)
    }

    /// The path of a file in the cache, if it is there; the hub is not asked.
    ///
    /// # Errors
    /// `Value` for names that can't be, `Io` and `Format` if the cache can't be read.
    pub fn cached(&self, file: &str) -> Result<Option<PathBuf>> {
        names::check_file(file)?;
        let found = self.open()?.folder.find(&self.revision, file)?;
        Ok(found.map(|found| found.path))
    }

    /// The names of all files in the repository, in the hub's order.
    ///
    /// # Errors
    /// Those of [`Repo::get`]; `Io` if the hub is offline: the cache knows only what was downloaded.
    pub fn files(&self) -> Result<Vec<String>> {
        let access = self.open()?;
        let client = access.hub.client().map_err(|reason| {
            let asked = access.asked(&self.revision, None);
            Error::Io(format!("{asked}: its files can't be listed: {reason}"))
        })?;
        Ok(access.list(client, &self.revision)?.files)
    }

    /// Gets all files whose names match one of the patterns, or all files for no patterns, all of one commit.
    ///
    /// Patterns are those of Python's `allow_patterns`: `*` is any text, slashes included, `?` any character, `[a-z]` one
    /// of these, and a pattern that ends with `/` is all that the folder holds. If the hub is offline or can't be
    /// reached, the answer is what the cache has, which may be less than the repository.
    ///
    /// # Errors
    /// Those of [`Repo::get`]; `Key` if no file matches.
    pub fn snapshot(&self, patterns: &[&str]) -> Result<Snapshot> {
        let access = self.open()?;
        let chosen = |file: &String| patterns.is_empty() || patterns.iter().any(|p| names::matches(p, file));
        let none = |place: &str| {
            let asked = access.asked(&self.revision, None);
            Error::Key(format!("{asked}: no file{place} matches {patterns:?}"))
        };
        let listed = match access.hub.client() {
            Ok(client) => match access.list(client, &self.revision) {
                Err(Failure::Passing(error)) => Err(error.to_string()),
                listed => Ok(listed?),
            },
            Err(reason) => Err(reason.to_string()),
        };
        let (commit, files) = match listed {
            Ok(Listed { commit, files }) => {
                let files: Vec<String> = files.into_iter().filter(chosen).collect();
                ensure!(!files.is_empty(), Key, "{}", none(""));
                for file in &files {
                    access.get(&commit, file)?;
                }
                access.folder.set_ref(&self.revision, &commit)?;
                (commit, files)
            }
            Err(reason) => {
                let commit = access.folder.commit(&self.revision)?.unwrap_or_default();
                let mut files = match commit.as_str() {
                    "" => Vec::new(),
                    commit => access.folder.files(commit)?,
                };
                files.retain(chosen);
                if files.is_empty() {
                    let place = format!(" in {}", access.folder.snapshot(&commit).display());
                    return Err(none(&place).context(reason));
                }
                (commit, files)
            }
        };
        Ok(Snapshot {
            folder: access.folder.snapshot(&commit),
            commit,
            files,
        })
    }

    /// Gets the weights of a model, `model.safetensors` or all files that `model.safetensors.index.json` names, and
    /// returns the path of the one or the other.
    ///
    /// # Errors
    /// Those of [`Repo::get`]; `Key` if the repository has neither; `Format` if the index can't be understood.
    pub fn safetensors(&self) -> Result<PathBuf> {
        let access = self.open()?;
        let whole = match access.get(&self.revision, WEIGHTS) {
            Ok(found) => return Ok(found.path),
            Err(failure @ Failure::Lasting(_)) => return Err(failure.into()),
            Err(failure) => failure,
        };
        let index = match access.get(&self.revision, INDEX) {
            Err(Failure::NoFile(_)) if access.hub.client().is_ok() => {
                let asked = access.asked(&self.revision, None);
                return Err(Error::Key(format!(
                    "{asked} has neither `{WEIGHTS}` nor `{INDEX}`"
                )));
            }
            Err(Failure::NoFile(_)) => return Err(whole.into()),
            found => found?,
        };
        // All of one commit; one that was put in by hand has no name that the hub knows.
        let known = names::is_commit(&index.commit);
        let revision = if known { &index.commit } else { &self.revision };
        for shard in sharded::files_of(&index.path)? {
            access.get(revision, &shard)?;
        }
        Ok(index.path)
    }

    /// Checks the names and finds the hub.
    fn open(&self) -> Result<Access<'_>> {
        names::check_repo(&self.name)?;
        names::check_revision(&self.revision)?;
        let hub = self.hub.clone().map_or_else(Hub::from_env, Ok)?;
        let repo = hf_hub::Repo::new(self.name.clone(), self.kind);
        Ok(Access {
            folder: Folder::new(&hub.settings().cache, repo),
            repo: self,
            hub,
        })
    }
}

/// The files of a commit, as the hub lists them.
struct Listed {
    commit: String,
    files: Vec<String>,
}

/// A repository with checked names, its hub and its part of the cache.
struct Access<'a> {
    repo: &'a Repo,
    hub: Hub,
    folder: Folder,
}

impl Access<'_> {
    fn asked<'a>(&'a self, revision: &'a str, file: Option<&'a str>) -> Asked<'a> {
        Asked {
            kind: match self.repo.kind {
                RepoType::Model => "model",
                RepoType::Dataset => "dataset",
                RepoType::Space => "space",
            },
            repo: &self.repo.name,
            revision,
            file,
        }
    }

    /// Where the hub has a file.
    fn url(&self, revision: &str, file: &str) -> Result<Uri> {
        let endpoint = &self.hub.settings().endpoint;
        let repo = hf_hub::Repo::new(self.repo.name.clone(), self.repo.kind).url();
        let revision = names::percent_encoded(revision, false);
        let file = names::percent_encoded(file, true);
        parse(&format!("{endpoint}/{repo}/resolve/{revision}/{file}"))
    }

    fn get(&self, revision: &str, file: &str) -> Result<Found, Failure> {
        names::check_file(file)?;
        let asked = self.asked(revision, Some(file));
        let settled = names::is_commit(revision) || self.hub.client().is_err();
        let known = match self.folder.find(revision, file)? {
            Some(found) if settled => return Ok(found),
            known => known,
        };
        let by_hand = || self.folder.by_hand(revision, file);
        let client = self.hub.client().map_err(|reason| {
            let cache = self.hub.settings().cache.display();
            let what = format!("{asked}: not in the cache {cache}, and {reason}; {}", by_hand());
            Failure::NoFile(Error::Io(what))
        })?;
        let head = match client.head(&self.url(revision, file)?, asked, known.is_none()) {
            // What the hub said last is the best answer while it says nothing.
            Err(Failure::Passing(error)) => {
                let hopeless = || Failure::Passing(Error::Io(format!("{error}; {}", by_hand())));
                return known.ok_or_else(hopeless);
            }
            head => head?,
        };
        let path = self.folder.link(&head.commit, file);
        if !path.is_file() {
            let url = self.url(&head.commit, file)?;
            let blob = self.folder.blob(&head.etag);
            let _lock = self.folder.lock(&head.etag)?;
            // One of another length was left by a program that had no care.
            let complete =
                |meta: fs::Metadata| meta.is_file() && head.size.is_none_or(|size| size == meta.len());
            if !fs::metadata(&blob).is_ok_and(complete) {
                let transfer = Transfer {
                    client,
                    asked,
                    url: &url,
                    head: &head,
                    checksum: names::is_sha256(&head.etag).then(|| Checksum::Sha256(head.etag.clone())),
                    show_progress: self.hub.settings().progress,
                };
                transfer.run(&blob)?;
            }
            self.folder.set_link(&head.commit, file, &head.etag)?;
        }
        self.folder.set_ref(revision, &head.commit)?;
        Ok(Found {
            path,
            commit: head.commit,
        })
    }

    /// Asks the hub for the files at `revision`.
    fn list(&self, client: &Client, revision: &str) -> Result<Listed, Failure> {
        let endpoint = &self.hub.settings().endpoint;
        let (name, kind) = (self.repo.name.clone(), self.repo.kind);
        let repo = hf_hub::Repo::with_revision(name, kind, revision.to_string()).api_url();
        let url = parse(&format!("{endpoint}/api/{repo}"))?;
        let text = client.text(&url, self.asked(revision, None))?;
        let info: RepoInfo = serde_json::from_str(&text)
            .map_err(|e| Error::Format(format!("{url}: no list of files: {e}")))?;
        if !names::is_commit(&info.sha) {
            let what = format!("{url}: the commit is {:?}; a hash is expected", info.sha);
            return Err(Failure::Lasting(Error::Format(what)));
        }
        let files: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
        for file in &files {
            names::check_file(file).map_err(|error| error.context(&url))?;
        }
        Ok(Listed {
            commit: info.sha,
            files,
        })
    }
}
