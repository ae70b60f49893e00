//! Images of registries: the distribution protocol of OCI, which Docker's second version became.

mod auth;
mod blob;
mod http;
mod pace;
mod pull;
mod reach;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderValue};

pub use blob::Blob;
pub use pull::Pull;

use super::error::shown;
use super::manifest::{self, ACCEPT, CONFIG_LIMIT, MANIFEST_LIMIT, Manifest};
use super::settings::Endpoint;
use super::{Image, ImageError, Place};
use http::{Answer, Ask, Trouble};
use pace::Pace;

/// Tokens that are kept.
const TOKENS: usize = 1000;

/// How long a registry may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To take a connection.
    pub connect: Duration,
    /// To begin an answer, and between two pieces of one.
    pub answer: Duration,
    /// The first pause before the same is asked again; it doubles.
    pub pause: Duration,
    /// The longest pause that a registry may ask for.
    pub longest_pause: Duration,
    /// How often the same is asked.
    pub tries: u32,
    /// How much must come in how much time that is spent on waiting for it; the first such time is free.
    pub least: (u64, Duration),
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            tries: 4,
            least: (64 << 10, Duration::from_secs(30)),
        }
    }
}

/// Fetches images of registries. One for all jobs: it keeps connections and the tokens of registries.
pub struct Fetcher {
    /// Connects to whatever address a name leads to.
    anywhere: reqwest::Client,
    /// Connects to addresses of the internet alone; made when somebody asks so.
    outside: OnceLock<reqwest::Client>,
    /// Through whom this machine reaches others.
    proxies: Vec<String>,
    patience: Patience,
    /// What a registry gave for a repository and a login, until it is refused.
    tokens: Mutex<HashMap<String, HeaderValue>>,
}

impl Fetcher {
    /// For all jobs of this process.
    pub fn new(patience: Patience) -> Result<Self, ImageError> {
        // Whoever installed one before has the same.
        let _kept = rustls::crypto::ring::default_provider().install_default();
        let anywhere = built(reqwest::Client::builder(), patience)?;
        let (outside, tokens) = (OnceLock::new(), Mutex::default());
        Ok(Self { anywhere, outside, proxies: reach::proxies(), patience, tokens })
    }

    /// Finds what a name stands for now.
    pub async fn resolve(&self, pull: &Pull, place: &Place) -> Result<Image, ImageError> {
        let mut earlier = Vec::new();
        for endpoint in pull.endpoints(place) {
            match self.resolve_at(pull, &endpoint, place).await {
                Ok(image) => return Ok(image),
                Err(error) => earlier.push((endpoint.base, error)),
            }
        }
        Err(last_of(earlier))
    }

    async fn resolve_at(&self, pull: &Pull, endpoint: &Endpoint, place: &Place) -> Result<Image, ImageError> {
        let wanted = place.digest.as_deref().or(place.tag.as_deref()).unwrap_or("latest");
        let bytes = self.manifest(pull, endpoint, place, wanted).await?;
        let found = match manifest::read(&bytes)? {
            Manifest::Image(found) => found,
            Manifest::Index(manifests) => {
                let chosen = manifest::choose(&manifests)?.digest.clone();
                match manifest::read(&self.manifest(pull, endpoint, place, &chosen).await?)? {
                    Manifest::Image(found) => found,
                    Manifest::Index(_) => {
                        return Err(ImageError::Unfit("its index leads to another index".to_owned()));
                    }
                }
            }
        };
        let config = self.config(pull, endpoint, place, &found.config).await?;
        manifest::image(found, &config)
    }

    async fn manifest(
        &self,
        pull: &Pull,
        endpoint: &Endpoint,
        place: &Place,
        wanted: &str,
    ) -> Result<Vec<u8>, ImageError> {
        let path = format!("manifests/{wanted}");
        let ask = Ask { accept: Some(ACCEPT), ..Ask::new(pull, endpoint, place, &path) };
        let bytes = self.small(&ask, MANIFEST_LIMIT).await?;
        match wanted.starts_with("sha256:") {
            true => manifest::verified(bytes, wanted, "its manifest"),
            false => Ok(bytes),
        }
    }

    async fn config(
        &self,
        pull: &Pull,
        endpoint: &Endpoint,
        place: &Place,
        config: &manifest::Descriptor,
    ) -> Result<Vec<u8>, ImageError> {
        super::reference::checked_digest(&config.digest)
            .map_err(|why| ImageError::Damaged(format!("its manifest can't be read: {why}")))?;
        if config.size > CONFIG_LIMIT {
            return Err(ImageError::Damaged(format!("its config has {} bytes; {CONFIG_LIMIT} are read", config.size)));
        }
        let path = format!("blobs/{}", config.digest);
        let ask = Ask::new(pull, endpoint, place, &path);
        manifest::verified(self.small(&ask, CONFIG_LIMIT).await?, &config.digest, "its config")
    }

    /// A blob from its first byte, wherever it is had. Nothing of it is verified.
    pub async fn blob<'a>(&'a self, pull: &'a Pull, place: &Place, digest: &str) -> Result<Blob<'a>, ImageError> {
        let mut earlier = Vec::new();
        for endpoint in pull.endpoints(place) {
            match Blob::open(self, pull, endpoint.clone(), place.clone(), digest).await {
                Ok(blob) => return Ok(blob),
                Err(error) => earlier.push((endpoint.base, error)),
            }
        }
        Err(last_of(earlier))
    }

    /// Makes sure that whoever pulls may read a blob of this size; nothing of it is fetched.
    pub async fn may_read(&self, pull: &Pull, place: &Place, digest: &str, size: u64) -> Result<(), ImageError> {
        let mut earlier = Vec::new();
        for endpoint in pull.endpoints(place) {
            match self.may_read_at(pull, &endpoint, place, (digest, size)).await {
                Ok(()) => return Ok(()),
                Err(error) => earlier.push((endpoint.base, error)),
            }
        }
        Err(last_of(earlier))
    }

    async fn may_read_at(
        &self,
        pull: &Pull,
        endpoint: &Endpoint,
        place: &Place,
        (digest, size): (&str, u64),
    ) -> Result<(), ImageError> {
        let path = format!("blobs/{digest}");
        let all = Ask::new(pull, endpoint, place, &path);
        let head = Ask { head: true, ..Ask::new(pull, endpoint, place, &path) };
        let mut trouble = None;
        for tries in 0..self.patience.tries {
            self.pause(tries, trouble.as_ref()).await;
            let mut answer = self.ask(&head).await;
            // Where a registry leads to may be open for GET alone; nothing of the body is read.
            if let Err(Trouble::Never(ImageError::Refused(_) | ImageError::Unavailable(_))) = answer {
                answer = self.ask(&all).await;
            }
            match answer {
                Ok(Answer { response, .. }) => {
                    let told = response.headers().get(CONTENT_LENGTH);
                    let told: Option<u64> = told.and_then(|value| value.to_str().ok()?.parse().ok());
                    return match told.filter(|told| *told != size) {
                        Some(told) => Err(ImageError::Damaged(format!(
                            "{} has {told} bytes of {digest}, its manifest tells of {size}",
                            endpoint.base
                        ))),
                        None => Ok(()),
                    };
                }
                Err(Trouble::Never(error)) => return Err(error),
                Err(later) => trouble = Some(later),
            }
        }
        Err(not_asked(trouble))
    }

    /// All of a short answer, asked for again where that may help.
    async fn small(&self, ask: &Ask<'_>, limit: u64) -> Result<Vec<u8>, ImageError> {
        let mut trouble = None;
        for tries in 0..self.patience.tries {
            self.pause(tries, trouble.as_ref()).await;
            match self.ask(ask).await {
                Ok(answer) => match all_of(answer, limit, self.patience).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(error @ ImageError::Damaged(_)) => return Err(error),
                    Err(error) => trouble = Some(Trouble::Later(error.to_string(), None)),
                },
                Err(Trouble::Never(error)) => return Err(error),
                Err(later) => trouble = Some(later),
            }
        }
        Err(not_asked(trouble))
    }

    /// Waits before the next try.
    async fn pause(&self, tries: u32, trouble: Option<&Trouble>) {
        if tries == 0 {
            return;
        }
        let own = self.patience.pause.saturating_mul(1 << (tries - 1).min(8));
        let asked = match trouble {
            Some(Trouble::Later(_, asked)) => *asked,
            _ => None,
        };
        tokio::time::sleep(asked.unwrap_or(own).min(self.patience.longest_pause)).await;
    }
}

fn built(builder: reqwest::ClientBuilder, patience: Patience) -> Result<reqwest::Client, ImageError> {
    builder
        .connect_timeout(patience.connect)
        .read_timeout(patience.answer)
        // Followed by hand: what opens one registry must not go to another.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("danube/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ImageError::Unavailable(format!("no connection can be made: {error}")))
}

fn not_asked(trouble: Option<Trouble>) -> ImageError {
    trouble.map_or_else(|| ImageError::Unavailable("it was not asked".to_owned()), Trouble::into_error)
}

async fn all_of(answer: Answer, limit: u64, patience: Patience) -> Result<Vec<u8>, ImageError> {
    let mut response = answer.response;
    let mut bytes = Vec::new();
    let mut pace = Pace::new(patience);
    let broken = |e: reqwest::Error| ImageError::Unavailable(format!("the answer broke off: {}", http::causes(&e)));
    while let Some(piece) = pace.of(response.chunk()).await.map_err(broken)? {
        pace.keep(piece.len())?;
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(ImageError::Damaged(format!("an answer of more than {limit} bytes came")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// What the registry itself said; mirrors that failed before it are named where that may be why.
fn last_of(mut earlier: Vec<(String, ImageError)>) -> ImageError {
    let Some((_, last)) = earlier.pop() else { return ImageError::Unavailable("nobody was asked".to_owned()) };
    // A mirror that failed may have had it.
    let retry = earlier.iter().any(|(_, error)| error.is_retryable());
    if earlier.is_empty() {
        return last;
    }
    let others = earlier.iter().map(|(base, error)| format!("{}: {error}", shown(base)));
    let text = format!("{last}; its mirrors before it: {}", others.collect::<Vec<_>>().join("; "));
    match last {
        ImageError::Name(_) => last,
        _ if retry => ImageError::Unavailable(text),
        ImageError::NotFound(_) => ImageError::NotFound(text),
        ImageError::Refused(_) => ImageError::Refused(text),
        ImageError::Unfit(_) => ImageError::Unfit(text),
        ImageError::Damaged(_) => ImageError::Damaged(text),
        ImageError::Unavailable(_) => ImageError::Unavailable(text),
    }
}
