//! A job in a list.
use jiff::Timestamp;

use super::{When, took, when};
use crate::model::job::Status;
use crate::model::trigger::Trigger;
use crate::store::JobRow;

/// A job in a list.
#[derive(Debug, Clone)]
pub(in crate::web) struct JobLine {
    /// Its page.
    pub(in crate::web) href: String,
    /// Its pipeline.
    pub(in crate::web) pipeline: String,
    /// Its number.
    pub(in crate::web) number: u64,
    /// Its state.
    pub(in crate::web) status: &'static str,
    /// What there is to say: why it failed or waits, else the commit's first line.
    pub(in crate::web) what: String,
    /// Who or what started it, and where.
    pub(in crate::web) who: String,
    /// The moment that counts in its state.
    pub(in crate::web) when: When,
    /// How long it took, or has run so far, in words.
    pub(in crate::web) took: Option<String>,
}

/// The line of a job; `why` where the queue has more to say about a waiting one.
pub(in crate::web) fn job_line(job: &JobRow, why: Option<String>, now: Timestamp) -> JobLine {
    let what = match job.status {
        Status::Failure | Status::Timeout => job.reason.clone(),
        Status::Pending => why.or_else(|| job.reason.clone()),
        Status::Running => job.parked_reason.as_ref().map(|reason| format!("waits for: {reason}")),
        Status::Success | Status::Cancelled => None,
    };
    let at = job.finished_at.or(job.started_at).unwrap_or(job.created_at);
    JobLine {
        href: format!("/jobs/{}", job.id),
        pipeline: job.pipeline_name.clone(),
        number: job.number,
        status: job.status.as_str(),
        what: what.unwrap_or_else(|| first_line(&job.message)),
        who: format!("{} · {}", starter(job), job.tag.as_deref().unwrap_or(&job.branch)),
        when: when(at, now),
        took: job.started_at.map(|from| match job.finished_at {
            Some(to) => format!("took {}", took(from, to)),
            None => format!("for {}", took(from, now)),
        }),
    }
}

/// The address of a pipeline's page.
pub(in crate::web) fn pipeline_href(name: &str) -> String {
    format!("/pipelines/{}", path_segment(name))
}

/// A text as one segment of a path.
pub(in crate::web) fn path_segment(text: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}

fn starter(job: &JobRow) -> String {
    match job.trigger {
        Trigger::Cron => "cron".to_owned(),
        Trigger::Webhook if !job.author.is_empty() => job.author.split(" <").next().unwrap_or_default().to_owned(),
        _ => job.actor.clone(),
    }
}

/// The first line of a commit message.
pub(in crate::web) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(200).collect()
}
