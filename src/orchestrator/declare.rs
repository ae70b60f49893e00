//! The constants of the `@pipeline` decorator: they may only tighten what the config repo allows.
use jiff::SignedDuration;
use std::time::Duration;

use super::call::Call;
use super::canonical::Canonical;
use super::journal::{Entry, read};
use super::live::Ending;
use super::{CallError, LiveJob, bounds};
use crate::model::egress::{bad_name, is_covered};
use crate::queue;

/// What a decorator declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The name that people see beside the pipeline's.
    pub name: String,
    /// The longest the job may run.
    pub timeout: Option<Duration>,
    /// DNS names; none: those of the config repo.
    pub egress: Option<Vec<String>>,
}

impl LiveJob {
    /// Takes a declaration; one that asks for more than is allowed fails the job.
    pub async fn declare(&self, call: &Call, declaration: Declaration) -> Result<(), CallError> {
        bounds::name("the name of the pipeline", &declaration.name)?;
        let egress = declaration.egress.as_deref().unwrap_or_default();
        if egress.len() > 1000 || egress.iter().any(|host| host.len() > 253) {
            return Err(CallError::Invalid(
                "egress= has more than 1000 names, or one of more than 253 bytes".to_owned(),
            ));
        }
        let canonical = Canonical::declare(&declaration);
        let answer = match self.enter(call, &canonical, |_| Ok(())).await? {
            Entry::Done(bytes) => bytes,
            Entry::Open(_) => {
                let taken = self.take(&declaration).await;
                self.record(call, self.written(taken)?, |_| Ok(())).await?
            }
        };
        let result = read(&answer);
        if let Err(error @ CallError::Denied(_)) = &result {
            // Also where it was recorded: the danubefile may catch the error, and must not go on.
            self.close(Ending::Failed(error.clone()));
        }
        result
    }

    async fn take(&self, declaration: &Declaration) -> Result<(), CallError> {
        let allowed = match &self.pipeline.egress_allowlist {
            Some(own) => own.clone(),
            None => self.default_egress().await?,
        };
        let asked = declaration.egress.iter().flatten();
        if let Some(beyond) = asked.clone().find(|name| !is_covered(&allowed, name)) {
            return Err(CallError::Denied(format!(
                "the danubefile declares egress to '{beyond}', which the config repo does not allow for the pipeline \
                 '{}': add it to the pipeline's egress_allowlist (with `danube run`, --egress NAME), or take it out of the decorator",
                self.row.pipeline_name
            )));
        }
        if let Some((name, why)) = asked.filter_map(|name| Some((name, bad_name(name)?))).next() {
            return Err(CallError::Invalid(format!("'{name}' cannot stand in egress= of the decorator: {why}")));
        }
        self.fix_names(declaration.egress.clone()).await?;
        let title = Some(self.masks.redact(&declaration.name)).filter(|name| !name.is_empty());
        let timeout = declaration.timeout.and_then(|timeout| SignedDuration::try_from(timeout).ok());
        let noted = queue::declare(&self.engine.store, self.lease, title, timeout).await;
        noted.map_err(|error| CallError::Unavailable(super::error::chain(&error)))?;
        Ok(())
    }
}
