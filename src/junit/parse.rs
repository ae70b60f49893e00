//! One JUnit file, event by event.
use std::io::{BufReader, Read};

use quick_xml::Reader;
use quick_xml::errors::SyntaxError;
use quick_xml::events::{BytesStart, Event};

use super::collect::Collector;
use super::decode::Utf8;
use super::text;
use crate::model::test::{TestCase, TestStatus};

/// How deep elements may lie in each other.
const DEPTH: usize = 64;

/// Why a file was not read to its end. What came before it is kept.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is something else.
    #[error("it is no JUnit report: it begins with <{0}>, where <testsuites> or <testsuite> is expected")]
    Other(String),
    /// It has no element at all.
    #[error("it is empty")]
    Empty,
    /// It ends in the middle, as after a crash of the test runner.
    #[error("it ends in the middle, after {0} tests: the test runner may have been stopped")]
    Cut(u64),
    /// Elements lie too deep.
    #[error("its elements lie more than {DEPTH} levels deep")]
    Deep,
    /// It is not XML.
    #[error("it is not well-formed XML at byte {at}: {why}")]
    Xml {
        /// Where.
        at: u64,
        /// What the parser says.
        why: String,
    },
}

/// Where the reader is, and what it has of the test it is in.
struct Place {
    open: Vec<Element>,
    suites: Vec<String>,
    case: Option<Case>,
}

#[derive(Clone, Copy, PartialEq)]
enum Element {
    Suite,
    Case,
    Bad(TestStatus),
    /// A failed run of a test that passed at last.
    Flaky,
    /// A further failed run of a test that failed.
    Rerun,
    Skipped,
    /// Output, properties, and whatever else there is.
    Other,
}

struct Case {
    case: TestCase,
    /// The attribute of the outcome that is being read.
    said: String,
    /// Its text so far.
    told: String,
}

/// Adds the tests of one file to the collector.
pub fn parse(from: impl Read, into: &mut Collector<'_>) -> Result<(), Damage> {
    let before = into.seen();
    let mut reader = Reader::from_reader(BufReader::new(Utf8::new(from)));
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    config.check_end_names = true;
    config.expand_empty_elements = true;
    let mut place = Place { open: Vec::new(), suites: Vec::new(), case: None };
    let mut buffer = Vec::new();
    let mut begun = false;
    loop {
        buffer.clear();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => {
                // Every other error of this kind is something that the end of the file left open.
                let cut =
                    matches!(&error, quick_xml::Error::Syntax(why) if !matches!(why, SyntaxError::InvalidBangMarkup));
                return Err(if cut && begun {
                    Damage::Cut(into.seen() - before)
                } else {
                    Damage::Xml { at: reader.error_position(), why: error.to_string() }
                });
            }
        };
        match event {
            Event::Start(start) => {
                if !begun && !matches!(start.local_name().as_ref(), "testsuites" | "testsuite") {
                    return Err(Damage::Other(text::name(start.local_name().as_ref())));
                }
                begun = true;
                if place.open.len() >= DEPTH {
                    return Err(Damage::Deep);
                }
                place.start(&start);
            }
            Event::End(_) => {
                if let Some(case) = place.end() {
                    into.add(case);
                    if into.is_full() {
                        return Ok(());
                    }
                }
            }
            Event::Text(text) => place.text(&text),
            Event::CData(text) => place.text(&text),
            Event::GeneralRef(name) => match text::reference(&name) {
                Some(c) => place.text(c.encode_utf8(&mut [0; 4])),
                None => place.text(&format!("&{};", &*name)),
            },
            Event::Eof if !begun => return Err(Damage::Empty),
            Event::Eof if !place.open.is_empty() => return Err(Damage::Cut(into.seen() - before)),
            Event::Eof => return Ok(()),
            // A DTD is passed over: nothing that it defines is ever used.
            _ => {}
        }
    }
}

impl Place {
    fn start(&mut self, start: &BytesStart<'_>) {
        let name = start.local_name();
        let in_case = self.open.last() == Some(&Element::Case);
        let element = match name.as_ref() {
            "testsuites" | "testsuite" if self.case.is_none() => {
                self.suites.push(attribute(start, "name").unwrap_or_default());
                Element::Suite
            }
            "testcase" if self.case.is_none() => {
                self.case = Some(self.begin(start));
                Element::Case
            }
            "failure" if in_case => Element::Bad(TestStatus::Failed),
            "error" if in_case => Element::Bad(TestStatus::Error),
            "skipped" | "disabled" if in_case => Element::Skipped,
            "flakyFailure" | "flakyError" if in_case => Element::Flaky,
            "rerunFailure" | "rerunError" if in_case => Element::Rerun,
            _ => Element::Other,
        };
        if !matches!(element, Element::Other | Element::Suite | Element::Case)
            && let Some(case) = &mut self.case
        {
            case.said = attribute(start, "message").or_else(|| attribute(start, "type")).unwrap_or_default();
        }
        self.open.push(element);
    }

    fn begin(&self, start: &BytesStart<'_>) -> Case {
        let suite = attribute(start, "classname").filter(|class| !class.trim().is_empty());
        let suite = suite.or_else(|| self.suites.iter().rfind(|name| !name.is_empty()).cloned()).unwrap_or_default();
        let not_run =
            attribute(start, "status").is_some_and(|status| matches!(&*status, "notrun" | "disabled" | "skipped"));
        let case = TestCase {
            suite,
            name: attribute(start, "name").unwrap_or_default(),
            status: if not_run { TestStatus::Skipped } else { TestStatus::Passed },
            millis: attribute(start, "time").map_or(0, |time| text::millis(&time)),
            runs: 1,
            message: None,
        };
        Case { case, said: String::new(), told: String::new() }
    }

    fn text(&mut self, more: &str) {
        let telling =
            matches!(self.open.last(), Some(Element::Bad(_) | Element::Skipped | Element::Flaky | Element::Rerun));
        let Some(case) = self.case.as_mut().filter(|_| telling) else { return };
        text::append(&mut case.told, more);
    }

    /// The test that ended, if one did.
    fn end(&mut self) -> Option<TestCase> {
        let element = self.open.pop()?;
        match element {
            Element::Suite => {
                self.suites.pop();
                return None;
            }
            Element::Case => return self.case.take().map(|case| case.case),
            Element::Other => return None,
            _ => {}
        }
        let Case { case, said, told } = self.case.as_mut()?;
        let said = outcome(&std::mem::take(said), &std::mem::take(told));
        match element {
            Element::Bad(status) => {
                if !case.status.is_bad() {
                    case.status = status;
                    case.message = said;
                } else if case.message.is_none() {
                    case.message = said;
                }
            }
            Element::Skipped if case.status == TestStatus::Passed => {
                case.status = TestStatus::Skipped;
                case.message = said;
            }
            Element::Flaky => {
                case.runs = case.runs.saturating_add(1);
                case.message.get_or_insert_with(|| said.unwrap_or_else(|| "failed at first".to_owned()));
            }
            Element::Rerun => case.runs = case.runs.saturating_add(1),
            _ => {}
        }
        None
    }
}

/// Attribute and text as one message; many runners repeat the one at the start of the other.
fn outcome(said: &str, told: &str) -> Option<String> {
    let (said, rest) = (said.trim(), told.trim());
    let message = match (said.is_empty(), rest.is_empty()) {
        (true, true) => return None,
        (_, false) if rest.starts_with(said) => rest.to_owned(),
        (false, true) => said.to_owned(),
        _ => format!("{said}\n{rest}"),
    };
    Some(message)
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = start.attributes();
    attributes.with_checks(false);
    let found = attributes.flatten().find(|attribute| attribute.key.as_ref() == name)?;
    Some(text::resolved(&found.value))
}

#[cfg(test)]
mod tests;
