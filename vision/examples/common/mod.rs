//! What the examples share: how they read pictures, and how they end.

// No example uses all of it.
#![allow(dead_code)]

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use flambeau_tensor::{Error, Result, Tensor};
use flambeau_vision::io::{DecodeOptions, ImageReadMode, read_image};

/// Ends a program: an error becomes one line on stderr. The status is 2 if what the program was given is at fault, and 1 if
/// it is the machine that it runs on.
pub(crate) fn exit(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    if reader_left(&error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", line(&error));
    let machine = error
        .chain()
        .any(|cause| matches!(cause.downcast_ref(), Some(Error::Io(_))) || cause.is::<std::io::Error>());
    ExitCode::from(if machine { 1 } else { 2 })
}

/// An error in one line.
pub(crate) fn line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace(['\n', '\r'], " ")
}

/// Whether the error is that nobody reads the output any more, as after `| head`: not a fault.
fn reader_left(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Reads a photograph as people see it, `[3, height, width]`.
pub(crate) fn read_photo(path: &Path) -> Result<Tensor> {
    let options = DecodeOptions {
        mode: ImageReadMode::Rgb,
        apply_exif_orientation: true,
    };
    read_image(path, &options)
}
