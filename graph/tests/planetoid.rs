//! Citation networks in the files in which they were published are those that PyTorch Geometric reads.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use flambeau_graph::datasets::planetoid;
use flambeau_tensor::DType;
use flambeau_tensor::io::safetensors;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/planetoid")
}

#[test]
fn published_files_are_read_as_pytorch_geometric_reads_them() {
    let expected = safetensors::load(golden().join("expected.safetensors")).unwrap();
    for kind in ["gap", "whole"] {
        let graph = planetoid(golden().join(kind)).unwrap();
        let expected = |part: &str| &expected[&format!("{kind}.{part}")];
        let (x, y) = (graph.x().unwrap(), graph.y().unwrap());
        assert_eq!(x.shape(), expected("x").shape(), "{kind}");
        assert_eq!(
            x.to_vec::<f32>().unwrap(),
            expected("x").to_vec::<f32>().unwrap(),
            "{kind}"
        );
        let numbers = [(y, "y"), (&graph.edge_index, "edge_index")];
        for (tensor, part) in numbers {
            assert_eq!(tensor.shape(), expected(part).shape(), "{kind}: {part}");
            let (got, expected) = (
                tensor.to_vec::<i64>().unwrap(),
                expected(part).to_vec::<i64>().unwrap(),
            );
            assert_eq!(got, expected, "{kind}: {part}");
        }
        let masks = [
            (graph.train_mask().unwrap(), "train_mask"),
            (graph.val_mask().unwrap(), "val_mask"),
            (graph.test_mask().unwrap(), "test_mask"),
        ];
        for (mask, part) in masks {
            assert_eq!(mask.dtype(), DType::Bool);
            let (got, expected) = (
                mask.to_vec::<bool>().unwrap(),
                expected(part).to_vec::<bool>().unwrap(),
            );
            assert_eq!(got, expected, "{kind}: {part}");
        }
    }
}

/// A copy of the network `gap`.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden().join("gap")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// The message about the network `gap` with another file `what`.
fn refused(what: &str, bytes: Option<&[u8]>) -> String {
    let folder = copied();
    let path = folder.path().join(format!("ind.citeseer.{what}"));
    match bytes {
        Some(bytes) => std::fs::write(path, bytes).unwrap(),
        None => std::fs::remove_file(path).unwrap(),
    }
    let error = planetoid(folder.path()).unwrap_err().to_string();
    assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
    error
}

/// A file of the network.
fn file(what: &str) -> Vec<u8> {
    std::fs::read(golden().join("gap").join(format!("ind.citeseer.{what}"))).unwrap()
}

#[test]
fn what_is_wrong_with_published_files_is_named_with_the_file() {
    let pickled = |body: &[u8]| [b"\x80\x02", body, b"."].concat();
    let (list, system) = (pickled(b"]"), pickled(b"cos\nsystem\nU\x02id\x85R"));
    let lists = |body: &[u8]| pickled(&[b"}", body, b"s"].concat());
    let (far, negative) = (lists(b"K\x00]M\xe8\x03a"), lists(b"K\x00]J\xff\xff\xff\xffa"));
    for (what, bytes, expected) in [
        ("ally", None, "No such file"),
        ("allx", Some(&b""[..]), "the pickle ends early"),
        (
            "graph",
            Some(&file("ally")),
            "expected lists of neighbours by node",
        ),
        ("ally", Some(&file("graph")), "expected an array [nodes, classes]"),
        ("allx", Some(&file("ally")), "expected a matrix of sparse rows"),
        ("allx", Some(&file("tx")), "expected 9 rows, got 3 of 7 features"),
        ("tx", Some(&file("allx")), "expected 3 rows, got 9 of 7 features"),
        ("y", Some(&list), "expected an array [nodes, classes]"),
        ("y", Some(&system), "`os.system`, which is not among the names"),
        ("graph", Some(&far), "node 1000 is out of range for 14 nodes"),
        ("graph", Some(&negative), "node -1 is out of range for 14 nodes"),
        (
            "graph",
            Some(&lists(b"K\x00K\x01")),
            "expected a list of neighbours of a node",
        ),
        (
            "graph",
            Some(&lists(b"K\x00]Na")),
            "node 0 has a neighbour that is no number",
        ),
        ("test.index", Some(b""), "expected 3 different nodes from 9 on"),
        (
            "test.index",
            Some(b"9\n10\n9\n"),
            "expected 3 different nodes from 9 on",
        ),
        (
            "test.index",
            Some(b"8\n9\n10\n"),
            "expected 3 different nodes from 9 on",
        ),
        (
            "test.index",
            Some(b"9\n10\n4000000000\n"),
            "is far behind 9 nodes",
        ),
        ("test.index", Some(b"9\n10\n-1\n"), "line 3: \"-1\" is no node"),
    ] {
        let error = refused(what, bytes);
        assert!(
            error.contains(expected) && error.contains(&format!("ind.citeseer.{what}")),
            "{what}: {error}"
        );
    }
    let error = refused("graph", None);
    assert!(
        error.contains("expected one file ind.NAME.graph in the folder, got none"),
        "{error}"
    );
}

#[test]
fn no_file_cut_anywhere_and_no_changed_byte_is_more_than_an_error() {
    for what in ["allx", "ally", "graph", "test.index"] {
        let (whole, folder) = (file(what), copied());
        let path = folder.path().join(format!("ind.citeseer.{what}"));
        for cut in (0..whole.len()).step_by(3) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let read = planetoid(folder.path());
            // A line less, or its end, may be no fault.
            assert!(read.is_err() || what == "test.index", "{what} cut at {cut}");
            let mut changed = whole.clone();
            changed[cut] ^= 0xff;
            std::fs::write(&path, &changed).unwrap();
            if let Ok(graph) = planetoid(folder.path()) {
                graph.validate().unwrap();
            }
        }
    }
}
