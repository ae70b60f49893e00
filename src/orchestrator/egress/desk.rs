//! Who answers the questions of one attempt.
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::super::LiveJob;
use super::super::error::chain;
use super::persist;
use crate::egress::{Denial, Denied, Desk, Upstream};
use crate::executor::{ExecutorError, StepAt};
use crate::model::egress::is_covered;
use crate::store::Durability;
use crate::store::egress::{self, Verdict};

/// Denied names that are told in the log of an attempt.
const TOLD: usize = 20;
/// Names that are remembered as recorded; a step that asks for more has them recorded again.
const REMEMBERED: usize = 4096;
/// Questions of a job that are passed on to nameservers: at once, and each second from then on.
const BURST: f64 = 200.0;
const EACH_SECOND: f64 = 50.0;

/// What a job may still ask of others.
pub(super) struct Bucket {
    left: f64,
    seen: Option<Instant>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { left: BURST, seen: None }
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let since = self.seen.map_or(0.0, |seen| now.saturating_duration_since(seen).as_secs_f64());
        self.seen = Some(now);
        self.left = (self.left + since * EACH_SECOND).min(BURST);
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }
}

pub(super) struct StepDesk {
    job: Arc<LiveJob>,
    at: StepAt,
    in_force: Arc<Vec<String>>,
    bucket: Arc<Mutex<Bucket>>,
    told: Mutex<HashSet<String>>,
    recorded: Mutex<HashMap<String, String>>,
}

impl StepDesk {
    pub(super) fn new(job: Arc<LiveJob>, at: StepAt, in_force: Arc<Vec<String>>, bucket: Arc<Mutex<Bucket>>) -> Self {
        Self { job, at, in_force, bucket, told: Mutex::default(), recorded: Mutex::default() }
    }

    async fn record(&self, name: &str, verdict: Verdict, detail: String) -> Result<(), String> {
        let name = self.job.masks.redact(name);
        let known = |recorded: &HashMap<String, String>| recorded.get(&name) == Some(&detail);
        if known(&self.recorded.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let (job, step, kept) = (self.at.job, self.at.step, (name.clone(), detail.clone()));
        let written = self.job.engine.store.write("orchestrator.egress", Durability::Progress, move |tx| {
            egress::record(tx, job, step, &name, verdict, &detail)
        });
        written.await.map_err(|error| chain(&error))?;
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.len() >= REMEMBERED {
            recorded.clear();
        }
        recorded.insert(kept.0, kept.1);
        Ok(())
    }

    /// The line of a denied name; none where it was told before, or too many were.
    fn line(&self, name: &str, why: &Denial) -> Option<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() > TOLD || !told.insert(name.to_owned()) {
            return None;
        }
        if told.len() > TOLD {
            return Some("danube: denied: further names of this step are not listed".to_owned());
        }
        let pipeline = &self.job.row.pipeline_name;
        let own = self.job.pipeline.egress_allowlist.as_deref().unwrap_or_default();
        Some(match why {
            Denial::NotListed if is_covered(own, name) => {
                format!("danube: denied: {name} is left out by egress= of the danubefile")
            }
            Denial::NotListed => format!("danube: denied: {name} is not in egress_allowlist (pipeline {pipeline})"),
            Denial::Alias(target) => format!(
                "danube: denied: {name} is an alias of {target}, which is not in egress_allowlist (pipeline {pipeline})"
            ),
            Denial::Address(why) => format!("danube: denied: {name} leads to an address that no job may reach: {why}"),
        })
    }
}

impl Desk for StepDesk {
    fn names(&self) -> &[String] {
        &self.in_force
    }

    fn upstream(&self) -> &Upstream {
        &self.job.engine.upstream
    }

    fn may_ask(&self) -> bool {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }

    fn allow(&self, name: String, addresses: Vec<Ipv4Addr>, seconds: u32) -> BoxFuture<'_, Result<(), Denied>> {
        async move {
            let engine = &self.job.engine;
            let allowed = persist(engine, || engine.executor.allow(self.at.job, addresses.clone(), seconds)).await;
            allowed.map_err(|error| match error {
                ExecutorError::PolicyDenied(why) => Denied::Refused(why),
                error => Denied::Failed(error.to_string()),
            })?;
            let mut sorted = addresses;
            sorted.sort_unstable();
            let detail: Vec<String> = sorted.iter().map(ToString::to_string).collect();
            // What is not on record must not be spoken to.
            self.record(&name, Verdict::Allowed, detail.join(" ")).await.map_err(Denied::Failed)
        }
        .boxed()
    }

    fn deny(&self, name: String, why: Denial) -> BoxFuture<'_, ()> {
        async move {
            // Names of addresses are asked for by programs that only want to show them.
            if name.ends_with(".in-addr.arpa") || name.ends_with(".ip6.arpa") {
                return;
            }
            let Some(line) = self.line(&name, &why) else { return };
            let detail = match why {
                Denial::NotListed => String::new(),
                Denial::Alias(target) => target,
                Denial::Address(why) => why,
            };
            if let Err(error) = self.record(&name, Verdict::Denied, detail).await {
                tracing::warn!(error, "a denied name could not be recorded");
            }
            if let Err(error) = self.job.engine.executor.note(self.at, line).await {
                tracing::warn!(%error, "a step could not be told of a denied name");
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_job_that_asks_without_end_is_slowed_down() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert_eq!((0..1000).filter(|_| bucket.take(start)).count(), 200);
        let later = start + Duration::from_secs(2);
        assert_eq!((0..1000).filter(|_| bucket.take(later)).count(), 100);
    }
}
