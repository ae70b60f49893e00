//! Secrets in calls: handles are checked, values are filled in, made values are masked and kept encrypted.
use std::sync::Arc;

use super::call::{Call, Value};
use super::canonical::Canonical;
use super::error::chain;
use super::journal::{Entry, read};
use super::masks::MASKED;
use super::watching::persist;
use super::{CallError, LiveJob};
use crate::executor::{ExecutorError, StepAt};
use crate::model::{Principal, Secret};
use crate::secrets::{self, SecretError};
use crate::store::Durability;
use crate::store::audit_log::{self, Decision, Entry as AuditEntry};

/// What a handle of a captured secret begins with.
const CAPTURED: &str = "captured:";
/// Bytes of a value of `secrets.mask`.
const MASK_BYTES: usize = 64 << 10;

impl LiveJob {
    /// Whether the job may read a secret.
    pub async fn check_secret(&self, call: &Call, name: &str) -> Result<(), CallError> {
        let canonical = Canonical::secret(name);
        self.recorded(call, &canonical, async { self.secret(name).await.map(drop) }).await
    }

    /// The value of a secret that the config repo lets the danubefile see; every time in the audit log.
    pub async fn reveal_secret(&self, call: &Call, value: &Value) -> Result<Secret<String>, CallError> {
        let (what, allowed) = match value {
            Value::Text(_) => return Err(CallError::Invalid("only a secret can be revealed".to_owned())),
            Value::Secret(name) => (name.clone(), self.secrets.may_reveal(name)),
            // Made by this job's own step: whoever may run the step may see it.
            Value::Captured(handle) => (handle.clone(), true),
        };
        let canonical = Canonical::reveal(value);
        self.recorded::<(), _>(call, &canonical, async {
            if allowed {
                return self.value(value).await.map(drop);
            }
            self.audit_reveal(&what, Decision::Denied).await?;
            let pipeline = &self.row.pipeline_name;
            Err(CallError::Denied(format!(
                "the pipeline '{pipeline}' may use the secret '{what}' in steps and not reveal it; where it must, set \
                 `reveal: true` for it in the pipeline's `secrets` in the config repo"
            )))
        })
        .await?;
        let plain = self.value(value).await?;
        self.audit_reveal(&what, Decision::Allowed).await?;
        let text = String::from_utf8(plain.expose().clone());
        text.map(Secret::new).map_err(|_| CallError::Invalid(format!("the secret '{what}' is not text")))
    }

    async fn audit_reveal(&self, what: &str, decision: Decision) -> Result<(), CallError> {
        let entry = AuditEntry {
            principal: Principal::Job { id: self.row.id },
            action: "secret.reveal".to_owned(),
            resource: what.to_owned(),
            decision,
            detail: self.row.label(),
            pipeline: Some(self.row.pipeline_id),
        };
        let noted = self
            .engine
            .store
            .write("orchestrator.reveal", Durability::Acknowledged, move |tx| audit_log::append(tx, &entry));
        Ok(noted.await?)
    }

    /// Redacts a value everywhere from now on; every live shim has it when this answers.
    pub async fn mask_value(self: &Arc<Self>, call: Call, value: Secret<String>) -> Result<(), CallError> {
        if value.expose().len() > MASK_BYTES {
            return Err(CallError::Invalid(format!("a value to mask has at most {MASK_BYTES} bytes")));
        }
        let canonical = Canonical::mask(self.engine.job_key.hmac(), value.expose());
        if let Entry::Done(bytes) = self.enter(&call, &canonical, |_| Ok(())).await? {
            return read(&bytes);
        }
        let work = {
            let (job, call) = (Arc::clone(self), call.clone());
            async move {
                let value = Secret::new(value.expose().clone().into_bytes());
                let masked = job.add_mask(&value).await;
                if masked.is_ok() {
                    job.keep(call.key.as_str(), &value).await?;
                }
                job.record(&call, job.written(masked)?, |_| Ok(())).await.map(drop)
            }
        };
        self.once(&call.key, work).await?;
        self.answered(&call).await
    }

    /// Answers well only after a hand-over of this very call: an earlier one may have failed.
    async fn add_mask(&self, value: &Secret<Vec<u8>>) -> Result<(), CallError> {
        let _gate = self.masks.gate.write().await;
        let mask = self.masks.add(MASKED, value.expose()).map_err(|error| CallError::Invalid(error.to_string()))?;
        let engine = &self.engine;
        let handed = persist(engine, || engine.executor.add_mask(self.row.id, vec![mask.clone()])).await;
        handed.map_err(|error| CallError::Unavailable(error.to_string()))
    }

    /// The value of a secret that this job may read.
    pub(super) async fn secret(&self, name: &str) -> Result<Secret<Vec<u8>>, CallError> {
        self.secrets.get(name).await.map_err(|error| match error {
            SecretError::Store(error) => CallError::from(error),
            error => CallError::NotFound(chain(&error)),
        })
    }

    /// What an earlier step captured.
    pub(super) async fn captured(&self, handle: &str) -> Result<Secret<Vec<u8>>, CallError> {
        let unknown = || CallError::NotFound(format!("no step of this job has captured '{handle}'"));
        let key = handle.strip_prefix(CAPTURED).ok_or_else(unknown)?;
        let kept = secrets::kept_values(&self.engine.store, &self.engine.vault, self.row.id).await;
        let kept = kept.map_err(|error| CallError::Unavailable(chain(&error)))?;
        kept.into_iter().find(|kept| kept.key == key).map(|kept| kept.value).ok_or_else(unknown)
    }

    /// Takes a step's secret output: masked before anything else can print it, then kept.
    pub(super) async fn keep_captured(&self, at: StepAt, key: &str) -> Result<String, CallError> {
        let taken = persist(&self.engine, || self.engine.executor.captured(at)).await;
        let taken = taken.map_err(|error| match error {
            ExecutorError::Lost(_) => CallError::Unavailable(error.to_string()),
            error => CallError::Invalid(error.to_string()),
        })?;
        let value = trimmed(&taken);
        self.add_mask(&value).await?;
        self.keep(key, &value).await?;
        Ok(format!("{CAPTURED}{key}"))
    }

    async fn keep(&self, key: &str, value: &Secret<Vec<u8>>) -> Result<(), CallError> {
        let kept =
            secrets::keep_value(&self.engine.store, &self.engine.vault, self.row.id, self.lease.id, key, value.clone())
                .await;
        kept.map_err(|error| CallError::Unavailable(chain(&error)))
    }
}

/// Without the line break that commands end their output with.
fn trimmed(value: &Secret<Vec<u8>>) -> Secret<Vec<u8>> {
    let bytes = value.expose();
    let end = bytes.strip_suffix(b"\n").map_or(bytes.len(), <[u8]>::len);
    Secret::new(bytes[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::tests::request;
    use super::super::tests::world::{World, call};
    use super::super::{Capture, StepRequest};
    use super::*;
    use crate::store::testing::pipeline;

    #[tokio::test]
    async fn a_known_value_is_handed_to_the_shims_again_before_it_is_acknowledged() {
        let site = pipeline("site", "web");
        let world = World::new(site.clone()).await;
        let master = world.master(world.claim(&site).await).await;
        // As after a hand-over that failed: known here, and no shim has it.
        master.job.masks.add(MASKED, b"fresh-token").unwrap();
        let value = Secret::new("fresh-token".to_owned());
        master.job.mask_value(call("mask", "/mask#0"), value).await.unwrap();
        assert_eq!(world.executor.masked().len(), 1);
        let capture = StepRequest { capture: Capture::Secret, ..request("print fresh-token") };
        master.run("/run#0", capture).await.unwrap();
        assert_eq!(world.executor.masked().len(), 2);
    }
}
