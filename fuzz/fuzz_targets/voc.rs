//! Pascal VOC's annotations: the bytes are those of the one image that there is.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use flambeau_data::Dataset;
use flambeau_fuzz::{folder_of, picture};
use flambeau_vision::datasets::{VOCDetection, VOCImageSet, VOCYear};
use libfuzzer_sys::fuzz_target;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    folder_of(
        "voc",
        [
            ("VOCdevkit/VOC2012/ImageSets/Main/train.txt", Some(&b"i"[..])),
            ("VOCdevkit/VOC2012/JPEGImages/i.jpg", Some(picture())),
        ],
    )
});

fuzz_target!(|bytes: &[u8]| {
    folder_of("voc", [("VOCdevkit/VOC2012/Annotations/i.xml", Some(bytes))]);
    let images = VOCDetection::new(&*ROOT, VOCYear::Y2012, VOCImageSet::Train).expect("one image");
    if let Ok((sample, annotation)) = images.get(0) {
        let labels = sample.labels.expect("labels");
        assert_eq!(labels.shape(), [annotation.objects.len()]);
    }
});
