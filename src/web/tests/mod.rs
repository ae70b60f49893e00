//! The real router over a real database in a scratch directory.

mod access;
mod api;
mod bench;
mod events;
mod explain;
mod html;
mod job;
mod login;
mod pages;
mod rows;
mod serve;
mod trigger;
mod webhooks;
