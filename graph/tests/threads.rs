//! The number of threads changes no bit of what layers compute.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_graph::models::{Convolution, GNN};
use flambeau_graph::{Aggregation, Edges, GATConv, GATConvOptions, GCNConv, SAGEConv, SAGEConvOptions};
use flambeau_nn::Module;
use flambeau_tensor::pool::set_num_threads;
use flambeau_tensor::{DType, Tensor, random};

#[test]
fn threads_change_no_bit() {
    let nodes = 3000;
    let (index, x) = random::fork(2, || {
        (
            Tensor::randint(0, nodes, (2, 60_000)).unwrap(),
            Tensor::randn((nodes as usize, 24), DType::F32).unwrap(),
        )
    });
    let edges = Edges::new(&index, nodes as usize).unwrap();
    let gat = GATConvOptions {
        heads: 3,
        ..Default::default()
    };
    let largest = SAGEConvOptions {
        aggregation: Aggregation::Max,
        ..Default::default()
    };
    let bits = |threads: usize| -> Vec<Vec<u32>> {
        set_num_threads(threads);
        let layers: [Box<dyn Convolution>; 3] = random::fork(3, || -> [Box<dyn Convolution>; 3] {
            [
                Box::new(GCNConv::new(24, 24, Default::default()).unwrap()),
                Box::new(GATConv::new(24, 8, gat).unwrap()),
                Box::new(SAGEConv::new(24, 24, largest).unwrap()),
            ]
        });
        let mut model = GNN::new(Tensor::relu, 0.0).unwrap();
        model.convs.extend(layers);
        let leaf = x.detach().requires_grad(true).unwrap();
        let out = model.forward(&leaf, &edges).unwrap();
        out.square().unwrap().sum().unwrap().backward().unwrap();
        let grads = model
            .parameters()
            .into_iter()
            .map(|parameter| parameter.grad().unwrap());
        let all = [out.detach(), leaf.grad().unwrap()].into_iter().chain(grads);
        all.map(|tensor| {
            tensor
                .to_vec::<f32>()
                .unwrap()
                .into_iter()
                .map(f32::to_bits)
                .collect()
        })
        .collect()
    };
    let one = bits(1);
    assert!(one.iter().flatten().any(|&bits| bits != 0));
    for threads in [2, 5] {
        assert!(bits(threads) == one, "{threads} threads");
    }
}
