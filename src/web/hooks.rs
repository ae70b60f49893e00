//! What the parts of the server that run beside the console do for it: handed in at start.
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::config_repo;

/// The calls that the console makes.
#[derive(Clone)]
pub struct Hooks {
    /// Asks for a look at the config repo; answers at once.
    pub sync: Arc<dyn Fn() + Send + Sync>,
    /// What the last looks at the config repo came to.
    pub config: Arc<dyn Fn() -> config_repo::Status + Send + Sync>,
    /// What is wrong with the data directory, in sentences; none: nothing.
    pub data: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// The names of what is down; none: ready.
    pub down: Arc<dyn Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync>,
}
