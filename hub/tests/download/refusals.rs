//! Who may see the token, and what errors say: the URL, the file, and what to do.

use std::fs;

use flambeau_tensor::Error;

use super::*;

/// The error of one request that the hub answers by `reply`.
fn error(reply: impl Fn() -> Reply + Send + Sync + 'static, token: Option<&str>) -> (Error, String) {
    let world = World::with(&[], move |_, _| Some(reply()), |_, _| None);
    let builder = world.builder().retries(2);
    let builder = match token {
        Some(token) => builder.token(token),
        None => builder,
    };
    let error = builder
        .build()
        .unwrap()
        .model("org/name")
        .get("a.bin")
        .unwrap_err();
    let message = error.to_string();
    let place = format!("{}/org/name/resolve/main/a.bin: ", world.hub.url());
    assert!(message.contains(&place), "{message}");
    assert!(!world.in_model("blobs").exists(), "a refusal leaves nothing");
    (error, message)
}

fn coded(status: u16, code: &'static str) -> impl Fn() -> Reply {
    move || Reply::new(status).header("X-Error-Code", code)
}

#[test]
fn the_token_is_for_the_hub_alone() {
    let world = World::new();
    let hub = world.builder().token("hf_secret").build().unwrap();
    hub.model("org/name").get("config.json").unwrap();
    hub.model("org/name").snapshot(&["*.safetensors"]).unwrap();
    for request in world.hub.requests() {
        assert_eq!(
            request.header("authorization"),
            Some("Bearer hf_secret"),
            "{}",
            request.path
        );
    }
    let at_storage = world.storage.requests();
    assert_eq!(at_storage.len(), 1);
    assert_eq!(at_storage[0].header("authorization"), None);
}

#[test]
fn another_name_of_this_machine_is_another_host() {
    // Same port, other name: a redirect of a list of files must not take the token along either.
    let other =
        Server::start(|_, _| Reply::new(200).body(format!("{{\"sha\": \"{COMMIT}\", \"siblings\": []}}")));
    let place = format!("http://localhost:{}/list", other.port());
    let world = World::with(
        &[],
        move |_, _| Some(Reply::new(307).header("Location", &place)),
        |_, _| None,
    );
    let hub = world.builder().token("hf_secret").build().unwrap();
    assert_eq!(hub.model("org/name").files().unwrap(), Vec::<String>::new());
    assert_eq!(other.requests()[0].header("authorization"), None);
    assert_eq!(
        world.hub.requests()[0].header("authorization"),
        Some("Bearer hf_secret")
    );
}

#[test]
fn a_renamed_repository_is_followed() {
    // The hub answers by an absolute link to itself, and the token goes along.
    let world = World::with(
        &[],
        |request, _| {
            let (_, rest) = request.path.split_once("/old/name/")?;
            let host = request.header("host").unwrap();
            Some(Reply::new(307).header("Location", format!("http://{host}/org/name/{rest}")))
        },
        |_, _| None,
    );
    let hub = world.builder().token("hf_secret").build().unwrap();
    let path = hub.model("old/name").get("config.json").unwrap();
    assert_eq!(fs::read(path).unwrap(), CONFIG);
    for request in world.hub.requests() {
        assert_eq!(
            request.header("authorization"),
            Some("Bearer hf_secret"),
            "{}",
            request.path
        );
    }
}

#[test]
fn a_401_says_where_a_token_is_looked_for() {
    let (kind, message) = error(|| Reply::new(401), None);
    assert!(matches!(kind, Error::Io(_)));
    assert!(
        message.contains("`a.bin` of the model `org/name` at `main`"),
        "{message}"
    );
    assert!(
        message.contains("a token is needed, and there is none"),
        "{message}"
    );
    let (_, message) = error(|| Reply::new(401), Some("hf_secret"));
    assert!(
        message.contains("the token from the builder of the hub was not enough"),
        "{message}"
    );
    assert!(!message.contains("hf_secret"), "{message}");

    let world = World::with(&[], |_, _| Some(Reply::new(401)), |_, _| None);
    let home = world.cache().to_path_buf();
    let builder =
        HubBuilder::from_vars(|name| (name == "HF_HOME").then(|| home.clone().into_os_string())).unwrap();
    let hub = builder.endpoint(world.hub.url()).progress(false).build().unwrap();
    let message = hub.model("org/name").get("a.bin").unwrap_err().to_string();
    let file = home.join("token").display().to_string();
    assert!(
        message.contains(&format!("in the variable HF_TOKEN and in the file {file}")),
        "{message}"
    );
}

#[test]
fn a_403_says_where_access_is_granted() {
    let reply = || {
        Reply::new(403)
            .header("X-Error-Code", "GatedRepo")
            .header("X-Error-Message", "Access is restricted.")
    };
    let (kind, message) = error(reply, Some("hf_secret"));
    assert!(matches!(kind, Error::Io(_)));
    assert!(message.contains("(Access is restricted.)"), "{message}");
    assert!(message.contains("/org/name; the token from"), "{message}");
}

#[test]
fn a_404_says_what_is_missing() {
    let cases = [
        (
            "EntryNotFound",
            "the model `org/name` has no file `a.bin` at `main`",
        ),
        ("RevisionNotFound", "the model `org/name` has no revision `main`"),
        (
            "RepoNotFound",
            "there is no model `org/name`, or it is private; a token is needed",
        ),
        (
            "",
            "the model `org/name`, its revision `main`, or its file `a.bin` does not exist",
        ),
    ];
    for (code, expected) in cases {
        let (kind, message) = error(coded(404, code), None);
        assert!(
            matches!(kind, Error::Key(_)) && message.contains(expected),
            "{message}"
        );
    }
    // And as the hub of these tests says it itself.
    let world = World::new();
    let message = world
        .model()
        .revision("v2")
        .get("config.json")
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("(not here): the model `org/name` has no revision `v2`"),
        "{message}"
    );
    let message = world
        .model()
        .files()
        .and_then(|_| world.model().revision("v2").files())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("/api/models/org/name/revision/v2: 404"),
        "{message}"
    );
}

#[test]
fn a_500_is_asked_again() {
    let world = World::with(
        &[("model.safetensors", weights())],
        |_, earlier| (earlier == 0).then(|| Reply::new(500)),
        |_, earlier| (earlier == 0).then(|| Reply::new(503)),
    );
    assert_eq!(
        fs::read(world.model().get("model.safetensors").unwrap()).unwrap(),
        weights()
    );
    let (kind, message) = error(|| Reply::new(429).header("Retry-After", 30), None);
    assert!(matches!(kind, Error::Io(_)));
    assert!(message.contains("given up after 3 tries"), "{message}");
    assert!(message.contains("asks to wait for 30 s"), "{message}");
}

#[test]
fn answers_that_are_no_hub_s_are_refused() {
    let good = || {
        Reply::new(200)
            .header("X-Repo-Commit", COMMIT)
            .header("ETag", "\"e\"")
            .body("x")
    };
    let cases: [(&dyn Fn() -> Reply, &str); 6] = [
        (
            &|| Reply::new(200).header("ETag", "\"e\"").body("x"),
            "the commit (X-Repo-Commit) is None",
        ),
        (
            &|| Reply::new(200).header("X-Repo-Commit", COMMIT).body("x"),
            "the ETag None",
        ),
        (
            &|| {
                Reply::new(200)
                    .header("X-Repo-Commit", "../../x")
                    .header("ETag", "\"e\"")
            },
            "../../x",
        ),
        (
            &|| {
                Reply::new(200)
                    .header("X-Repo-Commit", COMMIT)
                    .header("ETag", "\"../../../x\"")
            },
            "../../../x",
        ),
        (
            &move || good().header("X-Linked-Size", "many"),
            "the size is \"many\"",
        ),
        (
            &|| Reply::new(302).header("Location", "ftp://x/y"),
            "a redirect to Some(\"ftp://x/y\")",
        ),
    ];
    for (reply, expected) in cases {
        // The closures live as long as the test.
        let replies = std::sync::Mutex::new(Some(reply()));
        let world = World::with(&[], move |_, _| replies.lock().unwrap().take(), |_, _| None);
        let error = world.model().get("a.bin").unwrap_err();
        assert!(
            matches!(error, Error::Format(_)) && error.to_string().contains(expected),
            "{error}"
        );
    }
    let world = World::with(
        &[],
        |_, _| Some(Reply::new(302).header("Location", "/again")),
        |_, _| None,
    );
    let error = world.model().get("a.bin").unwrap_err();
    assert!(error.to_string().contains("more than 10 redirects"), "{error}");
    assert_eq!(world.hub.requests().len(), 11);
}

#[test]
fn names_that_can_not_be_are_refused_before_anything_is_asked() {
    let world = World::new();
    let hub = world.builder().build().unwrap();
    let wrong = [
        hub.model("../name").get("a"),
        hub.model("org/name").revision("../main").get("a"),
        hub.model("org/name").get("../a"),
        hub.model("org/name").get("/etc/passwd"),
        hub.dataset("a/b/c").snapshot(&[]).map(|snapshot| snapshot.folder),
        hub.model("").safetensors(),
    ];
    for error in wrong {
        assert!(
            matches!(&error, Err(Error::Value(message)) if message.starts_with("hub: ")),
            "{error:?}"
        );
    }
    assert!(world.hub.requests().is_empty());
}
