//! Bounds on what a danubefile may ask for: it is hostile input like everything from outside.
use std::time::Duration;

use super::CallError;
use super::call::{StepRequest, Value};
use super::services::ServiceRequest;

/// Calls of one job.
pub(super) const CALLS: u32 = 10_000;
/// Steps of one job that run at once.
pub(super) const STEPS_AT_ONCE: usize = 64;
/// Bytes of a command.
const COMMAND: usize = 128 << 10;
/// Entries of `env=`, and of `files=`.
const ENTRIES: usize = 256;
/// Bytes of all plain values of one step together.
const VALUES: usize = 512 << 10;
/// Characters of a name.
const NAME: usize = 200;
/// Patterns of one call, and characters of one.
const GLOBS: usize = 100;
/// Further attempts at a step.
const RETRIES: u32 = 100;
/// Capabilities that a step asks for.
const CAPS: usize = 16;
/// The longest pause between two attempts, and the longest timeout.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

type Checked = Result<(), CallError>;

fn wrong(text: String) -> Checked {
    Err(CallError::Invalid(text))
}

/// Refuses a step that no honest danubefile asks for, and says which bound it breaks.
pub(super) fn step(request: &StepRequest) -> Checked {
    if request.command.trim().is_empty() {
        return wrong("a step needs a command".to_owned());
    }
    if request.command.len() > COMMAND {
        return wrong(format!(
            "the command has {} bytes, the limit is {COMMAND}: put it into a script of the repository",
            request.command.len()
        ));
    }
    if request.command.contains('\0') {
        return wrong("the command contains a NUL character".to_owned());
    }
    name("the name of the step", &request.name)?;
    short("image=", &request.image, 512)?;
    path("workdir=", &request.workdir)?;
    short("user=", request.user.as_deref().unwrap_or_default(), 32)?;
    values("env=", &request.env)?;
    values("files=", &request.files)?;
    super::caches::check(request)?;
    if let Some(bad) = request.env.keys().find(|key| key.contains('=')) {
        return wrong(format!("env= names the variable '{bad}': a name must not contain '='"));
    }
    if request.retry.times > RETRIES {
        return wrong(format!("retry= asks for {} further attempts, the limit is {RETRIES}", request.retry.times));
    }
    if request.retry.backoff > LONGEST || request.timeout.is_some_and(|timeout| timeout > LONGEST) {
        return wrong("a timeout or backoff is longer than 7 days".to_owned());
    }
    if request.caps.len() > CAPS {
        return wrong(format!("caps= has {} names, the limit is {CAPS}", request.caps.len()));
    }
    request.caps.iter().try_for_each(|name| short("a name in caps=", name, 32))?;
    if !request.cpu.is_finite() || request.cpu < 0.0 {
        return wrong("cpu= is not a number of cores".to_owned());
    }
    Ok(())
}

/// Refuses a service that no honest danubefile asks for.
pub(super) fn service(call: &super::Call, request: &ServiceRequest) -> Checked {
    let name_of = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let plain = !request.name.is_empty()
        && request.name.len() <= 63
        && request.name.chars().all(name_of)
        && !request.name.starts_with('-')
        && !request.name.ends_with('-')
        && request.name != "localhost";
    if !plain {
        return wrong("the name of a service must be small letters, digits and '-', at most 63".to_owned());
    }
    let body = call.key.branch().rsplit('/').next().unwrap_or_default();
    if body.strip_prefix("service:").and_then(|rest| rest.split_once('#')).is_none_or(|(name, _)| name != request.name)
    {
        return wrong(format!("the key '{}' is not one of the service '{}'", call.key, request.name));
    }
    if request.port == 0 {
        return wrong("the port of a service must be 1 to 65535".to_owned());
    }
    if request.image.is_empty() {
        return wrong("a service needs an image".to_owned());
    }
    short("the image", &request.image, 512)?;
    if request.ready.len() > COMMAND || request.ready.contains('\0') {
        return wrong("ready= is longer than 131072 bytes or contains a NUL character".to_owned());
    }
    if request.ready_timeout.is_some_and(|limit| limit > LONGEST) {
        return wrong("ready_timeout= is longer than 7 days".to_owned());
    }
    if let Some(bad) = request.env.keys().find(|key| key.contains('=')) {
        return wrong(format!("env= names the variable '{bad}': a name must not contain '='"));
    }
    values("env=", &request.env)
}

fn values(what: &str, entries: &std::collections::BTreeMap<String, Value>) -> Checked {
    if entries.len() > ENTRIES {
        return wrong(format!("{what} has {} entries, the limit is {ENTRIES}", entries.len()));
    }
    let mut bytes = 0;
    for (key, value) in entries {
        if key.is_empty() {
            return wrong(format!("{what} has an entry without a name"));
        }
        short(&format!("a name in {what}"), key, 1024)?;
        let (Value::Text(text) | Value::Secret(text) | Value::Captured(text)) = value;
        bytes += text.len();
        if text.contains('\0') {
            return wrong(format!("{what}['{key}'] contains a NUL character"));
        }
    }
    if bytes > VALUES {
        return wrong(format!("the values of {what} have {bytes} bytes together, the limit is {VALUES}"));
    }
    Ok(())
}

/// A name that people see.
pub(super) fn name(what: &str, text: &str) -> Checked {
    short(what, text, NAME)
}

/// A path in the workspace; whether it leaves the workspace is checked where it is opened.
pub(super) fn path(what: &str, text: &str) -> Checked {
    short(what, text, 4096)
}

/// The patterns of `ctx.changed` and `ctx.hash`.
pub(super) fn globs(globs: &[String]) -> Checked {
    if globs.is_empty() {
        return wrong("at least one pattern is needed, such as \"src/**\"".to_owned());
    }
    if globs.len() > GLOBS {
        return wrong(format!("{} patterns were given, the limit is {GLOBS}", globs.len()));
    }
    globs.iter().try_for_each(|glob| {
        short("a pattern", glob, 512)?;
        // Such a pattern matches nothing at all, so the call would answer "unchanged" for ever.
        if glob.starts_with('/') || glob.starts_with("./") {
            let plain = glob.trim_start_matches("./").trim_start_matches('/');
            return wrong(format!("the pattern '{glob}' matches no file: paths begin at the top, write '{plain}'"));
        }
        if glob.ends_with('/') {
            return wrong(format!("the pattern '{glob}' matches no file: write '{glob}**' for all files below"));
        }
        Ok(())
    })
}

fn short(what: &str, text: &str, limit: usize) -> Checked {
    if text.chars().count() > limit {
        return wrong(format!("{what} has more than {limit} characters"));
    }
    if text.chars().any(char::is_control) {
        return wrong(format!("{what} contains a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::tests::request;

    fn refused(change: impl FnOnce(&mut StepRequest)) -> String {
        let mut wrong = request("true");
        change(&mut wrong);
        step(&wrong).unwrap_err().to_string()
    }

    #[test]
    fn an_ordinary_step_is_taken() {
        step(&request("make -j4 && ./test.sh\nexit 0")).unwrap();
    }

    #[test]
    fn a_step_beyond_a_bound_is_refused_by_name() {
        assert!(refused(|r| r.command = " \n".to_owned()).contains("needs a command"));
        assert!(refused(|r| r.command = "x".repeat(COMMAND + 1)).contains("131072"));
        assert!(refused(|r| r.command.push('\0')).contains("NUL"));
        assert!(refused(|r| r.name = "n".repeat(201)).contains("200"));
        assert!(refused(|r| r.name = "a\u{1b}[2J".to_owned()).contains("control"));
        assert!(refused(|r| r.retry.times = 101).contains("101"));
        assert!(refused(|r| r.cpu = f64::NAN).contains("cores"));
        assert!(refused(|r| _ = r.env.insert("A=B".to_owned(), Value::Text(String::new()))).contains("'A=B'"));
        let many = |r: &mut StepRequest| {
            r.env = (0..=ENTRIES).map(|n| (format!("V{n}"), Value::Text(String::new()))).collect();
        };
        assert!(refused(many).contains("257 entries"));
        let large = |r: &mut StepRequest| _ = r.env.insert("A".to_owned(), Value::Text("x".repeat(VALUES + 1)));
        assert!(refused(large).contains("together"));
    }

    #[test]
    fn patterns_have_bounds() {
        globs(&["src/**".to_owned()]).unwrap();
        assert!(globs(&[]).is_err());
        assert!(globs(&vec!["a".to_owned(); 101]).is_err());
        assert!(globs(&["a".repeat(513)]).is_err());
        for (never, instead) in [("src/", "'src/**'"), ("./src/**", "'src/**'"), ("/src/*", "'src/*'")] {
            assert!(globs(&[never.to_owned()]).unwrap_err().to_string().contains(instead), "{never}");
        }
    }
}
