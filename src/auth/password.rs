//! Checks passwords against the bcrypt hashes of `users.yaml`.
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::model::Secret;

/// Hashing at once; the rest waits its turn, so that logins never take every core.
const AT_ONCE: usize = 2;
/// A hash of a random password nobody knows, for accounts that do not exist: the same work either way.
const NOBODY: &str = "$2b$12$RN/IdUr4SYa8HeRZNdsKBelBRs6wRob4atoWuq3KUvrZzY5Ajv2Zy";

/// Checks passwords off the async threads.
#[derive(Debug, Clone)]
pub struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Passwords {
    /// Is it the password of this hash? No hash takes as long and is never right.
    pub async fn check(&self, password: Secret<String>, hash: Option<String>) -> bool {
        let Ok(permit) = Arc::clone(&self.0).acquire_owned().await else { return false };
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(password.expose(), &hash).unwrap_or(false);
            drop(permit);
            right
        });
        work.await.unwrap_or(false) && known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_passes() {
        let hash = bcrypt::hash("correct horse", 4).unwrap();
        let passwords = Passwords::default();
        let check =
            |password: &str, hash: Option<&String>| passwords.check(Secret::new(password.to_owned()), hash.cloned());
        assert!(check("correct horse", Some(&hash)).await);
        assert!(!check("wrong horse", Some(&hash)).await);
        assert!(!check("correct horse", None).await);
        assert!(!check("x", Some(&"no hash".to_owned())).await);
    }

    #[test]
    fn an_unknown_account_costs_a_whole_hash() {
        // An unreadable hash would answer at once and tell which accounts exist.
        assert!(bcrypt::verify("x", NOBODY).is_ok());
    }
}
