//! Colours, where they are wanted.

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
}

impl Look {
    /// Without colours: files, pipes, tests.
    pub const fn bare() -> Self {
        Self { colour: false }
    }

    /// With colours on a terminal, unless `NO_COLOR` is set to anything.
    pub fn of(stream: &impl std::io::IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { colour: stream.is_terminal() && !unwanted && !dumb }
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
        Self { colour: true }
    }
}
