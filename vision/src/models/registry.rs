//! All models by name, and the macro by which a family lists its own.

use flambeau_tensor::{Result, bail};

use super::{Classifier, Options, Weights};

/// A model of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// torchvision's name for it.
    pub name: &'static str,
    /// The family's file, without its ending.
    pub family: &'static str,
    /// How many numbers are learnt, for 1000 classes (10 in the models for CIFAR).
    pub parameters: usize,
    /// Billions of multiplications with an addition for one image, as torchvision counts them.
    pub gflops: f64,
    /// What has been published for it.
    pub weights: &'static [Weights],
    /// Makes it.
    pub build: fn(Options) -> Result<Box<dyn Classifier>>,
}

/// The families, in the order in which they are listed.
const FAMILIES: &[&[Entry]] = &[
    super::alexnet::MODELS,
    super::vgg::MODELS,
    super::squeezenet::MODELS,
    super::googlenet::MODELS,
    super::inception::MODELS,
    super::resnet::MODELS,
    super::resnet_cifar::MODELS,
    super::densenet::MODELS,
    super::mobilenetv2::MODELS,
    super::mobilenetv3::MODELS,
    super::shufflenetv2::MODELS,
    super::mnasnet::MODELS,
    super::efficientnet::MODELS,
    super::efficientnet_lite::MODELS,
    super::regnet::MODELS,
    super::vision_transformer::MODELS,
    super::swin_transformer::MODELS,
    super::convnext::MODELS,
    super::maxvit::MODELS,
];

/// All models.
pub fn list() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().copied().flatten()
}

/// The model of this name.
///
/// # Errors
/// `Key` if there is none, with the names that come closest.
pub fn entry(name: &str) -> Result<&'static Entry> {
    match list().find(|entry| entry.name == name) {
        Some(entry) => Ok(entry),
        None => bail!(
            Key,
            "models: no model is called {name}; the closest names are {}",
            closest(name).join(", ")
        ),
    }
}

/// The three names that are the fewest edits away from what somebody wrote.
fn closest(name: &str) -> Vec<&'static str> {
    let written = name.to_lowercase().replace('-', "_");
    let mut names: Vec<&'static str> = list().map(|entry| entry.name).collect();
    names.sort_by_key(|known| edit_distance(&written, known));
    names.truncate(3);
    names
}

/// How many letters have to be inserted, deleted or replaced to get from one text to the other (Levenshtein, 1966).
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    // The distances of the part of `from` so far to each beginning of `to`.
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

/// Makes the model of this name, with initial weights.
///
/// # Errors
/// `Key` if there is none; `Value` for an option that the model has not.
pub fn create(name: &str, options: Options) -> Result<Box<dyn Classifier>> {
    (entry(name)?.build)(options)
}

/// Defines a family's builders, the enums of their weights, and `MODELS`, its part of the registry:
///
/// ```text
/// models! {
///     /// ResNet-18.
///     resnet18(options) -> ResNet { ResNet::new(…, options) }
///     parameters 11_689_512, gflops 1.814,
///     weights ResNet18Weights, default IMAGENET1K_V1 { IMAGENET1K_V1 = Weights { … } }
/// }
/// ```
macro_rules! models {
    (@table) => { &[] };
    (@table $set:ident) => { $set::TABLE };
    ($(
        $(#[$doc:meta])*
        $name:ident($options:ident) -> $model:ty { $build:expr }
        parameters $parameters:literal, gflops $gflops:literal
        $(, weights $set:ident, default $default:ident { $($member:ident = $weights:expr),+ $(,)? })?
    )+) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// `Value` for an option that the model has not.
            pub fn $name($options: $crate::models::Options) -> flambeau_tensor::Result<$model> {
                $build
            }

            $(
                #[doc = concat!("Weights published for [`", stringify!($name), "`], by torchvision's names.")]
                #[allow(non_camel_case_types)]
                #[derive(Clone, Copy, Debug, PartialEq, Eq)]
                pub enum $set {
                    $(#[doc = concat!("`", stringify!($member), "`.")] $member,)+
                }

                impl $set {
                    /// What torchvision calls `DEFAULT`: the best there are.
                    pub const DEFAULT: $set = $set::$default;
                    /// All of them.
                    pub const ALL: &'static [$set] = &[$($set::$member),+];
                    const TABLE: &'static [$crate::models::Weights] = &[
                        $($weights.named(stringify!($member), $parameters, $gflops)),+
                    ];

                    /// Where they are, how good they are, and how images are prepared for them.
                    pub fn weights(self) -> &'static $crate::models::Weights {
                        &Self::TABLE[self as usize]
                    }
                }
            )?
        )+

        /// The family's part of the registry.
        pub(super) const MODELS: &[$crate::models::Entry] = &[$(
            $crate::models::Entry {
                name: stringify!($name),
                family: $crate::models::registry::family(module_path!()),
                parameters: $parameters,
                gflops: $gflops,
                weights: models!(@table $($set)?),
                build: |options| Ok(Box::new($name(options)?)),
            }
        ),+];
    };
}

/// What stands after the last `::` of a module's path.
pub(super) const fn family(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut start = bytes.len();
    while start > 0 && bytes[start - 1] != b':' {
        start -= 1;
    }
    path.split_at(start).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_names_are_suggested() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(
            (
                edit_distance("", "abc"),
                edit_distance("abc", ""),
                edit_distance("é", "e")
            ),
            (3, 3, 1)
        );
        let message = |name| {
            entry(name)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(
            message("resnet19"),
            "models: no model is called resnet19; the closest names are resnet18, resnet34, resnet50"
        );
        assert!(
            message("EfficientNet-B0").ends_with("are efficientnet_b0, efficientnet_b1, efficientnet_b2")
        );
    }
}
