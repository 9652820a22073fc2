//! Bodies that break off, fall silent, lie, or go on.

use std::fs;

use flambeau_tensor::Error;

use super::server::Gate;
use super::*;

const HALF: usize = 600_000;

/// The storage answers the first request for content by `fault`.
fn world_with(fault: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> World {
    World::with(
        &[("model.safetensors", weights())],
        |_, _| None,
        move |request, earlier| (earlier == 0).then(|| fault(Reply::content(request, &weights()))),
    )
}

fn incomplete(world: &World) -> PathBuf {
    world.in_model(&format!("blobs/{}.incomplete", sha256(&weights())))
}

fn get(world: &World) -> Vec<u8> {
    let content = fs::read(world.model().get("model.safetensors").unwrap()).unwrap();
    assert!(!incomplete(world).exists());
    content
}

#[test]
fn a_body_that_breaks_off_goes_on_where_it_stopped() {
    let world = world_with(|reply| reply.cut(HALF));
    assert_eq!(get(&world), weights());
    let ranges: Vec<_> = world.storage.requests().iter().map(Request::range).collect();
    assert_eq!(ranges, [None, Some(HALF)]);
    // The second link comes from the hub, for the commit.
    let by_commit = format!("GET /org/name/resolve/{COMMIT}/model.safetensors");
    assert_eq!(
        world.hub.lines(),
        [
            "HEAD /org/name/resolve/main/model.safetensors".to_string(),
            by_commit
        ]
    );
}

#[test]
fn another_process_goes_on_where_one_stopped() {
    let world = world_with(|reply| reply.cut(HALF));
    let error = world
        .builder()
        .retries(0)
        .build()
        .unwrap()
        .model("org/name")
        .get("model.safetensors")
        .unwrap_err();
    let message = error.to_string();
    let place = format!("{}/blob/{}: ", world.storage.url(), sha256(&weights()));
    assert!(message.starts_with(&place), "{message}");
    assert!(
        message.contains(&format!("after {HALF} bytes of 1200000 of `model.safetensors`")),
        "{message}"
    );
    assert!(!message.contains("signature"), "{message}");
    assert_eq!(fs::read(incomplete(&world)).unwrap(), weights()[..HALF]);
    assert_eq!(get(&world), weights());
    assert_eq!(world.storage.requests()[1].range(), Some(HALF));
}

#[test]
fn a_silent_server_is_given_up_and_asked_again() {
    let gate = Gate::default();
    let held = gate.clone();
    let world = world_with(move |reply| reply.hold(HALF, &held));
    let hub = world
        .builder()
        .timeout(Duration::from_millis(200))
        // However slow the machine is, one of them comes through.
        .retries(100)
        .build()
        .unwrap();
    let path = hub.model("org/name").get("model.safetensors").unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    gate.open();
}

#[test]
fn a_server_that_stays_silent_is_named() {
    let gate = Gate::default();
    let held = gate.clone();
    let world = World::with(
        &[("model.safetensors", weights())],
        |_, _| None,
        move |request, _| Some(Reply::content(request, &weights()).hold(0, &held)),
    );
    let hub = world
        .builder()
        .timeout(Duration::from_millis(300))
        .retries(2)
        .build()
        .unwrap();
    let error = hub.model("org/name").get("model.safetensors").unwrap_err();
    gate.open();
    let message = error.to_string();
    assert!(matches!(error, Error::Io(_)), "{message}");
    assert!(
        message.contains("given up after 3 tries") && message.contains("timeout"),
        "{message}"
    );
    assert!(world.storage.requests().len() <= 3);
}

#[test]
fn servers_that_ignore_ranges_are_understood() {
    let world = World::with(
        &[("model.safetensors", weights())],
        |_, _| None,
        |_, earlier| {
            let reply = Reply::new(200).body(weights());
            Some(if earlier == 0 { reply.cut(HALF) } else { reply })
        },
    );
    assert_eq!(get(&world), weights());
}

#[test]
fn a_range_that_was_not_asked_for_is_refused() {
    let world = World::with(
        &[("model.safetensors", weights())],
        |_, _| None,
        |_, earlier| {
            let reply = Reply::new(206)
                .header("Content-Range", "bytes 0-1199999/1200000")
                .body(weights());
            Some(if earlier == 0 { reply.cut(HALF) } else { reply })
        },
    );
    let error = world.model().get("model.safetensors").unwrap_err();
    assert!(
        matches!(error, Error::Format(_)) && error.to_string().contains("from byte 600000 on"),
        "{error}"
    );
}

#[test]
fn leftovers_that_do_not_fit_are_thrown_away() {
    // Longer than the file; of the file's length with other content; a beginning with other content.
    for leftover in [vec![1; 2_000_000], vec![2; 1_200_000], vec![3; 1000]] {
        let world = World::new();
        fs::create_dir_all(world.in_model("blobs")).unwrap();
        fs::write(incomplete(&world), &leftover).unwrap();
        assert_eq!(get(&world), weights(), "{} bytes", leftover.len());
        assert!(world.storage.requests().len() <= 2);
    }
}

#[test]
fn a_complete_leftover_is_not_fetched_again() {
    let world = World::new();
    fs::create_dir_all(world.in_model("blobs")).unwrap();
    fs::write(incomplete(&world), weights()).unwrap();
    assert_eq!(get(&world), weights());
    assert!(world.storage.requests().is_empty());
}

#[test]
fn a_wrong_checksum_is_an_error_and_leaves_nothing() {
    let mut wrong = weights();
    wrong[777] ^= 1;
    let sent = wrong.clone();
    let world = World::with(
        &[("model.safetensors", weights())],
        |_, _| None,
        move |request, _| Some(Reply::content(request, &sent)),
    );
    let error = world.model().get("model.safetensors").unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Format(_)), "{message}");
    for part in [
        sha256(&wrong),
        sha256(&weights()),
        "`model.safetensors` of the model `org/name`".to_string(),
    ] {
        assert!(message.contains(&part), "{message}");
    }
    assert_eq!(fs::read_dir(world.in_model("blobs")).unwrap().count(), 0);
    assert!(!world.in_model("snapshots").exists() && !world.in_model("refs").exists());
    assert_eq!(world.storage.requests().len(), 1, "a lie is not asked for again");
}

#[test]
fn bodies_of_another_length_than_announced_are_errors() {
    // A file in git, whose only check is its size.
    for (sent, expected) in [
        (&b"{}"[..], "ends after 2 bytes of 20"),
        (&[b' '; 30], "sends more than 20 bytes"),
    ] {
        let world = World::with(
            &[],
            move |request, _| {
                let body = request.method == "GET" && request.path.contains("resolve-cache");
                body.then(|| Reply::new(200).body(sent))
            },
            |_, _| None,
        );
        let hub = world.builder().retries(1).build().unwrap();
        let error = hub.model("org/name").get("config.json").unwrap_err();
        assert!(
            matches!(error, Error::Format(_)) && error.to_string().contains(expected),
            "{error}"
        );
        assert!(!world.in_model(&format!("blobs/{CONFIG_ETAG}")).exists());
        assert!(!world.in_model("snapshots").exists());
    }
}

#[test]
fn a_storage_link_that_is_too_old_is_renewed() {
    let world = world_with(|_| Reply::new(403));
    assert_eq!(get(&world), weights());
    assert_eq!(world.hub.requests().len(), 2);
}

#[test]
fn an_empty_file_needs_no_body() {
    let world = World::with(&[("empty.bin", Vec::new())], |_, _| None, |_, _| None);
    let path = world.model().get("empty.bin").unwrap();
    assert_eq!(fs::read(path).unwrap(), b"");
    assert!(world.storage.requests().is_empty());
}

#[test]
fn files_of_unknown_size_begin_anew() {
    let world = World::with(
        &[],
        |request, earlier| {
            let reply = Reply::new(200)
                .header("ETag", "\"e-2\"")
                .header("X-Repo-Commit", COMMIT);
            let reply = reply.chunked(weights());
            let breaks_off = request.method == "GET" && earlier == 0;
            Some(if breaks_off { reply.cut(HALF) } else { reply })
        },
        |_, _| None,
    );
    let path = world.model().get("log.txt").unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    let ranges: Vec<_> = world
        .hub
        .requests()
        .iter()
        .map(|r| (r.method.clone(), r.range()))
        .collect();
    let get = ("GET".to_string(), None);
    assert_eq!(ranges, [("HEAD".to_string(), None), get.clone(), get]);
}
