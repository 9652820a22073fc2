//! Reference cases made by PyTorch: those shipped with the repository, or those below the directory that the environment
//! variable `FLAMBEAU_GOLDEN` names. `FLAMBEAU_GOLDEN_ONLY` restricts the run to files whose names contain one of its
//! comma-separated parts.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use flambeau_parity::golden::{Options, run};

#[test]
fn cases_agree_with_pytorch() {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let directory = std::env::var_os("FLAMBEAU_GOLDEN").map_or(shipped, PathBuf::from);
    let only = std::env::var("FLAMBEAU_GOLDEN_ONLY").ok();
    let report = run(&[directory], &Options { only }).unwrap();
    let mut failed = 0;
    for (group, report) in &report {
        for failure in &report.failed {
            println!("{group} {} case {}: {}", failure.file, failure.id, failure.why);
        }
        println!(
            "{group}: {} functions known, {} unknown, {} of {} cases passed, {} complex skipped",
            report.known,
            report.unknown.len(),
            report.passed,
            report.cases,
            report.skipped_complex
        );
        failed += report.failed.len();
    }
    assert!(report.values().any(|r| r.passed > 0), "no case was run");
    assert_eq!(failed, 0, "some cases failed; they are listed above");
}
