//! The examples, run as programs are.

#![allow(clippy::unwrap_used)]

use std::f64::consts::TAU;
use std::path::Path;
use std::process::{Command, Output};

use flambeau_audio::io::{SaveOptions, save};
use flambeau_tensor::{DType, Tensor};

fn command(example: &str, folder: &Path, args: &[&str]) -> Command {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push(format!("examples/{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is missing: `cargo test -p flambeau-audio` builds it, and so does `cargo build --examples`",
        program.display()
    );
    let mut command = Command::new(program);
    command.current_dir(folder).args(args);
    command
}

fn run(example: &str, folder: &Path, args: &[&str]) -> Output {
    command(example, folder, args).output().unwrap()
}

/// What a program that succeeds says.
fn said(example: &str, folder: &Path, args: &[&str]) -> String {
    let output = run(example, folder, args);
    assert!(output.status.success(), "{example}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn programs_work_without_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let pitch = said("pitch", folder.path(), &["--hop", "0.1"]);
    for (line, hz) in pitch.lines().zip(["110.4", "441.5", "883.1"]) {
        assert!(line.ends_with(&format!("is heard as {hz} Hz")), "{pitch}");
    }
    let vad = said("vad", folder.path(), &[]);
    assert!(vad.contains("speech from 0.03 to 3.10 s"), "{vad}");
    let features = said("features", folder.path(), &[]);
    assert!(features.starts_with("mel.png: 330 by 240 pixels"), "{features}");
    let picture = std::fs::read(folder.path().join("mel.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
}

#[test]
fn speech_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let bundled = said("asr", folder.path(), &[]);
    assert!(
        bundled.starts_with("the bundled command: turn on the heater in the garage\n"),
        "{bundled}"
    );
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/speech/speech.tsv");
    let list = list.to_str().unwrap();
    let measured = said("asr", folder.path(), &["transcribe", "--list", list]);
    assert!(
        measured.contains("0.00% of 24 words wrong, 0.00% of 121 letters"),
        "{measured}"
    );
}

/// A folder with lists of four sentences, which teach nothing.
fn corpus() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/speech");
    for entry in std::fs::read_dir(&speech).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    for part in ["train.tsv", "valid.tsv", "test.tsv"] {
        std::fs::copy(speech.join("speech.tsv"), folder.path().join(part)).unwrap();
    }
    folder
}

const TRAIN: [&str; 7] = ["train", "--data", ".", "--epochs", "2", "--batch-size", "2"];

/// All that comes of a run is there, and a run that is over says the same again.
#[test]
fn recognisers_are_trained_and_used() {
    let folder = corpus();
    let log = said("asr", folder.path(), &TRAIN);
    assert!(
        log.contains("475676 parameters, 2 steps in each of 2 epochs"),
        "{log}"
    );
    let run = folder.path().join("runs/asr");
    let table = std::fs::read_to_string(run.join("log.csv")).unwrap();
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(run.join("curves.png").is_file());
    let again = said("asr", folder.path(), &[&TRAIN[..], &["--resume"]].concat());
    let result = |log: &str| log.lines().last().unwrap().to_string();
    assert!(
        result(&log).starts_with("test: ") && result(&log) == result(&again),
        "{log}{again}"
    );
    let weights = "runs/asr/model.safetensors";
    said(
        "asr",
        folder.path(),
        &["transcribe", "--weights", weights, "00026.flac"],
    );
}

#[cfg(unix)]
#[test]
fn a_training_that_is_interrupted_ends_with_the_same_weights() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let folder = corpus();
    // Long enough for Ctrl-C to come in time.
    let args = ["train", "--data", ".", "--epochs", "8", "--batch-size", "2"];
    said("asr", folder.path(), &[&args[..], &["--out", "whole"]].concat());
    let stopped = [&args[..], &["--out", "stopped", "--resume"]].concat();
    let mut process = command("asr", folder.path(), &stopped)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap()).lines();
    // The line before the first step, after that of a run that begins.
    assert!(out.any(|line| line.unwrap().contains(" parameters, ")));
    let pressed = Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status();
    assert!(pressed.unwrap().success());
    let last = out.last().unwrap().unwrap();
    assert_eq!(last, "stopped: --resume goes on from stopped/last.safetensors");
    assert!(process.wait().unwrap().success());
    said("asr", folder.path(), &stopped);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("whole/model.safetensors"), read("stopped/model.safetensors"));
}

#[test]
fn bundled_weights_know_ten_words() {
    let folder = tempfile::tempdir().unwrap();
    let bundled = said("keyword", folder.path(), &[]);
    assert!(bundled.starts_with("the bundled word: stop ("), "{bundled}");
    let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/speech");
    let words = [
        "down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes",
    ];
    let files = words.map(|word| speech.join(format!("{word}.flac")).display().to_string());
    let mut args = vec!["classify"];
    args.extend(files.iter().map(String::as_str));
    let answers = said("keyword", folder.path(), &args);
    let heard: Vec<&str> = answers
        .lines()
        .filter_map(|line| line.rsplit_once(": ")?.1.split(' ').next())
        .collect();
    assert_eq!(heard, words, "{answers}");
}

#[test]
fn keywords_are_learnt_and_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let time = Tensor::arange(0, 16000, 1, DType::F32)
        .unwrap()
        .div(16000)
        .unwrap();
    for (word, hz) in [("high", 1500.0), ("low", 200.0)] {
        let words = folder.path().join("words").join(word);
        std::fs::create_dir_all(&words).unwrap();
        for i in 0..10 {
            let tone = time
                .mul((hz + 10.0 * i as f64) * TAU)
                .unwrap()
                .sin()
                .unwrap()
                .unsqueeze(0)
                .unwrap();
            save(
                words.join(format!("{i}.wav")),
                &tone,
                16000,
                &SaveOptions::default(),
            )
            .unwrap();
        }
    }
    for model in ["ds_cnn_s", "m5"] {
        // Running statistics of 18 files take a while to become those of the files.
        let args = ["train", "words", "--model", model, "--epochs", "40"];
        let log = said("keyword", folder.path(), &args);
        assert!(
            log.contains("18 files to learn from, 2 to test with, 2 words"),
            "{log}"
        );
        let answers = said(
            "keyword",
            folder.path(),
            &[
                "classify",
                "words/high/9.wav",
                "words/low/9.wav",
                "--weights",
                "keyword.safetensors",
            ],
        );
        let words: Vec<&str> = answers
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        assert_eq!(words, ["high", "low"], "{model}: {log}{answers}");
    }
}

#[test]
fn bad_input_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.wav"), "this is text").unwrap();
    let calls: [(&str, &[&str], &str); 5] = [
        (
            "vad",
            &["text.wav"],
            "text.wav: not a file of sound that can be read",
        ),
        ("pitch", &["missing.wav"], "missing.wav"),
        (
            "features",
            &["text.wav"],
            "text.wav: not a file of sound that can be read",
        ),
        ("keyword", &["train", "nowhere"], "nowhere"),
        (
            "asr",
            &["transcribe", "text.wav", "--weights", "text.wav"],
            "text.wav",
        ),
    ];
    for (example, args, expected) in calls {
        let output = run(example, folder.path(), args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{example}: {error}");
        assert!(
            error.starts_with("error: ") && error.lines().count() == 1,
            "{example}: {error}"
        );
        assert!(error.contains(expected), "{example}: {error}");
    }
}
