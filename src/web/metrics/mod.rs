//! `GET /metrics`: what a monitor asks for, in Prometheus' text format.
//!
//! Owns: the counters of requests, the text, the names of what is told. May use: store (reads). Must not touch:
//! what a label could grow by: every label's values are bounded by the routes, the words of the model, or a number.

mod requests;
mod show;
mod tally;
mod text;

pub(super) use requests::{Requests, count};
pub(super) use show::show;
pub(super) use tally::Tally;
