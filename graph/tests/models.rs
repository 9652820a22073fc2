//! Models teach all of their parameters, and say what PyTorch Geometric's say.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_graph::datasets::karate_club;
use flambeau_graph::models::{ComplEx, GAE, GNN, Node2Vec, Node2VecOptions};
use flambeau_graph::{GATConv, GATv2Conv, GATv2ConvOptions, GCNConv};
use flambeau_nn::Module;
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Tensor, random};

/// Every row that was used, of every parameter, has a gradient; these are all rows where `rows` says so.
fn assert_learns(model: &dyn Module, loss: &Tensor, rows: bool) {
    loss.backward().unwrap();
    let parameters = model.named_parameters();
    assert!(!parameters.is_empty());
    for (name, parameter) in parameters {
        let grad = parameter
            .grad()
            .unwrap()
            .abs()
            .unwrap()
            .to_dtype(DType::F32)
            .unwrap();
        assert!(
            grad.to_vec::<f32>().unwrap().iter().all(|g| g.is_finite()),
            "{name}"
        );
        let most = match rows {
            true => grad.sum_dim(1, false).unwrap().min().unwrap(),
            false => grad.max().unwrap(),
        };
        assert!(most.item::<f32>().unwrap() > 0.0, "{name}");
    }
}

fn assert_close(got: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let (got, expected) = (got.to_vec::<f64>().unwrap(), expected.to_vec::<f64>().unwrap());
    for (got, expected) in got.into_iter().zip(expected) {
        assert!(
            (got - expected).abs() <= 1e-12,
            "{what}: {got}, expected {expected}"
        );
    }
}

#[test]
fn autoencoders_learn_through_their_encoder() {
    random::fork(0, || {
        let shared = GATv2ConvOptions {
            share_weights: true,
            ..Default::default()
        };
        let encoder = GNN::new(Tensor::tanh, 0.0)
            .unwrap()
            .push(GCNConv::new(34, 8, Default::default()).unwrap())
            .push(GATv2Conv::new(8, 8, shared).unwrap())
            .push(GATConv::new(8, 4, Default::default()).unwrap());
        let model = GAE::new(encoder);
        let club = karate_club().unwrap();
        let edges = club.edges().unwrap().with_self_loops().unwrap();
        let z = model.encoder.forward(club.x().unwrap(), &edges).unwrap();
        let loss = model.recon_loss(&z, &club.edge_index, None).unwrap();
        assert_learns(&model, &loss, false);
        let names: Vec<String> = model.state_dict().into_keys().collect();
        assert!(
            names.contains(&"encoder.convs.0.lin.weight".to_string()),
            "{names:?}"
        );
    });
}

#[test]
fn every_node_is_learnt_by_random_walks() {
    random::fork(0, || {
        let options = Node2VecOptions {
            embedding_dim: 6,
            walk_length: 8,
            context_size: 5,
            walks_per_node: 2,
            ..Default::default()
        };
        let club = karate_club().unwrap();
        let model = Node2Vec::new(&club.edge_index, club.num_nodes, options).unwrap();
        let all: Vec<i64> = (0..34).collect();
        let (walks, others) = model.walker().sample(&all).unwrap();
        assert_learns(&model, &model.loss(&walks, &others).unwrap(), true);
    });
}

#[test]
fn complex_numbers_are_those_of_pytorch_geometric() {
    let golden = safetensors::from_bytes(include_bytes!("golden/pyg.safetensors")).unwrap();
    let part = |part: &str| &golden[&format!("complex.{part}")];
    let mut model = ComplEx::new(9, 4, 5).unwrap();
    model.to_dtype(DType::F64).unwrap();
    let state = golden
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("complex.state.")?.to_string(), value.clone())));
    model.load_state_dict(&state.collect(), true).unwrap();
    let triples = part("triples");
    let row = |row: isize| triples.select(0, row).unwrap();
    let scores = model.forward(&row(0), &row(1), &row(2)).unwrap();
    assert_close(&scores.detach(), part("scores"), "scores");
    // The wrong triples are drawn as PyTorch Geometric draws them.
    let loss = random::fork(13, || model.loss(&row(0), &row(1), &row(2))).unwrap();
    assert_close(&loss.detach(), part("loss"), "loss");
    assert_learns(&model, &loss, false);
    for (name, parameter) in model.named_parameters() {
        assert_close(&parameter.grad().unwrap(), part(&format!("grad.{name}")), &name);
    }
    let ranks = model.test(triples, &[], 3).unwrap();
    let ranks = Tensor::new([ranks.mean_rank, ranks.mrr, ranks.hits_at_k]).unwrap();
    let difference = ranks.sub(part("ranks")).unwrap().abs().unwrap().max().unwrap();
    // That package keeps its means in single precision.
    assert!(difference.item::<f64>().unwrap() < 1e-6, "{ranks}");
}
