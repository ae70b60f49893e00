//! How a run reaches registries: the mirrors it is given, and the logins that the developer's own tools keep.
use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;

use crate::images::{Registry, Settings, logins};

/// The settings of a run; `mirrors` are `HOST=ADDRESS`. Reads the caller's own files: before rights are given up.
pub(super) fn settings(mirrors: &[String]) -> anyhow::Result<Settings> {
    let mut registries: BTreeMap<String, Registry> = BTreeMap::new();
    for (host, login) in config_file().map(|path| logins(&path)).unwrap_or_default() {
        registries.entry(host).or_default().login = Some(login);
    }
    for text in mirrors {
        let Some((host, address)) = text.split_once('=') else {
            bail!("--registry-mirror takes HOST=ADDRESS, such as docker.io=https://mirror.example.com, not '{text}'");
        };
        let url = url::Url::parse(address).ok();
        let good = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        });
        if host.is_empty() || host.contains('/') || !good {
            bail!("--registry-mirror: '{text}' names no registry and the address of its mirror");
        }
        registries.entry(host.to_owned()).or_default().mirrors.push(address.to_owned());
    }
    Ok(Settings { registries, ..Settings::default() })
}

/// Where docker and its like keep logins.
fn config_file() -> Option<PathBuf> {
    let dir = match std::env::var_os("DOCKER_CONFIG") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".docker"),
    };
    Some(dir.join("config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read_in_order() {
        let texts = ["docker.io=https://a.example.com", "docker.io=http://127.0.0.1:5000"].map(str::to_owned);
        let settings = settings(&texts).unwrap();
        assert_eq!(settings.registries["docker.io"].mirrors, ["https://a.example.com", "http://127.0.0.1:5000"]);
        for wrong in
            ["docker.io", "=https://a.example.com", "docker.io=ftp://a", "docker.io=https://me:pw@a.example.com"]
        {
            assert!(super::settings(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
