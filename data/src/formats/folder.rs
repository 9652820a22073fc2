//! Files in a folder for each class (`torchvision.datasets.ImageFolder`, `DatasetFolder`).

use std::fs;
use std::path::{Path, PathBuf};

use flambeau_tensor::{Result, bail, ensure};

use super::io_error;
use crate::Dataset;
use crate::dataset::check_index;

/// The extensions of pictures, as torchvision has them.
pub const IMAGE_EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"];

/// The files under a folder that has a folder for each class: sample `i` is a path and the number of its class.
///
/// Classes are numbered in the order of their names; within a class, files are in the order of their folders, then of
/// their names. Links are followed.
///
/// ```no_run
/// use flambeau_data::Dataset;
/// use flambeau_data::formats::folder::ImageFolder;
///
/// let flowers = ImageFolder::new("flowers/train")?; // flowers/train/daisy/0001.jpg, …
/// let (path, class) = flowers.get(0)?;
/// println!("{} is a {}", path.display(), flowers.classes()[class as usize]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    classes: Vec<String>,
    samples: Vec<(PathBuf, i64)>,
}

impl ImageFolder {
    /// The pictures under `root`: files with one of [`IMAGE_EXTENSIONS`].
    ///
    /// # Errors
    /// `Io` if a folder can't be read or a link leads back to where it came from; `Value` if there is no class, or a
    /// class has no such files.
    pub fn new(root: impl AsRef<Path>) -> Result<Self> {
        Self::with_extensions(root, &IMAGE_EXTENSIONS)
    }

    /// The files under `root` with one of the `extensions`, which are compared without regard to case.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_extensions(root: impl AsRef<Path>, extensions: &[&str]) -> Result<Self> {
        let root = root.as_ref();
        let folders: Vec<PathBuf> = entries(root)?.into_iter().filter(|path| path.is_dir()).collect();
        ensure!(
            !folders.is_empty(),
            Value,
            "{}: expected a folder for each class, found none",
            root.display()
        );
        let (mut classes, mut samples) = (Vec::new(), Vec::new());
        for (class, folder) in (0..).zip(folders) {
            let files = files(&folder, extensions)?;
            ensure!(
                !files.is_empty(),
                Value,
                "{}: no file with one of the extensions {extensions:?}",
                folder.display()
            );
            samples.extend(files.into_iter().map(|path| (path, class)));
            let name = folder.file_name().unwrap_or_default();
            classes.push(name.to_string_lossy().into_owned());
        }
        Ok(ImageFolder { classes, samples })
    }

    /// The names of the classes, by number.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// All paths with the numbers of their classes.
    pub fn samples(&self) -> &[(PathBuf, i64)] {
        &self.samples
    }
}

impl Dataset for ImageFolder {
    type Item = (PathBuf, i64);

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn get(&self, index: usize) -> Result<(PathBuf, i64)> {
        check_index("ImageFolder", index, self.samples.len())?;
        Ok(self.samples[index].clone())
    }
}

/// The files under `root`, at any depth, with one of the `extensions`, compared without regard to case; all files if
/// there are no extensions. In the order of their folders, then of their names; links are followed.
///
/// # Errors
/// `Io` if a folder can't be read, or a link leads back to a folder that it is in.
pub fn files(root: impl AsRef<Path>, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    // Each with the real paths of the folders that lead to it.
    let mut open = vec![(root.as_ref().to_path_buf(), Vec::new())];
    while let Some((folder, mut above)) = open.pop() {
        let real = fs::canonicalize(&folder).map_err(|error| io_error(error).context(folder.display()))?;
        if above.contains(&real) {
            bail!(
                Io,
                "{}: a link that leads back to {}",
                folder.display(),
                real.display()
            );
        }
        above.push(real);
        let (inner, files): (Vec<PathBuf>, Vec<PathBuf>) =
            entries(&folder)?.into_iter().partition(|path| path.is_dir());
        open.extend(inner.into_iter().map(|path| (path, above.clone())));
        folders.push((folder, files));
    }
    folders.sort_by(|(a, _), (b, _)| a.as_os_str().cmp(b.as_os_str()));
    let wanted = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default();
        extensions.is_empty()
            || extensions
                .iter()
                .any(|wanted| extension.eq_ignore_ascii_case(wanted))
    };
    Ok(folders
        .into_iter()
        .flat_map(|(_, files)| files)
        .filter(wanted)
        .collect())
}

/// What is in a folder, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let place = |error| io_error(error).context(folder.display());
    let entries = fs::read_dir(folder).map_err(place)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(place))
        .collect::<Result<Vec<_>>>()?;
    paths.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::super::test_files::Folder;
    use super::*;

    #[test]
    fn classes_and_files_are_in_the_order_of_torchvision() {
        let folder = Folder::new();
        let names = [
            "dog/b.PNG",
            "dog/a.jpg",
            "dog/more/0.jpg",
            "dog/.x/1.jpg",
            "Cat/2.webp",
            "dog/notes.txt",
            "readme.png",
        ];
        for name in names {
            folder.file(name, "");
        }
        let dataset = ImageFolder::new(folder.path()).unwrap();
        assert_eq!(dataset.classes(), ["Cat", "dog"]);
        let listed: Vec<(String, i64)> = dataset
            .samples()
            .iter()
            .map(|(path, class)| (folder.stripped(path.display()), *class))
            .collect();
        let expected = [
            ("FOLDER/Cat/2.webp", 0),
            ("FOLDER/dog/a.jpg", 1),
            ("FOLDER/dog/b.PNG", 1),
            ("FOLDER/dog/.x/1.jpg", 1),
            ("FOLDER/dog/more/0.jpg", 1),
        ];
        assert_eq!(listed, expected.map(|(path, class)| (path.to_string(), class)));
        assert_eq!(dataset.get(4).unwrap(), dataset.samples()[4]);
        assert!(dataset.get(5).is_err());
        assert_eq!(files(folder.path(), &["txt"]).unwrap().len(), 1);
        assert_eq!(files(folder.path(), &[]).unwrap().len(), 7);
    }

    #[test]
    fn folders_that_can_not_be_listed_are_errors() {
        let folder = Folder::new();
        let error = |root: &Path| folder.stripped(ImageFolder::new(root).unwrap_err());
        assert_eq!(
            error(folder.path()),
            "FOLDER: expected a folder for each class, found none"
        );
        assert!(error(&folder.path().join("absent")).starts_with("FOLDER/absent: "));
        folder.file("a/notes.txt", "");
        assert!(error(folder.path()).starts_with("FOLDER/a: no file with one of the extensions [\"jpg\", "));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        let folder = Folder::new();
        folder.file("a/1.png", "");
        let link = |to: &str, at: &str| {
            std::os::unix::fs::symlink(folder.path().join(to), folder.path().join(at)).unwrap();
        };
        link("a", "b");
        assert_eq!(ImageFolder::new(folder.path()).unwrap().samples().len(), 2);
        link("a", "a/back");
        let error = folder.stripped(ImageFolder::new(folder.path()).unwrap_err());
        assert_eq!(error, "FOLDER/a/back: a link that leads back to FOLDER/a");
    }
}
