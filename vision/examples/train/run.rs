//! What is kept of a run.

use anyhow::Result;
use flambeau_trainer::{Chart, Run, RunOptions};
use flambeau_vision::io::write_png;
use flambeau_vision::utils::{GridOptions, make_grid};

use crate::Trainer;
use crate::args::Args;
use crate::data::Data;
use crate::measure::Sums;

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
            Chart {
                title: "loss",
                scale: 1.0,
                curves: &[
                    ("train_loss", "training"),
                    ("test_loss", "test"),
                    ("ema_test_loss", "test, averaged weights"),
                ],
            },
            Chart {
                title: "test accuracy (%)",
                scale: 100.0,
                curves: &[
                    ("test_accuracy", "weights"),
                    ("ema_test_accuracy", "averaged weights"),
                ],
            },
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
