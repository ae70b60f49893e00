//! Secrets of a `danube run`: a file of `KEY=value` lines and the environment.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use zeroize::Zeroizing;

use super::{NamedSecret, SecretError, SecretSource, check_value};
use crate::model::Secret;

/// The largest file.
const MAX_FILE: u64 = 1024 * 1024;

/// What an environment variable that holds a secret begins with.
const PREFIX: &str = "DANUBE_SECRET_";

/// The secrets of a run on the developer's own machine: all are granted.
#[derive(Debug, Default)]
pub struct PlainFile {
    values: BTreeMap<String, Secret<Vec<u8>>>,
}

impl PlainFile {
    /// Reads `DANUBE_SECRET_<KEY>` of an environment, then the file, which wins.
    pub fn load(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, SecretError> {
        let mut values = BTreeMap::new();
        for (name, value) in env {
            if let Some(key) = name.strip_prefix(PREFIX) {
                check_value(key, value.as_bytes())?;
                values.insert(key.to_owned(), Secret::new(value.into_bytes()));
            }
        }
        if let Some(path) = file {
            let text = read_private(path)?;
            for NamedSecret { key, value } in parse(path, &text)? {
                values.insert(key, value);
            }
        }
        Ok(Self { values })
    }

    fn named(&self) -> impl Iterator<Item = NamedSecret> {
        self.values.iter().map(|(key, value)| NamedSecret { key: key.clone(), value: value.clone() })
    }
}

impl SecretSource for PlainFile {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Secret<Vec<u8>>, SecretError>> {
        let value = self.values.get(key).cloned();
        ready(value.ok_or_else(|| SecretError::NotGiven { key: key.chars().take(128).collect() })).boxed()
    }

    fn granted(&self) -> BoxFuture<'_, Result<Vec<NamedSecret>, SecretError>> {
        ready(Ok(self.named().collect())).boxed()
    }

    fn may_reveal(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let wrong = |why: String| SecretError::PlainFile { path: path.to_owned(), why };
    let file = File::open(path).map_err(|source| wrong(source.to_string()))?;
    let meta = file.metadata().map_err(|source| wrong(source.to_string()))?;
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(wrong(format!("others may read it (mode {mode:04o}); run chmod 0600 {}", path.display())));
    }
    if meta.len() > MAX_FILE {
        return Err(wrong(format!("it is larger than {MAX_FILE} bytes")));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|source| wrong(source.to_string()))?;
    Ok(text)
}

/// Everything behind the first `=` is the value, as it stands. No error repeats a line.
fn parse(path: &Path, text: &str) -> Result<Vec<NamedSecret>, SecretError> {
    let mut values = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
        let wrong = |why| SecretError::PlainFile { path: path.to_owned(), why };
        let Some((key, value)) = line.split_once('=') else {
            return Err(wrong(format!("line {} is not of the form KEY=value", n + 1)));
        };
        match check_value(key, value.as_bytes()) {
            // What stands before the `=` may be a piece of a value.
            Err(SecretError::BadKey { .. }) => {
                return Err(wrong(format!("line {} does not begin with the name of a secret and =", n + 1)));
            }
            checked => checked?,
        }
        values.push(NamedSecret { key: key.to_owned(), value: Secret::new(value.as_bytes().to_vec()) });
    }
    Ok(values)
}
