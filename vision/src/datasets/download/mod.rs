//! Getting the files of datasets, whole and checked (`download=True`).
//!
//! ```no_run
//! use flambeau_vision::datasets::download::Archive;
//! use flambeau_vision::datasets::{Split, mnist};
//!
//! Archive::Mnist.download("data")?; // to data/MNIST/raw, unless they are there
//! let train = mnist("data", Split::Train)?;
//! # Ok::<(), flambeau_tensor::Error>(())
//! ```

#[cfg(test)]
mod tests;

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flambeau_data::formats::tar::TarReader;
use flambeau_hub::{Checksum, Hub};
use flambeau_tensor::io::{open, unpacked_limit};
use flambeau_tensor::{Error, Result, bail, ensure};
use zip::ZipArchive;

use super::svhn::SvhnSplit;

/// The largest file that is taken out of an archive: 4 GiB.
const LARGEST: u64 = 4 << 30;

/// Files that are published together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// The four files of MNIST, to `root/MNIST/raw`.
    Mnist,
    /// The four files of Fashion-MNIST, to `root/FashionMNIST/raw`.
    FashionMnist,
    /// The four files of KMNIST, to `root/KMNIST/raw`.
    Kmnist,
    /// All divisions of EMNIST, to `root/EMNIST/raw`.
    Emnist,
    /// The binary version of CIFAR-10, to `root/cifar-10-batches-bin`.
    Cifar10,
    /// The binary version of CIFAR-100, to `root/cifar-100-binary`.
    Cifar100,
    /// A part of SVHN, to `root`.
    Svhn(SvhnSplit),
    /// Images and annotations of the Oxford-IIIT Pet dataset, to `root/oxford-iiit-pet`.
    OxfordIIITPet,
    /// Training and validation images of Pascal VOC 2012, to `root/VOCdevkit/VOC2012`.
    Voc2012,
    /// Training and validation images of Pascal VOC 2007, to `root/VOCdevkit/VOC2007`.
    Voc2007,
    /// Test images of Pascal VOC 2007, to `root/VOCdevkit/VOC2007`.
    Voc2007Test,
}

/// A file on a server.
#[derive(Clone, Copy, Debug)]
struct Remote {
    /// What its URL begins with.
    base: &'static str,
    name: &'static str,
    /// As torchvision has it, or the dataset's page.
    md5: &'static str,
}

/// Where files go, and what becomes of them.
struct Plan {
    files: Vec<Remote>,
    /// Where they are put, below the root.
    folder: &'static str,
    /// Where what is in them is put, below the root, and where that begins in the archive.
    unpack: Option<(&'static str, &'static str)>,
}

const MNIST_NAMES: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

impl Archive {
    fn plan(self) -> Plan {
        let four = |base, folder, md5: [&'static str; 4]| Plan {
            files: MNIST_NAMES
                .into_iter()
                .zip(md5)
                .map(|(name, md5)| Remote { base, name, md5 })
                .collect(),
            folder,
            unpack: None,
        };
        let packed = |base, files: &[(&'static str, &'static str)], folder, unpack| Plan {
            files: files
                .iter()
                .map(|&(name, md5)| Remote { base, name, md5 })
                .collect(),
            folder,
            unpack,
        };
        match self {
            Archive::Mnist => four(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "MNIST/raw",
                [
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "d53e105ee54ea40749a09fcbcd1e9432",
                    "9fb629c4189551a2d022fa330f9573f3",
                    "ec29112dd5afa0611ce80d1b7f02629c",
                ],
            ),
            Archive::FashionMnist => four(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "FashionMNIST/raw",
                [
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "25c81989df183df01b3e8a0aad5dffbe",
                    "bef4ecab320f06d8554ea6380940ec79",
                    "bb300cfdad3c16e7a12a480ee83cd310",
                ],
            ),
            Archive::Kmnist => four(
                "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                "KMNIST/raw",
                [
                    "bdb82020997e1d708af4cf47b453dcf7",
                    "e144d726b3acfaa3e44228e80efcd344",
                    "5c965bf0a639b31b8f53240b1b52f4d7",
                    "7320c461ea6c1c855c0b718fb2a4b134",
                ],
            ),
            Archive::Emnist => packed(
                "https://biometrics.nist.gov/cs_links/EMNIST/",
                &[("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e")],
                "EMNIST/raw",
                Some(("EMNIST/raw", "gzip")),
            ),
            Archive::Cifar10 => packed(
                "https://www.cs.toronto.edu/~kriz/",
                &[("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")],
                "",
                Some(("", "")),
            ),
            Archive::Cifar100 => packed(
                "https://www.cs.toronto.edu/~kriz/",
                &[("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8")],
                "",
                Some(("", "")),
            ),
            Archive::Svhn(split) => {
                let md5 = match split {
                    SvhnSplit::Train => "e26dedcc434d2e4c54c9b2d4a06d8373",
                    SvhnSplit::Test => "eb5a983be6a315427106f1b164d9cef3",
                    SvhnSplit::Extra => "a93ce644f1a588dc4d68dda5feec44a7",
                };
                packed(
                    "http://ufldl.stanford.edu/housenumbers/",
                    &[(split.file(), md5)],
                    "",
                    None,
                )
            }
            Archive::OxfordIIITPet => packed(
                "https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
                &[
                    ("images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
                    ("annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f"),
                ],
                "oxford-iiit-pet",
                Some(("oxford-iiit-pet", "")),
            ),
            Archive::Voc2012 => packed(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/",
                &[("VOCtrainval_11-May-2012.tar", "6cd6e144f989b92b3379bac3b3de84fd")],
                "",
                Some(("", "")),
            ),
            Archive::Voc2007 => packed(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/",
                &[("VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64")],
                "",
                Some(("", "")),
            ),
            Archive::Voc2007Test => packed(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/",
                &[("VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f")],
                "",
                Some(("", "")),
            ),
        }
    }

    /// Gets the files to where the datasets look for them below `root`, and unpacks them. What is there already with the
    /// right checksum is not asked for again.
    ///
    /// # Errors
    /// Those of [`Hub::from_env`] and [`Hub::download`]; `Format` for an archive with a name that leads out of its folder.
    pub fn download(self, root: impl AsRef<Path>) -> Result<()> {
        self.download_by(&Hub::from_env()?, root, None)
    }

    /// The same by the settings of `hub`, and, if it is given, from a `mirror`: a URL with the files of the same names.
    ///
    /// # Errors
    /// Those of [`Archive::download`].
    pub fn download_by(self, hub: &Hub, root: impl AsRef<Path>, mirror: Option<&str>) -> Result<()> {
        self.plan().carry_out(hub, root.as_ref(), mirror)
    }
}

impl Plan {
    fn carry_out(&self, hub: &Hub, root: &Path, mirror: Option<&str>) -> Result<()> {
        for &Remote { base, name, md5 } in &self.files {
            let base = mirror.unwrap_or(base).trim_end_matches('/');
            let path = root.join(self.folder).join(name);
            hub.download(&format!("{base}/{name}"), &path, &Checksum::Md5(md5.to_string()))?;
            if let Some((folder, begin)) = self.unpack {
                unpack(&path, begin, &root.join(folder))?;
            }
        }
        Ok(())
    }
}

/// Takes the regular files below `begin` out of an archive to a folder: a `.zip`, or a `.tar`, packed or not. What is there
/// with the same length stays.
fn unpack(archive: &Path, begin: &str, folder: &Path) -> Result<()> {
    if archive.extension().is_some_and(|extension| extension == "zip") {
        return unpack_zip(archive, begin, folder);
    }
    for entry in TarReader::open(archive)? {
        let entry = entry?;
        let place = |error: Error| error.context(archive.display());
        if let Some(path) = inside(&entry.name, begin).map_err(place)? {
            put(&folder.join(path), entry.bytes.len() as u64, || Ok(entry.bytes))?;
        }
    }
    Ok(())
}

fn unpack_zip(archive: &Path, begin: &str, folder: &Path) -> Result<()> {
    let place = |error: Error| error.context(archive.display());
    let bad = |error: zip::result::ZipError| place(Error::Format(error.to_string()));
    let (file, length) = open(archive)?;
    // What all entries may still unpack to.
    let mut left = unpacked_limit(length);
    let mut entries = ZipArchive::new(file).map_err(bad)?;
    for index in 0..entries.len() {
        let mut entry = entries.by_index(index).map_err(bad)?;
        if !entry.is_file() {
            continue;
        }
        let name = entry.name().map_err(bad)?.into_owned();
        let Some(path) = inside(&name, begin).map_err(place)? else {
            continue;
        };
        let size = entry.size();
        let most = left.min(LARGEST);
        ensure!(
            size <= most,
            Format,
            "{}: {name}: {size} bytes, more than the {most} that are read",
            archive.display()
        );
        left -= size;
        put(&folder.join(path), size, || {
            let mut bytes = Vec::new();
            let read = (&mut entry).take(size.saturating_add(1)).read_to_end(&mut bytes);
            read.map_err(|error| place(Error::Format(error.to_string())))?;
            ensure!(
                bytes.len() as u64 == size,
                Format,
                "{}: {size} bytes are announced, and others come",
                archive.display()
            );
            Ok(bytes)
        })?;
    }
    Ok(())
}

/// The path of an entry below `begin`; none for what lies elsewhere in the archive.
///
/// # Errors
/// `Format` for one that would lead out of the folder that the archive is unpacked to.
fn inside(name: &str, begin: &str) -> Result<Option<PathBuf>> {
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) if !part.to_string_lossy().contains(['\\', ':']) => path.push(part),
            Component::CurDir => {}
            _ => bail!(Format, "{name:?} leads out of the archive's folder"),
        }
    }
    Ok(path.strip_prefix(begin).ok().map(Path::to_path_buf))
}

/// Writes a file, unless one of that size is there. One that a killed process has left is shorter.
fn put(path: &Path, size: u64, bytes: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
    if fs::metadata(path).is_ok_and(|there| there.is_file() && there.len() == size) {
        return Ok(());
    }
    let io = |error: std::io::Error| Error::Io(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    fs::write(path, bytes()?).map_err(io)
}
