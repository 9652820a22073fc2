//! Weights from a hub: a server on this machine.

#[allow(dead_code)]
#[path = "../../../hub/tests/download/server.rs"]
mod server;

use server::{Reply, Server};

use super::{Home, arg};

const COMMIT: &str = "1111111111111111111111111111111111111111";
const ETAG: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn a_repository_gives_the_weights_once() {
    let home = Home::new();
    let picture = home.picture("picture.png");
    let weights = std::fs::read(home.pets()).unwrap();
    let hub = Server::start(move |request, _| {
        if !request.path.ends_with("/model.safetensors") {
            return Reply::new(404).header("X-Error-Code", "EntryNotFound");
        }
        Reply::content(request, &weights)
            .header("ETag", format!("\"{ETAG}\""))
            .header("X-Repo-Commit", COMMIT)
    });
    let run = |offline: bool| {
        let mut command = home.command("classify", &["--weights", "org/pets", arg(&picture)]);
        command.env("HF_ENDPOINT", hub.url());
        if !offline {
            command.env_remove("HF_HUB_OFFLINE");
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    // Nothing is got without a word, and offline the error names the file and its place.
    let (code, out, err) = run(true);
    assert!(matches!(code, Some(1 | 2)) && out.is_empty(), "{err}");
    assert!(
        err.contains("`model.safetensors` of the model `org/pets`"),
        "{err}"
    );
    assert!(err.contains("models--org--pets"), "{err}");
    let (code, out, err) = run(false);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.starts_with("getting org/pets from Hugging Face"), "{err}");
    assert!(out.contains(" by resnet20, org/pets"), "{out}");
    // From the cache.
    let (code, again, err) = run(true);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let answers = |text: &str| text.lines().take(4).collect::<Vec<_>>().join("\n");
    assert_eq!(answers(&again), answers(&out));
}
