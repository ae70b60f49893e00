//! The way over the network: HTTP or HTTPS with a token.
use std::error::Error as _;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use futures::StreamExt as _;
use url::Url;

use super::answer::Answer;
use super::error::ClientError;
use super::request::Request;
use super::socket::ANSWER;
use crate::model::Secret;

const CONNECT: Duration = Duration::from_secs(10);

/// A server on the network.
#[derive(Debug, Clone)]
pub(super) struct Network {
    base: String,
    token: Option<Secret<String>>,
    http: reqwest::Client,
}

impl Network {
    /// A server by its address, which may have a path.
    pub(super) fn new(address: &str, token: Option<Secret<String>>) -> Result<Self, ClientError> {
        let wrong =
            |why: &str| ClientError::Usage(format!("--server takes an address like https://danube.example.com: {why}"));
        let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it begins with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("names and passwords do not belong there; use --token"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has no '?' and no '#'"));
        }
        // Whoever installed one before has the same.
        let _kept = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A redirect would take the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("danube/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Failed(format!("cannot prepare a connection: {}", chain(&error))))?;
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), token, http })
    }

    pub(super) fn place(&self) -> String {
        self.base.clone()
    }

    /// Would the token be readable on its way?
    pub(super) fn exposes_token(&self) -> bool {
        let host = Url::parse(&self.base).ok().and_then(|url| url.host().map(|host| host.to_owned()));
        let local = match host {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.token.is_some() && !local && self.base.starts_with("http://")
    }

    pub(super) async fn send(&self, request: Request) -> Result<Answer, ClientError> {
        let mut message = self.http.request(request.method, format!("{}{}", self.base, request.path));
        message = message.headers(request.headers).body(request.body);
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| ClientError::Usage("the token has characters that no token has".to_owned()))?;
            value.set_sensitive(true);
            message = message.header(header::AUTHORIZATION, value);
        }
        let response = match tokio::time::timeout(ANSWER, message.send()).await {
            Ok(sent) => sent.map_err(|error| self.failed(&error))?,
            Err(_) => {
                return Err(ClientError::Broken { place: self.place(), why: "it did not answer in time".to_owned() });
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes_stream().map(|piece| piece.map_err(|error| chain(&error))).boxed();
        Ok(Answer { status, headers, body, place: self.place() })
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        let why = chain(error);
        if error.is_connect() {
            let hint = hint(&why).to_owned();
            return ClientError::Unreachable { place: self.place(), why, hint };
        }
        ClientError::Broken { place: self.place(), why }
    }
}

/// What to do about a connection that was not made.
fn hint(why: &str) -> &'static str {
    let told = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if told(&["corrupt message", "InvalidContentType", "UnexpectedEof"]) {
        "what answers there does not speak TLS: is it http:// rather than https://?"
    } else if told(&["UnknownIssuer", "certificate", "Certificate"]) {
        "the server's certificate is not good for this name here: mend it, or add its issuer to this machine's certificates"
    } else if told(&["refused"]) {
        "nothing listens there: check the port, and that the server runs"
    } else if told(&["dns", "resolve", "lookup"]) {
        "no such name is known: check the address"
    } else {
        "check the address and the network"
    }
}

/// The causes of an error, outermost left out: it only repeats the address.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_hides_something_is_refused() {
        for wrong in
            ["danube.example.com", "ftp://x.example.com", "https://a:b@x.example.com", "https://x.example.com/?a"]
        {
            assert_eq!(Network::new(wrong, None).unwrap_err().code(), 64, "{wrong}");
        }
        assert_eq!(Network::new("https://x.example.com/ci/", None).unwrap().place(), "https://x.example.com/ci");
    }

    #[test]
    fn what_can_be_done_depends_on_what_failed() {
        assert!(hint("tcp connect error: Connection refused (os error 111)").starts_with("nothing listens there"));
        assert!(hint("invalid peer certificate: UnknownIssuer").contains("certificate"));
        assert!(hint("received corrupt message of type InvalidContentType").contains("http://"));
        assert!(hint("dns error: failed to lookup address information").contains("name"));
    }

    #[test]
    fn a_token_in_plain_sight_is_noticed() {
        let exposed = |address: &str| {
            let token = Some(Secret::new("danube_x".to_owned()));
            Network::new(address, token).unwrap().exposes_token()
        };
        assert!(exposed("http://ci.example.com"));
        assert!(!exposed("https://ci.example.com"));
        assert!(!exposed("http://127.0.0.1:8080") && !exposed("http://[::1]:8080") && !exposed("http://localhost"));
    }
}
