//! The one directory: everything that is written to disk lies here.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::platform::Ids;

/// A directory that is removed at the end, or kept where the user named it.
pub(in crate::cli) struct Place {
    root: PathBuf,
    kept: bool,
}

impl Place {
    /// A new directory under `/tmp` whose name begins so, or the empty one that the user named.
    pub(in crate::cli) fn make(name: &str, keep: Option<&Path>, ids: &dyn Ids) -> anyhow::Result<Self> {
        let root = match keep {
            Some(dir) => std::path::absolute(dir)?,
            None => {
                let mut bytes = [0; 4];
                ids.fill(&mut bytes);
                PathBuf::from(format!("/tmp/{name}.{}", hex::encode(bytes)))
            }
        };
        // The path stands in addresses of repositories and in YAML.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
        if !root.to_str().is_some_and(|text| text.chars().all(plain)) {
            bail!("--keep takes a path of letters, digits, '.', '-' and '_', not {}", root.display());
        }
        if keep.is_some() {
            fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
            if fs::read_dir(&root)?.next().is_some() {
                bail!("{} is not empty: name a new directory with --keep", root.display());
            }
        } else {
            fs::create_dir(&root).with_context(|| format!("cannot make {}", root.display()))?;
        }
        // The server runs as another user and finds the repositories in here.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o711))?;
        Ok(Self { root, kept: keep.is_some() })
    }

    pub(in crate::cli) fn path(&self) -> &Path {
        &self.root
    }

    pub(in crate::cli) fn is_kept(&self) -> bool {
        self.kept
    }

    /// The server's data directory.
    pub(in crate::cli) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The server's danube.toml.
    pub(in crate::cli) fn toml(&self) -> PathBuf {
        self.root.join("danube.toml")
    }

    /// What the server says.
    pub(in crate::cli) fn server_log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// The config repo.
    pub(in crate::cli) fn config_repo(&self) -> PathBuf {
        self.root.join("config.git")
    }

    /// Removes everything, unless it is to be kept.
    pub(in crate::cli) fn remove(&self) -> anyhow::Result<()> {
        if self.kept {
            return Ok(());
        }
        fs::remove_dir_all(&self.root).with_context(|| format!("{} could not be removed", self.root.display()))
    }
}

/// The address under which git and the server find a repository in here.
pub(in crate::cli) fn address(repository: &Path) -> String {
    format!("file://{}", repository.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::SystemIds;

    #[test]
    fn a_directory_of_its_own_goes_with_all_that_is_in_it() {
        let place = Place::make("danube-test", None, &SystemIds::new()).unwrap();
        fs::create_dir(place.data()).unwrap();
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o711);
        place.remove().unwrap();
        assert!(!place.path().exists());
    }

    #[test]
    fn a_named_directory_must_be_empty_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let named = dir.path().join("kept");
        let place = Place::make("danube-test", Some(&named), &SystemIds::new()).unwrap();
        place.remove().unwrap();
        assert!(named.is_dir());
        fs::write(named.join("mine"), "").unwrap();
        assert!(Place::make("danube-test", Some(&named), &SystemIds::new()).is_err());
        assert!(Place::make("danube-test", Some(&dir.path().join("a b")), &SystemIds::new()).is_err());
    }
}
