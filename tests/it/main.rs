//! Whole-program tests: the real binary on loopback.

mod provenance;
