//! Who answers the questions of one attempt.
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
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
use crate::store::egress::{self, Recorded, Verdict};
use crate::store::{Durability, StoreError, Tx};

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
    /// No further denied name comes on record.
    denied_full: AtomicBool,
    /// The same of allowed ones, and the step was told.
    allowed_full: AtomicBool,
}

impl StepDesk {
    pub(super) fn new(job: Arc<LiveJob>, at: StepAt, in_force: Arc<Vec<String>>, bucket: Arc<Mutex<Bucket>>) -> Self {
        Self {
            job,
            at,
            in_force,
            bucket,
            told: Mutex::default(),
            recorded: Mutex::default(),
            denied_full: AtomicBool::new(false),
            allowed_full: AtomicBool::new(false),
        }
    }

    /// Puts a name on record; none: there is no room for it.
    async fn record(&self, name: &str, verdict: Verdict, detail: &str) -> Result<Option<Recorded>, String> {
        let (name, detail) = (self.job.masks.redact(name), detail.to_owned());
        let known = |recorded: &HashMap<String, String>| recorded.get(&name) == Some(&detail);
        if known(&self.recorded.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Some(Recorded { before: Some(detail) }));
        }
        let (job, step, kept) = (self.at.job, self.at.step, (name.clone(), detail.clone()));
        let written = self.note(move |tx| egress::record(tx, job, step, &name, verdict, &detail));
        let Some(written) = written.await.map_err(|error| chain(&error))? else { return Ok(None) };
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.len() >= REMEMBERED {
            recorded.clear();
        }
        recorded.insert(kept.0, kept.1);
        Ok(Some(written))
    }

    async fn note<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.job.engine.store.write("orchestrator.egress", Durability::Progress, change).await
    }

    /// Takes back what was put on record of a name that was not let through.
    async fn retract(&self, name: &str, detail: String, recorded: Recorded) {
        let name = self.job.masks.redact(name);
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        let (job, step) = (self.at.job, self.at.step);
        let written = self.note(move |tx| egress::retract(tx, job, step, &name, &detail, &recorded));
        if let Err(error) = written.await {
            tracing::warn!(error = chain(&error), "a name that was not let through stays on record");
        }
    }

    /// Tells the step once that further names lead nowhere.
    async fn tell_full(&self, name: &str) {
        if self.allowed_full.swap(true, Ordering::Relaxed) {
            return;
        }
        let line = format!(
            "danube: {name} leads nowhere: this job has asked for {} names, and what is not on record is not spoken to",
            egress::ALLOWED
        );
        self.tell(line).await;
    }

    async fn tell(&self, line: String) {
        if let Err(error) = self.job.engine.executor.note(self.at, line).await {
            tracing::warn!(%error, "a step could not be told of a name");
        }
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
            let mut sorted = addresses.clone();
            sorted.sort_unstable();
            let detail = sorted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            // What is not on record must not be spoken to: the row is there before the way is open.
            let Some(recorded) = self.record(&name, Verdict::Allowed, &detail).await.map_err(Denied::Failed)? else {
                self.tell_full(&name).await;
                let most = egress::ALLOWED;
                return Err(Denied::Failed(format!("it can't be put on record: the job has asked for {most} names")));
            };
            let allowed = persist(engine, || engine.executor.allow(self.at.job, addresses.clone(), seconds)).await;
            match allowed {
                Ok(()) => Ok(()),
                Err(ExecutorError::PolicyDenied(why)) => {
                    self.retract(&name, detail, recorded).await;
                    Err(Denied::Refused(why))
                }
                // It may be open all the same, so it stays on record.
                Err(error) => Err(Denied::Failed(error.to_string())),
            }
        }
        .boxed()
    }

    fn deny(&self, name: String, why: Denial) -> BoxFuture<'_, ()> {
        async move {
            // Names of addresses are asked for by programs that only want to show them.
            if name.ends_with(".in-addr.arpa") || name.ends_with(".ip6.arpa") {
                return;
            }
            let detail = match &why {
                Denial::NotListed => "",
                Denial::Alias(target) => target,
                Denial::Address(why) => why,
            };
            // Each of them, whatever the log has room for: a list is made from these. Once there are too many, a step
            // that makes them up costs nothing any more.
            if !self.denied_full.load(Ordering::Relaxed) {
                match self.record(&name, Verdict::Denied, detail).await {
                    Ok(Some(_)) => {}
                    Ok(None) => self.denied_full.store(true, Ordering::Relaxed),
                    Err(error) => tracing::warn!(error, "a denied name could not be recorded"),
                }
            }
            if let Some(line) = self.line(&name, &why) {
                self.tell(line).await;
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::tests::world::{Master, World};
    use crate::store::testing::pipeline;
    use std::time::Duration;

    /// A job's desk for its first step.
    async fn desk() -> (World, Master, StepDesk) {
        let site = pipeline("site", "web");
        let world = World::new(site.clone()).await;
        let master = world.master(world.claim(&site).await).await;
        let (job, bucket) = (Arc::clone(&master.job), Arc::default());
        let at = StepAt { job: job.row.id, step: 1, attempt: 1 };
        let desk = StepDesk::new(job, at, Arc::new(vec!["*.example.com".to_owned()]), bucket);
        (world, master, desk)
    }

    async fn rows(world: &World, job: crate::model::JobId, verdict: Verdict) -> Vec<(String, String)> {
        let rows = world.test.store.read(move |view| egress::of_job(view, job)).await.unwrap();
        rows.into_iter().filter(|row| row.verdict == verdict).map(|row| (row.name, row.detail)).collect()
    }

    async fn finish(world: World, master: Master) {
        world.executor.end_coordinator_of(master.job.row.id).await;
        master.ended().await;
    }

    const GOOD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
    const INSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

    #[tokio::test]
    async fn what_cannot_be_put_on_record_is_not_spoken_to() {
        let (world, master, desk) = desk().await;
        let job = master.job.row.id;
        // What a step makes up takes no room from what is allowed.
        world.test.fill_egress(job, Verdict::Denied, egress::DENIED);
        desk.allow("a.example.com".to_owned(), vec![GOOD], 60).await.unwrap();
        assert_eq!(rows(&world, job, Verdict::Allowed).await, [("a.example.com".to_owned(), GOOD.to_string())]);
        world.test.fill_egress(job, Verdict::Allowed, egress::ALLOWED - 1);
        for _ in 0..2 {
            let refused = desk.allow("b.example.com".to_owned(), vec![GOOD], 60).await;
            assert!(matches!(&refused, Err(Denied::Failed(why)) if why.contains("10000 names")), "{refused:?}");
        }
        desk.allow("a.example.com".to_owned(), vec![INSIDE, GOOD], 60).await.unwrap_err();
        desk.allow("a.example.com".to_owned(), vec![GOOD, Ipv4Addr::new(198, 51, 100, 8)], 60).await.unwrap();
        assert_eq!(world.executor.allowed().len(), 2, "b was not let through");
        let told = world.executor.notes();
        assert!(told.len() == 1 && told[0].starts_with("danube: b.example.com leads nowhere"), "{told:?}");
        finish(world, master).await;
    }

    #[tokio::test]
    async fn a_name_that_was_not_let_through_is_not_on_record_as_if_it_was() {
        let (world, master, desk) = desk().await;
        let job = master.job.row.id;
        let allow = async |address: Ipv4Addr| desk.allow("a.example.com".to_owned(), vec![address], 60).await;
        assert!(matches!(allow(INSIDE).await, Err(Denied::Refused(_))));
        assert!(rows(&world, job, Verdict::Allowed).await.is_empty());
        allow(GOOD).await.unwrap();
        assert!(matches!(allow(INSIDE).await, Err(Denied::Refused(_))));
        assert_eq!(rows(&world, job, Verdict::Allowed).await, [("a.example.com".to_owned(), GOOD.to_string())]);
        finish(world, master).await;
    }

    #[tokio::test]
    async fn denied_names_are_on_record_beyond_those_that_the_log_tells() {
        let (world, master, desk) = desk().await;
        let job = master.job.row.id;
        for n in 0..30 {
            desk.deny(format!("n{n}.example.org"), Denial::NotListed).await;
            desk.deny(format!("n{n}.example.org"), Denial::NotListed).await;
        }
        assert_eq!(rows(&world, job, Verdict::Denied).await.len(), 30);
        assert_eq!(world.executor.notes().len(), TOLD + 1);
        world.test.fill_egress(job, Verdict::Denied, egress::DENIED - 30);
        desk.deny("more.example.org".to_owned(), Denial::NotListed).await;
        assert_eq!(rows(&world, job, Verdict::Denied).await.len(), egress::DENIED as usize);
        finish(world, master).await;
    }

    #[test]
    fn a_job_that_asks_without_end_is_slowed_down() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert_eq!((0..1000).filter(|_| bucket.take(start)).count(), 200);
        let later = start + Duration::from_secs(2);
        assert_eq!((0..1000).filter(|_| bucket.take(later)).count(), 100);
    }
}
