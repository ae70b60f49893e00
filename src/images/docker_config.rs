//! The logins that a developer's own tools keep in `config.json`.
use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use serde::Deserialize;

use super::Login;
use crate::model::Secret;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
}

/// The logins in a file, by host and port as image names have them; none where it can't be read. Logins that a helper
/// program keeps are not asked for.
pub fn logins(path: &Path) -> BTreeMap<String, Login> {
    let Ok(text) = std::fs::read(path) else { return BTreeMap::new() };
    let Ok(file) = serde_json::from_slice::<File>(&text) else { return BTreeMap::new() };
    file.auths.into_iter().filter_map(|(address, entry)| Some((host(&address)?, login(&entry.auth)?))).collect()
}

fn login(text: &str) -> Option<Login> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| Login { user: user.to_owned(), password: Secret::new(password.to_owned()) })
}

fn host(address: &str) -> Option<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    Some(if host == "index.docker.io" { "docker.io".to_owned() } else { host.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_read_by_host() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6aHVudGVyMjI="},"registry.example.com:5000":{"auth":"YTpi"},"helper.example.com":{}},"credsStore":"x"}"#).unwrap();
        let logins = logins(&path);
        assert_eq!(logins.keys().collect::<Vec<_>>(), ["docker.io", "registry.example.com:5000"]);
        assert_eq!(
            (logins["docker.io"].user.as_str(), logins["docker.io"].password.expose().as_str()),
            ("me", "hunter22")
        );
        assert!(super::logins(Path::new("/nonexistent")).is_empty());
    }
}
