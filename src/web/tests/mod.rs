//! The real router over a real database in a scratch directory.

mod access;
mod admin;
mod api;
mod bench;
mod config;
mod contrast;
mod events;
mod explain;
mod html;
mod lists;
mod http;
mod log;
mod job;
mod login;
mod metrics;
mod pages;
mod rows;
mod serve;
mod reports;
mod trigger;
mod webhooks;
