//! How registries are reached: mirrors, credentials, and who may be spoken to in the open.
use std::collections::BTreeMap;

use crate::model::Secret;

/// A user and a password, or a token in its place.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

/// What is known of one registry.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Asked before it, in this order: addresses such as `https://mirror.example.com/prefix`.
    pub mirrors: Vec<String>,
    /// Who we are there.
    pub login: Option<Login>,
    /// It speaks HTTP without TLS.
    pub plain_http: bool,
}

/// A registry's name that leads elsewhere, past mirrors: the one inside jobs, for the master beside it.
#[derive(Debug, Clone)]
pub struct Direct {
    /// Where it answers: `http://127.0.0.1:5000`.
    pub address: String,
    /// Who we are there.
    pub login: Option<Login>,
}

/// What is known of all registries.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// By host and port, as image names have them.
    pub registries: BTreeMap<String, Registry>,
    /// Names that lead elsewhere.
    pub direct: BTreeMap<String, Direct>,
}

/// One address at which an image may be asked for.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// `https://host:port`.
    pub(super) base: String,
    /// What comes before the repository's path there.
    pub(super) prefix: String,
    pub(super) login: Option<Login>,
}

impl Settings {
    /// Where an image of this registry is asked for, in order; `address` is where the registry itself answers.
    pub(super) fn endpoints(&self, host: &str, address: &str) -> Vec<Endpoint> {
        if let Some(direct) = self.direct.get(host) {
            let base = direct.address.trim_end_matches('/').to_owned();
            return vec![Endpoint { base, prefix: String::new(), login: direct.login.clone() }];
        }
        let known = self.registries.get(host);
        let mirrors = known.map(|known| known.mirrors.as_slice()).unwrap_or_default();
        let mut endpoints: Vec<Endpoint> = mirrors.iter().filter_map(|mirror| self.mirror(mirror)).collect();
        let plain = known.is_some_and(|known| known.plain_http) || is_loopback(address);
        endpoints.push(Endpoint {
            base: format!("{}://{address}", if plain { "http" } else { "https" }),
            prefix: String::new(),
            login: known.and_then(|known| known.login.clone()),
        });
        endpoints
    }

    fn mirror(&self, address: &str) -> Option<Endpoint> {
        let url = url::Url::parse(address).ok()?;
        let host = url.host_str()?;
        let name = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path = url.path().trim_matches('/');
        Some(Endpoint {
            base: format!("{}://{name}", url.scheme()),
            prefix: if path.is_empty() { String::new() } else { format!("{path}/") },
            login: self.registries.get(&name).and_then(|known| known.login.clone()),
        })
    }
}

/// Whether a host, perhaps with a port, is this machine: nobody listens on the way.
pub fn is_loopback(host: &str) -> bool {
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else { return false };
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_come_first_and_direct_names_alone() {
        let mut settings = Settings::default();
        let login = Login { user: "me".into(), password: Secret::new("hunter22".into()) };
        let mirrors = vec!["https://mirror.example.com/hub".into(), "http://127.0.0.1:5001".into()];
        settings.registries.insert("docker.io".into(), Registry { mirrors, ..Registry::default() });
        settings.registries.insert("mirror.example.com".into(), Registry { login: Some(login), ..Registry::default() });
        let bases: Vec<_> = settings
            .endpoints("docker.io", "registry-1.docker.io")
            .into_iter()
            .map(|e| (e.base, e.prefix, e.login.is_some()))
            .collect();
        assert_eq!(
            bases,
            [
                ("https://mirror.example.com".into(), "hub/".into(), true),
                ("http://127.0.0.1:5001".into(), String::new(), false),
                ("https://registry-1.docker.io".into(), String::new(), false)
            ]
        );
        settings.direct.insert("in.job:5000".into(), Direct { address: "http://127.0.0.1:7/".into(), login: None });
        assert_eq!(settings.endpoints("in.job:5000", "in.job:5000")[0].base, "http://127.0.0.1:7");
        assert_eq!(settings.endpoints("localhost:5000", "localhost:5000")[0].base, "http://localhost:5000");
    }
}
