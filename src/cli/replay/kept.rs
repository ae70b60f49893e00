//! The newest job of a `danube run`, out of what the run kept.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::Ended;
use crate::cli::run::{kept_at, locate};
use crate::orchestrator::{Context, RecordedCall};
use crate::platform::{Clock, Ids, SystemClock, SystemIds};
use crate::store::{Store, job_list, journal};

/// Reads it; the checkout is the repository as it is now.
pub(super) async fn read(path: &Path, data_dir: Option<&Path>) -> anyhow::Result<Ended> {
    let checkout = locate(path)?;
    let data = data(&checkout.root, data_dir)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn Ids> = Arc::new(SystemIds::new());
    let store = Store::open(&data, clock, ids).with_context(|| format!("cannot read {}", data.display()))?;
    let newest = job_list::Filter { limit: 1, ..job_list::Filter::default() };
    let job = store.read(move |view| job_list::page(view, &newest)).await?.pop();
    let Some(job) = job else { bail!("{} holds no run yet", data.display()) };
    if !job.status.is_terminal() {
        bail!("the run in {} has not ended, or was cut off: run it again", data.display());
    }
    let id = job.id;
    let calls = store.read(move |view| journal::of_job(view, id)).await?;
    let pipeline = job.pipeline()?;
    Ok(Ended {
        label: job.label(),
        status: job.status,
        context: Context::of(&job, &pipeline.repository, format!("/jobs/{id}")),
        reason: job.reason,
        calls: calls.into_iter().map(RecordedCall::from).collect(),
        source: checkout.root,
        script: pipeline.script,
    })
}

fn data(root: &Path, given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let places = given.map_or_else(|| kept_at(root), |dir| vec![dir.to_owned()]);
    let written = |dir: &PathBuf| std::fs::metadata(dir.join("danube.db")).and_then(|file| file.modified()).ok();
    let found = places.iter().filter(|dir| written(dir).is_some()).max_by_key(|dir| written(dir));
    found.cloned().with_context(|| {
        let places: Vec<String> = places.iter().map(|dir| dir.display().to_string()).collect();
        format!("no run was kept in {}: `danube run` keeps the newest ones there", places.join(" or "))
    })
}
