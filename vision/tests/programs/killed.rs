//! A training that is killed goes on and ends as if it had not been.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::{Home, Outcome};

const SMOKE: [&str; 3] = ["--smoke", "--batch-size", "8"];

/// Runs the training until it prints a line that begins like this, and kills it. Returns whether it did.
pub(crate) fn kill_at(home: &Home, args: &[&str], line: &str) -> bool {
    let mut process = home
        .command("train", args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let seen = lines.any(|printed| printed.unwrap().starts_with(line));
    process.kill().unwrap();
    process.wait().unwrap();
    seen
}

/// Runs an example until it prints its first line, and presses Ctrl-C.
#[cfg(unix)]
pub(super) fn interrupted(home: &Home, example: &str, args: &[&str]) -> Outcome {
    let mut command = home.command(example, args);
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    let pressed = std::process::Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status();
    assert!(pressed.unwrap().success());
    out.read_to_string(&mut text).unwrap();
    let ended = process.wait_with_output().unwrap();
    Outcome {
        code: ended.status.code(),
        out: text,
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_saves_and_goes_on_within_the_epoch() {
    let home = Home::new();
    let whole = home.run("train", &[&SMOKE[..], &["--out", "whole"]].concat());
    assert_eq!((whole.code, whole.err.as_str()), (Some(0), ""));
    let args = [&SMOKE[..], &["--out", "stopped", "--resume"]].concat();
    let stopped = interrupted(&home, "train", &args);
    assert_eq!((stopped.code, stopped.err.as_str()), (Some(0), ""));
    let last = stopped.out.lines().last().unwrap();
    assert_eq!(last, "stopped: --resume goes on from stopped/last.safetensors");
    assert!(!stopped.out.contains("epoch   1"), "{}", stopped.out);
    let rest = home.run("train", &args);
    assert_eq!((rest.code, rest.err.as_str()), (Some(0), ""));
    let read = |name: &str| std::fs::read(home.path().join(name)).unwrap();
    assert_eq!(read("whole/model.safetensors"), read("stopped/model.safetensors"));
}

#[test]
fn a_killed_training_ends_with_the_same_weights() {
    let home = Home::new();
    let kill_at =
        |args: &[&str], line: &str| kill_at(&home, &[&SMOKE[..], &["--out", "killed"], args].concat(), line);
    let whole = home.run("train", &[&SMOKE[..], &["--out", "whole"]].concat());
    assert_eq!((whole.code, whole.err.as_str()), (Some(0), ""));
    // Before the first step, in the first epoch before there is a checkpoint, and, as the line is printed before the
    // checkpoint is written, at some instant of that or in the epoch after it.
    assert!(kill_at(&[], "resnet20: "));
    assert!(kill_at(&["--resume"], "resnet20: "));
    assert!(kill_at(&["--resume"], "epoch   1"));
    assert!(kill_at(&["--resume"], "resnet20: "));
    let rest = home.run("train", &[&SMOKE[..], &["--out", "killed", "--resume"]].concat());
    assert_eq!((rest.code, rest.err.as_str()), (Some(0), ""));
    let read = |name: &str| std::fs::read(home.path().join(name)).unwrap();
    assert_eq!(read("whole/model.safetensors"), read("killed/model.safetensors"));
    // Measurements are the same but for the speed, which stands last.
    let table = |name: &str| {
        let text = String::from_utf8(read(name)).unwrap();
        let rows = text
            .lines()
            .map(|row| row.rsplit_once(',').unwrap().0.to_string());
        rows.collect::<Vec<String>>()
    };
    assert_eq!(table("whole/log.csv"), table("killed/log.csv"));
    let unfinished = |(path, _): &(std::path::PathBuf, u64)| path.to_string_lossy().ends_with(".tmp");
    assert!(!home.files().iter().any(unfinished));
    // Once it is over, there is nothing left to do, and a new run needs another folder.
    let again = home.run("train", &[&SMOKE[..], &["--out", "killed", "--resume"]].concat());
    assert_eq!(again.code, Some(0), "{}", again.err);
    let (code, line) = home.refused("train", &[&SMOKE[..], &["--out", "killed"]].concat());
    assert!(code == 2 && line.contains("holds a run already"), "{line}");
    let (code, line) = home.refused("train", &["--smoke", "--out", "killed", "--resume"]);
    assert!(
        code == 2 && line.contains("--batch-size is 128, but the run had 8"),
        "{line}"
    );
}
