//! MNIST and the datasets in its format: Fashion-MNIST, KMNIST, EMNIST.

use std::path::Path;

use flambeau_data::formats::idx;
use flambeau_tensor::{DType, Error, Result, Tensor, ensure};

use super::{DIGITS, ImageSet, Split, find_file};

/// The classes of [`fashion_mnist`], by number.
pub const FASHION_MNIST_CLASSES: &[&str] = &[
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

const HIRAGANA: &[&str] = &["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"];

const LETTERS: &[&str] = &[
    "N/A", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s",
    "t", "u", "v", "w", "x", "y", "z",
];

/// Digits, capital letters and small letters.
const BY_CLASS: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K",
    "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z", "a", "b", "c", "d", "e", "f",
    "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z",
];

/// Small letters that look like their capitals are merged with them.
const BY_MERGE: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K",
    "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z", "a", "b", "d", "e", "f", "g",
    "h", "n", "q", "r", "t",
];

/// Handwritten digits: 60,000 and 10,000 images `[1, 28, 28]` (LeCun, Cortes, Burges).
///
/// Files such as `train-images-idx3-ubyte`, packed by gzip or not, are looked for in `root` and in `root/MNIST/raw`,
/// where torchvision puts them.
///
/// # Errors
/// `Io` if a file is missing, which says where it belongs; `Format` if it is not what it should be.
pub fn mnist(root: impl AsRef<Path>, split: Split) -> Result<ImageSet> {
    let source = "https://ossci-datasets.s3.amazonaws.com/mnist/";
    read("MNIST", root.as_ref(), prefix(split), source, DIGITS)
}

/// Articles of clothing: 60,000 and 10,000 images `[1, 28, 28]` ([Xiao et al., 2017](https://arxiv.org/abs/1708.07747)).
///
/// Files are looked for as for [`mnist`].
///
/// # Errors
/// As [`mnist`].
pub fn fashion_mnist(root: impl AsRef<Path>, split: Split) -> Result<ImageSet> {
    let source = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/";
    read(
        "FashionMNIST",
        root.as_ref(),
        prefix(split),
        source,
        FASHION_MNIST_CLASSES,
    )
}

/// Characters of cursive Japanese: 60,000 and 10,000 images `[1, 28, 28]`
/// ([Clanuwat et al., 2018](https://arxiv.org/abs/1812.01718)).
///
/// Files are looked for as for [`mnist`].
///
/// # Errors
/// As [`mnist`].
pub fn kmnist(root: impl AsRef<Path>, split: Split) -> Result<ImageSet> {
    let source = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/";
    read("KMNIST", root.as_ref(), prefix(split), source, HIRAGANA)
}

/// How EMNIST's characters are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmnistSplit {
    /// 62 classes of different sizes.
    ByClass,
    /// 47 classes of different sizes: letters that look alike as capitals are merged.
    ByMerge,
    /// 47 classes of equal sizes.
    Balanced,
    /// 26 letters, numbered from 1; class 0 is empty.
    Letters,
    /// 10 digits.
    Digits,
    /// The digits of MNIST.
    Mnist,
}

/// Handwritten characters, images `[1, 28, 28]` ([Cohen et al., 2017](https://arxiv.org/abs/1702.05373)). As in the files,
/// height and width of the characters are exchanged.
///
/// Files such as `emnist-letters-train-images-idx3-ubyte` are looked for as for [`mnist`].
///
/// # Errors
/// As [`mnist`].
pub fn emnist(root: impl AsRef<Path>, characters: EmnistSplit, split: Split) -> Result<ImageSet> {
    let (name, classes) = match characters {
        EmnistSplit::ByClass => ("byclass", BY_CLASS),
        EmnistSplit::ByMerge => ("bymerge", BY_MERGE),
        EmnistSplit::Balanced => ("balanced", BY_MERGE),
        EmnistSplit::Letters => ("letters", LETTERS),
        EmnistSplit::Digits => ("digits", DIGITS),
        EmnistSplit::Mnist => ("mnist", DIGITS),
    };
    let part = match split {
        Split::Train => "train",
        Split::Test => "test",
    };
    let source = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip";
    read(
        "EMNIST",
        root.as_ref(),
        &format!("emnist-{name}-{part}"),
        source,
        classes,
    )
}

/// What the names of a part's files begin with.
fn prefix(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Test => "t10k",
    }
}

fn read(
    dataset: &str,
    root: &Path,
    prefix: &str,
    source: &str,
    classes: &'static [&'static str],
) -> Result<ImageSet> {
    let folder = format!("{dataset}/raw");
    let array = |suffix: &str, rank: usize| {
        let name = format!("{prefix}-{suffix}");
        let packed = format!("{name}.gz");
        let path = find_file(dataset, root, &["", &folder], &[&name, &packed], source)?;
        let array = idx::read(&path)?;
        ensure!(
            array.rank() == rank && array.dtype() == DType::U8,
            Format,
            "{}: expected an array of {rank} dimensions of uint8, got {:?} of {}",
            path.display(),
            array.shape(),
            array.dtype()
        );
        Ok::<Tensor, Error>(array)
    };
    let images = array("images-idx3-ubyte", 3)?.unsqueeze(1)?;
    let labels = array("labels-idx1-ubyte", 1)?.to_dtype(DType::I64)?;
    ImageSet::new(images, labels, classes).map_err(|error| error.context(dataset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_data::Dataset;

    /// The bytes of an IDX file of uint8.
    fn idx_bytes(sizes: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|n| n.to_be_bytes()));
        bytes.extend(elements);
        bytes
    }

    #[test]
    fn files_are_found_in_both_places() {
        let root = tempfile::tempdir().unwrap();
        let error = mnist(root.path(), Split::Test).unwrap_err().to_string();
        assert!(
            error.contains("no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz"),
            "{error}"
        );
        assert!(error.contains("MNIST/raw"), "{error}");
        for folder in ["", "KMNIST/raw"] {
            let folder = root.path().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            let images = idx_bytes(&[2, 2, 3], &[0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255]);
            std::fs::write(folder.join("t10k-images-idx3-ubyte"), images).unwrap();
            std::fs::write(folder.join("t10k-labels-idx1-ubyte"), idx_bytes(&[2], &[7, 0])).unwrap();
        }
        for set in [kmnist(root.path(), Split::Test), mnist(root.path(), Split::Test)] {
            let set = set.unwrap();
            let (image, class) = set.get(1).unwrap();
            assert_eq!((set.len(), image.shape(), class), (2, &[1, 2, 3][..], 0));
            assert_eq!(image.to_vec::<u8>().unwrap(), [250, 251, 252, 253, 254, 255]);
        }
        std::fs::write(
            root.path().join("t10k-labels-idx1-ubyte"),
            idx_bytes(&[2], &[7, 10]),
        )
        .unwrap();
        let error = fashion_mnist(root.path(), Split::Test).unwrap_err().to_string();
        assert!(error.contains("label 10, expected one of 10 classes"), "{error}");
    }

    #[test]
    fn classes_have_names() {
        let counts = [
            BY_CLASS.len(),
            BY_MERGE.len(),
            LETTERS.len(),
            HIRAGANA.len(),
            FASHION_MNIST_CLASSES.len(),
            DIGITS.len(),
        ];
        assert_eq!(counts, [62, 47, 27, 10, 10, 10]);
        let root = tempfile::tempdir().unwrap();
        let error = emnist(root.path(), EmnistSplit::Letters, Split::Train).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("emnist-letters-train-images-idx3-ubyte"),
            "{error}"
        );
    }
}
