//! Random transforms give what torchvision gives for the same seed (`tests/golden/transforms.py`).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_data::formats::image::{DecodeOptions, EncodedImage};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Tensor, random};
use flambeau_vision::transforms::*;

const SEEDS: std::ops::Range<u64> = 0..6;
const SIZE: (usize, usize) = (18, 22);

fn golden() -> BTreeMap<String, Tensor> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    safetensors::load(format!("{folder}/transforms.safetensors")).unwrap()
}

fn picture() -> Tensor {
    let (height, width) = SIZE;
    let mut planes = vec![Vec::new(); 3];
    for y in 0..height {
        for x in 0..width {
            planes[0].push((10 * x + 20) as u8);
            planes[1].push((x * x + 3 * y * y) as u8);
            planes[2].push((255 - 12 * y) as u8);
        }
    }
    Tensor::from_vec(planes.concat(), (3, height, width)).unwrap()
}

/// Compares values; bytes may differ by one level, since values between pixels are rounded.
fn compare(what: &str, got: &Tensor, expected: &Tensor) {
    assert_eq!(
        (got.shape(), got.dtype()),
        (expected.shape(), expected.dtype()),
        "{what}"
    );
    let (a, b) = (got.to_vec_f64().unwrap(), expected.to_vec_f64().unwrap());
    let tolerance = if got.dtype() == DType::U8 { 1.0 } else { 2e-4 };
    let differ = a
        .iter()
        .zip(&b)
        .filter(|(a, b)| (*a - *b).abs() > tolerance)
        .count();
    assert_eq!(
        differ,
        0,
        "{what}: {differ} of {} differ:\n{got}\n{expected}",
        a.len()
    );
}

fn pictures() -> Vec<(&'static str, Box<dyn Transform>)> {
    let bilinear = InterpolationMode::Bilinear;
    vec![
        ("RandomCrop", Box::new(RandomCrop::new(12).padding(2))),
        (
            "RandomCrop.pad_if_needed",
            Box::new(RandomCrop {
                size: (20, 12),
                pad_if_needed: true,
                padding_mode: PaddingMode::Reflect,
                ..RandomCrop::new(0)
            }),
        ),
        ("RandomResizedCrop", Box::new(RandomResizedCrop::new(10))),
        ("RandomHorizontalFlip", Box::new(RandomHorizontalFlip::new())),
        ("RandomVerticalFlip", Box::new(RandomVerticalFlip::new())),
        ("ColorJitter", Box::new(ColorJitter::new(0.4, 0.3, 0.5, 0.2))),
        ("RandomGrayscale", Box::new(RandomGrayscale { p: 0.5 })),
        (
            "RandomPhotometricDistort",
            Box::new(RandomPhotometricDistort::default()),
        ),
        (
            "RandomRotation",
            Box::new(RandomRotation {
                interpolation: bilinear,
                fill: Some(vec![1.0, 2.0, 3.0]),
                ..RandomRotation::new(40.0)
            }),
        ),
        (
            "RandomAffine",
            Box::new(RandomAffine {
                shear_x: Some((-10.0, 10.0)),
                shear_y: Some((-5.0, 5.0)),
                interpolation: bilinear,
                ..moved_and_scaled()
            }),
        ),
        ("RandomPerspective", Box::new(tilted())),
        ("ElasticTransform", Box::new(stretched())),
        (
            "RandomErasing",
            Box::new(RandomErasing {
                p: 0.8,
                ..RandomErasing::default()
            }),
        ),
        (
            "RandomErasing.random",
            Box::new(RandomErasing {
                p: 0.8,
                value: ErasingValue::Random,
                ..RandomErasing::default()
            }),
        ),
        ("GaussianBlur", Box::new(GaussianBlur::new(5))),
        ("GaussianNoise", Box::new(GaussianNoise::default())),
        ("RandomAdjustSharpness", Box::new(RandomAdjustSharpness::new(2.0))),
        ("RandomAutocontrast", Box::new(RandomAutocontrast::new())),
        ("RandomEqualize", Box::new(RandomEqualize::new())),
        ("RandomInvert", Box::new(RandomInvert::new())),
        ("RandomPosterize", Box::new(RandomPosterize::new(3))),
        ("RandomSolarize", Box::new(RandomSolarize::new(100.0))),
        ("RandomChannelPermutation", Box::new(RandomChannelPermutation)),
        (
            "RandomApply",
            Box::new(
                RandomApply::new(0.6)
                    .push(RandomInvert::new())
                    .push(RandomHorizontalFlip::new()),
            ),
        ),
        (
            "RandomChoice",
            Box::new(
                RandomChoice::new()
                    .push(RandomInvert { p: 1.0 })
                    .push_weighted(RandomHorizontalFlip { p: 1.0 }, 2.0)
                    .push_weighted(
                        Grayscale {
                            num_output_channels: 3,
                        },
                        0.5,
                    ),
            ),
        ),
        (
            "RandomOrder",
            Box::new(
                RandomOrder::new()
                    .push(RandomInvert::new())
                    .push(RandomPosterize::new(2))
                    .push(RandomSolarize::new(90.0)),
            ),
        ),
        ("AutoAugment.imagenet", Box::new(AutoAugment::default())),
        (
            "AutoAugment.cifar10",
            Box::new(learnt_on(AutoAugmentPolicy::Cifar10)),
        ),
        ("AutoAugment.svhn", Box::new(learnt_on(AutoAugmentPolicy::Svhn))),
        ("RandAugment", Box::new(RandAugment::default())),
        ("TrivialAugmentWide", Box::new(TrivialAugmentWide::default())),
        ("AugMix", Box::new(AugMix::default())),
        ("ScaleJitter", Box::new(ScaleJitter::new((24, 24)))),
        (
            "RandomShortestSize",
            Box::new(RandomShortestSize {
                min_size: vec![10, 14, 17],
                max_size: Some(20),
                options: ResizeOptions::default(),
            }),
        ),
        (
            "RandomResize",
            Box::new(RandomResize {
                min_size: 8,
                max_size: 20,
                options: ResizeOptions::default(),
            }),
        ),
    ]
}

fn moved_and_scaled() -> RandomAffine {
    RandomAffine {
        translate: Some((0.1, 0.2)),
        scale: Some((0.7, 1.3)),
        ..RandomAffine::new(30.0)
    }
}

fn tilted() -> RandomPerspective {
    RandomPerspective {
        p: 0.8,
        ..RandomPerspective::default()
    }
}

fn stretched() -> ElasticTransform {
    ElasticTransform {
        alpha: [40.0; 2],
        sigma: [1.0; 2],
        ..ElasticTransform::default()
    }
}

fn learnt_on(policy: AutoAugmentPolicy) -> AutoAugment {
    AutoAugment {
        policy,
        ..AutoAugment::default()
    }
}

#[test]
fn pictures_are_those_of_torchvision() {
    let golden = golden();
    for (name, transform) in pictures() {
        for seed in SEEDS {
            let got = random::fork(seed, || transform.apply(&picture())).unwrap();
            compare(
                &format!("{name} {seed}"),
                &got,
                &golden[&format!("image.{name}.{seed}")],
            );
        }
    }
}

#[test]
fn a_part_is_decoded_that_would_have_been_cut_out() {
    let bytes = flambeau_vision::io::encode_jpeg(&picture(), 90).unwrap();
    let encoded = EncodedImage::new(&bytes, &DecodeOptions::RGB).unwrap();
    let whole = encoded.decode().unwrap();
    let crop = RandomResizedCrop::new(10);
    let draw = || Tensor::randperm(100).unwrap().to_vec::<i64>().unwrap();
    for seed in SEEDS {
        random::manual_seed(seed);
        let (part, next) = (crop.decode(&encoded).unwrap(), draw());
        random::manual_seed(seed);
        assert!(part.equal(&crop.apply(&whole).unwrap()).unwrap(), "seed {seed}");
        assert_eq!(next, draw());
    }
}

#[test]
fn composed_transforms_give_the_same_bits_in_one_pass() {
    let (scaled, normalize) = (ToDtype::scaled(DType::F32), Normalize::IMAGENET);
    let together = Compose::new().push(scaled).push(normalize);
    assert_eq!(format!("{together:?}").matches("ToDtype").count(), 0);
    let one_by_one = |image: &Tensor| normalize.apply(&scaled.apply(image).unwrap());
    let floats = picture().to_dtype(DType::F64).unwrap();
    let flipped = picture().flip(-1).unwrap();
    let batch = Tensor::stack(&[picture(), flipped.clone()], 0).unwrap();
    // A grey picture is given three channels, as in torchvision.
    let grey = picture().narrow(0, 1, 1).unwrap();
    for image in [&picture(), &floats, &flipped, &batch, &grey] {
        let (got, expected) = (together.apply(image).unwrap(), one_by_one(image).unwrap());
        assert!(
            got.dtype() == expected.dtype() && got.equal(&expected).unwrap(),
            "{image:?}"
        );
    }
    // What comes between, or another type, is not passed over.
    let apart = Compose::new()
        .push(scaled)
        .push(RandomHorizontalFlip { p: 1.0 })
        .push(normalize);
    assert!(
        apart
            .apply(&picture())
            .unwrap()
            .equal(&one_by_one(&flipped).unwrap())
            .unwrap()
    );
    let unscaled = Compose::new()
        .push(ToDtype {
            dtype: DType::F32,
            scale: false,
        })
        .push(normalize);
    let expected = normalize.apply(&picture().to_dtype(DType::F32).unwrap()).unwrap();
    assert!(unscaled.apply(&picture()).unwrap().equal(&expected).unwrap());
}

fn marked() -> Vec<(&'static str, Box<dyn Transform>)> {
    vec![
        ("RandomIoUCrop", Box::new(RandomIoUCrop::default())),
        ("RandomZoomOut", Box::new(RandomZoomOut::default())),
        ("RandomHorizontalFlip", Box::new(RandomHorizontalFlip::new())),
        ("RandomAffine", Box::new(moved_and_scaled())),
        (
            "RandomRotation",
            Box::new(RandomRotation {
                expand: true,
                ..RandomRotation::new(60.0)
            }),
        ),
        ("RandomPerspective", Box::new(tilted())),
        ("ElasticTransform", Box::new(stretched())),
        ("RandomResizedCrop", Box::new(RandomResizedCrop::new(10))),
        ("RandomCrop", Box::new(RandomCrop::new(12).padding(2))),
    ]
}

#[test]
fn what_is_marked_follows_as_in_torchvision() {
    let golden = golden();
    let boxes = Tensor::new([[2.0f32, 3.0, 9.0, 12.0], [8.0, 1.0, 21.0, 17.0]]).unwrap();
    let points = Tensor::new([[4.0f32, 5.0], [15.0, 9.0], [20.0, 2.0]]).unwrap();
    let sample = Sample {
        boxes: Some(BoundingBoxes::new(boxes, BoundingBoxFormat::Xyxy, SIZE).unwrap()),
        masks: Some(picture().gt(120).unwrap().narrow(0, 0, 2).unwrap()),
        key_points: Some(KeyPoints::new(points, SIZE).unwrap()),
        ..picture().into()
    };
    for (name, transform) in marked() {
        for seed in SEEDS {
            let got = random::fork(seed, || transform.forward(sample.clone())).unwrap();
            let parts = [
                ("image", got.image.unwrap()),
                ("boxes", got.boxes.unwrap().boxes),
                ("masks", got.masks.unwrap()),
                ("points", got.key_points.unwrap().points),
            ];
            for (part, got) in parts {
                let expected = &golden[&format!("marked.{name}.{seed}.{part}")];
                compare(&format!("{name} {seed} {part}"), &got, expected);
            }
        }
    }
}

#[test]
fn batches_are_mixed_as_in_torchvision() {
    let golden = golden();
    let scaled = ToDtype::scaled(DType::F32).apply(&picture()).unwrap();
    let batch = [
        scaled.clone(),
        scaled.flip(-1).unwrap(),
        scaled.rsub(1.0).unwrap(),
    ];
    let batch = Tensor::stack(&batch, 0).unwrap();
    let batch = batch
        .slice(-2, None, None, 3)
        .unwrap()
        .slice(-1, None, None, 3)
        .unwrap();
    let transforms: [(&str, Box<dyn Transform>); 2] = [
        (
            "MixUp",
            Box::new(MixUp {
                alpha: 0.7,
                num_classes: Some(5),
            }),
        ),
        (
            "CutMix",
            Box::new(CutMix {
                alpha: 1.0,
                num_classes: Some(5),
            }),
        ),
    ];
    for (name, transform) in transforms {
        for seed in SEEDS {
            let sample = Sample {
                labels: Some(Tensor::new([3i64, 0, 4]).unwrap()),
                ..(&batch).into()
            };
            let mixed = random::fork(seed, || transform.forward(sample)).unwrap();
            for (part, got) in [("image", mixed.image.unwrap()), ("labels", mixed.labels.unwrap())] {
                let expected = &golden[&format!("batch.{name}.{seed}.{part}")];
                compare(&format!("{name} {seed} {part}"), &got, expected);
            }
        }
    }
}
