//! Training in mixed precision.

use super::Home;
use super::killed::kill_at;

const MIXED: [&str; 10] = [
    "--smoke",
    "--amp",
    "--batch-size",
    "8",
    "--optimizer",
    "adamw",
    "--lr",
    "0.003",
    "--augment",
    "none",
];

/// A column of the run's measurements.
fn column(home: &Home, run: &str, name: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(home.path().join(run).join("log.csv")).unwrap();
    let mut rows = text.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let at = rows
        .next()
        .unwrap()
        .iter()
        .position(|title| *title == name)
        .unwrap();
    rows.map(|row| row[at].parse().unwrap()).collect()
}

#[test]
fn a_training_in_mixed_precision_learns_and_goes_on_where_it_was_killed() {
    let home = Home::new();
    let run = |out: &str, args: &[&str]| {
        let ended = home.run("train", &[&MIXED[..], &["--out", out], args].concat());
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    };
    run("whole", &[]);
    let losses = column(&home, "whole", "train_loss");
    assert!(losses[1] < losses[0] && losses[0] < 4.0, "{losses:?}");
    assert!(kill_at(
        &home,
        &[&MIXED[..], &["--out", "killed"]].concat(),
        "epoch   1"
    ));
    run("killed", &["--resume"]);
    let weights = |out: &str| std::fs::read(home.path().join(out).join("model.safetensors")).unwrap();
    assert_eq!(weights("whole"), weights("killed"));
    // It is another training than the one in full precision, and does not go on as that.
    let full: Vec<&str> = MIXED.into_iter().filter(|arg| *arg != "--amp").collect();
    let ended = home.run("train", &[&full[..], &["--out", "full"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_ne!(weights("full"), weights("whole"));
    let off = |(a, b): (f64, &f64)| (a - b).abs() / b;
    let furthest = column(&home, "full", "train_loss")
        .into_iter()
        .zip(&losses)
        .map(off)
        .fold(0.0, f64::max);
    assert!(
        furthest < 0.02,
        "losses in mixed precision are off by {furthest} of themselves"
    );
    let (_, line) = home.refused("train", &[&full[..], &["--out", "whole", "--resume"]].concat());
    assert!(line.contains("--amp is false, but the run had true"), "{line}");
}
