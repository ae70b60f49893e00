//! Colours, where they are wanted.
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// A terminal that does not say is this wide.
const USUAL_WIDTH: usize = 80;

/// What a colour means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// It did not, and that was allowed.
    Warn,
    /// It goes on.
    Busy,
    /// Beside the point.
    Dim,
    /// The point.
    Bold,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "33",
            Self::Busy => "36",
            Self::Dim => "2",
            Self::Bold => "1",
        }
    }
}

/// Whether colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    colour: bool,
    /// Of the terminal; none: lines are as long as they are.
    columns: Option<usize>,
}

impl Look {
    /// Without colours: files, pipes, tests.
    pub const fn bare() -> Self {
        Self { colour: false, columns: None }
    }

    /// With colours on a terminal, unless `NO_COLOR` is set to anything; elsewhere where `CLICOLOR_FORCE` is.
    pub fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let env = |name: &str| std::env::var(name).ok();
        let terminal = stream.is_terminal();
        Self { colour: wanted(terminal, env), columns: terminal.then(|| columns(stream)) }
    }

    /// The columns of the terminal, where it is one.
    pub const fn columns(self) -> Option<usize> {
        self.columns
    }

    /// Are there colours?
    pub const fn has_colour(self) -> bool {
        self.colour
    }

    /// A text in a colour.
    pub fn paint(self, colour: Colour, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{}m{text}\u{1b}[0m", colour.code())
        } else {
            text.to_owned()
        }
    }

    #[cfg(test)]
    pub(in crate::cli) const fn coloured() -> Self {
        Self { colour: true, columns: None }
    }

    #[cfg(test)]
    pub(in crate::cli) const fn narrow(columns: usize) -> Self {
        Self { colour: false, columns: Some(columns) }
    }
}

/// `NO_COLOR` beats `CLICOLOR_FORCE`, which beats what the stream is.
fn wanted(terminal: bool, env: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| env(name).is_some_and(|value| !value.is_empty() && value != "0");
    let dumb = env("TERM").is_some_and(|value| value == "dumb");
    let unwanted = env("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && (set("CLICOLOR_FORCE") || (terminal && !dumb))
}

/// The columns of a terminal.
pub(super) fn columns(stream: &impl AsFd) -> usize {
    let size = rustix::termios::tcgetwinsize(stream).map_or(0, |size| size.ws_col);
    if size == 0 { USUAL_WIDTH } else { usize::from(size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_decide_on_colours_before_the_terminal_does() {
        let with = |terminal: bool, given: &'static [(&str, &str)]| {
            wanted(terminal, |name| given.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(with(true, &[]) && !with(false, &[]));
        assert!(!with(true, &[("NO_COLOR", "1")]) && with(true, &[("NO_COLOR", "")]));
        assert!(with(false, &[("CLICOLOR_FORCE", "1")]) && !with(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!with(true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(!with(true, &[("TERM", "dumb")]));
    }
}
