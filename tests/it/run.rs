//! `danube run` with bad input of every kind: a clear end, nothing left behind.
mod artifacts;
mod danubefile;
mod endings;
mod output;
mod reports;
mod secrets;
mod steps;
