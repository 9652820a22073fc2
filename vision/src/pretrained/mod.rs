//! Classifiers as they are used: a model with its weights, the preparation of pictures that the weights want, and the
//! names of the classes.
//!
//! # Example: what is on a picture
//!
//! ```
//! use flambeau_vision::pretrained::ImageClassifier;
//!
//! # fn main() -> flambeau_tensor::Result<()> {
//! let classifier = ImageClassifier::fashion_mnist()?;
//! let picture = flambeau_vision::pretrained::sample_picture()?;
//! let best = &classifier.classify(&[picture], 3)?[0][0];
//! println!("{}: {:.1}%", best.category, 100.0 * best.probability);
//! assert_eq!(best.category, "Ankle boot");
//! # Ok(())
//! # }
//! ```
//!
//! [`ImageClassifier::open`] takes weights from a file, [`Published`] finds those that torchvision published.

mod published;

use std::collections::BTreeMap;
use std::path::Path;

use flambeau_hub::Checkpoint;
use flambeau_nn::{StateDict, init};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{Error, Result, Tensor, bail, ensure, no_grad};
use serde::{Deserialize, Serialize};

use crate::datasets::FASHION_MNIST_CLASSES;
use crate::interpret::{GradCamOptions, grad_cam};
use crate::io::{DecodeOptions, ImageReadMode, decode_image};
use crate::models::{self, Classifier, Entry, Options, Weights};
use crate::transforms::functional::{Crop, center_crop_of, crop, resize};
use crate::transforms::{GreyThumbnail, ImageClassification, ResizeOptions, Sample, Transform};

pub use published::{Published, torch_cache};

/// The key of a [`Description`] in a file's metadata.
const DESCRIPTION: &str = "classifier";

/// How pictures are prepared for a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// Photographs, as for ImageNet.
    Photo(ImageClassification),
    /// Single things on a plain ground, as for Fashion-MNIST.
    GreyThumbnail(GreyThumbnail),
}

impl Preparation {
    /// The part of a picture of this height and width that the model gets to see; it may reach beyond the picture.
    ///
    /// # Errors
    /// `Shape` for an empty picture.
    pub fn seen(&self, (height, width): (usize, usize)) -> Result<Crop> {
        ensure!(
            height > 0 && width > 0,
            Shape,
            "ImageClassifier: a picture of {height} by {width} pixels"
        );
        let side = match self {
            Preparation::Photo(photo) => {
                let scale = height.min(width) as f64 / photo.resize_size as f64;
                (photo.crop_size as f64 * scale).round() as usize
            }
            Preparation::GreyThumbnail(_) => height.max(width),
        };
        Ok(center_crop_of((height, width), (side, side)))
    }
}

impl Transform for Preparation {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        match self {
            Preparation::Photo(transform) => transform.forward(sample),
            Preparation::GreyThumbnail(transform) => transform.forward(sample),
        }
    }
}

/// A class that a picture may be of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The number of the class.
    pub class: usize,
    /// What it is called.
    pub category: String,
    /// How probable it is, from 0 to 1.
    pub probability: f64,
}

/// What there is to know about weights beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The model's name in the registry.
    pub model: String,
    /// The names of the classes, in the order of the scores.
    pub categories: Vec<String>,
    /// How pictures are prepared.
    pub preparation: Preparation,
    /// The option [`Options::image_size`], for models that have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// The option [`Options::transform_input`], for models that have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform_input: Option<bool>,
}

impl Description {
    /// Of weights of a model of the registry with its default options.
    pub fn new(model: impl Into<String>, preparation: Preparation, categories: Vec<String>) -> Description {
        Description {
            model: model.into(),
            categories,
            preparation,
            image_size: None,
            transform_input: None,
        }
    }

    /// Of weights that were published for a model of the registry.
    ///
    /// # Errors
    /// `Value` if they have no head.
    pub fn published(entry: &Entry, weights: &Weights) -> Result<Description> {
        let categories = (weights.categories)();
        ensure!(
            !categories.is_empty(),
            Value,
            "{} {} have no head to classify with",
            entry.name,
            weights.name
        );
        let preparation = Preparation::Photo(ImageClassification::try_from(weights.preset)?);
        let categories = categories.into_iter().map(str::to_string).collect();
        // These two were trained with TensorFlow, on levels from -1 to 1.
        let from_tensorflow = matches!(entry.name, "googlenet" | "inception_v3");
        // A vision transformer has an embedding for each place of an image of this size.
        let fixed_size = entry.family == "vision_transformer";
        Ok(Description {
            image_size: fixed_size.then_some(weights.preset.crop_size),
            transform_input: from_tensorflow.then_some(true),
            ..Description::new(entry.name, preparation, categories)
        })
    }

    /// Writes weights to a `.safetensors` file that says what they are, for [`ImageClassifier::open`]. An old file is
    /// replaced in one step.
    ///
    /// # Errors
    /// `Io` if the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>, state: &StateDict) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| Error::Format(error.to_string()))?;
        let metadata = BTreeMap::from([
            ("format".to_string(), "pt".to_string()),
            (DESCRIPTION.to_string(), text),
        ]);
        safetensors::save_with_metadata(path, state, &metadata)
    }
}

/// A model with its weights, the preparation of pictures and the names of the classes.
pub struct ImageClassifier {
    description: Description,
    model: Box<dyn Classifier>,
}

/// Fashion-MNIST's bundled weights; `assets/README.md` says where they come from.
const FASHION_MNIST: &[u8] = include_bytes!("../../assets/fashion_mnist_resnet20.safetensors");
/// The bundled picture.
const SAMPLE: &[u8] = include_bytes!("../../assets/ankle_boot.png");

/// The bundled picture of an ankle boot: the first test image of Fashion-MNIST.
///
/// # Shapes
/// `[3, 28, 28]`, `uint8`.
///
/// # Errors
/// None: it is part of the program.
pub fn sample_picture() -> Result<Tensor> {
    let options = DecodeOptions {
        mode: ImageReadMode::Rgb,
        ..DecodeOptions::default()
    };
    decode_image(SAMPLE, &options)
}

impl ImageClassifier {
    /// A model of the registry with these weights.
    ///
    /// # Errors
    /// `Key` if there is no such model or the weights are another's; `Value` without categories and for options that the
    /// model has not.
    pub fn new(description: Description, state: &StateDict) -> Result<ImageClassifier> {
        ensure!(
            !description.categories.is_empty(),
            Value,
            "ImageClassifier: no categories for {}",
            description.model
        );
        let options = Options {
            num_classes: description.categories.len(),
            image_size: description.image_size,
            transform_input: description.transform_input,
            ..Options::default()
        };
        // The parameters are loaded, so none is drawn.
        let model = init::skip(|| models::create(&description.model, options))?;
        model.load_state_dict(state, true).map_err(|error| {
            shortened(error).context(format!("these are no weights of {}", description.model))
        })?;
        model.eval();
        Ok(ImageClassifier { description, model })
    }

    /// The bundled classifier of ten kinds of clothing: a ResNet-20 of 0.27 million parameters, trained on Fashion-MNIST.
    ///
    /// # Errors
    /// None: it is part of the program.
    pub fn fashion_mnist() -> Result<ImageClassifier> {
        let categories = FASHION_MNIST_CLASSES
            .iter()
            .map(|name| name.to_string())
            .collect();
        let preparation = Preparation::GreyThumbnail(GreyThumbnail::FASHION_MNIST);
        let state = safetensors::from_bytes(FASHION_MNIST)?;
        ImageClassifier::new(Description::new("resnet20", preparation, categories), &state)
    }

    /// The classifier whose weights are in the file at `path`, in any format that [`flambeau_hub::load`] reads.
    ///
    /// Files that [`Description::save`] wrote say themselves what they are, and torchvision's are known by their names.
    /// Of others, `model` must say which model's they are, and `member`, which of the weights that were published for it
    /// (`IMAGENET1K_V1`): preparation and categories are those of these weights.
    ///
    /// # Errors
    /// `Io` or `Format` if the file can't be read; `Key` if the weights are another model's; `Value` if it is not known
    /// whose they are. All name the file.
    pub fn open(
        path: impl AsRef<Path>,
        model: Option<&str>,
        member: Option<&str>,
    ) -> Result<ImageClassifier> {
        let path = path.as_ref();
        Self::of(path, &flambeau_hub::load(path)?, model, member)
    }

    /// As [`ImageClassifier::open`], but the weights of a `.safetensors` file are mapped, not read, so that they are there at once:
    /// see [`flambeau_hub::load_mapped`].
    ///
    /// # Safety
    /// As long as the classifier or its tensors exist, nobody changes or shortens the file.
    ///
    /// # Errors
    /// As [`ImageClassifier::open`].
    pub unsafe fn open_mapped(
        path: impl AsRef<Path>,
        model: Option<&str>,
        member: Option<&str>,
    ) -> Result<ImageClassifier> {
        let path = path.as_ref();
        // SAFETY: the caller vouches for the file.
        let checkpoint = unsafe { flambeau_hub::load_mapped(path) }?;
        Self::of(path, &checkpoint, model, member)
    }

    fn of(path: &Path, from: &Checkpoint, model: Option<&str>, member: Option<&str>) -> Result<Self> {
        let read = || match described(from)? {
            Some(description) => {
                ensure!(
                    model.is_none_or(|model| model == description.model),
                    Value,
                    "these are weights of {}, not of {}",
                    description.model,
                    model.unwrap_or_default()
                );
                ImageClassifier::new(description, &from.state_dict()?)
            }
            None => {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                let published = Published::identify(name, model, member)?;
                let description = Description::published(published.entry, published.weights)?;
                ImageClassifier::new(description, &from.state_dict()?)
            }
        };
        read().map_err(|error| error.context(path.display()))
    }

    /// What there is to know about the weights.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The model's name in the registry.
    pub fn name(&self) -> &str {
        &self.description.model
    }

    /// The model, ready for use.
    pub fn model(&self) -> &dyn Classifier {
        &*self.model
    }

    /// The model by itself, for transfer learning.
    pub fn into_model(self) -> Box<dyn Classifier> {
        self.model
    }

    /// The names of the classes, in the order of the scores.
    pub fn categories(&self) -> &[String] {
        &self.description.categories
    }

    /// How pictures are prepared.
    pub fn preparation(&self) -> &Preparation {
        &self.description.preparation
    }

    /// Pictures of any sizes as the batch that the model takes.
    ///
    /// # Shapes
    /// Each `[1 or 3, height, width]`, `uint8` or floats from 0 to 1 → `[pictures, 3, size, size]`.
    ///
    /// # Errors
    /// `Shape` or `DType` for what is no picture, `Value` if there is none.
    pub fn prepare(&self, pictures: &[Tensor]) -> Result<Tensor> {
        ensure!(!pictures.is_empty(), Value, "ImageClassifier: no pictures");
        let prepared = pictures.iter().map(|picture| {
            let channels = picture.shape().first().copied().unwrap_or_default();
            let rgb = match (picture.rank(), channels) {
                (3, 1) => picture.expand([3, picture.shape()[1], picture.shape()[2]])?,
                (3, 3) => picture.clone(),
                _ => bail!(
                    Shape,
                    "ImageClassifier: expected a picture [1 or 3, height, width], got {:?}",
                    picture.shape()
                ),
            };
            self.description.preparation.apply(&rgb)
        });
        Tensor::stack(&prepared.collect::<Result<Vec<_>>>()?, 0)
    }

    /// Where on a picture a class is seen, from 0 to 1 ([`grad_cam`]); the most probable class unless one is given.
    ///
    /// # Shapes
    /// `[1 or 3, height, width]` → `[height, width]`.
    ///
    /// # Errors
    /// As [`ImageClassifier::prepare`] and [`grad_cam`].
    pub fn explain(&self, picture: &Tensor, class: Option<usize>) -> Result<Tensor> {
        let prepared = self.prepare(std::slice::from_ref(picture))?;
        let (height, width) = (picture.shape()[1], picture.shape()[2]);
        let options = GradCamOptions {
            class,
            ..GradCamOptions::default()
        };
        let heat = grad_cam(&*self.model, &prepared, options)?;
        let seen = self.description.preparation.seen((height, width))?;
        let heat = resize(&heat, (seen.height, seen.width), &ResizeOptions::default())?;
        let picture = Crop {
            top: -seen.top,
            left: -seen.left,
            height,
            width,
        };
        crop(&heat, picture)?.squeeze_dim(0)
    }

    /// The `top` most probable classes of each picture, the most probable first. All pictures are one batch.
    ///
    /// # Shapes
    /// Each `[1 or 3, height, width]`, `uint8` or floats from 0 to 1, of any size.
    ///
    /// # Errors
    /// As [`ImageClassifier::prepare`].
    pub fn classify(&self, pictures: &[Tensor], top: usize) -> Result<Vec<Vec<Prediction>>> {
        self.classify_prepared(&self.prepare(pictures)?, top)
    }

    /// [`ImageClassifier::classify`] of what [`ImageClassifier::prepare`] gave.
    ///
    /// # Shapes
    /// `[pictures, 3, size, size]`.
    ///
    /// # Errors
    /// `Shape` for images that are too small for the model.
    pub fn classify_prepared(&self, images: &Tensor, top: usize) -> Result<Vec<Vec<Prediction>>> {
        let top = top.clamp(1, self.description.categories.len());
        let scores = no_grad(|| self.model.forward(images))?;
        let (probabilities, classes) = scores.softmax(-1)?.topk(top, -1, true, true)?;
        let (probabilities, classes) = (probabilities.to_vec_f64()?, classes.to_vec::<i64>()?);
        let all: Vec<Prediction> = classes
            .into_iter()
            .zip(probabilities)
            .map(|(class, probability)| Prediction {
                class: class as usize,
                category: self.description.categories[class as usize].clone(),
                probability,
            })
            .collect();
        Ok(all.chunks(top).map(<[Prediction]>::to_vec).collect())
    }
}

/// What a checkpoint says about itself.
fn described(checkpoint: &Checkpoint) -> Result<Option<Description>> {
    let Some(text) = checkpoint
        .metadata
        .get(DESCRIPTION)
        .and_then(|value| value.as_str())
    else {
        return Ok(None);
    };
    let description = serde_json::from_str(text).map_err(|error| {
        Error::Format(format!(
            "its metadata `{DESCRIPTION}` can't be understood: {error}"
        ))
    })?;
    Ok(Some(description))
}

/// The error of weights that don't fit, in a line that can be read: whole networks of names are cut off.
fn shortened(error: Error) -> Error {
    const MOST: usize = 300;
    let text = error.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Error::Key(format!("{}…", &text[..end])),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_nn::Module;

    fn tiny() -> (StateDict, Preparation, Vec<String>) {
        let options = Options {
            num_classes: 3,
            ..Options::default()
        };
        let model = models::create("resnet20", options).unwrap();
        let preparation = Preparation::Photo(ImageClassification {
            resize_size: 32,
            ..ImageClassification::new(32)
        });
        let categories = ["cat", "dog", "owl"].map(str::to_string).to_vec();
        (model.state_dict(), preparation, categories)
    }

    fn picture(height: usize, width: usize) -> Tensor {
        let levels = (0..3 * height * width).map(|at| (at % 251) as u8);
        Tensor::from_vec(levels.collect::<Vec<u8>>(), (3, height, width)).unwrap()
    }

    #[test]
    fn a_saved_classifier_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pets.safetensors");
        let (state, preparation, categories) = tiny();
        let description = Description::new("resnet20", preparation, categories.clone());
        description.save(&path, &state).unwrap();
        let made = ImageClassifier::new(description, &state).unwrap();
        let read = ImageClassifier::open(&path, None, None).unwrap();
        assert_eq!((read.name(), read.categories()), ("resnet20", &categories[..]));
        assert_eq!(read.description(), made.description());
        // SAFETY: nobody else knows of the file.
        let mapped = unsafe { ImageClassifier::open_mapped(&path, None, None) }.unwrap();
        assert_eq!(mapped.description(), made.description());
        let picture = picture(40, 50);
        let grey = picture.narrow(0, 0, 1).unwrap();
        let pictures = [picture, grey];
        let answers = read.classify(&pictures, 2).unwrap();
        assert_eq!(answers, made.classify(&pictures, 2).unwrap());
        assert_eq!(answers, mapped.classify(&pictures, 2).unwrap());
        assert_eq!((answers.len(), answers[0].len()), (2, 2));
        assert!(answers[0][0].probability >= answers[0][1].probability);
        let all = read.classify(&pictures, 9).unwrap();
        let sum: f64 = all[1].iter().map(|class| class.probability).sum();
        assert!(all[1].len() == 3 && (sum - 1.0).abs() < 1e-6);
        let error = ImageClassifier::open(&path, Some("resnet32"), None)
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .ends_with("these are weights of resnet20, not of resnet32"),
            "{error}"
        );
    }

    #[test]
    fn explanations_lie_on_the_part_that_is_seen() {
        let photo = Preparation::Photo(ImageClassification {
            resize_size: 40,
            ..ImageClassification::new(32)
        });
        let part = |preparation: Preparation| {
            let Crop {
                top,
                left,
                height,
                width,
            } = preparation.seen((80, 120)).unwrap();
            (top, left, height, width)
        };
        assert_eq!(part(photo), (8, 28, 64, 64));
        let thumbnail = Preparation::GreyThumbnail(GreyThumbnail::FASHION_MNIST);
        assert_eq!(part(thumbnail), (-20, 0, 120, 120));
        assert!(photo.seen((0, 3)).is_err());

        let (state, _, categories) = tiny();
        let description = Description::new("resnet20", photo, categories);
        let classifier = ImageClassifier::new(description, &state).unwrap();
        let picture = picture(80, 120);
        let heat: Vec<Tensor> = (0..3)
            .map(|class| classifier.explain(&picture, Some(class)).unwrap())
            .collect();
        let sum = heat[0].add(&heat[1]).unwrap().add(&heat[2]).unwrap();
        assert_eq!(sum.shape(), [80, 120]);
        // Nothing speaks for or against a class outside of it.
        let inside = sum
            .i((8..72, 28..92))
            .unwrap()
            .sum()
            .unwrap()
            .item::<f32>()
            .unwrap();
        let all = sum.sum().unwrap().item::<f32>().unwrap();
        assert!(
            inside > 0.0 && (all - inside).abs() < 1e-3 * all,
            "{inside} of {all}"
        );
        assert!(classifier.explain(&picture, Some(3)).is_err());
    }

    #[test]
    fn options_that_weights_need_are_kept() {
        let description = |model: &str, member: Option<&str>| {
            let published = Published::of(model, member).unwrap();
            Description::published(published.entry, published.weights).unwrap()
        };
        assert_eq!(description("googlenet", None).transform_input, Some(true));
        assert_eq!(description("resnet18", None).image_size, None);
        let large = description("vit_b_16", Some("IMAGENET1K_SWAG_E2E_V1"));
        assert_eq!(large.image_size, Some(384));
        let text = serde_json::to_string(&large).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap(), large);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (state, preparation, categories) = tiny();
        let error = |state: &StateDict, categories: &[String]| {
            let description = Description::new("resnet20", preparation, categories.to_vec());
            ImageClassifier::new(description, state)
                .err()
                .unwrap()
                .to_string()
        };
        let other = error(&state, &categories[..2]);
        assert!(
            other.contains("no weights of resnet20") && other.contains("fc.weight: [3, 64]"),
            "{other}"
        );
        assert!(error(&state, &[]).contains("no categories"));
        let mut lacking = state.clone();
        lacking.remove("layer2.0.conv1.weight");
        assert!(error(&lacking, &categories).contains("missing layer2.0.conv1.weight"));
        assert!(error(&StateDict::new(), &categories).chars().count() < 400);
        let fits =
            ImageClassifier::new(Description::new("resnet20", preparation, categories), &state).unwrap();
        assert!(fits.classify(&[], 1).is_err());
        let flat = Tensor::zeros((4, 8, 8), flambeau_tensor::DType::U8).unwrap();
        assert!(fits.classify(&[flat], 1).is_err());
    }

    #[test]
    fn the_bundled_classifier_knows_the_bundled_picture() {
        let classifier = ImageClassifier::fashion_mnist().unwrap();
        let boot = sample_picture().unwrap();
        // As it is, and dark on a bright ground and larger, as a photograph may be.
        let inverted = crate::transforms::functional::invert(&boot).unwrap();
        let photo = resize(&inverted, 140, &ResizeOptions::default()).unwrap();
        for answer in classifier.classify(&[boot, photo], 3).unwrap() {
            assert_eq!(answer[0].category, "Ankle boot");
            assert!(answer[0].probability > 0.7, "{answer:?}");
        }
    }
}
