//! Learns the classes of all nodes of a graph from those of a few.
//!
//! ```sh
//! cargo run --release -p flambeau-graph --example node_classification                        # Zachary's karate club
//! cargo run --release -p flambeau-graph --example node_classification -- --data cora.safetensors --model gat --seeds 20
//! ```
//!
//! Two layers, learnt by Adam; what is reported is the test accuracy of the epoch that is best on the validation nodes. The
//! recipes are those of the papers: hidden features, dropout, learning rate and weight decay come with the model.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use flambeau_autograd::Backward;
use flambeau_graph::datasets::{NodeGraph, karate_club, planetoid};
use flambeau_graph::{Edges, GATConv, GATConvOptions, GCNConv, GCNConvOptions, SAGEConv, SAGEConvOptions};
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::{Dropout, Forward, Module};
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::{DType, Tensor, no_grad, random};

/// Learns the classes of all nodes of a graph from those of a few
#[derive(Parser)]
#[command(name = "node_classification")]
struct Args {
    /// A citation network as a .safetensors file [default: the karate club]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The convolution
    #[arg(long, value_enum, default_value_t = Model::Gcn)]
    model: Model,
    /// How often to go over the graph
    #[arg(long, default_value_t = 200)]
    epochs: usize,
    /// How many networks to train, with seeds from 0
    #[arg(long, default_value_t = 1)]
    seeds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Model {
    /// Graph convolutions (Kipf & Welling)
    Gcn,
    /// GraphSAGE with means (Hamilton et al.)
    Sage,
    /// Graph attention with eight heads (Veličković et al.)
    Gat,
}

impl Model {
    /// Learning rate, and the weight decay of both layers.
    fn recipe(self) -> (f64, [f64; 2]) {
        match self {
            Model::Gcn => (0.01, [5e-4, 0.0]),
            Model::Sage => (0.01, [5e-4, 5e-4]),
            Model::Gat => (0.005, [5e-4, 5e-4]),
        }
    }
}

/// Two layers of one kind.
enum Layers {
    Gcn([GCNConv; 2]),
    Sage([SAGEConv; 2]),
    Gat([GATConv; 2]),
}

struct Network {
    layers: Layers,
    dropout: Dropout,
}

impl Network {
    fn new(model: Model, inputs: usize, classes: usize) -> flambeau_tensor::Result<Network> {
        let (layers, dropout) = match model {
            Model::Gcn => {
                let layer = |inputs, outputs| GCNConv::new(inputs, outputs, GCNConvOptions::default());
                (Layers::Gcn([layer(inputs, 16)?, layer(16, classes)?]), 0.5)
            }
            Model::Sage => {
                let layer = |inputs, outputs| SAGEConv::new(inputs, outputs, SAGEConvOptions::default());
                (Layers::Sage([layer(inputs, 64)?, layer(64, classes)?]), 0.5)
            }
            Model::Gat => {
                let dropout = 0.6;
                let heads = GATConvOptions {
                    heads: 8,
                    dropout,
                    ..Default::default()
                };
                let last = GATConvOptions {
                    dropout,
                    ..Default::default()
                };
                let layers = [GATConv::new(inputs, 8, heads)?, GATConv::new(64, classes, last)?];
                (Layers::Gat(layers), dropout)
            }
        };
        Ok(Network {
            layers,
            dropout: Dropout::new(dropout)?,
        })
    }

    /// `[nodes, features] → [nodes, classes]`.
    fn forward(&self, x: &Tensor, edges: &Edges) -> flambeau_tensor::Result<Tensor> {
        let x = self.dropout.forward(x)?;
        match &self.layers {
            Layers::Gcn([first, second]) => {
                let h = self.dropout.forward(&first.forward(&x, edges)?.relu()?)?;
                second.forward(&h, edges)
            }
            Layers::Sage([first, second]) => {
                let h = self.dropout.forward(&first.forward(&x, edges)?.relu()?)?;
                second.forward(&h, edges)
            }
            Layers::Gat([first, second]) => {
                let h = self.dropout.forward(&first.forward(&x, edges)?.elu(1.0)?)?;
                second.forward(&h, edges)
            }
        }
    }

    fn modules(&self) -> [&dyn Module; 2] {
        match &self.layers {
            Layers::Gcn([first, second]) => [first, second],
            Layers::Sage([first, second]) => [first, second],
            Layers::Gat([first, second]) => [first, second],
        }
    }

    fn set_training(&self, training: bool) {
        for module in self.modules() {
            if training { module.train() } else { module.eval() }
        }
        if training {
            self.dropout.train()
        } else {
            self.dropout.eval()
        }
    }
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    let mut graph = match &args.data {
        Some(path) => planetoid(path)?,
        None => karate_club()?,
    };
    if args.model != Model::Sage {
        graph.edges = graph.edges.with_self_loops()?;
    }
    println!(
        "{} nodes, {} edges, {} features, {} classes; {} nodes to learn from",
        graph.edges.nodes(),
        graph.edges.len(),
        graph.x.shape()[1],
        graph.num_classes,
        graph.train_mask.to_dtype(DType::I64)?.sum()?.item::<i64>()?
    );
    let (mut accuracies, begin) = (Vec::new(), Instant::now());
    for seed in 0..args.seeds {
        let accuracy = random::fork(seed, || train(args, &graph))?;
        println!(
            "seed {seed:2}: {:.1}% of the test nodes are right",
            100.0 * accuracy
        );
        accuracies.push(100.0 * accuracy);
    }
    let runs = accuracies.len() as f64;
    let mean = accuracies.iter().sum::<f64>() / runs;
    let variance = accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (runs - 1.0).max(1.0);
    println!(
        "{:?}: {mean:.2}% ± {:.2}, {:.2} ms per epoch",
        args.model,
        variance.sqrt(),
        1e3 * begin.elapsed().as_secs_f64() / (runs * args.epochs as f64)
    );
    Ok(())
}

/// The test accuracy of the epoch that is best on the validation nodes.
fn train(args: &Args, graph: &NodeGraph) -> Result<f64> {
    let network = Network::new(args.model, graph.x.shape()[1], graph.num_classes)?;
    let (lr, decays) = args.model.recipe();
    let groups = network.modules().into_iter().zip(decays);
    let groups = groups.map(|(module, weight_decay)| {
        (
            module.parameters(),
            AdamOptions {
                lr,
                weight_decay,
                ..Default::default()
            },
        )
    });
    let mut optimizer = Adam::with_groups(groups)?;
    let learnt = graph.train_mask.nonzero()?.flatten(0, -1)?;
    let classes = graph.y.index_select(0, &learnt)?;
    let (mut best, mut reported) = (-1.0, 0.0);
    for _ in 0..args.epochs {
        network.set_training(true);
        optimizer.zero_grad();
        let scores = network
            .forward(&graph.x, &graph.edges)?
            .index_select(0, &learnt)?;
        cross_entropy(&scores, &classes, &CrossEntropyOptions::default())?.backward()?;
        optimizer.step()?;

        network.set_training(false);
        let answers = no_grad(|| network.forward(&graph.x, &graph.edges)?.argmax(Some(1), false))?;
        let right = answers.eq(&graph.y)?;
        let accuracy = |mask: &Tensor| -> Result<f64> {
            Ok(right
                .masked_select(mask)?
                .to_dtype(DType::F64)?
                .mean()?
                .item::<f64>()?)
        };
        let validated = accuracy(&graph.val_mask)?;
        if validated > best {
            (best, reported) = (validated, accuracy(&graph.test_mask)?);
        }
    }
    Ok(reported)
}
