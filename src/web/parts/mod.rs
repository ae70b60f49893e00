//! Parts of pages that need the store or the logs: the head, lists of pipelines, sections of logs.

mod chrome;
mod job_log;
mod log_search;
mod pipeline_line;

pub(super) use chrome::{Chrome, chrome};
pub(super) use job_log::{Focus, LogSection, SHOWN, section, sections, window};
pub(super) use log_search::{StepHit, find};
pub(super) use pipeline_line::{HISTORY, PipelineLine, lines};
