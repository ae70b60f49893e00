//! Where progress goes: lines that stay, and on a terminal one live line below them.
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use jiff::Timestamp;

use super::colour::Look;
use crate::platform::{Clock, SystemClock};

/// A terminal that does not say is this wide.
const USUAL_WIDTH: usize = 80;

/// Somewhere to show progress.
pub struct Screen {
    out: Box<dyn Write + Send>,
    look: Look,
    live: bool,
    drawn: bool,
    clock: Arc<dyn Clock>,
}

impl Screen {
    /// Standard output: with colours and a live line where it is a terminal.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let (look, live) = (Look::of(&stdout), stdout.is_terminal() && !dumb);
        Self { out: Box::new(stdout), look, live, drawn: false, clock: Arc::new(SystemClock) }
    }

    /// Lines without colours.
    pub fn bare(out: impl Write + Send + 'static, clock: Arc<dyn Clock>) -> Self {
        Self { out: Box::new(out), look: Look::bare(), live: false, drawn: false, clock }
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

    /// Replaces the live line; nothing where there is none.
    pub fn live(&mut self, text: &str) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        let shown: String = text.chars().take(width().saturating_sub(1)).collect();
        self.drawn = true;
        write!(self.out, "\r\u{1b}[2K{shown}")?;
        self.out.flush()
    }

    /// Takes the live line away.
    pub fn clear(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.drawn) {
            write!(self.out, "\r\u{1b}[2K")?;
            self.out.flush()?;
        }
        Ok(())
    }
}

/// The columns of standard output.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
    if size == 0 { USUAL_WIDTH } else { usize::from(size) }
}
