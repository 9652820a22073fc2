//! Convolutions compute what PyTorch Geometric's do, and do not know how nodes are numbered.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_autograd::Backward;
use flambeau_graph::{
    Aggregation, Edges, GATConv, GATConvOptions, GCNConv, GCNConvOptions, SAGEConv, SAGEConvOptions,
};
use flambeau_nn::Module;
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Tensor, random};
use proptest::prelude::*;

/// Any of the layers, ready to be applied to features.
type Applied<'a> = (&'a dyn Module, Box<dyn Fn(&Tensor) -> Tensor + 'a>);

/// The layer in `float64`.
fn double<M: Module>(mut layer: M) -> M {
    layer.to_dtype(DType::F64).unwrap();
    layer
}

fn assert_close(got: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let (got, expected) = (got.to_vec::<f64>().unwrap(), expected.to_vec::<f64>().unwrap());
    for (got, expected) in got.into_iter().zip(expected) {
        assert!(
            (got - expected).abs() <= 1e-12 + 1e-10 * expected.abs(),
            "{what}: {got}, expected {expected}"
        );
    }
}

#[test]
fn values_and_gradients_are_those_of_pytorch_geometric() {
    let golden = safetensors::from_bytes(include_bytes!("golden/pyg.safetensors")).unwrap();
    let nodes = golden["x"].shape()[0];
    let plain = Edges::new(&golden["edge_index"], nodes).unwrap();
    let loops = plain.with_self_loops().unwrap();
    let weighted = Edges::new(&golden["weighted"], nodes).unwrap();
    let weights = weighted.arranged(&golden["weights"]).unwrap();

    let gcn = || double(GCNConv::new(5, 4, GCNConvOptions::default()).unwrap());
    let sage = |aggregation, root_weight| {
        let options = SAGEConvOptions {
            aggregation,
            root_weight,
            ..Default::default()
        };
        double(SAGEConv::new(5, 4, options).unwrap())
    };
    let gat = |heads, concat, negative_slope| {
        let options = GATConvOptions {
            heads,
            concat,
            negative_slope,
            ..Default::default()
        };
        double(GATConv::new(5, 4, options).unwrap())
    };
    let (gcn, gcn_weighted) = (gcn(), gcn());
    let (mean, max) = (sage(Aggregation::Mean, true), sage(Aggregation::Max, false));
    let (concat, averaged) = (gat(3, true, 0.2), gat(2, false, 0.1));
    let layers: [(&str, Applied); 6] = [
        ("gcn", (&gcn, Box::new(|x| gcn.forward(x, &loops).unwrap()))),
        (
            "gcn_weighted",
            (
                &gcn_weighted,
                Box::new(|x| gcn_weighted.forward_weighted(x, &weighted, &weights).unwrap()),
            ),
        ),
        (
            "sage_mean",
            (&mean, Box::new(|x| mean.forward(x, &plain).unwrap())),
        ),
        ("sage_max", (&max, Box::new(|x| max.forward(x, &plain).unwrap()))),
        (
            "gat_concat",
            (&concat, Box::new(|x| concat.forward(x, &loops).unwrap())),
        ),
        (
            "gat_mean",
            (&averaged, Box::new(|x| averaged.forward(x, &loops).unwrap())),
        ),
    ];
    for (name, (layer, forward)) in &layers {
        let part = |part: &str| -> BTreeMap<String, Tensor> {
            let prefix = format!("{name}.{part}.");
            let of = golden
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)));
            of.map(|(key, value)| (key.to_string(), value.clone())).collect()
        };
        layer
            .load_state_dict(&part("state").into_iter().collect(), true)
            .unwrap();
        let x = golden["x"].detach().requires_grad(true).unwrap();
        let out = forward(&x);
        assert_close(&out, &golden[&format!("{name}.out")], name);
        out.mul(&golden[&format!("{name}.gout")])
            .unwrap()
            .sum()
            .unwrap()
            .backward()
            .unwrap();
        let mut grads = part("grad");
        assert_close(&x.grad().unwrap(), &grads.remove("x").unwrap(), name);
        let parameters: Vec<_> = layer.named_parameters();
        assert_eq!(parameters.len(), grads.len(), "{name}");
        for (key, parameter) in parameters {
            assert_close(
                &parameter.grad().unwrap(),
                &grads[&key],
                &format!("{name}: {key}"),
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nodes_may_be_numbered_in_any_order(
        pairs in proptest::collection::vec((0i64..9, 0i64..9), 0..40),
        order in Just((0..9i64).collect::<Vec<_>>()).prop_shuffle(),
        seed in 0u64..1000,
    ) {
        let nodes = 9;
        let edges = |name: &dyn Fn(i64) -> i64| {
            let ends = pairs.iter().map(|pair| name(pair.0)).chain(pairs.iter().map(|pair| name(pair.1)));
            let index = Tensor::from_vec(ends.collect::<Vec<_>>(), (2, pairs.len())).unwrap();
            Edges::new(&index, nodes).unwrap()
        };
        // Node `i` becomes node `order[i]`.
        let (before, after) = (edges(&|node| node), edges(&|node| order[node as usize]));
        let order = Tensor::from_vec(order.clone(), nodes).unwrap();
        random::fork(seed, || {
            let x = Tensor::randn((nodes, 3), DType::F64).unwrap();
            let moved = Tensor::zeros((nodes, 3), DType::F64).unwrap().index_copy(0, &order, &x).unwrap();
            let gcn = double(GCNConv::new(3, 4, GCNConvOptions::default()).unwrap());
            let sage = double(SAGEConv::new(3, 4, SAGEConvOptions::default()).unwrap());
            let gat = double(GATConv::new(3, 2, GATConvOptions { heads: 2, ..Default::default() }).unwrap());
            type Layer<'a> = &'a dyn Fn(&Tensor, &Edges) -> Tensor;
            let forwards: [Layer; 3] = [
                &|x, edges| gcn.forward(x, edges).unwrap(),
                &|x, edges| sage.forward(x, edges).unwrap(),
                &|x, edges| gat.forward(x, edges).unwrap(),
            ];
            for (i, forward) in forwards.iter().enumerate() {
                let expected = forward(&x, &before);
                let got = forward(&moved, &after).index_select(0, &order).unwrap();
                assert_close(&got.detach(), &expected.detach(), &format!("layer {i}"));
            }
        });
    }
}
