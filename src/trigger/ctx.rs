//! What every trigger needs: the store, the mirrors, and the secrets that open repositories.
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::mirror::{Mirror, MirrorError, Opened, Repos, SshPlaces, choose, open};
use crate::model::Secret;
use crate::store::{Store, View, config_commits};

use super::TriggerError;

/// Looks up a global secret by name; the error is a sentence.
pub type GlobalSecret = Arc<dyn Fn(&View<'_>, &str) -> Result<Secret<Vec<u8>>, String> + Send + Sync>;

/// What every trigger needs. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    /// The store.
    pub store: Store,
    /// The mirrors.
    pub repos: Arc<Repos>,
    /// Where SSH host keys are remembered: `<data>/keys/known_hosts`.
    pub known_hosts: PathBuf,
    /// The secrets that `webhooks` and `git_authentication` name.
    pub secret: GlobalSecret,
}

impl Ctx {
    /// The access that `git_authentication` in force gives to an address.
    pub async fn access(&self, url: &str) -> Result<Opened, TriggerError> {
        let (url, this) = (url.to_owned(), self.clone());
        let opened = self.store.read(move |view| {
            let global = config_commits::global_in_force(view)?;
            let entry = choose(&global.git_authentication, &url);
            let places = SshPlaces { scratch: this.repos.dir(), known_hosts: &this.known_hosts };
            Ok(open(entry, &url, places, |name| (this.secret)(view, name)))
        });
        Ok(opened.await??)
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
        let what = || "opening a mirror".to_owned();
        Ok(opened.map_err(|e| MirrorError::Local { what: what(), reason: e.to_string() })??)
    }
}
