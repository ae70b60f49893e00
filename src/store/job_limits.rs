//! job_limits: what holds a job to its limits on the machine where it runs.
use rusqlite::params;

use super::sql::{int, row, words};
use super::{StoreError, Tx, View};
use crate::model::{JobId, LeaseId};

words! {
    /// What holds a job to the size of its workspace.
    pub enum HeldBy = "way of holding a limit" {
        /// The file system refuses what is more.
        Quota = "quota",
        /// Its files are looked after, and its steps ended.
        Watch = "watch",
    }
}

row! {
    /// The limits of a job.
    pub struct LimitsRow {
        /// Whose.
        pub job_id: JobId,
        /// The size of its workspace.
        pub workspace_bytes: u64,
        /// What holds it to that; none: nothing does.
        pub workspace_by: Option<HeldBy>,
    }
}

impl LimitsRow {
    /// The limit of the workspace in words, for people.
    pub fn said(&self) -> String {
        let gib = self.workspace_bytes >> 30;
        match self.workspace_by {
            Some(HeldBy::Quota) => format!("at most {gib} GiB, by a quota of the file system"),
            Some(HeldBy::Watch) => format!("at most {gib} GiB, looked at about once a second"),
            None => format!("{gib} GiB, which nothing enforces here"),
        }
    }
}

/// The limits of a job, once its place on the machine is made.
pub fn find(view: &View<'_>, job: JobId) -> Result<Option<LimitsRow>, StoreError> {
    view.first("read the limits of a job", "SELECT * FROM job_limits WHERE job_id = ?1", [job])
}

/// Notes what holds on the machine where the job runs now.
pub fn note(tx: &Tx<'_>, lease: LeaseId, job: JobId, bytes: u64, by: Option<HeldBy>) -> Result<(), StoreError> {
    tx.run(
        "note the limits of a job",
        "INSERT INTO job_limits (job_id, workspace_bytes, workspace_by)
         SELECT id, ?3, ?4 FROM jobs WHERE id = ?1 AND lease_id = ?2 AND status = 'running'
         ON CONFLICT (job_id) DO UPDATE SET workspace_bytes = excluded.workspace_bytes, workspace_by = excluded.workspace_by",
        params![job, lease, int(bytes), by],
    )?;
    Ok(())
}
