//! Which crate may use which.
//!
//! Every manifest states its layer, `[package.metadata.flambeau] layer = 1`, or stands apart (`layer = "apart"`:
//! tools, which nothing in the layers uses). Arrows point down only: a crate uses crates of lower layers, never one
//! beside or above it. `kernels` is used by `tensor` alone, `tensor` alone names candle, and `hub` alone names what
//! reaches into the network.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Problem;
use super::source::Doors;
use crate::steps::cargo_command;

const KERNELS: &str = "flambeau-kernels";
const TENSOR: &str = "flambeau-tensor";
const HUB: &str = "flambeau-hub";
/// Packages that open connections.
const NETWORK: [&str; 10] = [
    "attohttpc",
    "curl",
    "hf-hub",
    "hyper",
    "minreq",
    "native-tls",
    "reqwest",
    "rustls",
    "tungstenite",
    "ureq",
];
/// The layers up to this one may not look up in their tests either: there, a dev-dependency would close a cycle, and
/// the tests would see two copies of the crate under test.
const FOUNDATION: u64 = 1;

/// Where a crate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    At(u64),
    Apart,
    /// The manifest says nothing that can be understood.
    Unstated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Dependency {
    name: String,
    dev: bool,
}

/// What the rules need to know of a package.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    name: String,
    manifest: String,
    license: Option<String>,
    layer: Layer,
    dependencies: Vec<Dependency>,
}

/// The packages of the workspace at `root`.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>> {
    let output = cargo_command()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("`cargo metadata` ended with {}", output.status);
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("`cargo metadata` printed no JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .context("`cargo metadata` lists no packages")?;
    packages.iter().map(|package| parse(package, root)).collect()
}

fn parse(package: &Value, root: &Path) -> Result<Package> {
    let name = package["name"]
        .as_str()
        .context("a package without a name")?
        .to_string();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    Ok(Package {
        manifest: manifest
            .strip_prefix(root)
            .unwrap_or(manifest)
            .to_string_lossy()
            .replace('\\', "/"),
        license: package["license"].as_str().map(str::to_string),
        layer: match &package["metadata"]["flambeau"]["layer"] {
            Value::String(s) if s == "apart" => Layer::Apart,
            layer => layer.as_u64().map_or(Layer::Unstated, Layer::At),
        },
        dependencies: dependencies
            .map(|d| Dependency {
                name: d["name"].as_str().unwrap_or_default().to_string(),
                dev: d["kind"] == "dev",
            })
            .collect(),
        name,
    })
}

impl Package {
    /// The folder of the manifest, relative to the root.
    pub(crate) fn folder(&self) -> &str {
        self.manifest.strip_suffix("/Cargo.toml").unwrap_or_default()
    }
}

/// The folders whose sources may name candle and the network.
pub(crate) fn doors(packages: &[Package]) -> Doors<'_> {
    let folder = |name: &str| packages.iter().find(|package| package.name == name);
    Doors {
        candle: folder(TENSOR).map(Package::folder),
        network: folder(HUB).map(Package::folder),
    }
}

/// Checks all packages.
pub(crate) fn check(packages: &[Package]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in packages {
        let mut complain = |what: String| problems.push(Problem::new(&package.manifest, 0, what));
        if package.layer == Layer::Unstated {
            complain("states no layer: `[package.metadata.flambeau] layer = N` or \"apart\"".to_string());
        }
        if package.license.as_deref() != Some("MIT OR Apache-2.0") {
            complain("is not under `license.workspace = true`".to_string());
        }
        for dependency in &package.dependencies {
            if dependency.name.starts_with("candle") && package.name != TENSOR {
                complain(format!("names {}; only {TENSOR} may", dependency.name));
            }
            if NETWORK.contains(&dependency.name.as_str()) && package.name != HUB {
                complain(format!("names {}; only {HUB} may", dependency.name));
            }
            if let Some(target) = packages.iter().find(|p| p.name == dependency.name)
                && let Some(what) = broken_arrow(package, target, dependency.dev)
            {
                complain(what);
            }
        }
    }
    problems
}

/// What is wrong with `from` using `to`, if anything.
fn broken_arrow(from: &Package, to: &Package, dev: bool) -> Option<String> {
    if from.layer == Layer::Apart {
        return None;
    }
    let Layer::At(below) = to.layer else {
        return (!dev && to.layer == Layer::Apart)
            .then(|| format!("uses {}, which stands apart from the layers", to.name));
    };
    let Layer::At(above) = from.layer else {
        return None;
    };
    if dev && above > FOUNDATION {
        return None;
    }
    if below >= above {
        let direction = if below == above { "sideways" } else { "up" };
        return Some(format!(
            "layer {above} uses {} of layer {below}: the arrow points {direction}",
            to.name
        ));
    }
    (to.name == KERNELS && from.name != TENSOR && !dev)
        .then(|| format!("uses {KERNELS}, which is for {TENSOR} alone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, layer: Layer, uses: &[&str], tests_use: &[&str]) -> Package {
        let dependency = |dev: bool| {
            move |name: &&str| Dependency {
                name: name.to_string(),
                dev,
            }
        };
        Package {
            name: name.to_string(),
            manifest: format!("{}/Cargo.toml", name.trim_start_matches("flambeau-")),
            license: Some("MIT OR Apache-2.0".to_string()),
            layer,
            dependencies: uses
                .iter()
                .map(dependency(false))
                .chain(tests_use.iter().map(dependency(true)))
                .collect(),
        }
    }

    fn problems(packages: &[Package]) -> Vec<String> {
        check(packages).iter().map(ToString::to_string).collect()
    }

    fn ground() -> Vec<Package> {
        vec![
            package(KERNELS, Layer::At(0), &["half"], &[]),
            package(TENSOR, Layer::At(1), &[KERNELS, "candle-core"], &["proptest"]),
        ]
    }

    fn with(extra: Vec<Package>) -> Vec<String> {
        problems(&ground().into_iter().chain(extra).collect::<Vec<_>>())
    }

    #[test]
    fn arrows_that_point_down_are_fine() {
        assert!(
            with(vec![
                package("flambeau-autograd", Layer::At(2), &[TENSOR], &["flambeau-parity"]),
                package(
                    "flambeau-parity",
                    Layer::Apart,
                    &[TENSOR, "flambeau-autograd"],
                    &[]
                ),
                package("flambeau-bench", Layer::Apart, &[KERNELS, TENSOR], &[]),
            ])
            .is_empty()
        );
        assert_eq!(doors(&ground()).candle, Some("tensor"));
    }

    #[test]
    fn arrows_up_and_sideways_are_refused() {
        assert_eq!(
            with(vec![
                package(
                    "flambeau-nn",
                    Layer::At(3),
                    &["flambeau-trainer", "flambeau-optim"],
                    &[]
                ),
                package("flambeau-optim", Layer::At(3), &[TENSOR], &["flambeau-nn"]),
                package("flambeau-trainer", Layer::At(4), &[], &[]),
            ]),
            [
                "nn/Cargo.toml: layer 3 uses flambeau-trainer of layer 4: the arrow points up",
                "nn/Cargo.toml: layer 3 uses flambeau-optim of layer 3: the arrow points sideways",
            ]
        );
    }

    #[test]
    fn the_foundation_does_not_look_up_in_its_tests_either() {
        let packages = [
            package(KERNELS, Layer::At(0), &[], &[TENSOR]),
            package(TENSOR, Layer::At(1), &[KERNELS], &[]),
        ];
        assert_eq!(
            problems(&packages),
            ["kernels/Cargo.toml: layer 0 uses flambeau-tensor of layer 1: the arrow points up"]
        );
    }

    #[test]
    fn kernels_and_candle_are_for_tensor_alone() {
        assert_eq!(
            with(vec![
                package("flambeau-nn", Layer::At(3), &[KERNELS, "candle-nn"], &[KERNELS]),
                package("flambeau-bench", Layer::Apart, &["candle-core"], &[]),
            ]),
            [
                "nn/Cargo.toml: uses flambeau-kernels, which is for flambeau-tensor alone",
                "nn/Cargo.toml: names candle-nn; only flambeau-tensor may",
                "bench/Cargo.toml: names candle-core; only flambeau-tensor may",
            ]
        );
    }

    #[test]
    fn the_network_is_for_hub_alone() {
        let hub = package(HUB, Layer::At(3), &[TENSOR, "hf-hub", "ureq"], &[]);
        assert_eq!(
            with(vec![
                hub.clone(),
                package("flambeau-nn", Layer::At(3), &["reqwest"], &["ureq"]),
            ]),
            [
                "nn/Cargo.toml: names reqwest; only flambeau-hub may",
                "nn/Cargo.toml: names ureq; only flambeau-hub may",
            ]
        );
        assert_eq!(doors(&[hub]).network, Some("hub"));
    }

    #[test]
    fn tools_are_not_used_and_layers_are_stated() {
        assert_eq!(
            with(vec![
                package("flambeau-parity", Layer::Apart, &[], &[]),
                package("flambeau-nn", Layer::At(3), &["flambeau-parity"], &[]),
                package("flambeau-new", Layer::Unstated, &[], &[]),
            ]),
            [
                "nn/Cargo.toml: uses flambeau-parity, which stands apart from the layers",
                "new/Cargo.toml: states no layer: `[package.metadata.flambeau] layer = N` or \"apart\"",
            ]
        );
    }

    #[test]
    fn manifests_are_read_as_cargo_tells_them() {
        let json = serde_json::json!({
            "name": "flambeau-tensor", "manifest_path": "/w/tensor/Cargo.toml", "license": "MIT OR Apache-2.0",
            "metadata": { "flambeau": { "layer": 1 } },
            "dependencies": [{ "name": "flambeau-kernels", "kind": null }, { "name": "proptest", "kind": "dev" }],
        });
        let package = parse(&json, Path::new("/w")).unwrap();
        assert_eq!(package.manifest, "tensor/Cargo.toml");
        assert_eq!(package.layer, Layer::At(1));
        assert_eq!(
            package.dependencies.iter().map(|d| d.dev).collect::<Vec<_>>(),
            [false, true]
        );
    }
}
