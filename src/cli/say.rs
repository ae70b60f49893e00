//! Standard output that may be closed early, as by `danube schema | head`.
use std::io::{self, Write as _};

/// Prints text as it is. A reader that went away wants no more, which is no error.
pub(super) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints a value as JSON for people and programs.
pub(super) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(say(&format!("{}\n", serde_json::to_string_pretty(value)?))?)
}
