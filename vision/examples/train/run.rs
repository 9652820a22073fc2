//! How far a run has come, and what is told and kept of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use flambeau_data::LoaderState;
use flambeau_nn::Module;
use flambeau_tensor::io::safetensors;
use flambeau_tensor::random;
use flambeau_trainer::{Checkpoint, CsvLogger, Curve, Panel, TensorBoard, plot_curves};
use flambeau_vision::io::write_png;
use flambeau_vision::models::Classifier;
use flambeau_vision::utils::{GridOptions, make_grid};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::Trainer;
use crate::args::Args;
use crate::data::Data;

/// How far a run has come.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Epochs that are done.
    pub(crate) epoch: usize,
    /// Where the loader stands in the epoch that was begun.
    pub(crate) loader: Option<LoaderState>,
    /// What was measured in that epoch so far.
    pub(crate) train: Sums,
    /// The time that the training of whole epochs took.
    pub(crate) seconds: f64,
}

/// Sums over images.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) images: usize,
    loss: f64,
    right: f64,
}

impl Sums {
    /// Adds a batch with this mean loss and number of right answers.
    pub(crate) fn add(&mut self, loss: f64, right: Option<f64>, images: usize) {
        self.images += images;
        self.loss += loss * images as f64;
        self.right += right.unwrap_or(0.0);
    }

    /// The mean loss.
    pub(crate) fn loss(&self) -> f64 {
        self.loss / self.images as f64
    }

    /// The part of the images that were classified correctly.
    pub(crate) fn accuracy(&self) -> f64 {
        self.right / self.images as f64
    }
}

/// What an epoch came to.
pub(crate) struct Row {
    pub(crate) epoch: usize,
    pub(crate) lr: f64,
    pub(crate) train: Sums,
    pub(crate) test: Sums,
    /// On the test set, with the running average of the weights.
    pub(crate) ema: Sums,
    pub(crate) seconds: f64,
}

const COLUMNS: [&str; 8] = [
    "epoch",
    "lr",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "ema_test_loss",
    "ema_test_accuracy",
    "images_per_second",
];

/// The run's folder, and the terminal.
pub(crate) struct Log {
    folder: PathBuf,
    settings: serde_json::Value,
    table: CsvLogger,
    board: TensorBoard,
    quiet: bool,
}

impl Log {
    /// Begins the run's folder, or goes on with the run that is in it.
    pub(crate) fn open(args: &Args, data: &Data, trainer: &mut Trainer) -> Result<Log> {
        let folder = args.out.clone();
        let place = || format!("the folder {}", folder.display());
        fs::create_dir_all(&folder).with_context(place)?;
        let settings = serde_json::to_value(args)?;
        if args.resume {
            restore(&folder.join("last.safetensors"), &settings, trainer)?;
        } else {
            ensure!(
                !folder.join("last.safetensors").exists(),
                "{} holds a run already: --resume goes on with it, another --out begins a new one",
                folder.display()
            );
        }
        let mut log = Log {
            table: CsvLogger::resume(folder.join("log.csv"), &COLUMNS, trainer.done.epoch)?,
            board: TensorBoard::create(&folder)?,
            settings,
            quiet: args.json,
            folder,
        };
        if !args.resume {
            let examples = make_grid(&data.examples, &GridOptions::default())?;
            log.board.add_image("training images", &examples, 0)?;
            write_png(&examples, log.folder.join("examples.png"), 6)?;
        }
        Ok(log)
    }

    /// Prints a line.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            println!("{line}");
        }
    }

    /// Where the checkpoint is.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.folder.join("last.safetensors")
    }

    /// Shows the progress of an epoch.
    pub(crate) fn begin_epoch(&self, done: &Progress, steps: usize) -> Clock {
        let template = "epoch {prefix} {bar:30} {pos}/{len} {msg}, {eta} left";
        let begun = done.loader.as_ref().map_or(0, LoaderState::batches);
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) if !self.quiet => ProgressBar::new(steps as u64).with_style(style),
            _ => ProgressBar::hidden(),
        };
        bar.set_prefix((done.epoch + 1).to_string());
        bar.set_position(begun);
        Clock {
            bar,
            begin: Instant::now(),
            before: done.train.images,
        }
    }

    /// Writes down what an epoch came to.
    pub(crate) fn row(&mut self, row: &Row) -> Result<()> {
        let speed = row.train.images as f64 / row.seconds;
        let numbers = [
            row.epoch as f64,
            row.lr,
            row.train.loss(),
            row.test.loss(),
            row.test.accuracy(),
            row.ema.loss(),
            row.ema.accuracy(),
            speed,
        ];
        self.table.append(&numbers)?;
        for (name, number) in COLUMNS.iter().zip(numbers).skip(1) {
            self.board.add_scalar(name, number, row.epoch as u64)?;
        }
        self.draw()?;
        self.say(&format!(
            "epoch {:3}: loss {:.4}, test accuracy {:.2}%, of the averaged weights {:.2}%, {speed:.0} images/s",
            row.epoch,
            row.train.loss(),
            100.0 * row.test.accuracy(),
            100.0 * row.ema.accuracy()
        ));
        Ok(())
    }

    /// Draws the curves.
    fn draw(&self) -> Result<()> {
        let percent = |name: &str| -> Result<Vec<f64>> {
            Ok(self.table.column(name)?.into_iter().map(|x| 100.0 * x).collect())
        };
        let panel = |title: &str, curves| Panel {
            title: title.into(),
            x_label: "epoch".into(),
            curves,
        };
        let loss = panel(
            "loss",
            vec![
                Curve::new("training", &self.table.column("train_loss")?),
                Curve::new("test", &self.table.column("test_loss")?),
                Curve::new("test, averaged weights", &self.table.column("ema_test_loss")?),
            ],
        );
        let accuracy = panel(
            "test accuracy (%)",
            vec![
                Curve::new("weights", &percent("test_accuracy")?),
                Curve::new("averaged weights", &percent("ema_test_accuracy")?),
            ],
        );
        plot_curves(self.folder.join("curves.png"), &[loss, accuracy])?;
        Ok(())
    }

    /// Keeps everything that the run depends on.
    pub(crate) fn save(&self, trainer: &Trainer) -> Result<()> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set_tensors("model", trainer.model.state_dict())?;
        checkpoint.set_tensors("average", trainer.average.state_dict())?;
        checkpoint.set_optimizer("optimizer", &trainer.optimizer.state_dict()?)?;
        if let Some(scheduler) = &trainer.scheduler {
            checkpoint.set("scheduler", &scheduler.state_dict()?)?;
        }
        checkpoint.set("progress", &trainer.done)?;
        checkpoint.set("random", &random::with_default(|generator| generator.to_bytes()))?;
        checkpoint.set("settings", &self.settings)?;
        checkpoint.save(self.checkpoint())?;
        Ok(())
    }

    /// Writes the weights that are kept.
    pub(crate) fn finish(&self, model: &dyn Classifier) -> Result<PathBuf> {
        let path = self.folder.join("model.safetensors");
        let state = model.state_dict();
        safetensors::save(&path, state.iter())?;
        Ok(path)
    }
}

/// Takes over the run in the file at `path`, which must have had the same settings.
fn restore(path: &Path, settings: &serde_json::Value, trainer: &mut Trainer) -> Result<()> {
    let checkpoint = Checkpoint::load(path)?;
    let saved: serde_json::Value = checkpoint.get("settings")?;
    for (name, now) in settings.as_object().into_iter().flatten() {
        let before = &saved[name];
        if before != now && !["data", "out", "workers"].contains(&name.as_str()) {
            bail!(
                "--{} is {now}, but the run in {} had {before}",
                name.replace('_', "-"),
                path.display()
            );
        }
    }
    trainer
        .model
        .load_state_dict(&checkpoint.tensors("model")?, true)?;
    trainer.average.load_state_dict(&checkpoint.tensors("average")?)?;
    trainer
        .optimizer
        .load_state_dict(&checkpoint.optimizer("optimizer")?)?;
    if let Some(scheduler) = &mut trainer.scheduler {
        scheduler.load_state_dict(&checkpoint.get("scheduler")?)?;
    }
    trainer.done = checkpoint.get("progress")?;
    let state: Vec<u8> = checkpoint.get("random")?;
    random::with_default(|generator| generator.set_bytes(&state))
        .map_err(|error| anyhow!("{}: {error:?}", path.display()))?;
    Ok(())
}

/// The progress bar of an epoch, and the time.
pub(crate) struct Clock {
    bar: ProgressBar,
    begin: Instant,
    /// Images that an earlier process has done of the epoch.
    before: usize,
}

impl Clock {
    /// Shows one more step.
    pub(crate) fn step(&self, train: &Sums) {
        let speed = (train.images - self.before) as f64 / self.begin.elapsed().as_secs_f64();
        self.bar
            .set_message(format!("loss {:.4}, {speed:.0} images/s", train.loss()));
        self.bar.inc(1);
    }

    /// The seconds that the epoch took.
    pub(crate) fn finish(self) -> f64 {
        self.bar.finish_and_clear();
        self.begin.elapsed().as_secs_f64()
    }
}
