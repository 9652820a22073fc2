//! Common Objects in Context ([Lin et al., 2014](https://arxiv.org/abs/1405.0312)), and datasets in its format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flambeau_data::Dataset;
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};
use serde::Deserialize;

use super::coco_mask::{add_polygon, add_runs, runs_of};
use super::{check_index, read_text};
use crate::io::{DecodeOptions, read_image};
use crate::transforms::{BoundingBoxFormat, BoundingBoxes, Sample};

/// A thing on an image, as the file has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CocoAnnotation {
    /// The number of the annotation.
    #[serde(default)]
    pub id: i64,
    /// The number of the image.
    pub image_id: i64,
    /// What it is: the number of a category.
    pub category_id: i64,
    /// Left, top, width and height.
    pub bbox: [f32; 4],
    /// The pixels that it covers.
    #[serde(default)]
    pub area: f64,
    /// 1 if there are many of them in one.
    #[serde(default)]
    pub iscrowd: u8,
    /// Where it is exactly, if that is known.
    #[serde(default)]
    pub segmentation: Option<CocoSegmentation>,
    /// x, y and visibility (0 to 2) of each joint.
    #[serde(default)]
    pub keypoints: Vec<f64>,
}

/// The outline of a thing.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum CocoSegmentation {
    /// The corners of polygons: x, y, x, y, …
    Polygons(Vec<Vec<f64>>),
    /// Runs of pixels outside and inside, in turn, down the columns.
    Runs {
        /// Their lengths.
        counts: Vec<u64>,
        /// Height and width of the picture.
        size: [usize; 2],
    },
    /// The same, packed as text.
    Text {
        /// The lengths of the runs.
        counts: String,
        /// Height and width of the picture.
        size: [usize; 2],
    },
}

impl CocoSegmentation {
    /// The outline as a mask of zeros and ones, of which it covers the pixels that `pycocotools` says.
    ///
    /// # Shapes
    /// `→ [height, width]`, `uint8`.
    ///
    /// # Errors
    /// `Format` if it is not an outline in a picture of that size.
    pub fn mask(&self, height: usize, width: usize) -> Result<Tensor> {
        let Some(area) = height.checked_mul(width) else {
            bail!(Shape, "CocoSegmentation: a picture of {height} x {width}")
        };
        let mut mask = vec![0; area];
        if let CocoSegmentation::Runs { size, .. } | CocoSegmentation::Text { size, .. } = self {
            ensure!(
                *size == [height, width],
                Format,
                "a mask of the size {size:?} for a picture of {height} x {width}"
            );
        }
        match self {
            CocoSegmentation::Polygons(polygons) => {
                for corners in polygons {
                    add_polygon(corners, height, width, &mut mask)?;
                }
            }
            CocoSegmentation::Runs { counts, .. } => add_runs(counts, height, width, &mut mask)?,
            CocoSegmentation::Text { counts, .. } => add_runs(&runs_of(counts)?, height, width, &mut mask)?,
        }
        Tensor::from_vec(mask, (height, width))
    }
}

/// A kind of things.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CocoCategory {
    /// Its number. COCO's are from 1 to 90, with gaps.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// The kind of kinds that it belongs to.
    #[serde(default)]
    pub supercategory: String,
}

/// A file of annotations.
#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    #[serde(default)]
    annotations: Vec<CocoAnnotation>,
    #[serde(default)]
    categories: Vec<CocoCategory>,
}

#[derive(Clone, Debug, Deserialize)]
struct Image {
    id: i64,
    file_name: String,
}

/// Images with things in boxes. Sample `i` is a [`Sample`] and the annotations: the image `[3, height, width]` of `uint8`,
/// boxes of `float32` by corner, width and height, the number of each one's category as labels, and, if they are asked for,
/// masks `[things, height, width]`. Images are in the order of their numbers.
///
/// ```no_run
/// use flambeau_data::Dataset;
/// use flambeau_vision::datasets::CocoDetection;
///
/// let coco = CocoDetection::new("val2017", "annotations/instances_val2017.json")?.masks(true);
/// let (sample, things) = coco.get(0)?;
/// println!("{:?} {:?}", sample.masks.map(|masks| masks.shape().to_vec()), things);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CocoDetection {
    root: PathBuf,
    /// Each with what is on it.
    images: Vec<(Image, Vec<CocoAnnotation>)>,
    categories: Vec<CocoCategory>,
    masks: bool,
}

impl CocoDetection {
    /// The images in the folder `root` that the file at `annotations` is about.
    ///
    /// # Errors
    /// `Io` if the folder or the file is missing, which says where they can be had; `Format` if the file is not what it
    /// should be.
    pub fn new(root: impl AsRef<Path>, annotations: impl AsRef<Path>) -> Result<Self> {
        let (root, path) = (root.as_ref(), annotations.as_ref());
        for (what, path, is_there) in [("folder", root, root.is_dir()), ("file", path, path.is_file())] {
            ensure!(
                is_there,
                Io,
                "CocoDetection: no {what} {}; images and annotations can be had from https://cocodataset.org/#download",
                path.display()
            );
        }
        let place = |error: Error| error.context(path.display());
        let file: File = serde_json::from_str(&read_text(path)?)
            .map_err(|error| place(Error::Format(error.to_string())))?;
        let mut images = BTreeMap::new();
        for image in file.images {
            let inside = !Path::new(&image.file_name).components().any(|part| {
                use std::path::Component::{ParentDir, Prefix, RootDir};
                matches!(part, ParentDir | Prefix(_) | RootDir)
            });
            if !inside || image.file_name.is_empty() {
                let what = format!(
                    "image {}: {:?} is no name of a file in a folder",
                    image.id, image.file_name
                );
                return Err(place(Error::Format(what)));
            }
            if let Some((image, _)) = images.insert(image.id, (image, Vec::new())) {
                return Err(place(Error::Format(format!("image {} is there twice", image.id))));
            }
        }
        for annotation in file.annotations {
            let Some((_, things)) = images.get_mut(&annotation.image_id) else {
                let what = format!(
                    "annotation {} of the absent image {}",
                    annotation.id, annotation.image_id
                );
                return Err(place(Error::Format(what)));
            };
            things.push(annotation);
        }
        Ok(CocoDetection {
            root: root.to_path_buf(),
            images: images.into_values().collect(),
            categories: file.categories,
            masks: false,
        })
    }

    /// Whether samples have masks. Default: false.
    pub fn masks(mut self, masks: bool) -> Self {
        self.masks = masks;
        self
    }

    /// The kinds of things.
    pub fn categories(&self) -> &[CocoCategory] {
        &self.categories
    }
}

impl Dataset for CocoDetection {
    type Item = (Sample, Vec<CocoAnnotation>);

    fn len(&self) -> usize {
        self.images.len()
    }

    fn get(&self, index: usize) -> Result<Self::Item> {
        check_index("CocoDetection", index, self.images.len())?;
        let (image, things) = &self.images[index];
        let picture = read_image(self.root.join(&image.file_name), &DecodeOptions::RGB)?;
        let (height, width) = (picture.shape()[1], picture.shape()[2]);
        let corners: Vec<f32> = things.iter().flat_map(|thing| thing.bbox).collect();
        let labels: Vec<i64> = things.iter().map(|thing| thing.category_id).collect();
        let boxes = Tensor::from_vec(corners, (things.len(), 4))?;
        let mut masks = Vec::new();
        for thing in things.iter().filter(|_| self.masks) {
            let mask = match &thing.segmentation {
                Some(outline) => outline.mask(height, width),
                None => Tensor::zeros((height, width), DType::U8),
            };
            let place = |error: Error| {
                error.context(format_args!(
                    "CocoDetection: {}: annotation {}",
                    image.file_name, thing.id
                ))
            };
            masks.push(mask.map_err(place)?);
        }
        let masks = match (self.masks, masks.is_empty()) {
            (false, _) => None,
            (true, true) => Some(Tensor::zeros((0, height, width), DType::U8)?),
            (true, false) => Some(Tensor::stack(&masks, 0)?),
        };
        let sample = Sample {
            boxes: Some(BoundingBoxes::new(
                boxes,
                BoundingBoxFormat::Xywh,
                (height, width),
            )?),
            labels: Some(Tensor::from_vec(labels, things.len())?),
            masks,
            ..Sample::from(picture)
        };
        Ok((sample, things.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_files::write_image;
    use super::*;
    use crate::transforms::{RandomHorizontalFlip, Transform};

    const ANNOTATIONS: &str = r#"{
        "info": {"year": 2017},
        "images": [
            {"id": 9, "file_name": "b.jpg", "height": 7, "width": 8},
            {"id": 2, "file_name": "a.jpg", "height": 3, "width": 2}
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 18, "bbox": [1, 1, 5.5, 5.25], "area": 14.0, "iscrowd": 0,
             "segmentation": [[1.0, 1.0, 6.5, 2.0, 4.0, 6.2]], "keypoints": [1, 2, 2]},
            {"id": 2, "image_id": 9, "category_id": 1, "bbox": [0, 0, 8, 7], "area": 2, "iscrowd": 1,
             "segmentation": {"counts": [54, 2], "size": [7, 8]}},
            {"id": 3, "image_id": 9, "category_id": 1, "bbox": [0, 0, 8, 7],
             "segmentation": {"counts": "8161O2OO0O=", "size": [7, 8]}}
        ],
        "categories": [{"id": 1, "name": "person", "supercategory": "person"}, {"id": 18, "name": "dog"}]
    }"#;

    #[test]
    fn things_have_boxes_categories_and_masks() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("instances.json");
        let open = || CocoDetection::new(root.path().join("images"), &path);
        assert!(open().unwrap_err().to_string().contains("cocodataset.org"));
        write_image(&root.path().join("images/b.jpg"), 7, 8, 40);
        write_image(&root.path().join("images/a.jpg"), 3, 2, 40);
        std::fs::write(&path, ANNOTATIONS).unwrap();
        let coco = open().unwrap().masks(true);
        assert_eq!((coco.len(), coco.categories()[1].name.as_str()), (2, "dog"));
        let (empty, things) = coco.get(0).unwrap();
        assert_eq!((empty.size("test").unwrap(), things.len()), ((3, 2), 0));
        assert_eq!(empty.masks.unwrap().shape(), [0, 3, 2]);
        let (sample, things) = coco.get(1).unwrap();
        assert_eq!(
            (things[0].keypoints.len(), things[1].iscrowd, things[2].area),
            (3, 1, 0.0)
        );
        assert_eq!(
            sample.labels.as_ref().unwrap().to_vec::<i64>().unwrap(),
            [18, 1, 1]
        );
        let boxes = sample.boxes.as_ref().unwrap().boxes.to_vec2::<f32>().unwrap();
        assert_eq!(boxes[0], [1.0, 1.0, 5.5, 5.25]);
        let masks = sample.masks.as_ref().unwrap();
        // The text stands for the polygon.
        assert!(
            masks
                .select(0, 0)
                .unwrap()
                .equal(&masks.select(0, 2).unwrap())
                .unwrap()
        );
        let corner = masks.select(0, 1).unwrap().slice(-1, Some(-1), None, 1).unwrap();
        assert_eq!(corner.to_vec::<u8>().unwrap(), [0, 0, 0, 0, 0, 1, 1]);
        // Transforms take it as it is.
        let flipped = RandomHorizontalFlip { p: 1.0 }.forward(sample).unwrap();
        assert_eq!(
            flipped.boxes.unwrap().boxes.to_vec2::<f32>().unwrap()[0],
            [1.5, 1.0, 5.5, 5.25]
        );
        assert!(open().unwrap().get(1).unwrap().0.masks.is_none());
    }

    #[test]
    fn bad_annotations_are_errors() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("instances.json");
        write_image(&root.path().join("b.jpg"), 7, 8, 40);
        for (from, to, expected) in [
            ("\"id\": 2, \"file", "\"id\": 9, \"file", "image 9 is there twice"),
            (
                "a.jpg",
                "../a.jpg",
                "image 2: \"../a.jpg\" is no name of a file in a folder",
            ),
            (
                "\"image_id\": 9",
                "\"image_id\": 7",
                "annotation 1 of the absent image 7",
            ),
            ("[1, 1, 5.5, 5.25]", "[1, 1, 5.5]", "invalid length 3"),
            (
                "[54, 2]",
                "[54, 3]",
                "b.jpg: annotation 2: runs of Some(57) pixels in a picture of 7 x 8",
            ),
            (
                "\"size\": [7, 8]",
                "\"size\": [8, 8]",
                "annotation 2: a mask of the size [8, 8]",
            ),
        ] {
            std::fs::write(&path, ANNOTATIONS.replacen(from, to, 1)).unwrap();
            let read = CocoDetection::new(root.path(), &path).and_then(|coco| coco.masks(true).get(1));
            let error = read.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
