//! What `classify` and `detect_faces` print.

use flambeau_tensor::io::safetensors;
use flambeau_vision::io::{DecodeOptions, read_image};

use super::{Home, arg, weights};

#[test]
fn without_arguments_a_boot_is_recognised() {
    let home = Home::new();
    let answer = home.run("classify", &[]);
    assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = answer.out.lines().collect();
    assert_eq!((lines.len(), lines[0]), (7, "ankle_boot.png"), "{}", answer.out);
    assert!(lines[1].ends_with("%  Ankle boot"), "{}", answer.out);
    assert!(
        lines[6].starts_with("1 picture in ") && lines[6].contains(" by resnet20, bundled"),
        "{}",
        answer.out
    );
    assert_eq!(home.files(), []);
}

#[test]
fn many_pictures_are_answered_in_batches() {
    let home = Home::new();
    let weights = home.pets();
    let pictures: Vec<_> = (0..5).map(|i| home.picture(&format!("{i}.png"))).collect();
    let mut args = vec![
        "--weights",
        arg(&weights),
        "--top",
        "2",
        "--batch-size",
        "2",
        "--json",
    ];
    args.extend(pictures.iter().map(|path| arg(path)));
    let answer = home.run("classify", &args);
    assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(
        (&report["model"], &report["weights"]),
        (&"resnet20".into(), &arg(&weights).into())
    );
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    let answers = report["pictures"].as_array().unwrap();
    assert_eq!(answers.len(), 5);
    for (answer, path) in answers.iter().zip(&pictures) {
        assert_eq!(answer["file"], arg(path));
        let top = answer["top"].as_array().unwrap();
        let chance = |at: usize| top[at]["probability"].as_f64().unwrap();
        assert!(
            top.len() == 2 && chance(0) >= chance(1) && chance(1) > 0.0,
            "{answer}"
        );
        let class = top[0]["class"].as_u64().unwrap() as usize;
        assert_eq!(top[0]["category"], ["cat", "dog", "owl"][class]);
    }
    // The same in words, of which nobody reads more than the first.
    args.retain(|arg| *arg != "--json");
    let answer = home.run("classify", &args);
    assert_eq!(answer.out.lines().count(), 5 * 3 + 1, "{}", answer.out);
}

#[test]
fn a_file_that_is_no_picture_does_not_stop_the_others() {
    let home = Home::new();
    let (weights, good, bad) = (
        home.pets(),
        home.picture("good.png"),
        home.file("bad.png", "none"),
    );
    let args = ["--weights", arg(&weights), "--json", arg(&bad), arg(&good)];
    let answer = home.run("classify", &args);
    assert_eq!(answer.code, Some(2));
    let report: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(report["pictures"][0]["file"], arg(&good));
    assert_eq!(report["failures"][0]["file"], arg(&bad));
    let lines: Vec<&str> = answer.err.lines().collect();
    assert_eq!(lines.len(), 2, "{}", answer.err);
    assert!(
        lines[0].starts_with("error: ") && lines[0].contains("bad.png"),
        "{}",
        answer.err
    );
    assert_eq!(lines[1], "error: 1 of 2 files are no pictures that can be read");
}

#[test]
fn an_explanation_is_drawn_on_the_picture() {
    let home = Home::new();
    let (weights, picture) = (home.pets(), home.picture("picture.png"));
    let args = ["--weights", arg(&weights), arg(&picture), "--cam", "cam.png"];
    let answer = home.run("classify", &args);
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    assert!(answer.err.starts_with("cam.png shows where "), "{}", answer.err);
    let drawn = read_image(home.path().join("cam.png"), &DecodeOptions::default()).unwrap();
    // Enlarged five times.
    assert_eq!(drawn.shape(), [3, 200, 250]);
}

#[test]
fn weights_in_the_cache_of_pytorch_are_found() {
    let home = Home::new();
    let name = "squeezenet1_1-b8a52dc0.pth";
    let place = home.file(&format!(".cache/torch/hub/checkpoints/{name}"), "");
    let state = weights("squeezenet1_1", 1000);
    safetensors::save(&place, &state).unwrap();
    let picture = home.picture("picture.png");
    for args in [&[arg(&picture)][..], &[arg(&picture), "--model", "squeezenet1_1"]] {
        let answer = home.run("classify", args);
        assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
        assert!(answer.out.contains(" by squeezenet1_1, "), "{}", answer.out);
        assert!(answer.out.contains(name), "{}", answer.out);
    }
    // Without a picture, the bundled one is for the bundled model.
    assert!(home.run("classify", &[]).out.contains("by resnet20"));
}

#[test]
fn without_weights_for_imagenet_the_bundled_model_says_what_it_knows() {
    let home = Home::new();
    let picture = home.picture("picture.png");
    let answer = home.run("classify", &[arg(&picture)]);
    assert_eq!(answer.code, Some(0));
    assert!(answer.out.contains("by resnet20, bundled"), "{}", answer.out);
    assert!(
        answer.err.contains("note: ") && answer.err.contains("ten kinds of clothing only"),
        "{}",
        answer.err
    );
}

#[test]
fn the_bundled_portrait_has_a_face() {
    let home = Home::new();
    let answer = home.run("detect_faces", &["--json", "--out", "faces.png"]);
    assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    let faces = report["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 1);
    assert!(faces[0]["probability"].as_f64().unwrap() > 0.99, "{report}");
    assert_eq!(faces[0]["landmarks"].as_array().unwrap().len(), 5);
    let drawn = read_image(home.path().join("faces.png"), &DecodeOptions::default()).unwrap();
    assert_eq!(drawn.shape(), [3, 256, 256]);
    let answer = home.run("detect_faces", &[]);
    assert!(
        answer.out.contains("%  a face from (") && answer.out.contains("left eye ("),
        "{}",
        answer.out
    );
}

#[test]
fn all_models_are_listed() {
    let answer = Home::new().run("models", &[]);
    assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
    let resnet50 = answer
        .out
        .lines()
        .find(|line| line.starts_with("resnet50 "))
        .unwrap();
    assert!(
        resnet50.contains("25557032") && resnet50.ends_with("IMAGENET1K_V1 (76.1%), IMAGENET1K_V2 (80.9%)"),
        "{resnet50}"
    );
    assert_eq!(
        answer.out.lines().count(),
        1 + flambeau_vision::models::list().count()
    );
}
