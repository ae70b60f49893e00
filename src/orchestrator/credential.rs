//! The credential of a job: derived, not stored, so that it holds over a restart of the master.
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ring::hmac;

use super::DriveError;
use crate::model::{JobId, Secret};
use crate::platform::{Ids, atomic};

const LENGTH: usize = 32;

/// The key from which credentials of jobs and digests of their plain values are derived.
#[derive(Clone)]
pub struct JobKey(hmac::Key);

impl JobKey {
    /// Reads `<dir>/job.key`, or makes it.
    pub fn load_or_create(dir: &Path, ids: &dyn Ids) -> Result<Self, DriveError> {
        let path = dir.join("job.key");
        let failed = |what| {
            let path = path.clone();
            move |source| DriveError::Io { what, path, source }
        };
        match std::fs::read(&path) {
            Ok(bytes) if bytes.len() == LENGTH => {
                let mode = std::fs::metadata(&path).map_err(failed("look at"))?.permissions().mode() & 0o7777;
                if mode & 0o077 != 0 {
                    let why = format!("others may read it (mode {mode:04o}); run chmod 0600 {}", path.display());
                    return Err(failed("use")(std::io::Error::other(why)));
                }
                Ok(Self::from_bytes(&bytes))
            }
            Ok(_) => Err(failed("use")(std::io::Error::other(
                "it must have 32 bytes; remove it, and running jobs will be started again",
            ))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = [0; LENGTH];
                ids.fill(&mut bytes);
                atomic::write("orchestrator.job_key", &path, &bytes, 0o600).map_err(failed("write"))?;
                Ok(Self::from_bytes(&bytes))
            }
            Err(error) => Err(failed("read")(error)),
        }
    }

    /// The key of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// For digests of plain values.
    pub(super) const fn hmac(&self) -> &hmac::Key {
        &self.0
    }

    /// What a step of a job's attempt shows to the registry; it opens nothing else.
    pub(super) fn registry_credential(&self, job: JobId, attempt: u32) -> Secret<String> {
        let text = format!("danube registry credential {job} {attempt}");
        Secret::new(hex::encode(hmac::sign(&self.0, text.as_bytes())))
    }

    /// What the coordinator of a job's attempt sends with every call.
    pub(super) fn credential(&self, job: JobId, attempt: u32) -> Secret<String> {
        Secret::new(hex::encode(hmac::sign(&self.0, Self::text(job, attempt).as_bytes())))
    }

    /// Whether a presented credential is the one of a job's attempt; takes the same time for any other.
    pub(super) fn accepts(&self, job: JobId, attempt: u32, presented: &str) -> bool {
        let Ok(tag) = hex::decode(presented) else { return false };
        hmac::verify(&self.0, Self::text(job, attempt).as_bytes(), &tag).is_ok()
    }

    fn text(job: JobId, attempt: u32) -> String {
        format!("danube job credential {job} {attempt}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::SeededIds;

    #[test]
    fn a_credential_opens_one_attempt_of_one_job_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let ids = SeededIds::new(1);
        let (one, two) = (JobId::from_uuid(ids.uuid()), JobId::from_uuid(ids.uuid()));
        let credential = JobKey::load_or_create(dir.path(), &ids).unwrap().credential(one, 1);
        let key = JobKey::load_or_create(dir.path(), &ids).unwrap();
        assert!(key.accepts(one, 1, credential.expose()));
        for (job, attempt, presented) in
            [(two, 1, credential.expose().as_str()), (one, 2, credential.expose()), (one, 1, ""), (one, 1, "zz")]
        {
            assert!(!key.accepts(job, attempt, presented));
        }
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        JobKey::load_or_create(dir.path(), &SeededIds::new(1)).unwrap();
        let path = dir.path().join("job.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(JobKey::load_or_create(dir.path(), &SeededIds::new(1)).is_err());
    }

    #[test]
    fn a_short_key_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("job.key"), b"short").unwrap();
        assert!(JobKey::load_or_create(dir.path(), &SeededIds::new(1)).is_err());
    }
}
