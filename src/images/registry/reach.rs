//! Which hosts may be asked: those that the settings name, and else those of the internet alone.
//!
//! A name is looked at where its connection is made, so that it cannot lead elsewhere between the look and the
//! connection.
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::http::Trouble;
use super::{Fetcher, Pull, built};
use crate::images::ImageError;
use crate::images::error::shown;
use crate::platform::not_public;

/// A host that leads to an address at which no image may be asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Inner(String);

impl Inner {
    /// Why this host is not asked at this address, if so.
    fn of(host: &str, address: IpAddr) -> Option<Self> {
        let why = not_public(address)?;
        let leads = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(_) => format!("{} is", shown(host)),
            Err(_) => format!("{} leads to {address},", shown(host)),
        };
        Some(Self(format!(
            "{leads} {why}: images are fetched from there only if the Config document (config.yaml) lists the host, with \
             its port, under `registries`"
        )))
    }
}

/// Resolves as the machine does, and gives addresses of the internet only.
struct Outside {
    proxies: Vec<String>,
}

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        let proxy = self.proxies.iter().any(|proxy| proxy.eq_ignore_ascii_case(name.as_str()));
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let inner = found.iter().find_map(|address| Inner::of(name.as_str(), address.ip())).filter(|_| !proxy);
            match inner {
                Some(inner) => Err(inner.into()),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

impl Fetcher {
    /// Who may ask there.
    pub(super) async fn client(&self, pull: &Pull, url: &Url) -> Result<&reqwest::Client, Trouble> {
        if pull.settings.anywhere || pull.settings.names(url) {
            return Ok(&self.anywhere);
        }
        let refused = |inner: Inner| Trouble::Never(ImageError::Refused(inner.to_string()));
        let text = url.host_str().unwrap_or_default();
        let inner = match url.host() {
            Some(Host::Ipv4(address)) => Inner::of(text, address.into()),
            Some(Host::Ipv6(address)) => Inner::of(text, address.into()),
            // Behind a proxy the name is the proxy's to resolve; what it means here must not be an inner address either.
            Some(Host::Domain(name)) if !self.proxies.is_empty() => {
                let found = tokio::net::lookup_host((name, 0)).await;
                found.into_iter().flatten().find_map(|address| Inner::of(name, address.ip()))
            }
            Some(Host::Domain(_)) | None => None,
        };
        if let Some(inner) = inner {
            return Err(refused(inner));
        }
        if let Some(client) = self.outside.get() {
            return Ok(client);
        }
        let resolver = Arc::new(Outside { proxies: self.proxies.clone() });
        let made = built(reqwest::Client::builder().dns_resolver(resolver), self.patience).map_err(Trouble::Never)?;
        Ok(self.outside.get_or_init(|| made))
    }
}

/// Why a request was not made at all, if its host leads to an inner address.
pub(super) fn refusal(error: &reqwest::Error) -> Option<String> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(inner) = cause.downcast_ref::<Inner>() {
            return Some(inner.to_string());
        }
        next = cause.source();
    }
    None
}

/// The hosts of the proxies that the environment names: they stand where this machine is.
pub(super) fn proxies() -> Vec<String> {
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let values = names.iter().filter_map(|name| std::env::var(name).ok()).filter(|value| !value.is_empty());
    let host = |value: String| {
        let url = if value.contains("://") { value } else { format!("http://{value}") };
        Url::parse(&url).ok()?.host_str().map(str::to_owned)
    };
    values.filter_map(host).collect()
}
