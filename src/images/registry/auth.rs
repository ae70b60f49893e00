//! Who we are for a registry: by a password, or by a token that its token server gives for one.
use base64::Engine as _;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use url::{Host, Url};

use super::super::error::shown;
use super::super::settings::Login;
use super::super::{ImageError, is_loopback};
use super::http::{Ask, Trouble};
use super::{Fetcher, all_of};
use crate::images::registry::http::Answer;

/// The most that a token server may say.
const TOKEN_LIMIT: u64 = 1 << 20;

/// A challenge of a registry.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Fetcher {
    /// What to show a registry that asks who we are; `None` where we have nothing that it takes.
    pub(super) async fn authorize(
        &self,
        ask: &Ask<'_>,
        repository: &str,
        challenges: &[String],
    ) -> Result<Option<HeaderValue>, Trouble> {
        let endpoint = ask.endpoint;
        let known: Vec<Challenge> = challenges.iter().filter_map(|text| parse(text)).collect();
        let bearer = known.iter().find(|one| matches!(one, Challenge::Bearer { .. }));
        if let Some(Challenge::Bearer { realm, service, scope }) = bearer {
            return self.token(ask, repository, (realm, service.as_deref(), scope.as_deref())).await.map(Some);
        }
        let login = endpoint.login.as_ref().filter(|_| known.contains(&Challenge::Basic));
        // In the open a password would belong to everybody on the way.
        let shown_to_all = Url::parse(&endpoint.base).is_ok_and(|url| exposes(&url));
        match login {
            Some(_) if shown_to_all => Err(Trouble::Never(ImageError::Refused(format!(
                "{} asks for a password without TLS: it is not sent",
                endpoint.base
            )))),
            Some(login) => basic(login).map(Some),
            None => Ok(None),
        }
    }

    async fn token(
        &self,
        ask: &Ask<'_>,
        repository: &str,
        (realm, service, scope): (&str, Option<&str>, Option<&str>),
    ) -> Result<HeaderValue, Trouble> {
        let endpoint = ask.endpoint;
        let refused = |why: String| Trouble::Never(ImageError::Refused(why));
        let own = Url::parse(&endpoint.base).map_err(|e| refused(e.to_string()))?;
        let mut url = Url::parse(realm)
            .ok()
            .filter(|url| {
                matches!(url.scheme(), "http" | "https") && (url.scheme() == "https" || own.scheme() == "http")
            })
            .ok_or_else(|| refused(format!("{} names no token server that can be asked", endpoint.base)))?;
        let scope = scope.map_or_else(|| format!("repository:{repository}:pull"), str::to_owned);
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &scope);
        }
        let mut headers = HeaderMap::new();
        if let Some(login) = &endpoint.login {
            if !related(&own, &url) || exposes(&url) {
                let host = shown(url.host_str().unwrap_or_default());
                return Err(refused(format!("{} wants the password sent to {host}: it is not", endpoint.base)));
            }
            headers.insert(AUTHORIZATION, basic(login)?);
        }
        let host = url.origin().ascii_serialization();
        let response = self.send(ask.pull, Method::GET, url, headers).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(match status.as_u16() {
                429 | 500.. => Trouble::Later(format!("the token server {host} answers {status}"), None),
                _ => refused(format!("the token server {host} gives no token ({})", status.as_u16())),
            });
        }
        let answer = Answer { response, continues: true };
        let bytes = all_of(answer, TOKEN_LIMIT, self.patience).await.map_err(Trouble::Never)?;
        let token: Token = serde_json::from_slice(&bytes)
            .map_err(|_| refused(format!("the token server {host} gives something else than a token")))?;
        let token = if token.token.is_empty() { token.access_token } else { token.token };
        header(format!("Bearer {token}"))
    }
}

/// A password goes to the registry's own host, or to one beside it under the same domain.
fn related(own: &Url, other: &Url) -> bool {
    match (own.host(), other.host()) {
        (Some(Host::Domain(own)), Some(Host::Domain(other))) => {
            own == other || domain(own).is_some_and(|own| domain(other).is_some_and(|other| own == other))
        }
        (own, other) => own == other,
    }
}

/// The last two labels of a name that has more than that, or exactly those; three where the last two are short, as in
/// `example.co.uk`.
fn domain(host: &str) -> Option<String> {
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let [.., second, last] = labels.as_slice() else { return None };
    let count = if last.len() == 2 && second.len() <= 3 { 3 } else { 2 };
    (labels.len() >= count).then(|| labels[labels.len() - count..].join("."))
}

fn exposes(url: &Url) -> bool {
    let host = url.host_str().map(|host| url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")));
    url.scheme() == "http" && !host.is_some_and(|host| is_loopback(&host))
}

fn basic(login: &Login) -> Result<HeaderValue, Trouble> {
    let text = zeroize::Zeroizing::new(format!("{}:{}", login.user, login.password.expose()));
    header(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text.as_bytes())))
}

fn header(text: String) -> Result<HeaderValue, Trouble> {
    let value = HeaderValue::try_from(text);
    let mut value =
        value.map_err(|_| Trouble::Never(ImageError::Refused("a token holds odd characters".to_owned())))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Bearer realm="…",service="…",scope="…"`, or `Basic …`.
fn parse(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    let mut rest = rest.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').map_or((after, ""), |(value, after)| (value, after)),
        };
        match name.trim().trim_start_matches(',').trim().to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value.to_owned()),
            "service" => service = Some(value.to_owned()),
            "scope" => scope = Some(value.to_owned()),
            _ => {}
        }
        rest = after;
    }
    Some(Challenge::Bearer { realm: realm?, service, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let text =
            r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push""#;
        let Some(Challenge::Bearer { realm, service, scope }) = parse(text) else { panic!("not read") };
        assert_eq!((realm.as_str(), service.as_deref()), ("https://auth.example.com/token", Some("registry")));
        assert_eq!(scope.as_deref(), Some("repository:a/b:pull,push"));
        assert_eq!(parse("basic realm=\"x\""), Some(Challenge::Basic));
        for wrong in ["", "Digest x", "Bearer", "Bearer realm=\"x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_password_stays_under_its_domain() {
        let related = |own: &str, other: &str| {
            related(&Url::parse(&format!("https://{own}")).unwrap(), &Url::parse(&format!("https://{other}")).unwrap())
        };
        assert!(related("registry-1.docker.io", "auth.docker.io") && related("a.example.com", "a.example.com"));
        assert!(related("registry.example.co.uk", "login.example.co.uk") && related("localhost", "localhost"));
        assert!(!related("registry.example.com", "example.org") && !related("a.co.uk", "b.co.uk"));
        assert!(!related("10.0.0.1", "10.0.0.2") && !related("localhost", "evil.example.com"));
    }
}
