//! The examples, run as programs are: what they print, what they write, and what they refuse and how.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs an example in a folder.
fn run(folder: &Path, example: &str, args: &[&str]) -> Output {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push(format!("examples/{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is missing: `cargo test -p flambeau-rl` builds it, and so does `cargo build --examples`",
        program.display()
    );
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(folder)
        .env("FLAMBEAU_NUM_THREADS", "1")
        .stdin(Stdio::null());
    command.output().unwrap()
}

/// What an example prints that succeeds.
fn prints(folder: &Path, example: &str, args: &[&str]) -> String {
    let output = run(folder, example, args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{example} {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line in which an example says what is wrong.
fn refuses(folder: &Path, example: &str, args: &[&str]) -> String {
    let output = run(folder, example, args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{example} {args:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn an_agent_plays_without_arguments() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&[][..], &["--agent", "dqn", "--seed", "3"]] {
        let text = prints(folder.path(), "play", args);
        assert_eq!(
            text,
            "CartPole-v1: reward 500 in 500 steps; the pictures are in episode.gif\n"
        );
        let gif = std::fs::File::open(folder.path().join("episode.gif")).unwrap();
        let mut decoder = gif::DecodeOptions::new().read_info(gif).unwrap();
        let mut frames = 0;
        while decoder.read_next_frame().unwrap().is_some() {
            frames += 1;
        }
        // Every second of 501 pictures.
        assert_eq!(frames, 251);
    }
    let text = prints(folder.path(), "play", &["--env", "Breakout-v0"]);
    assert!(text.starts_with("Breakout-v0: reward 2"), "{text}");
    let text = prints(folder.path(), "play", &["--env", "Taxi-v4", "--agent", "random"]);
    assert!(text.starts_with("Taxi-v4: reward -"), "{text}");
    let text = prints(
        folder.path(),
        "play",
        &["--env", "CliffWalking-v1", "--agent", "random"],
    );
    assert!(text.contains(" in 200 steps"), "{text}");
    let text = prints(folder.path(), "vec_env", &["--work", "20", "--time", "1"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(prints(folder.path(), "play", &["--list"]).contains("Pendulum-v1"));
}

#[test]
fn what_a_training_leaves_can_be_played_with_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let train = |more: &[&'static str]| {
        let own: &[&'static str] = &["--steps", "600", "--eval-every", "300", "--out", "run"];
        [own, more].concat()
    };
    let text = prints(folder.path(), "ppo", &train(&[]));
    assert!(text.starts_with("PPO on CartPole-v1: 9155 parameters"), "{text}");
    assert!(text.contains("100 episodes: "), "{text}");
    let run = folder.path().join("run");
    for file in ["curves.png", "log.csv", "last.safetensors", "best.safetensors"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let played = prints(folder.path(), "play", &["--weights", "run/best.safetensors"]);
    assert!(played.starts_with("CartPole-v1: reward "), "{played}");

    let error = refuses(folder.path(), "ppo", &train(&[]));
    assert!(error.contains("run holds a run already"), "{error}");
    let more = [
        "--steps",
        "1200",
        "--eval-every",
        "300",
        "--out",
        "run",
        "--resume",
    ];
    let error = refuses(folder.path(), "ppo", &more);
    assert!(error.contains("steps"), "{error}");
    assert!(prints(folder.path(), "ppo", &train(&["--resume"])).contains("going on after 768 steps"));

    // Files that are empty, cut off, another environment's or another algorithm's.
    let best = std::fs::read(run.join("best.safetensors")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("empty.safetensors", &[]);
    write("cut.safetensors", &best[..best.len() / 2]);
    write("cut.zip", &best[..100]);
    for file in ["empty.safetensors", "cut.safetensors", "cut.zip"] {
        let error = refuses(folder.path(), "play", &["--weights", file]);
        assert!(error.contains(file), "{error}");
    }
    let other = ["--weights", "run/best.safetensors", "--env", "Acrobot-v1"];
    let error = refuses(folder.path(), "play", &other);
    assert!(
        error.contains("best.safetensors") && error.contains("mlp_extractor"),
        "{error}"
    );
    let error = refuses(folder.path(), "dqn", &train(&["--resume"]));
    assert!(error.contains("algorithm"), "{error}");
    let last = std::fs::read(run.join("last.safetensors")).unwrap();
    for bytes in [&last[..last.len() - 5], &[]] {
        write("run/last.safetensors", bytes);
        let error = refuses(folder.path(), "ppo", &train(&["--resume"]));
        assert!(error.contains("last.safetensors"), "{error}");
    }
}

#[test]
fn every_training_has_a_short_form() {
    let folder = tempfile::tempdir().unwrap();
    let dqn = ["--smoke", "--dueling", "--prioritized", "--n-steps", "3"];
    for (example, args) in [("dqn", &dqn[..]), ("sac", &["--smoke"])] {
        let text = prints(folder.path(), example, args);
        assert!(text.contains("5 episodes: "), "{text}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn wrong_input_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let error = refuses(folder.path(), "ppo", &["--env", "Pong"]);
    assert!(error.contains(r#"no environment is called "Pong""#), "{error}");
    let error = refuses(folder.path(), "dqn", &["--env", "Pendulum-v1"]);
    assert!(error.contains("DQN: expected Discrete actions"), "{error}");
    let error = refuses(folder.path(), "sac", &["--env", "CartPole-v1"]);
    assert!(error.contains("got Discrete(2)"), "{error}");
    let error = refuses(folder.path(), "play", &["--env", "Acrobot-v1"]);
    assert!(error.contains("--agent random"), "{error}");
    let error = refuses(folder.path(), "play", &["--weights", "missing.zip"]);
    assert!(error.contains("missing.zip"), "{error}");
    let error = refuses(folder.path(), "vec_env", &["--envs", "0"]);
    assert!(error.contains("at least 1 environment"), "{error}");
    let error = refuses(folder.path(), "play", &["--terminal"]);
    assert!(error.contains("--terminal needs a terminal"), "{error}");
}
