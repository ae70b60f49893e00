//! How things look on every page: times, sizes, states, log lines. Pure; pages put it into templates.

mod chart;
mod dots;
mod health;
mod job_line;
mod log_part;
mod log_text;
pub(super) mod markdown;
mod nav;
mod plot;
mod size;
mod test_line;
mod time;
mod waterfall;
mod why;

pub(super) use chart::{Chart, chart};
pub(super) use dots::{DOTS, Dots, dots};
pub(super) use health::{Progress, Red, progress, queued, rate, reds, usual, usual_millis};
pub(super) use job_line::{JobLine, first_line, job_line, path_segment, pipeline_href};
pub(super) use log_part::{Line, Part, Want, part};
pub(super) use log_text::clean;
pub(super) use nav::{Pager, Tab, address};
pub(super) use plot::{Plot, plot};
pub(super) use size::size;
pub(super) use test_line::{TestLine, seconds, test_line};
pub(super) use time::{When, lasted, took, when};
pub(super) use waterfall::{StepLine, axis, step_lines};
pub(super) use why::{Why, failing_lines, looks_wrong};
