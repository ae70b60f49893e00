//! What the demo prints: numbered stages, short lines, the time that each took.
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use crate::cli::say::say;

/// Stages that are announced.
const STAGES: u32 = 6;

/// The one who prints.
pub(super) struct Show {
    colour: bool,
    terminal: bool,
    stage: u32,
    began: Instant,
}

/// A colour, as terminals number it.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    Green = 32,
    Red = 31,
    Yellow = 33,
}

impl Show {
    pub(super) fn start() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        Self { colour, terminal, stage: 0, began: Instant::now() }
    }

    /// Begins the next stage.
    pub(super) fn stage(&mut self, title: &str) {
        self.stage += 1;
        self.began = Instant::now();
        self.print(&format!("\n{} {}", self.dim(&format!("{}/{STAGES}", self.stage)), self.bold(title)));
    }

    /// A line within the stage.
    pub(super) fn line(&self, text: &str) {
        self.print(&format!("    {text}"));
    }

    /// Ends the stage.
    pub(super) fn done(&self, text: &str) {
        let time = self.dim(&format!("({})", took(self.began.elapsed())));
        self.line(&format!("{} {text} {time}", self.paint("✓", Colour::Green)));
    }

    /// A line that the next one replaces; only a terminal shows it, and never more than fits.
    pub(super) fn passing(&self, text: &str) {
        if self.terminal {
            let size = rustix::termios::tcgetwinsize(std::io::stdout());
            let columns = size.map_or(0, |size| usize::from(size.ws_col));
            let room = if columns == 0 { 80 } else { columns }.saturating_sub(6);
            self.raw(&format!("\r\u{1b}[K    {}", cut(text, room)));
        }
    }

    /// A line of its own, not indented.
    pub(super) fn print(&self, text: &str) {
        let clear = if self.terminal { "\r\u{1b}[K" } else { "" };
        self.raw(&format!("{clear}{text}\n"));
    }

    fn raw(&self, text: &str) {
        // Nobody to tell where the terminal is gone; the work goes on to its end.
        let _gone = say(text);
    }

    pub(super) fn paint(&self, text: &str, colour: Colour) -> String {
        self.escape(text, &(colour as u8).to_string())
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.escape(text, "1")
    }

    pub(super) fn dim(&self, text: &str) -> String {
        self.escape(text, "2")
    }

    fn escape(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A time for people.
pub(super) fn took(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 10_000 { format!("{bytes} bytes") } else { format!("{:.1} kB", bytes as f64 / 1000.0) }
}

/// Text of a job, without what a terminal would obey, cut to a line.
pub(super) fn clean(text: &str) -> String {
    cut(text, 100)
}

/// The same, of another length.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(most).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_job_cannot_command_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\n"), "a[2Jb");
        assert_eq!(clean(&"x".repeat(200)).chars().count(), 101);
    }

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!((size(9_999).as_str(), size(136_042).as_str()), ("9999 bytes", "136.0 kB"));
        assert_eq!(took(Duration::from_millis(1_240)), "1.2 s");
    }
}
