//! What is pooled belongs to a graph, not to the numbers of its nodes nor to its place in the batch.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_graph::{Batch, Graph, global_add_pool, global_max_pool, global_mean_pool};
use flambeau_tensor::{DType, Result, Tensor, random};
use proptest::prelude::*;

const FEATURES: usize = 3;

type Pool = fn(&Tensor, &Batch) -> Result<Tensor>;

const POOLS: [(&str, Pool); 3] = [
    ("add", global_add_pool),
    ("mean", global_mean_pool),
    ("max", global_max_pool),
];

/// A batch of graphs with so many nodes.
fn batch(sizes: &[usize]) -> Batch {
    let graph = |&nodes: &usize| Graph::new(Tensor::zeros((2, 0), DType::I64).unwrap(), nodes).unwrap();
    Batch::from_graphs(sizes.iter().map(graph).collect()).unwrap()
}

/// What is pooled, and what arrives at the nodes of what arrives at the graphs.
fn pooled(pool: Pool, x: &Tensor, batch: &Batch, weights: &Tensor) -> [Tensor; 2] {
    let leaf = x.detach().requires_grad(true).unwrap();
    let out = pool(&leaf, batch).unwrap();
    out.mul(weights).unwrap().sum().unwrap().backward().unwrap();
    [out.detach(), leaf.grad().unwrap()]
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

/// Sizes of graphs, some of them empty, with their nodes in any order and the graphs in any order.
fn orders() -> impl Strategy<Value = (Vec<usize>, Vec<Vec<i64>>, Vec<usize>)> {
    proptest::collection::vec(0usize..6, 1..6).prop_flat_map(|sizes| {
        let nodes: Vec<_> = sizes
            .iter()
            .map(|&size| Just((0..size as i64).collect::<Vec<_>>()).prop_shuffle())
            .collect();
        let graphs = Just((0..sizes.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(sizes), nodes, graphs)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn graphs_are_pooled_alike_whatever_the_order((sizes, nodes, graphs) in orders(), seed in 0u64..1000) {
        let (count, total) = (sizes.len(), sizes.iter().sum::<usize>());
        let (x, weights) = random::fork(seed, || {
            let normal = |rows: usize| Tensor::randn((rows, FEATURES), DType::F64).unwrap();
            (normal(total), normal(count))
        });
        let first: Vec<i64> = sizes.iter().scan(0, |at, &size| { *at += size as i64; Some(*at - size as i64) }).collect();
        let numbers = |of: Vec<i64>| { let count = of.len(); Tensor::from_vec(of, count).unwrap() };
        // Within each graph, nodes come in another order: what is pooled stays, what arrives at the nodes goes with them.
        let within = numbers((0..count).flat_map(|i| nodes[i].iter().map(move |node| (i, node))).map(|(i, node)| first[i] + node).collect());
        // Graphs come in another order, each with its nodes: what is pooled goes with them.
        let across = numbers(graphs.iter().flat_map(|&i| first[i]..first[i] + sizes[i] as i64).collect());
        let moved_sizes: Vec<usize> = graphs.iter().map(|&i| sizes[i]).collect();
        let rows = numbers(graphs.iter().map(|&i| i as i64).collect());
        for (name, pool) in POOLS {
            let [out, grad] = pooled(pool, &x, &batch(&sizes), &weights);
            let select = |of: &Tensor, by: &Tensor| of.index_select(0, by).unwrap();
            let [same, there] = pooled(pool, &select(&x, &within), &batch(&sizes), &weights);
            assert_close(&same, &out, name);
            assert_close(&there, &select(&grad, &within), name);
            let [same, there] = pooled(pool, &select(&x, &across), &batch(&moved_sizes), &select(&weights, &rows));
            assert_close(&same, &select(&out, &rows), name);
            assert_close(&there, &select(&grad, &across), name);
        }
    }
}

#[test]
fn what_is_not_a_number_stays_in_its_graph() {
    let x = Tensor::new([[1f64, 2.0], [f64::NAN, 3.0], [4.0, 5.0]]).unwrap();
    for (name, pool) in POOLS {
        let out = pool(&x, &batch(&[2, 1])).unwrap().to_vec::<f64>().unwrap();
        assert!(out[0].is_nan(), "{name}");
        assert!(out[1..].iter().all(|value| value.is_finite()), "{name}");
    }
}
