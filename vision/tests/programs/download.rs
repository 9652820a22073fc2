//! Weights from a hub: a server on this machine.

#[allow(dead_code)]
#[path = "../../../hub/tests/download/server.rs"]
mod server;

use server::{Reply, Server};

use std::path::Path;

use flambeau_tensor::io::safetensors;

use super::{Home, Outcome, arg, weights};

const COMMIT: &str = "1111111111111111111111111111111111111111";
const ETAG: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub whose repositories have this file with weights.
fn hub(file: &Path) -> Server {
    let weights = std::fs::read(file).unwrap();
    Server::start(move |request, _| {
        if !request.path.ends_with("/model.safetensors") {
            return Reply::new(404).header("X-Error-Code", "EntryNotFound");
        }
        Reply::content(request, &weights)
            .header("ETag", format!("\"{ETAG}\""))
            .header("X-Repo-Commit", COMMIT)
    })
}

/// Runs `classify`, which may ask that hub.
fn online(home: &Home, hub: &Server, args: &[&str]) -> Outcome {
    let mut command = home.command("classify", args);
    command.env("HF_ENDPOINT", hub.url()).env_remove("HF_HUB_OFFLINE");
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_repository_gives_the_weights_once() {
    let home = Home::new();
    let picture = home.picture("picture.png");
    let hub = hub(&home.pets());
    let args = ["--weights", "org/pets", arg(&picture)];
    // Offline, the error names the file and its place.
    let (_, line) = home.refused("classify", &args);
    assert!(
        line.contains("`model.safetensors` of the model `org/pets`"),
        "{line}"
    );
    assert!(line.contains("models--org--pets"), "{line}");
    // Nothing is got without a word.
    let first = online(&home, &hub, &args);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert!(
        first.err.starts_with("getting org/pets from Hugging Face"),
        "{}",
        first.err
    );
    assert!(first.out.contains(" by resnet20, org/pets"), "{}", first.out);
    // From the cache.
    let again = home.run("classify", &args);
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""));
    let answers = |text: &str| text.lines().take(4).collect::<Vec<_>>().join("\n");
    assert_eq!(answers(&again.out), answers(&first.out));
}

#[test]
fn published_weights_are_got_and_become_the_default() {
    let home = Home::new();
    let picture = home.picture("picture.png");
    let file = home.path().join("densenet.safetensors");
    safetensors::save(&file, &weights("densenet121", 1000)).unwrap();
    let hub = hub(&file);
    // Nothing is got for a picture that there is not.
    let absent = online(&home, &hub, &["--model", "densenet121", "absent.png"]);
    assert!(absent.err.starts_with("error: absent.png: "), "{}", absent.err);
    assert!(hub.requests().is_empty());
    let first = online(&home, &hub, &["--model", "densenet121", arg(&picture)]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert!(
        first
            .err
            .starts_with("getting timm/densenet121.tv_in1k (31 MB) from Hugging Face"),
        "{}",
        first.err
    );
    for args in [&[arg(&picture)][..], &["--model", "densenet121", arg(&picture)]] {
        let again = home.run("classify", args);
        assert_eq!((again.code, again.err.as_str()), (Some(0), ""));
        assert!(again.out.contains(" by densenet121, "), "{}", again.out);
    }
}

#[test]
fn a_hub_that_can_not_be_reached_is_no_obstacle() {
    let home = Home::new();
    let picture = home.picture("picture.png");
    let answer = home.run("classify", &[arg(&picture)]);
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    assert!(answer.out.contains("by resnet20, bundled"), "{}", answer.out);
    assert!(
        answer.err.starts_with("note: ") && answer.err.contains("timm/resnet18.tv_in1k"),
        "{}",
        answer.err
    );
}
