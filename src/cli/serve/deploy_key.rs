//! The SSH key that opens the config repo: made at the first start, told until it is used.
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::platform::git::{Transport, check_url};
use crate::platform::{atomic, fault};

/// Makes `git_deploy_key` and its public half where the config repo is reached by SSH and there is none.
pub(super) fn ensure(keys: &Path, url: &str) -> anyhow::Result<()> {
    let key = keys.join("git_deploy_key");
    if !matches!(check_url(url), Ok(Transport::Ssh)) || key.exists() {
        return Ok(());
    }
    // Under another name first: a start that was cut short leaves no half of a key.
    let fresh = keys.join("git_deploy_key.new");
    let _old = std::fs::remove_file(&fresh);
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "danube", "-f"])
        .arg(&fresh)
        .stdin(Stdio::null())
        .output()
        .context("cannot make the deploy key: ssh-keygen (package openssh-client) does not run")?;
    if !output.status.success() {
        bail!("ssh-keygen could not make {}: {}", key.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    let public = keys.join("git_deploy_key.pub");
    fault::around("cli.deploy_key", || {
        std::fs::rename(keys.join("git_deploy_key.new.pub"), &public)?;
        std::fs::rename(&fresh, &key)?;
        atomic::sync_dir(keys)
    })?;
    let text = std::fs::read_to_string(&public)?;
    tracing::info!(repository = url, "add this deploy key to the config repo, read-only: {}", text.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_for_ssh() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("git_deploy_key");
        ensure(dir.path(), "https://git.example.com/ops/config.git").unwrap();
        assert!(!key.exists());
        ensure(dir.path(), "git@git.example.com:ops/config.git").unwrap();
        let first = std::fs::read(&key).unwrap();
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(dir.path().join("git_deploy_key.pub")).unwrap().starts_with("ssh-ed25519 "));
        ensure(dir.path(), "git@git.example.com:ops/config.git").unwrap();
        assert_eq!(std::fs::read(&key).unwrap(), first);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
