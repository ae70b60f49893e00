//! How things look on every page: times, sizes, states, log lines. Pure; pages put it into templates.

mod axis;
mod branch;
mod chart;
mod dots;
mod health;
mod host;
mod job_line;
mod log_palette;
mod log_text;
pub(super) mod markdown;
mod nav;
mod plot;
mod shell;
mod size;
mod step_tree;
mod test_line;
mod time;
mod visible;
mod waterfall;

pub(super) use axis::{Queued, axis};
pub(super) use branch::untold;
pub(super) use chart::{Chart, chart};
pub(super) use dots::{DOTS, Dots, dots};
pub(super) use health::{Progress, Red, progress, queued, rate, reds, usual, usual_millis};
pub(super) use host::Host;
pub(super) use job_line::{JobLine, first_line, job_line, path_segment, pipeline_href};
pub(super) use log_text::{Run, runs};
pub(super) use nav::{Pager, Tab, address};
pub(super) use plot::{Plot, plot};
pub(super) use shell::shell_word;
pub(super) use size::size;
pub(super) use test_line::{TestLine, seconds, test_line};
pub(super) use time::{When, duration, took, when};
pub(super) use visible::Visible;
pub(super) use waterfall::{Drawn, Waterfall, reused, waterfall};
