//! How an attempt of a step ended, and whether another one follows. Pure.
use std::time::Duration;

use super::call::Retry;
use super::reason::KILLED;
use crate::executor::{ExecutorError, Full, Limits, StepEnd, inodes_of};
use crate::model::step::{Cause, StepStatus};

/// The exit code that stands for "nothing was started".
const NOTHING_RAN: i32 = 125;
/// Follows the exit code of a step that outlived one of its processes.
pub const SHORT_OF_MEMORY: &str = "; earlier a process of it was killed for lack of memory";
/// Output that nobody can read is no record of a success.
pub(super) const LOG_LOST: &str = "its output could not be stored, because the disk of the data directory is full, \
                                   read-only or broken: mend that and run it again";
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Why it ended.
    pub(super) cause: Cause,
    /// Its exit code.
    pub(super) exit_code: i32,
    /// Why it failed, in a sentence; empty on success.
    pub(super) message: String,
    /// Trying again can help.
    pub(super) again: bool,
    /// Its command may have done something.
    pub(super) started: bool,
}

impl Outcome {
    /// Where its row ends.
    pub(super) const fn status(&self) -> StepStatus {
        match self.cause {
            Cause::Success => StepStatus::Success,
            Cause::Timeout => StepStatus::Timeout,
            Cause::Exit | Cause::Oom | Cause::Infra => StepStatus::Failure,
        }
    }
}

/// What an attempt was bound by.
pub(super) struct Bound {
    /// Its container's limits.
    pub(super) limits: Limits,
    /// Bytes of output.
    pub(super) log_bytes: u64,
    /// Bytes of the job's workspace.
    pub(super) workspace_bytes: u64,
}

/// Reads the executor's record of an end; `timeout` is set where it was ended for its own time.
pub(super) fn of_end(end: &StepEnd, bound: &Bound, timeout: Option<Duration>) -> Outcome {
    let (cause, message, again) = if let Some(limit) = timeout {
        (Cause::Timeout, format!("it ran longer than its timeout of {}", seconds(limit)), true)
    } else if let Some(error) = &end.error {
        (Cause::Infra, format!("it could not be started: {error}"), true)
    } else if end.log_overflow {
        (Cause::Exit, format!("it wrote more than {} of output", bytes(bound.log_bytes)), false)
    } else if end.log_truncated {
        (Cause::Exit, LOG_LOST.to_owned(), false)
    } else if end.exit_code == 0 {
        (Cause::Success, String::new(), false)
    } else if let Some(what) = end.full {
        (Cause::Exit, full(what, bound.workspace_bytes), false)
    } else if end.oom_kills > 0 && end.exit_code == KILLED {
        (Cause::Oom, format!("out of memory: its limit is {}", bytes(bound.limits.memory_bytes)), true)
    } else if end.oom_kills > 0 {
        // It went on without the process that was killed, and may have failed of something else.
        let limit = bytes(bound.limits.memory_bytes);
        (Cause::Exit, format!("exit code {}{SHORT_OF_MEMORY} (limit {limit})", end.exit_code), true)
    } else if end.pids_refused > 0 {
        // It may have gone on and failed of something else, but a command that cannot start another says little.
        let limit = bound.limits.pids;
        let text = format!("exit code {}; it reached its limit of {limit} processes", end.exit_code);
        (Cause::Exit, text, true)
    } else {
        (Cause::Exit, format!("exit code {}", end.exit_code), true)
    };
    let exit_code = if cause == Cause::Exit && end.exit_code == 0 { NOTHING_RAN } else { end.exit_code };
    Outcome { cause, exit_code, message, again, started: end.error.is_none() }
}

/// What a job had too much of on disk, and whose limit that is.
pub(super) fn full(what: Full, workspace_bytes: u64) -> String {
    let size = bytes(workspace_bytes);
    match what {
        Full::Bytes => format!("the workspace is full: limit {size} (the pipeline's workspace_size_gb)"),
        Full::Files => format!(
            "the workspace has too many files: limit {} for its size of {size} (the pipeline's workspace_size_gb)",
            inodes_of(workspace_bytes)
        ),
    }
}

/// An attempt that the executor did not start.
pub(super) fn of_error(error: &ExecutorError) -> Outcome {
    let again = error.is_retryable();
    let cause = if again { Cause::Infra } else { Cause::Exit };
    let started = matches!(error, ExecutorError::Lost(_));
    Outcome { cause, exit_code: NOTHING_RAN, message: error.to_string(), again, started }
}

/// An attempt that was ended for its own time and left no record.
pub(super) fn timed_out(limit: Duration) -> Outcome {
    let message = format!("it ran longer than its timeout of {}", seconds(limit));
    Outcome { cause: Cause::Timeout, exit_code: NOTHING_RAN, message, again: true, started: true }
}

/// An attempt that was ended, or never begun, because a service that it may use has ended.
pub(super) fn without_service(end: Option<&StepEnd>, message: String) -> Outcome {
    let exit_code = end.map_or(NOTHING_RAN, |end| end.exit_code);
    Outcome { cause: Cause::Exit, exit_code, message, again: false, started: end.is_some() }
}

/// An attempt whose end nobody knows.
pub(super) fn lost() -> Outcome {
    let message = "the attempt was lost: its end is not recorded (the machine or its supervisor went down)";
    Outcome { cause: Cause::Infra, exit_code: NOTHING_RAN, message: message.to_owned(), again: true, started: true }
}

/// The pause before the next attempt, where there is to be one.
pub(super) fn next_attempt(retry: &Retry, once: bool, attempt: u32, outcome: &Outcome) -> Option<Duration> {
    let wanted = outcome.again && retry.on.contains(&outcome.cause) && attempt <= retry.times;
    let allowed = !once || !outcome.started;
    (wanted && allowed).then(|| pause(retry.backoff, attempt))
}

/// The pause after an attempt: the backoff, doubled each time.
pub(super) fn pause(backoff: Duration, attempt: u32) -> Duration {
    let factor = 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    backoff.saturating_mul(factor).min(LONGEST_PAUSE)
}

/// A size for people.
pub(super) fn bytes(n: u64) -> String {
    match n {
        n if n >= 1 << 30 && n % (1 << 30) == 0 => format!("{} GiB", n >> 30),
        n if n >= 1 << 20 => format!("{} MiB", n >> 20),
        n if n >= 1 << 10 => format!("{} KiB", n >> 10),
        1 => "1 byte".to_owned(),
        n => format!("{n} bytes"),
    }
}

/// A duration for people.
pub(super) fn seconds(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound {
        limits: Limits { cpu: 1.0, memory_bytes: 256 << 20, pids: 64 },
        log_bytes: 1 << 30,
        workspace_bytes: 5 << 30,
    };

    fn end(exit_code: i32) -> StepEnd {
        StepEnd {
            exit_code,
            oom_kills: 0,
            pids_refused: 0,
            full: None,
            log_overflow: false,
            log_truncated: false,
            log_bytes: 0,
            started_ns: 0,
            ended_ns: 0,
            error: None,
        }
    }

    fn retry(times: u32, on: &[Cause]) -> Retry {
        Retry { times, on: on.to_vec(), backoff: Duration::from_secs(5) }
    }

    #[test]
    fn an_end_has_one_cause_and_a_sentence() {
        let of = |end: StepEnd| of_end(&end, &BOUND, None);
        assert_eq!(of(end(0)).cause, Cause::Success);
        let failed = of(end(3));
        assert_eq!((failed.cause, failed.exit_code, failed.message.as_str()), (Cause::Exit, 3, "exit code 3"));
        let oom = of(StepEnd { oom_kills: 1, ..end(137) });
        assert_eq!((oom.cause, oom.message.as_str()), (Cause::Oom, "out of memory: its limit is 256 MiB"));
        let full = of(StepEnd { log_overflow: true, ..end(0) });
        assert_eq!((full.cause, full.message.as_str()), (Cause::Exit, "it wrote more than 1 GiB of output"));
        assert_ne!(full.exit_code, 0);
        let lost = of(StepEnd { log_truncated: true, ..end(0) });
        assert_eq!((lost.cause, lost.message.as_str()), (Cause::Exit, LOG_LOST));
        assert_eq!(of(StepEnd { error: Some("crun: no".to_owned()), ..end(1) }).cause, Cause::Infra);
        let late = of_end(&end(143), &BOUND, Some(Duration::from_secs(2)));
        assert_eq!((late.cause, late.message.as_str()), (Cause::Timeout, "it ran longer than its timeout of 2 s"));
    }

    #[test]
    fn what_a_step_had_too_much_of_is_named_with_its_limit() {
        let of = |end: StepEnd| of_end(&end, &BOUND, None);
        let forks = of(StepEnd { pids_refused: 7, ..end(2) });
        assert_eq!(
            (forks.cause, forks.message.as_str()),
            (Cause::Exit, "exit code 2; it reached its limit of 64 processes")
        );
        assert_eq!(of(StepEnd { pids_refused: 7, ..end(0) }).cause, Cause::Success, "it went on with fewer");
        let full = of(StepEnd { full: Some(Full::Bytes), ..end(137) });
        assert_eq!(full.message, "the workspace is full: limit 5 GiB (the pipeline's workspace_size_gb)");
        assert!(!full.again, "another attempt meets the same files");
        let files = of(StepEnd { full: Some(Full::Files), ..end(137) });
        assert!(files.message.starts_with("the workspace has too many files: limit 655360 "), "{}", files.message);
        assert_eq!(of(StepEnd { full: Some(Full::Bytes), ..end(0) }).cause, Cause::Success, "it was quicker");
    }

    #[test]
    fn a_kill_that_the_step_survived_is_no_failure() {
        assert_eq!(of_end(&StepEnd { oom_kills: 2, ..end(0) }, &BOUND, None).cause, Cause::Success);
    }

    #[test]
    fn a_step_that_went_on_after_a_kill_failed_of_its_exit_code() {
        let survived = of_end(&StepEnd { oom_kills: 1, ..end(1) }, &BOUND, None);
        assert_eq!(survived.cause, Cause::Exit);
        let said = "exit code 1; earlier a process of it was killed for lack of memory (limit 256 MiB)";
        assert_eq!(survived.message, said);
    }

    #[test]
    fn only_named_causes_are_tried_again_and_only_so_often() {
        let exit = of_end(&end(1), &BOUND, None);
        assert_eq!(next_attempt(&retry(2, &[Cause::Infra]), false, 1, &exit), None);
        let on_exit = retry(2, &[Cause::Exit]);
        assert_eq!(next_attempt(&on_exit, false, 1, &exit), Some(Duration::from_secs(5)));
        assert_eq!(next_attempt(&on_exit, false, 2, &exit), Some(Duration::from_secs(10)));
        assert_eq!(next_attempt(&on_exit, false, 3, &exit), None);
    }

    #[test]
    fn what_cannot_get_better_is_not_tried_again() {
        let denied = of_error(&ExecutorError::PolicyDenied("no".to_owned()));
        assert_eq!(next_attempt(&retry(2, &[Cause::Exit, Cause::Infra]), false, 1, &denied), None);
    }

    #[test]
    fn a_step_marked_once_is_tried_again_only_if_it_never_started() {
        let policy = retry(2, &[Cause::Infra]);
        assert_eq!(next_attempt(&policy, true, 1, &lost()), None);
        let start = of_error(&ExecutorError::Start("no cgroup".to_owned()));
        assert_eq!(next_attempt(&policy, true, 1, &start), Some(Duration::from_secs(5)));
    }

    #[test]
    fn the_pause_is_bounded() {
        assert_eq!(pause(Duration::from_secs(5), 90), LONGEST_PAUSE);
    }
}
