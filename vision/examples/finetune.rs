//! Teaches a pretrained model to tell your own pictures apart.
//!
//! ```sh
//! cargo run --release -p flambeau-vision --example finetune -- flowers
//! cargo run --release -p flambeau-vision --example classify -- tulip.jpg --weights runs/finetune/model.safetensors
//! ```
//!
//! `flowers` has a folder of pictures for each class, or two folders `train` and `val` that have. First a new head learns on
//! the frozen backbone, then everything learns, ten times more slowly. Everything that comes of a run is written to `--out`:
//! the best weights, which say themselves what they are (`model.safetensors`), a checkpoint that `--resume` goes on from
//! exactly where it was, also after Ctrl-C (`last.safetensors`), the measurements (`log.csv`) and their curves (`curves.png`).

#[path = "common/mod.rs"]
mod common;
#[path = "common/measure.rs"]
mod measure;
#[path = "common/weights.rs"]
mod weights;

use std::f64::consts::PI;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use flambeau_autograd::{Backward, no_grad};
use flambeau_data::formats::folder::ImageFolder;
use flambeau_data::{DataLoader, Dataset, LoaderState, random_split_by_fractions};
use flambeau_nn::Module;
use flambeau_optim::{AdamW, AdamWOptions, Optimizer};
use flambeau_tensor::ops::loss::{CrossEntropyOptions, cross_entropy};
use flambeau_tensor::random::{self, Generator};
use flambeau_tensor::{Result as TensorResult, Tensor};
use flambeau_trainer::{Chart, Checkpoint, Interrupt, Run, RunOptions};
use flambeau_vision::models::{Classifier, Outputs};
use flambeau_vision::pretrained::Preparation;
use flambeau_vision::transforms::{
    Compose, Normalize, RandomHorizontalFlip, RandomResizedCrop, ResizeOptions, ToDtype, Transform,
};
use serde::Serialize;

use measure::{Loader, Progress, Sums, evaluate};
use weights::Choice;

/// Teaches a pretrained model to tell your own pictures apart
#[derive(Clone, Debug, Parser, Serialize)]
#[command(name = "finetune")]
struct Args {
    /// A folder with a folder of pictures for each class, or with folders `train` and `val` that have these
    data: PathBuf,
    /// The model, such as resnet50; the example `models` lists all [default: the best on this machine, else a bundled one]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// A file with weights, or a repository on Hugging Face (owner/name) [default: the model's published weights]
    #[arg(long, value_name = "FILE|REPO")]
    weights: Option<String>,
    /// Which of the model's published weights, such as IMAGENET1K_V1 [default: what the file's name says, or the best]
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// Epochs in which the new head learns alone
    #[arg(long, value_name = "N", default_value_t = 3)]
    head_epochs: usize,
    /// Epochs in which everything learns
    #[arg(long, value_name = "N", default_value_t = 5)]
    epochs: usize,
    /// Pictures per step
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch_size: usize,
    /// The learning rate of the head; when everything learns, it is a tenth of it
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// How strongly weights are pulled to zero
    #[arg(long, default_value_t = 1e-2)]
    weight_decay: f64,
    /// The part of each class's pictures to measure with, if there is no folder `val`
    #[arg(long, value_name = "PART", default_value_t = 0.2)]
    val: f64,
    /// Height and width of the images that the model sees [default: those of the weights]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Threads that prepare pictures
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: usize,
    /// Seed of the head, the split, the order of the pictures and their variation
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder for everything that comes of the run
    #[arg(long, value_name = "FOLDER", default_value = "runs/finetune")]
    out: PathBuf,
    /// Go on from the checkpoint in `--out`
    #[arg(long)]
    #[serde(skip)]
    resume: bool,
    /// Print the result as JSON, and nothing else
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

const COLUMNS: [&str; 5] = [
    "lr",
    "train_loss",
    "val_loss",
    "val_accuracy",
    "images_per_second",
];

fn main() -> ExitCode {
    let args = Args::parse();
    common::exit(finetune(&args).map(|outcome| {
        if let (Some(outcome), true) = (outcome, args.json) {
            println!("{outcome}");
        }
    }))
}

/// Trains; returns what came of it as JSON, or nothing if Ctrl-C ended it.
fn finetune(args: &Args) -> Result<Option<serde_json::Value>> {
    ensure!(args.batch_size > 0, "--batch-size 0: expected at least 1");
    ensure!(args.size != Some(0), "--size 0: expected at least 1");
    ensure!(
        args.head_epochs + args.epochs > 0,
        "--head-epochs 0 and --epochs 0: nothing is to be learnt"
    );
    random::manual_seed(args.seed);
    // Before anything is downloaded.
    let pictures = Pictures::open(args)?;
    let Choice { classifier, weights } = weights::choose(
        args.model.as_deref(),
        args.weights.as_deref(),
        args.member.as_deref(),
    )?;
    let mut description = classifier.description().clone();
    description.categories = pictures.classes.clone();
    description.preparation = sized(description.preparation, args.size);
    let data = Data::new(&pictures, description.preparation, args)?;
    let mut model = classifier.into_model();
    model.reset_classifier(pictures.classes.len())?;
    let options = AdamWOptions {
        lr: args.lr,
        weight_decay: args.weight_decay,
        ..Default::default()
    };
    let optimizer = AdamW::new(model.parameters(), options)?;
    let mut trainer = Trainer {
        model,
        optimizer: Box::new(optimizer),
        done: Progress::default(),
        best: -1.0,
    };
    let interrupt = Interrupt::new()?;
    let (mut run, checkpoint) = Run::open(RunOptions {
        folder: &args.out,
        settings: serde_json::to_value(args)?,
        changeable: &["data", "out", "workers"],
        columns: &COLUMNS,
        resume: args.resume,
        quiet: args.json,
    })?;
    if let Some(checkpoint) = checkpoint {
        trainer.restore(&checkpoint)?;
    }
    let best = run.folder().join("model.safetensors");
    run.say(&format!(
        "{} with {weights}: {} classes, {} pictures to learn from, {} to measure with",
        description.model,
        pictures.classes.len(),
        pictures.train.len(),
        pictures.val.len()
    ));

    let (epochs, steps) = (args.head_epochs + args.epochs, data.train.len().unwrap_or(0));
    while trainer.done.epoch < epochs {
        let begun = trainer.done.loader.as_ref().map_or(0, LoaderState::batches);
        let mut bar = run.epoch(trainer.done.epoch + 1, steps, begun, "images");
        let mut batches = match trainer.done.loader.take() {
            Some(state) => data.train.resume(&state)?,
            None => data.train.iter(),
        };
        let mut step = begun as usize;
        while let Some(batch) = batches.next() {
            let (x, y) = batch?;
            let images = y.numel();
            let loss = trainer.step(args, step as f64 / steps as f64, &x, &y)?;
            step += 1;
            trainer.done.train.add(loss, None, images);
            bar.step(images, trainer.done.train.loss());
            if interrupt.requested() {
                trainer.done.loader = Some(batches.state());
                trainer.done.epoch_seconds += bar.finish();
                run.save(trainer.checkpoint()?)?;
                run.say(&format!(
                    "stopped: --resume goes on from {}",
                    run.checkpoint().display()
                ));
                return Ok(None);
            }
        }
        let seconds = std::mem::take(&mut trainer.done.epoch_seconds) + bar.finish();
        trainer.done.seconds += seconds;
        trainer.done.epoch += 1;
        let train = std::mem::take(&mut trainer.done.train);
        let val = evaluate(&*trainer.model, &data.val)?;
        write_row(&mut run, &trainer, train, val, seconds)?;
        // Of equally good weights, the later ones have seen more.
        if val.accuracy() >= trainer.best {
            trainer.best = val.accuracy();
            description.save(&best, &trainer.model.state_dict())?;
        }
        run.save(trainer.checkpoint()?)?;
    }
    run.say(&format!(
        "{:.2}% of {} pictures are right; the weights are in {}",
        100.0 * trainer.best,
        pictures.val.len(),
        best.display()
    ));
    Ok(Some(serde_json::json!({
        "model": description.model,
        "classes": pictures.classes,
        "accuracy": trainer.best,
        "epochs": trainer.done.epoch,
        "seconds": trainer.done.seconds,
        "weights": best,
    })))
}

/// What is trained, and how far it has come.
struct Trainer {
    model: Box<dyn Classifier>,
    optimizer: Box<dyn Optimizer>,
    done: Progress,
    /// The accuracy of the best weights.
    best: f64,
}

impl Trainer {
    /// Learns from one batch, at a part of the epoch from 0 to 1; returns the loss.
    fn step(&mut self, args: &Args, part: f64, x: &Tensor, y: &Tensor) -> Result<f64> {
        let head_only = self.done.epoch < args.head_epochs;
        // Down along a cosine, once for the head and once for everything.
        let (highest, begin, length) = match head_only {
            true => (args.lr, 0, args.head_epochs),
            false => (args.lr / 10.0, args.head_epochs, args.epochs),
        };
        let done = ((self.done.epoch - begin) as f64 + part) / length as f64;
        for group in self.optimizer.param_groups_mut() {
            group.set_lr(highest * (1.0 + (PI * done).cos()) / 2.0);
        }
        self.optimizer.zero_grad();
        let outputs = if head_only {
            // The backbone stays as it is, its statistics too: what it makes of the images is a constant.
            self.model.eval();
            let features = no_grad(|| self.model.forward_features(x))?;
            Outputs {
                logits: self.model.forward_head(&features)?,
                auxiliary: Vec::new(),
            }
        } else {
            self.model.train();
            self.model.forward_outputs(x)?
        };
        let options = CrossEntropyOptions {
            label_smoothing: 0.1,
            ..Default::default()
        };
        let mut loss = cross_entropy(&outputs.logits, y, &options)?;
        for auxiliary in &outputs.auxiliary {
            loss = loss.add(&cross_entropy(auxiliary, y, &options)?.mul(0.3)?)?;
        }
        loss.backward()?;
        // What has no gradient does not move.
        self.optimizer.step()?;
        Ok(loss.item_f64()?)
    }

    /// Everything that the run depends on.
    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set_tensors("model", self.model.state_dict())?;
        checkpoint.set_optimizer("optimizer", &self.optimizer.state_dict()?)?;
        checkpoint.set("progress", &self.done)?;
        checkpoint.set("best", &self.best)?;
        Ok(checkpoint)
    }

    /// Goes back to where a checkpoint was made.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.model.load_state_dict(&checkpoint.tensors("model")?, true)?;
        self.optimizer
            .load_state_dict(&checkpoint.optimizer("optimizer")?)?;
        self.done = checkpoint.get("progress")?;
        self.best = checkpoint.get("best")?;
        Ok(())
    }
}

/// Writes down what an epoch came to.
fn write_row(run: &mut Run, trainer: &Trainer, train: Sums, val: Sums, seconds: f64) -> Result<()> {
    let speed = train.images as f64 / seconds;
    let lr = trainer.optimizer.param_groups()[0].lr();
    run.row(&[lr, train.loss(), val.loss(), val.accuracy(), speed])?;
    run.draw(&[
        Chart {
            title: "loss",
            scale: 1.0,
            curves: &[("train_loss", "training"), ("val_loss", "validation")],
        },
        Chart {
            title: "accuracy (%)",
            scale: 100.0,
            curves: &[("val_accuracy", "validation")],
        },
    ])?;
    run.say(&format!(
        "epoch {:3}: loss {:.4}, accuracy {:.2}%, {speed:.0} images/s",
        trainer.done.epoch,
        train.loss(),
        100.0 * val.accuracy()
    ));
    Ok(())
}

/// The files, and what the classes are called.
struct Pictures {
    classes: Vec<String>,
    train: Vec<(PathBuf, i64)>,
    val: Vec<(PathBuf, i64)>,
}

impl Pictures {
    fn open(args: &Args) -> Result<Pictures> {
        let root = &args.data;
        if !root.join("train").is_dir() {
            return Pictures::split(&ImageFolder::new(root)?, args);
        }
        let train = ImageFolder::new(root.join("train"))?;
        let known = ["val", "valid", "validation", "test"].map(|name| root.join(name));
        let Some(val) = known.iter().find(|folder| folder.is_dir()) else {
            return Pictures::split(&train, args);
        };
        let val = ImageFolder::new(val)?;
        ensure!(
            train.classes() == val.classes(),
            "{}: the classes to learn are {:?}, those to measure with {:?}",
            root.display(),
            train.classes(),
            val.classes()
        );
        Ok(Pictures {
            classes: train.classes().to_vec(),
            train: train.samples().to_vec(),
            val: val.samples().to_vec(),
        })
    }

    /// Keeps back a part of the pictures of each class, at least one.
    fn split(folder: &ImageFolder, args: &Args) -> Result<Pictures> {
        ensure!(
            args.val > 0.0 && args.val < 1.0,
            "--val {}: expected a part between 0 and 1",
            args.val
        );
        let mut pictures = Pictures {
            classes: folder.classes().to_vec(),
            train: Vec::new(),
            val: Vec::new(),
        };
        let mut generator = Generator::new(args.seed);
        for (number, class) in (0i64..).zip(folder.classes()) {
            let of_class = folder.samples().iter().filter(|(_, class)| *class == number);
            let of_class: Vec<(PathBuf, i64)> = of_class.cloned().collect();
            let count = of_class.len();
            ensure!(
                count > 1,
                "{class}: one picture is not enough to learn from and to measure with"
            );
            let kept = ((count as f64 * args.val).round() as usize).clamp(1, count - 1);
            let order = random_split_by_fractions(of_class, &[1.0], &mut generator)?.remove(0);
            for at in 0..count {
                let part = if at < kept {
                    &mut pictures.val
                } else {
                    &mut pictures.train
                };
                part.push(order.get(at)?);
            }
        }
        Ok(pictures)
    }
}

/// The pictures, ready for the model.
struct Data {
    train: Loader,
    val: Loader,
}

impl Data {
    fn new(pictures: &Pictures, preparation: Preparation, args: &Args) -> Result<Data> {
        let (train, val) = (Arc::new(varied(preparation)), Arc::new(preparation));
        let batch_size = args.batch_size.min(pictures.train.len());
        let train = DataLoader::builder(
            pictures
                .train
                .clone()
                .map(move |(path, class)| Ok((read(&path, &*train)?, class))),
        )
        .batch_size(batch_size)
        .shuffle(true)
        .drop_last(true)
        .num_workers(args.workers)
        .build()?;
        let val = DataLoader::builder(
            pictures
                .val
                .clone()
                .map(move |(path, class)| Ok((read(&path, &*val)?, class))),
        )
        .batch_size(args.batch_size)
        .num_workers(args.workers)
        .build()
        .context("the pictures to measure with")?;
        Ok(Data { train, val })
    }
}

fn read(path: &Path, transform: &dyn Transform) -> TensorResult<Tensor> {
    transform
        .apply(&common::read_photo(path)?)
        .map_err(|error| error.context(path.display()))
}

/// The preparation for images of another size.
fn sized(preparation: Preparation, size: Option<usize>) -> Preparation {
    match (preparation, size) {
        (Preparation::Photo(mut photo), Some(size)) => {
            photo.resize_size = (photo.resize_size * size).div_ceil(photo.crop_size);
            photo.crop_size = size;
            Preparation::Photo(photo)
        }
        (Preparation::GreyThumbnail(mut thumbnail), Some(size)) => {
            thumbnail.size = size;
            Preparation::GreyThumbnail(thumbnail)
        }
        (preparation, None) => preparation,
    }
}

/// The preparation of pictures to learn from: another part of each every time, and every second one mirrored.
fn varied(preparation: Preparation) -> Compose {
    let flip = RandomHorizontalFlip { p: 0.5 };
    match preparation {
        Preparation::Photo(photo) => Compose::new()
            .push(RandomResizedCrop {
                scale: (0.25, 1.0),
                options: ResizeOptions {
                    interpolation: photo.interpolation,
                    antialias: photo.antialias,
                    ..ResizeOptions::default()
                },
                ..RandomResizedCrop::new(photo.crop_size)
            })
            .push(flip)
            .push(ToDtype::scaled(flambeau_tensor::DType::F32))
            .push(Normalize {
                mean: photo.mean,
                std: photo.std,
            }),
        thumbnail => Compose::new().push(flip).push(thumbnail),
    }
}
