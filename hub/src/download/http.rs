//! Requests to the hub: redirects, the token, repeated tries, and what refusals mean.
//!
//! The hub answers `resolve` with the file or points elsewhere: to another place of its own, or to the storage of large
//! files, on other hosts. Its answer to HEAD tells the commit, the ETag (the SHA-256 of a large file) and the size.
//! Redirects are followed here rather than by the client, because the token is for the hub alone.

use std::fmt;
use std::time::Duration;

use flambeau_tensor::{Error, Result, bail, ensure};
use ureq::http::header::{HeaderMap, LOCATION};
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body, Proxy};

use super::config::{Settings, Token};
use super::names;

const MAX_REDIRECTS: usize = 10;
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// A list of files of this length has a hundred thousand of them.
const MAX_LIST: u64 = 64 << 20;

/// The way to one hub.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: Agent,
    hub: Origin,
    retries: u32,
    backoff: Duration,
    /// The value of the header, where there is a token.
    authorization: Option<Secret>,
    /// What an error says about the token.
    about_token: String,
}

/// A text that is not for printing.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

/// What is asked for, in the words of errors. A file that is in no repository has none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) kind: &'static str,
    pub(super) repo: &'a str,
    pub(super) revision: &'a str,
    pub(super) file: Option<&'a str>,
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) if self.repo.is_empty() => return write!(f, "`{file}`"),
            Some(file) => write!(f, "`{file}` of ")?,
            None => {}
        }
        write!(f, "the {} `{}` at `{}`", self.kind, self.repo, self.revision)
    }
}

/// What the hub says about a file.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) commit: String,
    pub(super) etag: String,
    pub(super) size: Option<u64>,
    /// Where its content is.
    pub(super) location: Uri,
}

/// Why a request brought nothing.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// No answer, or one that may be better next time.
    Passing(Error),
    /// The repository has no such file.
    NoFile(Error),
    /// Everything else.
    Lasting(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Passing(error) | Failure::NoFile(error) | Failure::Lasting(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Lasting(error)
    }
}

/// Failures in a row, and whether to try again.
pub(super) struct Tries<'a> {
    client: &'a Client,
    allowed: u32,
    failed: u32,
}

impl Tries<'_> {
    /// Waits and returns if the failure may pass and tries are left.
    ///
    /// # Errors
    /// The failure otherwise.
    pub(super) fn failed(&mut self, failure: Failure) -> Result<(), Failure> {
        let Failure::Passing(error) = failure else {
            return Err(failure);
        };
        self.failed += 1;
        if self.failed > self.allowed {
            return Err(Failure::Passing(match self.failed {
                1 => error,
                n => error.context(format!("given up after {n} tries")),
            }));
        }
        let factor = 1u32 << (self.failed - 1).min(16);
        std::thread::sleep(self.client.backoff.saturating_mul(factor).min(MAX_PAUSE));
        Ok(())
    }

    /// Things went on: what failed before does not count any more.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Client> {
        let hub = settings
            .endpoint
            .parse::<Uri>()
            .ok()
            .as_ref()
            .and_then(Origin::of);
        let Some(hub) = hub else {
            bail!(
                Value,
                "hub: {:?} is no URL of a hub; `https://…` is expected",
                settings.endpoint
            )
        };
        let timeout = Some(settings.timeout);
        let config = Agent::config_builder()
            .user_agent(concat!("flambeau-hub/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout)
            .timeout_per_write(timeout)
            .proxy(settings.proxy_from_env.then(Proxy::try_from_env).flatten())
            .build();
        let (authorization, about_token) = match &settings.token {
            Token::Given { value, source } => (
                Some(Secret(format!("Bearer {value}"))),
                format!("the token from {source} was not enough"),
            ),
            Token::Missing { places } => (None, format!("a token is needed, and there is none: {places}")),
        };
        Ok(Client {
            agent: config.into(),
            hub,
            retries: settings.retries,
            backoff: settings.backoff,
            authorization,
            about_token,
        })
    }

    /// Whether a URL is on the hub itself.
    pub(super) fn is_hub(&self, url: &Uri) -> bool {
        Origin::of(url).as_ref() == Some(&self.hub)
    }

    pub(super) fn tries(&self) -> Tries<'_> {
        Tries {
            client: self,
            allowed: self.retries,
            failed: 0,
        }
    }

    /// What the hub says about a file. It is asked again as often as `patient` allows.
    pub(super) fn head(&self, url: &Uri, asked: Asked<'_>, patient: bool) -> Result<Head, Failure> {
        let mut tries = self.tries();
        if !patient {
            tries.allowed = 0;
        }
        loop {
            match self.head_once(url, asked) {
                Err(failure) => tries.failed(failure)?,
                head => return head,
            }
        }
    }

    fn head_once(&self, url: &Uri, asked: Asked<'_>) -> Result<Head, Failure> {
        let mut location = url.clone();
        let (mut commit, mut etag, mut size) = (None, None, None);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send("HEAD", &location, 0)?;
            let status = response.status();
            let header = |name: &str| text_of(response.headers(), name);
            commit = header("x-repo-commit").or(commit);
            etag = header("x-linked-etag").or(etag);
            size = header("x-linked-size").or(size);
            let next = redirect(&location, &response)?;
            if let Some(next) = next {
                let leaves = !self.is_hub(&next);
                location = next;
                if !(leaves && etag.is_some()) {
                    continue;
                }
            } else if !status.is_success() {
                return Err(self.refusal(&location, &response, asked));
            } else {
                etag = etag.or_else(|| header("etag"));
                size = size.or_else(|| header("content-length"));
            }
            let place = shown(url);
            let (commit, etag) = match (commit, etag.as_deref().map(without_quotes)) {
                (Some(commit), Some(etag)) if names::is_commit(&commit) && names::is_file_name(etag) => {
                    (commit, etag.to_string())
                }
                (commit, etag) => {
                    let what = format!(
                        "{place}: no answer of a hub: the commit (X-Repo-Commit) is {commit:?}, the ETag {etag:?}"
                    );
                    return Err(Failure::Lasting(Error::Format(what)));
                }
            };
            let size = size.map(|text| {
                let wrong = || Error::Format(format!("{place}: the size is {text:?}; a number is expected"));
                text.parse::<u64>().map_err(|_| wrong())
            });
            return Ok(Head {
                commit,
                etag,
                size: size.transpose()?,
                location,
            });
        }
        Err(too_many_redirects(url))
    }

    /// The length of a file that is in no repository, where the server tells it.
    pub(super) fn size(&self, url: &Uri, asked: Asked<'_>) -> Result<Option<u64>, Failure> {
        let mut tries = self.tries();
        loop {
            match self.size_once(url, asked) {
                Err(failure) => tries.failed(failure)?,
                size => return size,
            }
        }
    }

    fn size_once(&self, url: &Uri, asked: Asked<'_>) -> Result<Option<u64>, Failure> {
        let mut location = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send("HEAD", &location, 0)?;
            match (redirect(&location, &response)?, response.status()) {
                (Some(next), _) => location = next,
                (None, StatusCode::OK) => {
                    let length = text_of(response.headers(), "content-length");
                    return Ok(length.and_then(|length| length.parse().ok()));
                }
                // There are servers that do not know this kind of request.
                (None, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) => return Ok(None),
                _ => return Err(self.refusal(&location, &response, asked)),
            }
        }
        Err(too_many_redirects(url))
    }

    /// The answer to a request for what lies from byte `from` on: 200, 206 or 416.
    pub(super) fn get(&self, url: &Uri, from: u64, asked: Asked<'_>) -> Result<Response<Body>, Failure> {
        let mut location = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send("GET", &location, from)?;
            match (redirect(&location, &response)?, response.status()) {
                (Some(next), _) => location = next,
                (None, StatusCode::OK | StatusCode::PARTIAL_CONTENT) => return Ok(response),
                (None, StatusCode::RANGE_NOT_SATISFIABLE) if from > 0 => return Ok(response),
                _ => return Err(self.refusal(&location, &response, asked)),
            }
        }
        Err(too_many_redirects(url))
    }

    /// A short text, such as a list of files.
    pub(super) fn text(&self, url: &Uri, asked: Asked<'_>) -> Result<String, Failure> {
        let mut tries = self.tries();
        loop {
            let text = self.get(url, 0, asked).and_then(|response| {
                let body = response.into_body().into_with_config().limit(MAX_LIST);
                body.read_to_string().map_err(|error| lost(url, error))
            });
            match text {
                Err(failure) => tries.failed(failure)?,
                text => return text,
            }
        }
    }

    /// One request. The token goes to the hub only, and what comes is never packed, so that its length is known.
    fn send(&self, method: &str, url: &Uri, from: u64) -> Result<Response<Body>, Failure> {
        let mut request = match method {
            "HEAD" => self.agent.head(url),
            _ => self.agent.get(url),
        };
        request = request.header("accept-encoding", "identity");
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        if let Some(Secret(value)) = &self.authorization
            && self.is_hub(url)
        {
            request = request.header("authorization", value);
        }
        request.call().map_err(|error| lost(url, error))
    }

    /// What a status that is no success means.
    fn refusal(&self, url: &Uri, response: &Response<Body>, asked: Asked<'_>) -> Failure {
        let status = response.status();
        let header = |name: &str| text_of(response.headers(), name).filter(|text| is_plain(text));
        let mut what = format!("{}: {status}", shown(url));
        if let Some(message) = header("x-error-message") {
            what.push_str(&format!(" ({message})"));
        }
        let passing = matches!(status.as_u16(), 408 | 429) || status.is_server_error();
        let elsewhere = asked.repo.is_empty();
        if elsewhere && !passing {
            return Failure::Lasting(Error::Io(format!("{what}: {asked}")));
        }
        if passing || !self.is_hub(url) {
            // The storage refuses links that are too old: the hub makes new ones.
            if let Some(seconds) = header("retry-after") {
                what.push_str(&format!(", and asks to wait for {seconds} s"));
            }
            return Failure::Passing(Error::Io(format!("{what}: {asked}")));
        }
        let Asked {
            kind,
            repo,
            revision,
            file,
        } = asked;
        match (status.as_u16(), header("x-error-code").as_deref(), file) {
            (404, Some("EntryNotFound"), Some(file)) => Failure::NoFile(Error::Key(format!(
                "{what}: the {kind} `{repo}` has no file `{file}` at `{revision}`"
            ))),
            (404, Some("RevisionNotFound"), _) => Failure::Lasting(Error::Key(format!(
                "{what}: the {kind} `{repo}` has no revision `{revision}`"
            ))),
            (404, Some("RepoNotFound"), _) => Failure::Lasting(Error::Key(format!(
                "{what}: there is no {kind} `{repo}`, or it is private; {}",
                self.about_token
            ))),
            (404, _, file) => {
                let file = file.map_or_else(String::new, |file| format!(", or its file `{file}`"));
                Failure::Lasting(Error::Key(format!(
                    "{what}: the {kind} `{repo}`, its revision `{revision}`{file} does not exist"
                )))
            }
            (401, ..) => Failure::Lasting(Error::Io(format!(
                "{what}: {asked}: the {kind} does not exist, or is not for everybody; {}",
                self.about_token
            ))),
            (403, ..) => Failure::Lasting(Error::Io(format!(
                "{what}: {asked}: access has to be granted, see {}; {}",
                shown(url).split("/resolve/").next().unwrap_or_default(),
                self.about_token
            ))),
            _ => Failure::Lasting(Error::Io(format!("{what}: {asked}"))),
        }
    }
}

/// Who may see a token: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// `None` for what is no URL of HTTP.
    fn of(url: &Uri) -> Option<Origin> {
        let secure = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Origin {
            secure,
            host: url.host().filter(|host| !host.is_empty())?.to_ascii_lowercase(),
            port: url.port_u16().unwrap_or(if secure { 443 } else { 80 }),
        })
    }
}

/// A URL that this program put together.
pub(super) fn parse(url: &str) -> Result<Uri> {
    let parsed = url.parse::<Uri>().ok().filter(|url| Origin::of(url).is_some());
    parsed.ok_or_else(|| Error::Value(format!("hub: {url:?} is no URL")))
}

/// A URL for people: links to the storage have signatures in their queries, which are nobody's business.
pub(super) fn shown(url: &Uri) -> String {
    let text = url.to_string();
    text.split('?').next().unwrap_or_default().to_string()
}

/// A request that got no answer, or not all of it.
pub(super) fn lost(url: &Uri, error: impl fmt::Display) -> Failure {
    Failure::Passing(Error::Io(format!("{}: {error}", shown(url))))
}

fn too_many_redirects(url: &Uri) -> Failure {
    let what = format!("{}: more than {MAX_REDIRECTS} redirects", shown(url));
    Failure::Lasting(Error::Format(what))
}

/// Where an answer points, if it does.
fn redirect(from: &Uri, response: &Response<Body>) -> Result<Option<Uri>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    match location.and_then(|location| join(from, location)) {
        Some(to) => {
            let downgrade =
                Origin::of(from).is_some_and(|o| o.secure) && Origin::of(&to).is_some_and(|o| !o.secure);
            ensure!(
                !downgrade,
                Format,
                "{}: points to {}, which is not encrypted",
                shown(from),
                shown(&to)
            );
            Ok(Some(to))
        }
        None => bail!(
            Format,
            "{}: a redirect to {location:?}, which is no URL",
            shown(from)
        ),
    }
}

/// The URL that a link means where it stands.
fn join(base: &Uri, link: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let is_scheme = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let absolute = if link
        .split_once("://")
        .is_some_and(|(scheme, _)| is_scheme(scheme))
    {
        link.to_string()
    } else if link.starts_with("//") {
        format!("{scheme}:{link}")
    } else if link.starts_with('/') {
        format!("{scheme}://{authority}{link}")
    } else if link.starts_with('?') {
        format!("{scheme}://{authority}{}{link}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{link}")
    };
    absolute.parse().ok().filter(|url| Origin::of(url).is_some())
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_string)
}

/// `W/"etag"` and `"etag"` are the same content.
fn without_quotes(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

/// Whether a server's text can stand in an error.
fn is_plain(text: &str) -> bool {
    text.len() <= 300 && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn links_are_joined_as_browsers_do() {
        let base = uri("https://hub.org/a/b?q=1");
        let cases = [
            ("https://cdn.org/x?sig=1", "https://cdn.org/x?sig=1"),
            ("//cdn.org/x", "https://cdn.org/x"),
            ("/x/y", "https://hub.org/x/y"),
            ("x?to=https://c.org", "https://hub.org/a/x?to=https://c.org"),
            ("?p=2", "https://hub.org/a/b?p=2"),
        ];
        for (link, expected) in cases {
            let joined = join(&base, link).map(|url| url.to_string());
            assert_eq!(joined.as_deref(), Some(expected), "{link}");
        }
        for bad in ["ftp://x/y", "https://", "/a b"] {
            assert_eq!(join(&base, bad), None, "{bad}");
        }
    }

    #[test]
    fn the_origin_is_scheme_host_and_port() {
        let origin = |text| Origin::of(&uri(text));
        assert_eq!(origin("https://Hub.org/a"), origin("https://hub.org:443/b?c"));
        for other in [
            "http://hub.org",
            "https://hub.org:8443",
            "https://cdn.hub.org",
            "https://hub.org.evil",
        ] {
            assert_ne!(origin("https://hub.org"), origin(other), "{other}");
        }
    }

    #[test]
    fn an_encrypted_connection_does_not_lead_to_an_open_one() {
        let response = |location: &str| {
            let builder = Response::builder().status(302).header("location", location);
            builder.body(Body::builder().data(Vec::new())).unwrap()
        };
        let base = uri("https://hub.org/a");
        let error = redirect(&base, &response("http://cdn.org/x?signature=1")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "https://hub.org/a: points to http://cdn.org/x, which is not encrypted"
        );
        assert!(redirect(&base, &response("https://cdn.org/x")).unwrap().is_some());
    }

    #[test]
    fn etags_lose_their_quotes() {
        for etag in ["abc", "\"abc\"", "W/\"abc\""] {
            assert_eq!(without_quotes(etag), "abc");
        }
    }
}
