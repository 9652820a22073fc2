//! The example that profiles.

use crate::Home;

#[test]
fn a_step_of_training_is_a_table_and_a_trace() {
    let home = Home::new();
    let outcome = home.run(
        "profile",
        &[
            "resnet18",
            "--train",
            "--batch",
            "2",
            "--size",
            "32",
            "--trace",
            "trace.json",
        ],
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    for name in [
        "conv_backward",
        "SGD.step",
        "Conv2d",
        "Operations run by candle: 0",
        "trace.json",
    ] {
        assert!(outcome.out.contains(name), "{name} is missing:\n{}", outcome.out);
    }
    let trace = std::fs::read_to_string(home.path().join("trace.json")).unwrap();
    let trace: serde_json::Value = serde_json::from_str(&trace).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().len() > 100);
}

#[test]
fn what_can_not_be_profiled_is_named() {
    let home = Home::new();
    let outcome = home.run("profile", &["resnet19"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.err.contains("resnet19"), "{}", outcome.err);
    let outcome = home.run(
        "profile",
        &["resnet18", "--size", "32", "--trace", "nowhere/trace.json"],
    );
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("nowhere/trace.json"), "{}", outcome.err);
}
