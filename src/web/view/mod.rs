//! How things look on every page: times, sizes, states, log lines. Pure; pages put it into templates.

mod axis;
mod branch;
mod chart;
mod host;
mod job_line;
mod log_part;
mod log_text;
mod shell;
mod size;
mod step_tree;
mod time;
mod waterfall;
mod why;

pub(super) use axis::{Queued, axis};
pub(super) use branch::untold;
pub(super) use chart::{Chart, chart, usual};
pub(super) use host::Host;
pub(super) use job_line::{JobLine, first_line, job_line, path_segment, pipeline_href};
pub(super) use log_part::{Line, Part, Want, part};
use log_text::clean;
pub(super) use shell::shell_word;
pub(super) use size::size;
pub(super) use time::{When, duration, took, when};
pub(super) use waterfall::{Drawn, Waterfall, waterfall};
pub(super) use why::{failing_lines, looks_wrong};
