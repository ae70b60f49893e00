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

/// `exited with code 1`, and what the code means where the step's log says so too.
pub(super) fn words(exit_code: i32, says: impl Fn(&[&str]) -> bool) -> (String, &'static str) {
    let plain = || format!("exited with code {exit_code}");
    match (exit_code, signal(exit_code)) {
        // Programs have exit codes of their own.
        (126, _) if says(&["Permission denied", "cannot execute", "Exec format error", "is a directory"]) => {
            (plain(), ": a command is there but cannot be executed")
        }
        (127, _) if says(&[": not found", "command not found", "No such file or directory"]) => {
            (plain(), ": a command was not found")
        }
        (code, Some((name, what))) => (format!("was ended by {name} ({what}, exit code {code})"), ""),
        _ => (plain(), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_shells_and_signals_are_put_into_words() {
        let of = |code: i32, line: &'static str| {
            let (what, more) = words(code, |texts| texts.iter().any(|text| line.contains(text)));
            format!("{what}{more}")
        };
        assert_eq!(of(1, ""), "exited with code 1");
        assert_eq!(of(127, "sh: 1: cc: not found"), "exited with code 127: a command was not found");
        assert_eq!(of(127, "127 tests failed"), "exited with code 127");
        let no = "sh: 1: ./x: Permission denied";
        assert_eq!(of(126, no), "exited with code 126: a command is there but cannot be executed");
        assert_eq!(of(139, ""), "was ended by SIGSEGV (segmentation fault, exit code 139)");
        for code in [0, 128, -1, 255, i32::MAX] {
            assert_eq!(of(code, ""), format!("exited with code {code}"));
        }
    }
}
