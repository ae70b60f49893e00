//! How registries are reached: mirrors, credentials, and who may be spoken to in the open.
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use url::Url;

use super::reference::address_of;
use crate::model::Secret;

/// A user and a password, or a token in its place.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

impl Login {
    /// Stands for it where it must not be told: another password has another mark.
    pub(super) fn mark(&self) -> String {
        let mut hash = Sha256::new();
        hash.update((self.user.len() as u64).to_be_bytes());
        hash.update(self.user.as_bytes());
        hash.update(self.password.expose().as_bytes());
        hex::encode(hash.finalize())
    }
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
    /// A host that stands nowhere here may have any address: whoever names images owns the machine. Else it must be one
    /// of the internet.
    pub anywhere: bool,
    /// Logins are there and not for this pull: strangers wrote the job.
    pub withheld: bool,
}

/// One address at which an image may be asked for.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// `https://host:port`.
    pub(super) base: String,
    /// What comes before the repository's path there.
    pub(super) prefix: String,
    pub(super) login: Option<Login>,
    /// A login was not for this pull.
    pub(super) withheld: bool,
}

impl Settings {
    /// Where an image of this registry is asked for, in order; `address` is where the registry itself answers.
    pub(super) fn endpoints(&self, host: &str, address: &str) -> Vec<Endpoint> {
        if let Some(direct) = self.direct.get(host) {
            let base = direct.address.trim_end_matches('/').to_owned();
            return vec![Endpoint { base, prefix: String::new(), login: direct.login.clone(), withheld: false }];
        }
        let known = self.registries.get(host);
        let mirrors = known.map(|known| known.mirrors.as_slice()).unwrap_or_default();
        let mut endpoints: Vec<Endpoint> = mirrors.iter().filter_map(|mirror| self.mirror(mirror)).collect();
        let plain = known.is_some_and(|known| known.plain_http) || is_loopback(address);
        endpoints.push(Endpoint {
            base: format!("{}://{address}", if plain { "http" } else { "https" }),
            prefix: String::new(),
            login: known.and_then(|known| known.login.clone()),
            withheld: self.withheld,
        });
        endpoints
    }

    /// Whether this host and port stand here: then they may have any address.
    pub(super) fn names(&self, url: &Url) -> bool {
        let Some(wanted) = authority(url) else { return false };
        let own = self.registries.iter().flat_map(|(host, known)| {
            let address = address_of(host);
            let plain = known.plain_http || is_loopback(address);
            let own = format!("{}://{address}", if plain { "http" } else { "https" });
            known.mirrors.iter().cloned().chain([own])
        });
        let known = own.chain(self.direct.values().map(|direct| direct.address.clone()));
        known.filter_map(|text| Url::parse(&text).ok()).any(|known| authority(&known).is_some_and(|own| own == wanted))
    }

    /// Whether a name that leads elsewhere leads there.
    pub(super) fn is_direct(&self, url: &Url) -> bool {
        let mut direct = self.direct.values().filter_map(|direct| Url::parse(&direct.address).ok());
        direct.any(|known| authority(&known) == authority(url))
    }

    fn mirror(&self, address: &str) -> Option<Endpoint> {
        let url = Url::parse(address).ok()?;
        let name = host_of(&url)?;
        let path = url.path().trim_matches('/');
        Some(Endpoint {
            base: format!("{}://{name}", url.scheme()),
            prefix: if path.is_empty() { String::new() } else { format!("{path}/") },
            login: self.registries.get(&name).and_then(|known| known.login.clone()),
            withheld: self.withheld,
        })
    }
}

/// The registry at a mirror's address, as `registries` names it: `host`, `host:port`.
pub fn mirror_host(address: &str) -> Option<String> {
    host_of(&Url::parse(address).ok()?)
}

fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn authority(url: &Url) -> Option<(&str, u16)> {
    Some((url.host_str()?, url.port_or_known_default()?))
}

/// Whether a host, perhaps with a port, is this machine: nobody listens on the way.
pub fn is_loopback(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
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

    #[test]
    fn a_host_is_named_with_its_port() {
        let mut settings = Settings::default();
        let mirrors = vec!["https://mirror.example.com/hub".into()];
        settings.registries.insert("docker.io".into(), Registry { mirrors, ..Registry::default() });
        settings.registries.insert("127.0.0.1:5000".into(), Registry::default());
        settings.registries.insert("in.example.com".into(), Registry { plain_http: true, ..Registry::default() });
        settings.direct.insert("in.job:5000".into(), Direct { address: "http://127.0.0.1:7/".into(), login: None });
        for (url, named) in [
            ("https://registry-1.docker.io/v2/", true),
            ("https://mirror.example.com/x", true),
            ("http://127.0.0.1:5000/v2/", true),
            ("http://in.example.com/v2/", true),
            ("http://127.0.0.1:7/v2/", true),
            ("https://in.example.com/v2/", false),
            ("http://127.0.0.1:5001/v2/", false),
            ("http://127.0.0.1/v2/", false),
            ("https://mirror.example.com:8443/", false),
            ("https://registry.example.org/v2/", false),
        ] {
            assert_eq!(settings.names(&Url::parse(url).unwrap()), named, "{url}");
        }
    }
}
