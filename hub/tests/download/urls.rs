//! Files that are in no repository: from any URL, with a checksum.

use std::fs;

use flambeau_hub::Checksum;

use super::*;

/// A server of one file, which answers by `fault` where that returns something.
fn server(fault: impl Fn(&Request, usize) -> Option<Reply> + Send + Sync + 'static) -> Server {
    Server::start(move |request, earlier| match fault(request, earlier) {
        Some(reply) => reply,
        None if request.path == "/data/digits.gz" => Reply::content(request, &weights()),
        None => Reply::new(404),
    })
}

fn hub(folder: &TempFolder) -> HubBuilder {
    Hub::builder(folder.0.join("cache"))
        .timeout(Duration::from_secs(60))
        .backoff(Duration::ZERO)
}

fn sum() -> Checksum {
    Checksum::Sha256(sha256(&weights()))
}

#[test]
fn a_file_is_got_once() {
    let (server, folder) = (server(|_, _| None), TempFolder::new());
    let (hub, to) = (
        hub(&folder).build().unwrap(),
        folder.0.join("MNIST/raw/digits.gz"),
    );
    let url = format!("{}/data/digits.gz", server.url());
    for _ in 0..2 {
        hub.download(&url, &to, &sum()).unwrap();
        assert_eq!(fs::read(&to).unwrap(), weights());
        assert_eq!(server.lines(), ["HEAD /data/digits.gz", "GET /data/digits.gz"]);
    }
    // What is there and something else is replaced.
    fs::write(&to, b"damaged").unwrap();
    hub.download(&url, &to, &sum()).unwrap();
    assert_eq!(fs::read(&to).unwrap(), weights());
}

#[test]
fn md5_is_checked_too() {
    let (server, folder) = (
        Server::start(|request, _| Reply::content(request, b"abc")),
        TempFolder::new(),
    );
    let (hub, to) = (hub(&folder).build().unwrap(), folder.0.join("abc"));
    let md5 = |digits: &str| Checksum::Md5(digits.to_string());
    let error = hub
        .download(&server.url(), &to, &md5("d41d8cd98f00b204e9800998ecf8427e"))
        .unwrap_err();
    let expected = "`abc`: the MD5 of what arrived is 900150983cd24fb0d6963f7d28e17f72, \
        that of the file is d41d8cd98f00b204e9800998ecf8427e; it was thrown away";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    hub.download(&server.url(), &to, &md5("900150983cd24fb0d6963f7d28e17f72"))
        .unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"abc");
}

#[test]
fn a_body_that_breaks_off_goes_on() {
    let once = |request: &Request, earlier| {
        (request.method == "GET" && earlier == 0).then(|| Reply::content(request, &weights()).cut(500_000))
    };
    let (server, folder) = (server(once), TempFolder::new());
    let to = folder.0.join("digits.gz");
    hub(&folder)
        .build()
        .unwrap()
        .download(&format!("{}/data/digits.gz", server.url()), &to, &sum())
        .unwrap();
    assert_eq!(fs::read(&to).unwrap(), weights());
    let ranges: Vec<_> = server.requests().iter().map(Request::range).collect();
    assert_eq!(ranges, [None, None, Some(500_000)]);
}

#[test]
fn a_server_need_not_know_the_length() {
    let unknown = |request: &Request, _| match request.method.as_str() {
        "HEAD" => Some(Reply::new(405)),
        _ => Some(Reply::new(200).chunked(weights())),
    };
    let (server, folder) = (server(unknown), TempFolder::new());
    let to = folder.0.join("digits.gz");
    hub(&folder)
        .build()
        .unwrap()
        .download(&server.url(), &to, &sum())
        .unwrap();
    assert_eq!(fs::read(&to).unwrap(), weights());
}

#[test]
fn refusals_say_what_was_asked_for() {
    let (server, folder) = (server(|_, _| None), TempFolder::new());
    let (hub_, to) = (hub(&folder).build().unwrap(), folder.0.join("letters.gz"));
    let url = format!("{}/data/letters.gz", server.url());
    let message = |hub: &Hub, url: &str, sum: &Checksum| hub.download(url, &to, sum).unwrap_err().to_string();
    let error = message(&hub_, &url, &sum());
    assert!(
        error.contains("404") && error.ends_with("`letters.gz`"),
        "{error}"
    );
    // What is not there is asked for once.
    assert_eq!(server.lines(), ["HEAD /data/letters.gz"]);
    assert!(message(&hub_, "ftp://example.org/x", &sum()).contains("is no URL"));
    assert!(message(&hub_, &url, &Checksum::Sha256("12".into())).contains("is no SHA-256"));
    let offline = hub(&folder).offline(true).build().unwrap();
    let error = message(&offline, &url, &sum());
    assert!(
        error.starts_with(&url) && error.contains("letters.gz, and"),
        "{error}"
    );
}
