//! Danube.
