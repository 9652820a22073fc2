//! Several files of one commit, weights in shards, and what there is without a hub.

use std::collections::BTreeSet;
use std::fs;

use flambeau_tensor::Error;

use super::*;

const INDEX: &str = "model.safetensors.index.json";
const SHARDS: [&str; 2] = [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
];

/// A model in two shards.
fn sharded(index: &str) -> World {
    let files = [
        (SHARDS[0], weights()),
        (SHARDS[1], weights()[..5000].to_vec()),
        (INDEX, index.as_bytes().to_vec()),
        ("onnx/model.onnx", vec![7; 100]),
    ];
    World::with(&files, |_, _| None, |_, _| None)
}

fn index() -> String {
    let map = serde_json::json!({ "a": SHARDS[1], "b": SHARDS[0], "c": SHARDS[1] });
    serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": map }).to_string()
}

fn offline(world: &World) -> Repo {
    world.builder().offline(true).build().unwrap().model("org/name")
}

#[test]
fn files_are_listed() {
    let world = sharded(&index());
    let expected = [SHARDS[0], SHARDS[1], INDEX, "onnx/model.onnx", "config.json"];
    assert_eq!(world.model().files().unwrap(), expected);
    let error = offline(&world).files().unwrap_err();
    assert!(
        matches!(error, Error::Io(_)) && error.to_string().contains("the hub is offline"),
        "{error}"
    );
}

#[test]
fn a_snapshot_has_what_the_patterns_match() {
    let world = sharded(&index());
    let snapshot = world.model().snapshot(&["*.json", "onnx/"]).unwrap();
    assert_eq!(snapshot.files, [INDEX, "onnx/model.onnx", "config.json"]);
    assert_eq!(
        (snapshot.commit.as_str(), &snapshot.folder),
        (COMMIT, &world.in_model(&format!("snapshots/{COMMIT}")))
    );
    for file in &snapshot.files {
        assert!(snapshot.folder.join(file).is_file(), "{file}");
    }
    assert_eq!(fs::read_to_string(world.in_model("refs/main")).unwrap(), COMMIT);
    // All that is asked for is asked for at the commit that was listed.
    let lines = world.hub.lines();
    assert_eq!(lines[0], "GET /api/models/org/name/revision/main");
    assert!(lines[1..].iter().all(|line| line.contains(COMMIT)), "{lines:?}");
    // The second time, one request.
    world.model().snapshot(&["*.json", "onnx/"]).unwrap();
    assert_eq!(world.hub.lines().len(), lines.len() + 1);

    let all = world.model().snapshot(&[]).unwrap();
    assert_eq!(all.files.len(), 5);
    let error = world.model().snapshot(&["*.gguf"]).unwrap_err();
    assert!(
        matches!(error, Error::Key(_)) && error.to_string().contains("no file matches [\"*.gguf\"]"),
        "{error}"
    );
}

#[test]
fn without_the_hub_a_snapshot_is_what_the_cache_has() {
    let world = sharded(&index());
    let online = world.model().snapshot(&["*.json", "onnx/"]).unwrap();
    let gone = world
        .builder()
        .endpoint(Server::start(|_, _| Reply::new(500)).url())
        .retries(0)
        .build()
        .unwrap();
    for model in [offline(&world), gone.model("org/name")] {
        let kept = model.snapshot(&[]).unwrap();
        assert_eq!((&kept.folder, &kept.commit), (&online.folder, &online.commit));
        assert_eq!(
            BTreeSet::from_iter(&kept.files),
            BTreeSet::from_iter(&online.files)
        );
        assert_eq!(model.snapshot(&["*.onnx"]).unwrap().files, ["onnx/model.onnx"]);
        let error = model.snapshot(&["*.safetensors"]).unwrap_err();
        assert!(matches!(error, Error::Key(_)), "{error}");
        assert!(
            error.to_string().contains(online.folder.to_str().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn an_index_brings_all_its_shards() {
    let world = sharded(&index());
    let path = world.model().safetensors().unwrap();
    assert_eq!(path, world.in_model(&format!("snapshots/{COMMIT}/{INDEX}")));
    for shard in SHARDS {
        assert!(path.with_file_name(shard).is_file(), "{shard}");
    }
    assert!(
        !world
            .in_model(&format!("snapshots/{COMMIT}/config.json"))
            .exists()
    );
    assert_eq!(offline(&world).safetensors().unwrap(), path);
    // One shard is lost: that is what is said.
    fs::remove_file(path.with_file_name(SHARDS[1])).unwrap();
    let error = offline(&world).safetensors().unwrap_err();
    assert!(error.to_string().contains(SHARDS[1]), "{error}");
}

#[test]
fn one_file_of_weights_needs_no_index() {
    let world = World::new();
    let path = world.model().safetensors().unwrap();
    assert_eq!(fs::read(&path).unwrap(), weights());
    assert_eq!(offline(&world).safetensors().unwrap(), path);
    assert_eq!(
        world.hub.lines(),
        ["HEAD /org/name/resolve/main/model.safetensors"]
    );
}

#[test]
fn models_without_safetensors_say_so() {
    let world = World::with(&[("pytorch_model.bin", weights())], |_, _| None, |_, _| None);
    let error = world.model().safetensors().unwrap_err();
    assert!(matches!(error, Error::Key(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("has neither `model.safetensors` nor `model.safetensors.index.json`"),
        "{error}"
    );
    let error = offline(&world).safetensors().unwrap_err();
    assert!(error.to_string().contains("put it at "), "{error}");
}

#[test]
fn an_index_can_not_lead_out_of_its_folder() {
    let outside = r#"{"weight_map": {"a": "../../../../outside"}}"#;
    for (index, expected) in [
        (outside, "../../../../outside"),
        ("{}", "missing field `weight_map`"),
        ("[", "EOF"),
        (r#"{"weight_map": {"a": 1}}"#, "invalid type"),
    ] {
        let world = sharded(index);
        let error = world.model().safetensors().unwrap_err();
        assert!(
            error.to_string().contains(expected) && error.to_string().contains(INDEX),
            "{error}"
        );
    }
    let world = World::with(
        &[],
        |request, _| {
            let list = format!(r#"{{"sha": "{COMMIT}", "siblings": [{{"rfilename": "../../x"}}]}}"#);
            request
                .path
                .starts_with("/api/")
                .then(|| Reply::new(200).body(list))
        },
        |_, _| None,
    );
    let error = world.model().snapshot(&[]).unwrap_err();
    assert!(
        matches!(error, Error::Value(_)) && error.to_string().contains("../../x"),
        "{error}"
    );
}

#[test]
fn lists_that_can_not_be_read_are_refused() {
    for (list, expected) in [
        ("no list", "no list of files"),
        (r#"{"sha": "../x", "siblings": []}"#, "../x"),
    ] {
        let world = World::with(&[], move |_, _| Some(Reply::new(200).body(list)), |_, _| None);
        let error = world.model().files().unwrap_err();
        assert!(
            matches!(error, Error::Format(_)) && error.to_string().contains(expected),
            "{error}"
        );
    }
}

#[test]
fn an_offline_error_says_exactly_where_to_put_the_file() {
    let world = World::new();
    let error = offline(&world).get("config.json").unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Io(_)), "{message}");
    let cache = world.cache().display();
    for part in [
        "`config.json` of the model `org/name` at `main`",
        &format!("cache {cache}"),
        "the hub is offline",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // Doing what it says helps.
    let (_, rest) = message.split_once("put it at ").unwrap();
    let (file, rest) = rest.split_once(" and write `").unwrap();
    let (commit, reference) = rest.split_once("` into ").unwrap();
    for (path, content) in [(file, CONFIG), (reference, commit.as_bytes())] {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let path = offline(&world).get("config.json").unwrap();
    assert_eq!(path, Path::new(file));
    // With the ref in place, the file's path is all that is left to say; weights in shards can be put there, too.
    let message = offline(&world).safetensors().unwrap_err().to_string();
    let (_, place) = message.split_once("put it at ").unwrap();
    assert_eq!(Path::new(place), path.with_file_name("model.safetensors"));
    fs::write(path.with_file_name(INDEX), index()).unwrap();
    for shard in SHARDS {
        fs::write(path.with_file_name(shard), "x").unwrap();
    }
    assert_eq!(offline(&world).safetensors().unwrap(), path.with_file_name(INDEX));
    assert!(world.hub.requests().is_empty());
}

#[test]
fn the_environment_can_forbid_the_network() {
    let world = World::new();
    let home = world.cache().to_path_buf();
    let builder = HubBuilder::from_vars(|name| match name {
        "HF_HUB_CACHE" => Some(home.clone().into_os_string()),
        "HF_HUB_OFFLINE" => Some("1".into()),
        _ => None,
    });
    let hub = builder.unwrap().endpoint(world.hub.url()).build().unwrap();
    let message = hub.model("org/name").get("config.json").unwrap_err().to_string();
    assert!(message.contains("HF_HUB_OFFLINE is set"), "{message}");
    assert!(world.hub.requests().is_empty());
}
