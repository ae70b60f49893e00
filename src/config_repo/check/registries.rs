//! `registries`: how registries of images are reached.
use std::collections::BTreeSet;

use super::Checking;
use super::global::is_http;
use crate::config_repo::issue::shown;
use crate::config_repo::node::way;
use crate::config_repo::raw::{Items, RegistryEntry};
use crate::model::settings::Registry;

pub(super) fn check(at: &mut Checking<'_>, entries: &Items<RegistryEntry>) -> Vec<Registry> {
    let mut hosts = BTreeSet::new();
    let mut checked = Vec::new();
    for (index, entry) in entries.iter() {
        let host_at = way!["spec", "registries", index, "host"];
        let Some(host) = entry.host.clone() else { continue };
        if !is_host(&host) {
            let message = format!("'{}' is no registry's host", shown(&host));
            at.wrong(host_at, message, "write it as the names of images have it, such as registry.example.com:5000");
        } else if !hosts.insert(host.clone()) {
            at.wrong(host_at, format!("'{host}' stands twice in registries"), "make one entry of both");
        }
        let mut mirrors = Vec::new();
        for (number, mirror) in entry.mirrors.iter().flat_map(Items::iter) {
            if !is_http(mirror) || mirror.contains(['?', '#']) {
                let message = format!("'{}' is not the address of a mirror", shown(mirror));
                let mirror_at = way!["spec", "registries", index, "mirrors", number];
                at.wrong(mirror_at, message, "write one such as https://mirror.example.com, without user and password");
            }
            mirrors.push(mirror.clone());
        }
        let secret_at = way!["spec", "registries", index, "password_secret"];
        let password_secret = entry.password_secret.as_deref().map(|secret| at.secret(secret_at, secret));
        if entry.username.is_some() != password_secret.is_some() {
            at.wrong(
                way!["spec", "registries", index],
                "a user and a password belong together",
                "name both username and password_secret, or neither",
            );
        }
        if let Some(user) = entry.username.as_ref().filter(|user| user.contains([':', '\n']) || user.is_empty()) {
            let message = format!("'{}' is no user name", shown(user));
            at.wrong(way!["spec", "registries", index, "username"], message, "write it without ':'");
        }
        checked.push(Registry {
            host,
            mirrors,
            username: entry.username.clone(),
            password_secret,
            plain_http: entry.plain_http.unwrap_or(false),
        });
    }
    checked
}

/// `host` or `host:port`, nothing around it.
fn is_host(text: &str) -> bool {
    let url = url::Url::parse(&format!("https://{text}/"));
    !text.contains(['/', '@', '?', '#']) && url.is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()))
}
