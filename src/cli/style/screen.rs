//! Where progress goes: lines that stay, and on a terminal live lines below them.
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use jiff::Timestamp;

use super::colour::{Look, columns};
use crate::platform::{Clock, SystemClock};

/// Live lines at most; a terminal that is lower shows the first.
const MOST: usize = 12;

/// Somewhere to show progress.
pub struct Screen {
    out: Box<dyn Write + Send>,
    look: Look,
    live: bool,
    drawn: usize,
    clock: Arc<dyn Clock>,
}

impl Screen {
    /// Standard output: with colours and a live line where it is a terminal.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let (look, live) = (Look::of(&stdout), stdout.is_terminal() && !dumb);
        Self { out: Box::new(stdout), look, live, drawn: 0, clock: Arc::new(SystemClock) }
    }

    /// Lines without colours.
    pub fn bare(out: impl Write + Send + 'static, clock: Arc<dyn Clock>) -> Self {
        Self { out: Box::new(out), look: Look::bare(), live: false, drawn: 0, clock }
    }

    /// How texts look here.
    pub const fn look(&self) -> Look {
        self.look
    }

    /// Is there a live line?
    pub const fn is_live(&self) -> bool {
        self.live
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds a line that stays.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.clear()?;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Replaces the live lines; nothing where there are none.
    pub fn live(&mut self, lines: &[String]) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        let (columns, rows) = size();
        let shown = lines.len().min(MOST).min(rows.saturating_sub(2)).max(1);
        let mut text = self.above();
        // A character that is wider than one column must not begin a new line.
        text.push_str("\u{1b}[?7l");
        for (at, line) in lines.iter().take(shown).enumerate() {
            let more = lines.len() - shown;
            let line = if at + 1 == shown && more > 0 { format!("  … and {} more", more + 1) } else { line.clone() };
            text.push_str(if at == 0 { "" } else { "\n" });
            text.extend(line.chars().take(columns.saturating_sub(1)));
        }
        text.push_str("\u{1b}[?7h");
        self.drawn = shown;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Takes the live lines away.
    pub fn clear(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            let text = self.above();
            self.out.write_all(text.as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// To the first live line, with nothing below.
    fn above(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 | 1 => "\r\u{1b}[J".to_owned(),
            lines => format!("\r\u{1b}[{}A\u{1b}[J", lines - 1),
        }
    }
}

/// Columns and rows of standard output.
fn size() -> (usize, usize) {
    let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_row);
    (columns(&io::stdout()), if rows == 0 { MOST } else { usize::from(rows) })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::platform::ManualClock;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn live_lines_are_drawn_over_and_gone_before_a_line_that_stays() {
        let paper = Paper::default();
        let mut screen = Screen::bare(paper.clone(), Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)));
        screen.live = true;
        screen.live(&["a".to_owned(), "b".to_owned()]).unwrap();
        screen.live(&["c".to_owned()]).unwrap();
        screen.line("stays").unwrap();
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let drawn = text.replace("\u{1b}[?7l", "").replace("\u{1b}[?7h", "");
        assert_eq!(drawn, "\r\u{1b}[Ja\nb\r\u{1b}[1A\u{1b}[Jc\r\u{1b}[Jstays\n");
    }
}
