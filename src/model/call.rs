//! A call of the SDK as the journal knows it: canonical, defaults omitted, secrets by name.
use serde::{Deserialize, Serialize};

/// The journal key of a call: `<branch>/<kind>#<n>`, at most 1 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallKey(String);

/// A text is not a journal key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a journal key (<branch>/<kind>#<n>)")]
pub struct BadCallKey(String);

impl CallKey {
    /// Reads a key that an SDK sent.
    pub fn parse(text: &str) -> Result<Self, BadCallKey> {
        let bad = || BadCallKey(text.chars().take(80).collect());
        let (_, last) = text.rsplit_once('/').ok_or_else(bad)?;
        let (kind, n) = last.split_once('#').ok_or_else(bad)?;
        let well = text.starts_with('/')
            && text.len() <= 1024
            && !text.chars().any(char::is_control)
            && !kind.is_empty()
            && kind.bytes().all(|b| b.is_ascii_lowercase())
            && !n.is_empty()
            && n.len() <= 9
            && n.bytes().all(|b| b.is_ascii_digit());
        if well { Ok(Self(text.to_owned())) } else { Err(bad()) }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The branch path before the last `/`; empty at the root.
    pub fn branch(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(branch, _)| branch)
    }

    /// The kind of call.
    pub fn kind(&self) -> &str {
        let last = self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, last)| last);
        last.split_once('#').map_or(last, |(kind, _)| kind)
    }
}

impl std::fmt::Display for CallKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether two branches stand beside each other: in different parts of one `parallel` or `matrix`. Of any other two,
/// one comes before the other, or lies in it.
pub fn side_by_side(one: &str, other: &str) -> bool {
    let first = parts(one).into_iter().zip(parts(other)).find(|(a, b)| a != b);
    first.is_some_and(|(a, b)| match (a.split_once('['), b.split_once('[')) {
        (Some((a, _)), Some((b, _))) => a == b,
        _ => false,
    })
}

/// The parts of a path of branches. Axis values may hold slashes: only those outside brackets part it.
fn parts(path: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    path.split(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '/' && depth == 0
    })
    .collect()
}

/// The line of the danubefile that made a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Relative to the repository.
    pub file: String,
    /// From 1; 0: unknown.
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_apart() {
        let key = CallKey::parse("/matrix#0[python=3,mode=fast]/run#2").unwrap();
        assert_eq!((key.branch(), key.kind()), ("/matrix#0[python=3,mode=fast]", "run"));
        assert_eq!(CallKey::parse("/run#0").unwrap().branch(), "");
    }

    #[test]
    fn only_parts_of_one_call_stand_side_by_side() {
        for (one, other, beside) in [
            ("/parallel#0[0]", "/parallel#0[1]", true),
            ("/parallel#0[0]/run", "/parallel#0[1]/matrix#0[a=1]", true),
            ("/matrix#0[os=a/b]", "/matrix#0[os=a/c]", true),
            ("/parallel#0[0]/matrix#0[a=1]", "/parallel#0[0]/matrix#0[a=2]", true),
            ("", "", false),
            ("", "/parallel#0[0]", false),
            ("/parallel#0[0]", "/parallel#0[0]", false),
            ("/parallel#0[0]", "/parallel#0[0]/matrix#0[a=1]", false),
            ("/parallel#0[0]", "/parallel#1[1]", false),
            ("/parallel#0[0]", "/matrix#0[a=1]", false),
            ("/service:db#0", "/parallel#0[0]", false),
            ("/service:db#0", "/service:db#1", false),
        ] {
            assert_eq!(side_by_side(one, other), beside, "{one} {other}");
            assert_eq!(side_by_side(other, one), beside, "{other} {one}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for wrong in ["", "run#0", "/run", "/run#", "/run#x", "/Run#1", "/#1", "/run#1\n", "/run#99999999999"] {
            assert!(CallKey::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
