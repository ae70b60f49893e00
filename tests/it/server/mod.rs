//! `danube serve` as people and forges meet it: the real program, real containers, real git, loopback.
mod again;
mod build;
mod config;
mod crash;
mod doors;
mod endings;
mod neighbours;
mod reports;
mod same;
mod start;
mod webhook;
