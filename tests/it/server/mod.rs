//! `danube serve` as people and forges meet it: the real program, real containers, real git, loopback.
mod again;
mod build;
mod cli;
mod config;
mod crash;
mod doors;
mod endings;
mod goes_on;
mod neighbours;
mod reports;
mod same;
mod start;
mod summary;
mod webhook;
