//! The canonical form of every kind of call: the same for a living job and for the replay of one that ended.
use ring::hmac;
use sha2::Digest as _;

use super::Upload;
use super::call::Value;
use super::canonical::Canonical;
use super::declare::Declaration;
use super::report_calls::{Annotation, NAME};
use crate::store::annotations::AnnotationLevel;
use crate::store::artifacts::KeepWhen;

/// Characters of an annotation that the journal shows.
const SHOWN: usize = 120;

impl Canonical {
    /// The first call of a coordinator.
    pub fn register() -> Self {
        Self::new("register")
    }

    /// What `ctx` shows.
    pub fn context() -> Self {
        Self::new("context")
    }

    /// The time.
    pub fn now() -> Self {
        Self::new("now")
    }

    /// A number by chance.
    pub fn random() -> Self {
        Self::new("random")
    }

    /// The constants of the decorator.
    pub fn declare(declaration: &Declaration) -> Self {
        let timeout = declaration.timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        Self::new("declare")
            .with("name", declaration.name.as_str())
            .with("timeout_ms", timeout)
            .with("egress", declaration.egress.clone().unwrap_or_default())
            .with("has_egress", declaration.egress.is_some())
    }

    /// Whether the job may read a secret.
    pub fn secret(name: &str) -> Self {
        Self::new("secret").with("name", name)
    }

    /// The value of a secret: by its name, or by the handle of a captured one.
    pub fn reveal(value: &Value) -> Self {
        let (Value::Text(what) | Value::Secret(what) | Value::Captured(what)) = value;
        Self::new("reveal").with("value", what.as_str())
    }

    /// A value to redact.
    pub fn mask(key: &hmac::Key, value: &str) -> Self {
        Self::new("mask").with_hidden(key, "value", value)
    }

    /// Whether files differ.
    pub fn changed(globs: &[String]) -> Self {
        Self::new("changed").with("globs", globs.to_vec())
    }

    /// A hash over files.
    pub fn files_hash(globs: &[String]) -> Self {
        Self::new("hash").with("globs", globs.to_vec())
    }

    /// A file to keep.
    pub fn upload(upload: &Upload) -> Self {
        Self::new("upload")
            .with("path", upload.path.as_str())
            .with("name", upload.name.as_str())
            .with("when", if upload.keep == KeepWhen::Success { "" } else { upload.keep.as_str() })
            .with("no_provenance", !upload.provenance)
    }

    /// A kept file to fetch.
    pub fn download(name: &str, dest: &str, job: &str) -> Self {
        Self::new("download").with("name", name).with("dest", dest).with("job", job)
    }

    /// Test reports.
    pub fn junit(glob: &str, name: &str) -> Self {
        Self::new("junit").with("glob", glob).with("name", if name == NAME { "" } else { name })
    }

    /// A text on top of the job.
    pub fn annotate(annotation: &Annotation) -> Self {
        let (text, level) = (&annotation.markdown, annotation.level);
        Self::new("annotate")
            .with("markdown", text.chars().take(SHOWN).collect::<String>())
            .with("sha256", hex::encode(sha2::Sha256::digest(text.as_bytes())))
            .with("level", if level == AnnotationLevel::Info { "" } else { level.as_str() })
    }
}
