//! Parts of pages that need the store or the logs: the head, lists of pipelines, sections of logs.

mod chrome;
mod job_log;
mod job_news;
mod live;
mod log_search;
mod pipeline_line;
mod red_elsewhere;
mod red_line;

pub(super) use chrome::{Chrome, chrome};
pub(super) use job_log::{Focus, LogSection, SHOWN, section, sections, window};
pub(super) use job_news::{JobNews, TestsSum, job_news, tests_sum};
pub(super) use live::{Seen, live};
pub(super) use log_search::{StepHit, find};
pub(super) use pipeline_line::{PipelineLine, lines, next_tick};
pub(super) use red_elsewhere::{RedElsewhere, red_elsewhere};
pub(super) use red_line::{RedLine, red_lines};
