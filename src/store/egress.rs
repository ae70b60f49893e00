//! egress_names, egress_hosts: which names a job may reach, and which its steps asked for.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{from_json, micros, row, to_json, words};
use super::{StoreError, Tx, View};
use crate::model::{JobId, LeaseId};

/// Allowed names of one job that are kept, each once for every step: one that is not on record is not spoken to.
pub const ALLOWED: u32 = 10_000;
/// Denied ones. A step may make up any number of them.
pub const DENIED: u32 = 2000;
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

/// A name that is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What its detail was before, where it was on record already.
    pub before: Option<String>,
}

/// Records that a step asked for a name; the same again changes its detail. None: there are as many as are kept, and
/// this one is not on record.
pub fn record(
    tx: &Tx<'_>,
    job: JobId,
    step: u32,
    name: &str,
    verdict: Verdict,
    detail: &str,
) -> Result<Option<Recorded>, StoreError> {
    let what = "record a name that a step asked for";
    let before = tx.value(
        what,
        "SELECT detail FROM egress_hosts WHERE job_id = ?1 AND step = ?2 AND name = ?3 AND verdict = ?4",
        params![job, step, name, verdict],
    )?;
    let most = match verdict {
        Verdict::Allowed => ALLOWED,
        Verdict::Denied => DENIED,
    };
    let rows = tx.run(
        what,
        "INSERT INTO egress_hosts (job_id, step, name, verdict, detail, asked_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE ?8 OR (SELECT COUNT(*) FROM egress_hosts WHERE job_id = ?1 AND verdict = ?4) < ?7
         ON CONFLICT (job_id, step, name, verdict) DO UPDATE SET detail = excluded.detail",
        params![job, step, name, verdict, detail, micros(tx.now()), most, before.is_some()],
    )?;
    Ok((rows == 1).then_some(Recorded { before }))
}

/// Takes back that a name was allowed, where it was then not let through: what was on record of it stays as it was.
pub fn retract(
    tx: &Tx<'_>,
    job: JobId,
    step: u32,
    name: &str,
    detail: &str,
    recorded: &Recorded,
) -> Result<(), StoreError> {
    let what = "take a name off the record";
    // Where the detail is another by now, somebody else has asked and has the say.
    match &recorded.before {
        Some(before) => tx.run(
            what,
            "UPDATE egress_hosts SET detail = ?6
             WHERE job_id = ?1 AND step = ?2 AND name = ?3 AND verdict = ?4 AND detail = ?5",
            params![job, step, name, Verdict::Allowed, detail, before],
        )?,
        None => tx.run(
            what,
            "DELETE FROM egress_hosts WHERE job_id = ?1 AND step = ?2 AND name = ?3 AND verdict = ?4 AND detail = ?5",
            params![job, step, name, Verdict::Allowed, detail],
        )?,
    };
    Ok(())
}

/// Records that a host was asked for the image of a step; what the step itself asked for counts more.
pub fn record_pull(tx: &Tx<'_>, job: JobId, step: u32, host: &str) -> Result<(), StoreError> {
    tx.run(
        "record a host that was asked for an image",
        "INSERT INTO egress_hosts (job_id, step, name, verdict, detail, asked_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE (SELECT COUNT(*) FROM egress_hosts WHERE job_id = ?1 AND verdict = ?4) < ?7
         ON CONFLICT (job_id, step, name, verdict) DO NOTHING",
        params![job, step, host, Verdict::Allowed, FOR_IMAGE, micros(tx.now()), ALLOWED],
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
