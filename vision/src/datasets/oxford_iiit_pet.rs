//! The Oxford-IIIT Pet dataset (Parkhi et al., 2012): 37 breeds of cats and dogs, with outlines.

use std::path::{Path, PathBuf};

use flambeau_data::Dataset;
use flambeau_data::formats::image::read_indices;
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::{check_index, find_file, find_folder, read_text};
use crate::io::{DecodeOptions, read_image};
use crate::transforms::Sample;

/// Which part of the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PetSplit {
    /// 3,680 images to learn from and to choose by.
    TrainVal,
    /// 3,669 images to test on.
    Test,
}

/// What a sample says about its image beside the image (`target_types`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PetTarget {
    /// Its breed: one of 37.
    Category,
    /// 0 for a cat, 1 for a dog.
    BinaryCategory,
    /// The class of each pixel: 1 the animal, 2 what is around it, 3 the outline, or what can't be told.
    Segmentation,
}

/// Photographs of pets. A [`Sample`] has the image `[3, height, width]` of `uint8`, and a class as labels, a scalar, or the
/// classes of the pixels as masks `[height, width]`, both if they are asked for.
///
/// The folders `images` and `annotations` are looked for in `root` and in `root/oxford-iiit-pet`.
#[derive(Clone, Debug)]
pub struct OxfordIIITPet {
    folder: PathBuf,
    targets: Vec<PetTarget>,
    pets: Vec<Pet>,
    classes: Vec<String>,
}

#[derive(Clone, Debug)]
struct Pet {
    name: String,
    breed: i64,
    species: i64,
}

impl OxfordIIITPet {
    /// The part `split` of the dataset below `root`, with what `targets` say.
    ///
    /// # Errors
    /// `Io` if files are missing, which says where they belong; `Format` if they are not what they should be; `Value` for
    /// both kinds of category.
    pub fn new(root: impl AsRef<Path>, split: PetSplit, targets: &[PetTarget]) -> Result<Self> {
        let both = [PetTarget::Category, PetTarget::BinaryCategory];
        ensure!(
            !both.iter().all(|target| targets.contains(target)),
            Value,
            "OxfordIIITPet: a sample has one label, the breed or the species"
        );
        let source = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/ (images.tar.gz, annotations.tar.gz)";
        let name = match split {
            PetSplit::TrainVal => "trainval.txt",
            PetSplit::Test => "test.txt",
        };
        let folders = ["annotations", "oxford-iiit-pet/annotations"];
        let list = find_file("OxfordIIITPet", root.as_ref(), &folders, &[name], source)?;
        let folder = list
            .parent()
            .and_then(Path::parent)
            .unwrap_or(root.as_ref())
            .to_path_buf();
        find_folder("OxfordIIITPet", &folder, &["images"], source)?;
        let mut pets = Vec::new();
        for (number, line) in read_text(&list)?.lines().enumerate() {
            let Some(pet) = pet(line) else {
                bail!(
                    Format,
                    "{}: line {}: expected a name, a breed, a species (1 or 2) and a number, got {line:?}",
                    list.display(),
                    number + 1
                )
            };
            pets.push(pet);
        }
        // Breeds are called by the names of their images.
        let count = pets.iter().map(|pet| pet.breed + 1).max().unwrap_or(0);
        ensure!(
            count as usize <= pets.len(),
            Format,
            "{}: {} images of {count} breeds",
            list.display(),
            pets.len()
        );
        let mut classes = vec![String::new(); count as usize];
        for pet in &pets {
            classes[pet.breed as usize] = title(&pet.name);
        }
        Ok(OxfordIIITPet {
            folder,
            targets: targets.to_vec(),
            pets,
            classes,
        })
    }

    /// What the breeds are called.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

/// A line such as `Abyssinian_100 1 1 1`.
fn pet(line: &str) -> Option<Pet> {
    let mut words = line.split_whitespace();
    let (name, breed, species) = (words.next()?, words.next()?, words.next()?);
    let (breed, species): (i64, i64) = (breed.parse().ok()?, species.parse().ok()?);
    let valid = (1..=i64::from(u16::MAX)).contains(&breed)
        && (1..=2).contains(&species)
        && !name.contains(['/', '\\']);
    valid.then(|| Pet {
        name: name.to_string(),
        breed: breed - 1,
        species: species - 1,
    })
}

/// `great_pyrenees_12` is of the breed `Great Pyrenees`.
fn title(name: &str) -> String {
    let breed = name.rsplit_once('_').map_or(name, |(breed, _)| breed);
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first
            .chain(letters.flat_map(char::to_lowercase))
            .collect::<String>()
    };
    breed.split('_').map(capital).collect::<Vec<_>>().join(" ")
}

impl Dataset for OxfordIIITPet {
    type Item = Sample;

    fn len(&self) -> usize {
        self.pets.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        check_index("OxfordIIITPet", index, self.pets.len())?;
        let pet = &self.pets[index];
        let image = self.folder.join("images").join(format!("{}.jpg", pet.name));
        let mut sample = Sample::from(read_image(image, &DecodeOptions::RGB)?);
        for target in &self.targets {
            match target {
                PetTarget::Category => sample.labels = Some(Tensor::scalar(pet.breed)),
                PetTarget::BinaryCategory => sample.labels = Some(Tensor::scalar(pet.species)),
                PetTarget::Segmentation => {
                    let trimap = format!("annotations/trimaps/{}.png", pet.name);
                    sample.masks = Some(read_indices(self.folder.join(trimap))?);
                }
            }
        }
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_files::{write_image, write_mask};
    use super::*;

    #[test]
    fn pets_have_breeds_species_and_outlines() {
        let root = tempfile::tempdir().unwrap();
        let open = |targets: &[PetTarget]| OxfordIIITPet::new(root.path(), PetSplit::Test, targets);
        let error = open(&[]).unwrap_err().to_string();
        assert!(
            error.contains("OxfordIIITPet: no test.txt in ") && error.contains("pets/data"),
            "{error}"
        );
        let folder = root.path().join("oxford-iiit-pet");
        let list = folder.join("annotations/test.txt");
        std::fs::create_dir_all(list.parent().unwrap()).unwrap();
        std::fs::write(&list, "great_pyrenees_12 2 2 1\nSphynx_3 1 1 2\n").unwrap();
        assert!(
            open(&[])
                .unwrap_err()
                .to_string()
                .contains("OxfordIIITPet: no folder images in ")
        );
        write_image(&folder.join("images/great_pyrenees_12.jpg"), 5, 7, 50);
        write_image(&folder.join("images/Sphynx_3.jpg"), 4, 4, 50);
        write_mask(
            &folder.join("annotations/trimaps/Sphynx_3.png"),
            4,
            4,
            &[1, 2, 3, 2, 1, 2, 3, 2, 1, 1, 1, 1, 2, 2, 2, 2],
        );
        let pets = open(&[PetTarget::Category, PetTarget::Segmentation]).unwrap();
        assert_eq!(
            (pets.len(), pets.classes()),
            (2, &["Sphynx".to_string(), "Great Pyrenees".to_string()][..])
        );
        let sphynx = pets.get(1).unwrap();
        assert_eq!(sphynx.size("test").unwrap(), (4, 4));
        assert_eq!(sphynx.labels.unwrap().item::<i64>().unwrap(), 0);
        assert_eq!(sphynx.masks.unwrap().to_vec2::<u8>().unwrap()[0], [1, 2, 3, 2]);
        // The other one has no outline.
        assert!(
            pets.get(0)
                .unwrap_err()
                .to_string()
                .contains("great_pyrenees_12.png")
        );
        let species = open(&[PetTarget::BinaryCategory]).unwrap().get(0).unwrap();
        assert_eq!(species.labels.unwrap().item::<i64>().unwrap(), 1);
        assert!(species.masks.is_none());
        assert!(open(&[PetTarget::Category, PetTarget::BinaryCategory]).is_err());
        for line in [
            "Sphynx_3 1 3 2",
            "Sphynx_3 0 1 2",
            "../Sphynx_3 1 1 2",
            "Sphynx_3",
            "Sphynx_3 60000 1 1",
        ] {
            std::fs::write(&list, line).unwrap();
            assert!(
                open(&[]).unwrap_err().to_string().contains("test.txt: "),
                "{line}"
            );
        }
    }
}
