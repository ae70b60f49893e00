//! `danube serve` as people and forges meet it: the real program, real containers, real git, loopback.
mod again;
mod build;
mod cli;
mod config;
mod crash;
mod disk;
mod doors;
mod endings;
mod follow;
mod neighbours;
mod reboot;
mod reports;
mod resume;
mod same;
mod start;
mod summary;
mod webhook;
