//! A file from any URL, such as the archive of a dataset, to any place: whole and with the right checksum, or not at all.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use flambeau_tensor::{Error, Result, ensure};

use super::cache::io_error;
use super::checksum::Checksum;
use super::config::Hub;
use super::http::{Asked, Head, parse};
use super::transfer::Transfer;

impl Hub {
    /// Gets the file at `url` to the path `to`, unless it is there already with the right `checksum`. A download that broke
    /// off goes on where it stopped; the token is sent to the hub alone.
    ///
    /// ```no_run
    /// use flambeau_hub::{Checksum, Hub};
    ///
    /// # fn main() -> flambeau_tensor::Result<()> {
    /// let md5 = Checksum::Md5("9fb629c4189551a2d022fa330f9573f3".into());
    /// let url = "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz";
    /// Hub::from_env()?.download(url, "MNIST/raw/t10k-images-idx3-ubyte.gz", &md5)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Value` for a URL or checksum that is none; `Io` if the server can't be reached or refuses, or nothing may be asked
    /// (offline), or the file can't be written; `Format` if another checksum arrives, which leaves nothing behind.
    pub fn download(&self, url: &str, to: impl AsRef<Path>, checksum: &Checksum) -> Result<()> {
        let to = to.as_ref();
        checksum.check()?;
        let name = to.file_name().and_then(|name| name.to_str());
        ensure!(
            name.is_some(),
            Value,
            "hub: {} is no path of a file to download to",
            to.display()
        );
        if sum_of(to, checksum)?.as_ref() == Some(checksum) {
            return Ok(());
        }
        let address = parse(url)?;
        let client = self
            .client()
            .map_err(|reason| Error::Io(format!("{url}: not in {}, and {reason}", to.display())))?;
        let asked = Asked {
            kind: "file",
            repo: "",
            revision: "",
            file: name,
        };
        let head = Head {
            commit: String::new(),
            etag: name.unwrap_or_default().to_string(),
            size: client.size(&address, asked)?,
            location: address.clone(),
        };
        let transfer = Transfer {
            client,
            asked,
            url: &address,
            head: &head,
            checksum: Some(checksum.clone()),
            show_progress: self.settings().progress,
        };
        Ok(transfer.run(to)?)
    }
}

/// The checksum of a file, if there is one at that path.
fn sum_of(path: &Path, kind: &Checksum) -> Result<Option<Checksum>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error(path)(e)),
    };
    let (mut sum, mut piece) = (kind.begin(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Some(sum.finish())),
            Ok(read) => sum.update(&piece[..read]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(io_error(path)(e)),
        }
    }
}
