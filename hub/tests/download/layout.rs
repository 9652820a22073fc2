//! What is asked, and what lies in the cache afterwards.

use std::fs;

use super::*;

#[test]
fn a_file_in_git_comes_over_a_relative_redirect() {
    let world = World::new();
    let path = world.model().get("config.json").unwrap();
    assert_eq!(path, world.in_model(&format!("snapshots/{COMMIT}/config.json")));
    assert_eq!(fs::read(&path).unwrap(), CONFIG);
    let cached = format!("/api/resolve-cache/{COMMIT}/config.json");
    assert_eq!(
        world.hub.lines(),
        [
            "HEAD /org/name/resolve/main/config.json".to_string(),
            format!("HEAD {cached}"),
            format!("GET {cached}")
        ]
    );
    assert!(world.storage.requests().is_empty());
}

#[test]
fn a_large_file_comes_from_the_storage() {
    let world = World::new();
    let path = world.model().get("model.safetensors").unwrap();
    assert_eq!(fs::read(&path).unwrap(), weights());
    assert_eq!(
        world.hub.lines(),
        ["HEAD /org/name/resolve/main/model.safetensors"]
    );
    // The content's hash by `sha256sum`.
    let hash = "8dcf03a3c281c2b1cc7a68cc7be29c2489ed0854f4109856e9b51bd838fc7a26";
    assert_eq!(world.storage.lines(), [format!("GET /blob/{hash}")]);
    assert_eq!(
        fs::read(world.in_model(&format!("blobs/{hash}"))).unwrap(),
        weights()
    );
}

#[test]
fn the_cache_is_laid_out_as_by_python() {
    let world = World::with(&[("a b/c/d.bin", weights())], |_, _| None, |_, _| None);
    let model = world.model();
    let (config, deep) = (
        model.get("config.json").unwrap(),
        model.get("a b/c/d.bin").unwrap(),
    );
    let hash = sha256(&weights());
    assert_eq!(fs::read_to_string(world.in_model("refs/main")).unwrap(), COMMIT);
    let mut blobs: Vec<String> = fs::read_dir(world.in_model("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    blobs.sort();
    assert_eq!(blobs, [CONFIG_ETAG.to_string(), hash.clone()]);
    assert!(
        world
            .cache()
            .join(format!(".locks/models--org--name/{hash}.lock"))
            .is_file()
    );
    #[cfg(unix)]
    {
        let target = |path| fs::read_link(path).unwrap().to_str().unwrap().to_string();
        assert_eq!(target(config), format!("../../blobs/{CONFIG_ETAG}"));
        assert_eq!(target(deep), format!("../../../../blobs/{hash}"));
    }
    assert!(model.cached("a b/c/d.bin").unwrap().is_some());
    assert_eq!(model.cached("a b/c").unwrap(), None);
}

#[test]
fn datasets_tags_and_commits_have_their_places() {
    let world = World::new();
    let hub = world.builder().build().unwrap();
    let data = hub
        .dataset("org/name")
        .revision("v1/a")
        .get("config.json")
        .unwrap();
    let part = world.cache().join("datasets--org--name");
    assert_eq!(data, part.join(format!("snapshots/{COMMIT}/config.json")));
    assert_eq!(fs::read_to_string(part.join("refs/v1/a")).unwrap(), COMMIT);
    assert_eq!(
        world.hub.lines()[0],
        "HEAD /datasets/org/name/resolve/v1%2Fa/config.json"
    );
    hub.model("org/name").revision(COMMIT).get("config.json").unwrap();
    assert!(!world.in_model("refs").exists(), "a commit needs no ref");
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let world = World::new();
    let model = world.model();
    let first = model.get("model.safetensors").unwrap();
    assert_eq!(model.get("model.safetensors").unwrap(), first);
    // The branch could have moved: the hub is asked, the storage isn't.
    assert_eq!(
        (world.hub.requests().len(), world.storage.requests().len()),
        (2, 1)
    );
    // A commit can't move.
    assert_eq!(
        model.clone().revision(COMMIT).get("model.safetensors").unwrap(),
        first
    );
    assert_eq!(world.hub.requests().len(), 2);
    // The blob is there already: another commit that has it costs a link.
    fs::remove_dir_all(world.in_model("snapshots")).unwrap();
    assert_eq!(model.get("model.safetensors").unwrap(), first);
    assert_eq!(world.storage.requests().len(), 1);
}

#[test]
fn damage_in_the_cache_is_repaired() {
    let world = World::new();
    let model = world.model();
    let path = model.get("model.safetensors").unwrap();
    let blob = world.in_model(&format!("blobs/{}", sha256(&weights())));
    // The blob is lost, the link to it isn't.
    fs::remove_file(&blob).unwrap();
    assert_eq!(model.cached("model.safetensors").unwrap(), None);
    assert_eq!(
        fs::read(model.get("model.safetensors").unwrap()).unwrap(),
        weights()
    );
    // It is cut, and the link is lost.
    fs::write(&blob, &weights()[..1000]).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(
        fs::read(model.get("model.safetensors").unwrap()).unwrap(),
        weights()
    );
    assert_eq!(world.storage.requests().len(), 3);
}

#[test]
fn a_moved_branch_is_followed() {
    let moved = "2222222222222222222222222222222222222222";
    let world = World::with(
        &[],
        move |request, earlier| {
            let renewed = earlier > 0 && request.path == "/org/name/resolve/main/config.json";
            (renewed && request.method == "HEAD" || request.path.contains(moved)).then(|| {
                Reply::content(request, b"new")
                    .header("ETag", "\"new\"")
                    .header("X-Repo-Commit", moved)
            })
        },
        |_, _| None,
    );
    let model = world.model();
    let old = model.get("config.json").unwrap();
    let new = model.get("config.json").unwrap();
    assert_eq!(
        (fs::read(old).unwrap(), fs::read(new).unwrap()),
        (CONFIG.to_vec(), b"new".to_vec())
    );
    assert_eq!(fs::read_to_string(world.in_model("refs/main")).unwrap(), moved);
}

#[test]
fn an_unreachable_hub_gives_what_is_cached() {
    let world = World::new();
    let path = world.model().get("config.json").unwrap();
    // Nobody listens here any more.
    let gone = Server::start(|_, _| Reply::new(500)).url();
    let hub = world.builder().endpoint(gone).retries(1).build().unwrap();
    assert_eq!(hub.model("org/name").get("config.json").unwrap(), path);
    let message = hub
        .model("org/name")
        .get("model.safetensors")
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("/org/name/resolve/main/model.safetensors: "),
        "{message}"
    );
    assert!(message.contains("given up after 2 tries"), "{message}");
}
