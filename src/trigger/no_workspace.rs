//! Whether a job can go on where it stopped, and why not.
use crate::model::JobId;
use crate::model::job::{FailureKind, Status};
use crate::store::kept_workspaces::{self, Gone};
use crate::store::{JobRow, StoreError, View, jobs};

/// Why an ended job cannot be run again from where it stopped, as the end of a sentence; `None`: it can.
pub fn no_workspace(view: &View<'_>, job: &JobRow) -> Result<Option<String>, StoreError> {
    let Some(row) = kept_workspaces::find(view, job.id)? else {
        return Ok(Some(never_kept(job).to_owned()));
    };
    let at = row.gone_at.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
    Ok(match row.gone_why {
        None => {
            let wanted = kept_workspaces::wanted_by(view, job.id)?;
            wanted.map(|by| label(view, by).map(|by| format!("{by} goes on in its workspace"))).transpose()?
        }
        Some(Gone::Off) => Some("this server keeps no workspaces (executor.keep_workspaces_for)".to_owned()),
        Some(Gone::Nothing) => Some("none of its steps had ended well".to_owned()),
        Some(Gone::Failed) => Some("its workspace could not be kept".to_owned()),
        Some(Gone::Large) => Some(format!(
            "its workspace of {} MiB is larger than what may be kept (executor.keep_workspaces_bytes)",
            row.bytes >> 20
        )),
        Some(Gone::Age) => Some(format!("its workspace was removed on {at}, when its time was up")),
        Some(Gone::Room) => Some(format!("its workspace was removed on {at}, because newer ones needed the room")),
        Some(Gone::Taken) => Some(match row.taken_by {
            Some(by) => format!("{} went on in its workspace", label(view, by)?),
            None => "another job went on in its workspace".to_owned(),
        }),
        Some(Gone::Missing) => Some("its workspace is not on the machine any more".to_owned()),
    })
}

fn never_kept(job: &JobRow) -> &'static str {
    match (job.status, job.failure_kind) {
        (Status::Success, _) => "it ended well",
        _ if job.attempt == 0 => "it never ran",
        (_, Some(FailureKind::Infrastructure)) => "its attempt was lost, and its workspace with it",
        (_, Some(FailureKind::Configuration)) => "it could not be run as it was configured",
        _ => "its workspace was not kept",
    }
}

fn label(view: &View<'_>, job: JobId) -> Result<String, StoreError> {
    Ok(jobs::find(view, job)?.map_or_else(|| "another job".to_owned(), |job| job.label()))
}
