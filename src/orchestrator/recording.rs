//! The calls of a job that has ended, as they were recorded: what `danube replay` answers from.
use std::collections::BTreeMap;
use std::sync::OnceLock;

use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::call::Call;
use super::canonical::{Canonical, line};
use super::journal::read;
use super::{CallError, Context, ServiceAnswer, ServiceRequest, StepAnswer, StepRequest, bounds};
use crate::store::JournalRow;
use crate::store::journal::CallState;

/// What stands in the journal where the value of a secret was.
const MASKED: &str = "[secret ";
/// Characters of an answer that a person is told.
const TOLD: usize = 200;

/// A call and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// Its journal key.
    pub key: String,
    /// The file of the line that made it, from the top of the repository.
    pub file: String,
    /// The line, from 1; 0: unknown.
    pub line: u32,
    /// What was asked for; secrets by name, values of secrets redacted.
    pub request: Json,
    /// What was answered: `{"ok": …}`, or an error by its kind; none: the job ended first.
    pub answer: Option<Json>,
}

impl From<JournalRow> for RecordedCall {
    fn from(row: JournalRow) -> Self {
        let answer = row.answer.filter(|_| row.state == CallState::Done);
        Self {
            key: row.key,
            file: row.file,
            line: row.line,
            request: serde_json::from_str(&row.request).unwrap_or_default(),
            answer: answer.map(|bytes| serde_json::from_slice(&bytes).unwrap_or_default()),
        }
    }
}

/// A job that has ended, with its calls.
pub struct Recording {
    /// How people call it: `web#42`.
    pub label: String,
    /// How it ended, in a few words.
    pub end: String,
    context: Context,
    calls: BTreeMap<String, RecordedCall>,
    stop: OnceLock<Stop>,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

/// Where a replay can't go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Why, for the person.
    pub text: String,
    /// The job itself came no further: its danubefile was stopped at this call.
    pub as_recorded: bool,
}

/// Why a call of a replay has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// The recorded error.
    Recorded(CallError),
    /// The recording ends here, or the danubefile took another way.
    Stop(Stop),
}

impl From<CallError> for NoAnswer {
    fn from(error: CallError) -> Self {
        Self::Recorded(error)
    }
}

impl Recording {
    /// The calls of a job; `tell` gets a line for each that is answered.
    pub fn new(
        (label, end): (String, String),
        context: Context,
        calls: impl IntoIterator<Item = RecordedCall>,
        tell: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let calls = calls.into_iter().map(|call| (call.key.clone(), call)).collect();
        Self { label, end, context, calls, stop: OnceLock::new(), tell: Box::new(tell) }
    }

    /// What `ctx` shows; a danubefile that never asked may do so now.
    pub fn context(&self) -> Context {
        let recorded = self.calls.values().find(|call| call.key.ends_with("/context#0"));
        let answer = recorded.and_then(|call| serde_json::to_vec(call.answer.as_ref()?).ok());
        answer.and_then(|bytes| read(&bytes).ok()).unwrap_or_else(|| self.context.clone())
    }

    /// What became of a step; what was refused before it was recorded is refused again.
    pub fn run_step(&self, call: &Call, request: &StepRequest) -> Result<StepAnswer, NoAnswer> {
        bounds::step(request)?;
        self.answer(call, &Canonical::step(&unkeyed(), request))
    }

    /// What became of the start of a service.
    pub fn start_service(&self, call: &Call, request: &ServiceRequest) -> Result<ServiceAnswer, NoAnswer> {
        bounds::service(call, request)?;
        self.answer(call, &Canonical::service(&unkeyed(), request))
    }

    /// The form of a value to redact: what the journal shows of it tells nothing.
    pub fn mask(value: &str) -> Canonical {
        Canonical::mask(&unkeyed(), value)
    }

    /// The job made a call of this key.
    pub fn knows(&self, call: &Call) -> bool {
        self.calls.contains_key(call.key.as_str())
    }

    /// Where the replay stopped, if it did.
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.get()
    }

    /// The recorded answer to a call, where it is the one that was recorded.
    pub fn answer<T: DeserializeOwned>(&self, call: &Call, canonical: &Canonical) -> Result<T, NoAnswer> {
        if let Some(stop) = self.stop.get() {
            return Err(NoAnswer::Stop(stop.clone()));
        }
        let key = call.key.as_str();
        let shown = canonical.shown(&str::to_owned);
        let (now, place) = (line(&shown), call.place.to_string());
        let Some(recorded) = self.calls.get(key) else {
            return Err(self.stopped(
                false,
                format!(
                    "the recorded run ends here: {} never made this call\n  {place}: {now}\n{}",
                    self.label, self.end
                ),
            ));
        };
        let (then, there) = (line(&recorded.request.to_string()), format!("{}:{}", recorded.file, recorded.line));
        if !same(&recorded.request, &serde_json::from_str(&shown).unwrap_or_default()) {
            return Err(self.stopped(false, format!(
                "the danubefile makes another call here than {} did\n  recorded at {there}: {then}\n  now at {place}: \
                 {now}",
                self.label
            )));
        }
        let Some(answer) = &recorded.answer else {
            return Err(self.stopped(
                true,
                format!(
                    "the recorded run ends here: {} ended before this call was answered\n  {place}: {now}\n{}",
                    self.label, self.end
                ),
            ));
        };
        if !matches!(call.key.kind(), "register" | "declare" | "context") {
            (self.tell)(&format!("{place}  {now} -> {}", told(answer)));
        }
        let bytes = serde_json::to_vec(answer).map_err(|error| CallError::Invalid(error.to_string()))?;
        Ok(read(&bytes).map_err(|error| match error {
            // A damaged answer stays so: the SDK must not ask for ever.
            CallError::Unavailable(text) => CallError::Invalid(text),
            other => other,
        })?)
    }

    /// The first stop counts: what a `finally` asks for after it does not.
    fn stopped(&self, as_recorded: bool, text: String) -> NoAnswer {
        NoAnswer::Stop(self.stop.get_or_init(|| Stop { text, as_recorded }).clone())
    }
}

/// Only what is shown of a call is compared: the server's key stays there.
fn unkeyed() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, b"")
}

/// The same call, as far as the journal tells: where it holds a mask, any text may have been.
fn same(recorded: &Json, now: &Json) -> bool {
    match (recorded, now) {
        (Json::Object(one), Json::Object(other)) => {
            let known = |(name, value): (&String, &Json)| {
                other.get(name).is_some_and(|now| same(value, now)) || name.contains(MASKED)
            };
            one.len() == other.len() && one.iter().all(known)
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Json::String(one), Json::String(other)) => one == other || unmasked(one, other),
        (one, other) => one == other,
    }
}

/// `text` is `masked` with something in the place of each mask.
fn unmasked(masked: &str, text: &str) -> bool {
    let mut parts = masked.split(MASKED);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let tails: Vec<&str> = parts.map(|part| part.split_once(']').map_or("", |(_, tail)| tail)).collect();
    let Some((last, inner)) = tails.split_last() else { return false };
    for tail in inner {
        let Some(at) = rest.find(tail) else { return false };
        rest = &rest[at + tail.len()..];
    }
    rest.ends_with(last)
}

/// An answer in one line.
fn told(answer: &Json) -> String {
    let ok = answer.get("ok");
    let text = match ok {
        Some(Json::Null) => "well".to_owned(),
        Some(Json::Object(fields)) if fields.contains_key("outcome") => step(fields),
        Some(value) => value.to_string(),
        None => answer
            .as_object()
            .and_then(|fields| fields.values().next())
            .map_or_else(|| "refused".to_owned(), |why| format!("refused: {}", why.as_str().unwrap_or_default())),
    };
    let short: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(TOLD).collect();
    if short.chars().count() < text.chars().count() { format!("{short}…") } else { short }
}

fn step(fields: &serde_json::Map<String, Json>) -> String {
    let text = |name: &str| fields.get(name).and_then(Json::as_str).unwrap_or_default();
    let outcome = match text("outcome") {
        "exit" => format!("exit code {}", fields.get("exit_code").unwrap_or(&Json::Null)),
        other => other.to_owned(),
    };
    let seconds = fields.get("seconds").and_then(Json::as_f64).unwrap_or_default();
    let stdout = fields.get("stdout").map(|stdout| format!(", stdout {stdout}")).unwrap_or_default();
    let attempt = match fields.get("attempt").and_then(Json::as_u64) {
        Some(attempt) if attempt > 1 => format!(", attempt {attempt}"),
        _ => String::new(),
    };
    format!("{outcome} after {seconds:.1} s{attempt}{stdout}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::StepAnswer;
    use crate::orchestrator::tests::request;
    use serde_json::json;

    fn recording(calls: &[(&str, Json, Option<Json>)]) -> Recording {
        let calls = calls.iter().map(|(key, request, answer)| RecordedCall {
            key: (*key).to_owned(),
            file: "danubefile.py".to_owned(),
            line: 3,
            request: request.clone(),
            answer: answer.clone(),
        });
        let ends = ("web#42".to_owned(), "web#42 ended as cancelled".to_owned());
        Recording::new(ends, Context::default(), calls, |_| ())
    }

    fn form(command: &str) -> Canonical {
        Canonical::step(&unkeyed(), &request(command))
    }

    fn shown(command: &str) -> Json {
        serde_json::from_str(&form(command).shown(&str::to_owned)).unwrap()
    }

    fn ask(recording: &Recording, key: &str, command: &str) -> Result<StepAnswer, NoAnswer> {
        recording.run_step(&Call::parse("run", key, "danubefile.py", 9).unwrap(), &request(command))
    }

    fn stop(answer: Result<StepAnswer, NoAnswer>) -> Stop {
        match answer {
            Err(NoAnswer::Stop(stop)) => stop,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_recorded_answer_comes_back() {
        let answer = json!({"ok": {"outcome": "exit", "exit_code": 3, "seconds": 1.0, "attempt": 1, "step": 1}});
        let recording = recording(&[("/run#0", shown("make"), Some(answer))]);
        assert_eq!(ask(&recording, "/run#0", "make").unwrap().exit_code, 3);
        assert_eq!(recording.stop(), None);
    }

    #[test]
    fn a_recorded_error_comes_back_as_the_error() {
        let recording = recording(&[("/run#0", shown("make"), Some(json!({"invalid": "no"})))]);
        let error = ask(&recording, "/run#0", "make").unwrap_err();
        assert_eq!(error, NoAnswer::Recorded(CallError::Invalid("no".to_owned())));
    }

    #[test]
    fn a_call_that_was_never_made_is_the_end() {
        let stop = stop(ask(&recording(&[]), "/run#0", "make"));
        assert!(!stop.as_recorded);
        assert!(stop.text.contains("web#42 never made this call\n  danubefile.py:9: run(command=\"make\""), "{stop:?}");
    }

    #[test]
    fn a_call_that_was_not_answered_is_the_end_as_recorded() {
        let stop = stop(ask(&recording(&[("/run#0", shown("make"), None)]), "/run#0", "make"));
        assert!(stop.as_recorded && stop.text.ends_with("web#42 ended as cancelled"), "{stop:?}");
    }

    #[test]
    fn another_call_is_shown_beside_the_recorded_one_and_nothing_comes_after_it() {
        let recording = recording(&[("/run#0", shown("make"), Some(json!({"ok": null})))]);
        let text = stop(ask(&recording, "/run#0", "make all")).text;
        assert!(text.contains("recorded at danubefile.py:3: run(command=\"make\""), "{text}");
        assert!(text.contains("now at danubefile.py:9: run(command=\"make all\""), "{text}");
        assert_eq!(stop(ask(&recording, "/run#0", "make")).text, text);
    }

    #[test]
    fn a_mask_stands_for_any_text() {
        assert!(unmasked("a [secret X] b [secret Y]", "a hunter22 b other"));
        assert!(unmasked("[secret X]", ""));
        assert!(!unmasked("a [secret X] b", "a hunter22 c") && !unmasked("a [secret X]", "b hunter22"));
        assert!(!unmasked("plain", "other"));
        assert!(same(&json!({"env": {"A": "[secret X]"}}), &json!({"env": {"A": "hunter22"}})));
    }
}
