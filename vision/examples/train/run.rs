//! How far a run has come, and what is kept of it.

use anyhow::Result;
use flambeau_data::LoaderState;
use flambeau_trainer::{Run, RunOptions};
use flambeau_vision::io::write_png;
use flambeau_vision::utils::{GridOptions, make_grid};
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
    /// The time that it has taken so far.
    pub(crate) epoch_seconds: f64,
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

const COLUMNS: [&str; 7] = [
    "lr",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "ema_test_loss",
    "ema_test_accuracy",
    "images_per_second",
];

/// Begins the run's folder, or goes on with the run that is in it.
pub(crate) fn open(args: &Args, data: &Data, trainer: &mut Trainer) -> Result<Run> {
    let (mut run, checkpoint) = Run::open(RunOptions {
        folder: &args.out,
        settings: serde_json::to_value(args)?,
        changeable: &["data", "out", "workers"],
        columns: &COLUMNS,
        resume: args.resume,
        quiet: args.json,
    })?;
    match checkpoint {
        Some(checkpoint) => trainer.restore(&checkpoint)?,
        None => {
            let examples = make_grid(&data.examples, &GridOptions::default())?;
            run.image("training images", &examples)?;
            write_png(&examples, run.folder().join("examples.png"), 6)?;
        }
    }
    Ok(run)
}

impl Row {
    /// Writes down what the epoch came to, and draws the curves.
    pub(crate) fn write(&self, run: &mut Run) -> Result<()> {
        let speed = self.train.images as f64 / self.seconds;
        run.row(&[
            self.lr,
            self.train.loss(),
            self.test.loss(),
            self.test.accuracy(),
            self.ema.loss(),
            self.ema.accuracy(),
            speed,
        ])?;
        run.draw(&[
            (
                "loss",
                &[
                    ("train_loss", "training"),
                    ("test_loss", "test"),
                    ("ema_test_loss", "test, averaged weights"),
                ],
            ),
            (
                "test accuracy",
                &[
                    ("test_accuracy", "weights"),
                    ("ema_test_accuracy", "averaged weights"),
                ],
            ),
        ])?;
        run.say(&format!(
            "epoch {:3}: loss {:.4}, test accuracy {:.2}%, of the averaged weights {:.2}%, {speed:.0} images/s",
            self.epoch,
            self.train.loss(),
            100.0 * self.test.accuracy(),
            100.0 * self.ema.accuracy()
        ));
        Ok(())
    }
}
