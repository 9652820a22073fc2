//! Datasets of images under torchvision's names (`torchvision.datasets`).
//!
//! | Datasets | Sample |
//! |---|---|
//! | [`mnist`], [`fashion_mnist`], [`kmnist`], [`emnist`], [`cifar10`], [`cifar100`], [`svhn`]: an [`ImageSet`] in memory | image, class |
//! | [`ImageNet`], [`FakeData`] | image, class |
//! | [`OxfordIIITPet`], [`VOCSegmentation`] | a [`Sample`](crate::transforms::Sample) |
//! | [`VOCDetection`], [`CocoDetection`] | a [`Sample`](crate::transforms::Sample) and its annotations |
//! | [`ImageFolder`](flambeau_data::formats::folder::ImageFolder) of the crate `data` | path, class |
//!
//! All are a [`Dataset`], so that samplers, splits and loaders work on them. They read files that are there; an error says
//! where a missing one belongs and where it can be had. With the feature `download`, the module `download` gets them.
//!
//! ```no_run
//! use flambeau_data::{DataLoader, Dataset};
//! use flambeau_vision::datasets::{Split, fashion_mnist};
//!
//! let train = fashion_mnist("fashion-mnist", Split::Train)?; // 60,000 images [1, 28, 28], uint8
//! println!("{} images of {:?}", train.len(), train.classes());
//! let loader = DataLoader::builder(train).batch_size(128).shuffle(true).build()?;
//! for batch in &loader {
//!     let (images, labels) = batch?; // [128, 1, 28, 28], [128]
//! }
//! # Ok::<(), flambeau_tensor::Error>(())
//! ```

mod cifar;
mod coco;
mod coco_mask;
#[cfg(feature = "download")]
pub mod download;
mod fake;
mod imagenet;
mod mnist;
mod oxford_iiit_pet;
mod svhn;
#[cfg(test)]
mod test_files;
mod voc;

use std::path::{Path, PathBuf};

use flambeau_data::Dataset;
use flambeau_tensor::{DType, Error, Result, Tensor, ensure};

pub use cifar::{cifar10, cifar100};
pub use coco::{CocoAnnotation, CocoCategory, CocoDetection, CocoSegmentation};
pub use fake::FakeData;
pub use imagenet::ImageNet;
pub use mnist::{EmnistSplit, FASHION_MNIST_CLASSES, emnist, fashion_mnist, kmnist, mnist};
pub use oxford_iiit_pet::{OxfordIIITPet, PetSplit, PetTarget};
pub use svhn::{SvhnSplit, svhn};
pub use voc::{VOC_CLASSES, VOCAnnotation, VOCDetection, VOCImageSet, VOCObject, VOCSegmentation, VOCYear};

/// What ten digits are called.
const DIGITS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Which part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is learnt from.
    Train,
    /// What is tested on.
    Test,
}

/// Images of one size in memory, and the number of each one's class. Sample `i` is `(image, class)`, the image
/// `[channels, height, width]`.
#[derive(Clone, Debug)]
pub struct ImageSet {
    images: Tensor,
    labels: Tensor,
    /// The labels once more, to be read without a tensor.
    numbers: Vec<i64>,
    classes: &'static [&'static str],
}

impl ImageSet {
    /// # Shapes
    /// `images [n, channels, height, width]`, `labels [n]` of `int64`.
    ///
    /// # Errors
    /// `Shape` if they don't fit together, `DType` for labels of another type, `Value` for a label without a class.
    pub fn new(images: Tensor, labels: Tensor, classes: &'static [&'static str]) -> Result<Self> {
        ensure!(
            images.rank() == 4 && labels.rank() == 1 && images.shape()[0] == labels.shape()[0],
            Shape,
            "ImageSet: expected images [n, channels, height, width] and labels [n], got {:?} and {:?}",
            images.shape(),
            labels.shape()
        );
        ensure!(
            labels.dtype() == DType::I64,
            DType,
            "ImageSet: expected labels of int64, got {}",
            labels.dtype()
        );
        let numbers = labels.to_vec::<i64>()?;
        if let Some(bad) = numbers
            .iter()
            .find(|&&label| label < 0 || label as usize >= classes.len())
        {
            return Err(Error::Value(format!(
                "ImageSet: label {bad}, expected one of {} classes",
                classes.len()
            )));
        }
        Ok(ImageSet {
            images,
            labels,
            numbers,
            classes,
        })
    }

    /// All images, `[n, channels, height, width]`.
    pub fn images(&self) -> &Tensor {
        &self.images
    }

    /// The class of each image, `[n]`.
    pub fn labels(&self) -> &Tensor {
        &self.labels
    }

    /// What the classes are called.
    pub fn classes(&self) -> &'static [&'static str] {
        self.classes
    }
}

impl Dataset for ImageSet {
    type Item = (Tensor, i64);

    fn len(&self) -> usize {
        self.numbers.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        ensure!(
            index < self.len(),
            Index,
            "ImageSet: index {index} is out of range for {} images",
            self.len()
        );
        Ok((self.images.select(0, index as isize)?, self.numbers[index]))
    }
}

/// The first of `folders` below `root` that has one of `names`; the error says where the file belongs and where it can be
/// had.
fn find_file(dataset: &str, root: &Path, folders: &[&str], names: &[&str], source: &str) -> Result<PathBuf> {
    for folder in folders {
        for name in names {
            let path = root.join(folder).join(name);
            if path.is_file() {
                return Ok(path);
            }
        }
    }
    let places: Vec<String> = folders
        .iter()
        .map(|folder| root.join(folder).display().to_string())
        .collect();
    Err(Error::Io(format!(
        "{dataset}: no {} in {}; it can be had from {source}",
        names.join(" or "),
        places.join(" or ")
    )))
}

/// The first of the folders `names` below `root` that is there.
fn find_folder(dataset: &str, root: &Path, names: &[&str], source: &str) -> Result<PathBuf> {
    let found = names
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_dir());
    found.ok_or_else(|| {
        Error::Io(format!(
            "{dataset}: no folder {} in {}; it can be had from {source}",
            names.join(" or "),
            root.display()
        ))
    })
}

/// A file of text.
fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let what = format!("{}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::InvalidData => Error::Format(what),
            _ => Error::Io(what),
        }
    })
}

/// An `Index` error unless `index < len`.
fn check_index(dataset: &str, index: usize, len: usize) -> Result<()> {
    ensure!(
        index < len,
        Index,
        "{dataset}: index {index} is out of range for {len} images"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_labels_fit_together() {
        let images = Tensor::zeros((2, 1, 3, 4), DType::U8).unwrap();
        let labels = |values: &[i64]| Tensor::from_slice(values, values.len()).unwrap();
        let set = ImageSet::new(images.clone(), labels(&[1, 0]), &["cat", "dog"]).unwrap();
        let (image, class) = set.get(0).unwrap();
        assert_eq!((set.len(), image.shape(), class), (2, &[1, 3, 4][..], 1));
        let error = set.get(2).unwrap_err().to_string();
        assert_eq!(error, "ImageSet: index 2 is out of range for 2 images");
        let error = ImageSet::new(images.clone(), labels(&[1, 2]), &["cat", "dog"]).unwrap_err();
        assert_eq!(error.to_string(), "ImageSet: label 2, expected one of 2 classes");
        assert!(ImageSet::new(images.clone(), labels(&[1]), &["cat", "dog"]).is_err());
        assert!(ImageSet::new(images, Tensor::zeros(2, DType::I32).unwrap(), &["cat"]).is_err());
    }
}
