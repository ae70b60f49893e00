//! Exit codes in words.

/// A signal that ended a command, by the shell's exit code for it.
pub(super) const fn signal(exit_code: i32) -> Option<(&'static str, &'static str)> {
    Some(match exit_code - 128 {
        1 => ("SIGHUP", "hang-up"),
        2 => ("SIGINT", "interrupt"),
        3 => ("SIGQUIT", "quit"),
        4 => ("SIGILL", "illegal instruction"),
        5 => ("SIGTRAP", "trace trap"),
        6 => ("SIGABRT", "abort"),
        7 => ("SIGBUS", "bus error"),
        8 => ("SIGFPE", "arithmetic error"),
        9 => ("SIGKILL", "killed"),
        11 => ("SIGSEGV", "segmentation fault"),
        13 => ("SIGPIPE", "broken pipe"),
        14 => ("SIGALRM", "alarm"),
        15 => ("SIGTERM", "terminated"),
        24 => ("SIGXCPU", "processor time limit"),
        25 => ("SIGXFSZ", "file size limit"),
        31 => ("SIGSYS", "forbidden system call"),
        _ => return None,
    })
}

/// `exited with code 1`, with what the code says where it says more.
pub(super) fn words(exit_code: i32) -> String {
    match (exit_code, signal(exit_code)) {
        (126, _) => "exited with code 126: a command is there but cannot be executed".to_owned(),
        (127, _) => "exited with code 127: a command was not found".to_owned(),
        (code, Some((name, what))) => format!("was ended by {name} ({what}), exit code {code}"),
        (code, None) => format!("exited with code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_shells_and_signals_are_put_into_words() {
        assert_eq!(words(1), "exited with code 1");
        assert_eq!(words(127), "exited with code 127: a command was not found");
        assert_eq!(words(139), "was ended by SIGSEGV (segmentation fault), exit code 139");
        for code in [0, 128, -1, 255, i32::MAX] {
            assert_eq!(words(code), format!("exited with code {code}"));
        }
    }
}
