//! What `finetune` makes of a folder of pictures.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use flambeau_tensor::{DType, Tensor};
use flambeau_vision::io::encode_png;

use super::{Home, arg};

/// A folder with bright and dark pictures, and the arguments that learn to tell them apart.
fn lamps(home: &Home) -> Vec<String> {
    for (class, level) in [("dark", 30), ("bright", 220)] {
        for i in 0..6u8 {
            let picture = Tensor::full((3, 40, 48), level + 5 * i64::from(i), DType::U8).unwrap();
            home.file(
                &format!("lamps/{class}/{i}.png"),
                encode_png(&picture, 6).unwrap(),
            );
        }
    }
    let pets = home.pets();
    [
        "lamps",
        "--weights",
        arg(&pets),
        "--batch-size",
        "4",
        "--head-epochs",
        "1",
        "--epochs",
        "2",
        "--val",
        "0.34",
    ]
    .map(str::to_string)
    .to_vec()
}

fn run(home: &Home, args: &[String], more: &[&str]) -> super::Outcome {
    let args: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    home.run("finetune", &args)
}

#[test]
fn what_is_learnt_can_be_asked() {
    let home = Home::new();
    let args = lamps(&home);
    let outcome = run(&home, &args, &["--json", "--lr", "0.02"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(report["classes"], serde_json::json!(["bright", "dark"]));
    assert_eq!(report["accuracy"], 1.0, "{report}");
    let log = std::fs::read_to_string(home.path().join("runs/finetune/log.csv")).unwrap();
    assert_eq!(log.lines().count(), 1 + 3, "{log}");
    assert!(home.path().join("runs/finetune/curves.png").is_file());
    let weights = "runs/finetune/model.safetensors";
    let answer = home.run(
        "classify",
        &["lamps/dark/3.png", "--weights", weights, "--top", "1"],
    );
    assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
    assert!(
        answer.out.lines().nth(1).unwrap().ends_with("%  dark"),
        "{}",
        answer.out
    );
}

#[test]
fn a_run_that_is_interrupted_and_killed_ends_with_the_same_weights() {
    let home = Home::new();
    let args = lamps(&home);
    let whole = run(&home, &args, &["--out", "whole"]);
    assert_eq!((whole.code, whole.err.as_str()), (Some(0), ""));
    #[cfg(unix)]
    {
        let mut stopped: Vec<&str> = args.iter().map(String::as_str).collect();
        stopped.extend(["--out", "killed"]);
        let outcome = super::killed::interrupted(&home, "finetune", &stopped);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
        assert!(
            outcome.out.contains("stopped: --resume goes on"),
            "{}",
            outcome.out
        );
    }
    // The epoch of the head, and one of everything.
    for line in ["epoch   1", "epoch   2"] {
        let mut killed: Vec<&str> = args.iter().map(String::as_str).collect();
        killed.extend(["--out", "killed", "--resume"]);
        let mut process = home
            .command("finetune", &killed)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|printed| printed.unwrap().starts_with(line)));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let rest = run(&home, &args, &["--out", "killed", "--resume"]);
    assert_eq!((rest.code, rest.err.as_str()), (Some(0), ""));
    let read = |name: &str| std::fs::read(home.path().join(name)).unwrap();
    assert_eq!(read("whole/model.safetensors"), read("killed/model.safetensors"));
}

#[test]
fn pictures_that_can_not_be_learnt_are_named() {
    let home = Home::new();
    let args = lamps(&home);
    let (_, line) = home.refused("finetune", &["absent", "--weights", &args[2]]);
    assert!(line.contains("absent: No such file"), "{line}");
    let (code, line) = home.refused("finetune", &["lamps", "--model", "resnet19"]);
    assert!(
        code == 2 && line.contains("the closest names are resnet18"),
        "{line}"
    );
    let (code, line) = home.refused("finetune", &["lamps", "--val", "1"]);
    assert!(code == 2 && line.contains("--val 1: expected a part"), "{line}");
    home.picture("few/one/1.png");
    let (code, line) = home.refused("finetune", &["few", "--weights", &args[2]]);
    assert!(
        code == 2 && line.contains("one: one picture is not enough"),
        "{line}"
    );
    // Other classes in `val` than in `train`.
    for file in [
        "split/train/cat/1.png",
        "split/train/dog/1.png",
        "split/val/cat/1.png",
    ] {
        home.picture(file);
    }
    let (code, line) = home.refused("finetune", &["split", "--weights", &args[2]]);
    assert!(
        code == 2 && line.contains(r#"["cat", "dog"], those to measure with ["cat"]"#),
        "{line}"
    );
    home.file("lamps/dark/9.png", "");
    let outcome = run(&home, &args, &[]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.err.lines().count() == 1 && outcome.err.contains("dark/9.png"),
        "{}",
        outcome.err
    );
}
