//! The examples as programs: they work without arguments, draw what they say, and answer bad input with one line.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program of an example, which `cargo test` builds beside this one.
fn program(example: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let name = format!("{example}{}", std::env::consts::EXE_SUFFIX);
    own.parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(name)
}

fn run(example: &str, args: &[&str], folder: &Path) -> Output {
    Command::new(program(example))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn succeeds(example: &str, args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(example, args, folder.path());
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(
        ended.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let picture = image::open(folder.path().join(format!("{example}.png")))
        .unwrap()
        .into_rgb8();
    let colours: std::collections::HashSet<_> = picture.pixels().map(|pixel| pixel.0).collect();
    assert!(
        picture.width() >= 600 && colours.len() > 100,
        "{example} draws a picture"
    );
    said
}

fn refused(example: &str, args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(example, args, folder.path());
    let error = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "no file is left behind"
    );
    error
}

#[test]
fn the_bundled_network_knows_who_followed_whom() {
    let said = succeeds("node_classification", &["--predict"]);
    assert!(said.contains("33 of 34 nodes are right"), "{said}");
    assert!(said.contains("member  0 follows the instructor"), "{said}");
}

#[test]
fn nodes_are_learnt() {
    for model in ["gcn", "sage", "gat"] {
        let said = succeeds("node_classification", &["--model", model, "--epochs", "20"]);
        assert!(
            said.contains("2 nodes to learn from") && said.contains("per epoch"),
            "{said}"
        );
    }
}

#[test]
fn motifs_are_told_apart() {
    let said = succeeds("graph_classification", &["--epochs", "4"]);
    assert!(
        said.contains("160 graphs of 2 classes to learn from, 40 to test on"),
        "{said}"
    );
}

#[test]
fn edges_are_found() {
    let said = succeeds("link_prediction", &["--epochs", "20"]);
    assert!(said.contains("240 nodes") && said.contains("test: AUC"), "{said}");
    let said = succeeds("link_prediction", &["--karate", "--epochs", "20"]);
    assert!(
        said.contains("34 nodes; 68 edges are known, 7 are to be found"),
        "{said}"
    );
}

#[test]
fn bad_input_is_answered_with_one_line() {
    let absent = refused("node_classification", &["--data", "absent.safetensors"]);
    assert!(absent.contains("absent.safetensors"), "{absent}");
    let absent = refused("link_prediction", &["--data", "absent.safetensors"]);
    assert!(absent.contains("absent.safetensors"), "{absent}");
    let absent = refused("graph_classification", &["--data", "absent"]);
    assert!(absent.contains("absent"), "{absent}");
    let others = refused("node_classification", &["--predict", "--model", "gat"]);
    assert!(
        others.contains("bundled weights are those of --model gcn"),
        "{others}"
    );
}
