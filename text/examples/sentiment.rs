//! Says of texts to which class they belong, and learns it from examples.
//!
//! ```sh
//! cargo run --release -p flambeau-text --example sentiment                                  # two e-mails, bundled weights
//! cargo run --release -p flambeau-text --example sentiment -- predict "You won! Click here" --json
//! cargo run --release -p flambeau-text --example sentiment -- train --data spam_assassin.jsonl.gz --out spam_or_ham --test
//! ```
//!
//! The network is a bidirectional LSTM over words (see [`flambeau_text::classifiers::LSTMClassifier`]). A tenth of the texts says which
//! epoch's weights are the best; every fifth is held out, neither learnt from nor chosen by, and measured once if `--test` asks for it.
//! The bundled weights, for spam and ham, and what they reach are described in `text/references/spam_or_ham/README.md`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use flambeau_autograd::Backward;
use flambeau_data::sampler::{BucketSampler, Pass, Sampler};
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_nn::{Module, StateDict};
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::random::{self, Generator};
use flambeau_tensor::{Tensor, no_grad};
use flambeau_text::classifiers::{Description, TextClassifier};
use flambeau_text::datasets::{Labelled, json_lines};
use flambeau_text::metrics::{accuracy, f1};
use flambeau_text::tokenize::{Vocab, VocabOptions, basic_english, pad};

/// Says of texts to which class they belong
#[derive(Parser)]
#[command(name = "sentiment")]
struct Args {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Classify texts
    Predict(Predict),
    /// Learn from examples
    Train(Train),
}

#[derive(clap::Args, Default)]
struct Predict {
    /// The texts [default: two e-mails]
    texts: Vec<String>,
    /// The two files of a training, without their endings [default: the bundled ones, for spam and ham]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Print one JSON array instead of text
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Train {
    /// JSON lines with texts and a class, packed by gzip or not
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The fields that are joined to the text
    #[arg(long, value_delimiter = ',', default_value = "subject,text")]
    fields: Vec<String>,
    /// The field of the class
    #[arg(long, default_value = "label")]
    label: String,
    /// The classes
    #[arg(long, value_delimiter = ',', default_value = "ham,spam")]
    classes: Vec<String>,
    /// The two files that are written, without their endings
    #[arg(long, value_name = "PATH", default_value = "classifier")]
    out: PathBuf,
    /// How often to go over the texts
    #[arg(long, default_value_t = 12)]
    epochs: usize,
    /// How many texts to learn from at once
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// The learning rate at first; it falls to zero along a cosine
    #[arg(long, default_value_t = 6e-3)]
    lr: f64,
    /// How many words there are in the vocabulary
    #[arg(long, default_value_t = 8000)]
    words: usize,
    /// How many words of a text are read
    #[arg(long, default_value_t = 256)]
    max_length: usize,
    /// Features of a word
    #[arg(long, default_value_t = 32)]
    embedding: usize,
    /// Features of a hidden state
    #[arg(long, default_value_t = 64)]
    hidden: usize,
    /// How many layers there are
    #[arg(long, default_value_t = 1)]
    layers: usize,
    /// Dropout
    #[arg(long, default_value_t = 0.5)]
    dropout: f64,
    /// The seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Measure the weights on the fifth that is held out, once all choices are made
    #[arg(long)]
    test: bool,
}

const EMAILS: [&str; 2] = [
    "Meeting on Thursday. Hi Anna, could we move the meeting to three o'clock? I'd like to go through the patch for the \
     mailing list first. Thanks, Tom",
    "CONGRATULATIONS!!! You have been selected. Click here to claim your FREE $1000 gift now! Limited time offer, no \
     obligation, 100% guaranteed. To be removed from our list reply with remove in the subject.",
];

fn main() {
    let result = match Args::parse().task {
        None => predict(&Predict::default()),
        Some(Task::Predict(args)) => predict(&args),
        Some(Task::Train(args)) => random::fork(args.seed, || train(&args)),
    };
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn predict(args: &Predict) -> Result<()> {
    let classifier = match &args.model {
        Some(path) => TextClassifier::load(path)?,
        None => TextClassifier::spam_or_ham()?,
    };
    let texts: Vec<&str> = match &args.texts[..] {
        [] => EMAILS.to_vec(),
        texts => texts.iter().map(String::as_str).collect(),
    };
    let answers = classifier.predict(&texts)?;
    if args.json {
        println!("{}", serde_json::to_string(&answers)?);
        return Ok(());
    }
    for (text, answer) in texts.iter().zip(&answers) {
        let short: String = text.chars().take(60).collect();
        let best = answer.first().context("no class")?;
        println!("{:5.1}% {}: {short}…", 100.0 * best.probability, best.class);
    }
    Ok(())
}

/// Texts as numbers of words, with their classes.
struct Texts {
    ids: Vec<Vec<i64>>,
    labels: Vec<i64>,
}

impl Texts {
    fn new(classifier: &TextClassifier, texts: &[&Labelled]) -> Result<Texts> {
        let ids = texts.iter().map(|text| classifier.ids(&text.text));
        Ok(Texts {
            ids: ids.collect::<Result<_, _>>()?,
            labels: texts.iter().map(|text| text.label).collect(),
        })
    }

    /// Texts of one length, their lengths, and their classes.
    fn batch(&self, picked: &[usize]) -> Result<(Tensor, Vec<usize>, Tensor)> {
        let ids: Vec<&[i64]> = picked.iter().map(|&i| &self.ids[i][..]).collect();
        let labels: Vec<i64> = picked.iter().map(|&i| self.labels[i]).collect();
        let (ids, lengths) = pad(&ids, 0, None)?;
        Ok((ids, lengths, Tensor::from_slice(&labels, labels.len())?))
    }

    fn buckets(&self, batch_size: usize) -> Result<BucketSampler> {
        Ok(BucketSampler::new(
            self.ids.iter().map(Vec::len).collect(),
            batch_size,
        )?)
    }
}

fn train(args: &Train) -> Result<()> {
    let begin = Instant::now();
    let classes: Vec<&str> = args.classes.iter().map(String::as_str).collect();
    let fields: Vec<&str> = args.fields.iter().map(String::as_str).collect();
    let texts = json_lines(&args.data, &fields, &args.label, &classes)?;
    ensure!(
        texts.len() >= 10 && args.epochs > 0 && args.batch_size > 0,
        "{}: {} texts in batches of {} for {} epochs are too few",
        args.data.display(),
        texts.len(),
        args.batch_size,
        args.epochs
    );
    let part = |which: Part| -> Vec<&Labelled> {
        let of_part = texts.iter().enumerate().filter(|(i, _)| Part::of(*i) == which);
        of_part.map(|(_, text)| text).collect()
    };
    let (learnt, chosen_by, held_out) = (part(Part::Learn), part(Part::Choose), part(Part::Test));
    let options = VocabOptions {
        min_freq: 2,
        max_tokens: Some(args.words),
        specials: &["<pad>", "<unk>"],
        default: Some("<unk>"),
    };
    let vocab = Vocab::build(learnt.iter().map(|text| basic_english(&text.text)), &options)?;
    let mut classifier = TextClassifier::new(Description {
        classes: args.classes.clone(),
        max_length: args.max_length,
        embedding_dim: args.embedding,
        hidden_dim: args.hidden,
        n_layers: args.layers,
        dropout: args.dropout,
        recipe: String::new(),
        tokens: vocab.tokens().to_vec(),
    })?;
    let [learnt, chosen_by, held_out] =
        [learnt, chosen_by, held_out].map(|part| Texts::new(&classifier, &part));
    let (learnt, chosen_by, held_out) = (learnt?, chosen_by?, held_out?);
    println!(
        "{} texts to learn from, {} to choose by, {} held out, {} words, {} parameters",
        learnt.ids.len(),
        chosen_by.ids.len(),
        held_out.ids.len(),
        vocab.len(),
        classifier.model.num_parameters(true)
    );
    let options = AdamOptions {
        lr: args.lr,
        ..AdamOptions::default()
    };
    let mut optimizer = Adam::new(classifier.model.parameters(), options)?;
    let buckets = learnt.buckets(args.batch_size)?;
    let mut generator = Generator::new(args.seed);
    let steps = (args.epochs * buckets.len()).max(1);
    let mut step = 0;
    let mut best: Option<(Measured, usize, StateDict)> = None;
    for epoch in 0..args.epochs {
        classifier.model.train();
        let mut sum = 0.0;
        let batches = buckets.draw(&mut Pass::new(epoch as u64, &mut generator))?;
        for picked in &batches {
            let (ids, lengths, labels) = learnt.batch(picked)?;
            let scores = classifier.model.forward(&ids, Some(&lengths))?;
            let loss = cross_entropy(&scores, &labels, &CrossEntropyOptions::default())?;
            optimizer.zero_grad();
            loss.backward()?;
            clip_grad_norm_(&classifier.model.parameters(), 1.0, 2.0, false)?;
            let cosine = (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos()) / 2.0;
            for group in optimizer.param_groups_mut() {
                group.set_lr(args.lr * cosine);
            }
            optimizer.step()?;
            sum += loss.item::<f32>()?;
            step += 1;
        }
        let reached = Measured::of(&classifier, &chosen_by, args.batch_size)?;
        println!(
            "epoch {}: loss {:.4}; validation: loss {:.4}, {}; {:.0} s",
            epoch + 1,
            sum / batches.len() as f32,
            reached.loss,
            reached.says(&chosen_by, &classes),
            begin.elapsed().as_secs_f64()
        );
        if best.as_ref().is_none_or(|(least, ..)| reached.loss < least.loss) {
            best = Some((reached, epoch + 1, copied(&classifier)?));
        }
    }
    let (reached, epoch, weights) = best.context("the loss was no number after any epoch")?;
    classifier.model.load_state_dict(&weights, true)?;
    let mut says = format!("validation: {}", reached.says(&chosen_by, &classes));
    if args.test {
        let tested = Measured::of(&classifier, &held_out, args.batch_size)?;
        says += &format!("; held out: {}", tested.says(&held_out, &classes));
    }
    println!("weights of epoch {epoch}: {says}");
    classifier.set_recipe(format!(
        "epoch {epoch} of {} over {} texts, batches of {}, Adam from {}, dropout {}, seed {}: {says}",
        args.epochs,
        learnt.ids.len(),
        args.batch_size,
        args.lr,
        args.dropout,
        args.seed
    ));
    classifier.save(&args.out)?;
    println!("written: {0}.json and {0}.safetensors", args.out.display());
    Ok(())
}

/// What a text is for.
#[derive(PartialEq)]
enum Part {
    Learn,
    Choose,
    Test,
}

impl Part {
    fn of(number: usize) -> Part {
        match number % 10 {
            4 | 9 => Part::Test,
            0 => Part::Choose,
            _ => Part::Learn,
        }
    }
}

/// The weights as they are now.
fn copied(classifier: &TextClassifier) -> Result<StateDict> {
    let own = classifier.model.state_dict().into_iter();
    own.map(|(name, tensor)| Ok((name, tensor.detach().copy()?)))
        .collect()
}

/// How good a classifier is.
struct Measured {
    loss: f64,
    accuracy: f64,
    /// Of the last class.
    f1: f64,
}

impl Measured {
    fn of(classifier: &TextClassifier, texts: &Texts, batch_size: usize) -> Result<Measured> {
        classifier.model.eval();
        let order: Vec<usize> = (0..texts.ids.len()).collect();
        let (mut sum, mut answers) = (0.0, Vec::new());
        for picked in order.chunks(batch_size) {
            let (ids, lengths, labels) = texts.batch(picked)?;
            let scores = no_grad(|| classifier.model.forward(&ids, Some(&lengths)))?;
            let loss = cross_entropy(&scores, &labels, &CrossEntropyOptions::default())?;
            sum += f64::from(loss.item::<f32>()?) * picked.len() as f64;
            answers.extend(scores.argmax(Some(1), false)?.to_vec::<i64>()?);
        }
        let last = classifier.description().classes.len() as i64 - 1;
        Ok(Measured {
            loss: sum / order.len() as f64,
            accuracy: accuracy(&answers, &texts.labels)?,
            f1: f1(&answers, &texts.labels, last)?.f1,
        })
    }

    fn says(&self, texts: &Texts, classes: &[&str]) -> String {
        format!(
            "{:.2}% of {} texts are right, F1 of {} {:.4}",
            100.0 * self.accuracy,
            texts.ids.len(),
            classes.last().copied().unwrap_or_default(),
            self.f1
        )
    }
}
