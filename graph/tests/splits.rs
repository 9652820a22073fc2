//! Transforms draw what PyTorch Geometric's draw with the same seed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_graph::Graph;
use flambeau_graph::transforms::{NodeSplit, RandomLinkSplit, RandomNodeSplit, Size, Transform};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{Tensor, random};

fn golden() -> BTreeMap<String, Tensor> {
    safetensors::from_bytes(include_bytes!("golden/pyg.safetensors")).unwrap()
}

fn graph(golden: &BTreeMap<String, Tensor>) -> Graph {
    let mut graph = Graph::new(golden["split.edge_index"].clone(), 30).unwrap();
    graph.y = Some(golden["split.y"].clone());
    graph
}

#[test]
fn masks_are_those_of_pytorch_geometric() {
    let golden = golden();
    let kinds = [
        (
            "train_rest",
            RandomNodeSplit {
                num_val: Size::Count(5),
                num_test: Size::Share(0.3),
                ..Default::default()
            },
        ),
        (
            "test_rest",
            RandomNodeSplit {
                split: NodeSplit::TestRest(4),
                num_val: Size::Share(0.2),
                ..Default::default()
            },
        ),
        (
            "random",
            RandomNodeSplit {
                split: NodeSplit::Random(2),
                num_val: Size::Count(6),
                num_test: Size::Count(7),
            },
        ),
    ];
    for (name, transform) in kinds {
        let split = random::fork(11, || transform.apply(graph(&golden))).unwrap();
        let masks = [
            ("train_mask", split.train_mask()),
            ("val_mask", split.val_mask()),
            ("test_mask", split.test_mask()),
        ];
        for (mask, got) in masks {
            let expected = golden[&format!("split.{name}.{mask}")].to_vec::<bool>().unwrap();
            assert_eq!(got.unwrap().to_vec::<bool>().unwrap(), expected, "{name}: {mask}");
        }
    }
}

#[test]
fn edges_that_are_taken_away_are_those_of_pytorch_geometric() {
    let golden = golden();
    let transform = RandomLinkSplit {
        is_undirected: true,
        num_val: Size::Share(0.2),
        num_test: Size::Count(7),
        ..Default::default()
    };
    let split = random::fork(11, || transform.split(&graph(&golden))).unwrap();
    for (name, part) in [
        ("train", &split.train),
        ("val", &split.val),
        ("test", &split.test),
    ] {
        let expected = |what: &str| {
            golden[&format!("split.link.{name}.{what}")]
                .to_vec::<i64>()
                .unwrap()
        };
        let (with, without) = part.pairs().unwrap();
        assert_eq!(
            part.graph.edge_index.to_vec::<i64>().unwrap(),
            expected("edge_index"),
            "{name}"
        );
        assert_eq!(with.to_vec::<i64>().unwrap(), expected("pos"), "{name}");
        assert_eq!(without.shape()[1] as i64, expected("negatives")[0], "{name}");
        // No edge of the whole graph is among the pairs without one.
        let none = without.to_vec::<i64>().unwrap();
        let all = golden["split.edge_index"].to_vec::<i64>().unwrap();
        let (from, to) = all.split_at(all.len() / 2);
        for i in 0..none.len() / 2 {
            let pair = (none[i], none[none.len() / 2 + i]);
            assert!(
                from.iter().zip(to).all(|(&s, &t)| (s, t) != pair),
                "{name}: {pair:?}"
            );
        }
    }
}

#[test]
fn splits_that_leave_nothing_are_refused() {
    let golden = golden();
    let all = RandomLinkSplit {
        num_val: Size::Share(0.5),
        num_test: Size::Share(0.5),
        ..Default::default()
    };
    let error = all.split(&graph(&golden)).unwrap_err().to_string();
    assert!(error.contains("leave none to learn from"), "{error}");
    let more = RandomNodeSplit {
        num_val: Size::Share(1.5),
        ..Default::default()
    };
    let error = more.apply(graph(&golden)).unwrap_err().to_string();
    assert!(error.contains("a share between 0 and 1, got 1.5"), "{error}");
}
