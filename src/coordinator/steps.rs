//! The call that runs a step.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use danube_proto::v1;
use tonic::Status;

use super::session::call;
use crate::model::cache::WriteRule;
use crate::model::nearest;
use crate::model::step::Cause;
use crate::orchestrator::Root;
use crate::orchestrator::{Cache, Capture, LiveJob, Retry, StepAnswer, StepRequest, Value};

pub(super) async fn run_step(job: &Arc<LiveJob>, request: v1::RunStepRequest) -> Result<v1::RunStepReply, Status> {
    let call = call("run", request.call.clone())?;
    Ok(ended(job.run_step(call, step(request)?).await?))
}

/// How a step ended, as it is sent.
pub(super) fn ended(answer: StepAnswer) -> v1::RunStepReply {
    v1::RunStepReply {
        outcome: answer.outcome.as_str().to_owned(),
        exit_code: answer.exit_code,
        stdout: answer.stdout,
        captured: answer.captured,
        seconds: answer.seconds,
        attempt: answer.attempt,
        step: answer.step,
        message: answer.message,
    }
}

/// A step as it was sent.
pub(super) fn step(request: v1::RunStepRequest) -> Result<StepRequest, Status> {
    let capture = match request.capture.as_str() {
        "" => Capture::No,
        "stdout" => Capture::Stdout,
        "secret" => Capture::Secret,
        other => return Err(unknown("capture=", other, &["stdout", "secret"])),
    };
    let root = match request.root.as_str() {
        "" | "writable" => Root::Writable,
        "readonly" => Root::Readonly,
        other => return Err(unknown("root=", other, &["writable", "readonly"])),
    };
    Ok(StepRequest {
        command: request.command,
        name: request.name,
        image: request.image,
        env: named("env=", request.env)?,
        files: named("files=", request.files)?,
        workdir: request.workdir,
        retry: retry(request.retry)?,
        timeout: (request.timeout_ms > 0).then(|| Duration::from_millis(request.timeout_ms)),
        capture,
        once: request.once,
        user: Some(request.user).filter(|user| !user.is_empty()),
        root,
        cpu: request.cpu,
        memory_bytes: request.memory_bytes,
        network: !request.no_network,
        allow_failure: request.allow_failure,
        caps: caps(request.caps),
        caches: request.caches.into_iter().map(cache).collect::<Result<_, _>>()?,
        build: None,
    })
}

fn cache(cache: v1::Cache) -> Result<Cache, Status> {
    let write = WriteRule::parse(&cache.write);
    let write = write.ok_or_else(|| unknown("write= of a cache", &cache.write, &["protected", "always", "never"]))?;
    Ok(Cache { name: cache.name, paths: cache.paths, key: cache.key, write })
}

/// One form for one list, whichever SDK sent it.
fn caps(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

fn retry(retry: Option<v1::Retry>) -> Result<Retry, Status> {
    let Some(retry) = retry else { return Ok(Retry::default()) };
    let cause = |word: &String| {
        let cause = Cause::parse(word).filter(|cause| *cause != Cause::Success);
        cause.ok_or_else(|| unknown("the cause in retry=", word, &["infra", "timeout", "oom", "exit"]))
    };
    let on = retry.on.iter().map(cause).collect::<Result<_, _>>()?;
    Ok(Retry { times: retry.times, on, backoff: Duration::from_millis(retry.backoff_ms) })
}

pub(super) fn named(what: &str, values: Vec<v1::NamedValue>) -> Result<BTreeMap<String, Value>, Status> {
    let mut named = BTreeMap::new();
    for entry in values {
        let value = value(entry.value)?;
        if named.contains_key(&entry.name) {
            return Err(Status::invalid_argument(format!("{what} names '{}' twice", entry.name)));
        }
        named.insert(entry.name, value);
    }
    Ok(named)
}

/// A value of `env=` or `files=`, or what is to be revealed.
pub(super) fn value(value: Option<v1::Value>) -> Result<Value, Status> {
    match value.and_then(|value| value.kind) {
        Some(v1::value::Kind::Text(text)) => Ok(Value::Text(text)),
        Some(v1::value::Kind::Secret(name)) => Ok(Value::Secret(name)),
        Some(v1::value::Kind::Captured(handle)) => Ok(Value::Captured(handle)),
        None => Err(Status::invalid_argument("a value is missing")),
    }
}

fn unknown(what: &str, word: &str, valid: &[&str]) -> Status {
    let word: String = word.chars().take(64).collect();
    let hint = match nearest(&word, valid.iter().copied()) {
        Some(near) => format!(": did you mean '{near}'?"),
        None => format!(": write one of {}", valid.join(", ")),
    };
    Status::invalid_argument(format!("{what} is '{word}', which is not known{hint}"))
}
