//! The server that somebody logged in to: a file of their own.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::error::ClientError;
use crate::model::Secret;
use crate::platform::atomic;

/// Bytes of the file at most.
const MOST: u64 = 16 * 1024;

/// A server and the token for it.
#[derive(Debug)]
pub struct Login {
    /// The address.
    pub server: String,
    /// The token.
    pub token: Secret<String>,
}

#[derive(Deserialize)]
struct Stored {
    server: String,
    token: String,
}

impl Login {
    /// Where it lies; none where nobody has a home.
    pub fn path(env: &BTreeMap<String, String>) -> Option<PathBuf> {
        let set = |name: &str| env.get(name).filter(|text| text.starts_with('/')).map(PathBuf::from);
        let dir = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
        Some(dir.join("danube/login.json"))
    }

    /// Reads it; none: nobody logged in.
    pub fn load(path: &Path) -> Result<Option<Self>, ClientError> {
        let refused = |why: String| {
            ClientError::Usage(format!("{} cannot be used: {why}; `danube login` writes it anew", path.display()))
        };
        let file = match File::open(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            opened => opened.map_err(|error| refused(error.to_string()))?,
        };
        let about = file.metadata().map_err(|error| refused(error.to_string()))?;
        if about.mode() & 0o077 != 0 {
            return Err(refused("others may read the token in it (it must have mode 0600)".to_owned()));
        }
        let mut text = String::new();
        file.take(MOST).read_to_string(&mut text).map_err(|error| refused(error.to_string()))?;
        let stored: Stored =
            serde_json::from_str(&text).map_err(|_| refused("it is not what a login writes".to_owned()))?;
        Ok(Some(Self { server: stored.server, token: Secret::new(stored.token) }))
    }

    /// Writes it, for nobody else's eyes.
    pub fn store(&self, path: &Path) -> Result<(), ClientError> {
        let text = format!("{:#}\n", json!({ "server": self.server, "token": self.token.expose() }));
        let dir = path.parent().unwrap_or(path);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.and_then(|()| atomic::write("cli.login", path, text.as_bytes(), 0o600))
            .map_err(|source| ClientError::Output { place: path.display().to_string(), source })
    }

    /// Takes it away; false: there was none.
    pub fn forget(path: &Path) -> Result<bool, ClientError> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ClientError::Output { place: path.display().to_string(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_alone_and_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let env = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        let path = Login::path(&env).unwrap();
        assert!(path.ends_with(".config/danube/login.json"));
        assert!(Login::load(&path).unwrap().is_none());
        let server = "https://danube.example.com".to_owned();
        Login { server: server.clone(), token: Secret::new("danube_x\"y".to_owned()) }.store(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = Login::load(&path).unwrap().unwrap();
        assert_eq!((read.server, read.token.expose().as_str()), (server, "danube_x\"y"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Login::load(&path).unwrap_err();
        assert_eq!(error.code(), 64);
        assert!(error.text().contains("0600") && !error.text().contains("danube_x"), "{}", error.text());
        assert!(Login::forget(&path).unwrap());
        assert!(!Login::forget(&path).unwrap());
    }

    #[test]
    fn who_has_no_home_has_no_login() {
        assert_eq!(Login::path(&BTreeMap::new()), None);
        assert_eq!(Login::path(&BTreeMap::from([("HOME".to_owned(), "relative".to_owned())])), None);
    }
}
