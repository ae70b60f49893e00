//! Steps beside services: how they find them, and what becomes of them when one ends.
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::super::LiveJob;
use super::super::watching::{Manners, Seen};
use super::Service;
use crate::executor::{HostEntry, Signal, StepAt};
use crate::store::StepRow;

/// A step that fails beside a service that just ended, failed of that.
const JUST_NOW: Duration = Duration::from_millis(300);

/// Lines of its log that tell why a service is not ready.
const TAIL: u64 = 2048;
const LINES: usize = 5;

impl LiveJob {
    /// The services that a branch can reach, the nearest first.
    pub(in crate::orchestrator) fn services_of(&self, branch: &str) -> Vec<Arc<Service>> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = |service: &&Arc<Service>| {
            branch.strip_prefix(service.branch.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut found: Vec<_> = services.values().filter(inside).cloned().collect();
        found.sort_by_key(|service| std::cmp::Reverse(service.branch.len()));
        found
    }

    /// Follows an attempt as `watch` does, and ends it when a service that it may use has ended.
    pub(in crate::orchestrator) async fn watch_beside(
        &self,
        at: StepAt,
        limit: Option<Duration>,
        beside: &[Arc<Service>],
    ) -> Seen {
        let watching = self.watch(at, limit, Manners::Term);
        tokio::pin!(watching);
        tokio::select! {
            biased;
            seen = &mut watching => return seen,
            () = any_dead(beside) => {}
        }
        self.signal(at, Signal::Term).await;
        match timeout(self.engine.bounds.grace, &mut watching).await {
            Ok(seen) => seen,
            Err(_) => {
                self.put_down(at).await;
                watching.await
            }
        }
    }

    /// The last lines of a service's log, for who waits for it in vain.
    pub(super) async fn last_lines(&self, row: &StepRow) -> String {
        let stream = self.stream(row);
        let read = tokio::task::spawn_blocking(move || {
            let from = stream.len()?.saturating_sub(TAIL);
            stream.read_range(from, usize::try_from(TAIL).unwrap_or(0))
        });
        let Ok(Ok(bytes)) = read.await else { return String::new() };
        let text = String::from_utf8_lossy(&bytes);
        let plain = |line: &str| line.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
        // Remarks of ours are not its words.
        let own = |line: &String| !line.is_empty() && !line.starts_with("danube: ");
        let mut lines: Vec<String> = text.lines().rev().map(plain).filter(own).take(LINES).collect();
        lines.reverse();
        if lines.is_empty() {
            "; it printed nothing".to_owned()
        } else {
            format!("; its log ends: {}", lines.join(" | "))
        }
    }
}

/// What the steps beside services find in their `/etc/hosts`; the nearest of two of one name.
pub(in crate::orchestrator) fn host_entries(beside: &[Arc<Service>]) -> Vec<HostEntry> {
    let mut entries: Vec<HostEntry> = Vec::new();
    for service in beside {
        let names = vec![service.name.clone()];
        if !entries.iter().any(|known| known.names == names) {
            entries.push(HostEntry { address: service.address, names });
        }
    }
    entries
}

/// The address of a service.
pub(in crate::orchestrator) fn address_of(service: &Service) -> Ipv4Addr {
    service.address
}

/// Its number within the job.
pub(in crate::orchestrator) fn number_of(service: &Service) -> u8 {
    service.number
}

/// The branch in which it was started.
pub(in crate::orchestrator) fn branch_around(service: &Service) -> &str {
    service.branch.rsplit_once('/').map_or("", |(around, _)| around)
}

/// Why a step that failed, failed: a service that it used has ended, now or just now.
pub(in crate::orchestrator) async fn failed_of(beside: &[Arc<Service>]) -> Option<String> {
    if beside.is_empty() {
        return None;
    }
    let _late = timeout(JUST_NOW, any_dead(beside)).await;
    beside.iter().find_map(|service| service.failed.get().cloned())
}

/// The same before it begins.
pub(in crate::orchestrator) fn already_failed(beside: &[Arc<Service>]) -> Option<String> {
    beside.iter().find_map(|service| service.failed.get().cloned())
}

async fn any_dead(beside: &[Arc<Service>]) {
    let waits: Vec<_> = beside.iter().map(|service| Box::pin(service.dead.cancelled())).collect();
    match waits.is_empty() {
        true => std::future::pending().await,
        false => drop(futures::future::select_all(waits).await),
    }
}
