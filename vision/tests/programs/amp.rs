//! Training in mixed precision.

use super::Home;
use super::killed::kill_at;

const SMALL: [&str; 9] = [
    "--smoke",
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

/// A training of small size, with these arguments; its losses and weights.
fn trained(home: &Home, out: &str, args: &[&str]) -> (Vec<f64>, Vec<u8>) {
    let ended = home.run("train", &[&SMALL[..], &["--out", out], args].concat());
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let weights = std::fs::read(home.path().join(out).join("model.safetensors")).unwrap();
    (column(home, out, "train_loss"), weights)
}

#[test]
fn a_training_in_mixed_precision_learns_and_goes_on_where_it_was_killed() {
    let home = Home::new();
    let (full, full_weights) = trained(&home, "full", &[]);
    for (amp, furthest) in [("bfloat16", 0.02), ("float16", 0.005)] {
        // Without its type, it is `bfloat16`.
        let args: &[&str] = if amp == "bfloat16" {
            &["--amp"]
        } else {
            &["--amp", amp]
        };
        let (losses, weights) = trained(&home, amp, args);
        assert!(losses[1] < losses[0] && losses[0] < 4.0, "{losses:?}");
        let killed = format!("{amp}-killed");
        let args = [&SMALL[..], args, &["--out", &killed]].concat();
        assert!(kill_at(&home, &args, "epoch   1"));
        let (_, resumed) = trained(&home, &killed, &["--amp", amp, "--resume"]);
        assert_eq!(weights, resumed);
        // It is another training than the one in full precision, and does not go on as that.
        assert_ne!(weights, full_weights);
        for (mixed, full) in losses.iter().zip(&full) {
            let off = (mixed - full).abs() / full;
            assert!(off < furthest, "a loss in {amp} is off by {off} of itself");
        }
        let (_, line) = home.refused("train", &[&SMALL[..], &["--out", amp, "--resume"]].concat());
        let expected = format!("--amp is null, but the run had \"{amp}\"");
        assert!(line.contains(&expected), "{line}");
    }
}
