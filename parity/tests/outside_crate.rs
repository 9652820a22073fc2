//! The crate of `docs/outside-crate.md`, built and run as a crate that knows nothing of this workspace.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn a_crate_outside_of_the_workspace_trains_a_model() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let source = workspace.join("docs/outside-crate");
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let manifest = read(&source.join("Cargo.toml"));
    let program = read(&source.join("src/main.rs"));
    let page = read(&workspace.join("docs/outside-crate.md"));
    assert!(page.contains(&manifest), "the page shows another manifest");
    assert!(page.contains(&program), "the page shows another program");

    // Far from the workspace, with its versions of dependencies and its settings for them: then what is built already in
    // its target directory is used again, and only Flambeau itself is compiled anew.
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let copy = temporary.join("outside-crate");
    fs::create_dir_all(copy.join("src")).unwrap();
    let manifest = manifest.replace("../..", workspace.to_str().unwrap());
    fs::write(copy.join("Cargo.toml"), manifest).unwrap();
    fs::write(copy.join("src/main.rs"), program).unwrap();
    fs::copy(workspace.join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    let settings = read(&workspace.join("Cargo.toml"));
    let (_, profile) = settings.split_once("[profile.dev]").unwrap();
    let (profile, _) = profile.split_once("[profile.release]").unwrap();
    fs::write(copy.join("profile.toml"), format!("[profile.dev]{profile}")).unwrap();
    let output = Command::new(env::var_os("CARGO").unwrap())
        .args([
            "run",
            "--quiet",
            "--offline",
            "--config",
            "profile.toml",
            "--target-dir",
        ])
        .arg(temporary.parent().unwrap())
        .current_dir(&copy)
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stdout}{stderr}");
    let (_, accuracy) = stdout
        .split_once("right about ")
        .expect("the accuracy is printed");
    let accuracy: f64 = accuracy.split('%').next().unwrap().parse().unwrap();
    assert!(accuracy > 95.0, "{stdout}");
}
