//! Convolutions compute what PyTorch Geometric's do, teach all their parameters, and do not know how nodes are numbered.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_autograd::Backward;
use flambeau_graph::{
    Aggregation, ChebConv, ChebConvOptions, EdgeConv, Edges, GATConv, GATConvOptions, GATv2Conv,
    GATv2ConvOptions, GCNConv, GCNConvOptions, GINConv, GINConvOptions, GraphConv, GraphConvOptions,
    Normalization, SAGEConv, SAGEConvOptions,
};
use flambeau_nn::{Linear, LinearOptions, Module, ReLU, Sequential};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Result, Tensor, random};
use proptest::prelude::*;

/// Features of a node before and after a layer.
const INPUTS: usize = 5;
const OUTPUTS: usize = 4;

/// The edges that layers are given: as they are, with self-loops, and others with weights.
struct Graphs {
    plain: Edges,
    loops: Edges,
    weighted: Edges,
    weights: Tensor,
}

impl Graphs {
    fn new(edge_index: &Tensor, weighted: &Tensor, weights: &Tensor, nodes: usize) -> Graphs {
        let plain = Edges::new(edge_index, nodes).unwrap();
        let weighted = Edges::new(weighted, nodes).unwrap();
        Graphs {
            loops: plain.with_self_loops().unwrap(),
            weights: weighted.arranged(weights).unwrap(),
            plain,
            weighted,
        }
    }
}

/// A layer of any kind, ready to be applied.
trait Layer {
    fn module(&self) -> &dyn Module;
    fn apply(&self, x: &Tensor, graphs: &Graphs) -> Result<Tensor>;
}

impl<M: Module, F: Fn(&M, &Tensor, &Graphs) -> Result<Tensor>> Layer for (M, F) {
    fn module(&self) -> &dyn Module {
        &self.0
    }

    fn apply(&self, x: &Tensor, graphs: &Graphs) -> Result<Tensor> {
        (self.1)(&self.0, x, graphs)
    }
}

/// The layer in `float64`, and how it is applied.
fn layer<M: Module + 'static>(
    module: Result<M>,
    apply: impl Fn(&M, &Tensor, &Graphs) -> Result<Tensor> + 'static,
) -> Box<dyn Layer> {
    let mut module = module.unwrap();
    module.to_dtype(DType::F64).unwrap();
    Box::new((module, apply))
}

fn network(inputs: usize) -> Sequential {
    let linear = |inputs, outputs| Linear::new(inputs, outputs, LinearOptions::default()).unwrap();
    Sequential::new()
        .push(linear(inputs, 6))
        .push(ReLU)
        .push(linear(6, OUTPUTS))
}

/// Every convolution in its variants, under the names of the golden file.
fn layers() -> Vec<(&'static str, Box<dyn Layer>)> {
    let gcn = || GCNConv::new(INPUTS, OUTPUTS, GCNConvOptions::default());
    let sage = |aggregation, root_weight| {
        let options = SAGEConvOptions {
            aggregation,
            root_weight,
            ..Default::default()
        };
        layer(SAGEConv::new(INPUTS, OUTPUTS, options), |sage, x, on| {
            sage.forward(x, &on.plain)
        })
    };
    let gat = |heads, concat, negative_slope| {
        let options = GATConvOptions {
            heads,
            concat,
            negative_slope,
            ..Default::default()
        };
        layer(GATConv::new(INPUTS, OUTPUTS, options), |gat, x, on| {
            gat.forward(x, &on.loops)
        })
    };
    let gatv2 = |heads, concat, share_weights| {
        let options = GATv2ConvOptions {
            heads,
            concat,
            share_weights,
            ..Default::default()
        };
        layer(GATv2Conv::new(INPUTS, OUTPUTS, options), |gat, x, on| {
            gat.forward(x, &on.loops)
        })
    };
    let gin = |eps, train_eps| {
        let options = GINConvOptions { eps, train_eps };
        layer(GINConv::new(network(INPUTS), options), |gin, x, on| {
            gin.forward(x, &on.plain)
        })
    };
    let graph = |aggregation| {
        let options = GraphConvOptions {
            aggregation,
            ..Default::default()
        };
        GraphConv::new(INPUTS, OUTPUTS, options)
    };
    let cheb = |k, normalization, bias| {
        let options = ChebConvOptions {
            normalization,
            bias,
            ..Default::default()
        };
        layer(ChebConv::new(INPUTS, OUTPUTS, k, options), |cheb, x, on| {
            cheb.forward(x, &on.plain)
        })
    };
    let edge = |aggregation| {
        layer(
            Ok(EdgeConv::new(network(2 * INPUTS), aggregation)),
            |edge, x, on| edge.forward(x, &on.plain),
        )
    };
    vec![
        ("gcn", layer(gcn(), |gcn, x, on| gcn.forward(x, &on.loops))),
        (
            "gcn_weighted",
            layer(gcn(), |gcn, x, on| {
                gcn.forward_weighted(x, &on.weighted, &on.weights)
            }),
        ),
        ("sage_mean", sage(Aggregation::Mean, true)),
        ("sage_max", sage(Aggregation::Max, false)),
        ("gat_concat", gat(3, true, 0.2)),
        ("gat_mean", gat(2, false, 0.1)),
        ("gatv2_concat", gatv2(3, true, false)),
        ("gatv2_shared", gatv2(2, false, true)),
        ("gin", gin(0.5, false)),
        ("gin_learnt", gin(0.0, true)),
        (
            "graph",
            layer(graph(Aggregation::Sum), |graph, x, on| {
                graph.forward(x, &on.plain)
            }),
        ),
        (
            "graph_weighted",
            layer(graph(Aggregation::Sum), |graph, x, on| {
                graph.forward_weighted(x, &on.weighted, &on.weights)
            }),
        ),
        (
            "graph_mean_weighted",
            layer(graph(Aggregation::Mean), |graph, x, on| {
                graph.forward_weighted(x, &on.weighted, &on.weights)
            }),
        ),
        ("cheb_sym", cheb(4, Normalization::Sym, true)),
        ("cheb_rw", cheb(3, Normalization::Rw, true)),
        ("cheb_none", cheb(2, Normalization::None, false)),
        ("edge_max", edge(Aggregation::Max)),
        ("edge_mean", edge(Aggregation::Mean)),
    ]
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
    let graphs = Graphs::new(
        &golden["edge_index"],
        &golden["weighted"],
        &golden["weights"],
        nodes,
    );
    let layers = layers();
    let names = golden.keys().filter_map(|key| key.strip_suffix(".out"));
    assert_eq!(names.count(), layers.len(), "every case of the file has a layer");
    for (name, layer) in &layers {
        let part = |part: &str| -> BTreeMap<String, Tensor> {
            let prefix = format!("{name}.{part}.");
            let of = golden
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)));
            of.map(|(key, value)| (key.to_string(), value.clone())).collect()
        };
        let module = layer.module();
        module.load_state_dict(&part("state"), true).unwrap();
        let x = golden["x"].detach().requires_grad(true).unwrap();
        let out = layer.apply(&x, &graphs).unwrap();
        assert_close(&out.detach(), &golden[&format!("{name}.out")], name);
        let weighted = out.mul(&golden[&format!("{name}.gout")]).unwrap();
        weighted.sum().unwrap().backward().unwrap();
        let mut grads = part("grad");
        assert_close(&x.grad().unwrap(), &grads.remove("x").unwrap(), name);
        let parameters = module.named_parameters();
        assert_eq!(parameters.len(), grads.len(), "{name}");
        for (key, parameter) in parameters {
            let grad = parameter.grad().unwrap();
            assert_close(&grad, &grads[&key], &format!("{name}: {key}"));
            assert!(
                grad.abs().unwrap().max().unwrap().item::<f64>().unwrap() > 0.0,
                "{name}: {key}"
            );
        }
    }
}

#[test]
fn shared_weights_of_attention_have_both_names() {
    let golden = safetensors::from_bytes(include_bytes!("golden/pyg.safetensors")).unwrap();
    let mut layers = layers();
    layers.retain(|(name, _)| *name == "gatv2_shared");
    let (_, layer) = &layers[0];
    let module = layer.module();
    let prefix = "gatv2_shared.state.";
    let expected: BTreeMap<&str, &[usize]> = golden
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value.shape())))
        .collect();
    let state = module.state_dict();
    let state: BTreeMap<&str, &[usize]> = state.iter().map(|(k, v)| (k.as_str(), v.shape())).collect();
    assert_eq!(state, expected);
    assert!(state.contains_key("lin_l.weight") && state.contains_key("lin_r.weight"));
    // An optimiser gets them once, and both change together, in another type as well.
    let once: Vec<String> = module
        .named_parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(once, ["att", "bias", "lin_l.weight", "lin_l.bias"]);
    let (l, r) = ("lin_l.weight", "lin_r.weight");
    assert!(
        module
            .get_parameter(l)
            .unwrap()
            .same(module.get_parameter(r).unwrap())
    );
}

#[test]
fn graphs_without_edges_or_nodes_go_through_every_layer() {
    for nodes in [0, 3] {
        let none = Tensor::zeros((2, 0), DType::I64).unwrap();
        let graphs = Graphs::new(&none, &none, &Tensor::zeros(0, DType::F64).unwrap(), nodes);
        let x = Tensor::ones((nodes, INPUTS), DType::F64).unwrap();
        for (name, layer) in layers() {
            let out = layer.apply(&x, &graphs).unwrap();
            assert_eq!(out.shape()[0], nodes, "{name}");
            let finite = out
                .detach()
                .to_vec::<f64>()
                .unwrap()
                .iter()
                .all(|x| x.is_finite());
            assert!(finite, "{name}");
        }
    }
}

#[test]
fn features_of_other_nodes_are_refused_by_every_layer() {
    let index = Tensor::new([[0i64, 1], [1, 2]]).unwrap();
    let graphs = Graphs::new(&index, &index, &Tensor::ones(2, DType::F64).unwrap(), 3);
    for shape in [(4, INPUTS), (3, INPUTS + 1)] {
        let x = Tensor::ones(shape, DType::F64).unwrap();
        for (name, layer) in layers() {
            let error = layer.apply(&x, &graphs).unwrap_err().to_string();
            let width = (INPUTS + 1).to_string();
            let named =
                error.contains('4') && error.contains('3') || error.contains(&width) || error.contains("12");
            assert!(named, "{name}: {error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nodes_may_be_numbered_in_any_order(
        pairs in proptest::collection::vec((0i64..9, 0i64..9), 0..40),
        order in Just((0..9i64).collect::<Vec<_>>()).prop_shuffle(),
        seed in 0u64..1000,
    ) {
        let nodes = 9;
        random::fork(seed, || {
            let weights = Tensor::rand(pairs.len(), DType::F64).unwrap();
            let graphs = |name: &dyn Fn(i64) -> i64| {
                let ends = pairs.iter().map(|pair| name(pair.0)).chain(pairs.iter().map(|pair| name(pair.1)));
                let index = Tensor::from_vec(ends.collect::<Vec<_>>(), (2, pairs.len())).unwrap();
                Graphs::new(&index, &index, &weights, nodes)
            };
            // Node `i` becomes node `order[i]`.
            let (before, after) = (graphs(&|node| node), graphs(&|node| order[node as usize]));
            let order = Tensor::from_vec(order.clone(), nodes).unwrap();
            let x = Tensor::randn((nodes, INPUTS), DType::F64).unwrap();
            let moved = Tensor::zeros((nodes, INPUTS), DType::F64).unwrap().index_copy(0, &order, &x).unwrap();
            for (name, layer) in layers() {
                let expected = layer.apply(&x, &before).unwrap();
                let got = layer.apply(&moved, &after).unwrap().index_select(0, &order).unwrap();
                assert_close(&got.detach(), &expected.detach(), name);
            }
        });
    }
}
