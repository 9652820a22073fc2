//! The text files of the workspace, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Folders with nothing of ours in them.
const SKIPPED: [&str; 2] = [".git", "target"];
const TEXT: [&str; 6] = ["rs", "md", "toml", "sh", "py", "yml"];

/// Paths relative to the root, with `/` between their parts, and the contents of the text files among them.
pub(crate) struct Files(BTreeMap<String, Option<String>>);

impl Files {
    /// Walks the workspace at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = root.join(&folder);
            let entries =
                fs::read_dir(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let relative = format!("{folder}{name}");
                let kind = entry.file_type()?;
                if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                    folders.push(format!("{relative}/"));
                } else if kind.is_file() {
                    let text = is_text(&relative)
                        .then(|| fs::read_to_string(entry.path()))
                        .transpose()
                        .with_context(|| format!("{relative} is not UTF-8 text"))?;
                    files.insert(relative, text);
                }
            }
        }
        Ok(Files(files))
    }

    /// Files made up for a test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Files(
            files
                .iter()
                .map(|&(path, text)| (path.to_string(), Some(text.to_string())))
                .collect(),
        )
    }

    /// How many there are, whatever their kind.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is a file, or a folder with files in it, of that path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.0.contains_key(path) || path.is_empty() || {
            let folder = format!("{path}/");
            self.0
                .range(folder.clone()..)
                .next()
                .is_some_and(|(p, _)| p.starts_with(&folder))
        }
    }

    /// The text of a file, if it is there and text.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.as_deref()
    }

    /// All text files.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }
}

fn is_text(path: &str) -> bool {
    path.starts_with(".ci/")
        || path
            .rsplit_once('.')
            .is_some_and(|(_, extension)| TEXT.contains(&extension))
}
