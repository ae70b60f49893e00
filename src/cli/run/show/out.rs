//! The terminal, shared by everything that prints.
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::style::{Colour, Look};

/// The longest name in front of a line.
const NAME: usize = 24;
/// Different remarks that are told once each.
const REMARKS: usize = 100;

/// Where lines go.
#[derive(Clone)]
pub(super) struct Out {
    shared: Arc<Mutex<Shared>>,
    pub(super) look: Look,
}

struct Shared {
    /// Lines of steps that were printed.
    lines: u64,
    remarks: BTreeSet<String>,
}

impl Out {
    pub(super) fn new(look: Look) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { lines: 0, remarks: BTreeSet::new() })), look }
    }

    pub(super) fn line(&self, text: &str) {
        let _one_at_a_time = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody to tell where the terminal is gone.
        let _gone = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// A line of a step's output beside the step's name.
    pub(super) fn of_step(&self, name: &str, text: &str) {
        self.line(&format!("{} {text}", self.look.paint(Colour::Dim, &format!("{name:>NAME$} │"))));
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).lines += 1;
    }

    /// How many lines of steps were printed.
    pub(super) fn lines(&self) -> u64 {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).lines
    }

    /// Whether a remark of Danube's own is new: what holds for every step is told once.
    pub(super) fn is_new(&self, remark: &str) -> bool {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.remarks.len() >= REMARKS || shared.remarks.insert(remark.to_owned())
    }
}
