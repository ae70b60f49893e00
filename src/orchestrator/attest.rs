//! The signed record of an ended job: made from rows and digests, after the last byte.
use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;

use super::error::chain;
use super::{DriveError, Engine};
use crate::artifacts::Digest;
use crate::model::JobId;
use crate::model::call::CallKey;
use crate::model::job::Status;
use crate::provenance::{
    self, Builder, ConfigRevision, Continued, Ending, Image, Isolation, JobFacts, LogFile, Output, PREDICATE_TYPE,
    RECORD_TYPE, ReusedStep, Source,
};
use crate::registry::{HOST_PORT, is_cache};
use crate::store::egress::{self, HostRow, Verdict};
use crate::store::{
    ArtifactRow, Durability, JobRow, JournalRow, StepRow, View, artifacts, attestations, jobs, journal, registry, steps,
};

/// Jobs that are looked at in one round.
const ROUND: u32 = 50;

/// The rows from which a record is made.
struct Rows {
    job: JobRow,
    steps: Vec<StepRow>,
    artifacts: Vec<ArtifactRow>,
    pushed: Vec<registry::PushedRow>,
    calls: Vec<JournalRow>,
    /// The names that led somewhere.
    contacted: Vec<String>,
    /// The job that it went on from, and how people call it.
    parent: Option<(JobId, String)>,
}

/// Records that can't be made before a round is given up: then it is not about single records.
const FAILED: usize = 1000;

/// Records every ended job that has no record yet but those that are `driven` still, and says how many that were: at
/// start, and every time that signing failed before. A record that can't be made is logged and left for the next time.
pub async fn attest_pending(engine: &Engine, driven: &HashSet<JobId>) -> Result<usize, DriveError> {
    let mut recorded = 0;
    let mut failed = HashSet::new();
    loop {
        // What failed in this pass is still among the oldest.
        let limit = ROUND.saturating_add(u32::try_from(failed.len() + driven.len()).unwrap_or(u32::MAX));
        let mut waiting = engine.store.read(move |view| jobs::unrecorded(view, limit)).await?;
        waiting.retain(|job| !failed.contains(&job.id) && !driven.contains(&job.id));
        if waiting.is_empty() || failed.len() >= FAILED {
            return Ok(recorded);
        }
        for job in waiting {
            if engine.attest_logged(job.id).await {
                recorded += 1;
            } else {
                failed.insert(job.id);
            }
        }
    }
}

impl Engine {
    /// Records an ended job and says whether that went well; a failure is made good by `attest_pending`.
    pub(super) async fn attest_logged(&self, job: JobId) -> bool {
        let made = self.attest(job).await;
        if let Err(error) = &made {
            tracing::error!(%job, error = chain(error), "the job's record could not be signed; it will be tried again");
        }
        made.is_ok()
    }

    async fn attest(&self, job: JobId) -> Result<(), DriveError> {
        let rows = self.store.read(move |view| read(view, job)).await?;
        let probe = self.executor.probe().await;
        let probe = probe.map_err(|source| DriveError::Executor { what: "say what it enforces", source })?;
        let facts = facts(self, &rows, probe)?;
        let good = rows.job.status == Status::Success && !rows.job.reuse && self.signing.is_some();
        let (kind, statement) = if good {
            (PREDICATE_TYPE, provenance::provenance(&facts))
        } else {
            let continued = rows.parent.as_ref().map(|label| continued(label, &rows));
            let ending = Ending { status: rows.job.status, reason: rows.job.reason.clone(), continued };
            (RECORD_TYPE, provenance::job_record(&facts, &ending))
        };
        let (key, envelope) = match &self.signing {
            Some(key) => {
                let signed = provenance::sign(&statement, key);
                (key.public().keyid().to_owned(), signed.map_err(|error| DriveError::Record(error.to_string()))?)
            }
            None => (String::new(), unsigned(&statement)),
        };
        let stored = self.store.write("orchestrator.attest", Durability::Acknowledged, move |tx| {
            attestations::insert(tx, job, kind, &key, &envelope)
        });
        Ok(stored.await?)
    }
}

fn read(view: &View<'_>, job: JobId) -> Result<Rows, crate::store::StoreError> {
    let row = jobs::get(view, job)?;
    let parent = row.parent.filter(|_| row.reuse);
    let parent = parent.map(|id| Ok::<_, crate::store::StoreError>((id, jobs::get(view, id)?.label()))).transpose()?;
    Ok(Rows {
        job: row,
        parent,
        steps: steps::of_job(view, job)?,
        artifacts: artifacts::of_job(view, job)?,
        pushed: registry::of_job(view, job)?,
        calls: journal::of_job(view, job)?,
        contacted: contacted(egress::of_job(view, job)?),
    })
}

/// The same envelope without a signature: `danube run` has no key, and says so by this.
fn unsigned(statement: &[u8]) -> String {
    let payload = base64::engine::general_purpose::STANDARD.encode(statement);
    serde_json::json!({ "payloadType": provenance::PAYLOAD_TYPE, "payload": payload, "signatures": [] }).to_string()
}

fn facts(engine: &Engine, rows: &Rows, probe: crate::executor::Probe) -> Result<JobFacts, DriveError> {
    let job = &rows.job;
    let pipeline = job.pipeline()?;
    let ran = rows.steps.iter().filter(|step| step.seq > 0 && step.started_at.is_some());
    let mut images: Vec<Image> = ran.filter_map(image).collect();
    images.sort();
    images.dedup();
    Ok(JobFacts {
        builder: Builder { id: engine.builder.id.clone(), version: engine.builder.version.clone() },
        job_id: job.id,
        attempt: job.attempt,
        pipeline: job.pipeline_name.clone(),
        source: Source {
            repository: pipeline.repository,
            git_ref: git_ref(job),
            commit: job.commit_sha.clone(),
            script: pipeline.script,
        },
        trigger: job.trigger,
        event: job.event,
        params: job.params.clone(),
        config: ConfigRevision {
            repository: engine.builder.config_repository.clone(),
            git_ref: engine.builder.config_ref.clone(),
            commit: job.config_commit.clone(),
            snapshot: Digest::of(job.snapshot.as_bytes()),
        },
        images,
        secret_names: secret_names(&rows.calls),
        contacted_hosts: rows.contacted.clone(),
        executor: probe.kind,
        isolation: Isolation { not_enforced: probe.not_enforced, privileges: privileges(rows) },
        started_on: job.started_at,
        finished_on: job.finished_at.unwrap_or(job.created_at),
        logs: rows.steps.iter().filter(|step| step.reused_from.is_none()).filter_map(log).collect(),
        artifacts: rows
            .artifacts
            .iter()
            .filter(|row| row.expired_at.is_none() && row.provenance)
            .filter_map(output)
            .collect(),
        pushed_images: pushed(&rows.pushed),
    })
}

fn git_ref(job: &JobRow) -> Option<String> {
    match &job.tag {
        Some(tag) => Some(format!("refs/tags/{tag}")),
        None => (!job.branch.is_empty()).then(|| format!("refs/heads/{}", job.branch)),
    }
}

fn image(step: &StepRow) -> Option<Image> {
    if step.image == "host" {
        return Some(Image::Host);
    }
    let digest = step.image_digest.as_deref()?;
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest).parse().ok()?;
    Some(Image::Oci { reference: step.image.clone(), digest })
}

fn log(step: &StepRow) -> Option<LogFile> {
    let digest = step.log_sha256.as_deref()?.parse().ok()?;
    Some(match step.seq {
        0 => LogFile::coordinator(step.attempt, digest),
        seq => LogFile::step(seq, step.attempt, digest),
    })
}

/// What a job took from its parent: the newest attempt of every step that it did not run.
fn continued((job_id, label): &(JobId, String), rows: &Rows) -> Continued {
    let newest = |(n, step): &(usize, &StepRow)| rows.steps.get(n + 1).is_none_or(|next| next.seq != step.seq);
    let reused = |(_, step): (usize, &StepRow)| {
        let (number, name) = (step.seq, step.name.clone());
        Some(ReusedStep { job_id: step.reused_from?, log: log(step), number, name })
    };
    let steps = rows.steps.iter().enumerate().filter(newest).filter_map(reused).collect();
    Continued { job_id: *job_id, label: label.clone(), steps }
}

fn output(row: &ArtifactRow) -> Option<Output> {
    Some(Output { name: row.name.clone(), sha256: row.sha256.parse().ok()? })
}

fn contacted(rows: Vec<HostRow>) -> Vec<String> {
    let mut names: Vec<String> =
        rows.into_iter().filter(|row| row.verdict == Verdict::Allowed).map(|row| row.name).collect();
    names.dedup();
    names
}

/// What steps that ran were given beyond the usual, by the journal.
fn privileges(rows: &Rows) -> Vec<String> {
    let ran = rows.steps.iter().filter(|step| step.seq > 0 && step.started_at.is_some());
    let mut lines: Vec<String> = ran
        .flat_map(|step| {
            let call = rows.calls.iter().find(|call| call.key == step.key);
            let fields = call.and_then(|call| serde_json::from_str::<serde_json::Value>(&call.request).ok());
            let caps = fields.and_then(|fields| fields.get("caps")?.as_array().cloned()).unwrap_or_default();
            let named: Vec<String> = caps.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
            named.into_iter().map(|name| format!("step {}: capability {name}", step.seq))
        })
        .collect();
    lines.dedup();
    lines
}

/// What the job pushed, each image once. Layers that were put by for later builds are none of its outputs.
fn pushed(rows: &[registry::PushedRow]) -> Vec<Output> {
    let kept = rows.iter().filter(|row| !is_cache(&row.repository));
    let mut seen = HashSet::new();
    let first = kept.filter(|row| seen.insert((&row.repository, &row.digest)));
    first
        .filter_map(|row| {
            Some(Output { name: format!("{HOST_PORT}/{}", row.repository), sha256: row.digest.parse().ok()? })
        })
        .collect()
}

/// The secrets that the danubefile asked for, by the journal.
fn secret_names(calls: &[JournalRow]) -> Vec<String> {
    let named = calls.iter().filter(|call| CallKey::parse(&call.key).is_ok_and(|key| key.kind() == "secret"));
    let mut names: Vec<String> = named
        .filter_map(|call| {
            let fields: BTreeMap<String, serde_json::Value> = serde_json::from_str(&call.request).ok()?;
            Some(fields.get("name")?.as_str()?.to_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}
