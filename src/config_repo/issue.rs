//! One mistake in the config repo: where it is, what is wrong, what to do.
use std::fmt;

use serde::{Deserialize, Serialize};

/// More mistakes than this are counted but not listed.
pub(super) const MAX_ISSUES: usize = 10_000;
/// The longest piece of a value that is shown in a message.
const MAX_SHOWN: usize = 80;
/// The longest piece of a line that is shown.
const MAX_LINE: usize = 160;
/// Mistakes that carry their line: as many as a person reads.
pub(super) const MAX_QUOTED: usize = 200;

/// A mistake with the exact place of the value that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigIssue {
    /// The path within the config repo.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub fix: String,
    /// The line as it stands there; empty where there is none to show.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl fmt::Display for ConfigIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: error: {}", self.file, self.line, self.column, self.message)
    }
}

/// A position in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// Collects mistakes, so that all of them are shown at once.
#[derive(Debug, Default)]
pub(super) struct Issues {
    list: Vec<ConfigIssue>,
    more: usize,
}

impl Issues {
    pub(super) fn add(&mut self, file: &str, place: Place, message: impl Into<String>, fix: impl Into<String>) {
        if self.list.len() >= MAX_ISSUES {
            self.more += 1;
            return;
        }
        let Place { line, column } = place;
        let (message, fix, text) = (message.into(), fix.into(), String::new());
        self.list.push(ConfigIssue { file: file.to_owned(), line, column, message, fix, text });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Sorted by file and place; none is an empty list.
    pub(super) fn into_list(mut self) -> Vec<ConfigIssue> {
        self.list.sort();
        self.list.dedup();
        if self.more > 0
            && let Some(last) = self.list.last_mut()
        {
            last.message = format!("{} (and {} more mistakes that are not listed)", last.message, self.more);
        }
        self.list
    }
}

/// Reports end on pages and in the logs of other systems; passwords that were put here by mistake must not.
pub fn is_private(line: &str) -> bool {
    line.contains("password") || line.contains("secret") || (line.contains("://") && line.contains('@'))
}

/// The beginning of a line of a file, as it is shown beside a mistake; nothing of a line that may hold a password.
pub(super) fn line_of(text: &str, line: u32) -> String {
    let found = text.lines().nth(usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1)).unwrap_or_default();
    if is_private(found) {
        return String::new();
    }
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    found.chars().take(MAX_LINE).map(clean).collect()
}

/// A value as it may be shown in a message: one line, not long, no control characters.
pub(super) fn shown(value: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut text: String = value.chars().take(MAX_SHOWN).map(clean).collect();
    if value.chars().nth(MAX_SHOWN).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_listed_and_the_rest_is_counted() {
        let mut issues = Issues::default();
        for _ in 0..MAX_ISSUES + 7 {
            let line = u32::try_from(issues.list.len()).unwrap();
            issues.add("users.yaml", Place { line, column: 1 }, "wrong", "right");
        }
        let list = issues.into_list();
        assert_eq!(list.len(), MAX_ISSUES);
        assert_eq!(list.last().unwrap().message, "wrong (and 7 more mistakes that are not listed)");
    }

    #[test]
    fn a_line_is_quoted_unless_it_may_hold_a_password() {
        let text = "kind: User\n  team: platfrom\t# x\n  password_hash: hunter2\n  url: https://me:pw@example.com\n";
        assert_eq!(line_of(text, 2), "  team: platfrom # x");
        assert_eq!([line_of(text, 3), line_of(text, 4), line_of(text, 99)], ["", "", ""]);
    }

    #[test]
    fn a_shown_value_is_short_and_cannot_move_the_cursor() {
        assert_eq!(shown("a\x1b[31m\nb"), "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), MAX_SHOWN + 1);
    }
}
