//! Finds edges of a graph that were taken away, by a graph autoencoder.
//!
//! ```sh
//! cargo run --release -p flambeau-graph --example link_prediction                  # roads between towns
//! cargo run --release -p flambeau-graph --example link_prediction -- --karate      # Zachary's karate club
//! cargo run --release -p flambeau-graph --example link_prediction -- --data path/to/cora
//! ```
//!
//! A tenth of the edges is taken away to be found, and a twentieth to choose the epoch by. What is reported is how well those are
//! told from as many pairs of nodes between which there is no edge: the area under the ROC curve, and average precision.

mod common;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use common::{COLORS, Dot, GREY, Line, draw_curves, draw_graph, exit, finite, layout::layout, picture};
use flambeau_autograd::Backward;
use flambeau_graph::datasets::{karate_club, planetoid};
use flambeau_graph::models::{GAE, GNN, LinkScores};
use flambeau_graph::transforms::{LinkGraph, LinkSplit, NormalizeFeatures, RandomLinkSplit, Size, Transform};
use flambeau_graph::utils::remove_self_loops;
use flambeau_graph::{Edges, GCNConv, GCNConvOptions, Graph};
use flambeau_nn::Module;
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::{DType, Tensor, no_grad, random};
use plotters::style::RGBColor;

/// Finds edges of a graph that were taken away
#[derive(Parser)]
#[command(name = "link_prediction")]
struct Args {
    /// A citation network: the folder with its files ind.NAME.…, or a .safetensors file [default: towns at random places, with
    /// roads to those nearby]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Zachary's karate club instead, which is small: there are seven edges to find, which say little
    #[arg(long, conflicts_with = "data")]
    karate: bool,
    /// How often to go over the graph
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Seed of the split, the weights and the pairs
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to draw the graph and the curves
    #[arg(long, value_name = "FILE", default_value = "link_prediction.png")]
    out: PathBuf,
}

fn main() -> ExitCode {
    exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let graph = match &args.data {
        Some(path) => NormalizeFeatures.apply(planetoid(path)?)?,
        None if args.karate => karate_club()?,
        None => random::fork(args.seed, || towns(240, 0.11))?,
    };
    let split = RandomLinkSplit {
        num_val: Size::Share(0.05),
        num_test: Size::Share(0.1),
        is_undirected: true,
        add_negative_train_samples: false,
        ..Default::default()
    };
    random::fork(args.seed, || {
        let split = split.split(&graph)?;
        let count = |part: &LinkGraph| -> Result<usize> { Ok(part.pairs()?.0.shape()[1]) };
        let (known, chosen_by, hidden) = (count(&split.train)?, count(&split.val)?, count(&split.test)?);
        ensure!(
            known > 0 && chosen_by > 0 && hidden > 0,
            "the graph is too small: {known} edges to learn from, {chosen_by} to choose the epoch by, {hidden} to find"
        );
        writeln!(
            stdout(),
            "{} nodes; {known} edges are known, {hidden} are to be found",
            graph.num_nodes
        )?;
        learn(args, &graph, &split)
    })
}

/// So many towns in a square, with roads between those that are not farther apart than `reach`. Of a town nothing is known but
/// which one it is.
fn towns(count: usize, reach: f64) -> Result<Graph> {
    let places = Tensor::rand((count, 2), DType::F64)?;
    let near = places.cdist(&places, 2.0)?.le(reach)?.nonzero()?.t()?;
    let (roads, _) = remove_self_loops(&near.contiguous()?, None)?;
    let mut graph = Graph::new(roads, count)?;
    graph.x = Some(Tensor::eye(count, count, DType::F32)?);
    graph.pos = Some(places);
    Ok(graph)
}

fn learn(args: &Args, graph: &Graph, split: &LinkSplit) -> Result<()> {
    let layer = |inputs, outputs| GCNConv::new(inputs, outputs, GCNConvOptions::default());
    let encoder = GNN::new(Tensor::relu, 0.0)?
        .push(layer(graph.num_features(), 32)?)
        .push(layer(32, 16)?);
    let model = GAE::new(encoder);
    let options = AdamOptions {
        lr: 0.01,
        ..Default::default()
    };
    let mut optimizer = Adam::new(model.parameters(), options)?;
    let edges = |part: &LinkGraph| part.graph.edges()?.with_self_loops();
    let known = edges(&split.train)?;
    let (found, _) = split.train.pairs()?;
    let measure = |part: &LinkGraph, edges: &Edges| -> Result<_> {
        let (with, without) = part.pairs()?;
        let z = no_grad(|| model.encoder.forward(graph.x()?, edges))?;
        Ok((model.test(&z, &with, &without)?, z))
    };
    let (mut losses, mut validated, mut tested) = (Vec::new(), Vec::new(), Vec::new());
    let mut best: Option<(f64, u32, LinkScores, Tensor)> = None;
    let known_to_test = edges(&split.test)?;
    for epoch in 1..=args.epochs {
        model.train();
        optimizer.zero_grad();
        let z = model.encoder.forward(graph.x()?, &known)?;
        let loss = model.recon_loss(&z, &found, None)?;
        losses.push((f64::from(epoch), finite(epoch, &loss)?));
        loss.backward()?;
        optimizer.step()?;
        model.eval();
        let (val, _) = measure(&split.val, &known)?;
        let (test, z) = measure(&split.test, &known_to_test)?;
        validated.push((f64::from(epoch), val.auc));
        tested.push((f64::from(epoch), test.auc));
        if best.as_ref().is_none_or(|best| val.auc + val.ap > best.0) {
            best = Some((val.auc + val.ap, epoch, test, z));
        }
        if epoch % 50 == 0 {
            writeln!(
                stdout(),
                "epoch {epoch:3}: loss {:.4}, validation AUC {:.4}",
                losses[losses.len() - 1].1,
                val.auc
            )?;
        }
    }
    if let Some((_, epoch, test, z)) = best {
        writeln!(
            stdout(),
            "test, after epoch {epoch}, the best on the validation edges: AUC {:.4}, average precision {:.4}",
            test.auc,
            test.ap
        )?;
        let curves = [("edges validated on", validated), ("edges tested on", tested)];
        let probabilities = |index: &Tensor| model.decoder().forward(&z, index, true)?.to_vec::<f32>();
        draw(&args.out, split, probabilities, losses, &curves)?;
    }
    Ok(())
}

/// Draws the graph with the edges that were to be found, and how that was learnt.
fn draw(
    path: &Path,
    split: &LinkSplit,
    probabilities: impl Fn(&Tensor) -> flambeau_tensor::Result<Vec<f32>>,
    losses: Vec<(f64, f64)>,
    scores: &[(&str, Vec<(f64, f64)>)],
) -> Result<()> {
    let pairs = |index: &Tensor| -> Result<Vec<[usize; 2]>> {
        let ends = index.to_vec::<i64>()?;
        let (sources, targets) = ends.split_at(ends.len() / 2);
        Ok(sources
            .iter()
            .zip(targets)
            .map(|(&s, &t)| [s as usize, t as usize])
            .collect())
    };
    let (test, without) = split.test.pairs()?;
    let (known, hidden) = (pairs(&split.train.pairs()?.0)?, pairs(&test)?);
    // Found is what is more likely than half of the pairs without an edge.
    let mut elsewhere = probabilities(&without)?;
    elsewhere.sort_by(f32::total_cmp);
    let threshold = elsewhere[elsewhere.len() / 2];
    let nodes = split.train.graph.num_nodes;
    let small = nodes <= 100;
    let mut lines: Vec<Line> = known
        .iter()
        .map(|&ends| Line {
            ends,
            color: GREY,
            width: 2,
        })
        .collect();
    for (&ends, p) in hidden.iter().zip(probabilities(&test)?) {
        let color = if p > threshold {
            COLORS[2]
        } else {
            RGBColor(200, 0, 0)
        };
        lines.push(Line {
            ends,
            color,
            width: if small { 6 } else { 2 },
        });
    }
    let all: Vec<[usize; 2]> = known.iter().chain(&hidden).copied().collect();
    let places = match &split.train.graph.pos {
        Some(pos) => pos
            .to_vec::<f64>()?
            .chunks_exact(2)
            .map(|p| [p[0], p[1]])
            .collect(),
        None => layout(nodes, &all),
    };
    let dot = Dot {
        fill: COLORS[0],
        ring: None,
        radius: if small {
            11
        } else if nodes < 500 {
            4
        } else {
            2
        },
    };
    let names: Vec<String> = (0..nodes).map(|node| node.to_string()).collect();
    let title = "Edges taken away: green where likelier than half of the non-edges, red where not";
    picture(path, (1180, 600), |area| {
        let (left, right) = area.split_horizontally(2 * 680);
        draw_graph(
            &left,
            title,
            &places,
            &lines,
            &vec![dot; nodes],
            if small { &names } else { &[] },
        )?;
        let (above, below) = right.split_vertically(600);
        draw_curves(&above, "Loss", ["epoch", ""], &[("edges learnt from", losses)])?;
        draw_curves(&below, "Area under the ROC curve", ["epoch", ""], scores)
    })?;
    writeln!(stdout(), "drew {}", path.display())?;
    Ok(())
}
