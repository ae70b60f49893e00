//! Looks at the config repo again and again; a good commit comes into force, a bad one is remembered.
use std::sync::{Mutex, PoisonError};

use git2::Oid;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::error::ConfigRepoError;
use super::fetch::Mirror;
use super::{ConfigIssue, check};
use crate::store::{Durability, Store, StoreError, apply, config_commits};

/// The commit in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The commit.
    pub commit: String,
    /// When it came into force.
    pub applied_at: Timestamp,
}

/// What people are shown about the config repo.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// What is in force; none: nothing was ever applied.
    pub in_force: Option<InForce>,
    /// The newest commit of the branch that was looked at.
    pub last_seen: Option<String>,
    /// Why that commit is not in force; empty: it is.
    pub issues: Vec<ConfigIssue>,
    /// When the config repo was last looked at.
    pub last_attempt: Option<Timestamp>,
    /// When it was last looked at with success, whatever the commit says.
    pub last_success: Option<Timestamp>,
    /// Since when it cannot be looked at; none: it can.
    pub unreachable_since: Option<Timestamp>,
    /// Why it cannot be looked at.
    pub error: Option<String>,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// Nothing new since the last look.
    Same(Oid),
    /// A new commit came into force.
    Applied(Oid, apply::Changes),
    /// A new commit has mistakes; what was in force stays.
    Refused(Oid, Vec<ConfigIssue>),
}

/// Keeps the configuration in step with the config repo. One per master.
#[derive(Debug)]
pub struct Sync {
    mirror: Mirror,
    interval: std::time::Duration,
    status: Mutex<Status>,
    wake: Notify,
    /// One look at a time, so that an older commit never replaces a newer one.
    turn: tokio::sync::Mutex<()>,
}

impl Sync {
    /// For a mirror that is looked at every `interval`.
    pub fn new(mirror: Mirror, interval: std::time::Duration) -> Self {
        let turn = tokio::sync::Mutex::new(());
        Self { mirror, interval, status: Mutex::default(), wake: Notify::new(), turn }
    }

    /// What people are shown. Before `load` or the first look it is empty.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a look at once: a webhook, `danube sync`.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Takes from the store what the last process knew.
    pub async fn load(&self, store: &Store) -> Result<(), ConfigRepoError> {
        let (in_force, last) = known(store).await?;
        self.note(|status| {
            status.last_seen = last.as_ref().map(|row| row.sha.clone());
            status.issues = last.and_then(|row| row.errors).map(|text| issues_of(&text)).unwrap_or_default();
            status.in_force = in_force;
        });
        Ok(())
    }

    /// One look: fetch, compare, check everything, apply or refuse in one transaction.
    pub async fn once(&self, store: &Store, stop: &CancellationToken) -> Result<Looked, ConfigRepoError> {
        let _turn = self.turn.lock().await;
        let result = self.look(store, stop).await;
        let now = store.clock().now();
        self.note(|status| {
            status.last_attempt = Some(now);
            match &result {
                Ok(looked) => status.seen(looked, now),
                Err(error) => {
                    status.unreachable_since.get_or_insert(now);
                    status.error = Some(chain(error));
                }
            }
        });
        result
    }

    async fn look(&self, store: &Store, stop: &CancellationToken) -> Result<Looked, ConfigRepoError> {
        let commit = self.mirror.fetch(stop).await?;
        let sha = commit.to_string();
        let (in_force, last) = known(store).await?;
        let newest_is_in_force = in_force.is_some_and(|known| known.commit == sha);
        if newest_is_in_force && last.is_some_and(|row| row.sha == sha && row.errors.is_none()) {
            return Ok(Looked::Same(commit));
        }
        // Refused by an older process, it is checked again: a new release may read more.
        if self.refused_before(&sha) {
            return Ok(Looked::Same(commit));
        }
        let files = self.mirror.read(commit).await?;
        let checked = tokio::task::spawn_blocking(move || check(files)).await;
        match checked.map_err(|ended| ConfigRepoError::Store(Box::new(ended)))? {
            Ok(settings) => {
                let now = store.clock().now();
                let changes = store
                    .write("config_repo.apply", Durability::Acknowledged, move |tx| {
                        apply::apply(tx, &settings, &sha, now)
                    })
                    .await
                    .map_err(not_stored)?;
                Ok(Looked::Applied(commit, changes))
            }
            Err(issues) => {
                let errors = serde_json::to_string(&issues).expect("strings and numbers are always JSON");
                store
                    .write("config_repo.refuse", Durability::Acknowledged, move |tx| {
                        config_commits::record_failure(tx, &sha, &errors)
                    })
                    .await
                    .map_err(not_stored)?;
                Ok(Looked::Refused(commit, issues))
            }
        }
    }

    /// Looks every interval, and at once when woken, until told to stop.
    pub async fn run(&self, store: &Store, stop: CancellationToken) {
        loop {
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.once(store, &stop) => result,
            };
            match result {
                Ok(Looked::Same(_)) => {}
                Ok(Looked::Applied(commit, _)) => {
                    tracing::info!(config.commit = %commit, "the configuration is in force")
                }
                Ok(Looked::Refused(commit, issues)) => {
                    let first = issues.first().map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(config.commit = %commit, issues = issues.len(), "the configuration has mistakes, the last good one stays: {first}");
                }
                Err(error) => tracing::warn!("the configuration stays as it is: {}", chain(&error)),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }

    /// Whether this process has refused the commit already.
    fn refused_before(&self, sha: &str) -> bool {
        let status = self.status();
        status.last_success.is_some() && !status.issues.is_empty() && status.last_seen.as_deref() == Some(sha)
    }

    fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Status {
    fn seen(&mut self, looked: &Looked, now: Timestamp) {
        self.last_success = Some(now);
        self.unreachable_since = None;
        self.error = None;
        match looked {
            Looked::Same(commit) => self.last_seen = Some(commit.to_string()),
            Looked::Applied(commit, _) => {
                self.last_seen = Some(commit.to_string());
                self.issues.clear();
                self.in_force = Some(InForce { commit: commit.to_string(), applied_at: now });
            }
            Looked::Refused(commit, issues) => {
                self.last_seen = Some(commit.to_string());
                self.issues.clone_from(issues);
            }
        }
    }
}

async fn known(store: &Store) -> Result<(Option<InForce>, Option<config_commits::ConfigCommitRow>), ConfigRepoError> {
    let read = store.read(|view| Ok((config_commits::in_force(view)?, config_commits::find_last(view)?)));
    let (in_force, last) = read.await.map_err(not_stored)?;
    let in_force = in_force.and_then(|row| {
        let applied_at = row.applied_at?;
        Some(InForce { commit: row.sha, applied_at })
    });
    Ok((in_force, last))
}

fn not_stored(error: StoreError) -> ConfigRepoError {
    ConfigRepoError::Store(Box::new(error))
}

fn issues_of(text: &str) -> Vec<ConfigIssue> {
    // Written by this or an older release; one that cannot be read is found again at the next look.
    serde_json::from_str(text).unwrap_or_default()
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
