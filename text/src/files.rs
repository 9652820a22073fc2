//! Files that are read as a whole, and weights that are numbers.

use std::io::Read;
use std::path::Path;

use flambeau_nn::Module;
use flambeau_tensor::{Result, bail, ensure, io};

/// The longest file that is read as a whole: 1 GiB.
const LONGEST: u64 = 1 << 30;

/// A file as a whole.
///
/// # Errors
/// `Io` with its name if it can't be read; `Format` if it is longer than 1 GiB.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    read_up_to(path.as_ref(), LONGEST)
}

/// A file of text as a whole.
///
/// # Errors
/// As [`read`]; `Format` if it is not UTF-8.
pub(crate) fn read_text(path: impl AsRef<Path>) -> Result<String> {
    text_up_to(path.as_ref(), LONGEST)
}

/// [`read_text`] of a file that is longer than `most` bytes by mistake alone.
pub(crate) fn text_up_to(path: &Path, most: u64) -> Result<String> {
    match String::from_utf8(read_up_to(path, most)?) {
        Ok(text) => Ok(text),
        Err(_) => bail!(Format, "{}: not UTF-8", path.display()),
    }
}

fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (file, length) = io::open(path)?;
    ensure!(
        length <= most,
        Format,
        "{}: longer than {most} bytes",
        path.display()
    );
    let mut bytes = Vec::new();
    // Nothing of what comes to the file meanwhile.
    file.take(length)
        .read_to_end(&mut bytes)
        .map_err(|error| io::io_error(error).context(path.display()))?;
    Ok(bytes)
}

/// Refuses weights with NaN or infinities: all that such a model says is NaN.
///
/// # Errors
/// `Value` with the first parameter's name.
pub(crate) fn check_finite(model: &dyn Module) -> Result<()> {
    for (name, parameter) in model.named_parameters() {
        ensure!(
            parameter.detach().isfinite()?.all()?.item::<bool>()?,
            Value,
            "{}: {name} has values that are not finite",
            model.name()
        );
    }
    Ok(())
}
