//! Which hub, which cache, which token: [`Hub`] and its builder, from the environment or from arguments alone.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flambeau_tensor::{Error, Result, ensure};

use super::cache::io_error;
use super::http::Client;
use super::repo::Repo;

const ENDPOINT: &str = "https://huggingface.co";
/// Python's `HF_HUB_DOWNLOAD_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: u32 = 5;
const BACKOFF: Duration = Duration::from_millis(500);

/// A hub to download from and the cache to download to. Clones share their connections.
///
/// ```
/// use flambeau_hub::Hub;
///
/// # fn main() -> flambeau_tensor::Result<()> {
/// let hub = Hub::builder("/srv/models").endpoint("https://hub.example.org").offline(true).build()?;
/// let error = hub.model("org/name").get("config.json").unwrap_err();
/// assert!(error.to_string().contains("/srv/models/models--org--name/snapshots/local/config.json"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hub(Arc<Settings>);

/// What a [`Hub`] is made of. See [`Hub::builder`] and [`HubBuilder::from_env`].
#[derive(Clone)]
pub struct HubBuilder {
    settings: Settings,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) endpoint: String,
    pub(super) cache: PathBuf,
    pub(super) token: Token,
    /// Why the hub may not be asked.
    pub(super) offline: Option<&'static str>,
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) backoff: Duration,
    pub(super) progress: bool,
    /// Whether the variables `HTTPS_PROXY`, `NO_PROXY` and the like hold.
    pub(super) proxy_from_env: bool,
    client: Option<Client>,
}

/// What may be read only with a token needs one; what is said about it never shows it.
#[derive(Clone)]
pub(super) enum Token {
    /// The token, and where it came from.
    Given { value: String, source: String },
    /// Where it would have been looked for.
    Missing { places: String },
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as("Hub", f)
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt_as("HubBuilder", f)
    }
}

impl Settings {
    fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = match &self.token {
            Token::Given { source, .. } => source,
            Token::Missing { .. } => "none",
        };
        f.debug_struct(name)
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &format_args!("{token}"))
            .field("offline", &self.offline.is_some())
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// The hub that the environment names; see [`HubBuilder::from_env`].
    ///
    /// # Errors
    /// Those of [`HubBuilder::from_env`] and [`HubBuilder::build`].
    pub fn from_env() -> Result<Hub> {
        HubBuilder::from_env()?.build()
    }

    /// Hugging Face with a cache in the given folder, without a token: nothing is taken from the environment.
    pub fn builder(cache: impl Into<PathBuf>) -> HubBuilder {
        HubBuilder {
            settings: Settings {
                endpoint: ENDPOINT.to_string(),
                cache: cache.into(),
                token: Token::Missing {
                    places: "none was given to the builder of the hub".to_string(),
                },
                offline: None,
                timeout: TIMEOUT,
                retries: RETRIES,
                backoff: BACKOFF,
                progress: false,
                proxy_from_env: false,
                client: None,
            },
        }
    }

    /// A repository of weights, `owner/name`.
    pub fn model(&self, name: impl Into<String>) -> Repo {
        Repo::model(name).on(self)
    }

    /// A repository of data, `owner/name`.
    pub fn dataset(&self, name: impl Into<String>) -> Repo {
        Repo::dataset(name).on(self)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0
    }

    /// The way to the hub.
    ///
    /// # Errors
    /// The reason why it may not be asked.
    pub(super) fn client(&self) -> Result<&Client, &'static str> {
        match (&self.0.client, self.0.offline) {
            (Some(client), None) => Ok(client),
            (_, reason) => Err(reason.unwrap_or("the hub is offline")),
        }
    }
}

impl HubBuilder {
    /// The hub that the environment names, by the variables of Python's `huggingface_hub`:
    ///
    /// - `HF_ENDPOINT`: the hub, `https://huggingface.co` by default;
    /// - `HF_HUB_CACHE`: the cache; by default `hub` in `HF_HOME`, which is `~/.cache/huggingface` by default (or
    ///   `huggingface` in `XDG_CACHE_HOME`);
    /// - `HF_TOKEN`: the token; by default the content of the file `HF_TOKEN_PATH`, which is `token` in `HF_HOME` by
    ///   default. `HF_HUB_DISABLE_IMPLICIT_TOKEN=1` sends none;
    /// - `HF_HUB_OFFLINE=1`: the cache alone;
    /// - `HF_HUB_DOWNLOAD_TIMEOUT`: seconds, 10 by default;
    /// - `HF_HUB_DISABLE_PROGRESS_BARS=1`: no bars; by default they are shown where stderr is a terminal.
    ///
    /// Proxies are those of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    ///
    /// # Errors
    /// `Value` if there is no folder for the cache or a variable can't be understood, `Io` with the path if the file
    /// of the token can't be read.
    pub fn from_env() -> Result<HubBuilder> {
        let mut builder = HubBuilder::from_vars(|name| std::env::var_os(name))?;
        builder.settings.proxy_from_env = true;
        Ok(builder)
    }

    /// The same with a function in the environment's place, and without proxies.
    ///
    /// # Errors
    /// Those of [`HubBuilder::from_env`].
    pub fn from_vars(variable: impl Fn(&str) -> Option<OsString>) -> Result<HubBuilder> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let user = variable("HOME")
            .or_else(|| variable("USERPROFILE"))
            .map(PathBuf::from);
        let folder = |name: &str| variable(name).map(|path| in_home(Path::new(&path), user.as_deref()));
        let caches = folder("XDG_CACHE_HOME").or_else(|| Some(user.as_ref()?.join(".cache")));
        let home = folder("HF_HOME").or_else(|| Some(caches?.join("huggingface")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(home.as_ref()?.join("hub")));
        let Some(cache) = cache else {
            let what =
                "hub: no folder for the cache: none of HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME and HOME is set";
            return Err(Error::Value(what.to_string()));
        };
        let flag = |name: &str| variable(name).is_some_and(|value| is_true(&value.to_string_lossy()));
        let mut builder = Hub::builder(cache);
        let settings = &mut builder.settings;
        if let Some(endpoint) = variable("HF_ENDPOINT") {
            settings.endpoint = endpoint.to_string_lossy().into_owned();
        }
        settings.token = if flag("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            Token::Missing {
                places: "HF_HUB_DISABLE_IMPLICIT_TOKEN is set".to_string(),
            }
        } else {
            let file = folder("HF_TOKEN_PATH").or_else(|| Some(home?.join("token")));
            find_token(&variable, file)?
        };
        for name in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
            if settings.offline.is_none() && flag(name) {
                settings.offline = Some(if name == "HF_HUB_OFFLINE" {
                    "HF_HUB_OFFLINE is set"
                } else {
                    "TRANSFORMERS_OFFLINE is set"
                });
            }
        }
        if let Some(seconds) = variable("HF_HUB_DOWNLOAD_TIMEOUT") {
            let parsed = seconds
                .to_str()
                .and_then(|s| s.trim().parse::<u32>().ok())
                .filter(|&s| s > 0);
            let Some(seconds) = parsed else {
                let what =
                    format!("hub: HF_HUB_DOWNLOAD_TIMEOUT is {seconds:?}; a number of seconds is expected");
                return Err(Error::Value(what));
            };
            settings.timeout = Duration::from_secs(seconds.into());
        }
        settings.progress = std::io::stderr().is_terminal() && !flag("HF_HUB_DISABLE_PROGRESS_BARS");
        Ok(builder)
    }

    /// The URL of the hub, or of a mirror.
    pub fn endpoint(mut self, url: impl Into<String>) -> HubBuilder {
        self.settings.endpoint = url.into();
        self
    }

    /// The token that is sent to the hub, and to no other host.
    pub fn token(mut self, token: impl Into<String>) -> HubBuilder {
        self.settings.token = Token::Given {
            value: token.into(),
            source: "the builder of the hub".to_string(),
        };
        self
    }

    /// Whether the cache is all there is.
    pub fn offline(mut self, offline: bool) -> HubBuilder {
        self.settings.offline = offline.then_some("the hub is offline");
        self
    }

    /// How long a connection may be silent, default 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> HubBuilder {
        self.settings.timeout = timeout;
        self
    }

    /// How often in a row a request is repeated that failed for a reason that may pass (no connection, a body that breaks
    /// off, the statuses 408, 429 and 5xx), default 5. A download goes on where it stopped, and one that gets on has
    /// all of them again.
    pub fn retries(mut self, retries: u32) -> HubBuilder {
        self.settings.retries = retries;
        self
    }

    /// The pause before the first retry, default half a second; each further pause is twice as long, up to 8 seconds.
    pub fn backoff(mut self, backoff: Duration) -> HubBuilder {
        self.settings.backoff = backoff;
        self
    }

    /// Whether a bar on stderr shows how far a download is; never if stderr is no terminal.
    pub fn progress(mut self, progress: bool) -> HubBuilder {
        self.settings.progress = progress;
        self
    }

    /// The hub.
    ///
    /// # Errors
    /// `Value` if the endpoint is no URL of HTTP, or the token has characters that none has.
    pub fn build(self) -> Result<Hub> {
        let mut settings = self.settings;
        if let Token::Given { value, source } = &settings.token {
            ensure!(
                !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic()),
                Value,
                "hub: the token from {source} is empty or has blanks or other characters that no token has"
            );
        }
        let length = settings.endpoint.trim_end_matches('/').len();
        settings.endpoint.truncate(length);
        settings.client = Some(Client::new(&settings)?);
        Ok(Hub(Arc::new(settings)))
    }
}

/// `~` is the user's folder.
fn in_home(path: &Path, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path.to_path_buf(),
    }
}

/// What Python's `huggingface_hub` takes for true.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

fn find_token(variable: &impl Fn(&str) -> Option<OsString>, file: Option<PathBuf>) -> Result<Token> {
    let given = |text: &str, source: String| {
        let value = text.trim().to_string();
        (!value.is_empty()).then_some(Token::Given { value, source })
    };
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        let text = variable(name).unwrap_or_default();
        if let Some(token) = given(&text.to_string_lossy(), name.to_string()) {
            return Ok(token);
        }
    }
    let mut places = "it is looked for in the variable HF_TOKEN".to_string();
    if let Some(path) = file {
        match fs::read_to_string(&path) {
            Ok(text) => {
                if let Some(token) = given(&text, format!("the file {}", path.display())) {
                    return Ok(token);
                }
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(io_error(&path)(e)),
        }
        places.push_str(&format!(" and in the file {}", path.display()));
    }
    Ok(Token::Missing { places })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(value))
        };
        HubBuilder::from_vars(variable).map(|builder| builder.settings)
    }

    fn cache(variables: &[(&str, &str)]) -> String {
        settings(variables)
            .unwrap()
            .cache
            .to_string_lossy()
            .replace('\\', "/")
    }

    #[test]
    fn the_cache_is_where_the_environment_says() {
        let all = [
            ("HF_HUB_CACHE", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b"),
            ("HF_HOME", "~/c"),
            ("XDG_CACHE_HOME", "/d"),
            ("HOME", "/e"),
        ];
        let expected = [
            "/a",
            "/b",
            "/e/c/hub",
            "/d/huggingface/hub",
            "/e/.cache/huggingface/hub",
        ];
        for (first, expected) in expected.iter().enumerate() {
            assert_eq!(cache(&all[first..]), *expected);
        }
        // An empty variable is none.
        assert_eq!(cache(&[("HF_HUB_CACHE", ""), ("HF_HOME", "/c")]), "/c/hub");
        let message = settings(&[]).err().unwrap().to_string();
        assert!(message.contains("HF_HUB_CACHE, HF_HOME"), "{message}");
    }

    #[test]
    fn the_token_comes_from_the_variable_then_from_the_file() {
        let folder = std::env::temp_dir().join(format!("flambeau-hub-token-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("token"), "from-file\n").unwrap();
        fs::write(folder.join("other"), "from-other").unwrap();
        let home = folder.to_str().unwrap();
        let other = folder.join("other");
        let other = ("HF_TOKEN_PATH", other.to_str().unwrap());
        let token = |variables: &[(&str, &str)]| match settings(variables).unwrap().token {
            Token::Given { value, source } => format!("{value} of {source}"),
            Token::Missing { places } => places,
        };
        let both = [("HF_HOME", home), ("HF_TOKEN", " from-variable\n")];
        assert_eq!(token(&both), "from-variable of HF_TOKEN");
        let file = folder.join("token").display().to_string();
        assert_eq!(token(&both[..1]), format!("from-file of the file {file}"));
        assert!(token(&[("HF_HOME", home), other]).starts_with("from-other of the file"));
        let disabled = [("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert_eq!(token(&disabled), "HF_HUB_DISABLE_IMPLICIT_TOKEN is set");
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            token(&both[..1]),
            format!("it is looked for in the variable HF_TOKEN and in the file {file}")
        );
    }

    #[test]
    fn flags_and_numbers_are_understood_or_refused() {
        let home = ("HOME", "/e");
        for (value, offline) in [
            ("1", true),
            ("Yes", true),
            ("on", true),
            ("0", false),
            ("false", false),
        ] {
            let got = settings(&[home, ("HF_HUB_OFFLINE", value)])
                .unwrap()
                .offline
                .is_some();
            assert_eq!(got, offline, "{value}");
        }
        assert!(
            settings(&[home, ("TRANSFORMERS_OFFLINE", "1")])
                .unwrap()
                .offline
                .is_some()
        );
        let timeout = |value| settings(&[home, ("HF_HUB_DOWNLOAD_TIMEOUT", value)]).map(|s| s.timeout);
        assert_eq!(timeout("30").unwrap(), Duration::from_secs(30));
        for bad in ["soon", "0", "-1"] {
            assert!(matches!(timeout(bad), Err(Error::Value(m)) if m.contains("HF_HUB_DOWNLOAD_TIMEOUT")));
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let builder = Hub::builder("/cache").token("hf_secret");
        assert!(!format!("{builder:?}").contains("secret"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("secret"));
        let message = Hub::builder("/cache")
            .token("hf_se cret")
            .build()
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("token") && !message.contains("cret"),
            "{message}"
        );
        for bad in ["huggingface.co", "ftp://x", "http://", "https://a b"] {
            assert!(Hub::builder("/cache").endpoint(bad).build().is_err(), "{bad}");
        }
    }
}
