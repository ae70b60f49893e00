//! Where the orchestrator gets secrets from, on a server as in a `danube run`.
use futures::future::BoxFuture;

use super::SecretError;
use crate::model::Secret;

/// A value with the key under which a job knows it.
#[derive(Debug, Clone)]
pub struct NamedSecret {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Secret<Vec<u8>>,
}

/// The secrets of one job.
pub trait SecretSource: Send + Sync {
    /// The value of a key, for a step that asked for it. Ask when the step starts: values may change.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Secret<Vec<u8>>, SecretError>>;

    /// Every key and value that the job may read: what its logs must not show.
    fn granted(&self) -> BoxFuture<'_, Result<Vec<NamedSecret>, SecretError>>;

    /// Whether the danubefile itself may see the value (`reveal()`).
    fn may_reveal(&self, key: &str) -> bool;
}
