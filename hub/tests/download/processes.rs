//! Two processes that want the same file, and a process that is killed. The test runs itself again as the other process.

use std::fs;
use std::process::{Child, Command, Stdio};

use super::server::Gate;
use super::*;

/// Set for the other process: the endpoint and the cache.
const OTHER: &str = "FLAMBEAU_HUB_TEST_PROCESS";

/// What the other process does, if this is one.
fn is_other_process() -> bool {
    let Some(text) = std::env::var_os(OTHER) else {
        return false;
    };
    let text = text.into_string().unwrap();
    let (endpoint, cache) = text.split_once(' ').unwrap();
    let builder = Hub::builder(cache)
        .endpoint(endpoint)
        .timeout(Duration::from_secs(60))
        .retries(0);
    let path = builder
        .build()
        .unwrap()
        .model("org/name")
        .get("model.safetensors")
        .unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    true
}

fn start(world: &World, test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads", "1"])
        .env(OTHER, format!("{} {}", world.hub.url(), world.cache().display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The storage falls silent in the middle of the first answer.
fn silent_world(gate: &Gate) -> World {
    let held = gate.clone();
    World::with(
        &[("model.safetensors", weights())],
        |_, _| None,
        move |request, earlier| {
            (earlier == 0).then(|| Reply::content(request, &weights()).hold(500_000, &held))
        },
    )
}

fn assert_complete(world: &World) {
    let hash = sha256(&weights());
    let names: Vec<_> = fs::read_dir(world.in_model("blobs"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, [hash.as_str()]);
    assert_eq!(
        fs::read(world.in_model(&format!("snapshots/{COMMIT}/model.safetensors"))).unwrap(),
        weights()
    );
}

#[test]
fn two_processes_download_a_file_once() {
    if is_other_process() {
        return;
    }
    let gate = Gate::default();
    let world = silent_world(&gate);
    let mut others = [0, 1].map(|_| start(&world, "processes::two_processes_download_a_file_once"));
    // Both know that they need it; one of them has half of it.
    world.hub.wait_for("HEAD", 2);
    world.storage.wait_for("GET", 1);
    gate.open();
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    assert_complete(&world);
    assert_eq!(world.storage.requests().len(), 1);
}

#[test]
fn without_working_locks_the_file_is_right_all_the_same() {
    let gate = Gate::default();
    let world = silent_world(&gate);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| world.model().get("model.safetensors").unwrap());
        world.storage.wait_for("GET", 1);
        // As if the file system had none: the next one locks another file.
        fs::remove_dir_all(world.cache().join(".locks")).unwrap();
        let path = world.model().get("model.safetensors").unwrap();
        assert_complete(&world);
        gate.open();
        assert_eq!(slow.join().unwrap(), path);
    });
    assert_complete(&world);
    assert_eq!(world.storage.requests().len(), 2);
}

#[test]
fn a_killed_process_leaves_nothing_that_looks_complete() {
    if is_other_process() {
        return;
    }
    let gate = Gate::default();
    let world = silent_world(&gate);
    let mut other = start(
        &world,
        "processes::a_killed_process_leaves_nothing_that_looks_complete",
    );
    world.storage.wait_for("GET", 1);
    other.kill().unwrap();
    assert!(!other.wait().unwrap().success());
    let hash = sha256(&weights());
    assert!(!world.in_model(&format!("blobs/{hash}")).exists());
    assert!(!world.in_model("snapshots").exists() && !world.in_model("refs").exists());
    // What has arrived is used, however much it is, and the dead one's lock holds nobody.
    let left = fs::metadata(world.in_model(&format!("blobs/{hash}.incomplete"))).map_or(0, |meta| meta.len());
    world.model().get("model.safetensors").unwrap();
    assert_complete(&world);
    let range = world.storage.requests()[1].range();
    assert_eq!(range.unwrap_or(0) as u64, left);
    gate.open();
}
