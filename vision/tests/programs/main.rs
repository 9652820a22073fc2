//! The examples, run as programs are: what they print, what they refuse and how, and what a kill leaves.

#![allow(clippy::unwrap_used)]

mod amp;
mod bad_input;
mod classify;
#[cfg(feature = "download")]
mod download;
mod finetune;
mod killed;
mod profile;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flambeau_nn::{Module, StateDict};
use flambeau_tensor::{DType, Tensor, random};
use flambeau_vision::io::encode_png;
use flambeau_vision::models::{self, Options};
use flambeau_vision::pretrained::{Description, Preparation};
use flambeau_vision::transforms::ImageClassification;

/// How a program ended.
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A folder of a test's own: the program's home, working directory and caches.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The command that runs an example here. It can't reach any network.
    fn command(&self, example: &str, args: &[&str]) -> Command {
        let mut program = std::env::current_exe().unwrap();
        program.pop();
        program.pop();
        program.push(format!("examples/{example}{}", std::env::consts::EXE_SUFFIX));
        assert!(
            program.is_file(),
            "{} is missing: `cargo test -p flambeau-vision` builds it, and so does `cargo build --examples`",
            program.display()
        );
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("HF_HUB_OFFLINE", "1")
            .env("FLAMBEAU_NUM_THREADS", "1")
            .stdin(Stdio::null());
        for name in [
            "XDG_CACHE_HOME",
            "TORCH_HOME",
            "HF_HOME",
            "HF_HUB_CACHE",
            "HF_ENDPOINT",
            "HF_TOKEN",
        ] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, example: &str, args: &[&str]) -> Outcome {
        let output = self.command(example, args).output().unwrap();
        Outcome {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs an example that has to refuse what it is given: one line on stderr, nothing on stdout, no new file. Returns
    /// the status and the line.
    fn refused(&self, example: &str, args: &[&str]) -> (i32, String) {
        let before = self.files();
        let Outcome { code, out, err } = self.run(example, args);
        let line = err.strip_suffix('\n').unwrap_or(&err);
        assert!(
            line.starts_with("error: ") && !line.contains('\n'),
            "{example} {args:?}: {err}"
        );
        assert_eq!(out, "", "{example} {args:?}");
        assert_eq!(self.files(), before, "{example} {args:?}");
        let code = code.unwrap();
        assert!((1..=2).contains(&code), "{example} {args:?}: {code}");
        (code, line.to_string())
    }

    /// All files by name, with their lengths.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let (mut files, mut folders) = (Vec::new(), vec![self.path().to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    files.push((entry.path(), entry.metadata().unwrap().len()));
                }
            }
        }
        files.sort();
        files
    }

    /// A file with the weights of a ResNet-20 that takes pictures for cats, dogs and owls, and says so.
    fn pets(&self) -> PathBuf {
        let path = self.path().join("pets.safetensors");
        let photo = Preparation::Photo(ImageClassification {
            resize_size: 32,
            ..ImageClassification::new(32)
        });
        let categories = ["cat", "dog", "owl"].map(str::to_string);
        Description::new("resnet20", photo, categories.to_vec())
            .save(&path, &weights("resnet20", 3))
            .unwrap();
        path
    }

    /// A small picture in a PNG file.
    fn picture(&self, name: &str) -> PathBuf {
        self.file(name, png())
    }
}

/// Initial weights of a model.
fn weights(model: &str, num_classes: usize) -> StateDict {
    let options = Options {
        num_classes,
        ..Options::default()
    };
    random::fork(0, || models::create(model, options))
        .unwrap()
        .state_dict()
}

/// The bytes of a PNG file with a small picture.
fn png() -> Vec<u8> {
    let levels: Vec<u8> = (0..3 * 40 * 50).map(|at| (at % 251) as u8).collect();
    let picture = Tensor::from_vec(levels, (3, 40, 50)).unwrap();
    assert_eq!(picture.dtype(), DType::U8);
    encode_png(&picture, 6).unwrap()
}

/// A path as an argument.
fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
