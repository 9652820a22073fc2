//! Learns which class whole graphs belong to, by a graph isomorphism network, and draws some that it has not seen.
//!
//! ```sh
//! cargo run --release -p flambeau-graph --example graph_classification                          # the bundled motifs
//! cargo run --release -p flambeau-graph --example graph_classification -- --data path/to/MUTAG  # any TUDataset
//! ```
//!
//! The bundled graphs are trees to which a house or a ring of five is tied; nothing but the edges tells the two apart.
//! Graphs without features get a 1 for each node.

mod common;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use common::{COLORS, Dot, GREY, Line, draw_curves, draw_graph, exit, finite, layout::layout, picture};
use flambeau_autograd::Backward;
use flambeau_data::DataLoader;
use flambeau_graph::datasets::tu_dataset;
use flambeau_graph::{Batch, GINConv, GINConvOptions, Graph, global_add_pool};
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::{
    BatchNorm1d, BatchNormOptions, Dropout, Forward, Linear, LinearOptions, Module, ReLU, Sequential,
};
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::{DType, Tensor, no_grad, random};
use plotters::style::RGBColor;

/// Learns which class whole graphs belong to
#[derive(Parser)]
#[command(name = "graph_classification")]
struct Args {
    /// The folder of a dataset in the format of TUDataset [default: the bundled motifs]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// How often to go over the graphs
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Graphs of a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..))]
    batch_size: u32,
    /// Features of a node
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    hidden: u32,
    /// Seed of the split, the weights and the order
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to draw the curves and graphs
    #[arg(long, value_name = "FILE", default_value = "graph_classification.png")]
    out: PathBuf,
}

/// Three layers; what is known of a graph is what is known of its nodes, summed up after each (`GIN` of Xu et al.).
#[derive(Module)]
struct Network {
    convs: Vec<GINConv<Sequential>>,
    lin1: Linear,
    lin2: Linear,
    dropout: Dropout,
}

impl Network {
    fn new(inputs: usize, hidden: usize, classes: usize) -> flambeau_tensor::Result<Network> {
        let linear = |inputs, outputs| Linear::new(inputs, outputs, LinearOptions::default());
        let layer = |inputs| {
            let network = Sequential::new()
                .push(linear(inputs, hidden)?)
                .push(BatchNorm1d::new(hidden, BatchNormOptions::default())?)
                .push(ReLU)
                .push(linear(hidden, hidden)?)
                .push(ReLU);
            GINConv::new(network, GINConvOptions::default())
        };
        Ok(Network {
            convs: vec![layer(inputs)?, layer(hidden)?, layer(hidden)?],
            lin1: linear(3 * hidden, hidden)?,
            lin2: linear(hidden, classes)?,
            dropout: Dropout::new(0.3)?,
        })
    }

    /// The scores of the classes, `[graphs, classes]`.
    fn forward(&self, batch: &Batch) -> flambeau_tensor::Result<Tensor> {
        let edges = batch.graph.edges()?;
        let mut x = batch.graph.x()?.clone();
        let mut known = Vec::new();
        for conv in &self.convs {
            x = conv.forward(&x, &edges)?;
            known.push(global_add_pool(&x, batch)?);
        }
        let known = Tensor::cat(&known.iter().collect::<Vec<_>>(), 1)?;
        let hidden = self.lin1.forward(&known)?.relu()?;
        self.lin2.forward(&self.dropout.forward(&hidden)?)
    }
}

fn main() -> ExitCode {
    exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/MOTIFS");
    let mut graphs = tu_dataset(args.data.as_ref().unwrap_or(&bundled))?;
    for graph in &mut graphs {
        if graph.x.is_none() {
            graph.x = Some(Tensor::ones((graph.num_nodes, 1), DType::F32)?);
        }
    }
    ensure!(
        graphs.len() >= 10,
        "expected at least 10 graphs, got {}",
        graphs.len()
    );
    let classes = graphs
        .iter()
        .map(Graph::num_classes)
        .collect::<flambeau_tensor::Result<Vec<_>>>()?;
    let classes = classes.into_iter().max().context("no graphs")?;
    let features = graphs[0].num_features();
    random::fork(args.seed, || {
        let order = Tensor::randperm(graphs.len())?.to_vec::<i64>()?;
        let tested = graphs.len() / 5;
        let pick = |numbers: &[i64]| {
            numbers
                .iter()
                .map(|&i| graphs[i as usize].clone())
                .collect::<Vec<_>>()
        };
        let (test, train) = (pick(&order[..tested]), pick(&order[tested..]));
        writeln!(
            stdout(),
            "{} graphs of {classes} classes to learn from, {} to test on; {features} features",
            train.len(),
            test.len()
        )?;
        learn(args, train, test, features, classes)
    })
}

fn learn(args: &Args, train: Vec<Graph>, test: Vec<Graph>, features: usize, classes: usize) -> Result<()> {
    let model = Network::new(features, args.hidden as usize, classes)?;
    let options = AdamOptions {
        lr: 0.002,
        ..Default::default()
    };
    let mut optimizer = Adam::new(model.parameters(), options)?;
    let loader = DataLoader::builder(train)
        .batch_size(args.batch_size as usize)
        .shuffle(true)
        .seed(args.seed)
        // A batch norm can't do with one graph of one node.
        .drop_last(true)
        .collate(Batch::from_graphs)
        .build()?;
    let whole = Batch::from_graphs(test.clone())?;
    let truth = whole.graph.y()?.clone();
    let (mut losses, mut accuracies, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for epoch in 1..=args.epochs {
        model.train();
        let (mut sum, mut batches) = (0.0, 0.0);
        for batch in &loader {
            let batch = batch?;
            optimizer.zero_grad();
            let loss = cross_entropy(
                &model.forward(&batch)?,
                batch.graph.y()?,
                &CrossEntropyOptions::default(),
            )?;
            sum += finite(epoch, &loss)?;
            loss.backward()?;
            optimizer.step()?;
            batches += 1.0;
        }
        ensure!(
            batches > 0.0,
            "there are fewer graphs to learn from than a batch has"
        );
        model.eval();
        let said = no_grad(|| model.forward(&whole)?.argmax(Some(1), false))?;
        let accuracy = said.eq(&truth)?.to_dtype(DType::F64)?.mean()?.item::<f64>()?;
        losses.push((f64::from(epoch), sum / batches));
        accuracies.push((f64::from(epoch), accuracy));
        answers = said.to_vec::<i64>()?;
        if epoch % 10 == 0 || epoch == args.epochs {
            writeln!(
                stdout(),
                "epoch {epoch:3}: loss {:.4}, {:.1}% of the graphs to test on are right",
                sum / batches,
                100.0 * accuracy
            )?;
        }
    }
    draw(&args.out, &test, &answers, losses, accuracies)
}

/// Draws curves, and below them some graphs with what was said of them, wrong answers first.
fn draw(
    path: &Path,
    graphs: &[Graph],
    answers: &[i64],
    losses: Vec<(f64, f64)>,
    accuracies: Vec<(f64, f64)>,
) -> Result<()> {
    let truth = graphs
        .iter()
        .map(|graph| graph.y()?.to_vec::<i64>())
        .collect::<flambeau_tensor::Result<Vec<_>>>()?
        .concat();
    let mut shown: Vec<usize> = (0..graphs.len()).collect();
    shown.sort_by_key(|&i| answers[i] == truth[i]);
    picture(path, (1000, 860), |area| {
        let (above, below) = area.split_vertically(2 * 340);
        let (left, right) = above.split_horizontally(1000);
        draw_curves(&left, "Loss", ["epoch", ""], &[("graphs learnt from", losses)])?;
        draw_curves(
            &right,
            "Accuracy",
            ["epoch", ""],
            &[("graphs tested on", accuracies)],
        )?;
        for (cell, &i) in below.split_evenly((2, 4)).iter().zip(&shown) {
            let ends = graphs[i].edge_index.to_vec::<i64>()?;
            let (sources, targets) = ends.split_at(ends.len() / 2);
            let pairs = sources
                .iter()
                .zip(targets)
                .map(|(&s, &t)| [s as usize, t as usize]);
            let pairs: Vec<[usize; 2]> = pairs.filter(|[s, t]| s < t).collect();
            let line = |&ends: &[usize; 2]| Line {
                ends,
                color: GREY,
                width: 3,
            };
            let fill = match answers[i] == truth[i] {
                true => COLORS[truth[i] as usize % COLORS.len()],
                false => RGBColor(200, 0, 0),
            };
            let dot = Dot {
                fill,
                ring: None,
                radius: 5,
            };
            let title = match answers[i] == truth[i] {
                true => format!("class {}: right", truth[i]),
                false => format!("class {}, taken for {}", truth[i], answers[i]),
            };
            let places = layout(graphs[i].num_nodes, &pairs);
            let lines: Vec<Line> = pairs.iter().map(line).collect();
            draw_graph(
                cell,
                &title,
                &places,
                &lines,
                &vec![dot; graphs[i].num_nodes],
                &[],
            )?;
        }
        Ok(())
    })?;
    writeln!(stdout(), "drew {}", path.display())?;
    Ok(())
}
