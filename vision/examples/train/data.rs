//! The images: where they come from and how they are varied.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use flambeau_data::formats::folder::ImageFolder;
use flambeau_data::{DataLoader, Dataset};
use flambeau_tensor::{Tensor, random};
use flambeau_vision::datasets::{FakeData, ImageSet, Split, cifar10, cifar100, fashion_mnist, kmnist, mnist};
use flambeau_vision::io::{DecodeOptions, read_image};
use flambeau_vision::pretrained::Preparation;
use flambeau_vision::transforms::functional::{
    Crop, center_crop, crop, horizontal_flip, normalize_bytes, resize,
};
use flambeau_vision::transforms::{GreyThumbnail, ImageClassification, ResizeOptions};

use crate::args::{Args, Augment, DatasetName};
use crate::measure::Loader;

/// Images of `uint8` and their classes.
type Images = Arc<dyn Dataset<Item = (Tensor, i64)>>;

/// The most pixels by which an image is shifted.
const SHIFT: isize = 2;
/// Height and width of pictures from folders, unless the arguments say otherwise.
const FOLDER_SIZE: usize = 64;
/// Images per step where nothing is learnt.
const TEST_BATCH: usize = 250;

/// A dataset, ready to be trained on.
pub(crate) struct Data {
    pub(crate) train: Loader,
    pub(crate) test: Loader,
    pub(crate) classes: Vec<String>,
    /// A few training images as the model gets to see them, but for the normalisation: `[n, channels, height, width]`.
    pub(crate) examples: Tensor,
}

impl Data {
    /// The dataset that the arguments name.
    pub(crate) fn open(args: &Args) -> Result<Data> {
        let (train, test, classes) = if args.smoke {
            let size = |size| FakeData {
                size,
                image_size: [3, 32, 32],
                ..FakeData::default()
            };
            let classes = (0..10).map(|class| class.to_string()).collect();
            let train: Images = Arc::new(size(4 * args.batch_size));
            (train, Arc::new(size(args.batch_size)) as Images, classes)
        } else {
            open(args)?
        };
        let (mean, std) = statistics(args.dataset);
        let prepare = move |image: &Tensor| {
            let &[_, height, width] = image.shape() else {
                unreachable!("images have three dimensions")
            };
            // Grey images become three equal channels.
            let image = image.expand([3, height, width])?;
            normalize_bytes(&image, &mean, &std)
        };
        let augment = args.augment;
        let vary = move |image: &Tensor| vary(image, augment);
        let shown = train.len().min(64);
        let examples = (0..shown)
            .map(|i| vary(&train.get(i * train.len() / shown)?.0))
            .collect::<flambeau_tensor::Result<Vec<Tensor>>>()?;
        Ok(Data {
            examples: Tensor::stack(&examples, 0)?,
            train: DataLoader::builder(
                train.map(move |(image, class)| Ok((prepare(&vary(&image)?)?, class))),
            )
            .batch_size(args.batch_size)
            .shuffle(true)
            .drop_last(true)
            .num_workers(args.workers)
            .build()?,
            test: DataLoader::builder(test.map(move |(image, class)| Ok((prepare(&image)?, class))))
                .batch_size(TEST_BATCH)
                .num_workers(args.workers)
                .build()?,
            classes,
        })
    }
}

/// The training images, the test images and what the classes are called.
fn open(args: &Args) -> Result<(Images, Images, Vec<String>)> {
    let read: fn(&Path, Split) -> flambeau_tensor::Result<ImageSet> = match args.dataset {
        DatasetName::FashionMnist => |root, split| fashion_mnist(root, split),
        DatasetName::Mnist => |root, split| mnist(root, split),
        DatasetName::Kmnist => |root, split| kmnist(root, split),
        DatasetName::Cifar10 => |root, split| cifar10(root, split),
        DatasetName::Cifar100 => |root, split| cifar100(root, split),
        DatasetName::Folder => return open_folders(args),
    };
    let (train, test) = (read(&args.data, Split::Train)?, read(&args.data, Split::Test)?);
    let classes = train.classes().iter().map(|class| class.to_string()).collect();
    Ok((Arc::new(train), Arc::new(test), classes))
}

/// Pictures in folders, of which the middle is brought to one size.
fn open_folders(args: &Args) -> Result<(Images, Images, Vec<String>)> {
    let size = args.image_size.unwrap_or(FOLDER_SIZE);
    let folder = |name: &str| ImageFolder::new(args.data.join(name));
    let read = move |(path, class): (std::path::PathBuf, i64)| {
        let image = read_image(&path, &DecodeOptions::default())?;
        let image = resize(&image, size, &ResizeOptions::default())?;
        Ok((center_crop(&image, (size, size))?, class))
    };
    let (train, test) = (folder("train")?, folder("test")?);
    let classes = train.classes().to_vec();
    anyhow::ensure!(
        classes == test.classes(),
        "the classes in {} differ: {classes:?} to train on, {:?} to test on",
        args.data.display(),
        test.classes()
    );
    Ok((Arc::new(train.map(read)), Arc::new(test.map(read)), classes))
}

/// How pictures are prepared for a model that was trained on the dataset.
pub(crate) fn preparation(args: &Args) -> Preparation {
    let (mean, std) = statistics(args.dataset);
    let photo = |size: usize| {
        Preparation::Photo(ImageClassification {
            resize_size: size,
            mean,
            std,
            ..ImageClassification::new(size)
        })
    };
    match args.dataset {
        _ if args.smoke => photo(32),
        DatasetName::FashionMnist | DatasetName::Mnist | DatasetName::Kmnist => {
            Preparation::GreyThumbnail(GreyThumbnail {
                size: 28,
                mean: mean[0],
                std: std[0],
            })
        }
        DatasetName::Cifar10 | DatasetName::Cifar100 => photo(32),
        DatasetName::Folder => photo(args.image_size.unwrap_or(FOLDER_SIZE)),
    }
}

/// Mean and standard deviation of each channel, from 0 to 1, over the training images.
fn statistics(dataset: DatasetName) -> ([f64; 3], [f64; 3]) {
    match dataset {
        DatasetName::FashionMnist => ([0.2860; 3], [0.3530; 3]),
        DatasetName::Mnist => ([0.1307; 3], [0.3081; 3]),
        DatasetName::Kmnist => ([0.1918; 3], [0.3483; 3]),
        DatasetName::Cifar10 => ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
        DatasetName::Cifar100 => ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
        DatasetName::Folder => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    }
}

/// The image, shifted and mirrored at random.
fn vary(image: &Tensor, augment: Augment) -> flambeau_tensor::Result<Tensor> {
    if augment == Augment::None {
        return Ok(image.clone());
    }
    let (height, width) = (image.shape()[1], image.shape()[2]);
    let offset = || random::with_default(|g| g.next_u32() as isize % (2 * SHIFT + 1)) - SHIFT;
    let part = Crop {
        top: offset(),
        left: offset(),
        height,
        width,
    };
    let image = crop(image, part)?;
    let mirror = augment == Augment::FlipShift && random::with_default(|g| g.next_u32().is_multiple_of(2));
    if mirror {
        horizontal_flip(&image)
    } else {
        Ok(image)
    }
}
