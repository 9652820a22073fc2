//! ImageNet, ILSVRC 2012 ([Russakovsky et al., 2015](https://arxiv.org/abs/1409.0575)), from a folder for each class.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flambeau_data::Dataset;
use flambeau_data::formats::folder::ImageFolder;
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::{Split, find_folder, read_text};
use crate::io::{DecodeOptions, read_image};

/// Photographs of 1,000 classes: sample `i` is `(image, class)`, the image `[3, height, width]` of `uint8`.
///
/// The training images are in `root/train/n01440764`, …, the validation images in the same folders of `root/val`: what
/// torchvision makes of the archives. Classes are numbered in the order of these names. What they are called is in
/// `root/LOC_synset_mapping.txt`, if it is there: lines of such a name and the words for it.
#[derive(Clone, Debug)]
pub struct ImageNet {
    folder: ImageFolder,
    classes: Vec<String>,
}

/// Where the words for the classes are.
const WORDS: &str = "LOC_synset_mapping.txt";

impl ImageNet {
    /// The images below `root`; those to test on are the validation images.
    ///
    /// # Errors
    /// `Io` if there is no such folder, which says where it belongs, or it can't be read; `Value` if a class has no image
    /// or no words.
    pub fn new(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let root = root.as_ref();
        let name = match split {
            Split::Train => "train",
            Split::Test => "val",
        };
        let source =
            "https://image-net.org/challenges/LSVRC/2012/ (ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar)";
        let folder = ImageFolder::new(find_folder("ImageNet", root, &[name], source)?)?;
        let path = root.join(WORDS);
        let classes = if path.is_file() {
            let words = words(&path)?;
            let called = |name: &String| match words.get(name) {
                Some(words) => Ok(words.clone()),
                None => bail!(Value, "{}: no line for {name}", path.display()),
            };
            folder.classes().iter().map(called).collect::<Result<_>>()?
        } else {
            folder.classes().to_vec()
        };
        Ok(ImageNet { folder, classes })
    }

    /// What the classes are called, or, where that is not known, the names of their folders.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The names of the classes' folders: WordNet's numbers.
    pub fn wnids(&self) -> &[String] {
        self.folder.classes()
    }

    /// All paths with the numbers of their classes.
    pub fn samples(&self) -> &[(PathBuf, i64)] {
        self.folder.samples()
    }
}

/// Lines such as `n01440764 tench, Tinca tinca`.
fn words(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut words = BTreeMap::new();
    for (number, line) in read_text(path)?.lines().enumerate() {
        let parts = line.split_once(' ');
        ensure!(
            parts.is_some(),
            Format,
            "{}: line {}: expected a name and words, got {line:?}",
            path.display(),
            number + 1
        );
        words.extend(parts.map(|(name, words)| (name.to_string(), words.trim().to_string())));
    }
    Ok(words)
}

impl Dataset for ImageNet {
    type Item = (Tensor, i64);

    fn len(&self) -> usize {
        self.folder.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        let (path, class) = self.folder.get(index)?;
        Ok((read_image(path, &DecodeOptions::RGB)?, class))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_files::write_image;
    use super::*;

    #[test]
    fn folders_are_classes_and_words_are_optional() {
        let root = tempfile::tempdir().unwrap();
        let error = ImageNet::new(root.path(), Split::Test).unwrap_err().to_string();
        assert!(
            error.contains("ImageNet: no folder val in ") && error.contains("image-net.org"),
            "{error}"
        );
        write_image(&root.path().join("val/n02/b.JPEG"), 4, 6, 9);
        write_image(&root.path().join("val/n01/a.JPEG"), 2, 3, 200);
        let set = ImageNet::new(root.path(), Split::Test).unwrap();
        assert_eq!((set.len(), set.classes()), (2, set.wnids()));
        let (image, class) = set.get(1).unwrap();
        assert_eq!((image.shape(), class), (&[3, 4, 6][..], 1));
        assert!(image.to_vec::<u8>().unwrap().iter().all(|x| x.abs_diff(9) <= 1));
        let words = root.path().join(WORDS);
        std::fs::write(&words, "n01 tench, Tinca tinca\nn02 goldfish\n").unwrap();
        let set = ImageNet::new(root.path(), Split::Test).unwrap();
        assert_eq!(set.classes(), ["tench, Tinca tinca", "goldfish"]);
        std::fs::write(&words, "n01 tench\n").unwrap();
        let error = ImageNet::new(root.path(), Split::Test).unwrap_err().to_string();
        assert!(
            error.ends_with("LOC_synset_mapping.txt: no line for n02"),
            "{error}"
        );
        std::fs::write(&words, "n01\n").unwrap();
        assert!(
            ImageNet::new(root.path(), Split::Test)
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
    }
}
