//! What is being done now, on a terminal.
use std::io::IsTerminal as _;

/// One line of standard error that is replaced; nothing where that is no terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    live: bool,
}

impl Progress {
    /// On this process's standard error.
    pub(super) fn start() -> Self {
        Self { live: std::io::stderr().is_terminal() }
    }

    /// Says it.
    pub(super) fn say(self, text: &str) {
        if self.live {
            eprint!("\r\u{1b}[2K{text}");
        }
    }

    /// Takes the line away.
    pub(super) fn clear(self) {
        self.say("");
    }
}
