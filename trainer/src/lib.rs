//! What a training loop needs beside layers and optimisers.
//!
//! - [`Checkpoint`]: everything a run depends on in one file, so that it goes on exactly where it stopped.
//! - [`CsvLogger`] and [`TensorBoard`]: measurements as a table and as event files.
//! - [`plot_curves`], [`plot_bars`]: measurements as a picture.
//! - [`Run`]: the folder with all of these, and the terminal.
//! - [`Interrupt`]: Ctrl-C as a question that the loop asks, so that it saves before it leaves.

mod bars;
mod checkpoint;
mod csv_logger;
mod curves;
mod interrupt;
mod run;
mod tensorboard;

pub use bars::{Bar, BarChart, plot_bars};
pub use checkpoint::Checkpoint;
pub use csv_logger::CsvLogger;
pub use curves::{Curve, Panel, plot_curves};
pub use interrupt::Interrupt;
pub use run::{Chart, EpochBar, Run, RunOptions};
pub use tensorboard::TensorBoard;

use std::path::Path;

use flambeau_tensor::Error;

/// An error of the file system, with the file's name.
fn io_error(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Io(format!("{}: {error}", path.display()))
}
