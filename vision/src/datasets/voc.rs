//! Pascal VOC ([Everingham et al., 2010](https://doi.org/10.1007/s11263-009-0275-4)): things in boxes, and the classes of pixels.

use std::path::{Path, PathBuf};

use flambeau_data::Dataset;
use flambeau_data::formats::image::read_indices;
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};
use roxmltree::{Document, Node};

use super::{check_index, find_folder, read_text};
use crate::io::{DecodeOptions, read_image};
use crate::transforms::{BoundingBoxFormat, BoundingBoxes, Sample};

/// What is on the images. The place in this list is the class in boxes and masks; a mask has 255 where it can't be told.
pub const VOC_CLASSES: [&str; 21] = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// The year of the challenge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VOCYear {
    /// 2007, the one whose test set is public.
    Y2007,
    /// 2008.
    Y2008,
    /// 2009.
    Y2009,
    /// 2010.
    Y2010,
    /// 2011.
    Y2011,
    /// 2012, torchvision's default.
    #[default]
    Y2012,
}

impl VOCYear {
    /// Where the archive of a year has its folders.
    fn folder(self) -> &'static str {
        match self {
            VOCYear::Y2007 => "VOCdevkit/VOC2007",
            VOCYear::Y2008 => "VOCdevkit/VOC2008",
            VOCYear::Y2009 => "VOCdevkit/VOC2009",
            VOCYear::Y2010 => "VOCdevkit/VOC2010",
            VOCYear::Y2011 => "TrainVal/VOCdevkit/VOC2011",
            VOCYear::Y2012 => "VOCdevkit/VOC2012",
        }
    }
}

/// Which images of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VOCImageSet {
    /// What is learnt from.
    Train,
    /// What is chosen by.
    Val,
    /// Both.
    TrainVal,
    /// What is tested on: of 2007 only.
    Test,
}

impl VOCImageSet {
    fn name(self) -> &'static str {
        match self {
            VOCImageSet::Train => "train",
            VOCImageSet::Val => "val",
            VOCImageSet::TrainVal => "trainval",
            VOCImageSet::Test => "test",
        }
    }
}

/// The folder of a year, and the names of the images that a list below it has.
fn listed(
    dataset: &str,
    root: &Path,
    year: VOCYear,
    set: VOCImageSet,
    task: &str,
) -> Result<(PathBuf, Vec<String>)> {
    ensure!(
        set != VOCImageSet::Test || year == VOCYear::Y2007,
        Value,
        "{dataset}: the test set is public of 2007 only, not of {year:?}"
    );
    let source = "http://host.robots.ox.ac.uk/pascal/VOC/";
    let folder = find_folder(dataset, root, &[year.folder()], source)?;
    let list = folder.join(format!("ImageSets/{task}/{}.txt", set.name()));
    let names: Vec<String> = read_text(&list)?
        .lines()
        .map(|line| line.trim().to_string())
        .collect();
    if let Some(bad) = names
        .iter()
        .find(|name| name.is_empty() || name.contains(['/', '\\']))
    {
        bail!(
            Format,
            "{}: expected names of images, got {bad:?}",
            list.display()
        );
    }
    Ok((folder, names))
}

fn image_of(folder: &Path, name: &str) -> Result<Tensor> {
    read_image(folder.join(format!("JPEGImages/{name}.jpg")), &DecodeOptions::RGB)
}

/// Images whose pixels are classified. A [`Sample`] has the image `[3, height, width]` of `uint8` and the classes of the
/// pixels as masks `[height, width]`, by [`VOC_CLASSES`].
#[derive(Clone, Debug)]
pub struct VOCSegmentation {
    folder: PathBuf,
    names: Vec<String>,
}

impl VOCSegmentation {
    /// The images of `set` in `root/VOCdevkit/VOC2012` or that of another year.
    ///
    /// # Errors
    /// `Io` if files are missing, which says where they belong; `Value` for a test set other than that of 2007.
    pub fn new(root: impl AsRef<Path>, year: VOCYear, set: VOCImageSet) -> Result<Self> {
        let (folder, names) = listed("VOCSegmentation", root.as_ref(), year, set, "Segmentation")?;
        Ok(VOCSegmentation { folder, names })
    }
}

impl Dataset for VOCSegmentation {
    type Item = Sample;

    fn len(&self) -> usize {
        self.names.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        check_index("VOCSegmentation", index, self.names.len())?;
        let name = &self.names[index];
        let mask = self.folder.join(format!("SegmentationClass/{name}.png"));
        Ok(Sample {
            masks: Some(read_indices(mask)?),
            ..Sample::from(image_of(&self.folder, name)?)
        })
    }
}

/// What is said about an image.
#[derive(Clone, Debug, PartialEq)]
pub struct VOCAnnotation {
    /// The name of the image's file.
    pub filename: String,
    /// The things on it.
    pub objects: Vec<VOCObject>,
}

/// A thing on an image.
#[derive(Clone, Debug, PartialEq)]
pub struct VOCObject {
    /// What it is: one of [`VOC_CLASSES`].
    pub name: String,
    /// From where it is seen, such as `Left`; empty where nothing is said.
    pub pose: String,
    /// Whether the box does not have all of it.
    pub truncated: bool,
    /// Whether it is hard to recognise, and left out of evaluations.
    pub difficult: bool,
    /// Left, top, right and bottom, counted from 1 as in the file.
    pub bndbox: [f32; 4],
}

impl VOCAnnotation {
    /// From the text of a file of annotations.
    fn parse(text: &str) -> Result<VOCAnnotation> {
        let document = Document::parse(text).map_err(|error| Error::Format(error.to_string()))?;
        let root = document.root_element();
        let objects = root
            .children()
            .filter(|node| node.has_tag_name("object"))
            .map(object);
        Ok(VOCAnnotation {
            filename: text_of(root, "filename").unwrap_or_default().to_string(),
            objects: objects.collect::<Result<_>>()?,
        })
    }
}

/// The text of a child of that name.
fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let child = node.children().find(|child| child.has_tag_name(name))?;
    child.text().map(str::trim)
}

fn object(node: Node<'_, '_>) -> Result<VOCObject> {
    let Some(name) = text_of(node, "name") else {
        bail!(Format, "an object without a name")
    };
    let corners = node.children().find(|child| child.has_tag_name("bndbox"));
    let mut bndbox = [0.0; 4];
    for (corner, side) in bndbox.iter_mut().zip(["xmin", "ymin", "xmax", "ymax"]) {
        let text = corners
            .and_then(|corners| text_of(corners, side))
            .unwrap_or_default();
        *corner = match text.parse::<f32>() {
            Ok(number) if number.is_finite() => number,
            _ => bail!(Format, "{name}: expected a number for {side}, got {text:?}"),
        };
    }
    let is = |what| text_of(node, what) == Some("1");
    Ok(VOCObject {
        name: name.to_string(),
        pose: text_of(node, "pose").unwrap_or_default().to_string(),
        truncated: is("truncated"),
        difficult: is("difficult"),
        bndbox,
    })
}

/// Images with things in boxes. Sample `i` is a [`Sample`] and the annotation: the image `[3, height, width]` of `uint8`,
/// boxes of `float32` from corner to corner as in the file, and the class of each as labels, by [`VOC_CLASSES`].
#[derive(Clone, Debug)]
pub struct VOCDetection {
    folder: PathBuf,
    names: Vec<String>,
}

impl VOCDetection {
    /// The images of `set` in `root/VOCdevkit/VOC2012` or that of another year.
    ///
    /// # Errors
    /// `Io` if files are missing, which says where they belong; `Value` for a test set other than that of 2007.
    pub fn new(root: impl AsRef<Path>, year: VOCYear, set: VOCImageSet) -> Result<Self> {
        let (folder, names) = listed("VOCDetection", root.as_ref(), year, set, "Main")?;
        Ok(VOCDetection { folder, names })
    }
}

impl Dataset for VOCDetection {
    type Item = (Sample, VOCAnnotation);

    fn len(&self) -> usize {
        self.names.len()
    }

    fn get(&self, index: usize) -> Result<(Sample, VOCAnnotation)> {
        check_index("VOCDetection", index, self.names.len())?;
        let name = &self.names[index];
        let path = self.folder.join(format!("Annotations/{name}.xml"));
        let place = |error: Error| error.context(path.display());
        let annotation = VOCAnnotation::parse(&read_text(&path)?).map_err(place)?;
        let image = image_of(&self.folder, name)?;
        let (mut corners, mut labels) = (Vec::new(), Vec::new());
        for object in &annotation.objects {
            let Some(class) = VOC_CLASSES.iter().skip(1).position(|class| *class == object.name) else {
                let what = format!("unknown class {:?}", object.name);
                return Err(place(Error::Format(what)));
            };
            corners.extend(object.bndbox);
            labels.push(class as i64 + 1);
        }
        let count = labels.len();
        let corners = Tensor::from_vec(corners, (count, 4))?.to_dtype(DType::F32)?;
        let canvas = (image.shape()[1], image.shape()[2]);
        let sample = Sample {
            boxes: Some(BoundingBoxes::new(corners, BoundingBoxFormat::Xyxy, canvas)?),
            labels: Some(Tensor::from_vec(labels, count)?),
            ..Sample::from(image)
        };
        Ok((sample, annotation))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_files::{write_image, write_mask};
    use super::*;

    fn write(path: PathBuf, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn pixels_have_classes() {
        let root = tempfile::tempdir().unwrap();
        let open = |year, set| VOCSegmentation::new(root.path(), year, set);
        let error = open(VOCYear::Y2012, VOCImageSet::Val).unwrap_err().to_string();
        assert!(
            error.contains("no folder VOCdevkit/VOC2012 in ") && error.contains("pascal/VOC"),
            "{error}"
        );
        assert!(
            open(VOCYear::Y2012, VOCImageSet::Test)
                .unwrap_err()
                .to_string()
                .contains("2007")
        );
        let folder = root.path().join("TrainVal/VOCdevkit/VOC2011");
        write(folder.join("ImageSets/Segmentation/val.txt"), "2007_000033\n");
        write_image(&folder.join("JPEGImages/2007_000033.jpg"), 2, 3, 90);
        write_mask(
            &folder.join("SegmentationClass/2007_000033.png"),
            2,
            3,
            &[0, 1, 1, 255, 0, 20],
        );
        let set = open(VOCYear::Y2011, VOCImageSet::Val).unwrap();
        let sample = set.get(0).unwrap();
        assert_eq!((set.len(), sample.size("test").unwrap()), (1, (2, 3)));
        assert_eq!(
            sample.masks.unwrap().to_vec2::<u8>().unwrap(),
            [[0, 1, 1], [255, 0, 20]]
        );
        assert!(set.get(1).is_err());
        write(folder.join("ImageSets/Segmentation/val.txt"), "../2007_000033\n");
        assert!(
            open(VOCYear::Y2011, VOCImageSet::Val)
                .unwrap_err()
                .to_string()
                .contains("expected names")
        );
    }

    const ANNOTATION: &str = "<annotation>
        <folder>VOC2007</folder><filename>000001.jpg</filename>
        <object>
            <name>dog</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>
            <bndbox><xmin>4</xmin><ymin>2.5</ymin><xmax>9</xmax><ymax>7</ymax></bndbox>
        </object>
        <object>
            <name>person</name><difficult>1</difficult>
            <bndbox><xmax>5</xmax><xmin>1</xmin><ymin>1</ymin><ymax>6</ymax></bndbox>
            <part><name>head</name><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax></bndbox></part>
        </object>
    </annotation>";

    #[test]
    fn things_are_in_boxes() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("VOCdevkit/VOC2007");
        write(folder.join("ImageSets/Main/test.txt"), "000001\n000002\n");
        for name in ["000001", "000002"] {
            write_image(&folder.join(format!("JPEGImages/{name}.jpg")), 8, 10, 30);
        }
        write(folder.join("Annotations/000001.xml"), ANNOTATION);
        write(folder.join("Annotations/000002.xml"), "<annotation/>");
        let set = VOCDetection::new(root.path(), VOCYear::Y2007, VOCImageSet::Test).unwrap();
        let (sample, annotation) = set.get(0).unwrap();
        assert_eq!(sample.size("test").unwrap(), (8, 10));
        let boxes = sample.boxes.unwrap().boxes.to_vec2::<f32>().unwrap();
        assert_eq!(boxes, [[4.0, 2.5, 9.0, 7.0], [1.0, 1.0, 5.0, 6.0]]);
        assert_eq!(sample.labels.unwrap().to_vec::<i64>().unwrap(), [12, 15]);
        assert_eq!(annotation.filename, "000001.jpg");
        let [dog, person] = &annotation.objects[..] else {
            panic!("two things")
        };
        assert_eq!(
            (dog.pose.as_str(), dog.truncated, dog.difficult),
            ("Left", true, false)
        );
        assert_eq!(
            (person.pose.as_str(), person.truncated, person.difficult),
            ("", false, true)
        );
        // Nothing on it: no boxes, but their shape.
        let (empty, _) = set.get(1).unwrap();
        assert_eq!(empty.boxes.unwrap().boxes.shape(), [0, 4]);
        assert_eq!(empty.labels.unwrap().shape(), [0]);
        for (from, to, expected) in [
            ("dog", "dragon", "000002.xml: unknown class \"dragon\""),
            (
                "2.5",
                "top",
                "000002.xml: dog: expected a number for ymin, got \"top\"",
            ),
            ("<name>dog</name>", "", "000002.xml: an object without a name"),
            ("</annotation>", "", "000002.xml: "),
        ] {
            write(
                folder.join("Annotations/000002.xml"),
                &ANNOTATION.replacen(from, to, 1),
            );
            let error = set.get(1).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
