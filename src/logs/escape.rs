//! Escape sequences of terminals: which parts of a line are text, and which of them change colours.

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A character that is shown.
    Char(char),
    /// A character that would change the direction of writing.
    Turn(char),
    /// The parameters of a change of colours (`ESC [ … m`).
    Style(&'a str),
}

/// The parts of a line. Links, titles, clipboards, cursor moves and control characters are left out.
pub(super) struct Parts<'a> {
    rest: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Parameters up to one final letter.
    fn control(&mut self) -> Option<Part<'a>> {
        let length = self.rest.bytes().take_while(|byte| matches!(byte, 0x20..=0x3f)).count();
        let (parameters, rest) = self.rest.split_at(length);
        self.rest = rest;
        // Anything else breaks the sequence off and is a part of its own.
        let last = self.rest.bytes().next().filter(|byte| matches!(byte, 0x40..=0x7e))?;
        self.rest = &self.rest[1..];
        (last == b'm').then_some(Part::Style(parameters))
    }

    /// A string up to a bell or `ESC \`; without an end, the rest of the line.
    fn string(&mut self) {
        while let Some(c) = self.take() {
            match c {
                '\u{7}' | '\u{9c}' => return,
                '\u{1b}' => {
                    self.rest = self.rest.strip_prefix('\\').unwrap_or(self.rest);
                    return;
                }
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<Part<'a>> {
        // A sequence that is cut by a control character leaves that character where it is.
        let kind = self.rest.chars().next().filter(|c| !c.is_control())?;
        self.take();
        match kind {
            '[' => return self.control(),
            ']' | 'P' | '_' | '^' | 'X' => self.string(),
            ' '..='/' => {
                self.rest = self.rest.strip_prefix(|c: char| matches!(c, '0'..='~')).unwrap_or(self.rest);
            }
            _ => {}
        }
        None
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        loop {
            let part = match self.take()? {
                '\t' => Some(Part::Char('\t')),
                '\u{1b}' => self.escape(),
                '\u{9b}' => self.control(),
                '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => {
                    self.string();
                    None
                }
                c if c.is_control() => None,
                c if turns(c) => Some(Part::Turn(c)),
                c => Some(Part::Char(c)),
            };
            if part.is_some() {
                return part;
            }
        }
    }
}

/// Characters that reorder text, break lines or hide: shown by their number.
pub fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
