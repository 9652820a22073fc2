//! Published weights as data: where they are, how good they are, and how images are prepared for them.

use flambeau_nn::functional::InterpolateMode;

/// Weights published for a model, by torchvision unless the family's file says otherwise. Figures are those of torchvision
/// 0.29's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// torchvision's name for them, such as `IMAGENET1K_V1`.
    pub name: &'static str,
    /// The published file. What stands after its last `-` are the first digits of its SHA-256.
    pub file: &'static str,
    /// The same numbers under the same keys on the Hugging Face hub, as far as they are known to be there.
    pub hub: Option<HubFile>,
    /// The file's size in units of 2²⁰ bytes.
    pub megabytes: f64,
    /// How many numbers were learnt.
    pub parameters: usize,
    /// Billions of multiplications with an addition for one image.
    pub gflops: f64,
    /// How often they are right; none if they have no head, or if that is not known.
    pub accuracy: Option<Accuracy>,
    /// The least height and width of images that the model takes.
    pub min_size: [usize; 2],
    /// The names of the classes, in the order of the scores; none if the weights have no head.
    pub categories: fn() -> Vec<&'static str>,
    /// How images are prepared.
    pub preset: Preset,
    /// Under what terms they may be used.
    pub license: &'static str,
}

/// How often weights are right, in percent of ImageNet-1K's validation set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// How often the right class has the highest score.
    pub acc1: f64,
    /// How often the right class is among the five highest scores.
    pub acc5: f64,
}

/// A file in a repository of the Hugging Face hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// The repository, `owner/name`.
    pub repo: &'static str,
    /// The file's path in it.
    pub file: &'static str,
    /// The branch, tag or commit.
    pub revision: &'static str,
    /// The file's SHA-256, where it is known.
    pub sha256: Option<&'static str>,
}

/// How images are prepared for a model (torchvision's `ImageClassification`): the shorter side resized, the centre cut
/// out, levels brought to `[0, 1]` and normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    /// The shorter side's length after resizing, in pixels.
    pub resize_size: usize,
    /// Height and width of the part that is cut out, in pixels.
    pub crop_size: usize,
    /// Subtracted from the channels, red, green and blue.
    pub mean: [f64; 3],
    /// What the channels are divided by then.
    pub std: [f64; 3],
    /// How levels between pixels are found.
    pub interpolation: InterpolateMode,
}

impl Preset {
    /// ImageNet's means and deviations, bilinear interpolation.
    pub const fn imagenet(resize_size: usize, crop_size: usize) -> Preset {
        Preset {
            resize_size,
            crop_size,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            interpolation: InterpolateMode::Bilinear,
        }
    }

    /// As [`Preset::imagenet`], with bicubic interpolation.
    pub const fn imagenet_bicubic(resize_size: usize, crop_size: usize) -> Preset {
        Preset {
            interpolation: InterpolateMode::Bicubic,
            ..Self::imagenet(resize_size, crop_size)
        }
    }
}

/// What most of torchvision's weights have in common; the rest is to be filled in.
pub(super) const IMAGENET1K: Weights = Weights {
    name: "",
    file: "",
    hub: None,
    megabytes: 0.0,
    parameters: 0,
    gflops: 0.0,
    accuracy: None,
    min_size: [1, 1],
    categories: imagenet_categories,
    preset: Preset::imagenet(256, 224),
    license: "BSD-3-Clause",
};

impl Weights {
    /// With a name and, unless the weights say otherwise, with the model's figures.
    pub(super) const fn named(self, name: &'static str, parameters: usize, gflops: f64) -> Weights {
        Weights {
            name,
            parameters: if self.parameters == 0 {
                parameters
            } else {
                self.parameters
            },
            gflops: if self.gflops == 0.0 { gflops } else { self.gflops },
            ..self
        }
    }
}

/// Accuracies in percent.
pub(super) const fn acc(acc1: f64, acc5: f64) -> Option<Accuracy> {
    Some(Accuracy { acc1, acc5 })
}

/// The file of weights in one of timm's repositories.
pub(super) const fn hub(repo: &'static str) -> Option<HubFile> {
    Some(HubFile {
        repo,
        file: "model.safetensors",
        revision: "main",
        sha256: None,
    })
}

/// The names of ImageNet-1K's 1000 classes, in the order of the scores.
pub fn imagenet_categories() -> Vec<&'static str> {
    include_str!("imagenet_categories.txt").lines().collect()
}
