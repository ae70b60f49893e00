//! egress_names, egress_hosts: which names a job may reach, and which its steps asked for.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{from_json, micros, row, to_json, words};
use super::{StoreError, Tx, View};
use crate::model::{JobId, LeaseId};

/// Names that are kept of one job.
const HOSTS: u32 = 2000;
/// The detail of a host that this master asked for an image, where the step itself did not ask for it.
pub const FOR_IMAGE: &str = "for an image";

words! {
    /// What a step was told about a name.
    pub enum Verdict = "verdict about a name" {
        /// Where it leads.
        Allowed = "allowed",
        /// Nothing.
        Denied = "denied",
    }
}

row! {
    /// A name that a step asked for.
    pub struct HostRow {
        /// The step's number.
        pub step: u32,
        /// In lower case.
        pub name: String,
        /// What it was told.
        pub verdict: Verdict,
        /// The addresses of an allowed one; why another was denied, where it was not for its name.
        pub detail: String,
        /// When it was asked for first.
        pub asked_at: Timestamp,
    }
}

/// Fixes the names that a job may reach; the first who says it counts. What counts.
pub fn fix_names(tx: &Tx<'_>, lease: LeaseId, job: JobId, names: &[String]) -> Result<Vec<String>, StoreError> {
    let what = "fix the names that a job may reach";
    tx.run(
        what,
        "INSERT INTO egress_names (job_id, names)
         SELECT jobs.id, ?3 FROM jobs WHERE jobs.id = ?1 AND jobs.lease_id = ?2 AND jobs.status = 'running'
         ON CONFLICT (job_id) DO NOTHING",
        params![job, lease, to_json(what, &names)?],
    )?;
    Ok(names_of(tx, job)?.unwrap_or_default())
}

/// The names that a job may reach; none: nobody has said so yet.
pub fn names_of(view: &View<'_>, job: JobId) -> Result<Option<Vec<String>>, StoreError> {
    let what = "read the names that a job may reach";
    let text: Option<String> = view.value(what, "SELECT names FROM egress_names WHERE job_id = ?1", [job])?;
    text.map(|text| from_json(what, &text)).transpose()
}

/// Records that a step asked for a name; the same again changes its detail.
pub fn record(
    tx: &Tx<'_>,
    job: JobId,
    step: u32,
    name: &str,
    verdict: Verdict,
    detail: &str,
) -> Result<(), StoreError> {
    tx.run(
        "record a name that a step asked for",
        "INSERT INTO egress_hosts (job_id, step, name, verdict, detail, asked_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE (SELECT COUNT(*) FROM egress_hosts WHERE job_id = ?1) < ?7
         ON CONFLICT (job_id, step, name, verdict) DO UPDATE SET detail = excluded.detail",
        params![job, step, name, verdict, detail, micros(tx.now()), HOSTS],
    )?;
    Ok(())
}

/// Records that a host was asked for the image of a step; what the step itself asked for counts more.
pub fn record_pull(tx: &Tx<'_>, job: JobId, step: u32, host: &str) -> Result<(), StoreError> {
    tx.run(
        "record a host that was asked for an image",
        "INSERT INTO egress_hosts (job_id, step, name, verdict, detail, asked_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE (SELECT COUNT(*) FROM egress_hosts WHERE job_id = ?1) < ?7
         ON CONFLICT (job_id, step, name, verdict) DO NOTHING",
        params![job, step, host, Verdict::Allowed, FOR_IMAGE, micros(tx.now()), HOSTS],
    )?;
    Ok(())
}

/// Every name that the steps of a job asked for, by name.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<HostRow>, StoreError> {
    view.all(
        "read the names that a job asked for",
        "SELECT * FROM egress_hosts WHERE job_id = ?1 ORDER BY name, step, verdict",
        [job],
    )
}

/// The names that a step was denied, in the order in which it asked.
pub fn denied(view: &View<'_>, job: JobId, step: u32) -> Result<Vec<HostRow>, StoreError> {
    view.all(
        "read the names that a step was denied",
        "SELECT * FROM egress_hosts WHERE job_id = ?1 AND step = ?2 AND verdict = 'denied' ORDER BY asked_at, name",
        params![job, step],
    )
}

/// Forgets what a lost attempt asked for: the next one asks again.
pub(crate) fn delete_of_job(tx: &Tx<'_>, job: JobId) -> Result<(), StoreError> {
    tx.run("delete the names of a lost attempt", "DELETE FROM egress_hosts WHERE job_id = ?1", [job])?;
    tx.run("delete the names in force of a lost attempt", "DELETE FROM egress_names WHERE job_id = ?1", [job])?;
    Ok(())
}
