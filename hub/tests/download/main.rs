//! Downloads, end to end: two servers on this machine, one that speaks as the hub does and one for its storage of large
//! files, and a cache in a folder of the test's own.

#![allow(clippy::unwrap_used)]

mod layout;
mod processes;
mod refusals;
mod server;
mod snapshots;
mod transfers;
mod urls;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flambeau_hub::{Hub, HubBuilder, Repo};
use ring::digest::{SHA256, digest};
use server::{Reply, Request, Server};

pub(crate) const COMMIT: &str = "1111111111111111111111111111111111111111";
pub(crate) const CONFIG: &[u8] = b"{\"hidden_size\": 64}\n";
/// What git calls a file of this content; any hash of 40 digits would do.
pub(crate) const CONFIG_ETAG: &str = "0123456789abcdef0123456789abcdef01234567";

/// More than a read takes, and no two parts alike.
pub(crate) fn weights() -> Vec<u8> {
    (0..300_000u32)
        .flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes())
        .collect()
}

pub(crate) fn sha256(content: &[u8]) -> String {
    digest(&SHA256, content)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A folder that is removed when the value is dropped.
pub(crate) struct TempFolder(pub(crate) PathBuf);

impl TempFolder {
    fn new() -> TempFolder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("flambeau-hub-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        TempFolder(path)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

type Fault = dyn Fn(&Request, usize) -> Option<Reply> + Send + Sync;

/// A hub with the model and the dataset `org/name`, each with `config.json`, which is in git, and large files, which
/// are in the storage.
pub(crate) struct World {
    pub(crate) hub: Server,
    pub(crate) storage: Server,
    pub(crate) folder: TempFolder,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(&[("model.safetensors", weights())], |_, _| None, |_, _| None)
    }

    /// `at_hub` and `at_storage` answer in place of the servers if they return something; their second argument is how
    /// many such requests came before.
    pub(crate) fn with(
        files: &[(&str, Vec<u8>)],
        at_hub: impl Fn(&Request, usize) -> Option<Reply> + Send + Sync + 'static,
        at_storage: impl Fn(&Request, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> World {
        let files: Vec<(String, Vec<u8>)> = files.iter().map(|(n, c)| (n.to_string(), c.clone())).collect();
        let files = Arc::new(files);
        let (contents, faults): (_, Box<Fault>) = (files.clone(), Box::new(at_storage));
        let storage = Server::start(move |request, earlier| {
            if let Some(reply) = faults(request, earlier) {
                return reply;
            }
            assert!(request.path.ends_with("?signature=s"), "{}", request.path);
            let hash = request
                .path
                .trim_start_matches("/blob/")
                .split('?')
                .next()
                .unwrap();
            match contents.iter().find(|(_, content)| sha256(content) == hash) {
                Some((_, content)) => Reply::content(request, content),
                None => Reply::new(403),
            }
        });
        let (at_storage, faults): (_, Box<Fault>) = (storage.url(), Box::new(at_hub));
        let hub = Server::start(move |request, earlier| {
            faults(request, earlier).unwrap_or_else(|| hub_answer(request, &files, &at_storage))
        });
        World {
            hub,
            storage,
            folder: TempFolder::new(),
        }
    }

    pub(crate) fn cache(&self) -> &Path {
        &self.folder.0
    }

    /// Patient with slow machines, and without pauses.
    pub(crate) fn builder(&self) -> HubBuilder {
        Hub::builder(self.cache())
            .endpoint(self.hub.url())
            .timeout(Duration::from_secs(60))
            .backoff(Duration::ZERO)
    }

    pub(crate) fn model(&self) -> Repo {
        self.builder().build().unwrap().model("org/name")
    }

    /// A path in the model's part of the cache.
    pub(crate) fn in_model(&self, path: &str) -> PathBuf {
        self.cache().join("models--org--name").join(path)
    }
}

/// What the hub says to a request, in its order: the branch `main` and the tag `v1/a` are the one commit.
fn hub_answer(request: &Request, files: &[(String, Vec<u8>)], storage: &str) -> Reply {
    let path = request.path.as_str();
    let lost = |code: &str| {
        Reply::new(404)
            .header("X-Error-Code", code)
            .header("X-Error-Message", "not here")
    };
    let is_revision = |revision: &str| ["main", COMMIT, "v1%2Fa"].contains(&revision);
    if let Some(kept) = path.strip_prefix(&format!("/api/resolve-cache/{COMMIT}/")) {
        assert_eq!(kept, "config.json");
        return Reply::content(request, CONFIG)
            .header("ETag", format!("W/\"{CONFIG_ETAG}\""))
            .header("X-Repo-Commit", COMMIT);
    }
    for listing in [
        "/api/models/org/name/revision/",
        "/api/datasets/org/name/revision/",
    ] {
        if let Some(revision) = path.strip_prefix(listing) {
            if !is_revision(revision) {
                return lost("RevisionNotFound");
            }
            let mut names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            names.push("config.json");
            let siblings: Vec<_> = names
                .iter()
                .map(|name| serde_json::json!({ "rfilename": name }))
                .collect();
            let info = serde_json::json!({ "sha": COMMIT, "siblings": siblings, "private": false });
            return Reply::new(200).body(info.to_string());
        }
    }
    let rest = path.strip_prefix("/datasets").unwrap_or(path);
    let Some((revision, file)) = rest
        .strip_prefix("/org/name/resolve/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return lost("RepoNotFound");
    };
    if !is_revision(revision) {
        return lost("RevisionNotFound");
    }
    let redirect = |status: u16, to: String| {
        Reply::new(status)
            .header("Location", to)
            .header("X-Repo-Commit", COMMIT)
    };
    match files.iter().find(|(name, _)| name.replace(' ', "%20") == file) {
        _ if file == "config.json" => redirect(307, format!("/api/resolve-cache/{COMMIT}/{file}")),
        Some((_, content)) => {
            let hash = sha256(content);
            redirect(302, format!("{storage}/blob/{hash}?signature=s"))
                .header("X-Linked-Etag", format!("\"{hash}\""))
                .header("X-Linked-Size", content.len())
                .header("ETag", "\"of the pointer\"")
        }
        None => lost("EntryNotFound"),
    }
}
