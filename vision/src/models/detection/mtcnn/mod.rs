//! MTCNN finds faces and five points on each: "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional
//! Networks" (Zhang et al., 2016, arXiv:1604.02878).
//!
//! Three networks, each more careful than the one before and shown less. P-Net looks at every window of 12×12 pixels of a
//! pyramid of smaller and smaller copies of the picture, R-Net at windows of 24×24 that P-Net thinks are faces, O-Net at
//! windows of 48×48 that R-Net thinks so, too. Each says how probable a face is and how the window should be moved to fit it;
//! of windows that overlap, the most probable one stays; O-Net also says where eyes, nose and mouth are.
//!
//! Keys and layout of the weights are those of the package facenet-pytorch (MIT). The arithmetic of boxes is in edges rather
//! than in pixel numbers that are rounded between the stages, and windows that reach beyond the picture are grey there.

mod boxes;
mod networks;

use flambeau_nn::functional::{InterpolateMode, InterpolateOptions, InterpolateSize, interpolate};
use flambeau_nn::{Module, init};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};
use serde::Serialize;

use crate::transforms::functional::crop;
use boxes::{Bounds, Window, suppress, suppress_within};
pub use networks::{ONet, PNet, RNet};

/// P-Net's window and the distance between neighbouring windows, in pixels of a level of the pyramid.
const CELL: usize = 12;
const STRIDE: usize = 2;

/// How many windows R-Net and O-Net see together.
const BATCH: usize = 256;

/// The weights of the three networks; `assets/README.md` says where they come from.
const BUNDLED: &[u8] = include_bytes!("../../../../assets/mtcnn.safetensors");

/// Options of [`Mtcnn::detect`]; the defaults are those of facenet-pytorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MtcnnOptions {
    /// The smallest faces that are looked for, in pixels. Half of it takes four times as long.
    pub min_face_size: usize,
    /// How much smaller each level of the pyramid is than the one before.
    pub factor: f64,
    /// How probable a face must be for P-Net, R-Net and O-Net.
    pub thresholds: [f32; 3],
}

impl Default for MtcnnOptions {
    fn default() -> Self {
        MtcnnOptions {
            min_face_size: 20,
            factor: 0.709,
            thresholds: [0.6, 0.7, 0.7],
        }
    }
}

/// A face on a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Face {
    /// The left, upper, right and lower edges.
    pub bounds: [f32; 4],
    /// How probable it is, from 0 to 1.
    pub probability: f32,
    /// x and y of the eyes, the nose and the corners of the mouth, each pair from left to right as seen.
    pub landmarks: [[f32; 2]; 5],
}

/// The detector: three networks.
///
/// ```
/// use flambeau_vision::models::detection::{Mtcnn, MtcnnOptions};
/// use flambeau_tensor::{DType, Tensor};
///
/// # fn main() -> flambeau_tensor::Result<()> {
/// let detector = Mtcnn::pretrained()?;
/// let nobody = Tensor::zeros((3, 60, 80), DType::U8)?;
/// assert!(detector.detect(&nobody, &MtcnnOptions::default())?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct Mtcnn {
    /// Proposes windows.
    pub pnet: PNet,
    /// Refines them.
    pub rnet: RNet,
    /// Decides, and finds the landmarks.
    pub onet: ONet,
}

impl Mtcnn {
    /// Networks with initial weights.
    ///
    /// # Errors
    /// None on a machine with memory for 0.5 million parameters.
    pub fn new() -> Result<Mtcnn> {
        Ok(Mtcnn {
            pnet: PNet::new()?,
            rnet: RNet::new()?,
            onet: ONet::new()?,
        })
    }

    /// The detector with the bundled weights, which are those of the paper's authors as ported by facenet-pytorch.
    ///
    /// # Errors
    /// None: they are part of the program.
    pub fn pretrained() -> Result<Mtcnn> {
        let detector = init::skip(Mtcnn::new)?;
        detector.load_state_dict(&safetensors::from_bytes(BUNDLED)?, true)?;
        Ok(detector)
    }

    /// The faces on a picture, the most probable first.
    ///
    /// # Shapes
    /// `[1 or 3, height, width]`, `uint8`.
    ///
    /// # Errors
    /// `Shape` or `DType` for other tensors; `Value` for options that make no sense.
    pub fn detect(&self, image: &Tensor, options: &MtcnnOptions) -> Result<Vec<Face>> {
        let picture = centred(image)?;
        let &[_, _, height, width] = picture.shape() else {
            bail!(Shape, "Mtcnn: expected a picture, got {:?}", image.shape())
        };
        let sizes = pyramid(height, width, options)?;
        no_grad(|| {
            let mut windows = Vec::new();
            for size in sizes {
                windows.extend(self.proposed(&picture, size, options.thresholds[0])?);
            }
            let windows = suppress(windows, 0.7)?;
            let windows = self.refined(&picture, windows, options.thresholds[1])?;
            self.decided(&picture, windows, options.thresholds[2])
        })
    }

    /// The windows of a level of the pyramid that P-Net thinks are faces.
    fn proposed(&self, picture: &Tensor, [height, width]: [usize; 2], threshold: f32) -> Result<Vec<Window>> {
        let level = resized(picture, [height, width])?;
        let (probabilities, offsets) = self.pnet.forward(&level)?;
        let columns = probabilities.shape()[3];
        let faces = probabilities.select(1, 1)?.to_vec::<f32>()?;
        let offsets = offsets.to_vec::<f32>()?;
        let scale = [
            picture.shape()[3] as f32 / width as f32,
            picture.shape()[2] as f32 / height as f32,
        ];
        let windows = faces.iter().enumerate().filter(|(_, p)| **p >= threshold);
        let windows = windows.map(|(at, &probability)| {
            let [x, y] = [at % columns, at / columns].map(|cell| (STRIDE * cell) as f32);
            let cell = CELL as f32;
            let bounds = Bounds([
                x * scale[0],
                y * scale[1],
                (x + cell) * scale[0],
                (y + cell) * scale[1],
            ]);
            Window {
                bounds,
                probability,
                offsets: std::array::from_fn(|side| offsets[side * faces.len() + at]),
            }
        });
        suppress(windows.collect(), 0.5)
    }

    /// The windows that R-Net thinks are faces, too.
    fn refined(&self, picture: &Tensor, windows: Vec<Window>, threshold: f32) -> Result<Vec<Window>> {
        let bounds: Vec<Bounds> = windows.iter().map(|window| window.moved().square()).collect();
        let mut refined = Vec::new();
        for bounds in bounds.chunks(BATCH) {
            let (probabilities, offsets) = self.rnet.forward(&cut_out(picture, bounds, 24)?)?;
            let faces = probabilities.select(1, 1)?.to_vec::<f32>()?;
            let offsets = offsets.to_vec::<f32>()?;
            for ((&bounds, probability), offsets) in bounds.iter().zip(faces).zip(offsets.as_chunks().0) {
                if probability > threshold {
                    refined.push(Window {
                        bounds,
                        probability,
                        offsets: *offsets,
                    });
                }
            }
        }
        suppress(refined, 0.7)
    }

    /// The faces among the windows, by O-Net.
    fn decided(&self, picture: &Tensor, windows: Vec<Window>, threshold: f32) -> Result<Vec<Face>> {
        let bounds: Vec<Bounds> = windows.iter().map(|window| window.moved().square()).collect();
        let mut faces = Vec::new();
        for bounds in bounds.chunks(BATCH) {
            let (probabilities, offsets, points) = self.onet.forward(&cut_out(picture, bounds, 48)?)?;
            let sure = probabilities.select(1, 1)?.to_vec::<f32>()?;
            let (offsets, points) = (offsets.to_vec::<f32>()?, points.to_vec::<f32>()?);
            let outputs = offsets.as_chunks::<4>().0.iter().zip(points.as_chunks::<10>().0);
            for ((bounds, probability), (offsets, points)) in bounds.iter().zip(sure).zip(outputs) {
                if probability > threshold {
                    faces.push(Face {
                        bounds: bounds.moved(offsets).0,
                        probability,
                        // All x, then all y, as parts of the window's sides.
                        landmarks: std::array::from_fn(|i| bounds.place([points[i], points[5 + i]])),
                    });
                }
            }
        }
        Ok(suppress_within(faces, 0.7))
    }
}

/// The picture as the networks take it: a batch of one, levels from -1 to 1.
fn centred(image: &Tensor) -> Result<Tensor> {
    ensure!(
        image.dtype() == DType::U8,
        DType,
        "Mtcnn: expected a picture of bytes, got {}",
        image.dtype()
    );
    let &[1 | 3, height, width] = image.shape() else {
        bail!(
            Shape,
            "Mtcnn: expected a picture [1 or 3, height, width], got {:?}",
            image.shape()
        )
    };
    image
        .expand([3, height, width])?
        .to_dtype(DType::F32)?
        .sub(127.5)?
        .div(128.0)?
        .unsqueeze(0)
}

/// Heights and widths of the pyramid: from the one in which the smallest faces fill a window down to that in which the
/// shorter side of the picture does.
fn pyramid(height: usize, width: usize, options: &MtcnnOptions) -> Result<Vec<[usize; 2]>> {
    let MtcnnOptions {
        min_face_size,
        factor,
        thresholds,
    } = *options;
    ensure!(
        min_face_size > 0 && factor > 0.0 && factor < 1.0 && thresholds.iter().all(|t| t.is_finite()),
        Value,
        "Mtcnn: expected a positive size of faces, a factor between 0 and 1 and finite thresholds, got {options:?}"
    );
    let shorter = height.min(width) as f64;
    let mut sizes = Vec::new();
    let mut scale = CELL as f64 / min_face_size as f64;
    while shorter * scale >= CELL as f64 {
        sizes.push([height, width].map(|size| (size as f64 * scale).ceil() as usize));
        scale *= factor;
    }
    Ok(sizes)
}

/// The images in another size; every new pixel is the mean of those that it covers.
fn resized(images: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    let options = InterpolateOptions {
        mode: InterpolateMode::Area,
        ..InterpolateOptions::default()
    };
    interpolate(images, InterpolateSize::Size(&size), &options)
}

/// Parts of the picture as a batch of squares.
fn cut_out(picture: &Tensor, bounds: &[Bounds], side: usize) -> Result<Tensor> {
    let parts = bounds.iter().map(|bounds| {
        // Zeros are the middle grey.
        resized(&crop(picture, bounds.crop())?, [side; 2])
    });
    Tensor::cat(
        &parts.collect::<Result<Vec<Tensor>>>()?.iter().collect::<Vec<_>>(),
        0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{DecodeOptions, decode_image, read_image};
    use std::path::{Path, PathBuf};

    #[test]
    fn keys_are_those_of_facenet_pytorch() {
        let state = safetensors::from_bytes(BUNDLED).unwrap();
        let detector = Mtcnn::new().unwrap();
        let shapes = |dict: &std::collections::BTreeMap<String, Tensor>| -> Vec<(String, Vec<usize>)> {
            dict.iter()
                .map(|(key, t)| (key.clone(), t.shape().to_vec()))
                .collect()
        };
        assert_eq!(shapes(&detector.state_dict()), shapes(&state));
        let numbers: Vec<usize> = [
            detector.pnet.num_parameters(false),
            detector.rnet.num_parameters(false),
            detector.onet.num_parameters(false),
        ]
        .to_vec();
        assert_eq!(numbers, [6632, 100_178, 389_040]);
    }

    #[test]
    fn the_pyramid_ends_where_a_window_covers_the_picture() {
        let options = MtcnnOptions {
            min_face_size: 24,
            factor: 0.5,
            ..MtcnnOptions::default()
        };
        assert_eq!(pyramid(100, 60, &options).unwrap(), [[50, 30], [25, 15]]);
        assert!(pyramid(23, 60, &options).unwrap().is_empty());
        for wrong in [(0, 0.5), (20, 1.0), (20, 0.0), (20, f64::NAN)] {
            let options = MtcnnOptions {
                min_face_size: wrong.0,
                factor: wrong.1,
                ..MtcnnOptions::default()
            };
            assert!(pyramid(50, 50, &options).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn pictures_of_any_size_are_looked_at() {
        let detector = Mtcnn::pretrained().unwrap();
        let options = MtcnnOptions::default();
        for shape in [[3, 1, 1], [1, 20, 300], [3, 37, 41]] {
            let image = Tensor::full(shape, 90, DType::U8).unwrap();
            assert!(detector.detect(&image, &options).unwrap().is_empty(), "{shape:?}");
        }
        let message = |image: Tensor| detector.detect(&image, &options).unwrap_err().to_string();
        assert!(message(Tensor::zeros((4, 30, 30), DType::U8).unwrap()).contains("[4, 30, 30]"));
        assert!(message(Tensor::zeros((3, 30, 30), DType::F32).unwrap()).contains("float32"));
    }

    /// What facenet-pytorch 2.6.0 finds on a picture: the sides of the face, and five points.
    struct Expected {
        bounds: [f32; 4],
        landmarks: [[f32; 2]; 5],
    }

    /// That there is one face, where facenet-pytorch finds it.
    fn assert_found(image: &Tensor, expected: Expected) {
        let faces = Mtcnn::pretrained()
            .unwrap()
            .detect(image, &MtcnnOptions::default())
            .unwrap();
        assert_eq!(faces.len(), 1, "{faces:?}");
        let face = faces[0];
        assert!(face.probability > 0.99, "{face:?}");
        for (point, expected) in face.landmarks.iter().zip(expected.landmarks) {
            for axis in 0..2 {
                let off = point[axis] - expected[axis];
                assert!(off.abs() < 3.0, "{point:?} is not {expected:?}");
            }
        }
        let [left, top, right, bottom] = face.bounds;
        let inside = |[x, y]: [f32; 2]| left < x && x < right && top < y && y < bottom;
        assert!(face.landmarks.into_iter().all(inside), "{face:?}");
        for (side, expected) in face.bounds.into_iter().zip(expected.bounds) {
            assert!((side - expected).abs() < 3.0, "{face:?}");
        }
    }

    #[test]
    fn the_bundled_portrait_has_a_face() {
        let bytes = include_bytes!("../../../../assets/astronaut.jpg");
        let image = decode_image(bytes, &DecodeOptions::default()).unwrap();
        let expected = Expected {
            bounds: [70.1, 60.6, 157.9, 173.1],
            landmarks: [
                [95.2, 101.1],
                [137.6, 103.4],
                [115.3, 128.8],
                [92.1, 139.4],
                [135.5, 142.2],
            ],
        };
        assert_found(&image, expected);
    }

    /// The whole portrait, where it is: in `FLAMBEAU_SHARED` or `../shared`.
    #[test]
    fn the_whole_portrait_has_a_face() {
        let shared = std::env::var_os("FLAMBEAU_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
            PathBuf::from,
        );
        let path = shared.join("assets/images/astronaut.png");
        if path.exists() {
            let expected = Expected {
                bounds: [181.1, 62.2, 267.7, 172.1],
                landmarks: [
                    [205.0, 101.7],
                    [246.8, 103.7],
                    [224.7, 129.0],
                    [201.7, 139.2],
                    [245.3, 141.9],
                ],
            };
            assert_found(&read_image(path, &DecodeOptions::default()).unwrap(), expected);
            // The bundled weights are those of the files.
            let state = safetensors::from_bytes(BUNDLED).unwrap();
            for name in ["pnet", "rnet", "onet"] {
                let file = shared.join(format!("assets/weights/mtcnn_{name}.pt"));
                for (key, tensor) in flambeau_hub::load(file).unwrap().state_dict().unwrap() {
                    assert!(
                        state[&format!("{name}.{key}")].equal(&tensor).unwrap(),
                        "{name}.{key}"
                    );
                }
            }
        } else {
            assert!(
                std::env::var_os("FLAMBEAU_SHARED").is_none(),
                "{} is missing",
                path.display()
            );
        }
    }
}
