//! Commands that people copy.

/// A word for a shell: as it is where nothing in it is special, else in single quotes.
pub(in crate::web) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=#".contains(c);
    if !word.is_empty() && !word.starts_with(['-', '#']) && word.chars().all(plain) {
        word.to_owned()
    } else {
        let guarded = if word.starts_with('-') { format!("./{word}") } else { word.to_owned() };
        format!("'{}'", guarded.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_command_runs_nothing_else() {
        assert_eq!(shell_word("danube-1.0.whl"), "danube-1.0.whl");
        assert_eq!(shell_word("web#42"), "web#42");
        assert_eq!(shell_word("#42"), "'#42'");
        assert_eq!(shell_word("a; rm -rf ~"), "'a; rm -rf ~'");
        assert_eq!(shell_word("it's $(x)"), "'it'\\''s $(x)'");
        assert_eq!(shell_word("--key"), "'./--key'");
    }
}
