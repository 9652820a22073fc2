//! Learns which facts of a knowledge graph are likely, and answers questions about it.
//!
//! ```sh
//! cargo run --release -p flambeau-graph --example knowledge_graph                              # what nations do to each other
//! cargo run --release -p flambeau-graph --example knowledge_graph -- --ask usa embassy         # … and to whom
//! cargo run --release -p flambeau-graph --example knowledge_graph -- --data path/to/umls
//! ```
//!
//! Entities and relations are complex vectors (ComplEx), which learn to tell the right tail of a triple from all others, and the right
//! head ("Canonical Tensor Decomposition for Knowledge Base Completion", Lacroix et al., 2018). What is reported is how high the
//! right ones stand on the test triples, without others that are right, too, after the epoch that is best on the validation triples.

mod common;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use common::{draw_curves, exit, finite, picture};
use flambeau_autograd::Backward;
use flambeau_graph::datasets::{Triples, triples};
use flambeau_graph::models::{ComplEx, RankScores};
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::{Embedding, Forward, Module, StateDict};
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::{Tensor, no_grad, random};

/// Learns which facts of a knowledge graph are likely
#[derive(Parser)]
#[command(name = "knowledge_graph")]
struct Args {
    /// A folder with train.txt, valid.txt and test.txt: head, relation and tail in each line, separated by tabs [default: the
    /// bundled nations]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Says the likeliest tails of this head and this relation, as train.txt names them
    #[arg(long, num_args = 2, value_names = ["HEAD", "RELATION"])]
    ask: Option<Vec<String>>,
    /// How often to go over the triples
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Triples of a batch
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// Complex numbers of an entity
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    hidden: u32,
    /// How much the cubes of those numbers' sizes cost
    #[arg(long, default_value_t = 0.03)]
    regularization: f64,
    /// Seed of the vectors and the order
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to draw the curves
    #[arg(long, value_name = "FILE", default_value = "knowledge_graph.png")]
    out: PathBuf,
}

fn main() -> ExitCode {
    exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/NATIONS");
    let graph = triples(args.data.as_ref().unwrap_or(&bundled))?;
    // A wrong name is said before anything is learnt.
    let question = args.ask.as_ref().map(|names| asked(&graph, names)).transpose()?;
    writeln!(
        stdout(),
        "{} entities, {} relations; {} triples to learn from, {} to choose the epoch by, {} to test on",
        graph.entities.len(),
        graph.relations.len(),
        graph.train.shape()[1],
        graph.valid.shape()[1],
        graph.test.shape()[1]
    )?;
    let model = random::fork(args.seed, || learn(args, &graph))?;
    match question {
        Some(question) => answer(&model, &graph, question),
        None => Ok(()),
    }
}

/// The numbers of an entity and a relation.
fn asked(graph: &Triples, names: &[String]) -> Result<[usize; 2]> {
    let number = |all: &[String], name: &str, kind: &str| {
        let number = all.iter().position(|other| other == name);
        number.with_context(|| format!("there is no {kind} {name:?}; there are {}", some(all)))
    };
    let [head, relation] = names else {
        anyhow::bail!("expected a head and a relation")
    };
    Ok([
        number(&graph.entities, head, "entity")?,
        number(&graph.relations, relation, "relation")?,
    ])
}

fn some(names: &[String]) -> String {
    let dots = if names.len() > 10 { ", …" } else { "" };
    format!("{}{dots}", names[..names.len().min(10)].join(", "))
}

fn learn(args: &Args, graph: &Triples) -> Result<ComplEx> {
    let model = ComplEx::new(graph.entities.len(), graph.relations.len(), args.hidden as usize)?;
    let options = AdamOptions {
        lr: 0.01,
        ..Default::default()
    };
    let mut optimizer = Adam::new(model.parameters(), options)?;
    let known = [&graph.train, &graph.valid, &graph.test];
    let measure = |part: &Tensor| -> Result<RankScores> {
        let (tails, heads) = (model.test(part, &known, 10)?, model.test_heads(part, &known, 10)?);
        Ok(RankScores {
            mean_rank: (tails.mean_rank + heads.mean_rank) / 2.0,
            mrr: (tails.mrr + heads.mrr) / 2.0,
            hits_at_k: (tails.hits_at_k + heads.hits_at_k) / 2.0,
        })
    };
    let count = graph.train.shape()[1];
    let (mut losses, mut validated) = (Vec::new(), Vec::new());
    let mut best: Option<(f64, u32, StateDict)> = None;
    for epoch in 1..=args.epochs {
        let order = Tensor::randperm(count)?;
        let (mut sum, mut batches) = (0.0, 0.0);
        for from in (0..count).step_by(args.batch_size as usize) {
            let length = (args.batch_size as usize).min(count - from);
            let batch = graph
                .train
                .index_select(1, &order.narrow(0, from as isize, length)?)?;
            optimizer.zero_grad();
            let loss = loss(&model, &batch, args.regularization)?;
            sum += finite(epoch, &loss)?;
            batches += 1.0;
            loss.backward()?;
            optimizer.step()?;
        }
        let scores = measure(&graph.valid)?;
        losses.push((f64::from(epoch), sum / batches));
        validated.push((f64::from(epoch), scores.mrr));
        if best.as_ref().is_none_or(|best| scores.mrr > best.0) {
            let state = model.state_dict();
            best = Some((scores.mrr, epoch, state));
        }
        if epoch % 20 == 0 || epoch == args.epochs {
            writeln!(
                stdout(),
                "epoch {epoch:3}: loss {:.4}, mean reciprocal rank on validation {:.4}",
                sum / batches,
                scores.mrr
            )?;
        }
    }
    let (_, epoch, state) = best.context("nothing was learnt")?;
    model.load_state_dict(&state, true)?;
    let scores = measure(&graph.test)?;
    writeln!(
        stdout(),
        "test, after epoch {epoch}, the best on validation: mean reciprocal rank {:.4}, {:.1}% among the first ten",
        scores.mrr,
        100.0 * scores.hits_at_k
    )?;
    picture(&args.out, (1000, 340), |area| {
        let (left, right) = area.split_horizontally(1000);
        draw_curves(&left, "Loss", ["epoch", ""], &[("triples learnt from", losses)])?;
        let curves = [("triples validated on", validated)];
        draw_curves(&right, "Mean reciprocal rank", ["epoch", ""], &curves)
    })?;
    writeln!(stdout(), "drew {}", args.out.display())?;
    Ok(model)
}

/// How surprising the tails and the heads are among all entities, and what the vectors' sizes cost.
fn loss(model: &ComplEx, batch: &Tensor, regularization: f64) -> flambeau_tensor::Result<Tensor> {
    let row = |row: isize| batch.select(0, row)?.contiguous();
    let (heads, relations, tails) = (row(0)?, row(1)?, row(2)?);
    let options = CrossEntropyOptions::default();
    let tail = cross_entropy(&model.score_tails(&heads, &relations)?, &tails, &options)?;
    let head = cross_entropy(&model.score_heads(&relations, &tails)?, &heads, &options)?;
    let cubes = |re: &Embedding, im: &Embedding, index: &Tensor| {
        let squares = re.forward(index)?.square()?.add(&im.forward(index)?.square()?)?;
        squares.pow(1.5)?.sum_dim(-1, false)?.mean()
    };
    let sizes = cubes(&model.node_emb, &model.node_emb_im, &heads)?
        .add(&cubes(&model.rel_emb, &model.rel_emb_im, &relations)?)?
        .add(&cubes(&model.node_emb, &model.node_emb_im, &tails)?)?;
    tail.add(&head)?.add(&sizes.mul(regularization)?)
}

/// Says the likeliest tails, and which of them the graph knows.
fn answer(model: &ComplEx, graph: &Triples, [head, relation]: [usize; 2]) -> Result<()> {
    let index = |number: usize| Tensor::new([number as i64]);
    let scores =
        no_grad(|| model.score_tails(&index(head)?, &index(relation)?)?.softmax(1))?.to_vec::<f32>()?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut known = Vec::new();
    for part in [&graph.train, &graph.valid, &graph.test] {
        let numbers = part.to_vec::<i64>()?;
        let count = part.shape()[1];
        let same = |i: &usize| numbers[*i] as usize == head && numbers[count + i] as usize == relation;
        known.extend((0..count).filter(same).map(|i| numbers[2 * count + i] as usize));
    }
    for &tail in order.iter().take(5) {
        let note = if known.contains(&tail) {
            ", as the graph has it"
        } else {
            ""
        };
        writeln!(
            stdout(),
            "{} {} {} ({:.0}%){note}",
            graph.entities[head],
            graph.relations[relation],
            graph.entities[tail],
            100.0 * scores[tail]
        )?;
    }
    Ok(())
}
