//! One question to a registry: who we are, where it sends us, what it says.
use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::super::error::shown;
use super::super::settings::Endpoint;
use super::super::{ImageError, Place};
use super::{Fetcher, Pull, TOKENS, reach};

/// How often an answer may lead on.
const REDIRECTS: u32 = 5;
/// How much of a registry's own words is read.
const WORDS: u64 = 16 << 10;
/// How long it may take to say them.
const SPOKEN: Duration = Duration::from_secs(30);

/// A question.
pub(super) struct Ask<'a> {
    pub(super) pull: &'a Pull,
    pub(super) endpoint: &'a Endpoint,
    pub(super) place: &'a Place,
    /// Behind the repository: `manifests/latest`.
    pub(super) path: &'a str,
    pub(super) accept: Option<&'static str>,
    /// The byte to begin with.
    pub(super) from: u64,
    /// Whether it is there, and nothing of it.
    pub(super) head: bool,
}

/// A good answer, its body still to be read.
pub(super) struct Answer {
    pub(super) response: Response,
    /// It begins where it was asked to.
    pub(super) continues: bool,
}

/// Why there is none.
pub(super) enum Trouble {
    /// Asking again is of no use.
    Never(ImageError),
    /// It may be, after this time where the registry named one.
    Later(String, Option<Duration>),
}

impl Trouble {
    pub(super) fn into_error(self) -> ImageError {
        match self {
            Self::Never(error) => error,
            Self::Later(why, _) => ImageError::Unavailable(why),
        }
    }
}

impl<'a> Ask<'a> {
    /// For all of something.
    pub(super) const fn new(pull: &'a Pull, endpoint: &'a Endpoint, place: &'a Place, path: &'a str) -> Self {
        Self { pull, endpoint, place, path, accept: None, from: 0, head: false }
    }

    fn repository(&self) -> String {
        format!("{}{}", self.endpoint.prefix, self.place.repository)
    }

    fn url(&self) -> String {
        format!("{}/v2/{}/{}", self.endpoint.base, self.repository(), self.path)
    }

    /// Under which a token is kept: what one login was given is for nobody else.
    fn realm(&self) -> String {
        let login = self.endpoint.login.as_ref().map_or_else(String::new, |login| login.mark());
        format!("{} {} {login}", self.endpoint.base, self.repository())
    }
}

impl Fetcher {
    /// Asks, and shows who we are where that is wanted.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Trouble> {
        let realm = ask.realm();
        let known = self.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&realm).cloned();
        let first = self.follow(ask, known.clone()).await?;
        if first.status() != StatusCode::UNAUTHORIZED {
            return judged(ask, first).await;
        }
        let challenges: Vec<String> = first
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect();
        let Some(token) = self.authorize(ask, &ask.repository(), &challenges).await? else {
            return judged(ask, first).await;
        };
        if known.as_ref() == Some(&token) {
            return judged(ask, first).await;
        }
        let second = self.follow(ask, Some(token.clone())).await?;
        if second.status() != StatusCode::UNAUTHORIZED {
            let mut tokens = self.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if tokens.len() >= TOKENS {
                tokens.clear();
            }
            tokens.insert(realm, token);
        }
        judged(ask, second).await
    }

    /// Asks, and asks where the answer leads. What opens this registry goes to no other host.
    async fn follow(&self, ask: &Ask<'_>, token: Option<HeaderValue>) -> Result<Response, Trouble> {
        let wrong = |why: String| Trouble::Never(ImageError::Unavailable(why));
        let mut url = Url::parse(&ask.url()).map_err(|e| wrong(e.to_string()))?;
        let origin = url.origin();
        for _ in 0..=REDIRECTS {
            let mut headers = HeaderMap::new();
            if let Some(token) = token.as_ref().filter(|_| url.origin() == origin) {
                headers.insert(AUTHORIZATION, token.clone());
            }
            if let Some(accept) = ask.accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            if ask.from > 0
                && let Ok(range) = HeaderValue::try_from(format!("bytes={}-", ask.from))
            {
                headers.insert(RANGE, range);
            }
            let method = if ask.head { Method::HEAD } else { Method::GET };
            let response = self.send(ask.pull, method, url.clone(), headers).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| wrong(format!("{} leads nowhere", ask.endpoint.base)))?;
            if !matches!(next.scheme(), "http" | "https") || url.scheme() == "https" && next.scheme() == "http" {
                return Err(wrong(format!("{} leads away from TLS: not followed", ask.endpoint.base)));
            }
            url = next;
        }
        Err(wrong(format!("{} leads on and on: {REDIRECTS} times are followed", ask.endpoint.base)))
    }

    /// One request.
    pub(super) async fn send(
        &self,
        pull: &Pull,
        method: Method,
        url: Url,
        headers: HeaderMap,
    ) -> Result<Response, Trouble> {
        let host = url.origin().ascii_serialization();
        let client = self.client(pull, &url).await?;
        let sent = client.request(method, url.clone()).headers(headers).send();
        let sent = tokio::time::timeout(self.patience.connect + self.patience.answer, sent).await;
        if let Ok(Err(error)) = &sent
            && let Some(why) = reach::refusal(error)
        {
            return Err(Trouble::Never(ImageError::Refused(why)));
        }
        pull.note(&url);
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Trouble::Later(format!("{host} does not answer: {}", causes(&error)), None)),
            Err(_) => Err(Trouble::Later(format!("{host} does not answer in time"), None)),
        }
    }
}

/// What an answer means.
async fn judged(ask: &Ask<'_>, response: Response) -> Result<Answer, Trouble> {
    let status = response.status();
    if status.is_success() {
        let continues = ask.from == 0 || status == StatusCode::PARTIAL_CONTENT;
        return Ok(Answer { response, continues });
    }
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let base = &ask.endpoint.base;
    let what = format!("{}/{}", ask.repository(), ask.path);
    let words = tokio::time::timeout(SPOKEN, words_of(response)).await.unwrap_or_default();
    let name = &ask.place.host;
    Err(match status {
        StatusCode::NOT_FOUND => Trouble::Never(ImageError::NotFound(format!("{base} has no {what}{words}"))),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let hint = match &ask.endpoint.login {
                Some(login) => {
                    format!("the user '{}' may not read it, or the password is another one", shown(&login.user))
                }
                None if ask.endpoint.withheld => format!(
                    "it is private, or not there: jobs of forks' pull requests get images without the login of {name}"
                ),
                None => format!(
                    "it is private, or not there: name a user and a secret for {name} under `registries` of the Config document"
                ),
            };
            Trouble::Never(ImageError::Refused(format!("{base} refuses {what} ({}){words}: {hint}", status.as_u16())))
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let why = format!(
                "{base} says that it was asked too often (429){words}: name a user for {name} under `registries` of the Config document, or a mirror"
            );
            Trouble::Later(why, retry_after.map(Duration::from_secs))
        }
        status if status.is_server_error() => Trouble::Later(
            format!("{base} failed with {}{words}", status.as_u16()),
            retry_after.map(Duration::from_secs),
        ),
        status => {
            Trouble::Never(ImageError::Unavailable(format!("{base} answers {} for {what}{words}", status.as_u16())))
        }
    })
}

/// What the registry says of its own accord.
async fn words_of(mut response: Response) -> String {
    #[derive(serde::Deserialize)]
    struct Words {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        message: String,
    }
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > WORDS {
            break;
        }
    }
    let words = serde_json::from_slice::<Words>(&bytes).ok().and_then(|words| words.errors.into_iter().next());
    words.filter(|one| !one.message.is_empty()).map_or_else(String::new, |one| format!(", \"{}\"", shown(&one.message)))
}

/// The causes of an error; the outermost only repeats the address.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}
