//! `data/*`: what a loader hands out per second.
//!
//! A call is one epoch over the JPEGs that `bench/jpegs.py` makes: decoding, `RandomResizedCrop(224)`, a flip,
//! normalisation, batches of 32, two workers. The two names are one workload to us; PyTorch's side decodes by Pillow for
//! the one and by `torchvision.io` for the other.

use std::path::PathBuf;

use anyhow::{Context, Result};
use flambeau_data::formats::folder::ImageFolder;
use flambeau_data::formats::image::{DecodeOptions, EncodedImage};
use flambeau_data::{DataLoader, Dataset};
use flambeau_tensor::DType;
use flambeau_vision::transforms::{
    Compose, Normalize, RandomHorizontalFlip, RandomResizedCrop, ToDtype, Transform,
};

use crate::workload::{Call, Workload};

/// All workloads of this group.
pub(crate) fn workloads() -> [Workload; 2] {
    [
        "data/jpeg_crop224_b32_pillow",
        "data/jpeg_crop224_b32_decode_image",
    ]
    .map(|name| Workload::new(name, jpegs).needs(|| folder().is_dir().then_some(()).context(HOW)))
}

const HOW: &str = "no pictures yet: python3 bench/jpegs.py makes them";

fn folder() -> PathBuf {
    match std::env::var_os("FLAMBEAU_BENCH_JPEGS") {
        Some(folder) => folder.into(),
        None => std::env::temp_dir().join("flambeau-bench-jpegs"),
    }
}

fn jpegs() -> Result<Call> {
    let crop = RandomResizedCrop::new(224);
    let transform = Compose::new()
        .push(RandomHorizontalFlip { p: 0.5 })
        .push(ToDtype::scaled(DType::F32))
        .push(Normalize::IMAGENET);
    let dataset = ImageFolder::new(folder())?.map(move |(path, class)| {
        let image = crop.decode(&EncodedImage::read(&path, &DecodeOptions::RGB)?)?;
        Ok((transform.apply(&image)?, class))
    });
    let loader = DataLoader::builder(dataset)
        .batch_size(32)
        .shuffle(true)
        .drop_last(true)
        .num_workers(2)
        .build()?;
    Ok(Call::new(move || {
        for batch in &loader {
            batch?;
        }
        Ok(())
    }))
}
