//! Programs outside of the workspace, built and run as crates that know nothing of it: that of `docs/outside-crate.md` on
//! two of its crates, and that of the facade's documentation on the facade alone.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the whole workspace asks of crates that these programs depend on as well.
const FEATURES: [(&str, &str, &[&str]); 8] = [
    ("bytemuck", "1", &["extern_crate_alloc"]),
    ("flate2", "1", &["default", "zlib-rs"]),
    ("getrandom", "0.4", &["std", "sys_rng"]),
    ("indexmap", "2", &["serde"]),
    ("once_cell", "1", &["default"]),
    ("serde_core", "1", &["default"]),
    ("simd-adler32", "0.3", &["const-generics", "default"]),
    ("zlib-rs", "0.6", &["std"]),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// Runs a program far from the workspace, with its versions of dependencies, its settings and its features for them: then
/// what is built already in its target directory is used again, and only Flambeau itself is compiled anew. Returns what it
/// prints.
fn run(name: &str, manifest: &str, program: &str) -> String {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let copy = temporary.join(name);
    fs::create_dir_all(copy.join("src")).unwrap();
    let (manifest, rest) = manifest.split_once("[workspace]\n").unwrap();
    assert!(rest.is_empty());
    let features = FEATURES.map(|(name, version, features)| {
        format!("{name} = {{ version = {version:?}, default-features = false, features = {features:?} }}\n")
    });
    let manifest = format!("{manifest}{}\n[workspace]\n", features.concat());
    fs::write(copy.join("Cargo.toml"), manifest).unwrap();
    fs::write(copy.join("src/main.rs"), program).unwrap();
    fs::copy(workspace().join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    let settings = read(workspace().join("Cargo.toml"));
    let (_, profile) = settings.split_once("[profile.dev]").unwrap();
    let (profile, _) = profile.split_once("[profile.release]").unwrap();
    // To the program Flambeau's crates are dependencies; as in the workspace, only the kernels are optimised.
    let plain = ["autograd", "data", "hub", "nn", "nn-derive", "optim", "tensor"];
    let plain = plain.map(|name| format!("[profile.dev.package.flambeau-{name}]\nopt-level = 0\n"));
    let profile = format!("[profile.dev]{profile}\n{}", plain.concat());
    fs::write(copy.join("profile.toml"), profile).unwrap();
    let output = Command::new(env::var_os("CARGO").unwrap())
        .args(["run", "--quiet", "--offline", "--config", "profile.toml"])
        .arg("--target-dir")
        .arg(temporary.parent().unwrap())
        .current_dir(&copy)
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout.into_owned()
}

#[test]
fn a_crate_outside_of_the_workspace_trains_a_model() {
    let source = workspace().join("docs/outside-crate");
    let manifest = read(source.join("Cargo.toml"));
    let program = read(source.join("src/main.rs"));
    let page = read(workspace().join("docs/outside-crate.md"));
    assert!(page.contains(&manifest), "the page shows another manifest");
    assert!(page.contains(&program), "the page shows another program");

    let manifest = manifest.replace("../..", workspace().to_str().unwrap());
    let stdout = run("outside-crate", &manifest, &program);
    let (_, accuracy) = stdout
        .split_once("right about ")
        .expect("the accuracy is printed");
    let accuracy: f64 = accuracy.split('%').next().unwrap().parse().unwrap();
    assert!(accuracy > 95.0, "{stdout}");
}

#[test]
fn a_crate_needs_the_facade_alone() {
    let facade = workspace().join("flambeau");
    let documentation = read(facade.join("src/lib.rs"));
    let program: String = documentation
        .lines()
        .map(|line| line.trim_start_matches("//!").trim_start_matches(' '))
        .skip_while(|&line| line != "```")
        .skip(1)
        .take_while(|&line| line != "```")
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(program.contains("#[derive(Module)]") && program.contains("assert_eq!"));
    let manifest = format!(
        "[package]\nname = \"outside-facade\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nflambeau = {{ path = {:?} }}\n\n[workspace]\n",
        facade.to_str().unwrap()
    );
    run("outside-facade", &manifest, &program);
}
