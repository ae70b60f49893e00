//! What every trigger needs: the store, the mirrors, and the secrets that open repositories.
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::mirror::{Mirror, MirrorError, Opened, Repos, SshPlaces, choose, credential, open, secret_of};
use crate::secrets::{self, Vault};
use crate::store::{Store, config_commits};

use super::{Room, TriggerError};

/// What every trigger needs. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    /// The store.
    pub store: Store,
    /// The mirrors.
    pub repos: Arc<Repos>,
    /// Where SSH host keys are remembered: `<data>/keys/known_hosts`.
    pub known_hosts: PathBuf,
    /// Opens the secrets that `webhooks` and `git_authentication` name.
    pub vault: Vault,
    /// How many more deliveries may wait.
    pub room: Room,
}

impl Ctx {
    /// The access that `git_authentication` in force gives to an address.
    pub async fn access(&self, url: &str) -> Result<Opened, TriggerError> {
        let global = self.store.read(config_commits::global_in_force).await?;
        let Some(entry) = choose(&global.git_authentication, url).cloned() else { return Ok(Opened::default()) };
        let secret = match secret_of(&entry) {
            Some(key) => {
                let found = secrets::of_danube(&self.store, &self.vault, key).await;
                Some(found.map_err(|e| credential(&entry, url, &e.to_string()))?)
            }
            None => None,
        };
        let (this, url) = (self.clone(), url.to_owned());
        let opened = tokio::task::spawn_blocking(move || {
            open(&entry, &url, SshPlaces { scratch: this.repos.dir(), known_hosts: &this.known_hosts }, secret)
        });
        Ok(opened.await.map_err(|e| broken("opening a credential", &e))??)
    }

    /// The mirror of an address, fetched just now.
    pub async fn fetched(&self, url: &str, stop: &CancellationToken) -> Result<Arc<Mirror>, TriggerError> {
        let mirror = self.mirror(url).await?;
        let opened = self.access(url).await?;
        mirror.fetch(opened.access(), stop).await?;
        Ok(mirror)
    }

    /// The mirror of an address with a commit in it: fetched only where the commit is missing.
    pub async fn holding(
        &self,
        url: &str,
        commit: &str,
        stop: &CancellationToken,
    ) -> Result<Arc<Mirror>, TriggerError> {
        let mirror = self.mirror(url).await?;
        if mirror.objects().revision(commit, "").await.is_ok() {
            return Ok(mirror);
        }
        let mirror = self.fetched(url, stop).await?;
        mirror.objects().revision(commit, "").await?;
        Ok(mirror)
    }

    /// The mirror of an address as it was fetched last.
    async fn mirror(&self, url: &str) -> Result<Arc<Mirror>, TriggerError> {
        let (repos, url) = (Arc::clone(&self.repos), url.to_owned());
        let opened = tokio::task::spawn_blocking(move || repos.mirror(&url)).await;
        Ok(opened.map_err(|e| broken("opening a mirror", &e))??)
    }
}

fn broken(what: &str, error: &tokio::task::JoinError) -> MirrorError {
    MirrorError::Local { what: what.to_owned(), reason: error.to_string() }
}
