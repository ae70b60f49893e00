//! The real router over a real database in a scratch directory.

mod access;
mod api;
mod bench;
mod config;
mod contrast;
mod events;
mod html;
mod lists;
mod login;
mod pages;
mod rows;
mod serve;
mod trigger;
mod webhooks;
