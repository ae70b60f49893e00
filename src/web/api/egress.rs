//! `GET /api/v1/jobs/{id}/egress`.
use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Action;
use crate::model::egress::is_covered;
use crate::store::config_commits;
use crate::store::egress::{self, FOR_IMAGE, HostRow, Verdict};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// A name that steps of the job asked for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EgressHost")]
struct Host {
    name: String,
    /// `allowed` or `denied`.
    verdict: &'static str,
    /// The steps that asked.
    steps: Vec<u32>,
    /// Where it led.
    addresses: Vec<String>,
    /// Why it was denied, where it was not for its own name: the name that it is an alias of, or a sentence.
    why: Option<String>,
    /// The config repo's `Config` document allows it now.
    within_ceiling: bool,
    /// The server fetched images from there, and no step asked for it: an allowlist needs no entry for it.
    images_only: bool,
}

/// What a job could reach, and what it asked for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Egress")]
pub(in crate::web) struct Egress {
    /// The names that were in force; none: no step has asked yet.
    names: Option<Vec<String>>,
    hosts: Vec<Host>,
}

/// Which names the steps of a job asked for.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let read = app.store.read(move |view| {
        let global = config_commits::global_in_force(view)?;
        Ok((egress::names_of(view, job.id)?, egress::of_job(view, job.id)?, global.egress_allowlist))
    });
    let (names, rows, ceiling) = read.await?;
    Ok(Json(Egress { names, hosts: hosts(rows, &ceiling) }).into_response())
}

fn hosts(rows: Vec<HostRow>, ceiling: &[String]) -> Vec<Host> {
    let mut hosts: BTreeMap<(String, &'static str), Host> = BTreeMap::new();
    for row in rows {
        let verdict = row.verdict.as_str();
        let host = hosts.entry((row.name.clone(), verdict)).or_insert_with(|| Host {
            within_ceiling: is_covered(ceiling, &row.name),
            name: row.name,
            verdict,
            steps: Vec::new(),
            addresses: Vec::new(),
            why: None,
            images_only: true,
        });
        host.steps.push(row.step);
        if row.detail == FOR_IMAGE {
            continue;
        }
        host.images_only = false;
        match row.verdict {
            Verdict::Allowed => host.addresses.extend(row.detail.split(' ').map(str::to_owned)),
            Verdict::Denied if !row.detail.is_empty() => host.why = Some(row.detail),
            Verdict::Denied => {}
        }
        host.addresses.sort();
        host.addresses.dedup();
    }
    hosts.into_values().collect()
}
