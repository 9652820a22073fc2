//! What is wrong with the input is said in one line, and nothing is half-written.

use std::path::PathBuf;

use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Tensor};
use flambeau_vision::io::encode_jpeg;

use super::{Home, arg, png, weights};

/// Files that are no pictures, and what has to be said about each beside its name.
fn no_pictures(home: &Home) -> Vec<(PathBuf, &'static str)> {
    let picture = Tensor::full((3, 64, 64), 120, DType::U8).unwrap();
    let jpeg = encode_jpeg(&picture, 90).unwrap();
    let mut huge = png();
    // The width and height in the header.
    for at in [16, 20] {
        huge[at..at + 4].copy_from_slice(&50_000u32.to_be_bytes());
    }
    let checksum = png_checksum(&huge[12..29]);
    huge[29..33].copy_from_slice(&checksum.to_be_bytes());
    vec![
        (home.path().join("absent.png"), "No such file"),
        (home.file("text.png", "not a picture at all"), ""),
        (home.file("empty.jpg", ""), ""),
        (home.file("cut.jpg", &jpeg[..jpeg.len() / 2]), ""),
        (home.file("huge.png", huge), ""),
    ]
}

/// The CRC-32 that PNG files have after each chunk.
fn png_checksum(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xEDB8_8320
            } else {
                sum >> 1
            };
        }
    }
    !sum
}

#[test]
fn what_is_no_picture_is_named() {
    let home = Home::new();
    let pets = home.pets();
    for (path, reason) in no_pictures(&home) {
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        let (_, line) = home.refused("classify", &["--weights", arg(&pets), arg(&path)]);
        assert!(line.contains(&name) && line.contains(reason), "{line}");
        let (_, line) = home.refused("detect_faces", &[arg(&path), "--out", "faces.png"]);
        assert!(line.contains(&name) && line.contains(reason), "{line}");
    }
}

#[test]
fn what_are_no_weights_of_the_model_is_named() {
    let home = Home::new();
    let picture = home.picture("picture.png");
    let refused = |args: &[&str]| home.refused("classify", &[args, &[arg(&picture)]].concat()).1;

    let line = refused(&["--weights", "absent.pth"]);
    assert!(line.contains("absent.pth: No such file"), "{line}");
    for (name, bytes) in [("empty.pth", &b""[..]), ("text.pth", b"no checkpoint")] {
        let file = home.file(name, bytes);
        let line = refused(&["--weights", arg(&file)]);
        assert!(
            line.contains(name) && line.contains("not a checkpoint of a known format"),
            "{line}"
        );
    }
    // Those of another model, and of the right one without a key.
    let other = home.path().join("other.safetensors");
    safetensors::save(&other, &weights("resnet20", 10)).unwrap();
    let line = refused(&["--weights", arg(&other), "--model", "squeezenet1_1"]);
    assert!(
        line.contains("other.safetensors: these are no weights of squeezenet1_1: "),
        "{line}"
    );
    assert!(
        line.contains("missing features.0.weight") && line.len() < 500,
        "{line}"
    );
    let mut lacking = weights("squeezenet1_1", 1000);
    lacking.remove("features.3.squeeze.weight");
    let file = home.path().join("lacking.safetensors");
    safetensors::save(&file, &lacking).unwrap();
    let line = refused(&["--weights", arg(&file), "--model", "squeezenet1_1"]);
    assert!(line.ends_with("missing features.3.squeeze.weight"), "{line}");
    // Those that nobody knows.
    let line = refused(&["--weights", arg(&other)]);
    assert!(
        line.contains("whose weights") && line.contains("--model and --member"),
        "{line}"
    );
    let pets = home.pets();
    let line = refused(&["--weights", arg(&pets), "--model", "resnet32"]);
    assert!(line.contains("weights of resnet20, not of resnet32"), "{line}");
    // Another folder than one with MTCNN's weights.
    let (_, line) = home.refused("detect_faces", &["--weights-dir", arg(home.path())]);
    assert!(line.ends_with("no file pnet.pt"), "{line}");
}

#[test]
fn unknown_models_are_answered_with_the_closest_names() {
    let home = Home::new();
    let picture = home.picture("picture.png");
    let close = "no model is called resnet19; the closest names are resnet18, resnet34, resnet50";
    let (code, line) = home.refused("classify", &["--model", "resnet19", arg(&picture)]);
    assert!(code == 2 && line.ends_with(close), "{line}");
    let (_, line) = home.refused(
        "classify",
        &["--model", "resnet19", "--weights", "owner/name", arg(&picture)],
    );
    assert!(line.ends_with(close), "{line}");
    let (code, line) = home.refused("train", &["--smoke", "--model", "resnet19"]);
    assert!(code == 2 && line.ends_with(close), "{line}");
}

#[test]
fn missing_weights_are_named_with_their_place() {
    let home = Home::new();
    let picture = home.picture("picture.png");
    let (_, line) = home.refused("classify", &["--model", "resnet18", arg(&picture)]);
    let place = home.path().join(".cache");
    assert!(line.contains("resnet18") && line.contains(arg(&place)), "{line}");
    let (_, line) = home.refused("classify", &["--model", "efficientnet_lite0", arg(&picture)]);
    assert!(line.contains("efficientnet-lite0-57934424.pth"), "{line}");
    // A repository, which can't be reached.
    let (_, line) = home.refused("classify", &["--weights", "timm/resnet18.tv_in1k", arg(&picture)]);
    assert!(line.contains("timm/resnet18.tv_in1k"), "{line}");
}

#[test]
fn wrong_arguments_are_refused() {
    let home = Home::new();
    let (a, b) = (home.picture("a.png"), home.picture("b.png"));
    let (code, line) = home.refused("classify", &[arg(&a), arg(&b), "--cam", "cam.png"]);
    assert_eq!(
        (code, line.as_str()),
        (2, "error: --cam explains one picture, not 2")
    );
    let (code, _) = home.refused("classify", &[arg(&a), "--member", "IMAGENET1K_V1"]);
    assert_eq!(code, 2);
    let (code, _) = home.refused("detect_faces", &["--threshold", "7"]);
    assert_eq!(code, 2);
    let (code, line) = home.refused("train", &["--smoke", "--batch-size", "0"]);
    assert!(code == 2 && line.contains("batch"), "{line}");
    // What clap refuses takes more than a line.
    for example in ["classify", "train", "detect_faces"] {
        let answer = home.run(example, &["--wrong"]);
        assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""));
        assert!(
            answer.err.starts_with("error: unexpected argument '--wrong'"),
            "{}",
            answer.err
        );
    }
    assert_eq!(home.run("classify", &["--top", "0"]).code, Some(2));
}

#[test]
fn training_data_that_can_not_be_used_are_named() {
    let home = Home::new();
    let (_, line) = home.refused("train", &["--data", "absent"]);
    assert!(line.contains("no train-images-idx3-ubyte"), "{line}");
    let images = home.file("mnist/train-images-idx3-ubyte", "no images");
    let (_, line) = home.refused(
        "train",
        &["--dataset", "mnist", "--data", arg(images.parent().unwrap())],
    );
    assert!(line.contains("train-images-idx3-ubyte"), "{line}");
    let (_, line) = home.refused("train", &["--dataset", "folder", "--data", "absent"]);
    assert!(line.contains("absent/train: No such file"), "{line}");
    for part in ["train", "test"] {
        for class in ["cat", "dog"] {
            home.picture(&format!("pets/{part}/{class}/1.png"));
        }
    }
    let folder = [
        "--dataset",
        "folder",
        "--data",
        "pets",
        "--image-size",
        "32",
        "--out",
        "run",
    ];
    let (code, line) = home.refused("train", &[&folder[..], &["--batch-size", "9"]].concat());
    assert!(
        code == 2 && line.contains("fewer images than --batch-size 9"),
        "{line}"
    );
    // A picture among the others that is none.
    home.file("pets/train/dog/2.png", "");
    let answer = home.run(
        "train",
        &[&folder[..], &["--batch-size", "2", "--epochs", "1"]].concat(),
    );
    assert_eq!(answer.code, Some(2));
    assert!(
        answer.err.starts_with("error: ")
            && answer.err.lines().count() == 1
            && answer.err.contains("dog/2.png"),
        "{}",
        answer.err
    );
}

/// Not even the superuser may write there.
#[cfg(target_os = "linux")]
#[test]
fn folders_that_can_not_be_written_are_named() {
    let home = Home::new();
    let (pets, picture) = (home.pets(), home.picture("picture.png"));
    let (code, line) = home.refused("train", &["--smoke", "--batch-size", "2", "--out", "/proc/run"]);
    assert!(code == 1 && line.contains("/proc/run: "), "{line}");
    let explain = |cam: &str| {
        let answer = home.run(
            "classify",
            &["--weights", arg(&pets), arg(&picture), "--cam", cam],
        );
        assert_eq!(answer.code, Some(1), "{}", answer.err);
        assert!(
            answer.err.starts_with(&format!("error: {cam}: ")) && answer.err.lines().count() == 1,
            "{}",
            answer.err
        );
        answer.err
    };
    explain("/proc/cam.png");
    explain("absent/cam.png");
    // A disk that is full.
    let line = explain("/dev/full");
    assert!(line.contains("No space left on device"), "{line}");
    let (code, line) = home.refused("detect_faces", &["--out", "/dev/full"]);
    assert!(code == 1 && line.contains("No space left on device"), "{line}");
}
