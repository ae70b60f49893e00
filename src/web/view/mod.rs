//! How things look on every page: times, sizes, states, log lines. Pure; pages put it into templates.

mod chart;
mod job_line;
mod log_palette;
mod log_text;
mod size;
mod time;
mod waterfall;
mod why;

pub(super) use chart::{Chart, chart, usual};
pub(super) use job_line::{JobLine, first_line, job_line, path_segment, pipeline_href};
pub(super) use log_text::{Run, runs};
pub(super) use size::size;
pub(super) use time::{When, took, when};
pub(super) use waterfall::{StepLine, axis, step_lines};
pub(super) use why::{Why, failing_lines, looks_wrong};
