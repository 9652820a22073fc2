//! CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), from their binary files.
//!
//! A record is the label (for CIFAR-100 two: that of the superclass, then that of the class) and 3 planes of 32 × 32 bytes:
//! red, green, blue.

use std::path::Path;

use flambeau_tensor::{Error, Result, Tensor, ensure};

use super::{ImageSet, Split, find_file};

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;

const CLASSES_10: &[&str] = &[
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

const CLASSES_100: &[&str] = &[
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
];

/// Small photographs of 10 classes: 50,000 and 10,000 images `[3, 32, 32]`.
///
/// The files `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` of the binary version are looked for in `root`
/// and in `root/cifar-10-batches-bin`.
///
/// # Errors
/// `Io` if a file is missing, which says where it belongs; `Format` if it is not what it should be.
pub fn cifar10(root: impl AsRef<Path>, split: Split) -> Result<ImageSet> {
    let names: &[&str] = match split {
        Split::Train => &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        Split::Test => &["test_batch.bin"],
    };
    let source = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
    read(
        "CIFAR10",
        root.as_ref(),
        "cifar-10-batches-bin",
        names,
        1,
        source,
        CLASSES_10,
    )
}

/// Small photographs of 100 classes: 50,000 and 10,000 images `[3, 32, 32]`.
///
/// The files `train.bin` and `test.bin` of the binary version are looked for in `root` and in
/// `root/cifar-100-binary`.
///
/// # Errors
/// As [`cifar10`].
pub fn cifar100(root: impl AsRef<Path>, split: Split) -> Result<ImageSet> {
    let names: &[&str] = match split {
        Split::Train => &["train.bin"],
        Split::Test => &["test.bin"],
    };
    let source = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz";
    read(
        "CIFAR100",
        root.as_ref(),
        "cifar-100-binary",
        names,
        2,
        source,
        CLASSES_100,
    )
}

/// Reads files of records that begin with `labels` bytes, the last of which is the class.
fn read(
    dataset: &str,
    root: &Path,
    folder: &str,
    names: &[&str],
    labels: usize,
    source: &str,
    classes: &'static [&'static str],
) -> Result<ImageSet> {
    let (mut pixels, mut numbers) = (Vec::new(), Vec::new());
    for name in names {
        let path = find_file(dataset, root, &["", folder], &[name], source)?;
        let bytes =
            std::fs::read(&path).map_err(|error| Error::Io(format!("{}: {error}", path.display())))?;
        ensure!(
            !bytes.is_empty() && bytes.len() % (labels + PIXELS) == 0,
            Format,
            "{}: expected records of {} bytes, got {} bytes",
            path.display(),
            labels + PIXELS,
            bytes.len()
        );
        for record in bytes.chunks_exact(labels + PIXELS) {
            numbers.push(i64::from(record[labels - 1]));
            pixels.extend_from_slice(&record[labels..]);
        }
    }
    let count = numbers.len();
    let images = Tensor::from_vec(pixels, (count, 3, SIDE, SIDE))?;
    ImageSet::new(images, Tensor::from_vec(numbers, count)?, classes).map_err(|error| error.context(dataset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_data::Dataset;

    #[test]
    fn records_are_read() {
        let root = tempfile::tempdir().unwrap();
        let error = cifar10(root.path(), Split::Train).unwrap_err().to_string();
        assert!(error.contains("CIFAR10: no data_batch_1.bin"), "{error}");
        let mut records = Vec::new();
        for (class, red) in [(3u8, 10u8), (9, 20)] {
            records.push(class);
            records.extend([red; SIDE * SIDE]);
            records.extend([0; 2 * SIDE * SIDE]);
        }
        std::fs::write(root.path().join("test_batch.bin"), &records).unwrap();
        let set = cifar10(root.path(), Split::Test).unwrap();
        let (image, class) = set.get(1).unwrap();
        assert_eq!((set.len(), class, image.shape()), (2, 9, &[3, 32, 32][..]));
        assert_eq!(
            image.select(0, 0).unwrap().to_vec::<u8>().unwrap(),
            [20; SIDE * SIDE]
        );
        assert_eq!(set.classes()[class as usize], "truck");

        let folder = root.path().join("cifar-100-binary");
        std::fs::create_dir(&folder).unwrap();
        let record: Vec<u8> = [4, 99].into_iter().chain([7; PIXELS]).collect();
        std::fs::write(folder.join("test.bin"), &record).unwrap();
        let set = cifar100(root.path(), Split::Test).unwrap();
        assert_eq!(
            (set.len(), set.get(0).unwrap().1, CLASSES_100.len()),
            (1, 99, 100)
        );
        std::fs::write(folder.join("test.bin"), &record[1..]).unwrap();
        let error = cifar100(root.path(), Split::Test).unwrap_err().to_string();
        assert!(
            error.contains("expected records of 3074 bytes, got 3073 bytes"),
            "{error}"
        );
    }
}
