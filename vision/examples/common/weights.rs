//! Which model with which weights the arguments stand for.

use std::path::Path;

use anyhow::{Result, bail};
use flambeau_vision::models;
use flambeau_vision::pretrained::{ImageClassifier, Published};

/// A model, and where its weights come from.
pub(crate) struct Choice {
    pub(crate) classifier: ImageClassifier,
    pub(crate) weights: String,
}

/// The model that the arguments `--model`, `--weights` and `--member` name, or the best there is.
pub(crate) fn choose(model: Option<&str>, weights: Option<&str>, member: Option<&str>) -> Result<Choice> {
    if let Some(model) = model {
        // Before anything is read or downloaded.
        models::entry(model)?;
    }
    match (weights, model) {
        (Some(weights), _) if Path::new(weights).exists() || !is_repository(weights) => Ok(Choice {
            classifier: open_file(Path::new(weights), model, member)
                .map_err(|error| hinted(error, model.is_some() && member.is_some()))?,
            weights: weights.to_string(),
        }),
        (Some(repository), _) => from_repository(repository, model, member),
        (None, Some("resnet20")) if member.is_none() => bundled(),
        (None, Some(model)) => {
            let published = Published::of(model, member)?;
            match published.on_disk()? {
                Some(path) => open(&published, &path),
                None => get(&published),
            }
        }
        (None, None) if member.is_some() => bail!("--member names weights of a --model, which is missing"),
        (None, None) => match Published::best_on_disk()? {
            Some((published, path)) => open(&published, &path),
            None => default(),
        },
    }
}

/// The bundled model.
pub(crate) fn bundled() -> Result<Choice> {
    Ok(Choice {
        classifier: ImageClassifier::fashion_mnist()?,
        weights: "bundled weights for Fashion-MNIST".to_string(),
    })
}

/// The error, with a hint if it is one of weights that nobody knows and more can be said about them.
fn hinted(error: flambeau_tensor::Error, all_is_said: bool) -> anyhow::Error {
    match error {
        flambeau_tensor::Error::Value(_) if !all_is_said => {
            anyhow::anyhow!("{error} (--model and --member say whose weights these are)")
        }
        _ => error.into(),
    }
}

/// The classifier in a file. The programs map weights, as PyTorch's reader of `.safetensors` does: fresh memory for a copy of them
/// would take longer to get than the first answer.
fn open_file(
    path: &Path,
    model: Option<&str>,
    member: Option<&str>,
) -> flambeau_tensor::Result<ImageClassifier> {
    // SAFETY: whoever names the file leaves it as it is while the program runs. (To replace it by renaming another is fine.)
    unsafe { ImageClassifier::open_mapped(path, model, member) }
}

fn open_published(published: &Published, path: &Path) -> flambeau_tensor::Result<ImageClassifier> {
    // SAFETY: as above; those who download files rename them when they are whole.
    unsafe { published.open_mapped(path) }
}

fn open(published: &Published, path: &Path) -> Result<Choice> {
    Ok(Choice {
        classifier: open_published(published, path)?,
        weights: path.display().to_string(),
    })
}

/// Whether a text looks like `owner/name`.
fn is_repository(text: &str) -> bool {
    const ENDINGS: [&str; 7] = ["pth", "pt", "bin", "ckpt", "safetensors", "npz", "gguf"];
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
    match text.split_once('/') {
        Some((owner, name)) => {
            !owner.is_empty()
                && !owner.starts_with('.')
                && !name.is_empty()
                && !name.contains('/')
                && !ending.is_some_and(|ending| ENDINGS.contains(&ending))
        }
        None => false,
    }
}

/// What to do without any weights for ImageNet on this machine.
#[cfg(not(feature = "download"))]
fn default() -> Result<Choice> {
    eprintln!(
        "note: the bundled model knows ten kinds of clothing only. For the thousand kinds of things of ImageNet, build with \
         `--features download`, or give --model to hear which file with weights belongs where"
    );
    bundled()
}

#[cfg(feature = "download")]
fn default() -> Result<Choice> {
    let published = Published::of("resnet18", None)?;
    get(&published).or_else(|error| {
        eprintln!(
            "note: {}; so the bundled model answers, which knows ten kinds of clothing only",
            crate::common::line(&error)
        );
        bundled()
    })
}

#[cfg(not(feature = "download"))]
fn get(published: &Published) -> Result<Choice> {
    let hint = published
        .weights
        .hub
        .map_or("", |_| "; the feature `download` would get them");
    bail!("{}{hint}", published.missing())
}

/// Published weights from Hugging Face.
#[cfg(feature = "download")]
fn get(published: &Published) -> Result<Choice> {
    if let Some(hub) = published.weights.hub {
        announce(hub.repo, Some(published.weights.megabytes));
    }
    open(published, &published.download()?)
}

/// Nothing is downloaded without a word.
#[cfg(feature = "download")]
fn announce(repository: &str, megabytes: Option<f64>) {
    let offline = std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| !value.is_empty() && value != "0");
    if !offline {
        let size = megabytes.map_or_else(String::new, |size| format!(" ({size:.0} MB)"));
        eprintln!("getting {repository}{size} from Hugging Face; HF_HUB_OFFLINE=1 prevents it");
    }
}

#[cfg(not(feature = "download"))]
fn from_repository(repository: &str, _: Option<&str>, _: Option<&str>) -> Result<Choice> {
    bail!(
        "{repository}: no such file. If it is a repository on Hugging Face, build with `--features download`, or name a file \
         that has its weights"
    )
}

/// The weights in a repository: those of a model of the registry, or ones that say what they are.
#[cfg(feature = "download")]
fn from_repository(repository: &str, model: Option<&str>, member: Option<&str>) -> Result<Choice> {
    let published = match model {
        Some(_) => Some(Published::identify("", model, member)?),
        None => {
            Published::all().find(|published| published.weights.hub.is_some_and(|hub| hub.repo == repository))
        }
    };
    let repo = flambeau_hub::Repo::model(repository);
    if repo.cached("model.safetensors")?.is_none() {
        announce(repository, published.map(|published| published.weights.megabytes));
    }
    let path = repo.safetensors()?;
    let classifier = match &published {
        Some(published) => open_published(published, &path)?,
        None => open_file(&path, None, None).map_err(|error| hinted(error, false))?,
    };
    Ok(Choice {
        classifier,
        weights: repository.to_string(),
    })
}
