//! COCO's annotations, with masks: the bytes are those of a folder with one image, `i`.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use flambeau_data::Dataset;
use flambeau_fuzz::{file_of, folder_of, picture};
use flambeau_vision::datasets::CocoDetection;
use libfuzzer_sys::fuzz_target;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| folder_of("coco", [("i", Some(picture()))]));

fuzz_target!(|bytes: &[u8]| {
    let Ok(images) = CocoDetection::new(&*ROOT, file_of("coco.json", bytes)) else {
        return;
    };
    let images = images.masks(true);
    for i in 0..images.len().min(4) {
        if let Ok((sample, things)) = images.get(i) {
            let masks = sample.masks.expect("masks");
            assert_eq!(masks.shape(), [things.len(), 12, 16]);
            assert!(masks.to_vec::<u8>().expect("bytes").iter().all(|&pixel| pixel <= 1));
        }
    }
});
