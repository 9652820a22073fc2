//! The examples as programs: they work without arguments, draw what they say, and answer bad input with one line.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flambeau_tensor::Tensor;
use flambeau_tensor::io::safetensors;

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

/// A folder with such files.
fn files(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// A citation network of three nodes in a row, with another tensor if there is one.
fn network(changed: &str, tensor: Tensor) -> (tempfile::TempDir, String) {
    let mask = |which: [bool; 3]| Tensor::new(which).unwrap();
    let mut tensors = BTreeMap::from([
        (
            "edge_index".to_string(),
            Tensor::new([[0i64, 1, 1, 2], [1, 0, 2, 1]]).unwrap(),
        ),
        (
            "x_index".to_string(),
            Tensor::new([[0i64, 0, 2], [1, 3, 0]]).unwrap(),
        ),
        ("y".to_string(), Tensor::new([1i64, 0, 1]).unwrap()),
        ("train_mask".to_string(), mask([true, false, false])),
        ("val_mask".to_string(), mask([false, true, false])),
        ("test_mask".to_string(), mask([false, false, true])),
    ]);
    tensors.insert(changed.to_string(), tensor);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    safetensors::save(&path, &tensors).unwrap();
    let path = path.to_str().unwrap().to_string();
    (folder, path)
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
    assert!(said.contains("32 of 34 nodes are right"), "{said}");
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
    assert!(
        said.contains("240 nodes") && said.contains("the best on the validation edges: AUC"),
        "{said}"
    );
    let said = succeeds("link_prediction", &["--karate", "--epochs", "20"]);
    assert!(
        said.contains("34 nodes; 68 edges are known, 7 are to be found"),
        "{said}"
    );
}

#[test]
fn facts_are_learnt_and_asked_for() {
    let said = succeeds("knowledge_graph", &["--epochs", "3", "--ask", "usa", "embassy"]);
    assert!(
        said.contains("14 entities, 55 relations; 1592 triples to learn from"),
        "{said}"
    );
    assert!(
        said.contains("mean reciprocal rank") && said.contains("\nusa embassy "),
        "{said}"
    );
}

#[test]
fn bad_knowledge_graphs_are_answered_with_one_line() {
    let line: &[u8] = b"a\tlikes\tb\n";
    for (train, expected) in [
        (&b""[..], "expected triples, got none"),
        (
            b"a likes b\n",
            "line 1: expected head, relation and tail, got 1 parts",
        ),
        (b"a\t\xff\tb\n", "train.txt"),
    ] {
        let folder = files(&[("train.txt", train), ("valid.txt", line), ("test.txt", line)]);
        let error = refused("knowledge_graph", &["--data", folder.path().to_str().unwrap()]);
        assert!(error.contains(expected) && error.contains("train.txt"), "{error}");
    }
    let error = refused("knowledge_graph", &["--ask", "atlantis", "embassy"]);
    assert!(
        error.contains("there is no entity \"atlantis\"; there are"),
        "{error}"
    );
    let absent = refused("knowledge_graph", &["--data", "absent"]);
    assert!(absent.contains("absent"), "{absent}");
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

#[test]
fn bad_citation_networks_are_answered_with_one_line() {
    let whole = |values: [bool; 3]| Tensor::new(values).unwrap();
    for (tensor, value, expected) in [
        (
            "edge_index",
            Tensor::new([[0i64, 7], [7, 0]]).unwrap(),
            "node 7 is out of range for 3 nodes",
        ),
        (
            "edge_index",
            Tensor::new([[0i64, 1], [1, 2]]).unwrap(),
            "each edge in both directions",
        ),
        (
            "edge_index",
            Tensor::new([0i64, 1]).unwrap(),
            "expected edge_index [2, …], got [2]",
        ),
        (
            "x_index",
            Tensor::new([[0f32, 1.0], [f32::NAN, 2.0]]).unwrap(),
            "whole numbers, got float32",
        ),
        (
            "x_index",
            Tensor::new([[3i64], [0]]).unwrap(),
            "network.safetensors",
        ),
        ("y", Tensor::new([0i64, -1, 1]).unwrap(), "-1 in y is no class"),
        (
            "train_mask",
            whole([false; 3]),
            "expected nodes to learn from and nodes to test on",
        ),
        (
            "test_mask",
            whole([false; 3]),
            "expected nodes to learn from and nodes to test on",
        ),
    ] {
        let (_folder, path) = network(tensor, value);
        let error = refused("node_classification", &["--data", &path, "--epochs", "2"]);
        assert!(error.contains(expected), "{error}");
    }
    let (_folder, path) = network("y", Tensor::new([0i64, 1, 1]).unwrap());
    let error = refused("link_prediction", &["--data", &path]);
    assert!(
        error.contains("2 edges to learn from, 0 to choose the epoch by, 0 to find"),
        "{error}"
    );
    let empty = files(&[
        ("empty.safetensors", b""),
        ("text.safetensors", b"no tensors at all"),
    ]);
    for file in ["empty.safetensors", "text.safetensors"] {
        let path = empty.path().join(file);
        for example in ["node_classification", "link_prediction"] {
            let error = refused(example, &["--data", path.to_str().unwrap()]);
            assert!(error.contains(file), "{error}");
        }
    }
    // A folder that has none of the files in which networks were published.
    let error = refused("node_classification", &["--data", empty.path().to_str().unwrap()]);
    assert!(error.contains("expected one file ind.NAME.graph"), "{error}");
}

#[test]
fn bad_datasets_of_graphs_are_answered_with_one_line() {
    // Twelve graphs of two nodes with an edge.
    let edges: String = (0..12)
        .map(|i| format!("{0}, {1}\n{1}, {0}\n", 2 * i + 1, 2 * i + 2))
        .collect();
    let indicator: String = (1..=12).map(|i| format!("{i}\n{i}\n")).collect();
    let labels = "0\n1\n".repeat(6);
    let with = |what: &str, text: &str| {
        let mut texts = BTreeMap::from([
            ("D_A.txt", edges.as_str()),
            ("D_graph_indicator.txt", indicator.as_str()),
            ("D_graph_labels.txt", labels.as_str()),
        ]);
        texts.insert(what, text);
        let texts: Vec<(&str, &[u8])> = texts
            .iter()
            .map(|(name, text)| (*name, text.as_bytes()))
            .collect();
        let folder = files(&texts);
        refused(
            "graph_classification",
            &[
                "--data",
                folder.path().to_str().unwrap(),
                "--epochs",
                "1",
                "--batch-size",
                "4",
            ],
        )
    };
    let attributes = format!("{}nan\n", "0.5\n".repeat(23));
    for (what, text, expected) in [
        ("D_A.txt", "1, 99\n", "node 99 is out of range for 24 nodes"),
        ("D_A.txt", "one, two\n", "\"one\" is no such number"),
        ("D_graph_labels.txt", "0\n1\n", "expected 12 lines, got 2"),
        (
            "D_graph_attributes.txt",
            &"0.5\n".repeat(12),
            "expected classes of int64",
        ),
        (
            "D_node_attributes.txt",
            &attributes,
            "the loss is NaN; are all features numbers?",
        ),
    ] {
        let error = with(what, text);
        assert!(error.contains(expected), "{error}");
    }
    let error = with("E_A.txt", "1, 2\n");
    assert!(error.contains("expected one file NAME_A.txt"), "{error}");
}

#[test]
fn weights_of_another_network_are_answered_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("gat.safetensors");
    let save = [
        "--model",
        "gat",
        "--epochs",
        "1",
        "--save",
        weights.to_str().unwrap(),
    ];
    assert!(succeeds("node_classification", &save).contains("wrote"));
    let read = ["--predict", "--weights", weights.to_str().unwrap()];
    let error = refused("node_classification", &read);
    assert!(
        error.contains("convs.0.lin.weight") && error.contains("gat.safetensors"),
        "{error}"
    );
    let said = succeeds("node_classification", &[&read[..], &["--model", "gat"]].concat());
    assert!(said.contains("of 34 nodes are right"), "{said}");
}
