//! The folder of a run, and the terminal.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flambeau_tensor::{Error, Result, Tensor, bail, ensure, random};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value as Json;

use crate::{Checkpoint, CsvLogger, Curve, Panel, TensorBoard, io_error, plot_curves};

/// The checkpoint's name in the folder.
const CHECKPOINT: &str = "last.safetensors";

/// What a [`Run`] is told when it begins.
#[derive(Clone, Debug)]
pub struct RunOptions<'a> {
    /// The folder for everything that comes of the run.
    pub folder: &'a Path,
    /// The run's settings, a JSON object. Who goes on with a run has to have the same.
    pub settings: Json,
    /// Settings that may differ all the same, such as the number of workers.
    pub changeable: &'a [&'a str],
    /// What is measured in each epoch; the number of the epoch, `epoch`, stands before it.
    pub columns: &'a [&'a str],
    /// Go on with the run in the folder.
    pub resume: bool,
    /// Print nothing.
    pub quiet: bool,
}

/// What [`Run::draw`] draws in one coordinate system.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// What the measurements are multiplied with, such as 100 for percent.
    pub scale: f64,
    /// For each curve a column and what it is called.
    pub curves: &'a [(&'a str, &'a str)],
}

/// A run's folder with its checkpoint (`last.safetensors`), its measurements (`log.csv`, and event files for TensorBoard)
/// and their curves (`curves.png`), and what it says on the terminal.
///
/// A process may be killed at any instant: every file but TensorBoard's is replaced in one step, and rows that were written
/// after the checkpoint are taken back when the run goes on.
///
/// ```
/// use flambeau_trainer::{Checkpoint, Run, RunOptions};
///
/// # fn main() -> flambeau_tensor::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// let options = RunOptions {
///     folder: folder.path(),
///     settings: serde_json::json!({ "lr": 0.1 }),
///     changeable: &[],
///     columns: &["loss"],
///     resume: false,
///     quiet: true,
/// };
/// let (mut run, _) = Run::open(options.clone())?;
/// for epoch in 0..2 {
///     // … train …
///     run.row(&[1.0 / (1.0 + epoch as f64)])?;
///     let mut checkpoint = Checkpoint::new();
///     checkpoint.set("epoch", &(epoch + 1))?;
///     run.save(checkpoint)?;
/// }
/// let (run, checkpoint) = Run::open(RunOptions { resume: true, ..options })?;
/// assert_eq!(checkpoint.unwrap().get::<usize>("epoch")?, 2);
/// assert_eq!(run.column("loss")?, [1.0, 0.5]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    settings: Json,
    table: CsvLogger,
    board: TensorBoard,
    quiet: bool,
}

impl Run {
    /// Begins a run in a folder, or goes on with the one that is in it: then its checkpoint is returned, and the thread's
    /// default random generator is put where it was. A run that was killed before its first checkpoint is begun again.
    ///
    /// # Errors
    /// `Value` if the folder holds a run that is not to be gone on with, or the settings differ; `Io`, `Format` if files
    /// can't be read or written.
    pub fn open(options: RunOptions<'_>) -> Result<(Run, Option<Checkpoint>)> {
        let folder = options.folder.to_path_buf();
        fs::create_dir_all(&folder).map_err(|error| io_error(&folder, error))?;
        let path = folder.join(CHECKPOINT);
        let there = path.try_exists().map_err(|error| io_error(&path, error))?;
        ensure!(
            options.resume || !there,
            Value,
            "{} holds a run already: --resume goes on with it, another --out begins a new one",
            folder.display()
        );
        let checkpoint = match there {
            true => Some(Checkpoint::load(&path)?),
            false => None,
        };
        let mut rows = 0;
        if let Some(checkpoint) = &checkpoint {
            check_settings(checkpoint, &options).map_err(|error| error.context(path.display()))?;
            rows = checkpoint.get("rows")?;
            let state: Vec<u8> = checkpoint.get("random")?;
            random::with_default(|generator| generator.set_bytes(&state))
                .map_err(|error| Error::Format(format!("{}: random: {error}", path.display())))?;
        }
        remove_unfinished(&folder)?;
        let columns = [&["epoch"], options.columns].concat();
        let run = Run {
            table: CsvLogger::resume(folder.join("log.csv"), &columns, rows)?,
            board: TensorBoard::create(&folder)?,
            settings: options.settings,
            quiet: options.quiet,
            folder,
        };
        if options.resume && !there {
            run.say(&format!(
                "{}: no checkpoint yet, so the run begins",
                run.folder.display()
            ));
        }
        Ok((run, checkpoint))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the checkpoint is.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join(CHECKPOINT)
    }

    /// Prints a line. A run goes on if nobody reads it any more, as after `| head`.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    /// Adds an image for TensorBoard.
    ///
    /// # Errors
    /// As [`TensorBoard::add_image`].
    pub fn image(&mut self, tag: &str, image: &Tensor) -> Result<()> {
        self.board.add_image(tag, image, 0)
    }

    /// Writes down what was measured in an epoch.
    ///
    /// # Errors
    /// `Value` for another number of columns, `Io` if a file can't be written.
    pub fn row(&mut self, numbers: &[f64]) -> Result<()> {
        let epoch = self.table.rows().len() as u64 + 1;
        self.table.append(&[&[epoch as f64], numbers].concat())?;
        for (name, number) in self.table.columns().iter().skip(1).zip(numbers) {
            self.board.add_scalar(name, *number, epoch)?;
        }
        Ok(())
    }

    /// The measurements of a column, epoch after epoch.
    ///
    /// # Errors
    /// `Key` if there is no such column.
    pub fn column(&self, name: &str) -> Result<Vec<f64>> {
        self.table.column(name)
    }

    /// Draws measurements into `curves.png`.
    ///
    /// # Errors
    /// `Key` for a column that there is not; as [`plot_curves`].
    pub fn draw(&self, charts: &[Chart<'_>]) -> Result<()> {
        let panels = charts.iter().map(|chart| {
            let curves = chart.curves.iter().map(|(column, name)| {
                let values = self.column(column)?.into_iter().map(|x| chart.scale * x);
                Ok(Curve::new(*name, &values.collect::<Vec<f64>>()))
            });
            Ok(Panel {
                title: chart.title.to_string(),
                x_label: "epoch".into(),
                curves: curves.collect::<Result<_>>()?,
            })
        });
        plot_curves(
            self.folder.join("curves.png"),
            &panels.collect::<Result<Vec<_>>>()?,
        )
    }

    /// Keeps everything that the run depends on: what the caller has put into the checkpoint, the settings, the number of
    /// rows and the state of the thread's default random generator.
    ///
    /// # Errors
    /// `Key` if the caller used one of the names `settings`, `rows` and `random`; `Io` if the file can't be written.
    pub fn save(&self, mut checkpoint: Checkpoint) -> Result<()> {
        checkpoint.set("settings", &self.settings)?;
        checkpoint.set("rows", &self.table.rows().len())?;
        checkpoint.set("random", &random::with_default(|generator| generator.to_bytes()))?;
        checkpoint.save(self.checkpoint())
    }

    /// Shows the progress of an epoch of so many steps, of which `done` are done. Speeds are in `unit`s, such as `images`.
    pub fn epoch(&self, number: usize, steps: usize, done: u64, unit: &'static str) -> EpochBar {
        let template = "epoch {prefix} {bar:30} {pos}/{len} {msg}, {eta} left";
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) if !self.quiet => ProgressBar::new(steps as u64).with_style(style),
            _ => ProgressBar::hidden(),
        };
        bar.set_prefix(number.to_string());
        bar.set_position(done);
        // What an earlier process did says nothing about this one's speed.
        bar.reset_eta();
        EpochBar {
            bar,
            begin: Instant::now(),
            samples: 0,
            unit,
        }
    }
}

/// The progress bar of an epoch, and the time.
#[derive(Debug)]
pub struct EpochBar {
    bar: ProgressBar,
    begin: Instant,
    /// Those of this process.
    samples: usize,
    unit: &'static str,
}

impl EpochBar {
    /// Shows one more step, of so many samples.
    pub fn step(&mut self, samples: usize, loss: f64) {
        self.samples += samples;
        let speed = self.samples as f64 / self.begin.elapsed().as_secs_f64();
        self.bar
            .set_message(format!("loss {loss:.4}, {speed:.0} {}/s", self.unit));
        self.bar.inc(1);
    }

    /// The seconds since the bar was made.
    pub fn finish(self) -> f64 {
        self.bar.finish_and_clear();
        self.begin.elapsed().as_secs_f64()
    }
}

/// Refuses to go on under other settings.
fn check_settings(checkpoint: &Checkpoint, options: &RunOptions<'_>) -> Result<()> {
    let saved: Json = checkpoint.get("settings")?;
    for (name, now) in options.settings.as_object().into_iter().flatten() {
        let before = &saved[name];
        if before != now && !options.changeable.contains(&name.as_str()) {
            bail!(
                Value,
                "--{} is {now}, but the run had {before}",
                name.replace('_', "-")
            );
        }
    }
    Ok(())
}

/// Removes what a process left that was killed while it wrote.
fn remove_unfinished(folder: &Path) -> Result<()> {
    let place = |error| io_error(folder, error);
    for entry in fs::read_dir(folder).map_err(place)? {
        let path = entry.map_err(place)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".tmp") {
            fs::remove_file(&path).map_err(|error| io_error(&path, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, resume: bool, lr: f64) -> Result<(Run, Option<Checkpoint>)> {
        Run::open(RunOptions {
            folder,
            settings: serde_json::json!({ "lr": lr, "workers": lr }),
            changeable: &["workers"],
            columns: &["loss", "accuracy"],
            resume,
            quiet: true,
        })
    }

    #[test]
    fn rows_after_the_checkpoint_are_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut run, none) = open(folder.path(), false, 0.1).unwrap();
        assert!(none.is_none());
        run.row(&[2.0, 0.25]).unwrap();
        run.save(Checkpoint::new()).unwrap();
        let next = random::with_default(|g| g.next_u32());
        run.row(&[1.0, 0.5]).unwrap();
        // A process that was killed while it wrote leaves such a file.
        let unfinished = folder.path().join(".last.safetensors.1-0.tmp");
        fs::write(&unfinished, "half").unwrap();
        let (run, checkpoint) = open(folder.path(), true, 0.1).unwrap();
        assert!(checkpoint.is_some() && !unfinished.exists());
        assert_eq!(run.column("loss").unwrap(), [2.0]);
        assert_eq!(run.column("epoch").unwrap(), [1.0]);
        assert_eq!(random::with_default(|g| g.next_u32()), next);
        let draw = |column| {
            run.draw(&[Chart {
                title: "loss",
                scale: 1.0,
                curves: &[(column, "training")],
            }])
        };
        draw("loss").unwrap();
        assert!(draw("lost").is_err());
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    }

    #[test]
    fn a_run_is_gone_on_with_only_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        // Killed before its first checkpoint.
        drop(open(folder.path(), false, 0.1).unwrap());
        let (run, none) = open(folder.path(), true, 0.1).unwrap();
        assert!(none.is_none());
        run.save(Checkpoint::new()).unwrap();
        let error = open(folder.path(), false, 0.1).unwrap_err().to_string();
        assert!(error.contains("holds a run already"), "{error}");
        let error = open(folder.path(), true, 0.2).unwrap_err().to_string();
        assert!(error.ends_with("--lr is 0.2, but the run had 0.1"), "{error}");
        fs::write(run.checkpoint(), "{}").unwrap();
        let error = open(folder.path(), true, 0.1).unwrap_err().to_string();
        assert!(error.contains("last.safetensors"), "{error}");
    }

    #[test]
    fn speeds_are_those_of_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let (run, _) = open(folder.path(), false, 0.1).unwrap();
        let mut bar = run.epoch(1, 10, 8, "images");
        bar.step(4, 0.5);
        assert_eq!((bar.samples, bar.bar.position()), (4, 9));
        assert!(bar.finish() >= 0.0);
    }
}
