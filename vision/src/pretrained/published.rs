//! Published weights: which there are for a model, which file is whose, and where they lie on this machine.

use std::path::{Path, PathBuf};

use flambeau_hub::Checkpoint;
use flambeau_tensor::{Error, Result, bail};

use super::{Description, ImageClassifier};
use crate::models::{self, Entry, Weights};

/// Where the files that torchvision publishes are.
const SOURCE: &str = "https://download.pytorch.org/models/";

/// Weights that were published for a model.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// The model.
    pub entry: &'static Entry,
    /// The weights.
    pub weights: &'static Weights,
}

impl Published {
    /// The weights of this name (`IMAGENET1K_V1`) of a model; the most accurate ones if none is given.
    ///
    /// # Errors
    /// `Key` if there is no such model, or no such weights of it.
    pub fn of(model: &str, member: Option<&str>) -> Result<Published> {
        let entry = models::entry(model)?;
        let accuracy = |weights: &Weights| weights.accuracy.map_or(0.0, |accuracy| accuracy.acc1);
        let found = match member {
            Some(member) => entry.weights.iter().find(|weights| weights.name == member),
            None => entry
                .weights
                .iter()
                .max_by(|a, b| accuracy(a).total_cmp(&accuracy(b))),
        };
        match (found, member) {
            (Some(weights), _) => Ok(Published { entry, weights }),
            (None, None) => bail!(Key, "no weights were published for {model}"),
            (None, Some(member)) => bail!(
                Key,
                "no weights of {model} are called {member}; there are {}",
                members(entry)
            ),
        }
    }

    /// All published weights with a head for classes.
    pub fn all() -> impl Iterator<Item = Published> {
        models::list().flat_map(|entry| {
            let with_head = entry
                .weights
                .iter()
                .filter(|weights| !(weights.categories)().is_empty());
            with_head.map(move |weights| Published { entry, weights })
        })
    }

    /// Whose weights a file of this name has, if that is all that is known beside what the caller says.
    ///
    /// # Errors
    /// `Key` for names of models and weights that there are not; `Value` if it is not known.
    pub fn identify(file: &str, model: Option<&str>, member: Option<&str>) -> Result<Published> {
        let named = Published::all().find(|published| published.weights.file == file);
        match (model, member, named) {
            (None, _, Some(named)) => Ok(named),
            (Some(model), None, Some(named)) if named.entry.name == model => Ok(named),
            (Some(model), Some(_), _) => Published::of(model, member),
            (None, _, None) => bail!(Value, "say with a model's name whose weights these are"),
            (Some(model), None, _) => {
                let entry = models::entry(model)?;
                match entry.weights {
                    [] => bail!(
                        Value,
                        "the file does not say what its classes are called and how pictures are prepared, and no weights \
                         were published for {model}"
                    ),
                    [weights] => Ok(Published { entry, weights }),
                    _ => bail!(
                        Value,
                        "say which weights of {model} these are, since they differ in how pictures are prepared: {}",
                        members(entry)
                    ),
                }
            }
        }
    }

    /// The file with the weights on this machine: in the folder of PyTorch's downloads ([`torch_cache`]) or, with the
    /// feature `download`, in the hub's cache.
    ///
    /// # Errors
    /// `Value`, `Io` if the cache's place can't be found out or read.
    pub fn on_disk(&self) -> Result<Option<PathBuf>> {
        let path = torch_cache().map(|folder| folder.join(self.weights.file));
        if let Some(path) = path.filter(|path| path.is_file()) {
            return Ok(Some(path));
        }
        #[cfg(feature = "download")]
        if let Some(hub) = self.weights.hub {
            return flambeau_hub::Repo::model(hub.repo)
                .revision(hub.revision)
                .cached(hub.file);
        }
        Ok(None)
    }

    /// Of the weights on this machine, the most accurate ones that take at most five billion multiplications for a
    /// picture, well below a second; none if there are no such.
    ///
    /// # Errors
    /// As [`Published::on_disk`].
    pub fn best_on_disk() -> Result<Option<(Published, PathBuf)>> {
        const MOST_GFLOPS: f64 = 5.0;
        let mut best: Option<(Published, PathBuf)> = None;
        let accuracy =
            |published: &Published| published.weights.accuracy.map_or(0.0, |accuracy| accuracy.acc1);
        for published in Published::all().filter(|published| published.weights.gflops <= MOST_GFLOPS) {
            if best
                .as_ref()
                .is_some_and(|(best, _)| accuracy(best) >= accuracy(&published))
            {
                continue;
            }
            if let Some(path) = published.on_disk()? {
                best = Some((published, path));
            }
        }
        Ok(best)
    }

    /// The weights from Hugging Face, through its cache; a cached copy is used if the hub can't be reached.
    ///
    /// # Errors
    /// `Unsupported` if they are not known to be there; those of [`flambeau_hub::Repo::get`].
    #[cfg(feature = "download")]
    pub fn download(&self) -> Result<PathBuf> {
        match self.weights.hub {
            Some(hub) => flambeau_hub::Repo::model(hub.repo)
                .revision(hub.revision)
                .get(hub.file),
            None => Err(self.missing()),
        }
    }

    /// The classifier with the weights in a file, whatever its name.
    ///
    /// # Errors
    /// As [`ImageClassifier::open`].
    pub fn open(&self, path: &Path) -> Result<ImageClassifier> {
        self.classifier(path, &flambeau_hub::load(path)?)
    }

    /// As [`Published::open`], with weights that are mapped as by [`ImageClassifier::open_mapped`].
    ///
    /// # Safety
    /// As long as the classifier or its tensors exist, nobody changes or shortens the file.
    ///
    /// # Errors
    /// As [`ImageClassifier::open`].
    pub unsafe fn open_mapped(&self, path: &Path) -> Result<ImageClassifier> {
        // SAFETY: the caller vouches for the file.
        let checkpoint = unsafe { flambeau_hub::load_mapped(path) }?;
        self.classifier(path, &checkpoint)
    }

    fn classifier(&self, path: &Path, checkpoint: &Checkpoint) -> Result<ImageClassifier> {
        let state = checkpoint.state_dict()?;
        Description::published(self.entry, self.weights)
            .and_then(|description| ImageClassifier::new(description, &state))
            .map_err(|error| error.context(path.display()))
    }

    /// What to say if the weights are nowhere: which file it is and where it belongs.
    pub fn missing(&self) -> Error {
        let Published { entry, weights } = self;
        let place = torch_cache().map_or_else(
            || "name the file".to_string(),
            |folder| format!("put it into {} or name the file", folder.display()),
        );
        let size = weights.megabytes;
        // The one family that is not torchvision's.
        let source = match entry.family {
            "efficientnet_lite" => String::new(),
            _ => format!(", from {SOURCE}{}", weights.file),
        };
        Error::Unsupported(format!(
            "the weights of {} are not on this machine: {} ({size:.0} MB{source}); {place}",
            entry.name, weights.file
        ))
    }
}

/// The folder where PyTorch keeps weights that it downloaded: `hub/checkpoints` in `TORCH_HOME`, which is `torch` in
/// `XDG_CACHE_HOME` or in `~/.cache`.
pub fn torch_cache() -> Option<PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let caches = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    let home = folder("TORCH_HOME").or_else(|| Some(caches()?.join("torch")))?;
    Some(home.join("hub/checkpoints"))
}

fn members(entry: &Entry) -> String {
    let names: Vec<&str> = entry.weights.iter().map(|weights| weights.name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identified(file: &str, model: Option<&str>, member: Option<&str>) -> String {
        match Published::identify(file, model, member) {
            Ok(Published { entry, weights }) => format!("{} {}", entry.name, weights.name),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn files_are_known_by_their_names_or_by_what_is_said() {
        let v1 = "resnet50-0676ba61.pth";
        assert_eq!(identified(v1, None, None), "resnet50 IMAGENET1K_V1");
        assert_eq!(identified(v1, Some("resnet50"), None), "resnet50 IMAGENET1K_V1");
        assert_eq!(
            identified("x.pth", Some("resnet18"), None),
            "resnet18 IMAGENET1K_V1"
        );
        assert_eq!(
            identified("x.pth", Some("resnet50"), Some("IMAGENET1K_V2")),
            "resnet50 IMAGENET1K_V2"
        );
        assert!(identified("x.pth", None, None).contains("whose weights"));
        assert!(identified("x.pth", Some("resnet50"), None).contains("IMAGENET1K_V1, IMAGENET1K_V2"));
        assert!(
            identified("x.pth", Some("resnet20"), None).contains("no weights were published for resnet20")
        );
        assert!(identified("x.pth", Some("resnet5"), None).contains("closest names"));
        assert!(identified("x.pth", Some("resnet50"), Some("V3")).contains("are called V3; there are"));
    }

    #[test]
    fn the_most_accurate_weights_are_the_default() {
        assert_eq!(
            Published::of("resnet50", None).unwrap().weights.name,
            "IMAGENET1K_V2"
        );
        assert!(Published::of("resnet20", None).is_err());
        assert!(Published::all().all(|published| !published.entry.weights.is_empty()));
        let message = Published::of("resnet18", None).unwrap().missing().to_string();
        assert!(
            message.contains("resnet18-f37072fd.pth (45 MB, from https://"),
            "{message}"
        );
    }
}
