use jiff::{SignedDuration, Timestamp};

use super::record::CONTINUED;
use super::statement::{BUILD_TYPE, ExternalParameters, PREDICATE_TYPE, STATEMENT_TYPE};
use super::view::{BuildDefinition, Metadata, Predicate, Resource, Statement};
use super::{Check, ExpectedSource, PAYLOAD_TYPE, PublicKey, RECORD_TYPE, Refusal, Report, dsse, json, source};
use crate::artifacts::Digest;

/// How far the verifier's clock may be behind the builder's.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// What the person who verifies knows from elsewhere.
#[derive(Debug)]
pub struct Expected<'a> {
    /// The builder's key, got on a way that the attestation has no part in.
    pub key: &'a PublicKey,
    /// Digest of the file at hand.
    pub file: Digest,
    /// Where it should come from.
    pub source: Option<&'a ExpectedSource>,
    /// The builder's id.
    pub builder: Option<&'a str>,
    /// The time of the verification.
    pub now: Timestamp,
}

/// Checks an attestation. Nothing of its content is looked at before its signature holds.
pub fn verify(envelope: &[u8], expected: &Expected<'_>) -> Report {
    let mut report = Report::new();
    if let Some((statement, predicate)) = authentic(envelope, expected.key, &mut report) {
        let definition = &predicate.build_definition;
        report.note(Check::SubjectDigest, subject(&statement.subject, &expected.file));
        builder(&predicate.run_details.builder.id, expected.builder, &mut report);
        origin(definition, expected.source, &mut report);
        report.note(Check::BuildType, build_type(definition));
        report.note(Check::Times, times(&predicate.run_details.metadata, expected.now));
    }
    report.complete()
}

fn authentic(envelope: &[u8], key: &PublicKey, report: &mut Report) -> Option<(Statement, Predicate)> {
    let opened = dsse::open(envelope, key).map(|opened| (opened, format!("by the given key {}", key.keyid())));
    let opened = report.note(Check::Signature, opened)?;
    report.note(Check::PayloadType, exactly(opened.payload_type, PAYLOAD_TYPE, Refusal::WrongPayloadType))?;
    let statement = report.note(Check::StatementType, statement(&opened.payload))?;
    let predicate = report.note(Check::PredicateType, predicate(&statement))?;
    Some((statement, predicate))
}

fn exactly(found: String, expected: &str, refusal: fn(String) -> Refusal) -> Result<((), String), Refusal> {
    if found == expected { Ok(((), found)) } else { Err(refusal(found)) }
}

fn statement(payload: &[u8]) -> Result<(Statement, String), Refusal> {
    let value = json::parse(payload).map_err(|e| Refusal::BadStatement(e.to_string()))?;
    let statement: Statement = serde_json::from_value(value).map_err(|e| Refusal::BadStatement(e.to_string()))?;
    exactly(statement.statement_type.clone(), STATEMENT_TYPE, Refusal::WrongStatementType)
        .map(|((), found)| (statement, found))
}

fn predicate(statement: &Statement) -> Result<(Predicate, String), Refusal> {
    if statement.predicate_type == RECORD_TYPE {
        let status = statement.predicate["status"].as_str().unwrap_or("unknown").to_owned();
        let continued = statement.predicate[CONTINUED]["job"].as_str().map(str::to_owned);
        return Err(Refusal::JobRecord { status, continued });
    }
    let ((), found) = exactly(statement.predicate_type.clone(), PREDICATE_TYPE, Refusal::WrongPredicate)?;
    let predicate =
        serde_json::from_value(statement.predicate.clone()).map_err(|e| Refusal::BadPredicate(e.to_string()))?;
    Ok((predicate, found))
}

fn subject(subjects: &[Resource], file: &Digest) -> Result<((), String), Refusal> {
    let wanted = file.to_string();
    match subjects.iter().find(|subject| subject.digest.get("sha256") == Some(&wanted)) {
        Some(subject) => Ok(((), format!("{wanted}, called {:?}", subject.name))),
        None => Err(Refusal::DigestMismatch { file: *file, subjects: shortened(subjects) }),
    }
}

fn shortened(subjects: &[Resource]) -> String {
    const SHOWN: usize = 5;
    let digest = |subject: &Resource| subject.digest.get("sha256").cloned().unwrap_or_default();
    let mut text: Vec<_> =
        subjects.iter().take(SHOWN).map(|subject| format!("{:?} {}", subject.name, digest(subject))).collect();
    if subjects.len() > SHOWN {
        text.push(format!("and {} more", subjects.len() - SHOWN));
    }
    if text.is_empty() { "nothing".to_owned() } else { text.join(", ") }
}

fn builder(found: &str, expected: Option<&str>, report: &mut Report) {
    match expected {
        None => report.skip(Check::Builder, format!("not checked: it says {found}")),
        Some(expected) if expected == found => {
            report.note(Check::Builder, Ok(((), found.to_owned())));
        }
        Some(expected) => {
            let refusal = Refusal::WrongBuilder { expected: expected.to_owned(), found: found.to_owned() };
            report.note::<()>(Check::Builder, Err(refusal));
        }
    }
}

fn origin(definition: &BuildDefinition, expected: Option<&ExpectedSource>, report: &mut Report) {
    let parameters = match consistent(definition) {
        Ok(parameters) => parameters,
        Err(refusal) => {
            report.note::<()>(Check::Source, Err(refusal));
            return report.skip(Check::Ref, "not checked, because the source is in doubt".to_owned());
        }
    };
    let ExternalParameters { repository, git_ref, commit, .. } = parameters;
    let at = format!("{} at commit {commit}", git_ref.as_deref().unwrap_or("no ref"));
    let Some(expected) = expected else {
        report.skip(Check::Source, format!("not checked: it says {repository}"));
        return report.skip(Check::Ref, format!("not checked: it says {at}"));
    };
    let source = if expected.repository == repository {
        Ok(((), repository))
    } else {
        Err(Refusal::WrongSource { expected: expected.repository.clone(), found: repository })
    };
    report.note(Check::Source, source);
    match &expected.git_ref {
        None => report.skip(Check::Ref, format!("not checked: it says {at}")),
        Some(wanted) if ExpectedSource::ref_matches(wanted, git_ref.as_deref(), &commit) => {
            report.note(Check::Ref, Ok(((), at)));
        }
        Some(wanted) => {
            report.note::<()>(Check::Ref, Err(Refusal::WrongRef { expected: wanted.clone(), found: at }));
        }
    }
}

/// The parameters, if the dependencies name the same source.
fn consistent(definition: &BuildDefinition) -> Result<ExternalParameters, Refusal> {
    let parameters: ExternalParameters = serde_json::from_value(definition.external_parameters.clone())
        .map_err(|e| Refusal::BadPredicate(format!("externalParameters: {e}")))?;
    let uri = source::git_uri(&parameters.repository, parameters.git_ref.as_deref());
    let named = |found: &&Resource| found.name == "source";
    let dependency = definition.resolved_dependencies.iter().find(named);
    let (found, commit) = dependency.map_or(("nothing", None), |d| (d.uri.as_str(), d.digest.get("gitCommit")));
    if found == uri && commit == Some(&parameters.commit) {
        return Ok(parameters);
    }
    Err(Refusal::InconsistentSource {
        parameters: format!("{uri} at {}", parameters.commit),
        dependency: format!("{found} at {}", commit.map_or("no commit", String::as_str)),
    })
}

fn build_type(definition: &BuildDefinition) -> Result<((), String), Refusal> {
    exactly(definition.build_type.clone(), BUILD_TYPE, Refusal::UnknownBuildType)
}

fn times(metadata: &Metadata, now: Timestamp) -> Result<((), String), Refusal> {
    let time = |what: &str, text: &str| {
        text.parse::<Timestamp>().map_err(|_| Refusal::BadTimes(format!("{what} is {text:?}, not a time in RFC 3339")))
    };
    let started = time("startedOn", &metadata.started_on)?;
    let finished = time("finishedOn", &metadata.finished_on)?;
    if finished < started {
        return Err(Refusal::BadTimes(format!("it finished at {finished}, before it started at {started}")));
    }
    if finished.duration_since(now) > CLOCK_TOLERANCE {
        return Err(Refusal::BadTimes(format!(
            "it finished at {finished}, but here it is {now}: check this machine's clock"
        )));
    }
    Ok(((), format!("{started} to {finished}")))
}

#[cfg(test)]
mod tests;
