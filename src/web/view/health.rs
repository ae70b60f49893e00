//! How a pipeline does: figures of its last runs.
use jiff::Timestamp;

use super::chart::millis;
use super::duration;
use crate::model::JobId;
use crate::model::job::Status;
use crate::store::JobHead;

/// Runs that the rate of success is of.
const RATED: usize = 20;

/// What a green run takes: the middle of the last ones, in milliseconds.
pub(in crate::web) fn usual_millis(jobs: &[JobHead]) -> Option<i64> {
    middle(jobs.iter().filter(|job| job.status == Status::Success).filter_map(millis))
}

/// The same in words; a dash before the first green run.
pub(in crate::web) fn usual(jobs: &[JobHead]) -> String {
    usual_millis(jobs).map_or_else(|| "–".to_owned(), duration)
}

/// What the last runs waited before they began, the middle of them.
pub(in crate::web) fn queued(jobs: &[JobHead]) -> String {
    middle(jobs.iter().filter_map(waited)).map_or_else(|| "–".to_owned(), duration)
}

/// How long a job waited for its start, in milliseconds.
pub(super) fn waited(job: &JobHead) -> Option<i64> {
    let due = job.created_at.max(job.run_after);
    Some((job.started_at?.as_millisecond() - due.as_millisecond()).max(0))
}

/// How many of the last runs that came to a result were green, `18 of 20`.
pub(in crate::web) fn rate(jobs: &[JobHead]) -> Option<String> {
    let ended = jobs.iter().filter(|job| job.status.is_terminal() && job.status != Status::Cancelled).take(RATED);
    let (mut green, mut all) = (0, 0);
    for job in ended {
        all += 1;
        green += usize::from(job.status == Status::Success);
    }
    (all > 0).then(|| format!("{green} of {all}"))
}

/// A branch that is red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Red {
    /// Its newest run that ended.
    pub(in crate::web) newest: JobId,
    /// The first red run after the last green one, as far as was read.
    pub(in crate::web) first: JobId,
    /// Red runs since.
    pub(in crate::web) runs: usize,
    /// There was no green run among what was read: it may be red for longer.
    pub(in crate::web) at_least: bool,
}

/// The branches that are red, of those that matter. Jobs are given newest first; pull requests and tags are
/// nobody's branch.
pub(in crate::web) fn reds(jobs: &[JobHead], matters: impl Fn(&str) -> bool) -> Vec<Red> {
    let mut seen: Vec<&str> = Vec::new();
    let mut reds = Vec::new();
    for job in jobs {
        if !is_of_branch(job) || seen.contains(&job.branch.as_str()) || !matters(&job.branch) {
            continue;
        }
        seen.push(&job.branch);
        reds.extend(red(jobs.iter().filter(|other| is_of_branch(other) && other.branch == job.branch)));
    }
    reds
}

fn red<'a>(branch: impl Iterator<Item = &'a JobHead>) -> Option<Red> {
    let mut found: Option<Red> = None;
    for job in branch {
        match (job.status, &mut found) {
            (Status::Failure | Status::Timeout, Some(red)) => {
                red.first = job.id;
                red.runs += 1;
            }
            (Status::Failure | Status::Timeout, None) => {
                found = Some(Red { newest: job.id, first: job.id, runs: 1, at_least: true });
            }
            (Status::Success, Some(red)) => {
                red.at_least = false;
                return found;
            }
            (Status::Success, None) => return None,
            (Status::Pending | Status::Running | Status::Cancelled, _) => {}
        }
    }
    found
}

fn is_of_branch(job: &JobHead) -> bool {
    job.pull_request.is_none() && job.tag.is_none()
}

/// A running job against the usual time.
#[derive(Debug, Clone)]
pub(in crate::web) struct Progress {
    /// Seconds so far.
    pub(in crate::web) seconds: i64,
    /// The usual seconds.
    pub(in crate::web) usual: Option<i64>,
    /// `1 min 12 s`, to go on by itself where there is a script.
    pub(in crate::web) duration: String,
    /// ` of about 3 min`, ` – usually 3 min`.
    pub(in crate::web) against: String,
}

/// How far a job is that began at `from`.
pub(in crate::web) fn progress(from: Timestamp, now: Timestamp, usual: Option<i64>) -> Progress {
    let so_far = (now.as_millisecond() - from.as_millisecond()).max(0);
    let against = match usual {
        None => String::new(),
        Some(usual) if so_far > usual => format!(" – usually {}", duration(usual)),
        Some(usual) => format!(" of about {}", duration(usual)),
    };
    Progress { seconds: so_far / 1000, usual: usual.map(|ms| (ms / 1000).max(1)), duration: duration(so_far), against }
}

fn middle(values: impl Iterator<Item = i64>) -> Option<i64> {
    let mut values: Vec<i64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn job(number: u64, branch: &str, status: Status) -> JobHead {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        JobHead {
            id: JobId::from_uuid(Uuid::from_u128(u128::from(number))),
            number,
            status,
            branch: branch.to_owned(),
            tag: None,
            pull_request: None,
            created_at: at,
            run_after: at,
            started_at: Some(at),
            finished_at: status.is_terminal().then(|| at + std::time::Duration::from_secs(number)),
        }
    }

    #[test]
    fn a_branch_is_red_since_the_first_run_after_its_last_green_one() {
        use Status::{Cancelled, Failure, Running, Success, Timeout};
        let jobs = [
            job(9, "main", Running),
            job(8, "main", Failure),
            job(7, "other", Failure),
            job(6, "main", Cancelled),
            job(5, "main", Timeout),
            job(4, "main", Success),
            job(3, "main", Failure),
        ];
        let found = reds(&jobs, |branch| branch == "main");
        assert_eq!(found, [Red { newest: jobs[1].id, first: jobs[4].id, runs: 2, at_least: false }]);
        assert_eq!(reds(&jobs, |_| true).len(), 2);
        assert!(reds(&jobs[5..6], |_| true).is_empty());
        assert!(reds(&jobs[..2], |_| true)[0].at_least);
    }

    #[test]
    fn figures_are_of_runs_that_came_to_a_result() {
        use Status::{Cancelled, Failure, Success};
        let jobs = [job(7, "main", Success), job(3, "main", Success), job(2, "main", Cancelled), job(1, "x", Failure)];
        assert_eq!(rate(&jobs).unwrap(), "2 of 3");
        assert_eq!(usual(&jobs), "7.0 s");
        assert_eq!((rate(&[]), usual(&[])), (None, "–".to_owned()));
    }

    #[test]
    fn progress_says_what_is_usual_and_when_it_is_passed() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        assert_eq!(progress(at(0), at(5), Some(60_000)).against, " of about 1 min 00 s");
        assert_eq!(progress(at(0), at(65), Some(60_000)).against, " – usually 1 min 00 s");
        assert_eq!(progress(at(0), at(65), None).against, "");
    }
}
