//! Secrets: encrypted at rest, opened for the one job that may read them.
//!
//! Owns: the key file, AES-256-GCM, who may read what. May use: model, platform, store. Must not
//! touch: logs, pages; a plain value leaves only as `Secret<…>`.

mod cipher;
mod error;
mod key;
mod key_file;
mod plain_file;
mod resolve;
mod rotate;
mod run_time;
mod source;
mod vault;

pub use error::SecretError;
pub use plain_file::PlainFile;
pub use resolve::{JobSecrets, of_danube, of_danube_in};
pub use rotate::{Rotated, rotate_key};
pub use run_time::{keep_value, kept_values};
pub use source::{NamedSecret, SecretSource};
pub use vault::{MAX_VALUE, MIN_VALUE, Vault, check_value, delete, list, open, set};

#[cfg(test)]
mod tests;
