//! Paths of branches, as people read them.

/// One part of a path: a branch of a parallel or matrix call, or a service's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Part {
    /// The call that the branch belongs to, as a path: `/matrix#0`.
    pub(in crate::web) call: String,
    /// The whole path of the branch: `/matrix#0[python=3.11]`.
    pub(in crate::web) path: String,
    /// What the call is: `matrix`, `parallel`, `service db`.
    pub(in crate::web) kind: String,
    /// The branch: `python=3.11`, `branch 2`; empty for a service.
    pub(in crate::web) label: String,
}

/// Parts of one path that are shown; deeper ones are folded into the last.
const DEEPEST: usize = 8;

/// The parts of a path, outermost first; none at the root.
pub(in crate::web) fn parts(branch: &str) -> Vec<Part> {
    let mut path = String::new();
    let mut parts = Vec::new();
    for part in branch.split('/').filter(|part| !part.is_empty()).take(DEEPEST) {
        let (name, label) = match part.split_once('[') {
            Some((name, label)) => (name, label.strip_suffix(']').unwrap_or(label)),
            None => (part, ""),
        };
        let call = format!("{path}/{name}");
        path = format!("{path}/{part}");
        let kind = decoded(name.split('#').next().unwrap_or(name));
        let label = match label.parse::<u32>() {
            Ok(index) => format!("branch {}", index.saturating_add(1)),
            Err(_) => label.split(',').map(decoded).collect::<Vec<_>>().join(", "),
        };
        parts.push(Part { call, path: path.clone(), kind: kind.replacen(':', " ", 1), label });
    }
    parts
}

/// The label of the innermost branch, where a step's name does not tell it.
pub(in crate::web) fn untold(branch: &str, name: &str) -> Option<String> {
    let last = parts(branch).pop()?;
    let label = if last.label.is_empty() { last.kind } else { last.label };
    let told = label.split(", ").all(|axis| name.contains(axis.rsplit('=').next().unwrap_or(axis)));
    (!told).then_some(label)
}

/// `%5B` as `[`: how the SDK writes what would end a name.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|two| str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    String::from_utf8_lossy(&bytes).chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_read_as_people_name_branches() {
        assert_eq!(untold("", "unit"), None);
        assert_eq!(untold("/matrix#0[python=3.11,mode=fast]", "test 3.11 fast"), None);
        assert_eq!(untold("/matrix#0[python=3.11,mode=fast]", "test 3.11").as_deref(), Some("python=3.11, mode=fast"));
        assert_eq!(untold("/parallel#1[0]/service:db#0", "unit").as_deref(), Some("service db"));
        assert_eq!(untold("/parallel#1[0]/matrix#0[os=a%2Fb]", "unit").as_deref(), Some("os=a/b"));
        assert_eq!(untold("/parallel#1[0]", "unit").as_deref(), Some("branch 1"));
        let parts = parts("/parallel#1[0]/matrix#0[a=b]");
        assert_eq!((parts[1].call.as_str(), parts[1].kind.as_str()), ("/parallel#1[0]/matrix#0", "matrix"));
    }

    proptest! {
        #[test]
        fn any_path_gives_a_label_without_control_characters(text in "(?s).{0,80}") {
            prop_assert!(!untold(&text, "").unwrap_or_default().chars().any(char::is_control));
        }
    }
}
