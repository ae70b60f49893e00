//! The constants of the `@pipeline` decorator: they may only tighten what the config repo allows.
use jiff::SignedDuration;
use std::time::Duration;

use super::call::Call;
use super::canonical::Canonical;
use super::journal::{Entry, read};
use super::live::Ending;
use super::{CallError, LiveJob, bounds};
use crate::queue;
use crate::store::config_commits;

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
        if let Some(beyond) = not_covered(declaration.egress.as_deref().unwrap_or_default(), &allowed) {
            return Err(CallError::Denied(format!(
                "the danubefile declares egress to '{beyond}', which the config repo does not allow for the pipeline \
                 '{}': add it to the pipeline's egress_allowlist, or take it out of the decorator",
                self.row.pipeline_name
            )));
        }
        let title = Some(self.masks.redact(&declaration.name)).filter(|name| !name.is_empty());
        let timeout = declaration.timeout.and_then(|timeout| SignedDuration::try_from(timeout).ok());
        let noted = queue::declare(&self.engine.store, self.lease, title, timeout).await;
        noted.map_err(|error| CallError::Unavailable(super::error::chain(&error)))?;
        Ok(())
    }

    async fn default_egress(&self) -> Result<Vec<String>, CallError> {
        Ok(self.engine.store.read(config_commits::global_in_force).await?.egress_allowlist)
    }
}

/// The first name that no entry of the allowlist covers.
fn not_covered<'a>(declared: &'a [String], allowed: &[String]) -> Option<&'a str> {
    declared.iter().map(String::as_str).find(|name| !allowed.iter().any(|entry| covers(entry, name)))
}

/// `*.example.com` covers `a.example.com`, `a.b.example.com` and `*.a.example.com`, not `example.com`.
fn covers(entry: &str, name: &str) -> bool {
    let (entry, name) = (entry.to_ascii_lowercase(), name.to_ascii_lowercase());
    match entry.strip_prefix("*.") {
        _ if entry == name => true,
        Some(domain) => name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_names_below_it_alone() {
        let allowed = ["*.example.com".to_owned(), "crates.example.org".to_owned()];
        let check = |name: &str| not_covered(&[name.to_owned()], &allowed).is_none();
        for name in ["a.example.com", "a.b.example.com", "*.a.example.com", "*.example.com", "CRATES.example.org"] {
            assert!(check(name), "{name}");
        }
        for name in ["example.com", "badexample.com", "*.org", "x.crates.example.org", ".example.com"] {
            assert!(!check(name), "{name}");
        }
    }
}
