//! What goes wrong when somebody comes in.
use crate::store::StoreError;

/// Why a login, a token or a link could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Too many failures for the account or from the address.
    #[error("too many failed logins for this account or from this address; try again in {seconds} s")]
    TooMany {
        /// How long to wait.
        seconds: u64,
    },
    /// What was asked for makes no sense.
    #[error("{why}")]
    Invalid {
        /// What is wrong and what would be right.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthError {
    /// A wrong request, in words.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid { why: why.into() }
    }
}
