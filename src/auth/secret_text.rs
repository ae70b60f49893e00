//! Random texts that open doors, and the hash under which the store knows them.
use sha2::{Digest as _, Sha256};

use crate::model::Secret;
use crate::platform::{Ids, random_token};

/// A new one: 32 random bytes behind a prefix.
pub(super) fn fresh(prefix: &str, ids: &dyn Ids) -> Secret<String> {
    Secret::new(format!("{prefix}{}", random_token(ids)))
}

/// Hex SHA-256. The texts have 256 random bits, so a plain hash cannot be guessed backwards.
pub(super) fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
